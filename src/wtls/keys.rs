//! The master secret and the key blocks that come from it (11.1, 11.2).

use zeroize::{Zeroize, Zeroizing};

use crate::wtls::cipher::{BLOCK, BlockCipher};
use crate::wtls::hash::{HmacKey, prf};
use crate::wtls::suite::CipherSuite;

/// The 20 octets that both ends share. `Debug` does not show them, and they are wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterSecret([u8; 20]);

impl MasterSecret {
    /// The master secret of a pre-master secret (11.1).
    pub(super) fn derive(
        suite: CipherSuite,
        pre_master: &[u8],
        client_random: &[u8; 16],
        server_random: &[u8; 16],
    ) -> Self {
        let mut octets = [0; 20];
        let seed: [&[u8]; 2] = [client_random, server_random];
        prf(
            suite.mac.hash,
            pre_master,
            "master secret",
            &seed,
            &mut octets,
        );
        Self(octets)
    }

    /// A secret from a key log or from another shard.
    #[must_use]
    pub const fn new(octets: [u8; 20]) -> Self {
        Self(octets)
    }

    /// Its octets.
    #[must_use]
    pub const fn reveal(&self) -> &[u8; 20] {
        &self.0
    }
}

impl Drop for MasterSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterSecret")
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The handset.
    Client,
    /// The gateway.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The parameters from which the keys of a connection are derived.
#[derive(Clone, Debug)]
pub struct Security {
    pub(super) suite: CipherSuite,
    pub(super) master: MasterSecret,
    pub(super) client_random: [u8; 16],
    pub(super) server_random: [u8; 16],
    /// Keys change at multiples of two to this power.
    pub(super) refresh: u8,
}

impl Security {
    /// The parameters of a connection whose handshake was observed.
    #[must_use]
    pub const fn new(
        suite: CipherSuite,
        master: MasterSecret,
        client_random: [u8; 16],
        server_random: [u8; 16],
        refresh: u8,
    ) -> Self {
        Self {
            suite,
            master,
            client_random,
            server_random,
            refresh,
        }
    }

    /// The sequence number at which the keys of a record were made (11.2).
    pub(super) const fn refresh_point(&self, sequence: u16) -> u16 {
        match self.refresh {
            0..=15 => sequence >> self.refresh << self.refresh,
            _ => 0,
        }
    }

    /// The `verify_data` of a Finished of `side` (10.5.9).
    pub(super) fn verify_data(&self, side: Side, handshake_hash: &[u8]) -> [u8; 12] {
        let label = match side {
            Side::Client => "client finished",
            Side::Server => "server finished",
        };
        let mut octets = [0; 12];
        let hash = self.suite.mac.hash;
        prf(
            hash,
            self.master.reveal(),
            label,
            &[handshake_hash],
            &mut octets,
        );
        octets
    }

    /// The keys of the records of `side` from a refresh point on.
    pub(super) fn key_block(&self, side: Side, point: u16) -> KeyBlock {
        let CipherSuite { bulk, mac } = self.suite;
        let [expansion, write_key, write_iv] = match side {
            Side::Client => ["client expansion", "client write key", "client write IV"],
            Side::Server => ["server expansion", "server write key", "server write IV"],
        };
        let sequence = point.to_be_bytes();
        // The server's random comes first here, and nowhere else.
        let seed: [&[u8]; 3] = [&sequence, &self.server_random, &self.client_random];
        let mut block = Zeroizing::new([0; LONGEST_BLOCK]);
        let len = mac.key + bulk.material + bulk.block;
        let (used, _) = block.split_at_mut(len);
        prf(mac.hash, self.master.reveal(), expansion, &seed, used);
        let (mac_secret, rest) = used.split_at(mac.key);
        let (material, iv) = rest.split_at(bulk.material);
        let mut key = KeyBlock {
            point,
            mac: HmacKey::new(mac.hash, mac_secret),
            cipher: BlockCipher::Null,
            iv: iv.try_into().unwrap_or_default(),
        };
        if bulk.exportable && bulk.block > 0 {
            let randoms: [&[u8]; 2] = [&self.client_random, &self.server_random];
            let mut expanded = Zeroizing::new([0; LONGEST_KEY]);
            let (expanded, _) = expanded.split_at_mut(bulk.expanded);
            prf(mac.hash, material, write_key, &randoms, expanded);
            key.cipher = BlockCipher::new(bulk, expanded);
            let seed: [&[u8]; 3] = [&sequence, &self.client_random, &self.server_random];
            prf(mac.hash, b"", write_iv, &seed, &mut key.iv);
        } else {
            key.cipher = BlockCipher::new(bulk, material);
        }
        key
    }
}

