//! Protocol data units (WTP 8).
//!
//! Decoding borrows from the datagram and returns only combinations that the specification allows,
//! so callers need no further checks. Encoding appends to a buffer and cannot fail.

use super::abort::{AbortReason, ProviderAbort};
use super::tpi::{Tpis, tpis};
use crate::codec::{DecodeError, Parsed, fail, located, octets, uint8, uint16};

/// A protocol data unit. `tid` is as on the wire, direction bit included; `repeated` is the flag
/// RID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pdu<'a> {
    /// Starts a transaction (8.3.1).
    Invoke(Invoke<'a>),
    /// Its answer, or the first packet of a segmented one (8.3.2).
    Result(Packet<'a>),
    /// Acknowledgement (8.3.3).
    Ack(Ack<'a>),
    /// The end of a transaction (8.3.4).
    Abort(Abort<'a>),
    /// A further packet of a segmented Invoke (8.3.5): sequence number, low octet.
    SegmentedInvoke(u8, Packet<'a>),
    /// A further packet of a segmented Result (8.3.6): sequence number, low octet.
    SegmentedResult(u8, Packet<'a>),
    /// Negative acknowledgement (8.3.7).
    Nack(Nack<'a>),
}

/// The fields of an Invoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invoke<'a> {
    /// Transaction class asked for.
    pub class: Class,
    /// The initiator restarts its TIDs: the responder forgets the last one.
    pub tid_new: bool,
    /// The user must confirm every message (flag U/P).
    pub user_ack: bool,
    /// The fields that all packets share.
    pub packet: Packet<'a>,
}

/// A packet that carries data of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Transaction identifier.
    pub tid: u16,
    /// Sent before.
    pub repeated: bool,
    /// Where in its group and message the packet stands.
    pub trailer: Trailer,
    /// Variable header.
    pub tpis: Tpis<'a>,
    /// User data.
    pub data: &'a [u8],
}

/// The fields of an Ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Transaction identifier.
    pub tid: u16,
    /// Sent before.
    pub repeated: bool,
    /// From a responder: do you know this TID (Tve)? From an initiator: I do (Tok).
    pub verify: bool,
    /// Variable header.
    pub tpis: Tpis<'a>,
}

/// The fields of a Nack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nack<'a> {
    /// Transaction identifier.
    pub tid: u16,
    /// Sent before.
    pub repeated: bool,
    /// Low octets of the numbers of missing packets, at most 255. An empty list means the whole
    /// group.
    pub missing: &'a [u8],
    /// Variable header.
    pub tpis: Tpis<'a>,
}

/// The fields of an Abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort<'a> {
    /// Transaction identifier.
    pub tid: u16,
    /// Why. `Unanswered` has no wire form and is written as UNKNOWN.
    pub reason: AbortReason,
    /// Variable header.
    pub tpis: Tpis<'a>,
}

/// Transaction class (WTP 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Unreliable message without a result.
    Zero,
    /// Reliable message without a result.
    One,
    /// Reliable message with one reliable result.
    Two,
}

/// The flags GTR and TTR (WTP table 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trailer {
    /// Neither flag: more packets of the group follow.
    Inside,
    /// TTR: the last packet of the message; on a lone packet, "I can do SAR".
    Message,
    /// GTR: the last packet of a group, more groups follow.
    Group,
    /// Both flags: a single packet of a peer without SAR.
    NoSar,
}

/// Why octets are no PDU, with the TID and type they seem to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The TID, if there were enough octets for one.
    pub tid: Option<u16>,
    /// An Invoke of another protocol version. The octets behind the version were not decoded.
    pub version: bool,
    /// They seem to be an Abort, which must never be answered.
    pub abort: bool,
    /// The error.
    pub error: DecodeError,
}

impl<'a> Pdu<'a> {
    /// Decodes one PDU, which is all of `input`: a datagram, or one of several in it (see
    /// [`separate`](super::concat::separate)).
    ///
    /// Octets behind the header of a PDU without user data are ignored.
    pub fn decode(input: &'a [u8]) -> Result<Self, Malformed> {
        located(input, pdu).map(|(_, pdu)| pdu).map_err(|error| {
            let kind = input.first().map_or(0, |first| first >> 3 & 0x0F);
            Malformed {
                tid: input
                    .get(1..)
                    .and_then(|rest| uint16(rest).ok())
                    .map(|(_, tid)| tid),
                version: error.expected == VERSION_ONE,
                abort: kind == ABORT,
                error,
            }
        })
    }

