//! Explains OBEX packets: opcode or response code, headers, and WBXML objects that one packet
//! carries whole.

use super::annotator::{Annotator, escaped, shown};
use super::document;
use crate::obex::packet::{
    self, BODY, CONNECTION_ID, Code, END_OF_BODY, Header, LENGTH, NAME, Opcode, TARGET, TYPE, WHO,
};

/// Explains packets one after the other, as they stand in the stream of one direction.
pub(super) fn nodes(annotator: &mut Annotator<'_>) {
    while !annotator.rest().is_empty() {
        let octets = annotator.rest();
        let stated = packet::packet_len(octets).filter(|len| *len >= 3);
        let Some(len) = stated.filter(|len| *len <= octets.len()) else {
            let left = octets.len();
            return annotator.fault(
                left,
                "a packet that is cut off, or has a wrong length".into(),
            );
        };
        let first = octets.first().copied().unwrap_or_default();
        annotator.group(len, &title(first), |annotator| inside(annotator, first));
    }
}

fn title(first: u8) -> String {
    let opcode = Opcode(first & 0x7F);
    match (Code(first).name(), opcode.name()) {
        // Responses have the final bit and a class; opcodes are below 10, or ABORT.
        (Some(name), _) => format!("OBEX response: {name}"),
        (None, Some(name)) => {
            let is_final = if first & 0x80 == 0 {
                ", more packets follow"
            } else {
                ""
            };
            format!("OBEX {name}{is_final}")
        }
        (None, None) => format!("OBEX packet {first:#04x}"),
    }
}

fn inside(annotator: &mut Annotator<'_>, first: u8) {
    annotator.octet(|first| format!("first octet {first:#04x}"));
    annotator.uint16(|len| format!("length: {len}"));
    let opcode = Opcode(first & 0x7F);
    // The response to CONNECT has the same fixed part; its version tells.
    let is_connect = opcode == Opcode::CONNECT
        || first == Code::SUCCESS.0 && annotator.rest().starts_with(&[packet::VERSION, 0]);
    if is_connect {
        annotator.octet(|version| format!("version {}.{}", version >> 4, version & 15));
        annotator.octet(|flags| format!("flags {flags:#04x}"));
        annotator.uint16(|len| format!("largest packet: {len}"));
    } else if opcode == Opcode::SETPATH && first & 0x80 != 0 {
        annotator.octet(|flags| match flags & 1 {
            0 => format!("flags {flags:#04x}"),
            _ => format!("flags {flags:#04x}: to the parent folder first"),
        });
        annotator.octet(|constants| format!("constants {constants:#04x}"));
    }
    while !annotator.rest().is_empty() {
        let before = annotator.rest();
        let (header, len) = match packet::first_header(before) {
            Ok((header, len)) => (header, len),
            Err(error) => return annotator.expected(error),
        };
        object(annotator, &header, len);
    }
}

fn object(annotator: &mut Annotator<'_>, header: &Header<'_>, len: usize) {
    match header {
        Header::Octets(END_OF_BODY, part) if document::is_whole(part) => {
            annotator.group(len, "End of Body", |annotator| {
                annotator.octet(|id| format!("header {id:#04x}"));
                annotator.uint16(|len| format!("length: {len}"));
                document::nodes(annotator);
            });
        }
        header => annotator.annotate(len, escaped(words(header))),
    }
}

fn words(header: &Header<'_>) -> String {
    let text = |octets: &[u8]| shown(octets.strip_suffix(b"\0").unwrap_or(octets));
    match header {
        Header::Text(NAME, name) => format!("Name: {name}"),
        Header::Octets(TYPE, octets) => format!("Type: {}", text(octets)),
        Header::Octets(TARGET, octets) => format!("Target: {}", text(octets)),
        Header::Octets(WHO, octets) => format!("Who: {}", text(octets)),
        Header::Octets(BODY, part) => format!("Body: {} octets", part.len()),
        Header::Octets(END_OF_BODY, part) => format!("End of Body: {} octets", part.len()),
        Header::Number(LENGTH, length) => format!("Length: {length}"),
        Header::Number(CONNECTION_ID, id) => format!("Connection ID: {id}"),
        Header::Text(id, value) => format!("header {id:#04x}: {value}"),
        Header::Octets(id, octets) => format!("header {id:#04x}: {} octets", octets.len()),
        Header::Octet(id, octet) => format!("header {id:#04x}: {octet}"),
        Header::Number(id, number) => format!("header {id:#04x}: {number}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::explain::{Kind, explain};

    fn words(hex: &str) -> String {
        let octets: Vec<u8> = hex
            .split_whitespace()
            .map(|octet| u8::from_str_radix(octet, 16).unwrap())
            .collect();
        explain(Kind::Obex, &octets).to_string()
    }

    #[test]
    fn packets_are_told_apart_to_their_headers() {
        let connect = "80 00 15 10 00 FF FF 46 00 0E 53 59 4E 43 4D 4C 2D 53 59 4E 43";
        let response = "A0 00 0C 10 00 FF FF CB 00 00 00 07";
        let put = "02 00 07 01 00 04 00";
        let told = words(&format!("{connect} {response}"));
        for part in [
            "OBEX CONNECT",
            "version 1.0",
            "largest packet: 65535",
            "Target: SYNCML-SYNC",
            "OBEX response: Success",
            "Connection ID: 7",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let told = words("83 00 0D 01 00 0A 00 70 00 62 00 00 00");
        assert!(
            told.contains("OBEX GET") && told.contains("Name: pb"),
            "{told}"
        );
        assert!(words(put).contains("more packets follow"));
        assert!(words("82 00 0B 49 00 08 03 0B 6A 00 45").contains("End of Body"));
        assert!(words("82 00 09").contains("cut off"));
        assert!(words("82 00 06 48 00 02").contains("a length of at least 3"));
    }
}
