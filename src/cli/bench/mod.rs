//! `wapbridge bench`: a pool of handsets that measures the capacity of a gateway.

mod addresses;
mod connectionless;
mod csv;
mod event;
mod html;
mod link;
mod measurement;
mod messages;
mod origin;
mod pool;
mod process;
mod progress;
mod report;
mod run;
mod schedule;
#[cfg(feature = "wtls")]
mod secure;
#[cfg(not(feature = "wtls"))]
#[path = "secure_absent.rs"]
mod secure;
mod stages;
mod timeline;
mod view;

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::gateway_address::resolve;
use crate::cli::secure::AnonymousArgs;
use crate::server::clock::{self, Clock};
use addresses::AddressPool;
use csv::CsvFile;
use link::Link;
use measurement::{Figures, bars};
use messages::Messages;
use origin::{Http, Origin};
use pool::HandsetPool;
use process::Usage;
use progress::Progress;
use report::{Phase, PhaseStats, Ramp, Report, micros_each, per_second, seconds};
use run::{Plan, Runner, Until};
use schedule::Pace;
use secure::SecureHandsets;
use stages::{Stages, Unit};

/// Load a WAP gateway as many handsets would, and measure it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Bench {
    /// The gateway's address. Without a port: 9201, or 9200 with --connectionless; 9203 and 9202 with --secure.
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        env = "WAPBRIDGE_GATEWAY",
        required_unless_present = "origin"
    )]
    gateway: Option<String>,
    /// The URI that handsets request.
    #[arg(default_value = "http://sync.example.com/")]
    uri: String,

    /// Handsets that post, each with an address of its own; in a closed loop also the requests at a
    /// time. With --stages in handsets: the highest of their levels.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    handsets: u32,
    /// Additional idle sessions during the load.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=4_000_000))]
    sessions: u32,
    /// All handsets take turns, also those of --sessions.
    #[arg(long)]
    spread: bool,
    /// Without sessions and transactions: one datagram each way.
    #[arg(long)]
    connectionless: bool,
    #[command(flatten)]
    secure: AnonymousArgs,
    /// Octets of each request's body.
    #[arg(long, value_name = "OCTETS", default_value_t = 500)]
    post_size: usize,
    /// Octets of each reply's body from --origin; with another origin, the size to compare replies
    /// with.
    #[arg(long, value_name = "OCTETS")]
    reply_size: Option<usize>,
    /// Pause of a handset between an answer and its next request, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0, conflicts_with = "rate")]
    think: u64,
    /// Open loop: requests a second, whether replies come or not. Latency counts from the intended
    /// start.
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// A load that changes, in stages TIME:LEVEL, each of which goes in a straight line from the level of the stage before,
    /// at first 0, to its own. The level is in handsets that post at a time, as in 10s:50,30s:200,10s:0, or with /s in
    /// requests a second, as in 10s:50/s,30s:50/s. A stage of time 0 is a jump. Everything is measured: there is no warm-up.
    #[arg(long, value_name = "TIME:LEVEL,...", conflicts_with_all = ["rate", "duration", "count", "warm_up"])]
    stages: Option<Stages>,
    /// Datagrams lost, in percent, in each direction.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    loss: f64,
    /// Delay of datagrams in milliseconds, in each direction.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Seconds of load that are measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive, conflicts_with = "count")]
    duration: f64,
    /// Number of transactions, instead of --duration.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Seconds of load before the clock starts to run.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = positive)]
    warm_up: f64,
    /// Seconds to hold all sessions before the load.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = positive)]
    hold: f64,
    /// Connects at a time.
    #[arg(long, value_name = "N", default_value_t = 64)]
    connects: u32,
    /// Time after which a handset repeats an unacknowledged request, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    retry: u64,
    /// Seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 130)]
    timeout: u64,
    /// Seconds between the release of all sessions and the last sample of --pid's memory.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = positive)]
    settle: f64,
    /// Keep the sessions at the end: no Disconnect.
    #[arg(long)]
    no_release: bool,

    /// A process whose CPU time and memory to report; may be given more than once.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Take handsets' addresses from this network, which is this host's own. Default with a gateway
    /// on loopback: 127.64.0.0/10. Elsewhere each handset has a socket, up to 512.
    #[arg(long, value_name = "NETWORK")]
    source: Option<AddressPool>,
    /// Seed of losses and transaction ids; default: a new one each time.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Serve an HTTPS origin on this address; without --gateway, serve only the origin.
    #[arg(long, value_name = "ADDRESS:PORT")]
    origin: Option<SocketAddr>,
    /// The certificate authority of the origin, for the gateway to trust; created if it is missing.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench-ca.pem",
        requires = "origin"
    )]
    ca_file: PathBuf,
    /// HTTP versions that the origin offers.
    #[arg(long, value_enum, default_value = "any", requires = "origin")]
    origin_http: Http,
    /// Time that the origin takes for each request, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0, requires = "origin")]
    origin_think: u64,

    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write a row for each measured exchange to this file, with the columns start_s, stage, handset, duration_ms, status,
    /// octets, error.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the report to this file as a page with histogram and time line, which needs no script and no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// No progress on standard error: neither a screen nor lines.
    #[arg(long, short)]
    quiet: bool,
}