    /// Appends the PDU.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Invoke(ref invoke) => {
                invoke.packet.start(INVOKE, out);
                let flags = [(invoke.tid_new, TID_NEW), (invoke.user_ack, USER_ACK)];
                out.push(invoke.class.to_wire() | union(&flags));
                invoke.packet.finish(out);
            }
            Self::Result(ref packet) => {
                packet.start(RESULT, out);
                packet.finish(out);
            }
            Self::Ack(ref ack) => {
                let flags = union(&[(ack.verify, VERIFY), (ack.repeated, RID)]);
                put_start(ACK, flags, ack.tpis, ack.tid, out);
                ack.tpis.encode(out);
            }
            Self::Abort(ref abort) => {
                let (kind, reason) = match abort.reason {
                    AbortReason::Provider(reason) => (PROVIDER, reason.0),
                    AbortReason::User(reason) => (USER, reason),
                    AbortReason::Unanswered => (PROVIDER, ProviderAbort::UNKNOWN.0),
                };
                put_start(ABORT, kind, abort.tpis, abort.tid, out);
                out.push(reason);
                abort.tpis.encode(out);
            }
            Self::SegmentedInvoke(psn, ref packet) => {
                packet.start(SEGMENTED_INVOKE, out);
                out.push(psn);
                packet.finish(out);
            }
            Self::SegmentedResult(psn, ref packet) => {
                packet.start(SEGMENTED_RESULT, out);
                out.push(psn);
                packet.finish(out);
            }
            Self::Nack(ref nack) => {
                let flags = union(&[(nack.repeated, RID)]);
                put_start(NACK, flags, nack.tpis, nack.tid, out);
                let missing = nack.missing.get(..255).unwrap_or(nack.missing);
                out.push(u8::try_from(missing.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(missing);
                nack.tpis.encode(out);
            }
        }
    }

    /// The transaction identifier as on the wire.
    #[must_use]
    pub const fn tid(&self) -> u16 {
        match self {
            Self::Invoke(Invoke { packet, .. })
            | Self::Result(packet)
            | Self::SegmentedInvoke(_, packet)
            | Self::SegmentedResult(_, packet) => packet.tid,
            Self::Ack(ack) => ack.tid,
            Self::Abort(abort) => abort.tid,
            Self::Nack(nack) => nack.tid,
        }
    }
}

impl<'a> Packet<'a> {
    fn start(&self, kind: u8, out: &mut Vec<u8>) {
        let flags = self.trailer.to_wire() | union(&[(self.repeated, RID)]);
        put_start(kind, flags, self.tpis, self.tid, out);
    }

    fn finish(&self, out: &mut Vec<u8>) {
        self.tpis.encode(out);
        out.extend_from_slice(self.data);
    }

    const fn new(head: Head, tpis: Tpis<'a>, data: &'a [u8]) -> Self {
        Self {
            tid: head.tid,
            repeated: head.flags & RID != 0,
            trailer: Trailer::from_wire(head.flags),
            tpis,
            data,
        }
    }
}

impl Class {
    /// The number of the class.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

impl Trailer {
    /// Whether the packet ends its message. GTR has no meaning then (SIN 002, 8.2.2).
    #[must_use]
    pub const fn ends_message(self) -> bool {
        matches!(self, Self::Message | Self::NoSar)
    }

    const fn to_wire(self) -> u8 {
        match self {
            Self::Inside => 0,
            Self::Message => TTR,
            Self::Group => GTR,
            Self::NoSar => GTR | TTR,
        }
    }

    const fn from_wire(flags: u8) -> Self {
        match (flags & GTR != 0, flags & TTR != 0) {
            (false, false) => Self::Inside,
            (false, true) => Self::Message,
            (true, false) => Self::Group,
            (true, true) => Self::NoSar,
        }
    }
}

/// The first octets of every PDU: CON, type, three flags, TID.
#[derive(Clone, Copy)]
struct Head {
    con: bool,
    kind: u8,
    flags: u8,
    tid: u16,
}

fn pdu(input: &[u8]) -> Parsed<'_, Pdu<'_>> {
    let (rest, head) = head(input)?;
    match head.kind {
        INVOKE => invoke(head, rest),
        RESULT => packet(head, rest).map(|(rest, packet)| (rest, Pdu::Result(packet))),
        ACK => ack(head, rest),
        ABORT => abort(head, rest),
        SEGMENTED_INVOKE => segment(head, rest)
            .map(|(rest, (psn, packet))| (rest, Pdu::SegmentedInvoke(psn, packet))),
        SEGMENTED_RESULT => segment(head, rest)
            .map(|(rest, (psn, packet))| (rest, Pdu::SegmentedResult(psn, packet))),
        NACK => nack(head, rest),
        _ => Err(fail(input, "a PDU type of 1 to 7")),
    }
}

fn head(input: &[u8]) -> Parsed<'_, Head> {
    let (rest, first) = uint8(input)?;
    let (rest, tid) = uint16(rest)?;
    let head = Head {
        con: first & CON != 0,
        kind: first >> 3 & 0x0F,
        flags: first & 0x07,
        tid,
    };
    Ok((rest, head))
}

