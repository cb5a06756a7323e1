//! `wapbridge demo`: the whole chain on one machine, over a bad network, with every octet checked.

mod origin;
mod sessions;
mod stay;

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::cli::client::{Client, ClientError};
use crate::cli::demo::origin::{Authority, MessageLog};
use crate::cli::demo::sessions::Exchange;
use crate::cli::relay::{self, RelayStats};
use crate::gateway;
use crate::handset;
use crate::record::Sinks;
use crate::route::{RouteSettings, Routes};
use crate::server::clock::Clock;
use crate::server::{self, Server};
use crate::sim::Network;
use crate::upstream::{Tls, TlsSettings};
use crate::wsp::capability::Capabilities;
use crate::wsp::log_id::LogIds;
use crate::wtp;

/// See it work: handsets, a bad network, the gateway and an HTTPS origin, all on this machine
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Demo {
    /// Seed of losses and delays; a run with the same seed loses nearly the same datagrams.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Percentage of datagrams lost, in each direction. Above 10 both sides retransmit more often
    /// than the specification's limits, under which some handsets would give up.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=40))]
    loss: u8,
    /// Handsets that sync at the same time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    handsets: u16,
    /// Keep a gateway, an origin and handsets running until Ctrl-C, and print commands to try on
    /// them.
    #[arg(long, conflicts_with = "broken")]
    stay: bool,
    /// Break the gateway on purpose, to show that the checks notice.
    #[arg(long = "break", value_name = "WHAT", hide = true)]
    broken: Option<Break>,
}

/// Faults for --break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Break {
    /// The gateway forgets which Invokes it has seen.
    Duplicate,
}

impl Demo {
    /// Runs the demo. A failed check is an error.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.stay {
            return stay::run(self.handsets, self.loss, self.seed);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime
            .block_on(async { tokio::time::timeout(WHOLE, self.play()).await })
            .context("the demo took too long")?
    }

    async fn play(self) -> anyhow::Result<()> {
        let phones = sessions::of_handsets(self.handsets);
        let expected = sessions::messages(&phones);
        let messages = expected.len();
        let timers = timers(self.loss);

        println!(
            "1. An HTTPS origin that knows {messages} recorded SyncML messages by heart, and a certificate authority of its own."
        );
        let authority = Authority::generate()?;
        let origin_log = Arc::new(MessageLog::new(expected, THINK));
        let origin = origin::start(&authority, Arc::clone(&origin_log)).await?;
        println!(
            "2. The gateway, on loopback UDP, trusting that authority and nobody else's word."
        );
        let server = start_gateway(&authority, origin, timers.clone(), self.broken)?;
        let gateway = server
            .addresses()
            .first()
            .context("the gateway listens nowhere")?
            .1;
        // Duplicates must happen at every seed.
        let doubled: u8 = if self.broken.is_some() { 90 } else { 10 };
        println!(
            "3. A relay between them and the handsets that loses {} %, doubles {doubled} % and reorders 10 % of all datagrams.",
            self.loss
        );
        let counts = Arc::new(RelayStats::default());
        let relay = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let client = relay.local_addr()?;
        let network = impairment(self.loss, doubled);
        tokio::spawn(relay::run(
            relay,
            gateway,
            network,
            self.seed,
            Arc::clone(&counts),
        ));
        println!(
            "4. {} handsets, each syncing a whole session. Timers run {} times as fast as the specification's; \
             what is lost is sent again up to {} times.\n",
            phones.len(),
            speed(self.loss),
            timers.max_retransmissions
        );

        let clock = Clock::start();
        let done = Arc::new(AtomicUsize::new(0));
        let mut running = JoinSet::new();
        for (phone, session) in phones.iter().enumerate() {
            let handset = handset_config(timers.clone());
            running.spawn(sync(
                phone,
                session.clone(),
                client,
                handset,
                Arc::clone(&done),
            ));
        }
        let mut reports = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let mut progress = Progress::new(messages);
        while !running.is_empty() {
            tokio::select! {
                Some(report) = running.join_next() => reports.push(report?),
                _ = tick.tick() => progress.show(done.load(Ordering::Relaxed), &clock),
            }
        }
        progress.show(done.load(Ordering::Relaxed), &clock);
        progress.finish();

        // The last acknowledgements are under way; the gateway repeats PDUs without one.
        server.shards().drain(Duration::from_secs(5)).await;
        let (stats, _) = server::total(&server.shards().published());
        tokio::task::spawn_blocking(move || server.stop()).await?;
        let seen = origin_log.seen();
        let checks = CheckReport::new(&reports, &seen, messages);
        println!("{}", checks.table(&reports, &stats, &counts));
        for fault in &checks.faults {
            println!("✗ {fault}");
        }
        if checks.faults.is_empty() {
            println!(
                "✓ {messages} messages: each reached the origin exactly once and to the octet, and so did each answer."
            );
            Ok(())
        } else {
            match checks.faults.len() {
                1 => bail!("one thing did not hold"),
                faults => bail!("{faults} things did not hold"),
            }
        }
    }
}

