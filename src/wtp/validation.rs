//! Address validation: an address gets few octets until it has proved that it receives (after RFC
//! 9000, 8).
//!
//! A blind attacker forges Connect, Ack and Get from the address of a victim. The initiator chooses
//! every TID, so the attacker can acknowledge results that it never received. It cannot know where
//! a packet group of random length ends. So the groups of a Result to an unvalidated address have a
//! random number of packets, few at first, and an Ack for the last one proves that its sender
//! received it. Each proof lets the next group grow. Enough proofs validate the address for
//! [`LIFETIME`]. An Ack for any other packet is a guess: the transaction is aborted, and the
//! address starts again without proofs.

use std::time::Duration;

use crate::random::{Keyed, Random};
use crate::table::ExpiringMap;
use crate::time::Instant;
use crate::wdp::{Peer, is_private, source_prefix};
use crate::wtp::config::Config;

/// The proofs of all addresses.
#[derive(Clone, Debug)]
pub(super) struct Validation {
    random: Random,
    proved: ExpiringMap<u128, Proof, Instant, Keyed>,
    /// Our ports at which a layer below has the proof.
    proved_ports: Vec<u16>,
}

/// The proof of one address: one in this many blind attackers would have got as far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Proof(u32);

impl Proof {
    const NONE: Self = Self(1);

    const fn is_enough(self) -> bool {
        self.0 >= ENOUGH
    }
}

impl Validation {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x7661_6C69);
        Self {
            proved: ExpiringMap::new(random.hasher()),
            random,
            proved_ports: Vec::new(),
        }
    }

    /// Needs no proof of a peer at these of our ports: the layer below hears only peers that have
    /// given one.
    pub(super) fn set_proved_ports(&mut self, ports: Vec<u16>) {
        self.proved_ports = ports;
    }

    /// Whether a peer that cannot re-assemble may get more than [`LARGEST_UNVALIDATED`] octets. Its
    /// Acks prove nothing, so its address must be in a network that no datagram leaves.
    pub(super) fn takes_large_packets(&self, peer: Peer, config: &Config) -> bool {
        let address = peer.remote.ip();
        !config.validate_addresses || is_private(address) || self.is_enough_of(peer)
    }

    /// The limits of a Result to this address; `None` once the address is validated.
    pub(super) fn probe(&mut self, now: Instant, peer: Peer) -> Option<Probe> {
        self.proved.expire(now);
        (!self.is_enough_of(peer)).then(|| Probe {
            lots: self.random.u64(),
            proof: self.proof(peer),
            drawn_from: 1,
            resends: 0,
            unnumbered: UNNUMBERED_ACKS,
            settled: false,
        })
    }

    /// Records the proof or the wrong guess of a transaction.
    pub(super) fn note(&mut self, now: Instant, peer: Peer, probe: Probe) {
        let until = now + LIFETIME;
        let key = source_prefix(peer.remote.ip());
        self.proved.insert(until, key, probe.proof, MOST_ADDRESSES);
    }

    fn is_enough_of(&self, peer: Peer) -> bool {
        self.proved_ports.contains(&peer.local.port()) || self.proof(peer).is_enough()
    }

    fn proof(&self, peer: Peer) -> Proof {
        let key = source_prefix(peer.remote.ip());
        self.proved.get(&key).copied().unwrap_or(Proof::NONE)
    }
}

/// How a message is sent to an unvalidated address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Probe {
    lots: u64,
    proof: Proof,
    /// Out of how many sizes the newest group's was drawn; 1 if an attacker could tell it.
    drawn_from: u32,
    /// Packets of the newest group that may be sent again when asked for.
    resends: usize,
    /// Acks without a number that may still go on with the message.
    unnumbered: u8,
    /// The proof has changed and is not noted yet.
    settled: bool,
}

impl Probe {
    /// Octets of the packets of a segmented message, where they may have so many.
    pub(super) fn packet(most: usize) -> usize {
        most.min(UNVALIDATED_PACKET)
    }

    /// Draws the size of the next group, of at most `most` packets. `whole` packets would end the
    /// message.
    pub(super) fn draw(&mut self, most: usize, whole: usize) -> usize {
        let window = FIRST_WINDOW
            .saturating_mul(self.proof.0 as usize)
            .min(most)
            .max(1);
        // A linear congruential step (Knuth); its high bits are good enough for a lot that is drawn
        // a few times.
        self.lots = self
            .lots
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let drawn = 1 + usize::try_from(self.lots >> 33).unwrap_or(0) % window;
        self.drawn_from = match drawn < whole {
            true => u32::try_from(window).unwrap_or(u32::MAX),
            // The end of the message is no secret.
            false => 1,
        };
        self.resends = RESENDS * drawn;
        drawn
    }