fn invoke(head: Head, input: &[u8]) -> Parsed<'_, Pdu<'_>> {
    let (rest, octet) = uint8(input)?;
    if octet & VERSION != 0 {
        return Err(fail(input, VERSION_ONE));
    }
    let class = match octet & TCL {
        0 => Class::Zero,
        1 => Class::One,
        2 => Class::Two,
        _ => return Err(fail(input, "a transaction class of 0 to 2")),
    };
    let (rest, packet) = packet(head, rest)?;
    let invoke = Invoke {
        class,
        tid_new: octet & TID_NEW != 0,
        user_ack: octet & USER_ACK != 0,
        packet,
    };
    Ok((rest, Pdu::Invoke(invoke)))
}

fn packet(head: Head, input: &[u8]) -> Parsed<'_, Packet<'_>> {
    let (data, tpis) = variable_header(head, input)?;
    Ok((&[], Packet::new(head, tpis, data)))
}

fn segment(head: Head, input: &[u8]) -> Parsed<'_, (u8, Packet<'_>)> {
    let (rest, psn) = uint8(input)?;
    let (rest, packet) = packet(head, rest)?;
    Ok((rest, (psn, packet)))
}

fn ack(head: Head, input: &[u8]) -> Parsed<'_, Pdu<'_>> {
    let (rest, tpis) = variable_header(head, input)?;
    let ack = Ack {
        tid: head.tid,
        repeated: head.flags & RID != 0,
        verify: head.flags & VERIFY != 0,
        tpis,
    };
    Ok((rest, Pdu::Ack(ack)))
}

fn abort(head: Head, input: &[u8]) -> Parsed<'_, Pdu<'_>> {
    let (rest, reason) = uint8(input)?;
    let reason = match head.flags {
        PROVIDER => AbortReason::Provider(ProviderAbort(reason)),
        USER => AbortReason::User(reason),
        _ => return Err(fail(input, "an abort type of 0 or 1")),
    };
    let (rest, tpis) = variable_header(head, rest)?;
    let abort = Abort {
        tid: head.tid,
        reason,
        tpis,
    };
    Ok((rest, Pdu::Abort(abort)))
}

fn nack(head: Head, input: &[u8]) -> Parsed<'_, Pdu<'_>> {
    let (rest, count) = uint8(input)?;
    let (rest, missing) = octets(usize::from(count))(rest)?;
    let (rest, tpis) = variable_header(head, rest)?;
    let nack = Nack {
        tid: head.tid,
        repeated: head.flags & RID != 0,
        missing,
        tpis,
    };
    Ok((rest, Pdu::Nack(nack)))
}

fn variable_header(head: Head, input: &[u8]) -> Parsed<'_, Tpis<'_>> {
    if head.con {
        tpis(input)
    } else {
        Ok((input, Tpis::NONE))
    }
}

fn put_start(kind: u8, flags: u8, tpis: Tpis<'_>, tid: u16, out: &mut Vec<u8>) {
    let con = if tpis.is_empty() { 0 } else { CON };
    out.push(con | kind << 3 | flags);
    out.extend_from_slice(&tid.to_be_bytes());
}

fn union(flags: &[(bool, u8)]) -> u8 {
    flags
        .iter()
        .filter(|(set, _)| *set)
        .fold(0, |sum, (_, bit)| sum | bit)
}

const VERSION_ONE: &str = "protocol version one (wire value 0)";

const CON: u8 = 0x80;
const GTR: u8 = 0x04;
const TTR: u8 = 0x02;
const RID: u8 = 0x01;
const VERIFY: u8 = 0x04;

const VERSION: u8 = 0xC0;
const TID_NEW: u8 = 0x20;
const USER_ACK: u8 = 0x10;
const TCL: u8 = 0x03;

const PROVIDER: u8 = 0;
const USER: u8 = 1;

