//! The parts of a gateway, except its supervisor: started in this order, stopped in the reverse.
//!
//! A new part gets a field, a line in `start`, one in `stop`, and one in `reload` if the
//! configuration can change it while it runs.

use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tracing::info;

use crate::admin::Admin;
use crate::cli;
use crate::cli::log::LogOutputs;
use crate::cli::serve::systemd;
use crate::config::Settings;
use crate::record::Sinks;
use crate::record::charging::CdrWriter;
use crate::record::spans::SpanExporter;
use crate::server::{
    self, Config, Control, HealthChecks, Inherited, MeasurementHandle, PushParts, Pushes,
    RemainingSessions, Secure, Server, Shards, Shutdown, SmsBearer, Subscribers, TcpLimits,
    TcpPort, start_http, start_obex,
};
use crate::smsc::Centres;
use crate::store::{Store, StoreHandle};
use crate::wdp::Service;
use crate::wsp::log_id::LogIds;

/// The running parts, in the order they were started.
pub(super) struct Components {
    cdr_writer: Option<CdrWriter>,
    spans: Option<SpanExporter>,
    log: LogOutputs,
    admin: Admin,
    listening: JoinSet<()>,
    store: Option<Store>,
    server: Server,
    health_checks: HealthChecks,
    http: Option<TcpPort>,
    obex: Option<TcpPort>,
    subscribers: Subscribers,
    sms: Option<SmsBearer>,
    pushes: Option<Pushes>,
    watchdog: JoinHandle<()>,
}

impl Components {
    /// Starts all parts. After a failure the started parts are stopped again.
    pub(super) async fn start(
        settings: &Settings,
        inherited: Inherited,
        control: &Control,
        log: LogOutputs,
    ) -> anyhow::Result<Self> {
        let admin = Admin::new(settings, control.clone(), cli::log_filter::level())
            .context("the thread of the metrics")?;
        let listening = start_admin(settings, &admin).await?;
        let cdr_writer = start_cdr_writer(settings)?;
        let spans = start_spans(settings, &admin)?;
        let sinks = Sinks {
            access: log.access(),
            charging: cdr_writer.as_ref().map(CdrWriter::handle),
            spans: spans.as_ref().map(SpanExporter::sink),
        };
        let records = sinks.clone();
        let cdr_handle = sinks.charging.clone();
        let store = settings.store.as_ref().map(Store::open).transpose()?;
        let writer = store.as_ref().map(Store::handle);
        let kept = writer.clone();
        let names = match &store {
            Some(store) => store.names(),
            None => LogIds::new(&server::clock::key()?),
        };
        let measurements = admin.measurements();
        let server = start_server(
            settings,
            inherited,
            writer.clone(),
            sinks,
            measurements,
            names,
        )
        .await?;
        let directory = server.directory();
        admin.collectors().register(move |snapshot| {
            snapshot.directory = directory.as_ref().map(|shown| *shown.borrow());
            snapshot.store = writer.as_ref().map(StoreHandle::stats);
        });
        let hosts = server.hosts().clone();
        admin.collectors().register(move |snapshot| {
            (snapshot.hosts, snapshot.groups) = (hosts.status(), hosts.groups());
        });
        let health_checks = HealthChecks::start(
            &settings.tls,
            &settings.routes,
            server.hosts().clone(),
            control.subscribe(),
            server::clock::seed()?,
        );
        let shards = server.shards().clone();
        admin.started(shards.clone());
        let subscribers = start_subscribers(settings, &shards, &admin, kept.clone()).await?;
        let lines = log.clone();
        admin
            .collectors()
            .register(move |snapshot| snapshot.log_lines_lost = lines.lost());
        if let Some(cdr_handle) = cdr_handle {
            let collectors = admin.collectors();
            collectors.register(move |snapshot| snapshot.records = Some(cdr_handle.counts()));
        }
        let addresses = server.addresses().to_vec();
        let sms = start_sms(settings, &admin)?;
        let parts = PushParts {
            shards: shards.clone(),
            addresses,
            numbers: subscribers.numbers(),
            store: kept,
            tls: settings.tls.clone(),
            sms: sms.as_ref().map(SmsBearer::messages),
            records,
        };
        let pushes = start_pushes(settings, &admin, parts).await?;
        // Every shard has the configured subscribers.
        shards.start_reading().await;
        let http = listen_http(settings, &admin, shards.clone())?;
        let obex = listen_obex(settings, &admin, shards.clone())?;
        let watchdog = tokio::spawn(systemd::feed_watchdog(shards));
        Ok(Self {
            cdr_writer,
            spans,
            log,
            admin,
            listening,
            store,
            server,
            health_checks,
            http,
            obex,
            subscribers,
            sms,
            pushes,
            watchdog,
        })
    }

