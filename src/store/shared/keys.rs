//! The names of keys. `PREFIX:SCHEMA:KIND:{TAG}` is the form of each: the prefix separates
//! gateways, the schema releases that cannot read each other's values, and the tag in braces gives
//! the slot of a cluster. All keys of one operation have one tag.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::store::change::Table;
use crate::wdp::Peer;

/// Builds the names of keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Prefix and schema.
    base: String,
    node: String,
}

/// The keys of one entry of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntryKeys {
    /// The set of the names of the bucket's entries.
    pub(super) index: String,
    /// The entry itself.
    pub(super) entry: Vec<u8>,
}

impl Keys {
    pub(super) fn new(prefix: &str, node: &str) -> Self {
        Self {
            base: format!("{prefix}:{SCHEMA}"),
            node: node.to_owned(),
        }
    }

    /// A session.
    pub(super) fn session(&self, id: u32) -> String {
        format!("{}:s:{{{id:08x}}}", self.base)
    }

    /// The session of a peer.
    pub(super) fn peer(&self, peer: Peer) -> String {
        self.peer_of_text(&peer_text(peer))
    }

    /// The same of a peer as the value of a field.
    pub(super) fn peer_of_text(&self, peer: &str) -> String {
        format!("{}:p:{{{peer}}}", self.base)
    }

    /// The secret of session ids and log ids, which all nodes share.
    pub(super) fn secret(&self) -> String {
        format!("{}:secret", self.base)
    }

    /// The lease of this node's name.
    pub(super) fn lease(&self) -> String {
        format!("{}:n:{{{}}}", self.base, self.node)
    }

    /// The number of processes that had this node's name.
    pub(super) fn node_epoch(&self) -> String {
        format!("{}:e:{{{}}}", self.base, self.node)
    }

    /// The beginning of the channels of owners.
    pub(super) fn channels(&self) -> String {
        format!("{}:c:", self.base)
    }

    /// An entry of a table. Each node has its own tables.
    pub(super) fn entry(&self, table: Table, key: &[u8]) -> EntryKeys {
        let bucket = bucket_of(key);
        let mut entry = self.of_bucket('t', table, bucket).into_bytes();
        entry.push(b':');
        entry.extend_from_slice(key);
        EntryKeys {
            index: self.index(table, bucket),
            entry,
        }
    }

    /// The names of the entries of a bucket.
    pub(super) fn index(&self, table: Table, bucket: u64) -> String {
        self.of_bucket('i', table, bucket)
    }

    fn of_bucket(&self, kind: char, table: Table, bucket: u64) -> String {
        format!(
            "{}:{kind}:{{{}/{}/{bucket}}}",
            self.base, self.node, table.0
        )
    }
}

/// A peer as the value of a field. The gateway's own address is left out, and its port is not:
/// behind a balancer each node has another address.
pub(super) fn peer_text(peer: Peer) -> String {
    format!("{}>{}", peer.remote, peer.local.port())
}

/// The bucket of an entry: the same in all versions.
fn bucket_of(key: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(key);
    hasher.finish() % BUCKETS
}

/// The version of keys and values. Releases with different numbers do not see each other's state.
const SCHEMA: u32 = 1;
/// The number of indexes of a table, so that no single key gets too large.
pub(super) const BUCKETS: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').unwrap();
        rest.split_once('}').unwrap().0
    }

    #[test]
    fn keys_have_prefix_schema_and_one_tag_per_operation() {
        let keys = Keys::new("gw", "a");
        assert_eq!(keys.session(0x2A), "gw:1:s:{0000002a}");
        let peer = |port: u16, local: &str| {
            let local: std::net::SocketAddr = local.parse().unwrap();
            Peer::new(([192, 0, 2, 7], port).into(), local)
        };
        let here = peer(4_000, "198.51.100.1:9201");
        assert_eq!(keys.peer(here), "gw:1:p:{192.0.2.7:4000>9201}");
        let there = peer(4_000, "198.51.100.2:9201");
        assert_eq!(keys.peer(here), keys.peer(there), "at another node");
        for other in [
            peer(4_001, "198.51.100.1:9201"),
            peer(4_000, "198.51.100.1:9203"),
        ] {
            assert_ne!(keys.peer(here), keys.peer(other));
        }
        assert_eq!(tag(&keys.lease()), tag(&keys.node_epoch()));
        assert_ne!(keys.lease(), keys.node_epoch());
        let EntryKeys { index, entry } = keys.entry(Table("pushes"), b"\xff}{");
        let entry = String::from_utf8_lossy(&entry).into_owned();
        assert_eq!(tag(&entry), tag(&index));
        let other = Keys::new("gw", "b").entry(Table("pushes"), b"\xff}{");
        assert_ne!(other.index, index, "each node has its own tables");
    }

    #[test]
    fn a_bucket_is_the_same_in_all_versions() {
        assert_eq!(
            [bucket_of(b""), bucket_of(b"7"), bucket_of(b"push")],
            BUCKETS_OF_THREE
        );
        let used: std::collections::HashSet<_> =
            (0..200u32).map(|n| bucket_of(&n.to_be_bytes())).collect();
        assert_eq!(used.len() as u64, BUCKETS);
    }

    /// Written down, not computed.
    const BUCKETS_OF_THREE: [u64; 3] = [12, 2, 8];
}
