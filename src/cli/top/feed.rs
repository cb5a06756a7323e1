//! Reads a gateway, `/status` and then `/metrics`, again and again.

use std::time::Duration;

use anyhow::{Context, bail};
use hyper::http::Method;

use super::exposition::Exposition;
use super::reading::Reading;
use super::snapshot::Snapshot;
use crate::cli::admin_client::AdminClient;
use crate::server::clock::Clock;

/// Reads a gateway again and again.
pub(super) struct Feed {
    admin: AdminClient,
    clock: Clock,
    last: Option<Reading>,
}

impl Feed {
    pub(super) fn new(admin: AdminClient) -> Self {
        Self {
            admin,
            clock: Clock::start(),
            last: None,
        }
    }

    /// The figures between the last reading that succeeded and now; without rates the first time.
    pub(super) async fn next(&mut self) -> anyhow::Result<Snapshot> {
        let asked = tokio::time::timeout(PATIENCE, self.whole()).await;
        let Ok(now) = asked else {
            bail!(
                "{}: no answer in {} s; is that the gateway's admin address, and is the gateway well?",
                self.admin.name(),
                PATIENCE.as_secs()
            );
        };
        let now = now?;
        let snapshot = Snapshot::between(self.last.as_ref(), &now);
        self.last = Some(now);
        Ok(snapshot)
    }

    /// A consistent reading, newer than the last one unless the shards hang.
    async fn whole(&self) -> anyhow::Result<Reading> {
        let mut tries = 0;
        loop {
            tries += 1;
            let now = self.read().await?;
            let is_newer = self.last.as_ref().is_none_or(|last| now.is_newer(last));
            if now.is_whole() && is_newer || tries == TRIES {
                return Ok(now);
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    async fn read(&self) -> anyhow::Result<Reading> {
        let status = self.admin.request_all(Method::GET, "/status", None).await?;
        let at = self.clock.now();
        let metrics = self
            .admin
            .request_all(Method::GET, "/metrics", None)
            .await?;
        Ok(Reading {
            at,
            unix: self.clock.wall() / 1_000_000,
            status: serde_json::from_slice(&status).with_context(|| {
                let gateway = self.admin.name();
                format!("{gateway}: its /status is not that of a wapbridge of this version")
            })?,
            metrics: Exposition::parse(&String::from_utf8_lossy(&metrics)),
        })
    }
}

/// The time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Shards count once a second, so after these two seconds they hang, and that is shown.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
