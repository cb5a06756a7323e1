//! Headers and capabilities of Connects, kept once for all clients with equal ones.
//!
//! Handsets of one model send the same headers and capabilities, octet for octet.

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;

use crate::random::Keyed;
use crate::table::{HasKey, Map, Shares};
use crate::wsp::capability::{self, Capabilities, ProtocolOptions};
use crate::wsp::header::EncodingVersion;

/// The headers of a Connect, and the agreed capabilities.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// Identifies this profile: no other profile of these sessions ever has the same number.
    pub serial: u64,
    /// The capabilities it asked for, as encoded.
    pub(super) offer: Box<[u8]>,
    /// The client's session headers, as it encoded them; merged with each method's when it is
    /// invoked.
    pub headers: Bytes,
    /// The newest header encoding that the client named.
    pub encoding: Option<EncodingVersion>,
    /// The agreed capabilities.
    pub agreed: Capabilities,
    /// Where it is kept.
    slot: u32,
}

impl Profile {
    /// Octets of the largest SDU the client may send.
    pub(super) fn max_request(&self) -> Option<usize> {
        let max = self.agreed.server_mru();
        max.and_then(|max| usize::try_from(max).ok())
    }

    /// Octets of the largest request that the client may send in several SDUs, at most `cap`. The
    /// default size is no limit, because clients that do not know message sizes use it.
    pub(super) fn max_gathered(&self, cap: u32) -> usize {
        match self.agreed.server_message {
            0 | capability::DEFAULT_SIZE => cap as usize,
            size => size.min(cap) as usize,
        }
    }

    /// The headers of an acknowledgement, if they were agreed on (WSP 6.3.3.9).
    pub(super) fn acknowledgement(&self, exit_info: Bytes) -> Bytes {
        match self
            .agreed
            .options
            .has(ProtocolOptions::ACKNOWLEDGEMENT_HEADERS)
        {
            true => exit_info,
            false => Bytes::new(),
        }
    }

    /// Octets of the largest SDU to the client.
    pub(super) fn max_unit(&self) -> Option<usize> {
        let size = self.agreed.client_sdu as usize;
        (size != 0).then_some(size)
    }

    /// Whether replies may come in several SDUs. A client with tiny SDUs is given no such reply:
    /// each SDU would cost more than it carries, and a large reply would have a million of them.
    pub(super) fn takes_several(&self) -> bool {
        self.agreed.options.has(ProtocolOptions::LARGE_DATA)
            && self.max_unit().is_none_or(|unit| unit >= SMALLEST_UNIT)
    }

    /// Octets of the largest reply: in one SDU, or in several if both sides and their transaction
    /// can.
    pub(super) fn max_reply(&self, in_several: bool) -> Option<usize> {
        let one = self.max_unit()?;
        if !(in_several && self.takes_several()) {
            return Some(one);
        }
        match self.agreed.client_message as usize {
            0 => None,
            size => Some(size.max(one)),
        }
    }
}

/// The profiles of all sessions of a shard.
#[derive(Debug)]
pub(super) struct Profiles {
    /// Profiles by a keyed digest of their headers and capabilities.
    kept: Map<u64, Kept, Keyed>,
    digest: Keyed,
    serial: u64,
    octets: usize,
    /// Octets of the profiles that each source prefix brought.
    shares: Shares<Keyed>,
}

#[derive(Debug)]
struct Kept {
    digest: u64,
    profile: Arc<Profile>,
    sessions: u32,
    /// The source prefix that brought it, and is charged for it.
    source: u128,
}

impl HasKey<u64> for Kept {
    fn key(&self) -> u64 {
        self.digest
    }
}

/// Why a profile is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Its source prefix has brought as many octets as one may.
    Share,
    /// All sources together have.
    Full,
}

/// A profile to be.
#[derive(Debug)]
pub(super) struct ProfileParts<'a> {
    pub(super) offer: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) encoding: Option<EncodingVersion>,
    pub(super) agreed: Capabilities,
}

impl Profiles {
    pub(super) const fn new(hasher: Keyed) -> Self {
        Self {
            kept: Map::new(hasher),
            digest: hasher,
            serial: 0,
            octets: 0,
            shares: Shares::new(hasher),
        }
    }

