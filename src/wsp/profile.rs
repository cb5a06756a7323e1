//! What clients say of themselves when they connect, kept once for all that say the same.
//!
//! Handsets of one model send the same headers and ask for the same capabilities, octet for octet.

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;

use crate::random::Keyed;
use crate::table::{Index, Slab};
use crate::wsp::capability::Capabilities;
use crate::wsp::header::EncodingVersion;

/// What a client said at length, and what was agreed with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// Names what is said here: no other profile of these sessions ever has the same number.
    pub serial: u64,
    /// The capabilities it asked for, as encoded.
    pub(super) offer: Box<[u8]>,
    /// The client's session headers, as it encoded them; merged with each method's when it is invoked.
    pub headers: Bytes,
    /// The newest header encoding the client said it understands.
    pub encoding: Option<EncodingVersion>,
    /// What was agreed.
    pub agreed: Capabilities,
    /// Where it is kept.
    place: u32,
}

/// The profiles of all sessions of a shard.
#[derive(Debug)]
pub(super) struct Profiles {
    kept: Slab<Kept>,
    by_content: Index,
    hasher: Keyed,
    serial: u64,
    octets: usize,
}

#[derive(Debug)]
struct Kept {
    profile: Arc<Profile>,
    sessions: u32,
}

/// A profile to be.
#[derive(Debug)]
pub(super) struct Said<'a> {
    pub(super) offer: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) encoding: Option<EncodingVersion>,
    pub(super) agreed: Capabilities,
}

impl Profiles {
    pub(super) const fn new(hasher: Keyed) -> Self {
        Self {
            kept: Slab::new(),
            by_content: Index::new(),
            hasher,
            serial: 0,
            octets: 0,
        }
    }

    /// Keeps what a client said for a session of its; `None` if it is new and all together would be more than
    /// `max` octets. Given back with [`release`](Self::release).
    pub(super) fn keep(&mut self, said: Said<'_>, max: usize) -> Option<Arc<Profile>> {
        let hash = self.hasher.hash_one((said.offer, said.headers));
        let is_it = |slot| {
            self.kept.get(slot).is_some_and(|Kept { profile, .. }| {
                *profile.offer == *said.offer
                    && profile.headers == said.headers
                    && profile.encoding == said.encoding
                    && profile.agreed == said.agreed
            })
        };
        let known = self.by_content.find(hash, is_it);
        if let Some(kept) = known.and_then(|slot| self.kept.get_mut(slot)) {
            kept.sessions += 1;
            return Some(Arc::clone(&kept.profile));
        }
        let octets = FIXED + said.offer.len() + said.headers.len();
        if octets > max.saturating_sub(self.octets) {
            return None;
        }
        self.octets += octets;
        self.serial += 1;
        let serial = self.serial;
        let slot = self.kept.insert_with(|place| Kept {
            profile: Arc::new(Profile {
                serial,
                offer: said.offer.into(),
                // Copied, so that an idle session keeps its headers alive and not the whole datagram.
                headers: Bytes::copy_from_slice(said.headers),
                encoding: said.encoding,
                agreed: said.agreed,
                place,
            }),
            sessions: 1,
        });
        let rehash = rehash(&self.kept, self.hasher);
        self.by_content.insert(hash, slot, rehash);
        let kept = self.kept.get(slot)?;
        Some(Arc::clone(&kept.profile))
    }

    /// One session less has this profile.
    pub(super) fn release(&mut self, profile: &Profile) {
        let place = profile.place;
        let Some(kept) = self.kept.get_mut(place) else {
            return;
        };
        kept.sessions -= 1;
        if kept.sessions == 0 {
            let hash = self.hasher.hash_one((&*profile.offer, &*profile.headers));
            let rehash = rehash(&self.kept, self.hasher);
            self.by_content.remove(hash, |slot| slot == place, rehash);
            self.kept.remove(place);
            self.octets -= FIXED + profile.offer.len() + profile.headers.len();
        }
    }
}

/// The hash of what is kept in a place.
fn rehash(kept: &Slab<Kept>, hasher: Keyed) -> impl Fn(u32) -> u64 {
    move |slot| {
        kept.get(slot).map_or(0, |Kept { profile, .. }| {
            hasher.hash_one((&*profile.offer, &*profile.headers))
        })
    }
}

/// Octets of a profile besides what the client said: itself, its places in the tables, and what the allocator adds.
const FIXED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn said(headers: &[u8]) -> Said<'_> {
        Said {
            offer: &[],
            headers,
            encoding: None,
            agreed: Capabilities::default(),
        }
    }

    #[test]
    fn equal_clients_share_and_the_last_takes_it_along() {
        let mut profiles = Profiles::new(Random::new(1).hasher());
        let one = profiles.keep(said(b"one"), 1_000).unwrap();
        let same = profiles.keep(said(b"one"), 1_000).unwrap();
        assert!(Arc::ptr_eq(&one, &same));
        let agreed = Capabilities::default().with_client_sdu(7);
        let other = Said {
            agreed,
            ..said(b"one")
        };
        let other = profiles.keep(other, 1_000).unwrap();
        assert_ne!(one.serial, other.serial);
        profiles.release(&one);
        assert_eq!(profiles.kept.len(), 2);
        profiles.release(&same);
        profiles.release(&other);
        assert_eq!((profiles.kept.len(), profiles.octets), (0, 0));
        let again = profiles.keep(said(b"one"), 1_000).unwrap();
        assert!(again.serial > other.serial);
    }

    #[test]
    fn clients_that_are_all_different_are_bounded() {
        let mut profiles = Profiles::new(Random::new(1).hasher());
        let max = 10 * (FIXED + 4);
        for client in 0..10u32 {
            assert!(profiles.keep(said(&client.to_be_bytes()), max).is_some());
        }
        assert!(profiles.keep(said(b"more"), max).is_none());
        assert!(profiles.keep(said(&3u32.to_be_bytes()), max).is_some());
    }
}