    /// The end of the newest group was acknowledged by its number.
    pub(super) fn confirm(&mut self) {
        if self.drawn_from > 1 {
            self.proof = Proof(self.proof.0.saturating_mul(self.drawn_from));
            self.settled = true;
        }
    }

    /// An Ack without a number goes on with the message, which proves nothing. False once there
    /// were enough of them: they may be forged, and each would bring another group.
    pub(super) fn may_go_on_unproved(&mut self) -> bool {
        let may = self.unnumbered > 0;
        self.unnumbered = self.unnumbered.saturating_sub(1);
        may
    }

    /// A packet was acknowledged that ends no group: the sender of the Ack guesses.
    pub(super) fn refute(&mut self) {
        self.proof = Proof::NONE;
        self.settled = true;
    }

    /// Whether one more packet may be sent again because it was asked for.
    pub(super) fn may_resend(&mut self) -> bool {
        let may = self.resends > 0;
        self.resends = self.resends.saturating_sub(1);
        may
    }

    /// Whether the proof has changed since it was asked for last, and whether it is enough now.
    pub(super) fn take_change(&mut self) -> Option<bool> {
        std::mem::take(&mut self.settled).then_some(self.proof.is_enough())
    }
}

/// Packets of the first group to an address without proofs.
const FIRST_WINDOW: usize = 3;
/// An address is validated once a blind attacker would have failed in all but one of so many cases.
const ENOUGH: u32 = 500;
/// How long an address stays validated. Access networks reassign addresses, but not within minutes.
const LIFETIME: Duration = Duration::from_secs(3_600);
/// Addresses whose proofs are kept. At the limit the oldest address has to prove itself again.
const MOST_ADDRESSES: usize = 65_536;
/// Largest message to a peer that cannot re-assemble, in octets, until its address is validated.
/// Such a message is one datagram, and its Ack proves nothing.
pub(super) const LARGEST_UNVALIDATED: usize = 5_600;
/// Octets of the packets of a segmented message to an address that is not validated.
const UNVALIDATED_PACKET: usize = 512;
/// How often the last packet of a group is sent again to an address that is not validated.
pub(super) const UNVALIDATED_RETRANSMISSIONS: u8 = 6;
/// Acks without a number that go on with one message to an address that is not validated.
const UNNUMBERED_ACKS: u8 = 2;
/// How often each packet of a group, on average, is sent again because it was asked for.
const RESENDS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer::new(
            "192.0.2.1:4000".parse().unwrap(),
            "198.51.100.1:9201".parse().unwrap(),
        )
    }

    #[test]
    fn at_a_proved_port_no_address_needs_a_proof() {
        let config = Config {
            validate_addresses: true,
            ..Config::default()
        };
        let mut validation = Validation::new(1);
        assert!(validation.probe(Instant::ZERO, peer()).is_some());
        assert!(!validation.takes_large_packets(peer(), &config));
        validation.set_proved_ports(vec![9_203]);
        assert!(validation.probe(Instant::ZERO, peer()).is_some());
        validation.set_proved_ports(vec![9_203, peer().local.port()]);
        assert!(validation.probe(Instant::ZERO, peer()).is_none());
        assert!(validation.takes_large_packets(peer(), &config));
    }

    #[test]
    fn ends_of_groups_that_only_the_receiver_knows_validate_an_address() {
        let now = Instant::ZERO;
        let mut validation = Validation::new(1);
        let mut groups = Vec::new();
        while let Some(mut probe) = validation.probe(now, peer()) {
            groups.push(probe.draw(1_000, 10_000));
            probe.confirm();
            validation.note(now, peer(), probe);
        }
        assert!(groups[0] <= 3 && groups.len() <= 5, "{groups:?}");
        let later = now + LIFETIME;
        assert!(validation.probe(later, peer()).is_some(), "for a while");
    }

    #[test]
    fn a_guesser_begins_again_and_the_end_of_a_message_proves_nothing() {
        let mut validation = Validation::new(1);
        let mut probe = validation.probe(Instant::ZERO, peer()).unwrap();
        let drawn = probe.draw(100, 1);
        assert_eq!(probe.resends, RESENDS * drawn);
        probe.confirm();
        assert_eq!(probe.take_change(), None);
        probe.draw(100, 100);
        probe.confirm();
        assert_eq!(probe.take_change(), Some(false));
        probe.refute();
        assert_eq!(
            (probe.take_change(), probe.proof),
            (Some(false), Proof::NONE)
        );
    }
}