const INVOKE: u8 = 1;
const RESULT: u8 = 2;
const ACK: u8 = 3;
const ABORT: u8 = 4;
const SEGMENTED_INVOKE: u8 = 5;
const SEGMENTED_RESULT: u8 = 6;
const NACK: u8 = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tpi::Tpi;
    use super::*;

    fn encoded(pdu: &Pdu<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        pdu.encode(&mut out);
        out
    }

    fn packet<'a>(tid: u16, trailer: Trailer, data: &'a [u8]) -> Packet<'a> {
        Packet {
            tid,
            repeated: false,
            trailer,
            tpis: Tpis::NONE,
            data,
        }
    }

    #[test]
    fn each_pdu_of_8_3_has_its_octets() {
        let invoke = Invoke {
            class: Class::Two,
            tid_new: false,
            user_ack: true,
            packet: packet(0x0012, Trailer::Message, b"d"),
        };
        let ack = Ack {
            tid: 0x8012,
            repeated: true,
            verify: true,
            tpis: Tpis::List(&[Tpi::Psn(2)]),
        };
        let abort = |reason| {
            Pdu::Abort(Abort {
                tid: 0x8012,
                reason,
                tpis: Tpis::NONE,
            })
        };
        let nack = Nack {
            tid: 0x8012,
            repeated: false,
            missing: &[4, 6],
            tpis: Tpis::NONE,
        };
        let provider = AbortReason::Provider(ProviderAbort::MESSAGETOOLARGE);
        for (pdu, wire) in [
            (Pdu::Invoke(invoke), &[0x0A, 0x00, 0x12, 0x12, b'd'][..]),
            (
                Pdu::Result(packet(0x8012, Trailer::NoSar, b"r")),
                &[0x16, 0x80, 0x12, b'r'],
            ),
            (Pdu::Ack(ack), &[0x9D, 0x80, 0x12, 0x19, 0x02]),
            (abort(provider), &[0x20, 0x80, 0x12, 0x09]),
            (abort(AbortReason::User(0xE1)), &[0x21, 0x80, 0x12, 0xE1]),
            (
                Pdu::SegmentedInvoke(7, packet(0x0012, Trailer::Group, b"s")),
                &[0x2C, 0x00, 0x12, 0x07, b's'],
            ),
            (
                Pdu::SegmentedResult(255, packet(0x8012, Trailer::Inside, b"")),
                &[0x30, 0x80, 0x12, 0xFF],
            ),
            (Pdu::Nack(nack), &[0x38, 0x80, 0x12, 0x02, 0x04, 0x06]),
        ] {
            assert_eq!(encoded(&pdu), wire, "{pdu:?}");
            assert_eq!(Pdu::decode(wire), Ok(pdu));
            assert_eq!(pdu.tid() & 0x7FFF, 0x12);
        }
    }

    #[test]
    fn class_two_is_two_on_the_wire() {
        // SIN 002 section 4 corrects the printed 0x10.
        assert_eq!(Class::Two.to_wire(), 2);
        assert!(matches!(
            Pdu::decode(&[0x0E, 0, 1, 0x02]),
            Ok(Pdu::Invoke(Invoke {
                class: Class::Two,
                ..
            }))
        ));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_tid_when_there_is_one() {
        let wrong = |wire| Pdu::decode(wire).unwrap_err();
        assert_eq!(wrong(&[0x0E, 0x00]).tid, None);
        assert_eq!(wrong(&[]).tid, None);
        let version = wrong(&[0x0E, 0x00, 0x05, 0x42]);
        assert_eq!((version.tid, version.version), (Some(5), true));
        let class = wrong(&[0x0E, 0x00, 0x05, 0x03]);
        assert_eq!((class.tid, class.version), (Some(5), false));
        assert!(wrong(&[0x23, 0x00, 0x05, 0x00]).abort);
        assert!(!wrong(&[0x48, 0x00, 0x05, 0x00]).abort);
        assert!(!wrong(&[0x00, 0x00, 0x05, 0x00]).abort);
        // Item beyond the end, list of missing packets beyond the end.
        assert_eq!(wrong(&[0x98, 0x00, 0x05, 0x1A, 0x01]).tid, Some(5));
        assert_eq!(wrong(&[0x38, 0x00, 0x05, 0x03, 0x01]).tid, Some(5));
    }

    proptest! {
        #[test]
        fn decoding_is_total_and_reencoding_stable(wire: Vec<u8>) {
            if let Ok(pdu) = Pdu::decode(&wire) {
                let again = encoded(&pdu);
                prop_assert_eq!(Pdu::decode(&again), Ok(pdu));
                prop_assert!(again.len() <= wire.len());
            }
        }

        #[test]
        fn plausible_octets_decode_stably(kind in 1u8..8, flags in 0u8..8, con: bool, tail: Vec<u8>) {
            let mut wire = vec![u8::from(con) << 7 | kind << 3 | flags, 0x00, 0x01];
            wire.extend_from_slice(&tail);
            if let Ok(pdu) = Pdu::decode(&wire) {
                let again = encoded(&pdu);
                prop_assert_eq!(Pdu::decode(&again), Ok(pdu));
            }
        }
    }
}
