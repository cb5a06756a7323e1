//! Stands for WTLS in a program without the feature `wtls`: there are no secure ports.

use std::io;
use std::net::SocketAddr;

use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Transmit};

#[path = "../wtls/stats.rs"]
mod stats;

/// Counters of WTLS, all of them zero.
pub type SecureStats = stats::Stats;
/// There are none.
#[derive(Clone, Debug)]
pub(in crate::server) enum SecureSession {}
/// There are none.
#[derive(Clone, Debug, Default)]
pub struct SecureSettings;

/// Where WTLS is spoken: nowhere.
#[derive(Clone, Debug, Default)]
pub struct Secure {
    /// None.
    pub connection_mode: Vec<SocketAddr>,
    /// None.
    pub connectionless: Vec<SocketAddr>,
}

/// There is none.
pub(in crate::server) enum SecureLayer {}

impl SecureLayer {
    pub(in crate::server) const fn new(_: &Secure, _: usize, _: u64) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(in crate::server) fn handle_datagram(
        &mut self,
        _: Instant,
        _: Datagram<'_>,
        _: impl FnMut(Datagram<'_>),
    ) {
        match *self {}
    }

    pub(in crate::server) fn poll_session_change(&mut self) -> Option<SecureSession> {
        match *self {}
    }

    pub(in crate::server) fn handle_session_change(&mut self, _: Instant, _: SecureSession) {
        match *self {}
    }

    pub(in crate::server) fn set_config(&mut self, _: &SecureSettings) {
        match *self {}
    }

    pub(in crate::server) fn poll_transmit(&mut self, _: &mut Vec<u8>) -> Option<Transmit> {
        match *self {}
    }

    pub(in crate::server) fn seal(
        &mut self,
        _: Instant,
        _: Peer,
        _: usize,
        _: &mut Vec<u8>,
    ) -> Option<Transmit> {
        match *self {}
    }

    pub(in crate::server) fn handle_timeout(&mut self, _: Instant) {
        match *self {}
    }

    pub(in crate::server) fn poll_timeout(&self) -> Option<Instant> {
        match *self {}
    }

    pub(in crate::server) fn stats(&self) -> SecureStats {
        match *self {}
    }
}
