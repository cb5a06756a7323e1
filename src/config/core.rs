//! `[wtp]`, `[wsp]` and `[limits]`: the settings of the protocol layers, each documented where it is obeyed.

use super::section::Section;
use super::value::{Size, Value, Wrong, one_of};
use crate::gateway::Limits;
use crate::wsp::session;
use crate::wtp;
use toml::de::DeValue;

/// `[wtp]`. A bearer's profile gives the defaults, single keys override it.
pub(super) fn read_wtp(section: &Section<'_, '_>) -> wtp::Config {
    let Bearer(profile) = section.or("bearer", Bearer(wtp::Config::ip));
    let base = profile();
    wtp::Config {
        base_ack: section.or("base_ack", base.base_ack),
        short_ack: section.or("short_ack", base.short_ack),
        long_ack: section.or("long_ack", base.long_ack),
        base_retry: section.or("base_retry", base.base_retry),
        short_retry: section.or("short_retry", base.short_retry),
        long_retry: section.or("long_retry", base.long_retry),
        group_retry: section.or("group_retry", base.group_retry),
        wait_timeout: section.or("wait_timeout", base.wait_timeout),
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
        tid_lifetime: section.or("tid_lifetime", base.tid_lifetime),
        verify_new_peers: section.or("verify_new_peers", base.verify_new_peers),
        ..base
    }
}

/// `[wsp]`.
pub(super) fn read_wsp(section: &Section<'_, '_>) -> session::Config {
    let base = session::Config::default();
    session::Config {
        max_methods: section.within("max_methods", 1..=255, base.max_methods),
        idle_timeout: section.or("idle_timeout", base.idle_timeout),
        ..base
    }
}

/// `[limits]`: the bounds of all layers, in one place for operators.
pub(super) fn read_limits(
    section: &Section<'_, '_>,
    wtp: wtp::Config,
    wsp: session::Config,
) -> (wtp::Config, session::Config, Limits) {
    let base = Limits::default();
    let Size(max_message) = section.or("max_message", Size(wtp.max_message));
    let Size(max_reassembly) = section.or("max_reassembly", Size(wtp.max_reassembly));
    let max_sdu = u32::try_from(max_message).unwrap_or(u32::MAX);
    let wtp = wtp::Config {
        max_message,
        max_reassembly,
        max_transactions: section.within("max_transactions", 1..=100_000_000, wtp.max_transactions),
        max_transactions_per_peer: section.within(
            "max_transactions_per_peer",
            1..=10_000,
            wtp.max_transactions_per_peer,
        ),
        ..wtp
    };
    let wsp = session::Config {
        max_sessions: section.within("max_sessions", 1..=100_000_000, wsp.max_sessions),
        max_server_sdu: max_sdu,
        max_client_sdu: max_sdu,
        ..wsp
    };
    let limits = Limits {
        max_exchanges: section.within("max_exchanges", 1..=10_000_000, base.max_exchanges),
        ..base
    };
    (wtp, wsp, limits)
}

/// A profile of timers, by the bearer's name.
#[derive(Clone, Copy)]
struct Bearer(fn() -> wtp::Config);

impl Value for Bearer {
    const EXPECTED: &'static str = "\"ip\", \"circuit-switched\", \"ussd\" or \"sms\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[
                ("ip", Self(wtp::Config::ip)),
                ("circuit-switched", Self(wtp::Config::circuit_switched)),
                ("ussd", Self(wtp::Config::ussd)),
                ("sms", Self(wtp::Config::sms)),
            ],
        )
    }
}