/// What a run has measured.
struct Outcome {
    report: Report,
    figures: Figures,
}

impl Bench {
    /// Runs it. It is an error if anything failed.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let origin = self.origin.map(|address| self.serve(address)).transpose()?;
        let Some(gateway) = &self.gateway else {
            // The origin's thread does the work, until a signal ends the process.
            loop {
                std::thread::park();
            }
        };
        let port = self.secure.default_port(self.connectionless);
        let gateway = resolve(gateway, port)?;
        refuse_dead_port(gateway)?;
        // A file that cannot be written ends the command before the load.
        let csv = self.csv.as_deref().map(CsvFile::create).transpose()?;
        let html = self.html.as_deref().map(create).transpose()?;
        let Outcome { report, figures } = self.load(gateway, origin.as_ref(), csv)?;
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&report)?),
            false => print!("{report}"),
        }
        if let Some((path, mut file)) = html {
            let page = html::Page {
                report: &report,
                uri: &self.uri,
                at: &moment(),
                bars: &bars(&figures.stats.histogram, BAR_STEPS),
                seconds: &figures.seconds,
            };
            io::Write::write_all(&mut file, page.to_string().as_bytes())
                .with_context(|| format!("--html {}", path.display()))?;
        }
        figures.csv.map_or(Ok(()), CsvFile::finish)?;
        match report.failures() {
            0 => Ok(()),
            failures => bail!("{failures} failed"),
        }
    }

    fn serve(&self, address: SocketAddr) -> anyhow::Result<Origin> {
        let origin = Origin::start(origin::Settings {
            address,
            ca_file: self.ca_file.clone(),
            reply_size: self.reply_size.unwrap_or(REPLY_SIZE),
            http: self.origin_http,
            think: Duration::from_millis(self.origin_think),
        })?;
        eprintln!(
            "origin: https://localhost:{}/, certified by {}",
            origin.address.port(),
            origin.ca_file.display()
        );
        Ok(origin)
    }

    /// Handsets that post: the option's, or as many as the stages need.
    fn posting(&self) -> u32 {
        match &self.stages {
            Some(stages) if stages.unit == Unit::Handsets => stages.peak(),
            _ => self.handsets,
        }
    }

    fn plan(&self, reply_size: Option<usize>) -> Plan {
        let think = Duration::from_millis(self.think);
        let pace = match (&self.stages, self.rate) {
            (Some(stages), _) => Pace::Stages {
                stages: stages.clone(),
                think,
            },
            (None, Some(rate)) => Pace::Open { rate },
            (None, None) => Pace::Closed {
                at_once: self.handsets,
                think,
            },
        };
        let (warm_up, until) = match (&self.stages, self.count) {
            (Some(stages), _) => (Duration::ZERO, Until::Time(stages.time())),
            (None, Some(count)) => (Duration::from_secs_f64(self.warm_up), Until::Count(count)),
            (None, None) => (
                Duration::from_secs_f64(self.warm_up),
                Until::Time(Duration::from_secs_f64(self.duration)),
            ),
        };
        Plan {
            pace,
            warm_up,
            until,
            reply_size,
        }
    }

    fn load(
        &self,
        gateway: SocketAddr,
        origin: Option<&Origin>,
        csv: Option<CsvFile>,
    ) -> anyhow::Result<Outcome> {
        let posting = self.posting();
        let handsets = posting
            .checked_add(self.sessions)
            .context("too many handsets")?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => clock::seed()?,
        };
        let clock = Clock::start();
        let delay = Duration::from_millis(self.delay);
        let pool = pool::PoolConfig {
            handsets,
            connectionless: self.connectionless,
            timeout: Duration::from_secs(self.timeout.max(1)),
            retry: Duration::from_millis(self.retry),
            impaired: self.loss > 0.0 || self.delay > 0,
            seed,
        };
        let messages = Messages::new(&self.uri, self.post_size, self.connectionless);
        let mut runner = Runner {
            clock,
            link: Link::open(gateway, self.source, handsets, (self.loss, delay), seed)?,
            pool: HandsetPool::new(&pool, messages, clock.now()),
            secure: self
                .secure
                .settings()
                .map(|settings| SecureHandsets::new(settings, seed)),
            title: format!("{gateway}  {}", self.uri),
            progress: Progress::start(self.quiet)?,
        };
        let plan = self.plan(self.reply_size.or_else(|| origin.map(|_| REPLY_SIZE)));

        let mut watch = ProcessMonitor::of(&self.pid)?;
        let (connected, time) = match self.connectionless {
            true => (PhaseStats::new(), Duration::ZERO),
            false => runner.connect(0..handsets, self.connects.max(1))?,
        };
        watch.look()?;
        let connect = phase(connected, time);
        runner.hold(Duration::from_secs_f64(self.hold))?;
        watch.look()?;
        let before = runner.pool.stats();
        let mut looks = Ok(());
        let posting = if self.spread { handsets } else { posting };
        // Idle handsets come last, so that the first ones post.
        let loaded = runner.load(&plan, 0..posting, csv, || {
            if let Err(error) = watch.look() {
                looks = Err(error);
            }
        })?;
        looks?;
        let after = runner.pool.stats();
        if !self.no_release && !self.connectionless {
            runner.release(0..handsets)?;
        }
        runner.hold(Duration::from_secs_f64(self.settle))?;
        watch.look()?;
        let interrupted = runner.progress.interrupts() > 0;

        let mut figures = loaded.figures;
        let load = report::Load {
            seconds: seconds(loaded.time),
            transactions: figures.stats.done,
            per_second: per_second(figures.stats.in_time, loaded.time),
            latency_ms: figures.stats.latency(),
            retransmissions: after.retransmissions - before.retransmissions,
            repeats: after.duplicates - before.duplicates,
            not_begun: loaded.not_begun,
            unfinished: loaded.unfinished,
            statuses: std::mem::take(&mut figures.statuses),
            errors: std::mem::take(&mut figures.stats.errors),
        };
        let counts = Counts {
            transactions: figures.stats.in_time,
            connects: connect.done,
            hold: Duration::from_secs_f64(self.hold),
        };
        let stages = self.stages.as_ref().map(|stages| Ramp {
            unit: stages.unit.name(),
            stages: std::mem::take(&mut figures.stages),
        });
        let report = Report {
            gateway: gateway.to_string(),
            mode: if self.connectionless {
                "connectionless"
            } else {
                "connection"
            },
            handsets: self.posting(),
            sessions: self.sessions,
            post_size: self.post_size,
            loss: self.loss * 100.0,
            delay_ms: self.delay,
            rate: self.rate,
            handshakes: runner.secure.map(|secure| report::Handshakes {
                done: secure.done,
                errors: secure.errors,
            }),
            connect,
            load,
            stages,
            interrupted,
            processes: watch.finish(&counts),
            origin: origin.map(Origin::seen),
        };
        Ok(Outcome { report, figures })
    }
}

