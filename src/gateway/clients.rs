//! The session headers of clients heard lately, decoded once for all methods of all handsets that say the same.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::gateway::request::{Fields, Refused};
use crate::random::Keyed;
use crate::wsp::profile::Profile;

/// Decoded session headers by the [serial](Profile::serial) of what they were decoded from.
#[derive(Debug)]
pub(super) struct Clients {
    by_serial: HashMap<u64, Fields, Keyed>,
}

impl Clients {
    /// Nobody heard yet.
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            by_serial: HashMap::with_hasher(hasher),
        }
    }

    /// The fields of a client, as `decode` makes them of what it said when it connected.
    pub(super) fn fields(
        &mut self,
        client: &Profile,
        decode: impl FnOnce(&Profile) -> Result<Fields, Refused>,
    ) -> Result<&Fields, Refused> {
        let serial = client.serial;
        // Networks have some dozens of models; clients that are all different gain nothing here anyway.
        if self.by_serial.len() >= MOST_CLIENTS && !self.by_serial.contains_key(&serial) {
            self.forget();
        }
        Ok(match self.by_serial.entry(serial) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(decode(client)?),
        })
    }

    /// Forgets all: the rules they were decoded by have changed, or there are too many.
    pub(super) fn forget(&mut self) {
        self.by_serial.clear();
    }
}

/// Clients whose fields are kept.
const MOST_CLIENTS: usize = 512;
