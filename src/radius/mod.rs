//! RADIUS packets for accounting (RFC 2865, RFC 2866), without sockets.
//!
//! Decoding borrows from the datagram and checks lengths once. The module also signs packets and
//! verifies signatures. [`three_gpp`] has the attributes with which mobile networks identify
//! subscribers.

mod attribute;
mod signature;
pub mod three_gpp;

use bytes::Bytes;

pub use attribute::{Attribute, Kind, attributes};
pub use signature::{Secret, Unsigned};

use crate::codec::DecodeError;
use signature::{AUTHENTICATOR, HEADER};

/// The code of a packet (RFC 2865, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// Start, update or end of a subscriber's session.
    pub const ACCOUNTING_REQUEST: Self = Self(4);
    /// The request has been recorded.
    pub const ACCOUNTING_RESPONSE: Self = Self(5);
    /// A probe of the server (RFC 5997).
    pub const STATUS_SERVER: Self = Self(12);
}

/// A packet with correct lengths. Its signature is checked by [`Packet::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The code.
    pub code: Code,
    /// Identifies a request of one port. Its response has the same value.
    pub id: u8,
    /// The signature; in a Status-Server or Access-Request a random number.
    pub authenticator: [u8; 16],
    /// Attributes, as [`attributes`] reads them.
    attributes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Decodes a datagram. Octets behind the packet's own length are padding (RFC 2865, 3).
    ///
    /// # Errors
    ///
    /// The length is impossible, or the attributes do not add up to it. The caller drops such a
    /// packet silently.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let short = || DecodeError {
            offset: 0,
            expected: "a packet of 20 to 4096 octets",
        };
        let (header, rest) = datagram.split_at_checked(HEADER).ok_or_else(short)?;
        let [code, id, high, low, authenticator @ ..] = header else {
            return Err(short());
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > LARGEST {
            return Err(short());
        }
        let attributes = length
            .checked_sub(HEADER)
            .and_then(|length| rest.get(..length))
            .ok_or_else(short)?;
        attribute::check(attributes)?;
        Ok(Self {
            code: Code(*code),
            id: *id,
            authenticator: authenticator.try_into().map_err(|_| short())?,
            attributes,
        })
    }

    /// Its attributes, in their order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> {
        attributes(self.attributes)
    }

    /// The first attribute of a kind.
    #[must_use]
    pub fn first(&self, kind: Kind) -> Option<&'a [u8]> {
        self.attributes()
            .find(|attribute| attribute.kind == kind)
            .map(|attribute| attribute.value)
    }

    /// A signed request with these attributes, as an accounting client sends it (RFC 2866, 3).
    #[must_use]
    pub fn request(id: u8, attributes: &[Attribute<'_>], secret: &Secret) -> Option<Vec<u8>> {
        let mut packet = encode(Code::ACCOUNTING_REQUEST, id, [0; 16], attributes)?;
        let signature = secret.sign(&packet);
        packet.get_mut(AUTHENTICATOR)?.copy_from_slice(&signature);
        Some(packet)
    }

    /// The Accounting-Response to it: the same identifier, its Proxy-States in their order, signed
    /// over the request's authenticator (RFC 2866, 4.2).
    #[must_use]
    pub fn response(&self, secret: &Secret) -> Option<Vec<u8>> {
        let states: Vec<_> = self
            .attributes()
            .filter(|attribute| attribute.kind == Kind::PROXY_STATE)
            .collect();
        self.answer(states.into_iter(), secret)
    }

    /// A response with the attributes of another server's response, whose last Proxy-State is ours.
    /// A proxy returns it to its client.
    #[must_use]
    pub fn relayed(&self, from: &Packet<'_>, own: &[u8], secret: &Secret) -> Option<Vec<u8>> {
        let mut given: Vec<_> = from
            .attributes()
            .filter(|attribute| attribute.kind != Kind::MESSAGE_AUTHENTICATOR)
            .collect();
        // The last attribute with our value is ours. Earlier ones belong to other proxies and are
        // returned.
        let ours = given
            .iter()
            .rposition(|attribute| attribute.kind == Kind::PROXY_STATE && attribute.value == own)?;
        given.remove(ours);
        self.answer(given.into_iter(), secret)
    }

    /// The same request for another server: its attributes, then our Proxy-State, with a new
    /// signature.
    #[must_use]
    pub fn forwarded(&self, id: u8, own: &[u8], secret: &Secret) -> Option<Vec<u8>> {
        let mut given: Vec<_> = self
            .attributes()
            .filter(|attribute| attribute.kind != Kind::MESSAGE_AUTHENTICATOR)
            .collect();
        given.push(Attribute {
            kind: Kind::PROXY_STATE,
            value: own,
        });
        Self::request(id, &given, secret)
    }

    fn answer<'b>(
        &self,
        attributes: impl Iterator<Item = Attribute<'b>>,
        secret: &Secret,
    ) -> Option<Vec<u8>> {
        let attributes: Vec<_> = attributes.collect();
        let mut packet = encode(
            Code::ACCOUNTING_RESPONSE,
            self.id,
            self.authenticator,
            &attributes,
        )?;
        let signature = secret.sign(&packet);
        packet.get_mut(AUTHENTICATOR)?.copy_from_slice(&signature);
        Some(packet)
    }

    /// A copy that outlives the datagram.
    #[must_use]
    pub fn to_owned_packet(&self) -> OwnedPacket {
        OwnedPacket {
            code: self.code,
            id: self.id,
            authenticator: self.authenticator,
            attributes: Bytes::copy_from_slice(self.attributes),
        }
    }
}

