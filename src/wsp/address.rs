//! Addresses inside messages: where a Redirect sends a client, and where else a peer can be reached
//! (WSP 8.2.2.3).

use nom::Parser;
use nom::combinator::cond;

use crate::codec::{DecodeError, Parsed, located, octets, uint8, uint16};

/// One address of a Redirect or of the Aliases capability (WSP 8.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BearerAddress<'a> {
    /// The bearer's number in WDP, if not the one in use.
    pub bearer: Option<u8>,
    /// The port, if not the one in use.
    pub port: Option<u16>,
    /// The address as the bearer writes it: four octets for IPv4.
    pub address: &'a [u8],
}

impl BearerAddress<'_> {
    const BEARER_INCLUDED: u8 = 0x80;
    const PORT_INCLUDED: u8 = 0x40;
    /// The longest address there is room for.
    pub const MAX_LEN: usize = 0x3F;

    /// Appends the record. An address of more than [`Self::MAX_LEN`] octets is cut; no bearer has
    /// one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let address = self.address.get(..Self::MAX_LEN).unwrap_or(self.address);
        let mut first = u8::try_from(address.len()).unwrap_or(0);
        if self.bearer.is_some() {
            first |= Self::BEARER_INCLUDED;
        }
        if self.port.is_some() {
            first |= Self::PORT_INCLUDED;
        }
        out.push(first);
        out.extend(self.bearer);
        if let Some(port) = self.port {
            out.extend(port.to_be_bytes());
        }
        out.extend_from_slice(address);
    }
}

/// The addresses in a Redirect or in the Aliases capability; the first malformed one ends them.
pub fn addresses(
    mut block: &[u8],
) -> impl Iterator<Item = Result<BearerAddress<'_>, DecodeError>> + '_ {
    let len = block.len();
    std::iter::from_fn(move || {
        if block.is_empty() {
            return None;
        }
        let offset = len - block.len();
        match located(block, bearer_address) {
            Ok((after, address)) => {
                block = after;
                Some(Ok(address))
            }
            Err(error) => {
                block = &[];
                Some(Err(DecodeError {
                    offset: offset + error.offset,
                    ..error
                }))
            }
        }
    })
}

fn bearer_address(input: &[u8]) -> Parsed<'_, BearerAddress<'_>> {
    let (input, first) = uint8(input)?;
    let (input, bearer) = cond(first & BearerAddress::BEARER_INCLUDED != 0, uint8).parse(input)?;
    let (input, port) = cond(first & BearerAddress::PORT_INCLUDED != 0, uint16).parse(input)?;
    let (input, address) = octets(usize::from(first & 0x3F))(input)?;
    let address = BearerAddress {
        bearer,
        port,
        address,
    };
    Ok((input, address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn redirect_addresses_go_both_ways() {
        // 8.2.2.3: IPv4 with a bearer and a port, then an address alone.
        let wire = b"\xC4\x03\xC0\x00\x7F\x00\x00\x01\x04\x0A\x00\x00\x02";
        let read: Result<Vec<_>, _> = addresses(wire).collect();
        let read = read.unwrap();
        assert_eq!(read[0].bearer, Some(3));
        assert_eq!(read[0].port, Some(49152));
        assert_eq!(read[1].address, [10, 0, 0, 2]);
        let mut out = Vec::new();
        for address in &read {
            address.encode(&mut out);
        }
        assert_eq!(out, wire);
        assert_eq!(
            addresses(b"\x00\x04\x0A")
                .last()
                .unwrap()
                .unwrap_err()
                .offset,
            2
        );
    }

    proptest! {
        #[test]
        fn any_block_is_read_or_refused(block: Vec<u8>) {
            addresses(&block).count();
        }

        #[test]
        fn addresses_round_trip(bearer: Option<u8>, port: Option<u16>, octets in prop::collection::vec(any::<u8>(), 0..=63)) {
            let address = BearerAddress { bearer, port, address: &octets };
            let mut wire = Vec::new();
            address.encode(&mut wire);
            let read: Vec<_> = addresses(&wire).collect();
            prop_assert_eq!(read, [Ok(address)]);
        }
    }
}
