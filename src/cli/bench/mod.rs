//! `wapbridge bench`: a crowd of handsets, to see what a gateway can bear.

mod air;
mod crowd;
mod load;
mod origin;
mod process;
mod run;
mod script;
mod source;
mod tally;
mod unit;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::request::resolve;
use crate::server::clock::{self, Clock};
use air::Air;
use crowd::Crowd;
use load::Pace;
use origin::{Http, Origin};
use process::Usage;
use run::{Plan, Progress, Stage, Until};
use script::Script;
use source::Source;
use tally::{Phase, Report, Tally, micros_each, per_second, seconds};

/// Load a WAP gateway as many handsets would, and measure it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Bench {
    /// The gateway's address. Without a port: 9201, or 9200 with --connectionless.
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        env = "WAPBRIDGE_GATEWAY",
        required_unless_present = "origin"
    )]
    gateway: Option<String>,
    /// What handsets ask for.
    #[arg(default_value = "http://sync.example.com/")]
    uri: String,

    /// Handsets that post, each with an address of its own; in a closed loop also the requests at a time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    handsets: u32,
    /// Further sessions that are held meanwhile.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=4_000_000))]
    sessions: u32,
    /// Requests come from all handsets in turn, those of --sessions included.
    #[arg(long)]
    spread: bool,
    /// Without sessions and transactions: one datagram there, one back.
    #[arg(long)]
    connectionless: bool,
    /// Octets of each request's body.
    #[arg(long, value_name = "OCTETS", default_value_t = 500)]
    post_size: usize,
    /// Octets of each answer's body, by --origin; elsewhere they are compared with it if it is given.
    #[arg(long, value_name = "OCTETS")]
    reply_size: Option<usize>,
    /// Pause of a handset between an answer and its next request, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0, conflicts_with = "rate")]
    think: u64,
    /// Open loop: so many requests a second, whatever becomes of them; latency counts from the intended start.
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Datagrams lost, in percent, in each direction.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    loss: f64,
    /// How long datagrams take, in milliseconds, in each direction.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Seconds of load that are measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive, conflicts_with = "count")]
    duration: f64,
    /// Instead: transactions.
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
    /// When a handset repeats a request that is not acknowledged, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    retry: u64,
    /// Seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 130)]
    timeout: u64,
    /// Seconds between the release of all sessions and the last look at --pid's memory.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = positive)]
    settle: f64,
    /// Keep the sessions when all is done: no Disconnect.
    #[arg(long)]
    no_release: bool,

    /// A process whose CPU time and memory to tell; may be given more than once.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Take handsets' addresses from this network, which is this host's own. Default with a gateway on
    /// loopback: 127.64.0.0/10. Elsewhere each handset has a socket, up to 512.
    #[arg(long, value_name = "NETWORK")]
    source: Option<Source>,
    /// Decides loss and transaction ids; default: a new one each time.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Serve the HTTPS origin, too, on this address; without --gateway, nothing else.
    #[arg(long, value_name = "ADDRESS:PORT")]
    origin: Option<SocketAddr>,
    /// The origin's authority, for the gateway to trust: made if it is not there.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench-ca.pem",
        requires = "origin"
    )]
    ca_file: PathBuf,
    /// What the origin speaks.
    #[arg(long, value_enum, default_value = "any", requires = "origin")]
    origin_http: Http,
    /// How long the origin thinks over each request, in milliseconds.
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
        let port = if self.connectionless { 9200 } else { 9201 };
        let gateway = resolve(gateway, port)?;
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
        let crowd = crowd::Config {
            handsets,
            connectionless: self.connectionless,
            patience: Duration::from_secs(self.timeout.max(1)),
            retry: Duration::from_millis(self.retry),
            bad_weather: self.loss > 0.0 || self.delay > 0,
            seed,
        };
        let script = Script::new(&self.uri, self.post_size, self.connectionless);
        let mut stage = Stage {
            clock,
            air: Air::open(gateway, self.source, handsets, (self.loss, delay), seed)?,
            crowd: Crowd::new(&crowd, script, clock.now()),
            progress: Progress::new(self.quiet),
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

        let mut watch = Watch::of(&self.pid)?;
        let (connected, time) = match self.connectionless {
            true => (Tally::new(), Duration::ZERO),
            false => stage.connect(0..handsets, self.connects.max(1))?,
        };
        watch.look()?;
        let connect = phase(connected, time);
        stage.hold(Duration::from_secs_f64(self.hold))?;
        watch.look()?;
        let before = stage.crowd.stats();
        let mut looks = Ok(());
        let posting = if self.spread { handsets } else { self.handsets };
        // The idle ones come last, so that the first are those that post.
        let loaded = stage.load(&plan, 0..posting, || {
            if let Err(error) = watch.look() {
                looks = Err(error);
            }
        })?;
        looks?;
        let after = stage.crowd.stats();
        if !self.no_release && !self.connectionless {
            stage.release(0..handsets)?;
        }
        stage.hold(Duration::from_secs_f64(self.settle))?;
        watch.look()?;

        let load = tally::Load {
            seconds: seconds(loaded.time),
            transactions: loaded.tally.done,
            per_second: per_second(loaded.tally.in_time, loaded.time),
            latency_ms: loaded.tally.latency(),
            retransmissions: after.retransmissions - before.retransmissions,
            repeats: after.duplicates - before.duplicates,
            not_begun: loaded.not_begun,
            errors: loaded.tally.errors,
        };
        let counts = Counts {
            transactions: loaded.tally.in_time,
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
            connect,
            load,
            processes: watch.tell(&counts),
            origin: origin.map(Origin::seen),
        })
    }
}

