//! What the gateway itself can be told: its bounds, where it sends clients, what it does to headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::gateway::protection;
use crate::route::Routes;
use crate::wsp::pdu::{self, BearerAddress};
use crate::wsp::{connectionless, session};
use crate::wtp;

/// What the core is built with. Replaced whole on reload; what is under way keeps what it began with, and what was
/// agreed stays agreed.
///
/// To a [`Gateway`](super::Gateway) they are its own bounds; those that operators set for all shards together are cut to
/// its [`share`](Self::share) first.
#[derive(Clone, Debug)]
pub struct Config {
    /// The transaction layer.
    pub wtp: wtp::Config,
    /// The session layer.
    pub wsp: session::Config,
    /// Connectionless mode.
    pub connectionless: connectionless::Config,
    /// Bounds of the gateway itself.
    pub limits: Limits,
    /// Who may send, and how much.
    pub protection: protection::Config,
    /// What it does to headers.
    pub headers: HeaderRules,
    /// Where clients that connect are sent instead. Default: nowhere.
    pub redirect: Option<Redirect>,
    /// The same while the gateway is draining or isolated; without it they are refused with 503. Default: nowhere.
    pub drain_redirect: Option<Redirect>,
    /// Where requests may go.
    pub routes: Arc<Routes>,
}

impl Config {
    /// The defaults of every layer, and these routes.
    #[must_use]
    pub fn new(routes: Arc<Routes>) -> Self {
        Self {
            wtp: wtp::Config::default(),
            wsp: session::Config::default(),
            connectionless: connectionless::Config::default(),
            limits: Limits::default(),
            protection: protection::Config::default(),
            headers: HeaderRules::default(),
            redirect: None,
            drain_redirect: None,
            routes,
        }
    }

    /// What each of so many shards gets when these are for all of them together: its part of what all may hold and of
    /// the rate of all, but never too little for one message. What is of one address, peer or subscriber is not divided.
    #[must_use]
    pub fn share(&self, shards: usize) -> Self {
        let part = |whole: usize| (whole / shards.max(1)).max(1);
        let max_message = self.wtp.max_message;
        Self {
            wtp: wtp::Config {
                max_reassembly: part(self.wtp.max_reassembly).max(max_message),
                max_transactions: part(self.wtp.max_transactions),
                tid_cache_capacity: part(self.wtp.tid_cache_capacity),
                ..self.wtp.clone()
            },
            wsp: session::Config {
                max_sessions: part(self.wsp.max_sessions),
                max_profiles: part(self.wsp.max_profiles).max(SMALLEST_PROFILES),
                ..self.wsp.clone()
            },
            limits: Limits {
                max_exchanges: part(self.limits.max_exchanges),
                max_octets: part(self.limits.max_octets).max(max_message),
                ..self.limits
            },
            protection: protection::Config {
                all: self.protection.all.map(|all| all.share(shards)),
                ..self.protection.clone()
            },
            ..self.clone()
        }
    }
}

/// Bounds of the gateway itself; each layer below has its own.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Upstream requests in flight at once per shard. Beyond it a handset is answered 503. Default: 4 096.
    pub max_exchanges: usize,
    /// Octets of request and reply bodies held at once per shard for exchanges that are not over. Beyond it
    /// a handset is answered 503. Default: 512 MiB.
    pub max_octets: usize,
    /// The core's own deadline comes this much after the upstream client's, so that its more precise word
    /// is heard first. Default: 500 ms.
    pub deadline_grace: Duration,
    /// Octets of cookies kept for handsets that cannot keep them, per shard. Beyond it new ones are not kept.
    /// Default: 32 MiB.
    pub max_cookies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_exchanges: 4_096,
            max_octets: 512 << 20,
            deadline_grace: Duration::from_millis(500),
            max_cookies: 32 << 20,
        }
    }
}

/// What the gateway does to headers besides what every hop has to.
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    /// Fields that do not go to origins.
    pub drop_to_origin: Vec<HeaderName>,
    /// Fields that do not go to handsets: some choke on some.
    pub drop_to_handset: Vec<HeaderName>,
    /// Who keeps cookies. Default: handsets.
    pub cookies: Cookies,
    /// What becomes of a request with a field number or token nobody assigned. Default: the field is left out.
    pub unassigned: Unassigned,
}

