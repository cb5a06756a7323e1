//! Getting a message across: packets, groups, and sending again until acknowledged (WTP 7.2, 7.14,
//! 7.15).
//!
//! A message in one packet is the simplest case of the same thing: one group of one packet.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::abort::ProviderAbort;
use super::capabilities::Capabilities;
use super::config::Config;
use super::indication::Fragment;
use super::message::Message;
use super::pace::Pace;
use super::pdu::Trailer;
use super::tpi::{MAX_PSN, Psn};
use super::validation::{Probe, UNVALIDATED_RETRANSMISSIONS};
use crate::time::Instant;

/// One message on its way out.
#[derive(Clone, Debug, Hash)]
pub(super) struct Sender {
    message: Message,
    /// The first packet not acknowledged.
    acked: Psn,
    /// The first packet that belongs to no group yet. The one before it ends the newest group.
    next: Psn,
    /// The first packet of the groups never handed out.
    unsent: Psn,
    /// Ends of the groups under way before the newest one (extended SAR).
    older: VecDeque<Psn>,
    /// Packets asked for and not yet handed out again.
    resend: VecDeque<Psn>,
    /// Packets handed out again, and until when they are not to be asked for (WTP B.3.2).
    held_off: Vec<(Psn, Instant)>,
    /// The last packet of the newest group is to be handed out again.
    again: bool,
    /// The closed window is to be probed.
    probe: bool,
    resend_at: Option<Instant>,
    /// When the next group may start, if the peer wants a pause.
    not_before: Option<Instant>,
    retries: u8,
    /// Nacks and closed windows since the last progress, so that a peer cannot keep us at it for
    /// ever.
    patience: u8,
    /// Retry interval of a message in one packet.
    lone_retry: Duration,
    pace: Pace,
    /// The peer has acknowledged with a packet number, so an Ack without one is not for a group.
    numbers: bool,
    /// How to send while the peer's address is not validated.
    validating: Option<Probe>,
}

/// A packet to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outgoing<'a> {
    pub(super) psn: Psn,
    pub(super) repeated: bool,
    pub(super) trailer: Trailer,
    /// SDU Boundary TPI.
    pub(super) unit_ends: bool,
    /// Frame Boundary TPI.
    pub(super) frame_starts: bool,
    pub(super) data: &'a [u8],
}

/// The effect of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No effect: the Ack is old or belongs to another message.
    None,
    /// It moved us on.
    Some,
    /// All of the message has arrived.
    Done,
    /// It names a packet that ends no group, and the address of its sender is not validated.
    Forged,
}

/// The result of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// No timer has expired.
    NotYet,
    /// A pause is over and the next group is ready.
    Resumed,
    /// Something is due to be sent again: call [`Sender::repeat`].
    Again,
    /// It was sent again often enough.
    GaveUp,
}

impl Sender {
    /// Prepares a message and its first groups. Fails if the peer cannot receive it.
    pub(super) fn new(
        now: Instant,
        unit: (Bytes, Fragment),
        lone_retry: Duration,
        peer: &Capabilities,
        config: &Config,
        validating: Option<Probe>,
    ) -> Result<Self, ProviderAbort> {
        let (data, _) = &unit;
        let segment = usize::from(config.segment_size.max(1));
        let size = if peer.sar {
            segment.min(peer.group(config))
        } else if data.len() <= LARGEST_LONE_PACKET {
            data.len()
        } else {
            return Err(ProviderAbort::MESSAGETOOLARGE);
        };
        let plain = peer.window(config).is_none() && !peer.offered;
        // Plain SAR has 256 packets. A large message has larger packets, which IP fragments where
        // it has to.
        let needed = match plain {
            true => data.len().div_ceil(PLAIN_PACKETS as usize),
            false => 1,
        };
        let most = match peer.sar {
            true => largest_packet(peer, config),
            false => size,
        };
        if needed > most {
            return Err(ProviderAbort::NOTIMPLEMENTEDESAR);
        }
        let size = match validating {
            // Later packets make up for small ones at first, if they may be large enough.
            Some(_) if peer.sar && data.len() > size && needed <= most / 2 => Probe::packet(size),
            _ => size.max(needed),
        };
        let size = size.max(1);
        let mut sender = Self {
            message: Message::new(unit, size),
            acked: 0,
            next: 0,
            unsent: 0,
            older: VecDeque::new(),
            resend: VecDeque::new(),
            held_off: Vec::new(),
            again: false,
            probe: false,
            resend_at: None,
            not_before: None,
            retries: 0,
            patience: 0,
            lone_retry,
            pace: Pace::default(),
            numbers: false,
            validating,
        };
        // The first group ignores the peer's window: there is nothing to acknowledge yet.
        sender.form_group(now, peer, config);
        sender.form_groups(now, peer, config);
        Ok(sender)
    }

