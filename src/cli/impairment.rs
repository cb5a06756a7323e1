//! Network impairments between a tool's own handset and its socket: the simulator's network, in
//! real time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::random::Random;
use crate::sim::Network;
use crate::time::Instant;

/// The direction of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// From the gateway.
    In,
    /// To the gateway.
    Out,
}

/// Both directions of a handset's way to the gateway, and the datagrams under way on it.
pub(super) struct Impairment {
    up: Network,
    down: Network,
    random: Random,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    serial: u64,
}

/// A datagram on its way. The order of the fields is the order of arrival.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    at: Instant,
    serial: u64,
    direction: Direction,
    octets: Vec<u8>,
}

impl Impairment {
    /// The same network in both directions; `seed` decides losses and delays.
    pub(super) fn new(network: Network, seed: u64) -> Self {
        Self {
            up: network.clone(),
            down: network,
            random: Random::new(seed),
            under_way: BinaryHeap::new(),
            serial: 0,
        }
    }

    /// Sends a datagram: no copy, one or two copies of it will arrive.
    pub(super) fn carry(&mut self, now: Instant, direction: Direction, octets: &[u8]) {
        let network = match direction {
            Direction::In => &mut self.down,
            Direction::Out => &mut self.up,
        };
        let arrivals = network.carry(now, octets.len(), &mut self.random);
        for at in arrivals.into_iter().flatten() {
            self.serial += 1;
            self.under_way.push(Reverse(UnderWay {
                at,
                serial: self.serial,
                direction,
                octets: octets.to_vec(),
            }));
        }
    }

    /// A datagram that has arrived by now.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<(Direction, Vec<u8>)> {
        let Reverse(first) = self.under_way.peek()?;
        if first.at > now {
            return None;
        }
        let Reverse(first) = self.under_way.pop()?;
        Some((first.direction, first.octets))
    }

    /// The arrival of the next datagram.
    pub(super) fn next(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(first)| first.at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn datagrams_arrive_late_and_in_the_order_of_their_arrival() {
        let delay = Duration::from_millis(5);
        let mut impairment = Impairment::new(Network::perfect().delay(delay), 1);
        let start = Instant::ZERO;
        impairment.carry(start, Direction::Out, b"first");
        impairment.carry(start + delay, Direction::In, b"second");
        assert_eq!(impairment.next(), Some(start + delay));
        assert_eq!(impairment.arrived(start), None);
        let first = impairment.arrived(start + delay * 2);
        assert_eq!(first, Some((Direction::Out, b"first".to_vec())));
        let second = impairment.arrived(start + delay * 2);
        assert_eq!(second, Some((Direction::In, b"second".to_vec())));
        assert_eq!(impairment.next(), None);
    }

    #[test]
    fn a_lost_datagram_never_arrives_and_a_doubled_one_arrives_twice() {
        let mut lost = Impairment::new(Network::perfect().loss(1.0), 1);
        lost.carry(Instant::ZERO, Direction::In, b"x");
        assert_eq!(lost.next(), None);
        let mut doubled = Impairment::new(Network::perfect().duplication(1.0), 1);
        doubled.carry(Instant::ZERO, Direction::In, b"x");
        assert!(doubled.arrived(Instant::ZERO).is_some());
        assert!(doubled.arrived(Instant::ZERO).is_some());
        assert!(doubled.arrived(Instant::ZERO).is_none());
    }
}
