//! Transport information items: the variable part of a PDU's header (WTP 7.10, 8.4).

use crate::codec::{self, Parsed, fail, octets, uint8};

/// The variable header of a PDU: items in wire form, or items to be written.
///
/// Two headers are equal when their items are equal, in whichever form.
#[derive(Clone, Copy, Debug)]
pub enum Tpis<'a> {
    /// Octets that [`tpis`] accepted.
    Wire(&'a [u8]),
    /// Items in the order they are to be written.
    List(&'a [Tpi<'a>]),
}

/// One transport information item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tpi<'a> {
    /// The peer did not understand an item of ours (8.4.2).
    Error(TpiError),
    /// Exit info of the user, in the last acknowledgement only (8.4.3).
    Info(&'a [u8]),
    /// A parameter, valid for the lifetime of the transaction (8.4.4).
    Parameter(Parameter),
    /// A packet sequence number: whole in Ack and Nack, its high-order octets in a segment (8.4.5).
    Psn(Psn),
    /// The last packet of a service data unit, more of the message follows (8.4.6).
    SduBoundary,
    /// The first packet of a user's frame (8.4.7).
    FrameBoundary,
    /// An item we do not know: its identity, 6 to 15. To be answered with [`TpiError::Unknown`].
    Unknown(u8, &'a [u8]),
    /// A known item with unknown content. Its answer is [`TpiError::Content`].
    Odd(u8, &'a [u8]),
}

/// The error code of an Error TPI (WTP table 26).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TpiError {
    /// "Unknown TPI": its identity.
    Unknown(u8),
    /// "Known TPI, unknown content": its identity and the first octet of its content.
    Content(u8, u8),
}

/// The option of an Option TPI (WTP table 30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// Octets of a result the initiator can take.
    MaximumReceiveUnit(u32),
    /// Octets of the whole segmented message, in its first packet.
    TotalMessageSize(u32),
    /// The sender of packet groups is to wait so many tenths of a second before the next.
    DelayTransmissionTimer(u32),
    /// Octets of data in one packet group that its sender can receive. Without it:
    /// [`DEFAULT_GROUP`].
    MaximumGroup(u32),
    /// The last TID the verifying responder saw.
    CurrentTid(u16),
    /// The verifying responder remembers no TID.
    NoCachedTid,
    /// Groups its sender can receive at a time; offers or accepts extended SAR.
    NumGroups(u32),
}

/// A packet sequence number of 24 bits.
pub type Psn = u32;

/// Octets in a packet group that every receiver takes (WTP table 30).
pub const DEFAULT_GROUP: u32 = 1405;

/// The largest packet sequence number of extended SAR; plain SAR ends at 255.
pub const MAX_PSN: Psn = 0x00FF_FFFF;

impl<'a> Tpis<'a> {
    /// An empty variable header.
    pub const NONE: Self = Self::List(&[]);

    /// The items in their order.
    pub fn iter(self) -> impl Iterator<Item = Tpi<'a>> {
        let (mut wire, list) = match self {
            Self::Wire(wire) => (wire, &[][..]),
            Self::List(list) => (&[][..], list),
        };
        let decoded = std::iter::from_fn(move || {
            let (rest, item) = raw_item(wire).ok()?;
            wire = rest;
            Some(Tpi::understand(item.id, item.data))
        });
        decoded.chain(list.iter().copied())
    }

    /// Whether the header has no variable part.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        match self {
            Self::Wire(wire) => wire.is_empty(),
            Self::List(list) => list.is_empty(),
        }
    }

    /// The first packet sequence number among the items.
    #[must_use]
    pub fn psn(self) -> Option<Psn> {
        self.iter().find_map(|item| match item {
            Tpi::Psn(psn) => Some(psn),
            _ => None,
        })
    }

    /// The exit info among the items.
    #[must_use]
    pub fn info(self) -> Option<&'a [u8]> {
        self.iter().find_map(|item| match item {
            Tpi::Info(info) => Some(info),
            _ => None,
        })
    }

    /// The error to report for the first item that was not understood (7.10.2).
    #[must_use]
    pub fn complaint(self) -> Option<TpiError> {
        self.iter().find_map(|item| match item {
            Tpi::Unknown(id, _) => Some(TpiError::Unknown(id)),
            Tpi::Odd(id, data) => Some(TpiError::Content(id, data.first().copied().unwrap_or(0))),
            _ => None,
        })
    }

    /// Appends the items; the octet before them must have had its CON flag set.
    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Wire(wire) => out.extend_from_slice(wire),
            Self::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    item.encode(index + 1 < list.len(), out);
                }
            }
        }
    }
}

impl PartialEq for Tpis<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Tpis<'_> {}

