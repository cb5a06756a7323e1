//! Settings of the gateway: limits, redirects of clients, header rules.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::protection;
use crate::gateway::push::UserAgentRule;
use crate::route::{FieldNames, Routes};
use crate::trace_context::SampleRatio;
use crate::wdp::is_private;
use crate::wsp::pdu::{self, BearerAddress};
use crate::wsp::{connectionless, session};
use crate::wtp;

/// Settings of the core. A reload replaces them as a whole. Exchanges under way keep their
/// settings, and negotiated values stay.
///
/// The limits are those of one [`Gateway`](super::Gateway). The operator's limits, for all shards
/// together, are divided by [`share`](Self::share) first.
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
    /// Limits per address and subscriber.
    pub protection: protection::Config,
    /// Header rules.
    pub headers: HeaderRules,
    /// Fields of pushes that clients of some models do not get. Default: none.
    pub push_rules: Arc<[UserAgentRule]>,
    /// Where clients that connect are sent instead. Default: nowhere.
    pub redirect: Option<Redirect>,
    /// The same while the gateway is draining or isolated; without it they are refused with 503.
    /// Default: nowhere.
    pub drain_redirect: Option<Redirect>,
    /// The part of the traces that is sampled. A trusted proxy decides for the traces it began.
    /// Default: all.
    pub sampling: SampleRatio,
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
            push_rules: Arc::default(),
            redirect: None,
            drain_redirect: None,
            sampling: SampleRatio::ALL,
            routes,
        }
    }

    /// Whether the operator vouches for the addresses of this network: `allow` of `[protection]`
    /// names it, or, without `allow`, it is for private use, so that no reply leaves the network of
    /// a forger.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let allow = &self.protection.allow;
        match allow.is_empty() {
            true => is_private(address),
            false => allow.contains(address),
        }
    }

    /// The settings of the transaction layer. Where the operator has named the handsets' networks,
    /// no address has to prove that it receives.
    pub(super) fn transactions(&self) -> wtp::Config {
        wtp::Config {
            validate_addresses: self.protection.allow.is_empty(),
            ..self.wtp.clone()
        }
    }

    /// The settings of one shard out of several: its part of the limits and of the rate of all, but
    /// never too little for one message. Limits of one address, peer or subscriber are not divided.
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
                max_gathered: part(self.wsp.max_gathered).max(max_message),
                max_early_octets: part(self.wsp.max_early_octets).max(max_message),
                ..self.wsp.clone()
            },
            limits: Limits {
                max_exchanges: part(self.limits.max_exchanges),
                max_octets: part(self.limits.max_octets).max(max_message),
                max_connections: part(self.limits.max_connections),
                max_cookies: part(self.limits.max_cookies),
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
    /// Upstream requests in flight at once per shard. Beyond it a handset is answered 503. Default:
    /// 4 096.
    pub max_exchanges: usize,
    /// Octets of request and reply bodies held at once per shard for exchanges that are not over,
    /// arriving replies included. Beyond it a handset is answered 503, or 502 once the origin has
    /// its request. Default: 512 MiB.
    pub max_octets: usize,
    /// Connections to origins per shard, open or being opened; the shell keeps this limit. Beyond
    /// it a handset is answered 503. Default: 4 096.
    pub max_connections: usize,
    /// The core's own deadline comes this much after the deadline of the upstream client, whose
    /// error is more precise. Default: 500 ms.
    pub deadline_grace: Duration,
    /// Octets of cookies kept for handsets that cannot keep them, per shard. Beyond it new ones are
    /// not kept. Default: 32 MiB.
    pub max_cookies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_exchanges: 4_096,
            max_octets: 512 << 20,
            max_connections: 4_096,
            deadline_grace: Duration::from_millis(500),
            max_cookies: 32 << 20,
        }
    }
}

/// Header rules besides those that HTTP requires of every hop.
#[derive(Clone, Debug)]
pub struct HeaderRules {
    /// Fields that are removed from requests. A `*` stands for any run of characters. Default: no
    /// field.
    pub drop_to_origin: FieldNames,
    /// Fields that do not go to handsets, which have no use for them and little room. A `*` stands
    /// for any run of characters. Default: [`BROWSER_HEADERS`].
    pub drop_to_handset: FieldNames,
    /// Replies that get a Content-Length. Default: those to Openwave browsers.
    pub content_length: ContentLength,
    /// The keeper of cookies. Default: handsets.
    pub cookies: Cookies,
    /// The treatment of a request with an unassigned field number or token. Default: it is refused.
    pub unassigned: Unassigned,
}

impl Default for HeaderRules {
    fn default() -> Self {
        Self {
            drop_to_origin: FieldNames::default(),
            drop_to_handset: BROWSER_HEADERS.into(),
            content_length: ContentLength::default(),
            cookies: Cookies::default(),
            unassigned: Unassigned::default(),
        }
    }
}

