//! The process as the kernel sees it, under the names that Prometheus's own libraries use; and the time each
//! shard's thread has run, by which one sees whether a shard is full.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};

use super::metrics::Sample;

/// What the kernel says of this process. What it does not say is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    stat: Option<Stat>,
    /// When it started, in seconds since 1970. That is noted by us: for the kernel's word one needs `/proc/stat`, which
    /// a hardened unit does not show (`ProcSubset=pid`).
    started: f64,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    /// Each shard's number and the seconds its thread has run.
    shards: Vec<(String, f64)>,
}

impl Process {
    /// This process now, which started so many seconds after 1970.
    pub(super) fn now(started: f64) -> Self {
        let read = |path| fs::read_to_string(path).ok();
        // The directory itself is open while it is read.
        let open = fs::read_dir("/proc/self/fd").ok();
        Self {
            stat: read("/proc/self/stat").as_deref().and_then(Stat::parse),
            started,
            open_fds: open.map(|open| open.count().saturating_sub(1) as u64),
            max_fds: read("/proc/self/limits").as_deref().and_then(max_fds),
            shards: shards(),
        }
    }

    /// One that has everything, and one shard of this name.
    pub(super) fn example(shard: &str) -> Self {
        Self {
            stat: Some(Stat::default()),
            started: 0.0,
            open_fds: Some(0),
            max_fds: Some(0),
            shards: vec![(shard.to_owned(), 0.0)],
        }
    }

    /// Seconds since 1970 when it started.
    pub(super) const fn started(&self) -> f64 {
        self.started
    }

    pub(super) fn samples(&self, all: &mut Vec<Sample>) {
        if let Some(stat) = &self.stat {
            all.extend(stat.samples());
        }
        let help = "When the process started, in seconds since 1970.";
        let started = Sample::seconds("process_start_time_seconds", help, self.started);
        all.push(started);
        if let Some(open) = self.open_fds {
            let help = "Open file descriptors.";
            all.push(Sample::gauge("process_open_fds", help, open));
        }
        if let Some(most) = self.max_fds {
            let help = "File descriptors that may be open.";
            all.push(Sample::gauge("process_max_fds", help, most));
        }
        for (shard, seconds) in &self.shards {
            let name = "wapbridge_shard_cpu_seconds_total";
            let help =
                "Processor time of each shard's thread: one second per second is a full shard.";
            all.push(Sample::seconds_counter(name, help, *seconds).label("shard", shard.clone()));
        }
    }
}

/// Some of `/proc/PID/stat` (proc_pid_stat(5)), times in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stat {
    cpu: f64,
    virtual_octets: u64,
    resident_octets: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may contain anything. Fields are numbered from 3 behind it.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let page = page_size() as u64;
        Some(Self {
            cpu: seconds(field(14)? + field(15)?),
            virtual_octets: field(23)?,
            resident_octets: field(24)? * page,
        })
    }

    fn samples(&self) -> [Sample; 3] {
        [
            Sample::seconds_counter(
                "process_cpu_seconds_total",
                "Processor time, user and system.",
                self.cpu,
            ),
            Sample::gauge(
                "process_resident_memory_bytes",
                "Memory in use.",
                self.resident_octets,
            ),
            Sample::gauge(
                "process_virtual_memory_bytes",
                "Memory addressed.",
                self.virtual_octets,
            ),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of decades fit")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The processor time of the threads named `shard-N`, by N.
fn shards() -> Vec<(String, f64)> {
    let mut found: Vec<(usize, f64)> = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .filter_map(|task| {
            let stat = fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            let (_, name) = stat.split_once("(shard-")?;
            let (number, _) = name.split_once(')')?;
            Some((number.parse().ok()?, Stat::parse(&stat)?.cpu))
        })
        .collect();
    found.sort_unstable_by_key(|(number, _)| *number);
    found
        .into_iter()
        .map(|(number, cpu)| (number.to_string(), cpu))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_does_not_confuse() {
        let ticks = clock_ticks_per_second();
        let text = format!(
            "12 (a) b (c) S 1 12 12 0 -1 4194304 5 0 0 0 {ticks} {ticks} 0 0 20 0 3 0 {ticks} 4096 2 184467"
        );
        let stat = Stat::parse(&text).unwrap();
        assert!((stat.cpu - 2.0).abs() < 1e-9);
        assert_eq!(stat.virtual_octets, 4096);
        assert_eq!(stat.resident_octets, 2 * page_size() as u64);
        assert_eq!(Stat::parse("12 (short) S 1"), None);
    }

    #[test]
    fn this_process_is_known() {
        let thread = std::thread::Builder::new().name("shard-7".to_owned());
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        // A thread takes its name when it begins to run.
        let running = thread
            .spawn(move || tell.send(()).map(|()| stopped.recv()))
            .unwrap();
        told.recv().unwrap();
        let mut all = Vec::new();
        Process::now(1_795_421_456.5).samples(&mut all);
        let names: Vec<_> = all.iter().map(Sample::name).collect();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_start_time_seconds",
            "process_open_fds",
            "process_max_fds",
            "wapbridge_shard_cpu_seconds_total",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        drop(stop);
        let _ = running.join();
    }
}