    /// Stops everything, at once.
    pub(super) async fn stop(self) {
        self.watchdog.abort();
        drop(self.health_checks);
        // Responses under way are written first.
        drop((self.http, self.obex));
        let sms = async {
            if let Some(sms) = self.sms {
                sms.stop().await;
            }
        };
        // The pushes begin nothing more, and wait for the last outcomes of short messages.
        match self.pushes {
            Some(pushes) => pushes.stop(sms).await,
            None => sms.await,
        }
        self.subscribers.stop().await;
        self.server.stop();
        // After the shards, which have handed over the last of it.
        drop(self.cdr_writer);
        if let Some(spans) = self.spans {
            spans.stop();
        }
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
        if let (Some(store), Some(limits)) = (&self.store, &settings.store) {
            store.reload(limits);
        }
        if let (Some(pushes), Some(settings_of_push)) = (&self.pushes, &settings.push) {
            pushes.reload(settings_of_push, &settings.tls).await;
        }
        self.shards()
            .reload(&settings.core(), settings.tls.clone())
            .await;
        self.health_checks.reload(&settings.tls, &settings.routes);
        #[cfg(feature = "wtls")]
        self.shards().reload_secure(&settings.wtls).await;
    }

    /// How to drain on command.
    pub(super) fn shutdown(&self, settings: &Settings) -> Shutdown {
        Shutdown::Drain {
            sessions: self.remaining(settings),
        }
    }

    /// How to drain when about to stop.
    pub(super) fn final_shutdown(&self, settings: &Settings) -> Shutdown {
        let sessions = match self.store {
            // The next process on the same sockets gets all sessions from the store.
            Some(_) if self.server.sockets_outlive_us() => RemainingSessions::Keep,
            _ => self.remaining(settings),
        };
        match self.server.sockets_outlive_us() {
            true => Shutdown::HandOver { sessions },
            false => Shutdown::Drain { sessions },
        }
    }

    /// The sessions' fate after the end of the process: with a store they wait for the next start,
    /// unless their handsets are redirected.
    fn remaining(&self, settings: &Settings) -> RemainingSessions {
        let redirect = settings.drain_redirect.is_some();
        if self.store.is_some() && !redirect {
            return RemainingSessions::Keep;
        }
        RemainingSessions::Disconnect { redirect }
    }

    /// Reopens log files after log rotation has moved the old ones.
    pub(super) fn reopen_logs(&self) {
        self.log.reopen();
    }

    /// The way to the shards.
    pub(super) const fn shards(&self) -> &Shards {
        self.server.shards()
    }
}

async fn start_subscribers(
    settings: &Settings,
    shards: &Shards,
    admin: &Admin,
    store: Option<StoreHandle>,
) -> anyhow::Result<Subscribers> {
    let subscribers = Subscribers::start(&settings.identity, shards.clone(), store).await?;
    for address in subscribers.addresses() {
        info!(%address, "listening for RADIUS accounting");
    }
    let known = subscribers.published();
    admin
        .collectors()
        .register(move |snapshot| snapshot.known = *known.borrow());
    Ok(subscribers)
}

/// The HTTP port for handsets, with and without TLS, if there is an address for it.
fn listen_http(
    settings: &Settings,
    admin: &Admin,
    shards: Shards,
) -> anyhow::Result<Option<TcpPort>> {
    let (plain, secured) = (&settings.listen.http, &settings.listen.https);
    if plain.is_empty() && secured.is_empty() {
        return Ok(None);
    }
    let limits = http_limits(settings);
    let port = start_http(plain, secured, &settings.http, limits, shards)?;
    for (key, address) in port.addresses() {
        info!(%address, "listening for {}", key.to_uppercase());
    }
    let counts = port.counts();
    admin
        .collectors()
        .register(move |snapshot| snapshot.http = Some(counts()));
    Ok(Some(port))
}

/// The OBEX port, if there is an address for it.
fn listen_obex(
    settings: &Settings,
    admin: &Admin,
    shards: Shards,
) -> anyhow::Result<Option<TcpPort>> {
    if settings.listen.obex.is_empty() {
        return Ok(None);
    }
    let addresses = &settings.listen.obex;
    let port = start_obex(addresses, &settings.http, http_limits(settings), shards)?;
    for (_, address) in port.addresses() {
        info!(%address, "listening for OBEX");
    }
    let counts = port.counts();
    admin
        .collectors()
        .register(move |snapshot| snapshot.obex = Some(counts()));
    Ok(Some(port))
}

