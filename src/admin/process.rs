//! Processor time of each shard's thread. `metrics-process` reads the figures of the whole process.

use std::time::Duration;

use procfs::process::Process;

/// The processor time of each thread named `shard-N`, by N. Empty where `/proc` cannot be read.
pub(super) fn shard_cpu() -> Vec<(String, Duration)> {
    let ticks = procfs::ticks_per_second();
    let tasks = Process::myself().and_then(|process| process.tasks());
    let mut shards: Vec<(usize, Duration)> = tasks
        .into_iter()
        .flatten()
        .filter_map(|task| {
            let stat = task.ok()?.stat().ok()?;
            let shard = stat.comm.strip_prefix("shard-")?.parse().ok()?;
            let micros = (stat.utime + stat.stime) * 1_000_000 / ticks;
            Some((shard, Duration::from_micros(micros)))
        })
        .collect();
    shards.sort_unstable();
    shards
        .into_iter()
        .map(|(shard, time)| (shard.to_string(), time))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shards_thread_is_known_by_its_name() {
        let thread = std::thread::Builder::new().name("shard-7".to_owned());
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        // A thread takes its name when it begins to run.
        let running = thread
            .spawn(move || tell.send(()).map(|()| stopped.recv()))
            .unwrap();
        told.recv().unwrap();
        assert!(shard_cpu().iter().any(|(shard, _)| shard == "7"));
        drop(stop);
        let _ = running.join();
    }
}