/// A packet that is owned, to be answered later.
#[derive(Clone, Debug)]
pub struct OwnedPacket {
    code: Code,
    id: u8,
    authenticator: [u8; 16],
    attributes: Bytes,
}

impl OwnedPacket {
    /// The packet.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        Packet {
            code: self.code,
            id: self.id,
            authenticator: self.authenticator,
            attributes: &self.attributes,
        }
    }
}

/// An unsigned packet. `None` if it would exceed the largest packet.
fn encode(
    code: Code,
    id: u8,
    authenticator: [u8; 16],
    attributes: &[Attribute<'_>],
) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(64);
    packet.extend_from_slice(&[code.0, id, 0, 0]);
    packet.extend_from_slice(&authenticator);
    for attribute in attributes {
        attribute.encode(&mut packet)?;
    }
    let length = u16::try_from(packet.len()).ok()?;
    if packet.len() > LARGEST {
        return None;
    }
    packet.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
    Some(packet)
}

/// Octets a packet may have (RFC 2866, 3).
const LARGEST: usize = 4_096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret() -> Secret {
        Secret::new(*b"testing123")
    }

    fn attribute(kind: u8, value: &[u8]) -> Attribute<'_> {
        Attribute {
            kind: Kind(kind),
            value,
        }
    }

    #[test]
    fn a_response_signs_over_the_request_and_gives_back_its_proxy_states() {
        let request = Packet::request(
            7,
            &[
                attribute(40, &[0, 0, 0, 1]),
                attribute(33, b"one"),
                attribute(33, b"two"),
            ],
            &secret(),
        )
        .unwrap();
        let request = Packet::decode(&request).unwrap();
        assert_eq!(request.verify(&secret()), Ok(()));
        let response = request.response(&secret()).unwrap();
        let response = Packet::decode(&response).unwrap();
        assert_eq!((response.code, response.id), (Code::ACCOUNTING_RESPONSE, 7));
        assert!(response.answers(&request, &secret()));
        assert!(!response.answers(&request, &Secret::new(*b"other")));
        let states: Vec<_> = response.attributes().map(|a| a.value).collect();
        assert_eq!(states, [b"one", b"two"]);
    }

    #[test]
    fn a_proxy_takes_its_own_state_off_again() {
        let other = Secret::new(*b"home");
        let request = Packet::request(
            7,
            &[attribute(33, b"theirs"), attribute(1, b"u")],
            &secret(),
        )
        .unwrap();
        let request = Packet::decode(&request).unwrap();
        let forwarded = request.forwarded(9, b"ours", &other).unwrap();
        let forwarded = Packet::decode(&forwarded).unwrap();
        assert_eq!(forwarded.verify(&other), Ok(()));
        let reply = forwarded.response(&other).unwrap();
        let reply = Packet::decode(&reply).unwrap();
        assert!(reply.answers(&forwarded, &other));
        let relayed = request.relayed(&reply, b"ours", &secret()).unwrap();
        let relayed = Packet::decode(&relayed).unwrap();
        assert!(relayed.answers(&request, &secret()));
        let states: Vec<_> = relayed.attributes().map(|a| a.value).collect();
        assert_eq!(states, [b"theirs"]);
        assert!(request.relayed(&reply, b"nobody's", &secret()).is_none());
    }

    #[test]
    fn octets_behind_the_packet_are_padding_and_a_truncated_packet_is_refused() {
        let whole = Packet::request(1, &[attribute(1, b"u")], &secret()).unwrap();
        let mut padded = whole.clone();
        padded.extend_from_slice(&[0; 9]);
        assert_eq!(Packet::decode(&padded), Packet::decode(&whole));
        for end in 0..whole.len() {
            assert!(Packet::decode(&whole[..end]).is_err());
        }
    }

    proptest! {
        #[test]
        fn anything_may_come(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(packet) = Packet::decode(&octets) {
                let _ = packet.verify(&secret());
                let _ = packet.response(&secret());
                let _ = three_gpp::attributes(&packet).count();
            }
        }

        #[test]
        fn what_is_sent_is_read_again(
            id: u8,
            given in proptest::collection::vec(
                (1u8..=255, proptest::collection::vec(any::<u8>(), 0..=253)), 0..12),
            flipped in any::<prop::sample::Index>(),
        ) {
            let given: Vec<_> = given
                .iter()
                .filter(|(kind, _)| *kind != Kind::MESSAGE_AUTHENTICATOR.0)
                .map(|(kind, value)| attribute(*kind, value))
                .collect();
            let mut octets = Packet::request(id, &given, &secret()).unwrap();
            let packet = Packet::decode(&octets).unwrap();
            prop_assert_eq!(packet.verify(&secret()), Ok(()));
            prop_assert_eq!(packet.attributes().collect::<Vec<_>>(), given);
            // Any octet that is changed shows.
            let at = flipped.index(octets.len());
            octets[at] ^= 1;
            if let Ok(changed) = Packet::decode(&octets) {
                prop_assert!(changed.verify(&secret()).is_err());
            }
        }
    }
}