/// The limits of requests over HTTP and OBEX.
fn http_limits(settings: &Settings) -> TcpLimits {
    let core = settings.core();
    TcpLimits {
        max_body: core.wtp.max_message,
        max_arriving: core.limits.max_octets / 8,
    }
}

/// Connects to the SMS centres, if there are any and pushes to send.
fn start_sms(settings: &Settings, admin: &Admin) -> anyhow::Result<Option<SmsBearer>> {
    if settings.smsc.is_empty() || settings.push.is_none() {
        return Ok(None);
    }
    let tls = Arc::new(settings.tls.client_config());
    let [a, b, c, d, ..] = server::clock::key()?;
    let seed = u32::from_be_bytes([a, b, c, d]);
    let bearer = SmsBearer::start(Centres::start(settings.smsc.clone(), &tls, seed));
    let centres = bearer.centres().clone();
    admin
        .collectors()
        .register(move |snapshot| snapshot.smsc = centres.status());
    Ok(Some(bearer))
}

/// Starts the Push Proxy Gateway, if the configuration has initiators.
async fn start_pushes(
    settings: &Settings,
    admin: &Admin,
    parts: PushParts,
) -> anyhow::Result<Option<Pushes>> {
    let Some(settings) = &settings.push else {
        return Ok(None);
    };
    let pushes = Pushes::start(settings, parts).await?;
    for address in pushes.addresses() {
        info!(%address, "listening for push initiators");
    }
    let handle = pushes.handle();
    admin.set_pushes(handle.clone());
    admin
        .collectors()
        .register(move |snapshot| snapshot.pushes = Some(handle.counts()));
    Ok(Some(pushes))
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
    if let Some(address) = settings.admin.probes {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("[admin] probes: cannot listen on {address}"))?;
        info!(address = %listener.local_addr()?, "admin: listening for probes");
        listening.spawn(admin.clone().serve_probes(listener, std::future::pending()));
    }
    Ok(listening)
}

/// The writer of charging records, if they are enabled.
fn start_cdr_writer(settings: &Settings) -> anyhow::Result<Option<CdrWriter>> {
    let Some(records) = settings.records.clone() else {
        return Ok(None);
    };
    let path = records.path.display().to_string();
    let run = server::clock::seed()?;
    let wall = || server::clock::Clock::start().wall();
    let cdr_writer = CdrWriter::start(records, run, wall)
        .with_context(|| format!("[records]: cannot write charging records to {path}"))?;
    Ok(Some(cdr_writer))
}

/// The configuration refuses the settings of an export.
#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
const fn start_spans(_: &Settings, _: &Admin) -> anyhow::Result<Option<SpanExporter>> {
    Ok(None)
}

/// The export of spans, if there is a collector.
#[cfg(feature = "otlp")]
fn start_spans(settings: &Settings, admin: &Admin) -> anyhow::Result<Option<SpanExporter>> {
    let tls = settings.tls.client_config();
    let export = &settings.tracing.export;
    let spans = SpanExporter::start(export, tls, server::clock::seed()?)
        .context("[tracing]: spans cannot be exported")?;
    if let Some(spans) = &spans {
        let sink = spans.sink();
        admin
            .collectors()
            .register(move |snapshot| snapshot.spans = Some(sink.counts()));
        info!("spans go to a collector");
    }
    Ok(spans)
}

async fn start_server(
    settings: &Settings,
    inherited: Inherited,
    store: Option<StoreHandle>,
    records: Sinks,
    measurements: MeasurementHandle,
    names: LogIds,
) -> anyhow::Result<Server> {
    let given = !inherited.is_empty();
    let config = Config {
        connection_mode: settings.listen.connection_mode.clone(),
        connectionless: settings.listen.connectionless.clone(),
        secure: Secure {
            connection_mode: settings.listen.secure_connection_mode.clone(),
            connectionless: settings.listen.secure_connectionless.clone(),
            #[cfg(feature = "wtls")]
            settings: Arc::clone(&settings.wtls),
        },
        http_connections: settings.listen.tcp_services() * settings.http.max_connections,
        shards: settings.listen.shards,
        gateway: Arc::new(settings.core()),
        tls: settings.tls.clone(),
        store,
        records,
        measurements: Some(measurements),
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
            Service::SecureConnectionMode => {
                info!(%address, "listening for WSP over WTP over WTLS");
            }
            Service::SecureConnectionless => {
                info!(%address, "listening for connectionless WSP over WTLS");
            }
        }
    }
    if !server.shards().running().await {
        bail!("a shard stopped before it began");
    }
    Ok(server)
}
