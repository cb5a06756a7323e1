//! Explains WTP PDUs (WAP-224, section 8).

use super::annotator::{Annotator, shown};
use super::wsp;
use crate::wtp::pdu::{Class, Packet, Pdu};
use crate::wtp::tpi::{Parameter, Tpi, TpiError, Tpis};
use crate::wtp::{AbortReason, ProviderAbort};

/// Explains a datagram: one PDU, or several behind lengths (WTP 8.5).
pub(super) fn datagram(annotator: &mut Annotator<'_>) {
    if annotator.peek() != Some(0) {
        return pdu(annotator);
    }
    annotator.octet(|_| "several PDUs follow".to_owned());
    while let Some(first) = annotator.peek() {
        let len = match first & 0x80 {
            0 => annotator
                .octet(|len| format!("PDU length: {len}"))
                .map(u16::from),
            _ => annotator
                .uint16(|len| format!("PDU length: {}", len & 0x7FFF))
                .map(|len| len & 0x7FFF),
        };
        let Some(len) = len.map(usize::from) else {
            return;
        };
        if len == 0 {
            let left = annotator.rest().len();
            annotator.fault(left, "a PDU of no octets: the rest is given up".to_owned());
            return;
        }
        if len > annotator.rest().len() {
            let left = annotator.rest().len();
            annotator.fault(
                left,
                format!("PDU: {len} octets announced, {left} are left"),
            );
            return;
        }
        annotator.group(len, "PDU", pdu);
    }
}

fn pdu(annotator: &mut Annotator<'_>) {
    let octets = annotator.rest();
    match Pdu::decode(octets) {
        Ok(pdu) => {
            let name = format!("WTP {}", name(&pdu));
            annotator.rest_as(&name, |annotator| decoded(annotator, &pdu));
        }
        Err(malformed) => {
            annotator.rest_as("WTP PDU", |annotator| {
                let error = malformed.error;
                if error.offset > 0 {
                    head(annotator, malformed.tid.is_some());
                }
                let said = octets.len() - annotator.rest().len();
                let left = error.offset.saturating_sub(said);
                if left > 0 {
                    annotator.annotate(left, "header".to_owned());
                }
                annotator.expected(crate::codec::DecodeError { offset: 0, ..error });
            });
        }
    }
}

/// The first octet and the TID of a PDU that is malformed behind them.
fn head(annotator: &mut Annotator<'_>, has_tid: bool) {
    annotator.octet(|first| format!("PDU type {}", first >> 3 & 0x0F));
    if has_tid {
        annotator.uint16(tid);
    }
}

fn decoded(annotator: &mut Annotator<'_>, pdu: &Pdu<'_>) {
    let name = name(pdu);
    match pdu {
        Pdu::Invoke(invoke) => {
            start(annotator, name, &flags_of(&invoke.packet));
            annotator.octet(|_| {
                let mut meaning = format!("version 0, class {}", class(invoke.class));
                if invoke.tid_new {
                    meaning.push_str(", TIDs start anew");
                }
                if invoke.user_ack {
                    meaning.push_str(", the user must acknowledge");
                }
                meaning
            });
            packet(annotator, &invoke.packet, true);
        }
        Pdu::Result(result) => {
            start(annotator, name, &flags_of(result));
            packet(annotator, result, true);
        }
        Pdu::SegmentedInvoke(psn, segment) | Pdu::SegmentedResult(psn, segment) => {
            start(annotator, name, &flags_of(segment));
            annotator.octet(|_| format!("packet {psn}"));
            packet(annotator, segment, false);
        }
        Pdu::Ack(ack) => {
            let verify = if ack.verify { ", TID verification" } else { "" };
            start(
                annotator,
                name,
                &format!("{verify}{}", repeated(ack.repeated)),
            );
            items(annotator, ack.tpis);
        }
        Pdu::Nack(nack) => {
            start(annotator, name, repeated(nack.repeated));
            let count = nack.missing.len();
            annotator.octet(|_| format!("{count} packets missing"));
            if count > 0 {
                let list: Vec<_> = nack.missing.iter().map(u8::to_string).collect();
                annotator.annotate(count, format!("packets {}", list.join(", ")));
            }
            items(annotator, nack.tpis);
        }
        Pdu::Abort(abort) => {
            start(annotator, name, "");
            annotator.octet(|_| reason(abort.reason));
            items(annotator, abort.tpis);
        }
    }
    annotator.end_of_pdu();
}

fn start(annotator: &mut Annotator<'_>, name: &str, flags: &str) {
    annotator.octet(|_| format!("{name}{flags}"));
    annotator.uint16(tid);
}

fn tid(tid: u16) -> String {
    let from = if tid & 0x8000 == 0 {
        "initiator"
    } else {
        "responder"
    };
    format!("TID {:#06x}, from the {from}", tid & 0x7FFF)
}

const fn name(pdu: &Pdu<'_>) -> &'static str {
    match pdu {
        Pdu::Invoke(_) => "Invoke",
        Pdu::Result(_) => "Result",
        Pdu::Ack(_) => "Ack",
        Pdu::Abort(_) => "Abort",
        Pdu::SegmentedInvoke(..) => "Segmented Invoke",
        Pdu::SegmentedResult(..) => "Segmented Result",
        Pdu::Nack(_) => "Negative Ack",
    }
}

fn flags_of(packet: &Packet<'_>) -> String {
    use crate::wtp::pdu::Trailer;
    let trailer = match packet.trailer {
        Trailer::Inside => ", more of the group follows",
        Trailer::Message => ", last packet of the message",
        Trailer::Group => ", last packet of a group",
        Trailer::NoSar => ", no segmentation here",
    };
    format!("{trailer}{}", repeated(packet.repeated))
}

const fn repeated(repeated: bool) -> &'static str {
    if repeated { ", sent before" } else { "" }
}

