//! How long packet groups take to be answered, and so when to try again (WTP appendix A, B.1, B.3).

use std::time::Duration;

use super::config::Config;
use crate::time::Instant;

/// Round trip and rate to the peer, measured within one message.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Pace {
    /// When the unacknowledged packets were sent, and their octets.
    sent_at: Instant,
    octets: u32,
    /// Whether an answer now gives a round trip: no packet was repeated since.
    clean: bool,
    measured: Option<Measured>,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Measured {
    took: Duration,
    octets: u32,
    fastest: Duration,
    /// More than one group was measured, so that the fastest is near a round trip.
    often: bool,
}

impl Pace {
    /// So many octets were sent, and await an answer.
    pub(super) fn start(&mut self, now: Instant, octets: usize) {
        self.octets = u32::try_from(octets).unwrap_or(u32::MAX);
        self.sent_at = now;
        self.clean = true;
    }

    /// Something was sent again: the answer could be to either.
    pub(super) const fn blur(&mut self) {
        self.clean = false;
    }

    /// An answer came.
    pub(super) fn measure(&mut self, now: Instant, config: &Config) {
        let clean = std::mem::take(&mut self.clean);
        let took = now - self.sent_at;
        // An answer that could be to either took no longer than this: if that is not much, enough
        // to begin with, so that a link slower than we thought is not asked too early each time.
        let tells = clean || self.measured.is_none() && took <= config.group_retry;
        if !tells || self.octets == 0 {
            return;
        }
        let fastest = self
            .measured
            .map_or(took, |measured| measured.fastest.min(took));
        self.measured = Some(Measured {
            took,
            octets: self.octets,
            fastest,
            often: self.measured.is_some(),
        });
    }

    /// How long it should take to get `octets` across and answered: as much as at the last measured
    /// speed, and a round trip.
    pub(super) fn expected(&self, octets: usize, config: &Config) -> Option<Duration> {
        let measured = self.measured?;
        let micros = measured.took.as_micros().saturating_mul(octets as u128);
        let micros = micros / u128::from(measured.octets.max(1));
        let transfer = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let round_trip = if measured.often {
            measured.fastest
        } else {
            measured.fastest.min(config.nack_delay * 2)
        };
        Some(transfer.min(measured.took) + round_trip)
    }

    /// The retry interval of a group of which the last packet was repeated `retries` times.
    ///
    /// The values were chosen by the table that `tests/bench/wtp_large_result.rs` prints.
    pub(super) fn group_interval(&self, retries: u8, extended: bool, config: &Config) -> Duration {
        let kbytes = self.octets.div_ceil(1024);
        let extra = config.round_trip_per_kbyte.saturating_mul(kbytes);
        let usual = config.group_retry + extra;
        let expected = self.expected(self.octets as usize, config);
        // With a known round trip, silence means loss. One loss says little about the next try.
        let doublings = match expected {
            Some(_) if !extended => retries.saturating_sub(1),
            _ => retries,
        };
        let backoff = 1 << doublings.min(MOST_DOUBLINGS);
        let (interval, cap) = match expected {
            // The round trip is unknown. Only one packet is repeated, so an early repetition costs
            // little on a slow link, while the wait for a slow link costs seconds on a fast one.
            // The peer must not give up between two tries.
            None => {
                let last = retries >= config.max_retransmissions;
                let cap = if last {
                    usual
                } else {
                    usual.min(config.wait_timeout / 3)
                };
                (config.group_retry / 2 + extra / 10, cap)
            }
            Some(expected) => {
                let measured = expected + expected / 2 + config.nack_delay;
                let measured = measured.max(config.min_group_retry);
                (measured, usual.max(measured))
            }
        };
        // Extended SAR must back off without end (WTP 7.15.4); plain SAR no further than its usual
        // interval.
        if extended {
            interval * backoff
        } else {
            (interval * backoff).min(cap)
        }
    }
}

const MOST_DOUBLINGS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_unknown_link_is_tried_early_and_then_more_rarely() {
        let config = Config::ip();
        let mut pace = Pace::default();
        pace.start(Instant::ZERO, 65_536);
        let intervals = [0, 1, 2, 8].map(|retries| pace.group_interval(retries, false, &config));
        assert_eq!(intervals, [ms(2780), ms(5560), ms(11_120), ms(15_800)]);
        assert_eq!(pace.group_interval(2, true, &config), ms(4 * 2780));
    }

    #[test]
    fn a_measured_link_sets_the_pace() {
        let config = Config::ip();
        let mut pace = Pace::default();
        pace.start(Instant::ZERO, 10_240);
        pace.measure(Instant::ZERO + ms(2000), &config);
        // A tenth of the octets takes a tenth of the time, and a round trip of which little is
        // known.
        assert_eq!(pace.expected(1024, &config), Some(ms(200 + 600)));
        pace.start(Instant::ZERO + ms(2000), 1024);
        let intervals = [0, 1, 2, 8].map(|retries| pace.group_interval(retries, false, &config));
        assert_eq!(intervals, [ms(1500), ms(1500), ms(3000), ms(3200)]);
        assert_eq!(pace.group_interval(2, true, &config), ms(4 * 1500));
        pace.blur();
        pace.measure(Instant::ZERO + ms(9000), &config);
        assert_eq!(pace.expected(1024, &config), Some(ms(800)));
        pace.start(Instant::ZERO + ms(9000), 1024);
        pace.measure(Instant::ZERO + ms(9700), &config);
        assert_eq!(pace.expected(512, &config), Some(ms(350 + 700)));
    }
    #[test]
    fn an_answer_to_one_of_two_says_how_slow_the_link_is_at_most() {
        let config = Config::ip();
        let mut pace = Pace::default();
        pace.start(Instant::ZERO, 1024);
        pace.blur();
        let late = config.group_retry + ms(1);
        pace.measure(Instant::ZERO + late, &config);
        assert_eq!(pace.expected(1024, &config), None);
        pace.measure(Instant::ZERO + ms(1800), &config);
        assert_eq!(pace.expected(1024, &config), Some(ms(1800 + 600)));
    }
}
