//! Cache of decoded session headers: clients with equal headers share one entry.

use std::net::IpAddr;

use hashbrown::HashMap;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::gateway::answer::Refused;
use crate::random::Keyed;
use crate::wdp::source_prefix;

/// Header fields in their order.
pub(super) type Fields = Vec<(HeaderName, HeaderValue)>;

/// The session headers of one client.
#[derive(Debug, Default)]
pub(super) struct SessionFields {
    /// The fields in their order.
    pub(super) fields: Fields,
    /// The fields as they go upstream, unless that depends on the fields of a method.
    pub(super) ready: Option<HeaderMap>,
}

/// Decoded session headers by the [serial](crate::wsp::profile::Profile::serial) of their profile.
///
/// The entry used longest ago gives way. One source (an address, a /64 of IPv6) has a share: beyond
/// it its own entries replace one another, so the entries of other sources stay.
#[derive(Debug)]
pub(super) struct HeaderCache {
    by_serial: HashMap<u64, Entry, Keyed>,
    /// Methods so far: the age of an entry is told by them.
    methods: u64,
    /// The fields of a client with too many to be kept.
    unkept: SessionFields,
}

#[derive(Debug)]
struct Entry {
    fields: SessionFields,
    /// The source that had them decoded.
    source: u128,
    /// The number of the last method that used them.
    used: u64,
}

impl HeaderCache {
    /// An empty cache.
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            by_serial: HashMap::with_hasher(hasher),
            methods: 0,
            unkept: SessionFields::default(),
        }
    }

    /// The fields of the client with a serial, decoded by `decode` from the headers of its Connect
    /// if the cache has none. `ready` makes the [`ready`](SessionFields::ready) fields of those
    /// that are kept.
    pub(super) fn fields(
        &mut self,
        serial: u64,
        address: IpAddr,
        decode: impl FnOnce() -> Result<Fields, Refused>,
        ready: impl FnOnce(&Fields) -> Option<HeaderMap>,
    ) -> Result<&SessionFields, Refused> {
        self.methods += 1;
        if !self.by_serial.contains_key(&serial) {
            let fields = decode()?;
            if fields.len() > MOST_FIELDS_KEPT {
                self.unkept = SessionFields {
                    fields,
                    ready: None,
                };
                return Ok(&self.unkept);
            }
            let source = source_prefix(address);
            self.make_room(source);
            let ready = ready(&fields);
            let entry = Entry {
                fields: SessionFields { fields, ready },
                source,
                used: self.methods,
            };
            self.by_serial.insert(serial, entry);
        }
        let entry = self.by_serial.get_mut(&serial).expect("known or inserted");
        entry.used = self.methods;
        Ok(&entry.fields)
    }

    /// Forgets all: the rules they were decoded by have changed.
    pub(super) fn forget(&mut self) {
        self.by_serial.clear();
        self.unkept = SessionFields::default();
    }

    /// Forgets one client if there is no room for another one of this source.
    fn make_room(&mut self, source: u128) {
        // Networks have some dozens of models; that many are not looked through.
        if self.by_serial.len() < CLIENTS_OF_SOURCE {
            return;
        }
        let of_source = self
            .by_serial
            .values()
            .filter(|entry| entry.source == source);
        let only_own = of_source.count() >= CLIENTS_OF_SOURCE;
        if !only_own && self.by_serial.len() < MOST_CLIENTS {
            return;
        }
        let candidates = self
            .by_serial
            .iter()
            .filter(|(_, entry)| !only_own || entry.source == source);
        let oldest = candidates.min_by_key(|(_, entry)| entry.used);
        if let Some(serial) = oldest.map(|(serial, _)| *serial) {
            self.by_serial.remove(&serial);
        }
    }
}

/// Clients whose decoded fields are cached.
const MOST_CLIENTS: usize = 512;
/// Clients of one source whose fields are kept.
const CLIENTS_OF_SOURCE: usize = 128;
/// Fields of a client that are kept; handsets send some dozen.
const MOST_FIELDS_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn address(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    /// Whether the fields had to be decoded.
    fn decodes(cache: &mut HeaderCache, serial: u64, host: u8, fields: usize) -> bool {
        let mut decoded = false;
        let field = || (http::header::ACCEPT, HeaderValue::from_static("a"));
        let mut made_ready = false;
        let found = cache.fields(
            serial,
            address(host),
            || {
                decoded = true;
                Ok((0..fields).map(|_| field()).collect())
            },
            |_| {
                made_ready = true;
                None
            },
        );
        assert_eq!(found.unwrap().fields.len(), fields);
        let is_kept = fields <= MOST_FIELDS_KEPT;
        assert_eq!(made_ready, decoded && is_kept);
        decoded
    }

    #[test]
    fn one_address_does_not_push_out_the_headers_of_others() {
        let mut cache = HeaderCache::new(Random::new(1).hasher());
        for model in 0..40 {
            assert!(decodes(&mut cache, model, 1, 9));
        }
        for unseen in 1_000..5_000 {
            assert!(decodes(&mut cache, unseen, 2, 9));
        }
        assert!((0..40).all(|model| !decodes(&mut cache, model, 3, 9)));
        assert_eq!(cache.by_serial.len(), 40 + CLIENTS_OF_SOURCE);
    }

    #[test]
    fn clients_in_use_outlive_a_flood_from_many_addresses() {
        let mut cache = HeaderCache::new(Random::new(1).hasher());
        decodes(&mut cache, 7, 1, 9);
        for unseen in 1_000..9_000u64 {
            decodes(&mut cache, unseen, (unseen % 200) as u8, 9);
            assert!(!decodes(&mut cache, 7, 1, 9));
        }
        assert_eq!(cache.by_serial.len(), MOST_CLIENTS);
    }

    #[test]
    fn more_fields_than_handsets_send_are_not_kept() {
        let mut cache = HeaderCache::new(Random::new(1).hasher());
        for _ in 0..2 {
            assert!(decodes(&mut cache, 1, 1, MOST_FIELDS_KEPT + 1));
        }
        assert!(cache.by_serial.is_empty());
    }
}
