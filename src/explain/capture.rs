//! Capture files, pcap and pcapng: an iterator over their packets.

use std::time::Duration;

use nom::IResult;
use pcap_parser::{
    Block, LegacyPcapBlock, PcapError, PcapHeader, parse_block_be, parse_block_le,
    parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
    parse_unknownblock_be, parse_unknownblock_le,
};

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The time of the capture, since 1970; zero if the file has no time.
    pub time: Duration,
    /// The link layer of the packet (a LINKTYPE number).
    pub link: u32,
    /// The captured octets, perhaps fewer than the packet had.
    pub data: &'a [u8],
}

/// The reason why a file is no capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The file begins like no capture.
    #[error("neither pcap nor pcapng")]
    NotACapture,
    /// The file ends within the header of a capture.
    #[error("the capture's header is cut short")]
    Short,
}

/// Whether a file begins like a capture.
pub(super) fn is_capture(file: &[u8]) -> bool {
    !matches!(packets(file), Err(CaptureError::NotACapture))
}

/// The packets of a capture in their order, without a last packet that is cut short.
///
/// # Errors
///
/// The file is no capture.
pub fn packets(file: &[u8]) -> Result<Packets<'_>, CaptureError> {
    if file.starts_with(&SECTION_HEADER) {
        // Each section names its byte order.
        let reader = Reader::Pcapng {
            is_big_endian: false,
            interfaces: Vec::new(),
        };
        return Ok(Packets { rest: file, reader });
    }
    match parse_pcap_header(file) {
        Ok((rest, header)) => Ok(Packets {
            rest,
            reader: Reader::Pcap(header),
        }),
        Err(nom::Err::Incomplete(_)) if file.len() >= 4 => Err(CaptureError::Short),
        Err(_) => Err(CaptureError::NotACapture),
    }
}

/// The packets of a capture; see [`packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
    reader: Reader,
}

#[derive(Clone, Debug)]
enum Reader {
    Pcap(PcapHeader),
    Pcapng {
        is_big_endian: bool,
        interfaces: Vec<Interface>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    /// Units of time in a second.
    resolution: u64,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        match &mut self.reader {
            Reader::Pcap(header) => {
                let (rest, frame) = frame(header, self.rest).ok()?;
                self.rest = rest;
                Some(of_frame(header, &frame))
            }
            Reader::Pcapng {
                is_big_endian,
                interfaces,
            } => loop {
                let (rest, block) = block(*is_big_endian, self.rest).ok()?;
                self.rest = rest;
                if let Block::SectionHeader(header) = &block {
                    *is_big_endian = header.big_endian();
                    interfaces.clear();
                }
                if let Some(packet) = of_block(block, interfaces) {
                    return Some(packet);
                }
            },
        }
    }
}

type Read<'a, T> = IResult<&'a [u8], T, PcapError<&'a [u8]>>;

fn frame<'a>(header: &PcapHeader, file: &'a [u8]) -> Read<'a, LegacyPcapBlock<'a>> {
    if header.is_modified_format() {
        parse_pcap_frame_modified(file)
    } else if header.is_bigendian() {
        parse_pcap_frame_be(file)
    } else {
        parse_pcap_frame(file)
    }
}

fn of_frame<'a>(header: &PcapHeader, frame: &LegacyPcapBlock<'a>) -> Packet<'a> {
    let nanos = match header.is_nanosecond_precision() {
        true => u64::from(frame.ts_usec),
        false => u64::from(frame.ts_usec) * 1000,
    };
    Packet {
        time: Duration::from_secs(u64::from(frame.ts_sec)) + Duration::from_nanos(nanos),
        // The upper bits are the length of the frame check sequence.
        link: header.network.0.cast_unsigned() & 0x0FFF_FFFF,
        data: frame.data,
    }
}

/// The next block. A block whose body contradicts its length is skipped like an unknown one.
fn block(is_big_endian: bool, file: &[u8]) -> Read<'_, Block<'_>> {
    let (known, unknown) = match is_big_endian {
        true => (parse_block_be(file), parse_unknownblock_be(file)),
        false => (parse_block_le(file), parse_unknownblock_le(file)),
    };
    match known {
        Err(_) if !file.starts_with(&SECTION_HEADER) => {
            unknown.map(|(rest, block)| (rest, Block::Unknown(block)))
        }
        known => known,
    }
}

fn of_block<'a>(block: Block<'a>, interfaces: &mut Vec<Interface>) -> Option<Packet<'a>> {
    match block {
        Block::InterfaceDescription(interface) => {
            interfaces.push(Interface {
                link: interface.linktype.0.cast_unsigned(),
                resolution: resolution(interface.if_tsresol).unwrap_or(MICROSECONDS),
            });
            None
        }
        Block::EnhancedPacket(packet) => {
            let interface = interfaces.get(usize::try_from(packet.if_id).ok()?)?;
            let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            Some(Packet {
                time: time(units, interface.resolution),
                link: interface.link,
                data: packet.data.get(..usize::try_from(packet.caplen).ok()?)?,
            })
        }
        Block::SimplePacket(packet) => {
            let len = usize::try_from(packet.origlen).ok()?.min(packet.data.len());
            Some(Packet {
                time: Duration::ZERO,
                link: interfaces.first()?.link,
                data: packet.data.get(..len)?,
            })
        }
        _ => None,
    }
}

/// The option if_tsresol in units per second. (pcap-parser's `ts_resolution` refuses every power of
/// two.)
const fn resolution(if_tsresol: u8) -> Option<u64> {
    let exponent = (if_tsresol & 0x7F) as u32;
    match if_tsresol & 0x80 {
        0 => 10u64.checked_pow(exponent),
        _ => 1u64.checked_shl(exponent),
    }
}

fn time(units: u64, resolution: u64) -> Duration {
    let nanos = u128::from(units % resolution) * 1_000_000_000 / u128::from(resolution);
    Duration::from_secs(units / resolution)
        + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

const SECTION_HEADER: [u8; 4] = *b"\x0A\x0D\x0D\x0A";
const MICROSECONDS: u64 = 1_000_000;

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
        const INTERFACE_DESCRIPTION: u32 = 1;
        const SIMPLE_PACKET: u32 = 3;
        const ENHANCED_PACKET: u32 = 6;
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
            u32::from_be_bytes(SECTION_HEADER),
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
        // The packet is longer than its block.
        block(
            ENHANCED_PACKET,
            b"\0\0\0\0\0\0\0\0\0\0\x13\x8F\0\0\0\x30\0\0\0\x30abc\0",
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
    fn time_is_counted_in_powers_of_ten_or_two() {
        assert_eq!(resolution(9), Some(1_000_000_000));
        assert_eq!(resolution(0x80 | 10), Some(1024));
        assert_eq!((resolution(20), resolution(0xFF)), (None, None));
        assert_eq!(time(1024 + 512, 1024), Duration::from_millis(1500));
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
