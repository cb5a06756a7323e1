//! What a gateway consists of, besides the one who looks after it: started in this order, stopped in the reverse.
//!
//! A new part gets a field, a line in `start`, one in `stop`, and one in `reload` if the configuration can change it
//! while it runs.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tracing::info;

use crate::admin::Admin;
use crate::cli;
use crate::cli::log::Places;
use crate::cli::serve::manager;
use crate::config::Settings;
use crate::record::Sinks;
use crate::record::charging::Clerk;
use crate::server::{
    self, Config, Control, Departure, Inherited, Remaining, Server, Shards, Subscribers,
};
use crate::store::{Embedded, Writer};
use crate::wdp::Service;
use crate::wsp::pseudonym::Pseudonyms;

/// The running parts, in the order they were started.
pub(super) struct Parts {
    clerk: Option<Clerk>,
    log: Places,
    admin: Admin,
    listening: JoinSet<()>,
    store: Option<Embedded>,
    server: Server,
    subscribers: Subscribers,
    watchdog: JoinHandle<()>,
}

impl Parts {
    /// Starts everything. What had been started is stopped again if the rest cannot be.
    pub(super) async fn start(
        settings: &Settings,
        inherited: Inherited,
        control: &Control,
        log: Places,
    ) -> anyhow::Result<Self> {
        let admin = Admin::new(settings, control.clone(), cli::filter::level());
        let listening = start_admin(settings, &admin).await?;
        let clerk = start_clerk(settings)?;
        let sinks = Sinks {
            access: log.access(),
            charging: clerk.as_ref().map(Clerk::desk),
        };
        let desk = sinks.charging.clone();
        let store = settings.store.as_ref().map(Embedded::open).transpose()?;
        let writer = store.as_ref().map(Embedded::writer);
        let kept = writer.clone();
        let names = match &store {
            Some(store) => store.names(),
            None => Pseudonyms::new(&server::clock::key()?),
        };
        let server = start_server(settings, inherited, writer.clone(), sinks, names).await?;
        let directory = server.directory();
        admin.figures().feed(move |snapshot| {
            snapshot.directory = directory.as_ref().map(|shown| *shown.borrow());
            snapshot.store = writer.as_ref().map(Writer::stats);
        });
        let shards = server.shards().clone();
        admin.started(shards.clone());
        let subscribers = start_subscribers(settings, &shards, &admin, kept).await?;
        let lines = log.clone();
        admin
            .figures()
            .feed(move |snapshot| snapshot.log_lines_lost = lines.lost());
        if let Some(desk) = desk {
            let figures = admin.figures();
            figures.feed(move |snapshot| snapshot.records = Some(desk.counts()));
        }
        // Now that it is known who is who.
        shards.hear().await;
        let watchdog = tokio::spawn(manager::feed_watchdog(shards));
        Ok(Self {
            clerk,
            log,
            admin,
            listening,
            store,
            server,
            subscribers,
            watchdog,
        })
    }

    /// Stops everything, at once.
    pub(super) async fn stop(self) {
        self.watchdog.abort();
        self.subscribers.stop().await;
        self.server.stop();
        // After the shards, which have handed over the last of it.
        drop(self.clerk);
        if let Some(store) = self.store {
            store.close();
        }
        let mut listening = self.listening;
        listening.shutdown().await;
    }

    /// Gives new settings to the parts that can change while they run.
    pub(super) async fn reload(&self, settings: &Settings) {
        self.admin.reload(settings);
        self.subscribers.reload(&settings.identity).await;
        self.shards()
            .reload(&settings.core(), settings.tls.clone())
            .await;
    }

    /// How to drain when told to.
    pub(super) fn departure(&self, settings: &Settings) -> Departure {
        Departure::Draining {
            sessions: self.remaining(settings),
        }
    }

    /// How to drain when about to stop.
    pub(super) fn last_departure(&self, settings: &Settings) -> Departure {
        let sessions = match self.store {
            // Who comes after us on the same sockets has them all.
            Some(_) if self.server.sockets_outlive_us() => Remaining::Kept,
            _ => self.remaining(settings),
        };
        match self.server.sockets_outlive_us() {
            true => Departure::HandingOver { sessions },
            false => Departure::Draining { sessions },
        }
    }