    /// Adds a data unit to a message that has more to come. Returns whether there was room.
    pub(super) fn push(
        &mut self,
        now: Instant,
        unit: (Bytes, Fragment),
        peer: &Capabilities,
        config: &Config,
    ) -> bool {
        if !self.message.push(unit) {
            return false;
        }
        self.form_groups(now, peer, config);
        true
    }

    /// The proof of address in the peer's Acks since the last call.
    pub(super) fn take_proof(&mut self) -> Option<Probe> {
        let is_enough = self.validating.as_mut()?.take_change()?;
        let probe = self.validating;
        if is_enough {
            self.validating = None;
        }
        probe
    }

    /// The next packet to hand out, if any.
    pub(super) fn next_packet(&mut self) -> Option<Outgoing<'_>> {
        while let Some(psn) = self.resend.pop_front() {
            if psn >= self.acked && psn < self.unsent {
                return Some(self.outgoing(psn, true));
            }
        }
        if std::mem::take(&mut self.probe) && self.acked > 0 {
            return Some(Outgoing {
                psn: self.acked - 1,
                repeated: true,
                trailer: Trailer::Group,
                unit_ends: false,
                frame_starts: false,
                data: &[],
            });
        }
        if self.unsent < self.next {
            self.unsent += 1;
            return Some(self.outgoing(self.unsent - 1, false));
        }
        if std::mem::take(&mut self.again) && self.acked < self.next {
            return Some(self.outgoing(self.next - 1, true));
        }
        None
    }

    /// Whether [`next_packet`](Self::next_packet) has something.
    pub(super) fn has_packets(&self) -> bool {
        !self.resend.is_empty() || self.probe || self.unsent < self.next || self.again
    }

    /// Octets of data the next packet may have if the packet may share a datagram. A packet of a
    /// segmented message and a repeated packet go alone: a lost datagram costs one packet, and a
    /// handset that separates no concatenation, as `fakewap`, reads each packet at last.
    pub(super) fn shared_packet_len(&self) -> Option<usize> {
        let repeated = !self.resend.is_empty() || self.probe || self.unsent == self.next;
        (!repeated && !self.is_segmented()).then(|| self.message.largest_packet())
    }

    /// Whether the message went out as more than one packet or unit.
    pub(super) fn is_segmented(&self) -> bool {
        self.next > 1 || !self.is_formed()
    }

    /// Whether an Ack for the groups under way would be one for the whole message.
    pub(super) fn is_formed(&self) -> bool {
        self.message.ends_before(self.next)
    }

    /// Whether the rest of the message needs packet numbers that plain SAR lacks. A peer that did
    /// not accept our offer gets plain SAR.
    pub(super) fn outgrows_plain(&self, peer: &Capabilities, config: &Config) -> bool {
        let size = self.message.size(self.next);
        let packets = self.message.rest(self.next).div_ceil(size) + self.next as usize;
        let outgrows = packets > PLAIN_PACKETS as usize || self.message.awaits_more();
        peer.window(config).is_none() && outgrows
    }

    /// The last packet formed so far.
    pub(super) const fn last_psn(&self) -> Psn {
        self.next.saturating_sub(1)
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match (self.resend_at, self.not_before) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// No answer is awaited by timer any more: the peer holds on.
    pub(super) const fn stop(&mut self) {
        self.resend_at = None;
    }

    /// Counts a repetition and restarts the interval, if repetitions are left.
    pub(super) fn count_retry(
        &mut self,
        now: Instant,
        peer: &Capabilities,
        config: &Config,
    ) -> bool {
        let most = match self.validating {
            Some(_) => config.max_retransmissions.min(UNVALIDATED_RETRANSMISSIONS),
            None => config.max_retransmissions,
        };
        if self.retries >= most {
            return false;
        }
        self.retries += 1;
        self.pace.blur();
        self.resend_at = Some(now + self.interval(peer, config));
        true
    }

    /// Looks at the time.
    pub(super) fn expire(&mut self, now: Instant, peer: &Capabilities, config: &Config) -> Expiry {
        let mut expiry = Expiry::NotYet;
        if self.not_before.is_some_and(|at| at <= now) {
            self.not_before = None;
            self.form_groups(now, peer, config);
            expiry = Expiry::Resumed;
        }
        if self.resend_at.is_some_and(|at| at <= now) {
            return if self.count_retry(now, peer, config) {
                Expiry::Again
            } else {
                Expiry::GaveUp
            };
        }
        expiry
    }

    /// Has the last packet of the newest group handed out again, or the closed window probed.
    pub(super) fn repeat(&mut self) {
        if self.acked < self.next {
            // A packet that was never sent needs no repetition.
            self.again = self.unsent == self.next;
        } else {
            self.probe = true;
        }
    }

    /// The peer acknowledged up to `psn`, or gave no number. `delay` is the pause that the peer
    /// wants, in tenths of a second.
    pub(super) fn ack(
        &mut self,
        now: Instant,
        psn: Option<Psn>,
        delay: Option<u32>,
        peer: &Capabilities,
        config: &Config,
    ) -> Progress {
        self.numbers |= psn.is_some();
        let formed = self.is_formed();
        let newest = self.next.saturating_sub(1);
        let end = match psn {
            Some(psn) => psn,
            // Without a number it stands for all that is under way, but not if the peer knows
            // better: then it could only be a late copy.
            None if formed || !self.numbers => newest,
            None => return Progress::None,
        };
        let reopens = end.checked_add(1) == Some(self.acked) && self.acked == self.next;
        let ends_group = end == newest || self.older.contains(&end);
        let sent = end < self.unsent;
        let advances = ends_group && sent && end >= self.acked;
        if !reopens && !advances {
            if psn.is_some()
                && end >= self.acked
                && !ends_group
                && let Some(probe) = &mut self.validating
            {
                probe.refute();
                return Progress::Forged;
            }
            return Progress::None;
        }
        if let Some(probe) = &mut self.validating {
            if psn.is_none() && !formed && !probe.may_go_on_unproved() {
                probe.refute();
                return Progress::Forged;
            }
            if psn == Some(newest) {
                probe.confirm();
            }
        }
        if reopens {
            return self.window_update(now, peer, config);
        }
        self.pace.measure(now, config);
        self.advance(end + 1);
        if formed && self.acked == self.next {
            self.resend_at = None;
            return Progress::Done;
        }
        if let Some(tenths) = delay.filter(|&tenths| tenths > 0) {
            let pause = Duration::from_millis(100) * tenths;
            self.not_before = Some(now + pause.min(config.wait_timeout));
        }
        if self.acked == self.next {
            self.resend_at = None;
        } else {
            self.resend_at = Some(now + self.interval(peer, config));
        }
        self.form_groups(now, peer, config);
        self.watch_closed_window(now, peer, config);
        Progress::Some
    }

    /// The peer misses packets: their low octets, and the highest packet it has received if it gave
    /// one. An empty list asks for all unacknowledged packets.
    pub(super) fn nack(
        &mut self,
        now: Instant,
        missing: &[u8],
        heard: Option<Psn>,
        peer: &Capabilities,
        config: &Config,
    ) -> Progress {
        if self.acked == self.next || self.patience == u8::MAX {
            return Progress::None;
        }
        self.patience += 1;
        self.pace.measure(now, config);
        let wanted: Vec<Psn> = if missing.is_empty() {
            (self.acked..self.unsent).collect()
        } else {
            missing
                .iter()
                .map(|&low| self.full_psn(low, heard))
                .collect()
        };
        self.ack_implied(&wanted, heard);
        let mut octets = 0;
        for psn in wanted {
            if psn < self.acked || psn >= self.unsent || self.resend.contains(&psn) {
                continue;
            }
            let held = self
                .held_off
                .iter()
                .any(|&(other, until)| other == psn && now < until);
            let may = self.validating.as_mut().is_none_or(Probe::may_resend);
            if !held && may {
                self.resend.push_back(psn);
                octets += self.outgoing(psn, true).data.len();
            }
        }
        if octets > 0 || !self.resend.is_empty() {
            let pause = self
                .pace
                .expected(octets, config)
                .unwrap_or(config.group_retry / 2);
            self.held_off
                .retain(|(psn, until)| now < *until && !self.resend.contains(psn));
            let held = self.resend.iter().map(|&psn| (psn, now + pause));
            self.held_off.extend(held);
            self.pace.start(now, octets);
            self.resend_at = Some(now + self.interval(peer, config));
            self.retries = 0;
        }
        self.form_groups(now, peer, config);
        Progress::Some
    }

    /// The window may have opened, closed, or stayed closed.
    fn window_update(&mut self, now: Instant, peer: &Capabilities, config: &Config) -> Progress {
        self.form_groups(now, peer, config);
        self.watch_closed_window(now, peer, config);
        Progress::Some
    }

    /// While the window is closed and no packet is unacknowledged, the timer sends a probe (WTP
    /// 7.15.3).
    fn watch_closed_window(&mut self, now: Instant, peer: &Capabilities, config: &Config) {
        let closed = peer.window(config) == Some(0);
        if closed
            && self.acked == self.next
            && self.not_before.is_none()
            && self.message.has_part(self.next)
        {
            if self.patience < u8::MAX {
                self.patience += 1;
                self.retries = 0;
            }
            self.resend_at = Some(now + self.interval(peer, config));
        }
    }

    fn form_groups(&mut self, now: Instant, peer: &Capabilities, config: &Config) {
        while self.may_form(peer, config) {
            self.form_group(now, peer, config);
        }
    }

    fn may_form(&self, peer: &Capabilities, config: &Config) -> bool {
        let under_way = self.older.len() + usize::from(self.acked < self.next);
        if self.validating.is_some() && under_way > 0 {
            return false;
        }
        let room = match peer.window(config) {
            None => under_way == 0,
            Some(groups) => {
                under_way < groups as usize
                    && self.next - self.acked < MOST_UNDER_WAY
                    && self.next < MAX_PSN
            }
        };
        room && self.not_before.is_none() && self.message.has_part(self.next)
    }

    /// Puts the next packets of a data unit into a group.
    fn form_group(&mut self, now: Instant, peer: &Capabilities, config: &Config) {
        let window = peer.window(config);
        let limit = peer.group(config);
        let rest = self.message.rest(self.next);
        let size = self.packet_size(rest, limit, window.is_some(), config);
        self.message.recut(self.next, size);
        let whole = rest.div_ceil(size).max(1);
        let fit = if rest <= limit {
            whole
        } else {
            (limit / size).clamp(1, whole)
        };
        let fit = if window.is_some() {
            // Under extended SAR no group crosses a change of the high octets (WTP 7.15.3).
            let to_boundary = 256 - (self.next & 0xFF);
            let room = MOST_UNDER_WAY.saturating_sub(self.next - self.acked);
            fit.min(to_boundary.min(room).max(1) as usize)
        } else {
            fit
        };
        let fit = match &mut self.validating {
            Some(probe) => probe.draw(fit, whole).min(fit),
            None => fit,
        };
        let packets = Psn::try_from(fit).unwrap_or(MOST_UNDER_WAY);
        if self.acked < self.next {
            self.older.push_back(self.next - 1);
        }
        let octets = rest.min(fit.saturating_mul(size));
        self.next += packets;
        self.pace.start(now, octets);
        self.retries = 0;
        self.patience = 0;
        self.resend_at = Some(now + self.interval(peer, config));
    }

    /// Octets in the packets of the next group.
    fn packet_size(&self, rest: usize, limit: usize, extended: bool, config: &Config) -> usize {
        if self.next == 0 {
            return self.message.size(0);
        }
        let size = usize::from(config.segment_size.max(1)).min(limit);
        let size = match self.validating {
            Some(_) => Probe::packet(size),
            None => size,
        };
        if extended {
            return size;
        }
        // Numbers must not run out: then packets stay as large as they must be.
        let numbers = PLAIN_PACKETS.saturating_sub(self.next).max(1) as usize;
        size.max(rest.div_ceil(numbers)).max(1)
    }

    fn outgoing(&self, psn: Psn, repeated: bool) -> Outgoing<'_> {
        let part = self.message.part(psn);
        let trailer = if part.ends_message {
            Trailer::Message
        } else if psn + 1 == self.next || self.older.contains(&psn) {
            Trailer::Group
        } else {
            Trailer::Inside
        };
        Outgoing {
            psn,
            repeated,
            trailer,
            unit_ends: part.unit_ends,
            frame_starts: part.frame_starts,
            data: part.data,
        }
    }

    /// Everything before `psn` has arrived.
    fn advance(&mut self, psn: Psn) {
        self.acked = psn;
        while self.older.front().is_some_and(|&end| end < psn) {
            self.older.pop_front();
        }
        self.resend.retain(|&other| other >= psn);
        self.held_off.retain(|&(other, _)| other >= psn);
        self.again = false;
        self.probe = false;
        self.retries = 0;
        self.patience = 0;
    }

    /// A Nack acknowledges the groups before the first missing packet, up to the highest received
    /// one (WTP 7.15.4).
    fn ack_implied(&mut self, wanted: &[Psn], heard: Option<Psn>) {
        let Some(heard) = heard else { return };
        let first = wanted
            .iter()
            .copied()
            .filter(|&psn| psn >= self.acked)
            .min();
        let end = self
            .older
            .iter()
            .copied()
            .filter(|&end| end <= heard && first.is_some_and(|first| end < first))
            .max();
        if let Some(end) = end {
            self.advance(end + 1);
        }
    }

    /// The full packet number for a low octet in a Nack (WTP 7.15.4).
    fn full_psn(&self, low: u8, heard: Option<Psn>) -> Psn {
        let low = Psn::from(low);
        match heard {
            Some(heard) if low <= heard & 0xFF => heard & !0xFF | low,
            Some(heard) => (heard & !0xFF).saturating_sub(0x100) | low,
            None => self.acked + (low.wrapping_sub(self.acked) & 0xFF),
        }
    }

    /// The retry interval for the unacknowledged packets (WTP appendix A, B.1).
    fn interval(&self, peer: &Capabilities, config: &Config) -> Duration {
        if self.is_segmented() {
            let extended = peer.window(config).is_some();
            return self.pace.group_interval(self.retries, extended, config);
        }
        let kbytes = self.message.largest_packet() / 1024;
        let kbytes = u32::try_from(kbytes).unwrap_or(u32::MAX);
        self.lone_retry + config.round_trip_per_kbyte.saturating_mul(kbytes)
    }
}

