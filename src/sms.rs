//! WDP over GSM SMS (WAP-259, 6.3): ports and concatenation in the user data header of short
//! messages.
//!
//! A short message has 140 octets of user data. The header before the datagram is a length and
//! information elements (3GPP TS 23.040, 9.2.3.24). A datagram that does not fit is cut into at
//! most 255 messages.

use nom::Parser;

use crate::codec::{DecodeError, Parsed, fail, located, octets, uint8, uint16};

/// Octets of user data in one short message, its header among them.
pub const USER_DATA: usize = 140;
/// The short messages that a datagram may be cut into.
pub const MAX_PARTS: usize = 255;

/// The ports of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The port of the application in the phone.
    pub destination: u16,
    /// The port an answer would go to.
    pub source: u16,
}

/// The reference that all messages of one datagram share. Datagrams of the last minutes have other
/// references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// One octet, element 00.
    Short(u8),
    /// Two octets, element 08. Some older phones do not know it.
    Long(u16),
}

/// The place of a message in the sequence of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The datagram.
    pub reference: Reference,
    /// The number of messages, at least 1.
    pub total: u8,
    /// The number of this message, from 1.
    pub number: u8,
}

/// The elements of a user data header that WDP needs. Other elements are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserDataHeader {
    /// Elements 04 and 05.
    pub ports: Option<Ports>,
    /// Elements 00 and 08.
    pub part: Option<Part>,
}

/// An element of a user data header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// Element 04 (one octet each) or 05 (two octets each).
    Ports(Ports),
    /// Element 00 or 08.
    Part(Part),
    /// Some other element: its identifier and its data.
    Other(u8, &'a [u8]),
}

/// A datagram needs more messages than there are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{octets} octets do not fit into {MAX_PARTS} short messages")]
pub struct TooLarge {
    /// Octets of the datagram.
    pub octets: usize,
}

impl UserDataHeader {
    /// Reads the header at the start of user data. Returns it and the octets after it.
    ///
    /// Of two equal elements the last one counts, and a part whose number is not among its total is
    /// no part (TS 23.040, 9.2.3.24 and 9.2.3.24.1).
    ///
    /// # Errors
    ///
    /// An element ends early, or a port or concatenation element has a wrong length.
    pub fn decode(user_data: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (rest, elements) = located(user_data, block)?;
        let mut header = Self::default();
        let mut left = elements;
        while !left.is_empty() {
            let (after, element) = located(left, element).map_err(|error| DecodeError {
                offset: 1 + (elements.len() - left.len()) + error.offset,
                ..error
            })?;
            left = after;
            match element {
                Element::Ports(ports) => header.ports = Some(ports),
                Element::Part(part) => header.part = part.is_valid().then_some(part),
                Element::Other(..) => {}
            }
        }
        Ok((header, rest))
    }

    /// Appends the header, always with ports of two octets.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.push(0);
        if let Some(ports) = self.ports {
            out.extend_from_slice(&[PORTS_LONG, 4]);
            out.extend_from_slice(&ports.destination.to_be_bytes());
            out.extend_from_slice(&ports.source.to_be_bytes());
        }
        if let Some(part) = self.part {
            match part.reference {
                Reference::Short(reference) => out.extend_from_slice(&[PART_SHORT, 3, reference]),
                Reference::Long(reference) => {
                    out.extend_from_slice(&[PART_LONG, 4]);
                    out.extend_from_slice(&reference.to_be_bytes());
                }
            }
            out.extend_from_slice(&[part.total, part.number]);
        }
        let len = out.len() - at - 1;
        if let Some(octet) = out.get_mut(at) {
            // Two elements at most, of six octets each.
            *octet = u8::try_from(len).unwrap_or(u8::MAX);
        }
    }

    fn len(&self) -> usize {
        let part = self.part.map_or(0, |part| match part.reference {
            Reference::Short(_) => 5,
            Reference::Long(_) => 6,
        });
        1 + self.ports.map_or(0, |_| 6) + part
    }
}

impl Part {
    /// Whether the number is one of the total.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.number >= 1 && self.number <= self.total
    }
}

/// The user data of the short messages that carry a datagram, in their order.
///
/// One message has no concatenation element, so `reference` is used only when there are several.
///
/// # Errors
///
/// The datagram needs more than [`MAX_PARTS`] messages.
pub fn segments(
    datagram: &[u8],
    ports: Ports,
    reference: Reference,
) -> Result<Vec<Vec<u8>>, TooLarge> {
    let alone = UserDataHeader {
        ports: Some(ports),
        part: None,
    };
    if alone.len() + datagram.len() <= USER_DATA {
        return Ok(vec![with_header(alone, datagram)]);
    }
    let part = |total, number| UserDataHeader {
        part: Some(Part {
            reference,
            total,
            number,
        }),
        ..alone
    };
    let chunks = datagram.chunks(USER_DATA - part(1, 1).len());
    let total = u8::try_from(chunks.len()).map_err(|_| TooLarge {
        octets: datagram.len(),
    })?;
    let numbered = (1..=total).zip(chunks);
    Ok(numbered
        .map(|(number, chunk)| with_header(part(total, number), chunk))
        .collect())
}

fn with_header(header: UserDataHeader, octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len() + octets.len());
    header.encode(&mut out);
    out.extend_from_slice(octets);
    out
}

/// The elements, without their length.
fn block(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = uint8(input)?;
    octets(usize::from(len))(rest)
}