/// A network that loses, doubles and reorders datagrams, in percent.
fn impairment(loss: u8, doubled: u8) -> Network {
    Network::perfect()
        .loss(f64::from(loss) / 100.0)
        .duplication(f64::from(doubled) / 100.0)
        .reordering(0.1)
        .delay(Duration::from_millis(10))
        .jitter(Duration::from_millis(20))
}

/// Figures of one handset.
#[derive(Debug, Default)]
struct PhoneReport {
    latencies: Vec<Duration>,
    faults: Vec<String>,
    resent: u64,
    repeats: u64,
}

/// One handset: connects, posts its session message by message, checks every answer.
async fn sync(
    phone: usize,
    session: Vec<Exchange>,
    gateway: SocketAddr,
    config: handset::Config,
    done: Arc<AtomicUsize>,
) -> PhoneReport {
    let mut report = PhoneReport::default();
    let sends = u16::from(config.wtp.max_retransmissions) + 1;
    if let Err(error) = converse(phone, &session, gateway, config, &done, &mut report).await {
        let gave_up = match error.downcast_ref::<ClientError>() {
            Some(ClientError::Silence(_) | ClientError::NoAnswer(_)) => {
                Some(format!("gave up after sending {sends} times"))
            }
            _ => None,
        };
        let why = gave_up.unwrap_or_else(|| error.to_string());
        report.faults.push(format!("handset {phone}: {why}"));
    }
    report
}

