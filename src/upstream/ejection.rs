//! The ejection of a host: tried last for a time that grows, then on trial until it has worked.

use std::time::Duration;

use tokio::time::Instant;

use crate::route::Outlier;

/// Whether a host is ejected, and how long its last ejection was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ejection {
    last: Option<Last>,
}

/// The last ejection.
#[derive(Clone, Copy, Debug)]
struct Last {
    cause: Cause,
    /// How long it was to last, which decides on the next one.
    length: Duration,
    until: Instant,
    /// The host has worked after the end.
    worked: bool,
}

/// Why a host is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It could not be connected to. A later success proves that it can be.
    Connect,
    /// So many requests failed in a row. A success does not end the ejection: it may be the reply
    /// to a request from before.
    Failures,
}

impl Ejection {
    /// The end of the ejection, if the host is ejected.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        let until = self.last?.until;
        (now < until).then_some(until)
    }

    /// Ejects the host and returns for how long. `None` if it is ejected already.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        cause: Cause,
        times: &Outlier,
    ) -> Option<Duration> {
        if self.until(now).is_some() {
            return None;
        }
        let length = match self.last {
            Some(last) if !(last.worked && now >= last.until + last.length) => {
                (last.length * 2).min(times.max)
            }
            _ => times.base.min(times.max),
        };
        self.last = Some(Last {
            cause,
            length,
            until: now + length,
            worked: false,
        });
        Some(length)
    }

    /// Whether the ejection has ended, and the host has not worked since.
    pub(super) fn is_on_trial(&self, now: Instant) -> bool {
        self.last
            .is_some_and(|last| now >= last.until && !last.worked)
    }

    /// The host has answered. Returns whether it is back by that.
    pub(super) fn worked(&mut self, now: Instant) -> bool {
        let Some(last) = &mut self.last else {
            return false;
        };
        if now < last.until && last.cause == Cause::Connect {
            last.until = now;
        }
        if now < last.until {
            return false;
        }
        !std::mem::replace(&mut last.worked, true)
    }

    /// The host could be connected to, which says nothing of its requests. Returns whether it is
    /// back by that.
    pub(super) fn connected(&mut self, now: Instant) -> bool {
        let lacked_connection = (self.last).is_some_and(|last| last.cause == Cause::Connect);
        lacked_connection && self.worked(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(10);

    fn times() -> Outlier {
        Outlier {
            max: BASE * 5,
            ..Outlier::default()
        }
    }

    #[test]
    fn each_ejection_lasts_twice_as_long_as_the_one_before_up_to_the_longest() {
        let mut ejection = Ejection::default();
        let mut now = Instant::now();
        for length in [BASE, BASE * 2, BASE * 4, BASE * 5, BASE * 5] {
            assert_eq!(ejection.until(now), None);
            let begun = ejection.begin(now, Cause::Failures, &times());
            assert_eq!(begun, Some(length));
            // Failures of requests that are still under way change nothing.
            assert_eq!(ejection.begin(now, Cause::Connect, &times()), None);
            assert_eq!(ejection.until(now), Some(now + length));
            now += length;
        }
    }

    #[test]
    fn a_host_that_stays_for_as_long_as_it_was_away_begins_again() {
        let start = Instant::now();
        for (stays, works, length) in [
            (BASE, true, BASE),
            (BASE / 2, true, BASE * 2),
            (BASE * 100, false, BASE * 2),
        ] {
            let mut ejection = Ejection::default();
            ejection.begin(start, Cause::Failures, &times());
            // The reply to a request from before.
            assert!(!ejection.worked(start + BASE / 2));
            let back = start + BASE;
            assert!(ejection.until(back - Duration::from_millis(1)).is_some());
            assert!(!ejection.is_on_trial(back - Duration::from_millis(1)));
            assert!(ejection.is_on_trial(back));
            if works {
                assert!(!ejection.connected(back), "a connection proves nothing");
                assert!(ejection.worked(back));
                assert!(!ejection.worked(back), "it is back only once");
            }
            assert_eq!(ejection.is_on_trial(back + stays), !works);
            let begun = ejection.begin(back + stays, Cause::Failures, &times());
            assert_eq!(begun, Some(length), "{stays:?} {works}");
        }
    }

    #[test]
    fn a_success_ends_the_ejection_of_a_host_that_could_not_be_connected_to() {
        let mut ejection = Ejection::default();
        let now = Instant::now();
        ejection.begin(now, Cause::Connect, &times());
        assert!(ejection.until(now).is_some());
        assert!(ejection.connected(now));
        assert_eq!(ejection.until(now), None);
        assert!(!ejection.is_on_trial(now));
        // It is soon lost again.
        let begun = ejection.begin(now, Cause::Connect, &times());
        assert_eq!(begun, Some(BASE * 2));
    }
}