    /// Keeps the profile of one session at this source prefix. [`release`](Self::release) gives it
    /// back.
    ///
    /// # Errors
    /// The profile is new, and there is no room for it: `max` is the octets of all profiles.
    pub(super) fn keep(
        &mut self,
        parts: &ProfileParts<'_>,
        source: u128,
        max: usize,
    ) -> Result<Arc<Profile>, NoRoom> {
        let digest = self.digest.hash_one((parts.offer, parts.headers));
        let known = self.kept.find_matching(&digest, |Kept { profile, .. }| {
            *profile.offer == *parts.offer
                && profile.headers == parts.headers
                && profile.encoding == parts.encoding
                && profile.agreed == parts.agreed
        });
        if let Some(kept) = known.and_then(|slot| self.kept.get_mut(slot)) {
            kept.sessions += 1;
            return Ok(Arc::clone(&kept.profile));
        }
        let octets = FIXED + parts.offer.len() + parts.headers.len();
        let max_share = (max / SOURCES_AT_LEAST).max(SMALLEST_SHARE);
        if self.shares.get(source) + octets > max_share {
            return Err(NoRoom::Share);
        }
        if octets > max.saturating_sub(self.octets) {
            return Err(NoRoom::Full);
        }
        self.octets += octets;
        self.shares.add(source, octets);
        self.serial += 1;
        let serial = self.serial;
        let slot = self.kept.insert_with(|slot| Kept {
            digest,
            profile: Arc::new(Profile {
                serial,
                offer: parts.offer.into(),
                // Copied, so that an idle session keeps its headers alive and not the whole
                // datagram.
                headers: Bytes::copy_from_slice(parts.headers),
                encoding: parts.encoding,
                agreed: parts.agreed.clone(),
                slot,
            }),
            sessions: 1,
            source,
        });
        let kept = self.kept.get(slot).ok_or(NoRoom::Full)?;
        Ok(Arc::clone(&kept.profile))
    }

    /// One session less has this profile.
    pub(super) fn release(&mut self, profile: &Profile) {
        let Some(kept) = self.kept.get_mut(profile.slot) else {
            return;
        };
        kept.sessions -= 1;
        if kept.sessions == 0 {
            let octets = FIXED + profile.offer.len() + profile.headers.len();
            self.shares.remove(kept.source, octets);
            self.kept.remove(profile.slot);
            self.octets -= octets;
        }
    }
}

/// Octets of the smallest SDU of several.
const SMALLEST_UNIT: usize = 64;

/// Source prefixes that fill the table at least: one prefix has this part of it.
const SOURCES_AT_LEAST: usize = 8;
/// Octets that one source prefix has in any case.
const SMALLEST_SHARE: usize = 128 * 1024;

/// Memory of a profile besides its headers in octets: the struct, its places in the tables, and
/// overhead of the allocator.
const FIXED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn said(headers: &[u8]) -> ProfileParts<'_> {
        ProfileParts {
            offer: &[],
            headers,
            encoding: None,
            agreed: Capabilities::default(),
        }
    }

    #[test]
    fn equal_clients_share_and_the_last_takes_it_along() {
        let mut profiles = Profiles::new(Random::new(1).hasher());
        let one = profiles.keep(&said(b"one"), 1, 1_000).unwrap();
        let same = profiles.keep(&said(b"one"), 1, 1_000).unwrap();
        assert!(Arc::ptr_eq(&one, &same));
        let agreed = Capabilities::default().with_client_sdu(7);
        let other = ProfileParts {
            agreed,
            ..said(b"one")
        };
        let other = profiles.keep(&other, 1, 1_000).unwrap();
        assert_ne!(one.serial, other.serial);
        profiles.release(&one);
        assert_eq!(profiles.kept.len(), 2);
        profiles.release(&same);
        profiles.release(&other);
        assert_eq!((profiles.kept.len(), profiles.octets), (0, 0));
        let again = profiles.keep(&said(b"one"), 1, 1_000).unwrap();
        assert!(again.serial > other.serial);
    }

    #[test]
    fn one_source_has_a_share_and_leaves_room_for_others() {
        let mut profiles = Profiles::new(Random::new(1).hasher());
        let max = 8 * SMALLEST_SHARE;
        let block = |number: u32| {
            let mut block = vec![b'x'; 16_000];
            block.extend(number.to_be_bytes());
            block
        };
        let mut keep = |number, source| {
            profiles
                .keep(&said(&block(number)), source, max)
                .map(|_| ())
        };
        for number in 0..8 {
            assert_eq!(keep(number, 1), Ok(()));
        }
        assert_eq!(keep(8, 1), Err(NoRoom::Share));
        assert_eq!(keep(7, 1), Ok(()), "a known one costs nothing");
        assert_eq!(keep(9, 2), Ok(()));
    }

    #[test]
    fn clients_that_are_all_different_are_bounded() {
        let mut profiles = Profiles::new(Random::new(1).hasher());
        let max = 10 * (FIXED + 4);
        for client in 0..10u32 {
            assert!(profiles.keep(&said(&client.to_be_bytes()), 1, max).is_ok());
        }
        assert!(profiles.keep(&said(b"more"), 1, max).is_err());
        assert!(profiles.keep(&said(&3u32.to_be_bytes()), 1, max).is_ok());
    }
}
