//! A bad network as a small state machine: for each datagram it returns the arrivals of its copies.

use std::time::Duration;

use crate::random::Random;
use crate::time::Instant;

/// One direction of a path. The simulator, the demo's relay and `wapbridge proxy` use the same one.
#[derive(Clone, Debug)]
pub struct Network {
    loss: f64,
    duplication: f64,
    reordering: f64,
    delay: Duration,
    jitter: Duration,
    /// Octets per second, when the link is narrow.
    rate: Option<u64>,
    /// Octets that may wait for a narrow link; further datagrams are dropped.
    queue: u64,
    /// The time at which the narrow link is free again.
    free_at: Instant,
    /// Datagrams dropped.
    dropped: u64,
}

/// The arrivals of the copies of one datagram: none, one or two.
pub type Arrivals = [Option<Instant>; 2];

impl Network {
    /// Every datagram arrives once, at once and in order.
    #[must_use]
    pub const fn perfect() -> Self {
        Self {
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate: None,
            queue: u64::MAX,
            free_at: Instant::ZERO,
            dropped: 0,
        }
    }

    /// Drops this share of all datagrams.
    #[must_use]
    pub const fn loss(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    /// Delivers this share of all datagrams twice.
    #[must_use]
    pub const fn duplication(mut self, share: f64) -> Self {
        self.duplication = share;
        self
    }

    /// Holds this share of all datagrams back, by up to four times the delay and jitter, so that
    /// later ones overtake them.
    #[must_use]
    pub const fn reordering(mut self, share: f64) -> Self {
        self.reordering = share;
        self
    }

    /// Delays every datagram by this much.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Delays every datagram by up to this much more, each by its own draw.
    #[must_use]
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Makes the link narrow: this many bits per second, with room for `queue` octets before it.
    #[must_use]
    pub const fn rate(mut self, bits_per_second: u64, queue: u64) -> Self {
        self.rate = Some(bits_per_second / 8);
        self.queue = queue;
        self
    }

    /// The arrivals of the copies of a datagram of `len` octets that is sent now.
    pub fn carry(&mut self, now: Instant, len: usize, random: &mut Random) -> Arrivals {
        let mut sent = now;
        if let Some(rate) = self.rate {
            // IP and UDP headers take their share of a narrow link.
            let octets = len as u64 + 28;
            let start = self.free_at.max(now);
            let waiting = u64::try_from(start.since(now).as_micros()).unwrap_or(u64::MAX);
            if waiting.saturating_mul(rate) / 1_000_000 > self.queue {
                self.dropped += 1;
                return [None, None];
            }
            self.free_at = start + Duration::from_micros(octets * 1_000_000 / rate.max(1));
            sent = self.free_at;
        }
        if random.chance(self.loss) {
            self.dropped += 1;
            return [None, None];
        }
        let first = Some(sent + self.latency(random));
        let second = random
            .chance(self.duplication)
            .then(|| sent + self.latency(random) + self.delay / 2);
        [first, second]
    }

    /// Datagrams dropped so far.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn latency(&self, random: &mut Random) -> Duration {
        let mut latency = self.delay + draw(self.jitter, random);
        if random.chance(self.reordering) {
            latency += draw((self.delay + self.jitter) * 4, random);
        }
        latency
    }
}

/// A time below `bound`, evenly spread.
fn draw(bound: Duration, random: &mut Random) -> Duration {
    let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 {
        return Duration::ZERO;
    }
    Duration::from_micros(random.below(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_network_delivers_once_and_at_once() {
        let mut random = Random::new(1);
        let now = Instant::from_micros(5);
        assert_eq!(
            Network::perfect().carry(now, 100, &mut random),
            [Some(now), None]
        );
    }

    #[test]
    fn loss_and_duplication_come_near_their_shares() {
        let mut random = Random::new(1);
        let mut network = Network::perfect().loss(0.3).duplication(0.2);
        let (mut none, mut two) = (0, 0);
        for _ in 0..10_000 {
            match network.carry(Instant::ZERO, 1, &mut random) {
                [None, _] => none += 1,
                [Some(_), Some(_)] => two += 1,
                [Some(_), None] => {}
            }
        }
        assert!((2_800..3_200).contains(&none), "{none}");
        assert!((1_250..1_550).contains(&two), "{two}");
    }

    #[test]
    fn a_narrow_link_takes_its_time_and_drops_what_does_not_fit_its_queue() {
        let mut random = Random::new(1);
        let mut network = Network::perfect().rate(8_000, 1_000);
        let arrive = |n: &mut Network, r: &mut Random| n.carry(Instant::ZERO, 972, r)[0];
        assert_eq!(
            arrive(&mut network, &mut random),
            Some(Instant::from_micros(1_000_000))
        );
        assert_eq!(
            arrive(&mut network, &mut random),
            Some(Instant::from_micros(2_000_000))
        );
        assert_eq!(arrive(&mut network, &mut random), None);
    }
}