    /// What becomes of sessions when we are gone: with a store they wait for the next start, unless their
    /// handsets are to go elsewhere.
    fn remaining(&self, settings: &Settings) -> Remaining {
        let sent_elsewhere = settings.drain_redirect.is_some();
        if self.store.is_some() && !sent_elsewhere {
            return Remaining::Kept;
        }
        Remaining::Ended { sent_elsewhere }
    }

    /// Opens log files anew, after somebody has moved them away.
    pub(super) fn reopen_logs(&self) {
        self.log.reopen();
    }

    /// The way to the shards.
    pub(super) const fn shards(&self) -> &Shards {
        self.server.shards()
    }
}

/// The changed sections that a running gateway cannot change.
pub(super) fn needing_a_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let changed = |old: &dyn Debug, new: &dyn Debug| format!("{old:?}") != format!("{new:?}");
    [
        ("[listen]", changed(&old.listen, &new.listen)),
        (
            "[admin] listen",
            changed(&old.admin.listen, &new.admin.listen),
        ),
        ("[log]", changed(&old.log, &new.log)),
        ("[records]", changed(&old.records, &new.records)),
        ("[store]", changed(&old.store, &new.store)),
        (
            "[identity.radius] listen",
            changed(&accounting(old), &accounting(new)),
        ),
    ]
    .into_iter()
    .filter_map(|(section, changed)| changed.then_some(section))
    .collect()
}

/// Where accounting is listened to.
fn accounting(settings: &Settings) -> Option<&[SocketAddr]> {
    let radius = settings.identity.radius.as_ref()?;
    Some(&radius.listen)
}

async fn start_subscribers(
    settings: &Settings,
    shards: &Shards,
    admin: &Admin,
    store: Option<Writer>,
) -> anyhow::Result<Subscribers> {
    let subscribers = Subscribers::start(&settings.identity, shards.clone(), store).await?;
    for address in subscribers.addresses() {
        info!(%address, "listening for RADIUS accounting");
    }
    let known = subscribers.published();
    admin
        .figures()
        .feed(move |snapshot| snapshot.known = *known.borrow());
    Ok(subscribers)
}

async fn start_admin(settings: &Settings, admin: &Admin) -> anyhow::Result<JoinSet<()>> {
    let mut listening = JoinSet::new();
    for address in &settings.admin.listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("[admin]: cannot listen on {address}"))?;
        info!(address = %listener.local_addr()?, "admin: listening");
        listening.spawn(admin.clone().serve(listener, std::future::pending()));
    }
    Ok(listening)
}

/// The one who writes charging records, if they are kept.
fn start_clerk(settings: &Settings) -> anyhow::Result<Option<Clerk>> {
    let Some(records) = settings.records.clone() else {
        return Ok(None);
    };
    let path = records.path.display().to_string();
    let run = server::clock::seed()?;
    let wall = || server::clock::Clock::start().wall();
    let clerk = Clerk::start(records, run, wall)
        .with_context(|| format!("[records]: cannot write charging records to {path}"))?;
    Ok(Some(clerk))
}

async fn start_server(
    settings: &Settings,
    inherited: Inherited,
    store: Option<Writer>,
    records: Sinks,
    names: Pseudonyms,
) -> anyhow::Result<Server> {
    let given = !inherited.is_empty();
    let config = Config {
        connection_mode: settings.listen.connection_mode.clone(),
        connectionless: settings.listen.connectionless.clone(),
        shards: settings.listen.shards,
        gateway: Arc::new(settings.core()),
        tls: settings.tls.clone(),
        store,
        records,
        names,
    };
    let server = Server::start_on(inherited, config)?;
    if given {
        info!(
            shards = server.shards().count(),
            "on the service manager's sockets"
        );
    }
    for (service, address) in server.addresses() {
        match service {
            Service::ConnectionMode => info!(%address, "listening for WSP over WTP"),
            Service::Connectionless => info!(%address, "listening for connectionless WSP"),
        }
    }
    if !server.shards().run().await {
        bail!("a shard stopped before it began");
    }
    Ok(server)
}