/// What watched processes had used at each look: at first, with all sessions up, when the load was to begin, when
/// its clock started and stopped, and after the release.
struct Watch {
    processes: Vec<(u32, Vec<Usage>)>,
}

/// What a process is measured by.
struct Counts {
    transactions: u64,
    connects: u64,
    hold: Duration,
}

impl Watch {
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

    fn tell(self, counts: &Counts) -> Vec<tally::Process> {
        let tell = |(pid, usages): &(u32, Vec<Usage>)| {
            let [first, connected, held, began, ended, released] = usages.as_slice() else {
                return None;
            };
            let each = |time| micros_each(time, counts.transactions);
            let idle = held.cpu().saturating_sub(connected.cpu());
            Some(tally::Process {
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
                resident: tally::Resident {
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

fn phase(tally: Tally, time: Duration) -> Phase {
    Phase {
        done: tally.done,
        seconds: seconds(time),
        per_second: per_second(tally.done, time),
        latency_ms: tally.latency(),
        errors: tally.errors,
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

/// Octets of an answer where nobody says how many.
const REPLY_SIZE: usize = 500;

const EXAMPLES: &str = "\
It plays handsets that connect, post, acknowledge and repeat what is lost, against any WAP gateway. First all
connect, then --handsets of them post, then all disconnect; --sessions only stay. Figures go to standard output,
progress to standard error. What is measured of --pid is its CPU time (user and system) while the clock runs.

Exit status:
  0  everything was answered, with status 200
  1  something was not: see the errors
  2  the command line is wrong

Examples:
  wapbridge bench --origin 127.0.0.1:8443               serve an origin; bench-ca.pem is for the gateway's ca_file
  wapbridge bench --gateway localhost --pid $(pidof wapbridge)
  wapbridge bench --gateway localhost --rate 2000 --duration 60 --json
  wapbridge bench --gateway localhost --handsets 64 --sessions 1000000 --connects 256 --hold 30
  wapbridge bench --gateway localhost --handsets 20 --reply-size 20000 --loss 10 --delay 300 --count 200
  wapbridge bench --gateway localhost:9200 --connectionless --handsets 20 --sessions 50000 --spread";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(percent("10"), Ok(0.1));
        assert!(percent("101").is_err() && percent("x").is_err());
        assert!(rate("0").is_err() && rate("2.5").is_ok());
        assert!(positive("-1").is_err() && positive("0").is_ok());
    }
}