impl<'a> Tpi<'a> {
    fn understand(id: u8, data: &'a [u8]) -> Self {
        let understood = match id {
            id::ERROR => TpiError::decode(data).map(Self::Error),
            id::INFO => Some(Self::Info(data)),
            id::OPTION => Parameter::decode(data).map(Self::Parameter),
            id::PSN if (1..=3).contains(&data.len()) => integer(data).map(Self::Psn),
            id::SDU_BOUNDARY if data.is_empty() => Some(Self::SduBoundary),
            id::FRAME_BOUNDARY if data.is_empty() => Some(Self::FrameBoundary),
            id::PSN | id::SDU_BOUNDARY | id::FRAME_BOUNDARY => None,
            _ => Some(Self::Unknown(id, data)),
        };
        understood.unwrap_or(Self::Odd(id, data))
    }

    fn encode(&self, more: bool, out: &mut Vec<u8>) {
        match *self {
            Self::Error(TpiError::Unknown(bad)) => {
                put_item(more, id::ERROR, &[0x10 | bad & 0x0F], out);
            }
            Self::Error(TpiError::Content(bad, first)) => {
                put_item(more, id::ERROR, &[0x20 | bad & 0x0F, first], out);
            }
            Self::Info(info) => put_item(more, id::INFO, info, out),
            Self::Parameter(parameter) => parameter.encode(more, out),
            Self::Psn(psn) => {
                let [_, octets @ ..] = psn.to_be_bytes();
                put_item(more, id::PSN, minimal(&octets), out);
            }
            Self::SduBoundary => put_item(more, id::SDU_BOUNDARY, &[], out),
            Self::FrameBoundary => put_item(more, id::FRAME_BOUNDARY, &[], out),
            Self::Unknown(id, data) | Self::Odd(id, data) => put_item(more, id, data, out),
        }
    }
}

impl TpiError {
    fn decode(data: &[u8]) -> Option<Self> {
        match *data {
            [octet] if octet >> 4 == 1 => Some(Self::Unknown(octet & 0x0F)),
            [octet, first] if octet >> 4 == 2 => Some(Self::Content(octet & 0x0F, first)),
            _ => None,
        }
    }
}

impl Parameter {
    fn decode(data: &[u8]) -> Option<Self> {
        let (&option, value) = data.split_first()?;
        match option {
            0x01 => integer(value).map(Self::MaximumReceiveUnit),
            0x02 => integer(value).map(Self::TotalMessageSize),
            0x03 => integer(value).map(Self::DelayTransmissionTimer),
            0x04 => integer(value).map(Self::MaximumGroup),
            0x05 => Some(Self::CurrentTid(u16::try_from(integer(value)?).ok()?)),
            0x06 if value.is_empty() => Some(Self::NoCachedTid),
            0x07 if value.is_empty() => Some(Self::NumGroups(1)),
            0x07 => integer(value).map(Self::NumGroups),
            _ => None,
        }
    }

    fn encode(self, more: bool, out: &mut Vec<u8>) {
        let (option, value) = match self {
            Self::MaximumReceiveUnit(octets) => (0x01, octets),
            Self::TotalMessageSize(octets) => (0x02, octets),
            Self::DelayTransmissionTimer(tenths) => (0x03, tenths),
            Self::MaximumGroup(octets) => (0x04, octets),
            Self::CurrentTid(tid) => (0x05, u32::from(tid)),
            Self::NoCachedTid => return put_item(more, id::OPTION, &[0x06], out),
            Self::NumGroups(1) => return put_item(more, id::OPTION, &[0x07], out),
            Self::NumGroups(groups) => (0x07, groups),
        };
        // Short items have room for the option and two octets; the long form for the rest.
        let [a, b, c, d] = value.to_be_bytes();
        let data = [option, a, b, c, d];
        match value {
            0..=0xFF => put_item(more, id::OPTION, &[option, d], out),
            0x100..=0xFFFF => put_item(more, id::OPTION, &[option, c, d], out),
            0x1_0000..=0xFF_FFFF => put_item(more, id::OPTION, &[option, b, c, d], out),
            _ => put_item(more, id::OPTION, &data, out),
        }
    }
}

/// Parses a variable header: items up to the one whose CON flag is clear (8.2.1, 8.4.1).
///
/// Only the structure is checked here. The content of each item is checked on its own, since an
/// unknown item does not make the PDU invalid (7.10.2).
pub fn tpis(input: &[u8]) -> Parsed<'_, Tpis<'_>> {
    let mut rest = input;
    loop {
        let (after, item) = raw_item(rest)?;
        rest = after;
        if !item.more {
            let (rest, wire) = octets(input.len().saturating_sub(rest.len()))(input)?;
            return Ok((rest, Tpis::Wire(wire)));
        }
    }
}

struct RawItem<'a> {
    more: bool,
    id: u8,
    data: &'a [u8],
}

fn raw_item(input: &[u8]) -> Parsed<'_, RawItem<'_>> {
    let (rest, first) = uint8(input).map_err(|_| fail(input, "a transport information item"))?;
    let (rest, len) = match first & LONG {
        0 => (rest, first & 0x03),
        _ => uint8(rest)?,
    };
    let (rest, data) = octets(usize::from(len))(rest)?;
    let item = RawItem {
        more: first & CON != 0,
        id: first >> 3 & 0x0F,
        data,
    };
    Ok((rest, item))
}

