//! Datagrams for `-v`: one line per PDU.

use std::fmt::Write;

use crate::wsp::pdu::{Method, Type};
use crate::wtp::{Pdu, concat, pdu::Packet};

/// A datagram in words, PDU by PDU.
pub(super) fn describe(datagram: &[u8]) -> Vec<String> {
    concat::separate(datagram)
        .map(|octets| match Pdu::decode(octets) {
            Ok(pdu) => line(&pdu, octets.len()),
            Err(malformed) => format!(
                "{} octets that are no PDU: {}",
                octets.len(),
                malformed.error
            ),
        })
        .collect()
}

fn line(pdu: &Pdu<'_>, len: usize) -> String {
    let mut line = String::new();
    let tid = pdu.tid() & 0x7FFF;
    let written = match pdu {
        Pdu::Invoke(invoke) => write!(
            line,
            "Invoke class {}{}",
            invoke.class.to_wire(),
            packet(&invoke.packet, Some(0))
        ),
        Pdu::Result(result) => write!(line, "Result{}", packet(result, Some(0))),
        Pdu::SegmentedInvoke(psn, inner) => {
            write!(line, "Segmented Invoke {psn}{}", packet(inner, None))
        }
        Pdu::SegmentedResult(psn, inner) => {
            write!(line, "Segmented Result {psn}{}", packet(inner, None))
        }
        Pdu::Ack(ack) => {
            let verify = if ack.verify { ", verification" } else { "" };
            write!(line, "Ack{verify}{}", again(ack.repeated))
        }
        Pdu::Nack(nack) => write!(
            line,
            "Nack, missing {:?}{}",
            nack.missing,
            again(nack.repeated)
        ),
        Pdu::Abort(abort) => write!(line, "Abort {}", abort.reason),
    };
    // Writing to a String cannot fail.
    let _ = written;
    format!("tid {tid:<5} {len:>5} octets  {line}")
}

/// The content of a packet: the WSP PDU if the packet is the first one of a message.
fn packet(packet: &Packet<'_>, psn: Option<u8>) -> String {
    let inner = match (psn, packet.data.first()) {
        (Some(0), Some(octet)) => format!(" · {}", kind(*octet)),
        _ => String::new(),
    };
    let more = if packet.trailer.ends_message() {
        ""
    } else {
        ", more follows"
    };
    format!("{inner}{more}{}", again(packet.repeated))
}

/// The name of a WSP PDU; of a method, the method's.
fn kind(octet: u8) -> String {
    match (octet, Method(octet).name()) {
        (0x40..=0x7F, Some(method)) => method.to_owned(),
        (0x40..=0x7F, None) => format!("method {octet:#04x}"),
        _ => Type(octet).to_string(),
    }
}

const fn again(repeated: bool) -> &'static str {
    if repeated { " (again)" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_names() {
        let lines = describe(b"\x0A\x12\x34\x02\x40\x02/a");
        assert!(lines[0].ends_with(" · GET"), "{lines:?}");
        let lines = describe(b"\x0A\x12\x34\x02\x50\x02/a");
        assert!(lines[0].ends_with(" · method 0x50"), "{lines:?}");
    }
}
