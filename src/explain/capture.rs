//! Capture files: pcap and pcapng, as far as finding the packets in them.

use std::time::Duration;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::Endianness;
use nom::number::complete::{u16, u32};

use crate::codec::Parsed;

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When, since 1970; zero if the capture does not say.
    pub time: Duration,
    /// What the first octets are (a LINKTYPE number).
    pub link: u32,
    /// The octets, as many as were captured.
    pub data: &'a [u8],
}

/// Why a file is no capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// It does not begin like one.
    #[error("neither pcap nor pcapng")]
    NotACapture,
    /// It begins like one and ends within its header.
    #[error("the capture's header is cut short")]
    Short,
}

/// Whether a file begins like a capture.
pub(super) fn is_capture(file: &[u8]) -> bool {
    Format::of(file).is_some()
}

/// The packets of a capture in their order; what is cut short at the end is left out.
///
/// # Errors
///
/// The file is no capture.
pub fn packets(file: &[u8]) -> Result<Packets<'_>, CaptureError> {
    match Format::of(file).ok_or(CaptureError::NotACapture)? {
        Format::Pcap { endian, nanos } => {
            let header = (take(16usize), u32(endian));
            let (rest, (_, link)) =
                tuple(header, file.get(4..).unwrap_or_default()).ok_or(CaptureError::Short)?;
            Ok(Packets {
                rest,
                endian,
                // The upper bits say how many octets of check sequence there are.
                reader: Reader::Pcap {
                    link: link & 0x0FFF_FFFF,
                    nanos,
                },
            })
        }
        Format::Pcapng => Ok(Packets {
            rest: file,
            endian: Endianness::Little,
            reader: Reader::Pcapng {
                interfaces: Vec::new(),
            },
        }),
    }
}

/// The packets of a capture; see [`packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
    endian: Endianness,
    reader: Reader,
}

#[derive(Clone, Debug)]
enum Reader {
    Pcap { link: u32, nanos: bool },
    Pcapng { interfaces: Vec<Interface> },
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    /// Units of time in a second.
    resolution: u64,
}

enum Format {
    Pcap { endian: Endianness, nanos: bool },
    Pcapng,
}

impl Format {
    fn of(file: &[u8]) -> Option<Self> {
        let (endian, nanos) = match file.get(..4)? {
            [0xD4, 0xC3, 0xB2, 0xA1] => (Endianness::Little, false),
            [0xA1, 0xB2, 0xC3, 0xD4] => (Endianness::Big, false),
            [0x4D, 0x3C, 0xB2, 0xA1] => (Endianness::Little, true),
            [0xA1, 0xB2, 0x3C, 0x4D] => (Endianness::Big, true),
            [0x0A, 0x0D, 0x0D, 0x0A] => return Some(Self::Pcapng),
            _ => return None,
        };
        Some(Self::Pcap { endian, nanos })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        match self.reader {
            Reader::Pcap { link, nanos } => {
                let number = || u32(self.endian);
                let header = (number(), number(), number(), number());
                let (rest, (seconds, fraction, len, _)) = tuple(header, self.rest)?;
                let (rest, data) = split(rest, len)?;
                self.rest = rest;
                let fraction = u64::from(fraction) * if nanos { 1 } else { 1000 };
                Some(Packet {
                    time: Duration::from_secs(u64::from(seconds)) + Duration::from_nanos(fraction),
                    link,
                    data,
                })
            }
            Reader::Pcapng { .. } => loop {
                let (kind, body) = self.block()?;
                if let Some(packet) = self.packet(kind, body) {
                    return Some(packet);
                }
            },
        }
    }
}

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const MICROSECONDS: u64 = 1_000_000;

impl<'a> Packets<'a> {
    /// The next block of a pcapng file: its type and what is between its two lengths.
    fn block(&mut self) -> Option<(u32, &'a [u8])> {
        if self.rest.starts_with(&SECTION_HEADER.to_be_bytes()) {
            // A section says which way its numbers go before its own length can be read.
            self.endian = match self.rest.get(8..12)? {
                [0x4D, 0x3C, 0x2B, 0x1A] => Endianness::Little,
                [0x1A, 0x2B, 0x3C, 0x4D] => Endianness::Big,
                _ => return None,
            };
        }
        let (body, (kind, len)) = tuple((u32(self.endian), u32(self.endian)), self.rest)?;
        let (body, after) = {
            let (after, body) = split(body, len.checked_sub(12)?)?;
            (body, after.get(4..)?)
        };
        self.rest = after;
        Some((kind, body))
    }