/// Appends one item, in the short form if it fits, else in the long one. More than 255 octets are
/// cut: only exit info could be that long, and its callers know the limit.
fn put_item(more: bool, id: u8, data: &[u8], out: &mut Vec<u8>) {
    let first = if more { CON } else { 0 } | id << 3;
    let data = data.get(..255).unwrap_or(data);
    match u8::try_from(data.len()) {
        Ok(len @ 0..=3) => out.push(first | len),
        Ok(len) => out.extend_from_slice(&[first | LONG, len]),
        Err(_) => out.extend_from_slice(&[first | LONG, 255]),
    }
    out.extend_from_slice(data);
}

/// A big-endian integer of one to four octets that matter.
fn integer(data: &[u8]) -> Option<u32> {
    let significant = data
        .iter()
        .position(|&octet| octet != 0)
        .unwrap_or(data.len());
    let value = data.get(significant..)?;
    if data.is_empty() || value.len() > 4 {
        return None;
    }
    Some(
        value
            .iter()
            .fold(0, |sum, &octet| sum << 8 | u32::from(octet)),
    )
}

/// The octets without leading zeros, but at least one.
fn minimal(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    let skip = zeros.min(codec::uintvar_of(octets.len()).saturating_sub(1) as usize);
    octets.get(skip..).unwrap_or(octets)
}

const CON: u8 = 0x80;
const LONG: u8 = 0x04;

mod id {
    pub(super) const ERROR: u8 = 0;
    pub(super) const INFO: u8 = 1;
    pub(super) const OPTION: u8 = 2;
    pub(super) const PSN: u8 = 3;
    pub(super) const SDU_BOUNDARY: u8 = 4;
    pub(super) const FRAME_BOUNDARY: u8 = 5;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(items: &[Tpi<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        Tpis::List(items).encode(&mut out);
        out
    }

    #[test]
    fn items_of_8_4_in_their_short_form() {
        let group = |octets| Tpi::Parameter(Parameter::MaximumGroup(octets));
        for (item, wire) in [
            (Tpi::Error(TpiError::Unknown(0x0C)), &[0x01, 0x1C][..]),
            (Tpi::Error(TpiError::Content(2, 0x63)), &[0x02, 0x22, 0x63]),
            (Tpi::Info(b"abc"), &[0x0B, b'a', b'b', b'c']),
            (Tpi::Info(b""), &[0x08]),
            (group(200), &[0x12, 0x04, 200]),
            (group(1405), &[0x13, 0x04, 0x05, 0x7D]),
            (group(65_536), &[0x14, 0x04, 0x04, 0x01, 0x00, 0x00]),
            (Tpi::Parameter(Parameter::NoCachedTid), &[0x11, 0x06]),
            (Tpi::Parameter(Parameter::NumGroups(1)), &[0x11, 0x07]),
            (Tpi::Parameter(Parameter::NumGroups(0)), &[0x12, 0x07, 0x00]),
            (Tpi::Psn(2), &[0x19, 0x02]),
            (Tpi::Psn(0x0102), &[0x1A, 0x01, 0x02]),
            (Tpi::SduBoundary, &[0x20]),
            (Tpi::FrameBoundary, &[0x28]),
        ] {
            assert_eq!(encoded(&[item]), wire, "{item:?}");
            let (rest, decoded) = tpis(wire).unwrap();
            assert!(rest.is_empty());
            assert_eq!(decoded, Tpis::List(&[item]));
        }
    }

    #[test]
    fn the_con_flag_chains_items_and_its_absence_ends_them() {
        let wire = [0x9A, 0x01, 0x02, 0x0C, 0x01, 0xFF, b'd'];
        let (rest, items) = tpis(&wire).unwrap();
        assert_eq!(rest, b"d");
        assert_eq!(items, Tpis::List(&[Tpi::Psn(0x102), Tpi::Info(&[0xFF])]));
    }

    #[test]
    fn what_is_not_understood_is_named_for_the_error_tpi() {
        let complaint = |wire| tpis(wire).unwrap().1.complaint();
        assert_eq!(complaint(&[0x61, 0x00]), Some(TpiError::Unknown(0x0C)));
        assert_eq!(
            complaint(&[0x12, 0x63, 0]),
            Some(TpiError::Content(2, 0x63))
        );
        assert_eq!(complaint(&[0x18]), Some(TpiError::Content(3, 0)));
        assert_eq!(complaint(&[0x19, 4]), None);
    }

    #[test]
    fn a_chain_beyond_the_end_is_malformed() {
        assert!(tpis(&[0x99, 0x01]).is_err());
        assert!(tpis(&[0x1A, 0x01]).is_err());
        assert!(tpis(&[0x0C, 0x05, 0x01]).is_err());
        assert!(tpis(&[]).is_err());
    }

    proptest! {
        #[test]
        fn decoding_is_total_and_reencoding_stable(wire: Vec<u8>) {
            if let Ok((_, items)) = tpis(&wire) {
                let list: Vec<_> = items.iter().collect();
                let again = encoded(&list);
                prop_assert_eq!(tpis(&again).unwrap().1, items);
            }
        }
    }
}
