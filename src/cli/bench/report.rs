//! The report: measurements, and their output as text or JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::time::Instant;

/// Counts of one phase.
pub(super) struct PhaseStats {
    /// Latencies of those answered, in microseconds.
    pub(super) histogram: Histogram<u64>,
    /// Answered in full, all of them in the histogram.
    pub(super) done: u64,
    /// Of these, requests that ended while the clock was running.
    pub(super) in_time: u64,
    /// Ended otherwise, by cause.
    pub(super) errors: BTreeMap<String, u64>,
}

impl PhaseStats {
    pub(super) fn new() -> Self {
        Self {
            histogram: latencies(),
            done: 0,
            in_time: 0,
            errors: BTreeMap::new(),
        }
    }

    pub(super) fn done(&mut self, since: Instant, now: Instant) {
        self.histogram.saturating_record(micros(since, now));
        self.done += 1;
    }

    pub(super) fn failed(&mut self, cause: String) {
        *self.errors.entry(cause).or_default() += 1;
    }

    pub(super) fn failures(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(super) fn latency(&self) -> Latency {
        latency(&self.histogram)
    }
}

/// A histogram of latencies: one microsecond to one hour, to three digits.
pub(super) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3)
        .expect("the bounds are in order and the digits few")
}

/// Percentiles of a histogram of microseconds.
pub(super) fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| millis(histogram.value_at_quantile(quantile) as f64);
    Latency {
        mean: millis(histogram.mean()),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: millis(histogram.max() as f64),
    }
}

/// The time between two moments in microseconds.
pub(super) fn micros(since: Instant, now: Instant) -> u64 {
    u64::try_from((now - since).as_micros()).unwrap_or(u64::MAX)
}

/// Everything, as `--json` prints it. Times are in the units of their names.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The gateway's address.
    pub(super) gateway: String,
    /// `connection` or `connectionless`.
    pub(super) mode: &'static str,
    /// Handsets that post.
    pub(super) handsets: u32,
    /// Sessions held besides.
    pub(super) sessions: u32,
    /// Octets of a request's body.
    pub(super) post_size: usize,
    /// Percent lost in each direction.
    pub(super) loss: f64,
    /// In each direction.
    pub(super) delay_ms: u64,
    /// Intended requests a second; `None` in a closed loop.
    pub(super) rate: Option<f64>,
    /// Handshakes of WTLS, with `--secure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) handshakes: Option<Handshakes>,
    /// The phase of Connects.
    pub(super) connect: Phase,
    /// Posting.
    pub(super) load: Load,
    /// Posting by stage, with `--stages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stages: Option<Ramp>,
    /// Whether a key or a signal ended the run before its time.
    pub(super) interrupted: bool,
    /// Figures of the processes of `--pid`.
    pub(super) processes: Vec<Process>,
    /// Figures of `--origin`.
    pub(super) origin: Option<Origin>,
}

/// Handshakes of WTLS in all phases.
#[derive(Debug, Serialize)]
pub(super) struct Handshakes {
    /// How many were completed.
    pub(super) done: u64,
    /// Failed ones, by cause; each was tried again.
    pub(super) errors: BTreeMap<String, u64>,
}

/// A phase in which each handset does one thing.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    /// Handsets that did it.
    pub(super) done: u64,
    /// How long it took all of them.
    pub(super) seconds: f64,
    /// Handsets a second.
    pub(super) per_second: f64,
    /// From the start to the answer.
    pub(super) latency_ms: Latency,
    /// Failed requests, by cause.
    pub(super) errors: BTreeMap<String, u64>,
}

/// The phase in which handsets post.
#[derive(Debug, Serialize)]
pub(super) struct Load {
    /// Measured time, without warm-up and end.
    pub(super) seconds: f64,
    /// Transactions answered in full.
    pub(super) transactions: u64,
    /// Of these, requests answered while the clock was running, per second.
    pub(super) per_second: f64,
    /// From the start, in an open loop the intended one, to the whole answer.
    pub(super) latency_ms: Latency,
    /// Packets that handsets sent again.
    pub(super) retransmissions: u64,
    /// Packets that handsets received again.
    pub(super) repeats: u64,
    /// Requests that no handset was free for when it was over.
    pub(super) not_begun: u64,
    /// Requests under way when the run was interrupted.
    pub(super) unfinished: u64,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Transactions that failed, by cause.
    pub(super) errors: BTreeMap<String, u64>,
}

