//! The receiving side of segmentation: when to acknowledge a group and when to ask again (WTP 7.14,
//! 7.15).

use std::time::Duration;

use bytes::Bytes;

use super::assembler::{Assembler, Groups, Insertion, Marks};
use super::config::Config;
use super::defects;
use super::indication::Fragment;
use super::pdu::{Packet, Trailer};
use super::tpi::{Psn, Tpi};
use crate::time::Instant;

/// A segmented message on its way in.
#[derive(Clone, Debug, Hash)]
pub(super) struct Receiver {
    assembler: Assembler,
    /// When a Nack asks for missing packets, if none of them comes.
    nack_at: Option<Instant>,
    /// When the message is dropped if no packet comes.
    forget_at: Instant,
    /// When the latest new packet came.
    progress_at: Instant,
    /// When the message is dropped whether packets come or not.
    until: Instant,
    /// The latest end of a group that was acknowledged.
    acked: Option<Psn>,
    /// When the latest packet came, if more of its group was to follow.
    flowing_since: Option<Instant>,
    /// Time from packet to packet within a group, as far as seen.
    gap: Duration,
}

/// The answer to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    /// No answer: the packet was stored.
    Stored,
    /// No answer: the packet was known.
    Duplicate,
    /// No answer: the packet contradicts earlier ones.
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

/// The result of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    /// No timer has expired.
    NotYet,
    /// Packets before this one are missing.
    Nack { up_to: Psn },
    /// No packet came for so long that the message is dropped.
    Abandoned,
}

impl Receiver {
    pub(super) fn new(now: Instant, config: &Config) -> Self {
        Self {
            assembler: Assembler::default(),
            nack_at: None,
            forget_at: now + config.wait_timeout,
            progress_at: now,
            until: now + config.reassembly_lifetime,
            acked: None,
            flowing_since: None,
            gap: Duration::ZERO,
        }
    }

