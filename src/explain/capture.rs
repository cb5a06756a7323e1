//! Captures, pcap and pcapng: the packets of a file, and of a stream that is still growing.

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
    /// A block of a stream is longer than any packet.
    #[error("a block of the capture is longer than 16 MiB")]
    TooLong,
}

/// Whether a file begins like a capture.
#[must_use]
pub fn is_capture(file: &[u8]) -> bool {
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
        loop {
            let (rest, packet) = self.reader.read(self.rest).ok()?;
            self.rest = rest;
            if packet.is_some() {
                return packet;
            }
        }
    }
}

/// The packets of a capture that comes piece by piece.
#[derive(Debug, Default)]
pub struct CaptureStream {
    reader: Option<Reader>,
    /// Octets that came, and how many of them are read.
    octets: Vec<u8>,
    read: usize,
    is_over: bool,
}

impl CaptureStream {
    /// The next octets came.
    pub fn push(&mut self, octets: &[u8]) {
        if self.read > 0 {
            self.octets.drain(..self.read);
            self.read = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    /// The next packet that is whole. `None` as long as more octets are needed, and for good after
    /// a malformed block.
    ///
    /// # Errors
    ///
    /// The stream is no capture, or has a block without end.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        if self.reader.is_none() && !self.begin()? {
            return Ok(None);
        }
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        while !self.is_over {
            let rest = self.octets.get(self.read..).unwrap_or_default();
            match reader.read(rest) {
                Ok((left, packet)) => {
                    self.read = self.octets.len() - left.len();
                    if packet.is_some() {
                        return Ok(packet);
                    }
                }
                Err(nom::Err::Incomplete(_)) if rest.len() > LONGEST_BLOCK => {
                    return Err(CaptureError::TooLong);
                }
                Err(nom::Err::Incomplete(_)) => return Ok(None),
                Err(_) => self.is_over = true,
            }
        }
        Ok(None)
    }

    /// Whether the header is whole.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.reader.is_some()
    }

    /// Reads the header. Returns false if it is not whole yet.
    fn begin(&mut self) -> Result<bool, CaptureError> {
        match packets(&self.octets) {
            Ok(Packets { rest, reader }) => {
                self.read = self.octets.len() - rest.len();
                self.reader = Some(reader);
                Ok(true)
            }
            Err(CaptureError::Short) => Ok(false),
            Err(_) if self.octets.len() < SECTION_HEADER.len() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Reader {
    /// Reads a frame or a block: the octets behind it, and the packet in it, if there is one.
    fn read<'a>(&mut self, octets: &'a [u8]) -> Read<'a, Option<Packet<'a>>> {
        match self {
            Self::Pcap(header) => {
                let (rest, frame) = frame(header, octets)?;
                Ok((rest, Some(of_frame(header, &frame))))
            }
            Self::Pcapng {
                is_big_endian,
                interfaces,
            } => {
                let (rest, block) = block(*is_big_endian, octets)?;
                if let Block::SectionHeader(header) = &block {
                    *is_big_endian = header.big_endian();
                    interfaces.clear();
                }
                Ok((rest, of_block(block, interfaces)))
            }
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
/// Octets of a block that a stream may hold back. A packet has 256 KiB at most.
const LONGEST_BLOCK: usize = 16 << 20;

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
    fn a_stream_has_the_packets_of_the_file_whatever_the_pieces() {
        for file in [pcap(), pcapng()] {
            let whole: Vec<_> = packets(&file)
                .unwrap()
                .map(|packet| (packet.time, packet.link, packet.data.to_vec()))
                .collect();
            for size in [1, 7, file.len()] {
                let mut stream = CaptureStream::default();
                let mut found = Vec::new();
                for piece in file.chunks(size) {
                    stream.push(piece);
                    while let Some(packet) = stream.next_packet().unwrap() {
                        found.push((packet.time, packet.link, packet.data.to_vec()));
                    }
                }
                assert_eq!(found, whole, "pieces of {size}");
            }
        }
    }

    #[test]
    fn a_stream_without_packets_is_refused_or_ends() {
        let mut stream = CaptureStream::default();
        stream.push(b"GI");
        assert_eq!(stream.next_packet(), Ok(None));
        stream.push(b"F89a");
        assert_eq!(stream.next_packet(), Err(CaptureError::NotACapture));
        // A block of four gibibytes never ends.
        let mut stream = CaptureStream::default();
        stream.push(&pcapng()[..28]);
        stream.push(b"\0\0\0\x06\xFF\xFF\xFF\xF0");
        stream.push(&vec![0; LONGEST_BLOCK]);
        assert_eq!(stream.next_packet(), Err(CaptureError::TooLong));
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