/// The stages of the load.
#[derive(Debug, Serialize)]
pub(super) struct Ramp {
    /// What their levels count.
    pub(super) unit: &'static str,
    /// One after the other.
    pub(super) stages: Vec<Stage>,
}

/// Requests that began in one stage.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    /// The level at its start.
    pub(super) from: u32,
    /// The level at its end.
    pub(super) to: u32,
    /// Its planned time.
    pub(super) seconds: f64,
    /// Transactions answered in full.
    pub(super) transactions: u64,
    /// Transactions that failed.
    pub(super) failed: u64,
    /// Transactions answered in full, for each second of the stage.
    pub(super) per_second: f64,
    /// From the start to the whole answer.
    pub(super) latency_ms: Latency,
}

/// Percentiles of latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

/// Figures of one process.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: u32,
    /// Its name.
    pub(super) name: String,
    /// User and system time for one transaction.
    pub(super) cpu_us_per_transaction: f64,
    /// The part in its own code.
    pub(super) user_us_per_transaction: f64,
    /// The part in the kernel.
    pub(super) system_us_per_transaction: f64,
    /// CPU time for one Connect.
    pub(super) cpu_us_per_connect: f64,
    /// CPU time per second while sessions were idle.
    pub(super) idle_cpu_ms_per_second: f64,
    /// Its octets in memory: before anything, with all sessions, after the load, after all was
    /// released.
    pub(super) resident: Resident,
}

/// Octets in memory.
#[derive(Debug, Serialize)]
pub(super) struct Resident {
    /// Before anything.
    pub(super) before: u64,
    /// With all sessions up.
    pub(super) connected: u64,
    /// After the load.
    pub(super) loaded: u64,
    /// After the sessions were released.
    pub(super) released: u64,
}

/// Figures of the origin.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Origin {
    /// Requests since it started.
    pub(super) requests: u64,
    /// Connections since it started.
    pub(super) connections: u64,
}

