//! CPU time and memory of another process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};

/// CPU time and memory of a process with all its threads, from `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// In its own code.
    pub(super) user: Duration,
    /// In the kernel on its behalf.
    pub(super) system: Duration,
    /// Octets of it in memory.
    pub(super) resident: u64,
}

impl Usage {
    /// The figures since the start of the process.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).with_context(|| format!("--pid {pid}: {path}"))?;
        let Some([user, system, pages]) = numbers(&stat) else {
            bail!("{path} is not as Linux writes it");
        };
        let ticks = rustix::param::clock_ticks_per_second();
        let time = |count: u64| Duration::from_nanos(count.saturating_mul(1_000_000_000 / ticks));
        Ok(Self {
            user: time(user),
            system: time(system),
            resident: pages.saturating_mul(rustix::param::page_size() as u64),
        })
    }

    /// User and system time together.
    pub(super) const fn cpu(&self) -> Duration {
        self.user.saturating_add(self.system)
    }
}

/// The name of a process.
pub(super) fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .map(|name| name.trim_end().to_owned())
        .unwrap_or_default()
}

/// Fields 14, 15 and 24: utime, stime and rss. The name in field 2 may hold anything, even
/// brackets.
fn numbers(stat: &str) -> Option<[u64; 3]> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let user = fields.nth(11)?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    let pages = fields.nth(8)?.parse().ok()?;
    Some([user, system, pages])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 31 12 0 0 20 0 3 0 99 1000000 250 18446744073709551615";
        assert_eq!(numbers(stat), Some([31, 12, 250]));
        assert_eq!(numbers("7 (a)"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 100_000);
        assert!(!name(std::process::id()).is_empty());
    }
}