/// MAC secret of 20, key of 24, IV of 8.
const LONGEST_BLOCK: usize = 52;
const LONGEST_KEY: usize = 24;

/// The keys of one direction between two refresh points.
#[cfg_attr(test, derive(Clone))]
pub(super) struct KeyBlock {
    pub(super) point: u16,
    pub(super) mac: HmacKey,
    pub(super) cipher: BlockCipher,
    iv: [u8; BLOCK],
}

impl KeyBlock {
    /// The IV of a record (11.2).
    pub(super) fn record_iv(&self, sequence: u16) -> [u8; BLOCK] {
        let [high, low] = sequence.to_be_bytes();
        let mut iv = self.iv;
        for pair in iv.as_chunks_mut::<2>().0 {
            *pair = [pair[0] ^ high, pair[1] ^ low];
        }
        iv
    }
}

/// The keys of one direction: the two blocks used last, for records from before a refresh point come late.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Keys {
    blocks: [Option<KeyBlock>; 2],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// The keys of a record of `side`.
    pub(super) fn of(&mut self, security: &Security, side: Side, sequence: u16) -> &KeyBlock {
        let point = security.refresh_point(sequence);
        let [first, second] = &mut self.blocks;
        let is_it = |block: &Option<KeyBlock>| block.as_ref().is_some_and(|b| b.point == point);
        if !is_it(first) {
            std::mem::swap(first, second);
        }
        if !is_it(first) {
            *first = None;
        }
        first.get_or_insert_with(|| security.key_block(side, point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refresh_point_of_record_19_is_16_when_keys_change_every_8() {
        let suite = CipherSuite::of(3, 3).unwrap();
        let security =
            |refresh| Security::new(suite, MasterSecret::new([0; 20]), [1; 16], [2; 16], refresh);
        assert_eq!(security(3).refresh_point(19), 16);
        assert_eq!(security(0).refresh_point(19), 19);
        assert_eq!(security(200).refresh_point(65_535), 0);
    }

    #[test]
    fn keys_change_at_every_refresh_point_and_nowhere_else() {
        let suite = CipherSuite::of(3, 3).unwrap();
        for refresh in 0..8 {
            let master = MasterSecret::new([5; 20]);
            let security = Security::new(suite, master, [1; 16], [2; 16], refresh);
            let mut keys = Keys::default();
            let mut seen = Vec::new();
            for number in 0..300_u16 {
                let block = keys.of(&security, Side::Client, number);
                assert_eq!(block.point, number >> refresh << refresh);
                let mac = block.mac.mac(&[b"x"]);
                if seen.last() != Some(&mac) {
                    assert_eq!(number % (1 << refresh), 0);
                    assert!(!seen.contains(&mac));
                    seen.push(mac);
                }
            }
            assert_eq!(seen.len(), 300_usize.div_ceil(1 << refresh));
            // A record from before the last refresh point, and one from long before.
            for late in [298, 0] {
                let again = keys.of(&security, Side::Client, late).mac.mac(&[b"x"]);
                let point = usize::from(security.refresh_point(late)) >> refresh;
                assert_eq!(again, seen[point]);
            }
            // Numbers give IVs of their own between two points.
            let block = keys.of(&security, Side::Client, 0);
            assert_ne!(block.record_iv(0), block.record_iv(1));
        }
    }

    #[test]
    fn a_new_handshake_of_a_session_has_other_keys() {
        let suite = CipherSuite::of(3, 3).unwrap();
        let key = |client: u8, server: u8, side| {
            let master = MasterSecret::new([5; 20]);
            let security = Security::new(suite, master, [client; 16], [server; 16], 3);
            let block = security.key_block(side, 0);
            (block.mac.mac(&[b"x"]), block.record_iv(0))
        };
        let all = [
            key(1, 2, Side::Client),
            key(1, 2, Side::Server),
            key(1, 3, Side::Client),
            key(3, 2, Side::Client),
            key(2, 1, Side::Client),
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert!(one.0 != other.0 && one.1 != other.1);
            }
        }
    }
}
