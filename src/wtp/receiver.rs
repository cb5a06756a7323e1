//! The receiving side of segmentation: when to acknowledge a group and when to ask again (WTP 7.14, 7.15).

use std::time::Duration;

use bytes::Bytes;

use super::assembler::{Assembler, Groups, Heard, Marks};
use super::config::{Config, Defect};
use super::indication::Fragment;
use super::pdu::{Packet, Trailer};
use super::tpi::{Psn, Tpi};
use crate::time::Instant;

/// A segmented message on its way in.
#[derive(Clone, Debug, Hash)]
pub(super) struct Receiver {
    assembler: Assembler,
    /// Missing packets are asked for then, unless one comes.
    nack_at: Option<Instant>,
    /// Nothing came for too long.
    forget_at: Instant,
    /// The latest end of a group that was acknowledged.
    acked: Option<Psn>,
    /// When the latest packet came, if more of its group was to follow.
    flowing_since: Option<Instant>,
    /// Time from packet to packet within a group, as far as seen.
    gap: Duration,
    defect: Option<Defect>,
}

/// What to say to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    /// Nothing, it was stored.
    Stored,
    /// Nothing, it was known.
    Duplicate,
    /// Nothing, it cannot be.
    Impossible,
    /// All groups up to this packet are here.
    Ack {
        psn: Psn,
        repeated: bool,
        duplicate: bool,
    },
    /// Packets before this one are missing, and waiting any longer is no use.
    Nack { up_to: Psn },
}

/// What the passing of time did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lapse {
    /// Nothing was due.
    NotYet,
    /// Packets before this one are missing.
    Nack { up_to: Psn },
    /// No packet came for so long that none will.
    Abandoned,
}

impl Receiver {
    pub(super) fn new(now: Instant, config: &Config) -> Self {
        Self {
            assembler: Assembler::default(),
            nack_at: None,
            forget_at: now + config.wait_timeout,
            acked: None,
            flowing_since: None,
            gap: Duration::ZERO,
            defect: config.defect,
        }
    }

