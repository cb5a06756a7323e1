//! The core and real handsets in the simulator: scenarios and random walks, each decided by a seed.
//!
//! `cargo test` walks 1,000 seeds. `WAPBRIDGE_SEEDS=100000 cargo test --release --test sim` walks more, and
//! `WAPBRIDGE_FIRST_SEED` says where to begin, to repeat one that failed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod forgery;
mod plain;
mod plain_only;
mod protection;
mod rig;
mod rig_words;
#[cfg(feature = "wtls")]
mod secured;

use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway;
use wapbridge::handset;
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::wsp::capability::Capabilities;
use wapbridge::wtp;

/// A gateway that forwards `http://sync.example/` and nothing else.
pub(crate) fn gateway_config() -> gateway::Config {
    let mut config = gateway::Config::new(Arc::new(Routes::new(vec![
        RouteSettings::from_prefix("http://sync.example/", "https://origin.example/").unwrap(),
    ])));
    config.wsp.serves_pushes = true;
    config
}

/// A handset that asks for large SDUs, as every SyncML phone does.
pub(crate) fn phone_config() -> handset::Config {
    handset::Config {
        wtp: wtp::Config::default(),
        capabilities: Some(
            Capabilities::default()
                .with_client_sdu(0)
                .with_server_sdu(0),
        ),
        headers: vec![
            ("Accept".into(), "application/vnd.syncml+wbxml".into()),
            ("User-Agent".into(), "Simulated/1.0".into()),
        ],
        ..handset::Config::default()
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn content_type() -> Vec<(String, String)> {
    vec![("Content-Type".into(), "application/vnd.syncml+wbxml".into())]
}

/// The seeds of a walk: `default` of them, or as many as the environment says, divided by `share`.
pub(crate) fn seeds(default: u64, share: u64) -> std::ops::Range<u64> {
    let variable = |name, default| {
        let value = std::env::var(name).ok();
        value.and_then(|it| it.parse().ok()).unwrap_or(default)
    };
    let first = variable("WAPBRIDGE_FIRST_SEED", 1);
    first..first + variable("WAPBRIDGE_SEEDS", default) / share
}
