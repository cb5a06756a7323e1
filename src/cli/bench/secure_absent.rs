//! What stands for WTLS in a program that was built without it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;

use crate::time::Instant;

/// There are none.
pub(super) struct SecureHandsets {
    nothing: Infallible,
    pub(super) done: u64,
    pub(super) errors: BTreeMap<String, u64>,
}

impl SecureHandsets {
    pub(super) const fn new(settings: Infallible, _: u64) -> Self {
        match settings {}
    }

    pub(super) fn send(&mut self, _: Instant, _: u32, _: &[u8]) -> io::Result<()> {
        match self.nothing {}
    }

    pub(super) fn handle_datagram(&mut self, _: Instant, _: u32, _: &[u8], _: impl FnMut(&[u8])) {
        match self.nothing {}
    }

    pub(super) fn handle_timeout(&mut self, _: Instant) {
        match self.nothing {}
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(u32, Vec<u8>)> {
        match self.nothing {}
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.nothing {}
    }
}