    /// Takes in a packet; `low` is the low octet of its number.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        low: u8,
        packet: &Packet<'_>,
        config: &Config,
    ) -> Reception {
        let (psn, marks) = place(low, packet);
        let before = self.assembler.trailer();
        match self.assembler.insert(psn, marks, packet.data) {
            Insertion::Impossible => return Reception::Impossible,
            Insertion::Duplicate => {
                // A copy shows that the sender is alive, but copies alone do not keep a message for
                // ever.
                let at_most = self.progress_at + config.wait_timeout * COPIES_KEEP;
                self.keep((now + config.wait_timeout).min(at_most));
                return self.hear_again(now, packet, config);
            }
            Insertion::Stored => {}
        }
        self.progress_at = now;
        self.keep(now + config.wait_timeout);
        self.note_gap(now, packet);
        match self.assembler.groups() {
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
                // The next group has ended while holes in the one before were being waited for
                // (B.3.1).
                let overdue = before.filter(|&before| before < end && self.nack_at.is_some());
                if overdue.is_some() || psn <= end {
                    self.nack_at = Some(now + self.patience(config));
                }
                overdue.map_or(Reception::Stored, |up_to| Reception::Nack { up_to })
            }
        }
    }

    /// Looks at the time.
    pub(super) fn expire(&mut self, now: Instant) -> Timeout {
        if self.forget_at <= now {
            return Timeout::Abandoned;
        }
        match (self.nack_at, self.assembler.trailer()) {
            (Some(at), Some(up_to)) if at <= now => {
                self.nack_at = None;
                Timeout::Nack { up_to }
            }
            _ => Timeout::NotYet,
        }
    }

    /// When the latest new packet came.
    pub(super) const fn progress_at(&self) -> Instant {
        self.progress_at
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Instant {
        self.nack_at
            .map_or(self.forget_at, |at| at.min(self.forget_at))
    }

    /// The message waits for something else than packets: no Nack is due, and it is kept until
    /// then.
    pub(super) fn keep_until(&mut self, at: Instant) {
        self.nack_at = None;
        self.keep(at);
    }

    fn keep(&mut self, at: Instant) {
        self.forget_at = self.forget_at.max(at).min(self.until);
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
        self.assembler.is_complete()
    }

    /// The latest end of a group that was acknowledged.
    pub(super) const fn acked(&self) -> Option<Psn> {
        self.acked
    }

    /// The next complete data unit.
    pub(super) fn take_unit(&mut self) -> Option<(Bytes, Fragment)> {
        let hasty = defects::ACK_OVER_HOLE.is_planted() && self.is_complete();
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
        // An end of a group without data is a probe of a closed window, repeated or not (WTP
        // 7.15.3).
        let asks = packet.repeated || packet.data.is_empty();
        if !asks || packet.trailer == Trailer::Inside {
            return Reception::Duplicate;
        }
        match self.assembler.groups() {
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

    /// How long to wait for a missing packet: some, and longer than packets take to follow each
    /// other.
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

/// The full number of a packet, and its place by the flags of its header.
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

/// Wait timeouts for which copies of packets keep a message after the latest new packet: longer
/// than a sender repeats the end of a group.
const COPIES_KEEP: u32 = 3;

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
    fn missing_packets_are_asked_for_after_a_pause_that_each_packet_restarts() {
        let config = Config::ip();
        let mut receiver = Receiver::new(ms(0), &config);
        let inside = packet(Trailer::Inside, false);
        assert_eq!(
            receiver.receive(ms(0), 0, &inside, &config),
            Reception::Stored
        );
        let last = packet(Trailer::Message, false);
        assert_eq!(
            receiver.receive(ms(10), 4, &last, &config),
            Reception::Stored
        );
        assert_eq!(receiver.deadline(), ms(310));
        assert_eq!(
            receiver.receive(ms(200), 2, &inside, &config),
            Reception::Stored
        );
        assert_eq!(receiver.expire(ms(310)), Timeout::NotYet);
        assert_eq!(receiver.deadline(), ms(500));
        assert_eq!(receiver.expire(ms(500)), Timeout::Nack { up_to: 4 });
        assert_eq!(receiver.missing(4).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(receiver.expire(ms(501)), Timeout::NotYet);
        // Only a repeated trailer makes us ask once more.
        let again = packet(Trailer::Message, true);
        assert_eq!(
            receiver.receive(ms(600), 4, &last, &config),
            Reception::Duplicate
        );
        assert_eq!(receiver.deadline(), ms(40_600));
        assert_eq!(
            receiver.receive(ms(600), 4, &again, &config),
            Reception::Duplicate
        );
        assert_eq!(receiver.deadline(), ms(900));
    }

    #[test]
    fn a_complete_group_is_acknowledged_once_and_again_when_its_end_is_repeated() {
        let config = Config::ip();
        let mut receiver = Receiver::new(ms(0), &config);
        receiver.receive(ms(0), 0, &packet(Trailer::Inside, false), &config);
        let ack = |repeated| Reception::Ack {
            psn: 1,
            repeated,
            duplicate: repeated,
        };
        let end = packet(Trailer::Group, false);
        assert_eq!(receiver.receive(ms(0), 1, &end, &config), ack(false));
        assert_eq!(
            receiver.receive(ms(1), 1, &end, &config),
            Reception::Duplicate
        );
        assert_eq!(
            receiver.receive(ms(1), 1, &packet(Trailer::Group, true), &config),
            ack(true)
        );
        assert_eq!(
            receiver.receive(ms(2), 2, &packet(Trailer::Inside, false), &config),
            Reception::Stored
        );
        assert_eq!(receiver.expire(ms(40_002)), Timeout::Abandoned);
    }

    #[test]
    fn the_end_of_a_following_group_hastens_the_nack() {
        let config = Config::ip();
        let mut receiver = Receiver::new(ms(0), &config);
        receiver.receive(ms(0), 1, &packet(Trailer::Group, false), &config);
        let next = receiver.receive(ms(5), 3, &packet(Trailer::Group, false), &config);
        assert_eq!(next, Reception::Nack { up_to: 1 });
        assert_eq!(receiver.missing(1).collect::<Vec<_>>(), [0]);
        assert_eq!(receiver.expire(ms(305)), Timeout::Nack { up_to: 3 });
        assert_eq!(receiver.missing(3).collect::<Vec<_>>(), [0, 2]);
    }
}
