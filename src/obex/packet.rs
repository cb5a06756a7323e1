//! Packets and headers (OBEX 2.1, 3.1).

use std::borrow::Cow;

use crate::codec::{DecodeError, Parsed, assigned_numbers, fail, located, octets, uint8, uint16};

assigned_numbers! {
    /// The first octet of a request, without the final bit (OBEX 3.3).
    pub struct Opcode(u8) {
        /// CONNECT, always final.
        CONNECT = 0x00 => "CONNECT",
        /// DISCONNECT, always final.
        DISCONNECT = 0x01 => "DISCONNECT",
        /// PUT.
        PUT = 0x02 => "PUT",
        /// GET.
        GET = 0x03 => "GET",
        /// SETPATH, always final.
        SETPATH = 0x05 => "SETPATH",
        /// ABORT, always final.
        ABORT = 0x7F => "ABORT",
    }
}

assigned_numbers! {
    /// The first octet of a response, with the final bit (OBEX 3.2.1).
    pub struct Code(u8) {
        /// More packets follow, or are expected.
        CONTINUE = 0x90 => "Continue",
        /// Done.
        SUCCESS = 0xA0 => "Success",
        /// The request cannot be read.
        BAD_REQUEST = 0xC0 => "Bad Request",
        /// The request is not allowed.
        FORBIDDEN = 0xC3 => "Forbidden",
        /// There is no such object.
        NOT_FOUND = 0xC4 => "Not Found",
        /// The target is unknown.
        NOT_ACCEPTABLE = 0xC6 => "Not Acceptable",
        /// The object is too large.
        TOO_LARGE = 0xCD => "Request Entity Too Large",
        /// The server failed.
        INTERNAL_ERROR = 0xD0 => "Internal Server Error",
        /// The operation is unknown.
        NOT_IMPLEMENTED = 0xD1 => "Not Implemented",
        /// The connection id is unknown, or the server is busy.
        UNAVAILABLE = 0xD3 => "Service Unavailable",
    }
}

impl Code {
    /// The code of an HTTP status (OBEX 3.2.1): both number the same cases.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        let (class, least) = match status {
            200..=206 => (0x20, 200),
            300..=305 => (0x30, 300),
            400..=415 => (0x40, 400),
            500..=505 => (0x50, 500),
            207..=299 => return Self::SUCCESS,
            416..=499 => return Self::BAD_REQUEST,
            _ => return Self::INTERNAL_ERROR,
        };
        let [_, number] = (status - least).to_be_bytes();
        Self(0x80 | class | number)
    }
}

/// One header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// A text in UTF-16; the NUL at its end is left out.
    Text(u8, Cow<'a, str>),
    /// Octets.
    Octets(u8, &'a [u8]),
    /// One octet.
    Octet(u8, u8),
    /// Four octets.
    Number(u8, u32),
}

/// Name of an object: text.
pub const NAME: u8 = 0x01;
/// Media type of an object: ASCII with a NUL at its end.
pub const TYPE: u8 = 0x42;
/// Octets of an object.
pub const LENGTH: u8 = 0xC3;
/// The service that a client wants.
pub const TARGET: u8 = 0x46;
/// A part of an object.
pub const BODY: u8 = 0x48;
/// The last part of an object.
pub const END_OF_BODY: u8 = 0x49;
/// The service that answers.
pub const WHO: u8 = 0x4A;
/// Number of a connection.
pub const CONNECTION_ID: u8 = 0xCB;

/// The version in CONNECT: 1.0.
pub const VERSION: u8 = 0x10;
/// The smallest packet that every implementation takes (OBEX 3.3.1.4).
pub const LEAST_PACKET: u16 = 255;

/// Octets of a packet by the length that its first three octets state; `None` if they are not
/// there yet.
#[must_use]
pub fn packet_len(octets: &[u8]) -> Option<usize> {
    let [_, high, low, ..] = octets else {
        return None;
    };
    Some(usize::from(u16::from_be_bytes([*high, *low])))
}

/// Reads the headers of a packet.
///
/// # Errors
/// The first header that is cut off or has a wrong length.
pub fn headers(input: &[u8]) -> Result<Vec<Header<'_>>, DecodeError> {
    let mut found = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let (after, one) = located(rest, header).map_err(|error| DecodeError {
            offset: input.len() - rest.len() + error.offset,
            ..error
        })?;
        found.push(one);
        rest = after;
    }
    Ok(found)
}

/// Reads the header at the start of octets, and tells its length.
///
/// # Errors
/// A header that is cut off or has a wrong length.
pub fn first_header(input: &[u8]) -> Result<(Header<'_>, usize), DecodeError> {
    let (rest, one) = located(input, header)?;
    Ok((one, input.len() - rest.len()))
}

