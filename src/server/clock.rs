//! The one place that reads the system's clock and its randomness, for the core that may not.

use std::time::Duration;

use crate::time::Instant;

/// A clock that starts at zero when it is made and never runs backwards.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
    /// Calendar time at that moment.
    unix: u64,
}

impl Clock {
    /// Starts the clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
            unix: unix(),
        }
    }

    /// The time on this clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// Seconds since 1970, counted evenly from the start of the process, even when the calendar is
    /// set.
    #[must_use]
    pub fn unix(&self) -> u64 {
        self.unix + self.start.elapsed().as_secs()
    }

    /// Microseconds since 1970, for records: the one time that may jump.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
    }

    /// Our moment for one of the system's, which is not before the clock's start.
    #[must_use]
    pub fn of_system(&self, at: std::time::Instant) -> Instant {
        Instant::ZERO + at.saturating_duration_since(self.start)
    }

    /// The system's moment for one of ours, for its timers.
    #[must_use]
    pub fn system(&self, at: Instant) -> std::time::Instant {
        self.start + Duration::from_micros(at.as_micros())
    }
}

/// Seconds since 1970 by the calendar, which may be set at any time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// A random key.
///
/// # Errors
/// The system has no randomness.
pub fn key() -> std::io::Result<[u8; 16]> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(std::io::Error::other)?;
    Ok(octets)
}

/// A seed for secrets.
///
/// # Errors
/// When the system has no randomness to give.
pub fn secret_seed() -> std::io::Result<[u8; 32]> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).map_err(std::io::Error::other)?;
    Ok(octets)
}

/// A random seed.
///
/// # Errors
/// The system has no randomness.
pub fn seed() -> std::io::Result<u64> {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets).map_err(std::io::Error::other)?;
    Ok(u64::from_ne_bytes(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_that_is_set_changes_no_order() {
        // The calendar had 1,000 at the start of the clock, and has another value now.
        let clock = Clock {
            unix: 1_000,
            ..Clock::start()
        };
        assert!((1_000..1_600).contains(&clock.unix()));
        assert!(unix() > 1_600_000_000);
    }
}
