//! The settings of an endpoint: key exchanges, suites and limits.

use std::sync::Arc;
use std::time::Duration;

use crate::limit::Rate;
use crate::wtls::certificate::Stored;
use crate::wtls::rsa::PrivateKey;
use crate::wtls::suite::{Bulk, CipherSuite, KeyExchange, Mac};

/// The settings of an [`Endpoint`](crate::wtls::Endpoint).
#[derive(Clone, Debug)]
pub struct Config {
    /// The RSA key and its certificates. Without a key the key exchanges of RSA are refused.
    pub credentials: Option<Arc<Credentials>>,
    /// Key exchanges that are accepted.
    pub key_exchanges: Vec<KeyExchange>,
    /// Bulk ciphers with MACs that are accepted.
    pub suites: Vec<CipherSuite>,
    /// Keys change at least every two to this power records. A client may ask for more frequent
    /// changes. Default: 7.
    pub key_refresh: u8,
    /// The authorities of clients. If there are any, every client needs a certificate of one of
    /// them.
    pub client_authorities: Arc<[Stored]>,
    /// Handshakes under way, in all; a quarter more if they are under the cipher spec of a
    /// connection. Default: 10,000.
    pub max_handshakes: usize,
    /// Handshakes under way of one address (one /64 of IPv6), at each shard; a quarter more if they
    /// are under the cipher spec of a connection. Default: 64.
    pub max_handshakes_per_address: u32,
    /// Connections. A new one takes the place of the one that was used least recently. Default:
    /// 1,000,000.
    pub max_connections: usize,
    /// Sessions that can be resumed. Default: 100,000.
    pub max_sessions: usize,
    /// How long a session can be resumed. The client of a connection that is older is asked for a
    /// new handshake. Default: 12 h.
    pub session_lifetime: Duration,
    /// Octets of a session's id, at most 8. With none, sessions cannot be resumed. Default: 8.
    pub session_id_octets: usize,
    /// How long a handshake may take. Default: 60 s.
    pub handshake_timeout: Duration,
    /// How long a connection may be unused. Default: 24 h.
    pub idle_timeout: Duration,
    /// Key pairs made, and flights of clients worked on: an operation with the private key or a key
    /// agreement, with the check of the client's certificates. A full handshake with RSA takes one,
    /// one with ECDH or DH two, and every flight that turns out to be wrong takes one more. One
    /// address (one /64 of IPv6) gets at most a quarter. Handshakes under the cipher spec of a
    /// connection may take a quarter more at once. Default: 200 a second, 400 at once.
    pub key_operations: Rate,
    /// Octets sent to an address for each octet from there, before the address is proved. Both
    /// count the headers of IP and UDP. A private address gets 256 KiB more, again after each
    /// handshake that is completed there. Default: 3.
    pub amplification: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            credentials: None,
            key_exchanges: default_key_exchanges(),
            suites: default_suites(DEFAULT_SECURITY),
            key_refresh: 7,
            client_authorities: Arc::new([]),
            max_handshakes: 10_000,
            max_handshakes_per_address: 64,
            max_connections: 1_000_000,
            max_sessions: 100_000,
            session_lifetime: Duration::from_secs(12 * 3600),
            session_id_octets: 8,
            handshake_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(24 * 3600),
            key_operations: Rate {
                per_second: 200,
                burst: 400,
            },
            amplification: 3,
        }
    }
}

/// The default security of a cipher in bits.
pub const DEFAULT_SECURITY: u16 = 56;

/// All suites with encryption of at least so many bits and a MAC of at least 40 bits.
#[must_use]
pub fn default_suites(security: u16) -> Vec<CipherSuite> {
    let macs = [3, 2, 7, 6, 1, 5];
    let bulks = [3, 9, 6, 10, 11, 2, 8, 5, 1, 7, 4];
    bulks
        .into_iter()
        .flat_map(|bulk| macs.map(|mac| (bulk, mac)))
        .filter_map(|(bulk, mac)| CipherSuite::of(bulk, mac))
        .filter(|suite| suite.security() >= security)
        .collect()
}

/// The key exchanges of full strength: those for the limits of an export law are left out.
#[must_use]
pub fn default_key_exchanges() -> Vec<KeyExchange> {
    vec![
        KeyExchange::RSA,
        KeyExchange::ECDH_ANON,
        KeyExchange::ECDH_ANON_UNCOMP,
        KeyExchange::RSA_ANON,
    ]
}

/// The gateway's key and certificates.
#[derive(Debug)]
pub struct Credentials {
    pub(super) key: PrivateKey,
    /// The certificates that are sent, the key's own first. A root is never sent.
    pub(super) chain: Vec<Stored>,
    /// The certificate of the authority that signed the last of the chain, if the file has that
    /// certificate.
    pub(super) authority: Option<Stored>,
}

/// Why a key and certificates do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first certificate is not of this key")]
pub struct Mismatch;

impl Credentials {
    /// A key, and its certificates, the key's own first. Without certificates only anonymous exchanges are possible.
    ///
    /// # Errors
    /// When the first certificate is not of this key.
    pub fn new(key: PrivateKey, mut chain: Vec<Stored>) -> Result<Self, Mismatch> {
        if chain
            .first()
            .is_some_and(|first| !first.has_key(key.public()))
        {
            return Err(Mismatch);
        }
        let authority = match chain.last() {
            Some(last) if chain.len() > 1 && last.is_root() => chain.pop(),
            _ => None,
        };
        Ok(Self {
            key,
            chain,
            authority,
        })
    }
}

impl Config {
    /// The part of the limits that each of so many shards gets. Sessions are known to all of them.
    #[must_use]
    pub fn share(&self, shards: usize) -> Self {
        let shards = shards.max(1);
        Self {
            max_handshakes: self.max_handshakes.div_ceil(shards),
            max_connections: self.max_connections.div_ceil(shards),
            key_operations: self.key_operations.share(shards),
            ..self.clone()
        }
    }

    /// The part of the key operations that one address gets: a quarter, and enough for one
    /// handshake.
    pub(super) fn key_operations_of_source(&self) -> Rate {
        let share = self.key_operations.share(4);
        Rate {
            burst: share.burst.max(2),
            ..share
        }
    }

    /// Whether a suite is accepted.
    pub(super) fn accepts(&self, bulk: u8, mac: u8) -> Option<CipherSuite> {
        let suite = CipherSuite {
            bulk: Bulk::of(bulk)?,
            mac: Mac::of(mac)?,
        };
        self.suites.contains(&suite).then_some(suite)
    }
}