fn header(input: &[u8]) -> Parsed<'_, Header<'_>> {
    let (rest, id) = uint8(input)?;
    match id >> 6 {
        0 => {
            let (rest, text) = value(rest)?;
            let units = text.chunks(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            let text: String = char::decode_utf16(units)
                .map(|sign| sign.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect();
            let text = text.trim_end_matches('\0').to_owned();
            Ok((rest, Header::Text(id, text.into())))
        }
        1 => {
            let (rest, octets) = value(rest)?;
            Ok((rest, Header::Octets(id, octets)))
        }
        2 => {
            let (rest, octet) = uint8(rest)?;
            Ok((rest, Header::Octet(id, octet)))
        }
        _ => {
            let (rest, four) = octets(4)(rest)?;
            let number = four
                .iter()
                .fold(0, |number, octet| number << 8 | u32::from(*octet));
            Ok((rest, Header::Number(id, number)))
        }
    }
}

/// A value behind a length, which counts the identifier and itself.
fn value(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = uint16(input)?;
    match usize::from(length).checked_sub(3) {
        Some(length) => octets(length)(rest),
        None => Err(fail(input, "a length of at least 3")),
    }
}

/// Appends a header.
pub fn put_header(out: &mut Vec<u8>, header: &Header<'_>) {
    match header {
        Header::Text(id, text) => {
            let mut units: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            // An empty text has no NUL either.
            if !units.is_empty() {
                units.extend([0, 0]);
            }
            put_value(out, *id, &units);
        }
        Header::Octets(id, octets) => put_value(out, *id, octets),
        Header::Octet(id, octet) => out.extend([*id, *octet]),
        Header::Number(id, number) => {
            out.push(*id);
            out.extend(number.to_be_bytes());
        }
    }
}

fn put_value(out: &mut Vec<u8>, id: u8, octets: &[u8]) {
    let length = u16::try_from(octets.len() + 3).unwrap_or(u16::MAX);
    out.push(id);
    out.extend(length.to_be_bytes());
    let octets = octets.get(..usize::from(length) - 3).unwrap_or(octets);
    out.extend_from_slice(octets);
}

/// Appends a packet: its first octet, the octets between length and headers, its headers.
pub fn put_packet(out: &mut Vec<u8>, first: u8, fixed: &[u8], headers: &[Header<'_>]) {
    let start = out.len();
    out.extend([first, 0, 0]);
    out.extend_from_slice(fixed);
    for header in headers {
        put_header(out, header);
    }
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(start + 1..start + 3) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_connect_of_the_specification() {
        // OBEX 3.3.1: CONNECT with Target, as SyncML's binding sends it.
        let mut packet = Vec::new();
        let target = Header::Octets(TARGET, b"SYNCML-SYNC");
        put_packet(
            &mut packet,
            0x80,
            &[VERSION, 0, 0xFF, 0xFF],
            std::slice::from_ref(&target),
        );
        assert_eq!(packet[..7], [0x80, 0, 21, 0x10, 0, 0xFF, 0xFF]);
        assert_eq!(packet[7..10], [0x46, 0, 14]);
        assert_eq!(packet_len(&packet), Some(21));
        assert_eq!(headers(&packet[7..]), Ok(vec![target]));
        assert!(headers(&[TYPE, 0, 2]).is_err());
        assert!(headers(&[TYPE, 0, 9, 1]).is_err());
        assert!(headers(&[CONNECTION_ID, 0]).is_err());
    }

    #[test]
    fn codes_of_statuses() {
        for (status, code) in [
            (200, 0xA0),
            (204, 0xA4),
            (226, 0xA0),
            (302, 0xB2),
            (401, 0xC1),
            (403, 0xC3),
            (404, 0xC4),
            (413, 0xCD),
            (415, 0xCF),
            (429, 0xC0),
            (502, 0xD2),
            (503, 0xD3),
            (504, 0xD4),
            (599, 0xD0),
        ] {
            assert_eq!(Code::of_status(status).0, code, "{status}");
        }
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            name in "[ -~é€]{0,20}", octets in prop::collection::vec(any::<u8>(), 0..50),
            number in any::<u32>(), octet in any::<u8>(),
        ) {
            let all = [
                Header::Text(NAME, name.into()),
                Header::Octets(BODY, &octets),
                Header::Number(LENGTH, number),
                Header::Octet(0x97, octet),
            ];
            let mut out = Vec::new();
            put_packet(&mut out, 0x82, &[], &all);
            prop_assert_eq!(packet_len(&out), Some(out.len()));
            prop_assert_eq!(headers(&out[3..]).unwrap(), all);
        }

        #[test]
        fn any_octets_are_decided(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = headers(&octets);
        }
    }
}