/// One element: identifier, length, data.
pub(crate) fn element(input: &[u8]) -> Parsed<'_, Element<'_>> {
    let (rest, (identifier, len)) = (uint8, uint8).parse(input)?;
    let (rest, data) = octets(usize::from(len))(rest)?;
    let element = match (identifier, data) {
        (PORTS_SHORT, &[destination, source]) => Element::Ports(Ports {
            destination: destination.into(),
            source: source.into(),
        }),
        (PORTS_LONG, &[_, _, _, _]) => {
            let (_, (destination, source)) = (uint16, uint16).parse(data)?;
            Element::Ports(Ports {
                destination,
                source,
            })
        }
        (PART_SHORT, &[reference, total, number]) => Element::Part(Part {
            reference: Reference::Short(reference),
            total,
            number,
        }),
        (PART_LONG, &[high, low, total, number]) => Element::Part(Part {
            reference: Reference::Long(u16::from_be_bytes([high, low])),
            total,
            number,
        }),
        (PORTS_SHORT | PORTS_LONG | PART_SHORT | PART_LONG, _) => {
            return Err(fail(input, "an element of its assigned length"));
        }
        (identifier, data) => Element::Other(identifier, data),
    };
    Ok((rest, element))
}

/// Concatenation with a reference of one octet.
const PART_SHORT: u8 = 0x00;
/// Ports of one octet.
const PORTS_SHORT: u8 = 0x04;
/// Ports of two octets.
const PORTS_LONG: u8 = 0x05;
/// Concatenation with a reference of two octets.
const PART_LONG: u8 = 0x08;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUSH: Ports = Ports {
        destination: 2948,
        source: 9200,
    };

    #[test]
    fn a_datagram_that_fits_has_ports_only() {
        let messages = segments(b"abc", PUSH, Reference::Short(7)).unwrap();
        assert_eq!(messages, [b"\x06\x05\x04\x0B\x84\x23\xF0abc"]);
        let most = vec![0; USER_DATA - 7];
        assert_eq!(segments(&most, PUSH, Reference::Short(7)).unwrap().len(), 1);
    }

    /// As Kannel's PPG has them: ports, then the concatenation of one octet.
    #[test]
    fn a_datagram_that_does_not_fit_is_cut() {
        let datagram = vec![0x55; 134];
        let messages = segments(&datagram, PUSH, Reference::Short(3)).unwrap();
        let header = |number| {
            [
                b"\x0B\x05\x04\x0B\x84\x23\xF0\x00\x03\x03\x02",
                &[number][..],
            ]
            .concat()
        };
        assert_eq!(messages[0], [header(1), vec![0x55; 128]].concat());
        assert_eq!(messages[0].len(), USER_DATA);
        assert_eq!(messages[1], [header(2), vec![0x55; 6]].concat());
        let long = segments(&datagram, PUSH, Reference::Long(0x0102)).unwrap();
        assert_eq!(
            long[0][..13],
            *b"\x0C\x05\x04\x0B\x84\x23\xF0\x08\x04\x01\x02\x02\x01"
        );
    }

    #[test]
    fn no_datagram_has_more_than_255_messages() {
        assert_eq!(
            segments(&[0; 128 * 255], PUSH, Reference::Short(0))
                .unwrap()
                .len(),
            255
        );
        let error = segments(&[0; 128 * 255 + 1], PUSH, Reference::Short(0)).unwrap_err();
        assert_eq!(error.octets, 128 * 255 + 1);
    }

    #[test]
    fn ports_of_one_octet_and_other_elements_are_read() {
        let (header, rest) =
            UserDataHeader::decode(b"\x0A\x04\x02\xF0\xF1\x70\x00\x22\x02ab!").unwrap();
        assert_eq!(
            header.ports,
            Some(Ports {
                destination: 0xF0,
                source: 0xF1
            })
        );
        assert_eq!((header.part, rest), (None, &b"!"[..]));
        // A part zero, and a part beyond the total: no parts.
        for element in [
            &b"\x05\x00\x03\x01\x02\x00"[..],
            b"\x05\x00\x03\x01\x02\x03",
        ] {
            assert_eq!(UserDataHeader::decode(element).unwrap().0.part, None);
        }
    }

    #[test]
    fn a_header_that_ends_early_is_refused_where_it_ends() {
        for (octets, offset) in [
            (&b""[..], 0),
            (b"\x06\x05\x04", 1),
            (b"\x01\x05", 2),
            (b"\x03\x05\x04\x0B", 3),
            (b"\x04\x05\x02\x0B\x84", 1),
        ] {
            assert_eq!(
                UserDataHeader::decode(octets).unwrap_err().offset,
                offset,
                "{octets:02x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_cut_is_joined_again(
            datagram in prop::collection::vec(any::<u8>(), 0..4000),
            destination: u16,
            source: u16,
            reference in prop_oneof![
                any::<u8>().prop_map(Reference::Short),
                any::<u16>().prop_map(Reference::Long),
            ],
        ) {
            let ports = Ports { destination, source };
            let messages = segments(&datagram, ports, reference).unwrap();
            let mut joined = Vec::new();
            for (index, message) in messages.iter().enumerate() {
                prop_assert!(message.len() <= USER_DATA);
                let (header, octets) = UserDataHeader::decode(message).unwrap();
                prop_assert_eq!(header.ports, Some(ports));
                let part = header.part.map(|part| (part.reference, part.total, part.number));
                let octet = |number: usize| u8::try_from(number).unwrap();
                let expected = (reference, octet(messages.len()), octet(index + 1));
                prop_assert_eq!(part, (messages.len() > 1).then_some(expected));
                joined.extend_from_slice(octets);
            }
            prop_assert_eq!(joined, datagram);
        }

        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>) {
            if let Ok((header, rest)) = UserDataHeader::decode(&octets) {
                prop_assert!(rest.len() < octets.len());
                let mut again = Vec::new();
                header.encode(&mut again);
                prop_assert_eq!(UserDataHeader::decode(&again).unwrap(), (header, &[][..]));
            }
        }
    }
}
