//! `wapbridge bench`: a pool of handsets that measures the capacity of a gateway.

mod addresses;
mod connectionless;
mod event;
mod link;
mod messages;
mod origin;
mod pool;
mod process;
mod report;
mod run;
mod schedule;
#[cfg(feature = "wtls")]
mod secure;
#[cfg(not(feature = "wtls"))]
#[path = "secure_absent.rs"]
mod secure;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::gateway_address::resolve;
use crate::cli::secure::AnonymousArgs;
use crate::server::clock::{self, Clock};
use addresses::AddressPool;
use link::Link;
use messages::Messages;
use origin::{Http, Origin};
use pool::HandsetPool;
use process::Usage;
use report::{Phase, PhaseStats, Report, micros_each, per_second, seconds};
use run::{Plan, Progress, Stage, Until};
use schedule::Pace;
use secure::SecureHandsets;

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
    /// time.
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
    /// No progress on standard error.
    #[arg(long, short)]
    quiet: bool,
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
        let report = self.load(gateway, origin.as_ref())?;
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&report)?),
            false => print!("{report}"),
        }
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

    fn load(&self, gateway: SocketAddr, origin: Option<&Origin>) -> anyhow::Result<Report> {
        let handsets = self
            .handsets
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
        let mut stage = Stage {
            clock,
            link: Link::open(gateway, self.source, handsets, (self.loss, delay), seed)?,
            pool: HandsetPool::new(&pool, messages, clock.now()),
            progress: Progress::new(self.quiet),
            secure: self
                .secure
                .settings()
                .map(|settings| SecureHandsets::new(settings, seed)),
        };
        let plan = Plan {
            pace: match self.rate {
                Some(rate) => Pace::Open { rate },
                None => Pace::Closed {
                    at_once: self.handsets,
                    think: Duration::from_millis(self.think),
                },
            },
            warm_up: Duration::from_secs_f64(self.warm_up),
            until: match self.count {
                Some(count) => Until::Count(count),
                None => Until::Time(Duration::from_secs_f64(self.duration)),
            },
            reply_size: self.reply_size.or_else(|| origin.map(|_| REPLY_SIZE)),
        };

        let mut watch = ProcessMonitor::of(&self.pid)?;
        let (connected, time) = match self.connectionless {
            true => (PhaseStats::new(), Duration::ZERO),
            false => stage.connect(0..handsets, self.connects.max(1))?,
        };
        watch.look()?;
        let connect = phase(connected, time);
        stage.hold(Duration::from_secs_f64(self.hold))?;
        watch.look()?;
        let before = stage.pool.stats();
        let mut looks = Ok(());
        let posting = if self.spread { handsets } else { self.handsets };
        // Idle handsets come last, so that the first ones post.
        let loaded = stage.load(&plan, 0..posting, || {
            if let Err(error) = watch.look() {
                looks = Err(error);
            }
        })?;
        looks?;
        let after = stage.pool.stats();
        if !self.no_release && !self.connectionless {
            stage.release(0..handsets)?;
        }
        stage.hold(Duration::from_secs_f64(self.settle))?;
        watch.look()?;

        let load = report::Load {
            seconds: seconds(loaded.time),
            transactions: loaded.stats.done,
            per_second: per_second(loaded.stats.in_time, loaded.time),
            latency_ms: loaded.stats.latency(),
            retransmissions: after.retransmissions - before.retransmissions,
            repeats: after.duplicates - before.duplicates,
            not_begun: loaded.not_begun,
            errors: loaded.stats.errors,
        };
        let counts = Counts {
            transactions: loaded.stats.in_time,
            connects: connect.done,
            hold: Duration::from_secs_f64(self.hold),
        };
        Ok(Report {
            gateway: gateway.to_string(),
            mode: if self.connectionless {
                "connectionless"
            } else {
                "connection"
            },
            handsets: self.handsets,
            sessions: self.sessions,
            post_size: self.post_size,
            loss: self.loss * 100.0,
            delay_ms: self.delay,
            rate: self.rate,
            handshakes: stage.secure.map(|secure| report::Handshakes {
                done: secure.done,
                errors: secure.errors,
            }),
            connect,
            load,
            processes: watch.finish(&counts),
            origin: origin.map(Origin::seen),
        })
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

Exit status:
  0  every request got an answer with status 200
  1  a request failed: see the errors
  2  the command line is wrong

Examples:
  wapbridge bench --origin 127.0.0.1:8443               serve an origin; bench-ca.pem is for the gateway's ca_file
  wapbridge bench --gateway localhost --pid $(pidof wapbridge)
  wapbridge bench --gateway localhost --rate 2000 --duration 60 --json
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