impl Report {
    /// Everything that failed.
    pub(super) fn failures(&self) -> u64 {
        let errors = |errors: &BTreeMap<String, u64>| errors.values().sum::<u64>();
        errors(&self.connect.errors) + errors(&self.load.errors) + self.load.not_begun
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(handshakes) = &self.handshakes {
            writeln!(f, "handshakes    {}", handshakes.done)?;
            write_errors(f, &handshakes.errors)?;
        }
        if self.connect.done > 0 {
            let Phase {
                done,
                seconds,
                per_second,
                latency_ms,
                ..
            } = &self.connect;
            writeln!(
                f,
                "connect       {done} in {seconds:.2} s, {per_second:.0}/s; {latency_ms}"
            )?;
        }
        write_errors(f, &self.connect.errors)?;
        let Load {
            seconds,
            transactions,
            per_second,
            latency_ms,
            ..
        } = &self.load;
        if *transactions > 0 || self.load.errors.values().any(|count| *count > 0) {
            let how = self
                .rate
                .map_or_else(String::new, |rate| format!(" of {rate} asked for"));
            writeln!(
                f,
                "transactions  {transactions} in {seconds:.2} s, {per_second:.0}/s{how}"
            )?;
            writeln!(f, "latency       {latency_ms}")?;
            let Load {
                retransmissions,
                repeats,
                ..
            } = &self.load;
            writeln!(
                f,
                "packets       {retransmissions} sent again, {repeats} heard again"
            )?;
        }
        if self.load.not_begun > 0 {
            let waiting = self.load.not_begun;
            writeln!(
                f,
                "not begun     {waiting}: no handset was free; ask for more --handsets"
            )?;
        }
        let statuses: Vec<_> = self.load.statuses.iter().collect();
        if !matches!(statuses.as_slice(), [] | [(200, _)]) {
            let told: Vec<_> = statuses
                .iter()
                .map(|(status, count)| format!("{count} x {status}"))
                .collect();
            writeln!(f, "statuses      {}", told.join(", "))?;
        }
        write_errors(f, &self.load.errors)?;
        if let Some(ramp) = &self.stages {
            ramp.fmt(f)?;
        }
        if self.interrupted {
            let unfinished = self.load.unfinished;
            writeln!(f, "interrupted   {unfinished} requests were under way")?;
        }
        for process in &self.processes {
            let Process {
                pid,
                name,
                resident,
                ..
            } = process;
            if *transactions > 0 {
                let Process {
                    cpu_us_per_transaction: cpu,
                    user_us_per_transaction: user,
                    system_us_per_transaction: system,
                    ..
                } = process;
                writeln!(
                    f,
                    "cpu           {cpu:.1} us per transaction ({user:.1} user, {system:.1} system): {name}, {pid}"
                )?;
            }
            if self.connect.done > 0 {
                let cpu = process.cpu_us_per_connect;
                let idle = process.idle_cpu_ms_per_second;
                writeln!(
                    f,
                    "              {cpu:.1} us per connect; {idle:.1} ms a second while idle"
                )?;
            }
            let mib = |octets: u64| octets as f64 / 1_048_576.0;
            let Resident {
                before,
                connected,
                loaded,
                released,
            } = resident;
            writeln!(
                f,
                "memory        {:.1} MiB before, {:.1} with all sessions, {:.1} after the load, {:.1} after release",
                mib(*before),
                mib(*connected),
                mib(*loaded),
                mib(*released)
            )?;
        }
        if let Some(Origin {
            requests,
            connections,
        }) = self.origin
        {
            writeln!(
                f,
                "origin        {requests} requests over {connections} connections"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, stage) in (1..).zip(&self.stages) {
            let Stage {
                from,
                to,
                seconds,
                transactions,
                failed,
                per_second,
                latency_ms,
            } = stage;
            let Latency { p50, p99, .. } = latency_ms;
            writeln!(
                f,
                "stage {number:<8}{from} to {to} {} in {seconds} s: {transactions}, {per_second:.0}/s, {failed} failed; \
                 p50 {p50:.2}, p99 {p99:.2} ms",
                self.unit
            )?;
        }
        Ok(())
    }
}

fn write_errors(f: &mut fmt::Formatter<'_>, errors: &BTreeMap<String, u64>) -> fmt::Result {
    errors
        .iter()
        .try_for_each(|(cause, count)| writeln!(f, "error         {count} x {cause}"))
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mean,
            p50,
            p90,
            p99,
            p999,
            max,
        } = self;
        write!(
            f,
            "mean {mean:.2}, p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2} ms"
        )
    }
}

/// So many things in this time: each second.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => rounded(count as f64 / time.as_secs_f64(), 10.0),
    }
}

/// This time for so many things: microseconds for each.
pub(super) fn micros_each(time: Duration, count: u64) -> f64 {
    match count {
        0 => 0.0,
        count => rounded(time.as_secs_f64() * 1e6 / count as f64, 100.0),
    }
}

pub(super) fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64(), 1000.0)
}

/// Microseconds in milliseconds.
pub(super) fn millis(micros: f64) -> f64 {
    rounded(micros / 1000.0, 1000.0)
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_in_milliseconds() {
        let mut stats = PhaseStats::new();
        for micros in 1..=1000 {
            stats.done(Instant::ZERO, Instant::from_micros(micros * 1000));
        }
        let latency = stats.latency();
        assert!((latency.p50 - 500.0).abs() < 1.0, "{latency}");
        assert!((latency.p99 - 990.0).abs() < 1.0, "{latency}");
        assert!((latency.max - 1000.0).abs() < 1.0, "{latency}");
    }

    #[test]
    fn nothing_done_is_no_division_by_zero() {
        assert_eq!(micros_each(Duration::from_secs(1), 0).to_string(), "0");
        assert_eq!(per_second(5, Duration::ZERO).to_string(), "0");
    }
}