async fn converse(
    phone: usize,
    session: &[Exchange],
    gateway: SocketAddr,
    config: handset::Config,
    done: &AtomicUsize,
    report: &mut PhoneReport,
) -> anyhow::Result<()> {
    let clock = Clock::start();
    let mut client = Client::open(gateway, config).await?;
    client.connect(PATIENCE).await?;
    for exchange in session {
        let began = clock.now();
        let reply = exchange.send(&mut client, phone, PATIENCE).await?;
        report.latencies.push(clock.now() - began);
        let uri = exchange.uri(phone);
        if reply.status != 200 {
            report.faults.push(format!(
                "handset {phone}: {uri} was answered {}",
                reply.status
            ));
        } else if reply.body != exchange.answer {
            report.faults.push(format!(
                "handset {phone}: {uri}: the answer is not the recorded one"
            ));
        } else if reply.content_type != exchange.media_type {
            report.faults.push(format!(
                "handset {phone}: {uri}: the answer is {}",
                reply.content_type
            ));
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    client.linger(LINGER).await?;
    client.disconnect().await?;
    report.resent = client.stats().retransmissions;
    report.repeats = client.stats().duplicates;
    Ok(())
}

/// A handset that accepts and sends messages of any size.
fn handset_config(timers: wtp::Config) -> handset::Config {
    let mut capabilities = Capabilities::default();
    // So that a message taken for a second one is sent on and not refused.
    capabilities.method_mor = 4;
    handset::Config {
        wtp: timers,
        capabilities: Some(capabilities.with_client_sdu(0).with_server_sdu(0)),
        headers: vec![(
            "Accept".into(),
            "application/vnd.syncml+wbxml, application/vnd.syncml+xml".into(),
        )],
        ..handset::Config::default()
    }
}

fn start_gateway(
    authority: &Authority,
    origin: SocketAddr,
    timers: wtp::Config,
    broken: Option<Break>,
) -> anyhow::Result<Server> {
    let directory = tempfile::tempdir()?;
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, &authority.pem)?;
    let tls = Tls::load(&TlsSettings {
        ca_files: vec![ca_file],
    })?;
    let upstream = format!("https://localhost:{}/", origin.port());
    let route = RouteSettings::from_prefix("http://sync.example.com/", &upstream)?;
    let loopback: [crate::route::Network; 1] = ["127.0.0.0/8".parse()?];
    let config = gateway::Config {
        wtp: wtp::Config {
            duplicate_recognition: broken != Some(Break::Duplicate),
            ..timers
        },
        // A trusted network, as operators configure it: else large results have few repeats until
        // an address has proved itself, too few for the worst networks of the demo.
        protection: gateway::protection::Config {
            allow: Arc::new(loopback.into_iter().collect()),
            ..gateway::protection::Config::default()
        },
        ..gateway::Config::new(Arc::new(Routes::new(vec![route])))
    };
    Ok(Server::start(server::Config {
        http_connections: 0,
        connection_mode: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        connectionless: Vec::new(),
        shards: 1,
        gateway: Arc::new(config),
        tls,
        store: None,
        records: Sinks::default(),
        measurements: None,
        secure: server::Secure::default(),
        names: LogIds::new(&server::clock::key()?),
    })?)
}

/// The specification's timers for IP, run faster, so that lost datagrams cost a demo no minutes.
fn timers(loss: u8) -> wtp::Config {
    let ip = wtp::Config::ip();
    let speed = speed(loss);
    wtp::Config {
        base_ack: ip.base_ack / speed,
        short_ack: ip.short_ack / speed,
        long_ack: ip.long_ack / speed,
        base_retry: ip.base_retry / speed,
        short_retry: ip.short_retry / speed,
        long_retry: ip.long_retry / speed,
        group_retry: ip.group_retry / speed,
        // A message without further packets is dropped after this time, which must outlast a run of
        // losses.
        wait_timeout: ip.wait_timeout / 10,
        round_trip_per_kbyte: ip.round_trip_per_kbyte / speed,
        min_group_retry: ip.min_group_retry / speed,
        nack_delay: ip.nack_delay / speed,
        max_retransmissions: if loss > MODEST_LOSS {
            PERSISTENT
        } else {
            ip.max_retransmissions
        },
        ..ip
    }
}

/// The factor by which the demo's timers are faster than the specification's.
const fn speed(loss: u8) -> u32 {
    if loss > MODEST_LOSS { 25 } else { 10 }
}

/// The handsets' progress: one line that changes on a terminal, a line for each change elsewhere.
struct Progress {
    messages: usize,
    terminal: bool,
    shown: Option<usize>,
}

impl Progress {
    fn new(messages: usize) -> Self {
        Self {
            messages,
            terminal: std::io::stdout().is_terminal(),
            shown: None,
        }
    }

    fn show(&mut self, done: usize, clock: &Clock) {
        let seconds = (clock.now() - crate::time::Instant::ZERO).as_secs_f64();
        let line = format!(
            "   {done} of {} messages synced, {seconds:.1} s",
            self.messages
        );
        let everybody = done == self.messages;
        if self.terminal {
            let rest = if everybody {
                "; waiting for stragglers on the air"
            } else {
                ""
            };
            print!("\r{line}{rest} ");
            // A progress that cannot be shown is no reason to stop.
            let _ = std::io::stdout().flush();
        } else if self.shown != Some(done) {
            println!("{line}");
        }
        self.shown = Some(done);
    }

    fn finish(&self) {
        println!("{}", if self.terminal { "\n" } else { "" });
    }
}

/// The checks, passed and failed.
struct CheckReport {
    faults: Vec<String>,
    latencies: Vec<Duration>,
    exactly_once: usize,
    messages: usize,
}

impl CheckReport {
    fn new(reports: &[PhoneReport], seen: &origin::Seen, messages: usize) -> Self {
        let mut faults: Vec<String> = reports
            .iter()
            .flat_map(|report| report.faults.clone())
            .collect();
        faults.extend(seen.wrong.iter().cloned());
        let mut twice: Vec<_> = seen.times.iter().filter(|(_, times)| **times > 1).collect();
        twice.sort();
        faults.extend(
            twice
                .iter()
                .map(|(path, times)| format!("{path} reached the origin {times} times")),
        );
        let missing = messages.saturating_sub(seen.times.len());
        if missing > 0 {
            faults.push(format!("{missing} messages never reached the origin"));
        }
        let mut latencies: Vec<Duration> = reports
            .iter()
            .flat_map(|report| report.latencies.clone())
            .collect();
        latencies.sort();
        Self {
            faults,
            latencies,
            exactly_once: seen.times.values().filter(|times| **times == 1).count(),
            messages,
        }
    }

    fn table(&self, reports: &[PhoneReport], stats: &gateway::Stats, counts: &RelayStats) -> Table {
        let percentile = |share: usize| {
            let last = self.latencies.len().saturating_sub(1);
            let latency = self
                .latencies
                .get(last * share / 100)
                .copied()
                .unwrap_or_default();
            format!("{:.0} ms", latency.as_secs_f64() * 1000.0)
        };
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let handsets = |field: fn(&PhoneReport) -> u64| reports.iter().map(field).sum::<u64>();
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        for (what, value) in [
            (
                "messages synced",
                format!("{} of {}", self.latencies.len(), self.messages),
            ),
            (
                "reached the origin exactly once",
                format!("{} of {}", self.exactly_once, self.messages),
            ),
            ("datagrams over the air", load(&counts.carried).to_string()),
            ("bytes over the air", load(&counts.octets).to_string()),
            (
                "datagrams lost, doubled by the relay",
                format!("{}, {}", load(&counts.lost), load(&counts.doubled)),
            ),
            (
                "retransmissions by handsets, gateway",
                format!("{}, {}", handsets(|r| r.resent), stats.wtp.retransmissions),
            ),
            (
                "duplicates suppressed by handsets, gateway",
                format!("{}, {}", handsets(|r| r.repeats), stats.wtp.duplicates),
            ),
            ("latency of a message, median", percentile(50)),
            ("90th percentile", percentile(90)),
            ("99th percentile", percentile(99)),
            ("slowest", percentile(100)),
        ] {
            table.add_row([what, &value]);
        }
        table
    }
}

/// The most loss, in percent, at which the specification's retry limits let nearly every message
/// through.
const MODEST_LOSS: u8 = 10;

/// Number of retransmissions beyond that loss: enough for 40 % in each direction.
const PERSISTENT: u8 = 40;

/// Time that the origin takes for a message: long enough for a repeated Invoke to arrive meanwhile.
const THINK: Duration = Duration::from_millis(60);

/// The time limit for one answer.
const PATIENCE: Duration = Duration::from_secs(40);

/// The time that a handset stays after its last answer, to repeat a lost acknowledgement.
const LINGER: Duration = Duration::from_secs(2);

/// The time limit of the demo.
const WHOLE: Duration = Duration::from_secs(58);

const EXAMPLES: &str = "\
The demo needs no configuration, no network and no installed server. It ends by itself within a \
minute, unless --stay is given.

Exit status:
  0  every message reached the origin exactly once, with every octet right in both directions
  1  a check failed; the output names it

Examples:
  wapbridge demo
  wapbridge demo --loss 40 --seed 7
  wapbridge demo --stay                  then try get, top and trace on it, in another terminal";