/// Figures of the watched processes at each sample: at first, with all sessions up, before the
/// load, when the clock started and stopped, and after the release.
struct ProcessMonitor {
    processes: Vec<(u32, Vec<Usage>)>,
}

/// Figures of a process.
struct Counts {
    transactions: u64,
    connects: u64,
    hold: Duration,
}

impl ProcessMonitor {
    fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut watch = Self {
            processes: pids.iter().map(|pid| (*pid, Vec::new())).collect(),
        };
        watch.look()?;
        Ok(watch)
    }

    fn look(&mut self) -> anyhow::Result<()> {
        for (pid, usages) in &mut self.processes {
            usages.push(Usage::of(*pid)?);
        }
        Ok(())
    }

    fn finish(self, counts: &Counts) -> Vec<report::Process> {
        let tell = |(pid, usages): &(u32, Vec<Usage>)| {
            let [first, connected, held, began, ended, released] = usages.as_slice() else {
                return None;
            };
            let each = |time| micros_each(time, counts.transactions);
            let idle = held.cpu().saturating_sub(connected.cpu());
            Some(report::Process {
                pid: *pid,
                name: process::name(*pid),
                cpu_us_per_transaction: each(ended.cpu().saturating_sub(began.cpu())),
                user_us_per_transaction: each(ended.user.saturating_sub(began.user)),
                system_us_per_transaction: each(ended.system.saturating_sub(began.system)),
                cpu_us_per_connect: micros_each(
                    connected.cpu().saturating_sub(first.cpu()),
                    counts.connects,
                ),
                idle_cpu_ms_per_second: match counts.hold.is_zero() {
                    true => 0.0,
                    false => seconds(idle.div_f64(counts.hold.as_secs_f64())) * 1000.0,
                },
                resident: report::Resident {
                    before: first.resident,
                    connected: held.resident,
                    loaded: ended.resident,
                    released: released.resident,
                },
            })
        };
        self.processes.iter().filter_map(tell).collect()
    }
}