    fn packet(&mut self, kind: u32, body: &'a [u8]) -> Option<Packet<'a>> {
        let endian = self.endian;
        let Reader::Pcapng { interfaces } = &mut self.reader else {
            return None;
        };
        match kind {
            SECTION_HEADER => interfaces.clear(),
            INTERFACE_DESCRIPTION => {
                let (rest, (link, _, _)) = tuple((u16(endian), u16(endian), u32(endian)), body)?;
                interfaces.push(Interface {
                    link: u32::from(link),
                    resolution: resolution(endian, rest).unwrap_or(MICROSECONDS),
                });
            }
            ENHANCED_PACKET => {
                let number = || u32(endian);
                let header = (number(), number(), number(), number(), number());
                let (rest, (interface, high, low, len, _)) = tuple(header, body)?;
                let interface = interfaces.get(usize::try_from(interface).ok()?)?;
                let (_, data) = split(rest, len)?;
                let units = u64::from(high) << 32 | u64::from(low);
                return Some(Packet {
                    time: time(units, interface.resolution),
                    link: interface.link,
                    data,
                });
            }
            SIMPLE_PACKET => {
                let (rest, (len,)) = tuple((u32(endian),), body)?;
                let len = usize::try_from(len).ok()?.min(rest.len());
                return Some(Packet {
                    time: Duration::ZERO,
                    link: interfaces.first()?.link,
                    data: rest.get(..len)?,
                });
            }
            _ => {}
        }
        None
    }
}

/// The option if_tsresol among an interface's options.
fn resolution(endian: Endianness, mut options: &[u8]) -> Option<u64> {
    const END: u16 = 0;
    const IF_TSRESOL: u16 = 9;
    loop {
        let (rest, (code, len)) = tuple((u16(endian), u16(endian)), options)?;
        let len = usize::from(len);
        match (code, rest.first()) {
            (END, _) => return None,
            (IF_TSRESOL, Some(&exponent)) if exponent & 0x80 != 0 => {
                return 1u64.checked_shl(u32::from(exponent & 0x7F));
            }
            (IF_TSRESOL, Some(&exponent)) => return 10u64.checked_pow(u32::from(exponent)),
            _ => {}
        }
        options = rest.get(len.next_multiple_of(4)..)?;
    }
}

fn time(units: u64, resolution: u64) -> Duration {
    let resolution = resolution.max(1);
    let nanos = u128::from(units % resolution) * 1_000_000_000 / u128::from(resolution);
    Duration::from_secs(units / resolution)
        + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

fn split(input: &[u8], len: u32) -> Option<(&[u8], &[u8])> {
    let (data, rest) = input.split_at_checked(usize::try_from(len).ok()?)?;
    Some((rest, data))
}

/// Runs several parsers; a capture that is cut short has nothing to say about where.
fn tuple<'a, P, T>(mut parsers: P, input: &'a [u8]) -> Option<(&'a [u8], T)>
where
    P: Parser<&'a [u8], Output = T, Error = crate::codec::Malformed<'a>>,
{
    let parsed: Parsed<'a, T> = parsers.parse(input);
    parsed.ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATA: &[u8] = b"abc";

    fn pcap() -> Vec<u8> {
        let mut file = b"\xD4\xC3\xB2\xA1\x02\0\x04\0".to_vec();
        for number in [0u32, 0, 65535, 101, 5, 7, 3, 3] {
            file.extend(number.to_le_bytes());
        }
        file.extend(DATA);
        file
    }

    fn pcapng() -> Vec<u8> {
        let mut file = Vec::new();
        let mut block = |kind: u32, body: &[u8]| {
            let len = u32::try_from(12 + body.len()).unwrap();
            for part in [
                &kind.to_be_bytes()[..],
                &len.to_be_bytes(),
                body,
                &len.to_be_bytes(),
            ] {
                file.extend_from_slice(part);
            }
        };
        block(
            SECTION_HEADER,
            b"\x1A\x2B\x3C\x4D\0\x01\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        );
        // Link type RAW, if_tsresol of milliseconds.
        block(
            INTERFACE_DESCRIPTION,
            b"\0\x65\0\0\0\0\0\0\0\x09\0\x01\x03\0\0\0\0\0\0\0",
        );
        block(0x0BAD, b"skip");
        block(
            ENHANCED_PACKET,
            b"\0\0\0\0\0\0\0\0\0\0\x13\x8F\0\0\0\x03\0\0\0\x03abc\0",
        );
        block(SIMPLE_PACKET, b"\0\0\0\x03abc\0");
        file
    }

    #[test]
    fn both_formats_are_read() {
        let read: Vec<_> = packets(&pcap())
            .unwrap()
            .map(|packet| (packet.time, packet.link, packet.data.to_vec()))
            .collect();
        assert_eq!(read, [(Duration::new(5, 7000), 101, DATA.to_vec())]);
        let file = pcapng();
        let read: Vec<_> = packets(&file).unwrap().collect();
        assert_eq!(read.len(), 2);
        assert_eq!(
            read[0],
            Packet {
                time: Duration::from_millis(5007),
                link: 101,
                data: DATA
            }
        );
        assert_eq!(read[1].data, DATA);
    }

    #[test]
    fn a_file_cut_short_just_ends() {
        for file in [pcap(), pcapng()] {
            for len in 0..file.len() {
                if let Ok(packets) = packets(&file[..len]) {
                    assert!(packets.count() <= 2);
                }
            }
        }
        assert_eq!(packets(b"GIF89a").unwrap_err(), CaptureError::NotACapture);
        assert_eq!(packets(&pcap()[..10]).unwrap_err(), CaptureError::Short);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(octets: Vec<u8>, format in 0..3usize) {
            let starts = [&b"\xA1\xB2\xC3\xD4"[..], b"\x4D\x3C\xB2\xA1", b"\x0A\x0D\x0D\x0A\0\0\0\x1C\x1A\x2B\x3C\x4D"];
            let file = [starts[format], &octets].concat();
            if let Ok(packets) = packets(&file) {
                packets.count();
            }
        }
    }
}
