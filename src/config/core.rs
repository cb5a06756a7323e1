//! `[wtp]`, `[wsp]`, `[connectionless]`, `[headers]` and `[limits]`: the settings of the protocol
//! layers. The structs of the layers document them.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderName;
use toml::de::DeValue;

use super::section::Section;
use super::value::{Size, Value, Wrong, string, text, words};
use crate::gateway::{ContentLength, Cookies, HeaderRules, Limits, Redirect, Unassigned};
use crate::route::FieldNames;
use crate::wsp::{connectionless, session};
use crate::wtp;

/// `[wtp]`. A bearer's profile gives the defaults, single keys override it.
pub(super) fn read_wtp(section: &Section<'_, '_>) -> wtp::Config {
    let base = section.or("bearer", Bearer::Ip).profile();
    let pause = |key, base| section.within(key, SHORTEST_PAUSE..=LONGEST_PAUSE, base);
    wtp::Config {
        base_ack: pause("base_ack", base.base_ack),
        short_ack: pause("short_ack", base.short_ack),
        long_ack: pause("long_ack", base.long_ack),
        base_retry: pause("base_retry", base.base_retry),
        short_retry: pause("short_retry", base.short_retry),
        long_retry: pause("long_retry", base.long_retry),
        group_retry: pause("group_retry", base.group_retry),
        wait_timeout: pause("wait_timeout", base.wait_timeout),
        max_retransmissions: section.within(
            "max_retransmissions",
            0..=32,
            base.max_retransmissions,
        ),
        segment_size: section.within("segment_size", 64..=8_192, base.segment_size),
        send_group: section.within("send_group", 64..=1 << 20, base.send_group),
        unannounced_group: section.within(
            "unannounced_group",
            64..=1 << 20,
            base.unannounced_group,
        ),
        // Packets may live in the network for minutes; a TID that was dropped sooner would count as
        // new.
        tid_lifetime: section.within(
            "tid_lifetime",
            Duration::from_secs(30)..=Duration::from_secs(3600),
            base.tid_lifetime,
        ),
        verify_new_peers: section.or("verify_new_peers", base.verify_new_peers),
        ..base
    }
}

/// `[wsp]`.
pub(super) fn read_wsp(section: &Section<'_, '_>) -> session::Config {
    let base = session::Config::default();
    session::Config {
        max_methods: section.within("max_methods", 1..=255, base.max_methods),
        max_pushes: section.within("max_pushes", 1..=255, base.max_pushes),
        extended_methods: section
            .or("extended_methods", Vec::<String>::new())
            .into_iter()
            .map(Into::into)
            .collect(),
        early_wait: section.within(
            "early_wait",
            Duration::ZERO..=Duration::from_secs(10),
            base.early_wait,
        ),
        idle_timeout: section.within(
            "idle_timeout",
            Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600),
            base.idle_timeout,
        ),
        ..base
    }
}

/// `redirect` and `drain_redirect` of `[wsp]`, with `redirect_permanent` for the former.
pub(super) fn read_redirects(
    section: &Section<'_, '_>,
    own_port: u16,
) -> (Option<Redirect>, Option<Redirect>) {
    let permanent = section.or("redirect_permanent", false);
    let read = |key, permanent| {
        let to = section.list::<SocketAddr>(key)?;
        let at = to.span();
        Redirect::new(&to.into_inner(), own_port, permanent)
            .map_err(|error| {
                let help = "clients may only be sent to this service's port, or for this once to a dynamic one";
                section.invalid(key, at, Wrong::new(error.to_string(), help));
            })
            .ok()
    };
    (read("redirect", permanent), read("drain_redirect", false))
}

/// `[connectionless]`.
pub(super) fn read_connectionless(section: &Section<'_, '_>) -> connectionless::Config {
    let base = connectionless::Config::default();
    let Size(max_reply) =
        section.within("max_reply", Size(128)..=Size(65_000), Size(base.max_reply));
    connectionless::Config {
        rate: section.within("rate", 1..=1_000_000, base.rate),
        burst: section.within("burst", 1..=1_000_000, base.burst),
        max_addresses: section.within("max_addresses", 1..=100_000_000, base.max_addresses),
        max_reply,
        amplification: section.within("amplification", 1..=65_000, base.amplification),
        remember: section.or("remember", base.remember),
        max_remembered: section.within("max_remembered", 1..=10_000_000, base.max_remembered),
        ..base
    }
}

/// `[headers]`.
pub(super) fn read_headers(section: &Section<'_, '_>) -> HeaderRules {
    let names = |key, default: FieldNames| {
        let default = default.as_slice().iter().cloned();
        let names = section.or(key, default.map(FieldName).collect::<Vec<_>>());
        names.into_iter().map(|FieldName(name)| name).collect()
    };
    let base = HeaderRules::default();
    HeaderRules {
        drop_to_origin: names("drop_to_origin", base.drop_to_origin),
        drop_to_handset: names("drop_to_handset", base.drop_to_handset),
        content_length: section.or("content_length", base.content_length),
        cookies: section.or("cookies", Cookies::default()),
        unassigned: section.or("unassigned", Unassigned::default()),
    }
}