fn phase(stats: PhaseStats, time: Duration) -> Phase {
    Phase {
        done: stats.done,
        seconds: seconds(time),
        per_second: per_second(stats.done, time),
        latency_ms: stats.latency(),
        errors: stats.errors,
    }
}

/// The page's file.
fn create(path: &Path) -> anyhow::Result<(&Path, File)> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    Ok((path, file))
}

/// The time of day in UTC, to the second.
fn moment() -> String {
    let unix = i64::try_from(clock::unix()).unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp(unix).ok();
    at.and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("from 0 to 100".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1e6).contains(&number) => Ok(number),
        _ => Err("a number of seconds, up to 1000000".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1e7).contains(&rate) => Ok(rate),
        _ => Err("a number above 0".to_owned()),
    }
}

/// Bounds of the page's histogram.
const BAR_STEPS: &[u64] = &[10, 15, 20, 30, 50, 70];
/// Octets of a reply without --reply-size.
const REPLY_SIZE: usize = 500;

/// An error if the gateway's host reports that the port is closed (ICMP port unreachable).
///
/// The handsets' sockets are shared and unconnected, so the kernel reports no such error to them.
fn refuse_dead_port(gateway: SocketAddr) -> anyhow::Result<()> {
    let any: IpAddr = match gateway {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(gateway)?;
    socket.set_read_timeout(Some(PROBE_TIMEOUT))?;
    // An empty datagram is no PDU: a gateway drops it.
    let sent = socket.send(&[]);
    let refused = sent.and_then(|_| socket.recv(&mut [0; 16]));
    match refused {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => bail!(
            "nobody listens at {gateway}: the host refuses UDP on this port; start the gateway \
             (wapbridge serve), or name its port with --gateway HOST:PORT"
        ),
        _ => Ok(()),
    }
}

/// How long a refusal is waited for.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "\
Simulated handsets connect, post, acknowledge and retransmit, against any WAP gateway. First \
all of them connect. Then --handsets of them post, while --sessions stay idle. At the end all \
disconnect. Figures go to standard output, progress to standard error. For --pid the figure is \
the CPU time (user and system) while the clock runs.

If standard error is a terminal, progress is a screen: rate, latencies, statuses and failures while the run goes on. \
q or Ctrl-C ends the run at once; the sessions are released, which a second q leaves out, and the report tells what was \
measured. Elsewhere, and in the background, progress is a line every five seconds (every second on a terminal), and \
SIGINT or SIGTERM ends the run. NO_COLOR is respected.

A row of --csv is one exchange, as with hey and oha: its start in seconds after that of the clock (with --rate and \
stages in /s the intended one), the stage, the number of the handset, the duration in milliseconds, the status and \
octets of the answer, and the cause of a failure. Exchanges that an interrupt cuts off have no row. No cell begins \
like a formula.

Exit status:
  0  every request got an answer with status 200, up to an interrupt if there was one
  1  a request failed: see the errors; or a file could not be written
  2  the command line is wrong

Examples:
  wapbridge bench --origin 127.0.0.1:8443               serve an origin; bench-ca.pem is for the gateway's ca_file
  wapbridge bench --gateway localhost --pid $(pidof wapbridge)
  wapbridge bench --gateway localhost --rate 2000 --duration 60 --json   an open loop, for machines
  wapbridge bench --gateway localhost --stages 10s:50,30s:200,10s:0      a ramp of handsets, up and down
  wapbridge bench --gateway localhost --stages 0:100/s,1m:100/s,1m:500/s --handsets 2000
  wapbridge bench --gateway localhost --duration 60 --csv exchanges.csv --html report.html
  wapbridge bench --gateway localhost --handsets 64 --sessions 1000000 --connects 256 --hold 30
  wapbridge bench --gateway localhost --handsets 20 --reply-size 20000 --loss 10 --delay 300 --count 200
  wapbridge bench --gateway localhost:9200 --connectionless --handsets 20 --sessions 50000 --spread
  wapbridge bench --gateway localhost --secure --suite RC5_CBC/SHA --pid $(pidof wapbridge)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_port_is_refused_at_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        refuse_dead_port(address).unwrap();
        drop(socket);
        let error = refuse_dead_port(address).unwrap_err().to_string();
        assert!(error.contains("nobody listens"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(percent("10"), Ok(0.1));
        assert!(percent("101").is_err() && percent("x").is_err());
        assert!(rate("0").is_err() && rate("2.5").is_ok());
        assert!(positive("-1").is_err() && positive("0").is_ok());
    }
}