/// Who keeps cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cookies {
    /// Handsets: Set-Cookie and Cookie pass untouched.
    #[default]
    Pass,
    /// The gateway, for as long as a session lasts; handsets see no Set-Cookie. A handset that sends a Cookie
    /// of its own is left alone.
    Gateway,
}

/// What becomes of a request with a number that nobody assigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unassigned {
    /// The field is left out. Handsets have odd ones, and the request is worth more than the field.
    #[default]
    Skip,
    /// It is answered with 400 and our Encoding-Version, as WSP 8.4.2.70 has it.
    Refuse,
}

/// Other addresses for clients that connect, as a Redirect PDU holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// [`pdu::Redirect::PERMANENT`] or none.
    pub flags: u8,
    /// Records of [`BearerAddress`].
    pub addresses: Vec<u8>,
}

impl Redirect {
    /// To these servers, on the port `own` or another.
    ///
    /// # Errors
    ///
    /// A permanent redirect to another port: a client may only remember well-known ones (WSP 8.2.2.3). Another
    /// port below 49152, where clients may not be sent.
    pub fn new(to: &[SocketAddr], own: u16, permanent: bool) -> Result<Self, RedirectError> {
        let mut addresses = Vec::new();
        for to in to {
            let other = to.port() != own;
            if other && permanent {
                return Err(RedirectError::Permanent(*to));
            }
            if other && to.port() < FIRST_DYNAMIC_PORT {
                return Err(RedirectError::Port(*to));
            }
            let octets = match to.ip() {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            BearerAddress {
                bearer: None,
                port: other.then(|| to.port()),
                address: &octets,
            }
            .encode(&mut addresses);
        }
        Ok(Self {
            flags: if permanent {
                pdu::Redirect::PERMANENT
            } else {
                0
            },
            addresses,
        })
    }
}

/// Why clients cannot be sent somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// To another port for good.
    #[error("{0}: a permanent redirect keeps the port")]
    Permanent(SocketAddr),
    /// To a port that is some other service's.
    #[error("{0}: another port must be one from 49152 to 65535")]
    Port(SocketAddr),
}

/// Every shard has room for what some dozens of models say of themselves.
const SMALLEST_PROFILES: usize = 1 << 20;
/// The first port of those that nobody is assigned.
const FIRST_DYNAMIC_PORT: u16 = 49_152;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::protection::Rate;

    #[test]
    fn each_shard_has_its_share_of_what_is_for_all() {
        let mut whole = Config::new(Arc::default());
        whole.wtp.max_transactions = 800;
        whole.wtp.max_reassembly = whole.wtp.max_message * 2;
        whole.wsp.max_sessions = 80;
        whole.wsp.max_profiles = 2 << 20;
        whole.limits.max_exchanges = 3;
        whole.limits.max_octets = 800 << 20;
        whole.protection.all = Some(Rate {
            per_second: 20_000,
            burst: 40_000,
        });
        let one = whole.share(8);
        assert_eq!((one.wtp.max_transactions, one.wsp.max_sessions), (100, 10));
        assert_eq!(one.limits.max_octets, 100 << 20);
        let rate = Rate {
            per_second: 2_500,
            burst: 5_000,
        };
        assert_eq!(one.protection.all, Some(rate));
        // Never too little to do anything with.
        assert_eq!(one.limits.max_exchanges, 1);
        assert_eq!(one.wtp.max_reassembly, whole.wtp.max_message);
        assert_eq!(one.wsp.max_profiles, 1 << 20);
        // What one address may is not divided.
        assert_eq!(one.protection.requests, whole.protection.requests);
        assert_eq!(
            one.wsp.max_sessions_per_address,
            whole.wsp.max_sessions_per_address
        );
    }

    #[test]
    fn a_redirect_names_the_port_only_where_it_differs() {
        let to = [
            "192.0.2.9:9201".parse().unwrap(),
            "[2001:db8::9]:50000".parse().unwrap(),
        ];
        let redirect = Redirect::new(&to, 9201, false).unwrap();
        assert_eq!(redirect.flags, 0);
        assert_eq!(redirect.addresses[..8], [4, 192, 0, 2, 9, 0x50, 0xC3, 0x50]);
        assert_eq!(redirect.addresses.len(), 5 + 3 + 16);
        assert_eq!(Redirect::new(&to[..1], 9201, true).unwrap().flags, 0x80);
        assert!(Redirect::new(&to, 9201, true).is_err());
        assert!(Redirect::new(&["192.0.2.9:9300".parse().unwrap()], 9201, false).is_err());
    }
}