/// Octets of the largest packet of a segmented message.
pub(super) fn largest_packet(peer: &Capabilities, config: &Config) -> usize {
    peer.group(config).min(LARGEST_LONE_PACKET)
}

/// Octets of the largest message in plain SAR.
pub(super) fn largest_plain(peer: &Capabilities, config: &Config) -> usize {
    largest_packet(peer, config) * PLAIN_PACKETS as usize
}

/// Packets of plain SAR (WTP 7.14.2).
const PLAIN_PACKETS: Psn = 256;

/// Packets under way at a time under extended SAR (WTP 7.15.4).
const MOST_UNDER_WAY: Psn = 255;

/// A UDP datagram over IPv4, less the longest header of ours.
pub(super) const LARGEST_LONE_PACKET: usize = 65_507 - 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn peer(max_group: Option<u32>, num_groups: Option<u32>) -> Capabilities {
        Capabilities {
            sar: true,
            max_group,
            num_groups,
            ..Capabilities::default()
        }
    }

    fn config() -> Config {
        Config {
            segment_size: 10,
            ..Config::ip()
        }
    }

    fn sender(len: usize, peer: &Capabilities, config: &Config) -> Sender {
        let data: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let unit = (Bytes::from(data), Fragment::WHOLE);
        Sender::new(ms(0), unit, config.long_retry, peer, config, None).unwrap()
    }

    fn packets(sender: &mut Sender) -> Vec<(Psn, Trailer, usize)> {
        let mut out = Vec::new();
        while let Some(packet) = sender.next_packet() {
            out.push((packet.psn, packet.trailer, packet.data.len()));
        }
        out
    }

    #[test]
    fn a_message_in_one_packet_is_repeated_until_acknowledged() {
        let (config, peer) = (config(), peer(None, None));
        let mut sender = sender(10, &peer, &config);
        assert_eq!(packets(&mut sender), [(0, Trailer::Message, 10)]);
        assert!(!sender.is_segmented());
        assert_eq!(sender.deadline(), Some(ms(7000)));
        assert_eq!(sender.expire(ms(6999), &peer, &config), Expiry::NotYet);
        for retry in 1..=8 {
            assert_eq!(
                sender.expire(ms(7000 * retry), &peer, &config),
                Expiry::Again
            );
            sender.repeat();
            assert!(sender.next_packet().unwrap().repeated);
        }
        assert_eq!(sender.expire(ms(63_000), &peer, &config), Expiry::GaveUp);
        assert_eq!(
            sender.ack(ms(1), None, None, &peer, &config),
            Progress::Done
        );
    }

    #[test]
    fn groups_go_one_at_a_time_and_shrink_with_maximum_group() {
        // WTP 10.6.4 in small: groups of 30 octets in packets of 10, then of 8, then of 30 again.
        let config = config();
        let mut known = peer(Some(30), None);
        let mut sender = sender(100, &known, &config);
        let group = [
            (0, Trailer::Inside, 10),
            (1, Trailer::Inside, 10),
            (2, Trailer::Group, 10),
        ];
        assert_eq!(packets(&mut sender), group);
        known.max_group = Some(8);
        assert_eq!(
            sender.ack(ms(1), Some(1), None, &known, &config),
            Progress::None
        );
        assert_eq!(
            sender.ack(ms(1), Some(2), None, &known, &config),
            Progress::Some
        );
        assert_eq!(packets(&mut sender), [(3, Trailer::Group, 8)]);
        known.max_group = Some(90);
        assert_eq!(
            sender.ack(ms(2), Some(3), None, &known, &config),
            Progress::Some
        );
        let rest = packets(&mut sender);
        assert_eq!(rest.len(), 7);
        assert_eq!(rest.last(), Some(&(10, Trailer::Message, 2)));
        assert_eq!(
            sender.ack(ms(2), Some(3), None, &known, &config),
            Progress::None
        );
        assert_eq!(
            sender.ack(ms(3), Some(10), None, &known, &config),
            Progress::Done
        );
    }

    #[test]
    fn only_the_trailer_is_repeated_by_the_timer_and_only_missing_packets_by_a_nack() {
        let (config, peer) = (config(), peer(Some(50), None));
        let mut sender = sender(50, &peer, &config);
        assert_eq!(packets(&mut sender).len(), 5);
        assert_eq!(sender.deadline(), Some(ms(1520)));
        assert_eq!(sender.expire(ms(1520), &peer, &config), Expiry::Again);
        sender.repeat();
        assert_eq!(packets(&mut sender), [(4, Trailer::Message, 10)]);
        sender.nack(ms(4000), &[1, 3, 9], None, &peer, &config);
        assert_eq!(
            packets(&mut sender),
            [(1, Trailer::Inside, 10), (3, Trailer::Inside, 10)]
        );
        // A second Nack at once: repetition is held off, but a newly missing packet is sent.
        sender.nack(ms(4001), &[1, 2], None, &peer, &config);
        assert_eq!(packets(&mut sender), [(2, Trailer::Inside, 10)]);
        sender.nack(ms(60_000), &[], None, &peer, &config);
        assert_eq!(packets(&mut sender).len(), 5);
    }

    #[test]
    fn an_ack_without_a_number_stands_for_the_group_unless_the_peer_knows_better() {
        let (config, peer) = (config(), peer(Some(20), None));
        let mut simple = sender(50, &peer, &config);
        packets(&mut simple);
        assert_eq!(
            simple.ack(ms(1), None, None, &peer, &config),
            Progress::Some
        );
        let mut numbering = sender(50, &peer, &config);
        packets(&mut numbering);
        assert_eq!(
            numbering.ack(ms(1), Some(1), None, &peer, &config),
            Progress::Some
        );
        packets(&mut numbering);
        assert_eq!(
            numbering.ack(ms(1), None, None, &peer, &config),
            Progress::None
        );
        assert_eq!(
            numbering.ack(ms(2), Some(3), None, &peer, &config),
            Progress::Some
        );
        packets(&mut numbering);
        assert_eq!(
            numbering.ack(ms(3), None, None, &peer, &config),
            Progress::Done
        );
    }

    #[test]
    fn the_peer_can_ask_for_a_pause() {
        let (config, peer) = (config(), peer(Some(20), None));
        let mut sender = sender(50, &peer, &config);
        packets(&mut sender);
        assert_eq!(
            sender.ack(ms(1), Some(1), Some(5), &peer, &config),
            Progress::Some
        );
        assert_eq!(packets(&mut sender), []);
        assert_eq!(sender.deadline(), Some(ms(501)));
        assert_eq!(sender.expire(ms(501), &peer, &config), Expiry::Resumed);
        assert_eq!(packets(&mut sender).len(), 2);
    }

    #[test]
    fn more_than_256_packets_are_larger_up_to_the_group_and_then_need_extended_sar() {
        let config = config();
        let unit = || (Bytes::from(vec![7; 2561]), Fragment::WHOLE);
        let plain = |group| {
            let peer = peer(Some(group), None);
            Sender::new(ms(0), unit(), config.long_retry, &peer, &config, None)
        };
        assert_eq!(plain(500).unwrap().message.size(0), 11);
        let plain = plain(10);
        assert_eq!(plain.unwrap_err(), ProviderAbort::NOTIMPLEMENTEDESAR);
        let extended = peer(Some(1000), Some(3));
        let mut sender =
            Sender::new(ms(0), unit(), config.long_retry, &extended, &config, None).unwrap();
        let under_way = packets(&mut sender);
        // 255 packets at most, and a group may end before number 256 only.
        assert_eq!(under_way.len(), 255);
        let ends: Vec<_> = under_way
            .iter()
            .filter(|(_, trailer, _)| *trailer == Trailer::Group)
            .collect();
        assert_eq!(
            ends.iter().map(|(psn, ..)| *psn).collect::<Vec<_>>(),
            [99, 199, 254]
        );
        sender.ack(ms(1), Some(199), None, &extended, &config);
        let rest = [(255, Trailer::Group, 10), (256, Trailer::Message, 1)];
        assert_eq!(packets(&mut sender), rest);
        // Low octet 255 is higher than that of 256, so it is of the high octets before.
        sender.nack(ms(3), &[255], Some(256), &extended, &config);
        assert_eq!(packets(&mut sender), [(255, Trailer::Group, 10)]);
        assert_eq!(
            sender.ack(ms(4), Some(256), None, &extended, &config),
            Progress::Done
        );
    }

    #[test]
    fn a_closed_window_is_probed_with_the_last_acknowledged_number() {
        let config = config();
        let mut known = peer(Some(10), Some(2));
        let mut sender = sender(50, &known, &config);
        assert_eq!(packets(&mut sender).len(), 2);
        known.num_groups = Some(0);
        assert_eq!(
            sender.ack(ms(1), Some(1), None, &known, &config),
            Progress::Some
        );
        assert_eq!(packets(&mut sender), []);
        let due = sender.deadline().unwrap();
        assert_eq!(sender.expire(due, &known, &config), Expiry::Again);
        sender.repeat();
        assert_eq!(packets(&mut sender), [(1, Trailer::Group, 0)]);
        known.num_groups = Some(2);
        assert_eq!(
            sender.ack(due, Some(1), None, &known, &config),
            Progress::Some
        );
        assert_eq!(packets(&mut sender).len(), 2);
    }

    #[test]
    fn data_units_end_with_their_group() {
        let config = config();
        let known = peer(Some(100), Some(4));
        let open = Fragment {
            more: true,
            frame_boundary: true,
        };
        let unit = (Bytes::from_static(b"0123456789abc"), open);
        let mut sender =
            Sender::new(ms(0), unit, config.long_retry, &known, &config, None).unwrap();
        let first = sender.next_packet().unwrap();
        assert!(first.frame_starts && !first.unit_ends);
        let second = sender.next_packet().unwrap();
        assert!(second.unit_ends && second.trailer == Trailer::Group);
        assert_eq!(
            sender.ack(ms(1), Some(1), None, &known, &config),
            Progress::Some
        );
        assert!(sender.push(
            ms(2),
            (Bytes::from_static(b"xyz"), Fragment::WHOLE),
            &known,
            &config
        ));
        let third = sender.next_packet().unwrap();
        assert_eq!(
            (third.psn, third.data, third.trailer),
            (2, &b"xyz"[..], Trailer::Message)
        );
        assert!(!sender.push(ms(2), (Bytes::new(), Fragment::WHOLE), &known, &config));
        assert_eq!(
            sender.ack(ms(3), Some(2), None, &known, &config),
            Progress::Done
        );
    }
}