const fn class(class: Class) -> u8 {
    class.to_wire()
}

fn reason(reason: AbortReason) -> String {
    match reason {
        AbortReason::Provider(reason @ ProviderAbort(_)) => {
            format!("reason {reason}, from the provider")
        }
        AbortReason::User(reason) => format!("reason {}, from the user", wsp::abort_reason(reason)),
        AbortReason::Unanswered => "no reason".to_owned(),
    }
}

/// Items, then the user data: a whole message if the packet is the only one, else a part of it.
fn packet(annotator: &mut Annotator<'_>, packet: &Packet<'_>, first: bool) {
    items(annotator, packet.tpis);
    let left = annotator.rest().len();
    if left == 0 {
        return;
    }
    if first && packet.trailer.ends_message() {
        wsp::sdu(annotator, false);
    } else {
        annotator.annotate(left, format!("{left} octets of a longer message"));
    }
}

fn items(annotator: &mut Annotator<'_>, tpis: Tpis<'_>) {
    let Tpis::Wire(wire) = tpis else { return };
    if wire.is_empty() {
        return;
    }
    annotator.group(wire.len(), "items", |annotator| {
        for item in tpis.iter() {
            let len = match annotator.rest() {
                [first, len, ..] if first & LONG != 0 => 2 + usize::from(*len),
                [first, ..] => 1 + usize::from(first & 0x03),
                [] => return,
            };
            annotator.annotate(len, meaning(&item));
        }
    });
}

/// The flag of an item whose length has an octet of its own (WTP 8.4.1).
const LONG: u8 = 0x04;

fn meaning(item: &Tpi<'_>) -> String {
    match *item {
        Tpi::Error(TpiError::Unknown(id)) => format!("error: item {id} is unknown"),
        Tpi::Error(TpiError::Content(id, first)) => {
            format!("error: item {id} cannot hold {first:#04x}")
        }
        Tpi::Info(info) => format!("exit info: {}", shown(info)),
        Tpi::Parameter(parameter) => match parameter {
            Parameter::MaximumReceiveUnit(octets) => {
                format!("maximum receive unit: {octets} octets")
            }
            Parameter::TotalMessageSize(octets) => format!("total message size: {octets} octets"),
            Parameter::DelayTransmissionTimer(tenths) => {
                format!("delay before the next group: {tenths}/10 s")
            }
            Parameter::MaximumGroup(octets) => format!("maximum group: {octets} octets"),
            Parameter::CurrentTid(tid) => format!("the last TID known: {tid:#06x}"),
            Parameter::NoCachedTid => "no TID is known".to_owned(),
            Parameter::NumGroups(groups) => format!("groups at a time: {groups}"),
        },
        Tpi::Psn(psn) => format!("packet sequence number {psn}"),
        Tpi::SduBoundary => "end of a service data unit".to_owned(),
        Tpi::FrameBoundary => "start of a frame".to_owned(),
        Tpi::Unknown(id, data) => format!("unknown item {id}: {} octets", data.len()),
        Tpi::Odd(id, data) => format!("item {id} with unassigned content: {} octets", data.len()),
    }
}

#[cfg(test)]
mod tests {
    use crate::explain::wtp;

    #[test]
    fn concatenated_pdus_are_explained_in_turn() {
        // An Ack, then an Abort of the user with reason DISCONNECT.
        let explained = wtp(b"\x00\x03\x18\x92\x34\x04\x21\x92\x35\xE1");
        let text = explained.to_string();
        for line in [
            "several PDUs follow",
            "PDU length: 3",
            "WTP Ack",
            "TID 0x1234, from the responder",
            "WTP Abort",
            "reason DISCONNECT, from the user",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert_eq!(explained.fault(), None);
    }

    #[test]
    fn items_and_pieces_are_explained() {
        // An Invoke, first of several, with the total message size.
        let text = wtp(b"\x88\x12\x34\x02\x13\x02\x0F\xA0abc").to_string();
        assert!(text.contains("total message size: 4000 octets"), "{text}");
        assert!(text.contains("3 octets of a longer message"), "{text}");
    }

    #[test]
    fn faults_are_named() {
        for (wire, offset, words) in [
            (&b""[..], 0, "an octet was expected here"),
            (b"\x0A\x12", 1, "two octets was expected here"),
            (
                b"\x0A\x12\x34\x03",
                3,
                "a transaction class of 0 to 2 was expected here",
            ),
            (b"\x78\x12\x34", 0, "a PDU type of 1 to 7 was expected here"),
            (b"\x00\x09\x18", 2, "PDU: 9 octets announced, 1 are left"),
            (b"\x00\x00", 2, "a PDU of no octets: the rest is given up"),
        ] {
            let explained = wtp(wire);
            let fault = explained.fault().unwrap_or_else(|| panic!("{explained}"));
            assert_eq!(
                (fault.offset, &*fault.meaning),
                (offset, words),
                "{explained}"
            );
        }
    }
}
