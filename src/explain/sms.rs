//! Explains the user data of short messages that carry datagrams (WAP-259, 6.3; 3GPP TS 23.040,
//! 9.2.3.24).

use super::annotator::Annotator;
use super::wsp;
use crate::codec::located;
use crate::sms::{Element, Part, Ports, Reference, UserDataHeader, element};

/// Explains the header and the user data after it. A datagram in one message is explained as WSP;
/// a part of a datagram is no WSP message.
pub(super) fn nodes(annotator: &mut Annotator<'_>) {
    let header = match UserDataHeader::decode(annotator.rest()) {
        Ok((header, _)) => header,
        Err(error) => return annotator.expected(error),
    };
    let Some(len) = annotator.peek() else { return };
    annotator.group(1 + usize::from(len), "user data header", elements);
    let left = annotator.rest().len();
    match (header.part, header.ports) {
        (Some(part), _) if part.total > 1 => {
            let (number, total) = (part.number, part.total);
            let meaning = format!("part {number} of {total}: {left} octets of the datagram");
            annotator.annotate(left, meaning);
        }
        (_, Some(_)) if left > 0 => wsp::sdu(annotator, true),
        _ if left > 0 => annotator.annotate(left, format!("{left} octets of a message")),
        _ => {}
    }
}

fn elements(annotator: &mut Annotator<'_>) {
    annotator.octet(|len| format!("length: {len}"));
    while !annotator.rest().is_empty() {
        let before = annotator.rest();
        let Ok((after, element)) = located(before, element) else {
            return;
        };
        let (len, identifier) = (before.len() - after.len(), before.first());
        let identifier = identifier.copied().unwrap_or_default();
        let meaning = match element {
            Element::Ports(ports) => shown_ports(ports),
            Element::Part(part) => shown_part(part),
            Element::Other(_, data) => format!("{} octets for others", data.len()),
        };
        annotator.annotate(len, format!("element {identifier:02x}: {meaning}"));
    }
}

fn shown_ports(ports: Ports) -> String {
    let named = |port| match port {
        2948 => "2948 (push)".to_owned(),
        2949 => "2949 (secure push)".to_owned(),
        9200 => "9200 (connectionless WSP)".to_owned(),
        port => port.to_string(),
    };
    let (to, from) = (named(ports.destination), named(ports.source));
    format!("to port {to} from port {from}")
}

fn shown_part(part: Part) -> String {
    let reference = match part.reference {
        Reference::Short(reference) => format!("{reference:#04x}"),
        Reference::Long(reference) => format!("{reference:#06x}"),
    };
    let (number, total) = (part.number, part.total);
    let wrong = match part.is_valid() {
        true => "",
        false => ", which is none of them and is passed over",
    };
    format!("concatenation, reference {reference}, message {number} of {total}{wrong}")
}

#[cfg(test)]
mod tests {
    use crate::explain::{Kind, detect, explain};

    /// What Kannel's PPG gave an SMSC: a Service Loading.
    const LOADING: &[u8] =
        b"\x06\x05\x04\x0b\x84\x23\xf0\x09\x06\x05\xb0\x8d\xa4\xc3\x93\x02\x06\x6a\x00\x85\
        \x09\x03www.xyz\x00\x85\x03ppaid/123/abc.wml\x00\x01";

    #[test]
    fn a_push_in_a_short_message_is_explained() {
        assert_eq!(detect(LOADING), Some(Kind::Sms));
        let explained = explain(Kind::Sms, LOADING);
        let text = explained.to_string();
        for line in [
            "element 05: to port 2948 (push) from port 9200 (connectionless WSP)",
            "WSP Push",
            "application/vnd.wap.slc",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert_eq!(explained.fault(), None, "{text}");
    }

    #[test]
    fn a_part_of_a_datagram_is_no_message_of_wsp() {
        let part = b"\x0B\x05\x04\x0b\x84\x23\xf0\x00\x03\x02\x03\x02e new emails";
        let text = explain(Kind::Sms, part).to_string();
        assert!(text.contains("part 2 of 3: 12 octets"), "{text}");
        assert!(!text.contains("WSP Push"), "{text}");
    }
}