/// `[limits]`: the limits of all layers. They are for the whole process.
/// [`Config::share`](crate::gateway::Config::share) divides them among the shards once the number
/// of shards is known.
pub(super) fn read_limits(
    section: &Section<'_, '_>,
    wtp: wtp::Config,
    wsp: session::Config,
) -> (wtp::Config, session::Config, Limits) {
    let base = Limits::default();
    let Size(memory) = section.within("memory", Size(64 << 20)..=Size(1 << 40), Size(2 << 30));
    let planned = memory - (memory / 4).min(UNPLANNED);
    let count = |key, base| section.within(key, 1..=1_000_000_000, base);
    let Size(max_message) = section.within(
        "max_message",
        Size(SMALLEST_MESSAGE)..=Size(64 << 20),
        Size(wtp.max_message),
    );
    let Size(max_reassembly) = section.within(
        "max_reassembly",
        Size(max_message)..=Size(1 << 40),
        Size((planned / 32).max(max_message)),
    );
    let Size(max_octets) = section.within(
        "max_octets",
        Size(max_message)..=Size(1 << 40),
        Size((planned / 4).max(max_message)),
    );
    let max_transactions = count(
        "max_transactions",
        planned / 16 / wtp::OCTETS_PER_TRANSACTION,
    );
    let max_sessions = count("max_sessions", planned / 4 / session::OCTETS_PER_SESSION);
    let max_exchanges = count("max_exchanges", memory / OCTETS_PER_EXCHANGE);
    let max_connections = count("max_connections", planned / 8 / OCTETS_PER_CONNECTION);
    let max_sdu = u32::try_from(max_message).unwrap_or(u32::MAX);
    let wtp = wtp::Config {
        max_message,
        max_reassembly,
        max_transactions,
        max_transactions_per_peer: section.within(
            "max_transactions_per_peer",
            1..=10_000,
            wtp.max_transactions_per_peer,
        ),
        tid_cache_capacity: planned / 8 / wtp::OCTETS_PER_PEER,
        ..wtp
    };
    let wsp = session::Config {
        max_sessions,
        max_profiles: planned / 32,
        max_gathered: (planned / 64).max(max_message),
        max_early_octets: (planned / 256).max(max_message),
        max_server_sdu: max_sdu,
        max_client_sdu: max_sdu,
        ..wsp
    };
    let limits = Limits {
        max_exchanges,
        max_octets,
        max_connections,
        max_cookies: planned / 32,
        ..base
    };
    (wtp, wsp, limits)
}

/// `max_transactions_per_address` of `[protection]`.
pub(super) fn read_transactions_per_address(
    section: &Section<'_, '_>,
    base: wtp::Config,
) -> wtp::Config {
    wtp::Config {
        max_transactions_per_address: section.within(
            "max_transactions_per_address",
            1..=100_000_000,
            base.max_transactions_per_address,
        ),
        ..base
    }
}

/// `max_sessions_per_address` of `[protection]`.
pub(super) fn read_sessions_per_address(
    section: &Section<'_, '_>,
    base: session::Config,
) -> session::Config {
    session::Config {
        max_sessions_per_address: section.within(
            "max_sessions_per_address",
            1..=100_000_000,
            base.max_sessions_per_address,
        ),
        ..base
    }
}

/// A profile of timers.
#[derive(Clone, Copy, PartialEq)]
enum Bearer {
    Ip,
    CircuitSwitched,
    Ussd,
    Sms,
}

impl Bearer {
    fn profile(self) -> wtp::Config {
        match self {
            Self::Ip => wtp::Config::ip(),
            Self::CircuitSwitched => wtp::Config::circuit_switched(),
            Self::Ussd => wtp::Config::ussd(),
            Self::Sms => wtp::Config::sms(),
        }
    }
}

words!(
    Bearer,
    "\"ip\", \"circuit-switched\", \"ussd\" or \"sms\"",
    [
        ("ip", Self::Ip),
        ("circuit-switched", Self::CircuitSwitched),
        ("ussd", Self::Ussd),
        ("sms", Self::Sms),
    ]
);

/// The shortest timer of retransmissions: a timer of zero would send without end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The least `max_message`: every WSP client accepts 1400 octets (the default SDU size of WSP 8.3).
const SMALLEST_MESSAGE: usize = 1400;
/// Memory for the program, and for state without a limit of its own.
const UNPLANNED: usize = 64 << 20;
/// Memory for each connection to an origin, with the buffers of TLS.
const OCTETS_PER_CONNECTION: usize = 64 << 10;
/// Memory for each request that waits for an origin.
const OCTETS_PER_EXCHANGE: usize = 128 << 10;
/// The name of a header field.
struct FieldName(HeaderName);

impl Value for FieldName {
    const EXPECTED: &'static str = "the name of a header field";

    fn show(&self) -> toml::Value {
        string(self.0.as_str())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let name = text::<Self>(value)?;
        HeaderName::from_bytes(name.as_bytes())
            .map(Self)
            .map_err(|_| Wrong::new(format!("expected {}", Self::EXPECTED), ""))
    }
}

words!(
    Cookies,
    "\"pass\" or \"gateway\"",
    [("pass", Self::Pass), ("gateway", Self::Gateway)]
);

words!(
    ContentLength,
    "\"openwave\", \"always\" or \"never\"",
    [
        ("openwave", Self::Openwave),
        ("always", Self::Always),
        ("never", Self::Never)
    ]
);

words!(
    Unassigned,
    "\"skip\" or \"refuse\"",
    [("skip", Self::Skip), ("refuse", Self::Refuse)]
);