/// Replies with a Content-Length. The WSP PDU has the length already, so the field repeats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentLength {
    /// Replies to browsers of Openwave (UP.Browser), which reject a page without it.
    #[default]
    Openwave,
    /// All replies.
    Always,
    /// Only replies to HEAD.
    Never,
}

/// The keeper of cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cookies {
    /// Handsets: Set-Cookie and Cookie pass untouched.
    #[default]
    Pass,
    /// The gateway, for as long as a session lasts; handsets see no Set-Cookie. A handset that
    /// sends a Cookie of its own is left alone.
    Gateway,
}

/// The treatment of a request with an unassigned number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unassigned {
    /// The field is left out: for handsets that send odd ones.
    Skip,
    /// It is answered with 400 and our Encoding-Version (WSP 8.4.2.70).
    #[default]
    Refuse,
}

/// Other addresses for clients that connect, as a Redirect PDU holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// [`pdu::Redirect::PERMANENT`] or 0.
    pub flags: u8,
    /// Records of [`BearerAddress`].
    pub addresses: Vec<u8>,
}

impl Redirect {
    /// To these servers, on the port `own` or another.
    ///
    /// # Errors
    ///
    /// A permanent redirect to another port: a client may only remember well-known ones (WSP
    /// 8.2.2.3). Another port below 49152, where clients may not be sent.
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
    /// A permanent redirect to another port.
    #[error("{0}: a permanent redirect keeps the port")]
    Permanent(SocketAddr),
    /// To a port that is some other service's.
    #[error("{0}: another port must be one from 49152 to 65535")]
    Port(SocketAddr),
}

/// Fields of replies that only browsers of the Web understand, in lower case.
pub const BROWSER_HEADERS: &[&str] = &[
    "accept-ch*",
    "access-control-*",
    "alt-svc",
    "alt-used",
    "cf-*",
    "clear-site-data",
    "content-dpr",
    "content-security-policy*",
    "critical-ch",
    "cross-origin-*",
    "document-policy*",
    "early-data",
    "expect-ct",
    "feature-policy",
    "integrity-policy*",
    "link",
    "nel",
    "no-vary-search",
    "observe-browsing-topics",
    "origin-agent-cluster",
    "origin-trial",
    "permissions-policy*",
    "priority",
    "public-key-pins*",
    "referrer-policy",
    "report-to",
    "reporting-endpoints",
    "sec-*",
    "server-timing",
    "service-worker-*",
    "sourcemap",
    "speculation-rules",
    "strict-transport-security",
    "supports-loading-mode",
    "timing-allow-origin",
    "x-amz-*",
    "x-cache*",
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-download-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "x-powered-by",
    "x-request-id",
    "x-robots-tag",
    "x-served-by",
    "x-sourcemap",
    "x-ua-compatible",
    "x-xss-protection",
];

/// Room of a shard for the headers of some dozens of models.
const SMALLEST_PROFILES: usize = 1 << 20;
/// The first dynamic port.
const FIRST_DYNAMIC_PORT: u16 = 49_152;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::protection::Rate;

    #[test]
    fn each_shard_has_its_share_of_common_limits() {
        let mut whole = Config::new(Arc::default());
        whole.wtp.max_transactions = 800;
        whole.wtp.max_reassembly = whole.wtp.max_message * 2;
        whole.wsp.max_sessions = 80;
        whole.wsp.max_profiles = 2 << 20;
        whole.wsp.max_gathered = 3;
        whole.wsp.max_early_octets = 3;
        whole.limits.max_connections = 800;
        whole.limits.max_cookies = 8_000;
        whole.limits.max_exchanges = 3;
        whole.limits.max_octets = 800 << 20;
        whole.protection.all = Some(Rate {
            per_second: 20_000,
            burst: 40_000,
        });
        let one = whole.share(8);
        assert_eq!((one.wtp.max_transactions, one.wsp.max_sessions), (100, 10));
        assert_eq!(one.limits.max_octets, 100 << 20);
        assert_eq!(
            (one.limits.max_connections, one.limits.max_cookies),
            (100, 1_000)
        );
        let rate = Rate {
            per_second: 2_500,
            burst: 5_000,
        };
        assert_eq!(one.protection.all, Some(rate));
        // Never too little to do anything with.
        assert_eq!(one.limits.max_exchanges, 1);
        assert_eq!(one.wtp.max_reassembly, whole.wtp.max_message);
        assert_eq!(one.wsp.max_profiles, 1 << 20);
        assert_eq!(one.wsp.max_gathered, whole.wtp.max_message);
        assert_eq!(one.wsp.max_early_octets, whole.wtp.max_message);
        // Limits of one address are not divided.
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