    /// Takes in a packet; `low` is the low octet of its number.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        low: u8,
        packet: &Packet<'_>,
        config: &Config,
    ) -> Reception {
        let (psn, marks) = place(low, packet);
        // Even a copy shows that the sender is still at it.
        self.forget_at = now + config.wait_timeout;
        let before = self.assembler.trailer();
        // A repeated trailer says as well as a new packet that the sender is still at it.
        self.forget_at = self.forget_at.max(now + config.wait_timeout);
        match self.assembler.hear(psn, marks, packet.data) {
            Heard::Impossible => return Reception::Impossible,
            Heard::Duplicate => return self.hear_again(now, packet, config),
            Heard::Stored => {}
        }
        self.note_gap(now, packet);
        match self.assembler.groups(self.defect) {
            Groups::Open => Reception::Stored,
            Groups::Complete(end) => {
                self.nack_at = None;
                if self.acked >= Some(end) {
                    return Reception::Stored;
                }
                self.acked = Some(end);
                Reception::Ack {
                    psn: end,
                    repeated: false,
                    duplicate: false,
                }
            }
            Groups::Missing(end) => {
                // The next group has ended while holes in the one before were being waited for (B.3.1).
                let overdue = before.filter(|&before| before < end && self.nack_at.is_some());
                if overdue.is_some() || psn <= end {
                    self.nack_at = Some(now + self.patience(config));
                }
                overdue.map_or(Reception::Stored, |up_to| Reception::Nack { up_to })
            }
        }
    }

    /// Looks at the time.
    pub(super) fn expire(&mut self, now: Instant) -> Lapse {
        if self.forget_at <= now {
            return Lapse::Abandoned;
        }
        match (self.nack_at, self.assembler.trailer()) {
            (Some(at), Some(up_to)) if at <= now => {
                self.nack_at = None;
                Lapse::Nack { up_to }
            }
            _ => Lapse::NotYet,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Instant {
        self.nack_at
            .map_or(self.forget_at, |at| at.min(self.forget_at))
    }

    /// The message waits for something else than packets: no Nack is due, and it is kept until then.
    pub(super) const fn keep_until(&mut self, at: Instant) {
        self.nack_at = None;
        self.forget_at = at;
    }

    /// Low octets of the packets missing before `up_to`.
    pub(super) fn missing(&self, up_to: Psn) -> impl Iterator<Item = u8> {
        let missing = self.assembler.missing();
        missing
            .take_while(move |&psn| psn <= up_to)
            .map(|psn| psn.to_be_bytes()[3])
    }

    /// Whether every packet is here.
    pub(super) fn is_complete(&self) -> bool {
        self.assembler.is_complete(self.defect)
    }

    /// The latest end of a group that was acknowledged.
    pub(super) const fn acked(&self) -> Option<Psn> {
        self.acked
    }

    /// The next complete data unit.
    pub(super) fn take_unit(&mut self) -> Option<(Bytes, Fragment)> {
        let hasty = self.defect == Some(Defect::AckOverHole) && self.is_complete();
        let unit = self.assembler.take_unit();
        if unit.is_none() && hasty {
            let data = self.assembler.take_hasty();
            return (!data.is_empty()).then_some((data, Fragment::WHOLE));
        }
        unit
    }

    /// Octets of the message so far.
    pub(super) fn message_len(&self) -> usize {
        self.assembler.message_len()
    }

    /// Octets of memory held.
    pub(super) fn footprint(&self) -> usize {
        self.assembler.footprint()
    }

    fn hear_again(&mut self, now: Instant, packet: &Packet<'_>, config: &Config) -> Reception {
        // An end of a group without data is a probe of a closed window, repeated or not (WTP 7.15.3).
        let asks = packet.repeated || packet.data.is_empty();
        if !asks || packet.trailer == Trailer::Inside {
            return Reception::Duplicate;
        }
        match self.assembler.groups(self.defect) {
            Groups::Open => Reception::Duplicate,
            Groups::Complete(psn) => Reception::Ack {
                psn,
                repeated: true,
                duplicate: true,
            },
            Groups::Missing(_) => {
                if self.nack_at.is_none() {
                    self.nack_at = Some(now + config.nack_delay);
                }
                Reception::Duplicate
            }
        }
    }

    /// How long to wait for a missing packet: some, and longer than packets take to follow each other.
    fn patience(&self, config: &Config) -> Duration {
        config.nack_delay.max((self.gap * 2).min(LONGEST_GAP))
    }

    fn note_gap(&mut self, now: Instant, packet: &Packet<'_>) {
        if let Some(before) = self.flowing_since {
            self.gap = (now - before).max(self.gap - self.gap / 8);
        }
        self.flowing_since = (packet.trailer == Trailer::Inside).then_some(now);
    }
}

/// The whole number of a packet and what its header says about its place.
fn place(low: u8, packet: &Packet<'_>) -> (Psn, Marks) {
    let mut marks = Marks {
        trailer: packet.trailer,
        unit_ends: false,
        frame_starts: false,
    };
    let mut high = 0;
    for item in packet.tpis.iter() {
        match item {
            Tpi::Psn(octets) => high = octets & 0xFFFF,
            Tpi::SduBoundary => marks.unit_ends = true,
            Tpi::FrameBoundary => marks.frame_starts = true,
            _ => {}
        }
    }
    (high << 8 | Psn::from(low), marks)
}

const LONGEST_GAP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::tpi::Tpis;
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn packet(trailer: Trailer, repeated: bool) -> Packet<'static> {
        Packet {
            tid: 1,
            repeated,
            trailer,
            tpis: Tpis::NONE,
            data: b"x",
        }
    }

    #[test]
    fn missing_packets_are_asked_for_after_a_pause_that_starts_anew_with_each_that_comes() {
        let config = Config::ip();
        let mut receiver = Receiver::new(ms(0), &config);
        let inside = packet(Trailer::Inside, false);
        assert_eq!(receiver.hear(ms(0), 0, &inside, &config), Reception::Stored);
        let last = packet(Trailer::Message, false);
        assert_eq!(receiver.hear(ms(10), 4, &last, &config), Reception::Stored);
        assert_eq!(receiver.deadline(), ms(310));
        assert_eq!(
            receiver.hear(ms(200), 2, &inside, &config),
            Reception::Stored
        );
        assert_eq!(receiver.expire(ms(310)), Lapse::NotYet);
        assert_eq!(receiver.deadline(), ms(500));
        assert_eq!(receiver.expire(ms(500)), Lapse::Nack { up_to: 4 });
        assert_eq!(receiver.missing(4).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(receiver.expire(ms(501)), Lapse::NotYet);
        // Only a repeated trailer makes us ask once more.
        let again = packet(Trailer::Message, true);
        assert_eq!(
            receiver.hear(ms(600), 4, &last, &config),
            Reception::Duplicate
        );
        assert_eq!(receiver.deadline(), ms(40_600));
        assert_eq!(
            receiver.hear(ms(600), 4, &again, &config),
            Reception::Duplicate
        );
        assert_eq!(receiver.deadline(), ms(900));
    }

    #[test]
    fn a_complete_group_is_acknowledged_once_and_again_when_its_end_is_repeated() {
        let config = Config::ip();
        let mut receiver = Receiver::new(ms(0), &config);
        receiver.hear(ms(0), 0, &packet(Trailer::Inside, false), &config);
        let ack = |repeated| Reception::Ack {
            psn: 1,
            repeated,
            duplicate: repeated,
        };
        let end = packet(Trailer::Group, false);
        assert_eq!(receiver.hear(ms(0), 1, &end, &config), ack(false));
        assert_eq!(receiver.hear(ms(1), 1, &end, &config), Reception::Duplicate);
        assert_eq!(
            receiver.hear(ms(1), 1, &packet(Trailer::Group, true), &config),
            ack(true)
        );
        assert_eq!(
            receiver.hear(ms(2), 2, &packet(Trailer::Inside, false), &config),
            Reception::Stored
        );
        assert_eq!(receiver.expire(ms(40_002)), Lapse::Abandoned);
    }

    #[test]
    fn the_end_of_a_following_group_hastens_the_nack() {
        let config = Config::ip();
        let mut receiver = Receiver::new(ms(0), &config);
        receiver.hear(ms(0), 1, &packet(Trailer::Group, false), &config);
        let next = receiver.hear(ms(5), 3, &packet(Trailer::Group, false), &config);
        assert_eq!(next, Reception::Nack { up_to: 1 });
        assert_eq!(receiver.missing(1).collect::<Vec<_>>(), [0]);
        assert_eq!(receiver.expire(ms(305)), Lapse::Nack { up_to: 3 });
        assert_eq!(receiver.missing(3).collect::<Vec<_>>(), [0, 2]);
    }
}
