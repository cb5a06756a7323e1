//! What stands for WTLS in a program that was built without it.

use std::convert::Infallible;

use clap::Args;

use crate::handset::Handset;
use crate::time::Instant;

/// There is none.
pub(super) type SecureProblem = Infallible;

/// Nothing can be asked for.
#[derive(Clone, Debug, Args)]
pub(super) struct SecureArgs {}

impl SecureArgs {
    pub(super) const fn default_port(&self) -> u16 {
        9201
    }

    pub(super) const fn settings(&self, _: &str) -> anyhow::Result<Option<Infallible>> {
        Ok(None)
    }
}

/// Nothing can be asked for.
#[derive(Clone, Debug, Args)]
pub(super) struct AnonymousArgs {}

impl AnonymousArgs {
    pub(super) const fn default_port(&self, is_connectionless: bool) -> u16 {
        match is_connectionless {
            false => 9201,
            true => 9200,
        }
    }

    pub(super) const fn settings(&self) -> Option<Infallible> {
        None
    }
}

/// There is none.
#[derive(Debug)]
pub(super) enum SecureClient {}

impl SecureClient {
    pub(super) const fn new(settings: Infallible) -> std::io::Result<Self> {
        match settings {}
    }

    pub(super) fn connect(&mut self, _: Instant) {
        match *self {}
    }

    pub(super) fn handle_datagram(&mut self, _: Instant, _: &[u8], _: impl FnMut(&[u8])) {
        match *self {}
    }

    pub(super) fn poll_transmit(
        &mut self,
        _: &mut Handset,
        _: &mut Vec<u8>,
        _: impl FnMut(&[u8]),
    ) -> bool {
        match *self {}
    }

    pub(super) fn handle_timeout(&mut self, _: Instant) {
        match *self {}
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match *self {}
    }

    pub(super) fn problem(&mut self) -> Option<SecureProblem> {
        match *self {}
    }
}
