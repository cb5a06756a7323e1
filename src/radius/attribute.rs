//! Attributes: a kind, a length, a value (RFC 2865, 5).

use crate::codec::DecodeError;

/// The type of an attribute (RFC 2865, 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// The address of the access server.
    pub const NAS_IP_ADDRESS: Self = Self(4);
    /// The subscriber's address.
    pub const FRAMED_IP_ADDRESS: Self = Self(8);
    /// An attribute of a vendor.
    pub const VENDOR_SPECIFIC: Self = Self(26);
    /// The access point name.
    pub const CALLED_STATION_ID: Self = Self(30);
    /// The subscriber's number.
    pub const CALLING_STATION_ID: Self = Self(31);
    /// The name of the access server.
    pub const NAS_IDENTIFIER: Self = Self(32);
    /// Data of a proxy, returned unchanged.
    pub const PROXY_STATE: Self = Self(33);
    /// Start, Stop and so on.
    pub const ACCT_STATUS_TYPE: Self = Self(40);
    /// Seconds for which the client has tried to send the request.
    pub const ACCT_DELAY_TIME: Self = Self(41);
    /// Identifies a session of one access server.
    pub const ACCT_SESSION_ID: Self = Self(44);
    /// The time of the event, in seconds since 1970 by the access server's clock (RFC 2869).
    pub const EVENT_TIMESTAMP: Self = Self(55);
    /// A keyed digest of the packet (RFC 2869).
    pub const MESSAGE_AUTHENTICATOR: Self = Self(80);
    /// The address of the access server (RFC 3162).
    pub const NAS_IPV6_ADDRESS: Self = Self(95);
    /// The subscriber's addresses (RFC 3162).
    pub const FRAMED_IPV6_PREFIX: Self = Self(97);
    /// Addresses the subscriber may give others (RFC 4818).
    pub const DELEGATED_IPV6_PREFIX: Self = Self(123);
    /// The subscriber's address (RFC 6911).
    pub const FRAMED_IPV6_ADDRESS: Self = Self(168);
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The type.
    pub kind: Kind,
    /// At most 253 octets.
    pub value: &'a [u8],
}

impl Attribute<'_> {
    /// Appends the attribute. `None` if its value is too long.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Option<()> {
        let length = u8::try_from(self.value.len() + 2).ok()?;
        out.extend_from_slice(&[self.kind.0, length]);
        out.extend_from_slice(self.value);
        Some(())
    }
}

/// The attributes in `octets`, up to the first with a wrong length.
pub fn attributes(mut octets: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    std::iter::from_fn(move || {
        let (attribute, rest) = split(octets)?;
        octets = rest;
        Some(attribute)
    })
}

/// Whether the attributes add up to the octets.
pub(super) fn check(octets: &[u8]) -> Result<(), DecodeError> {
    let all = octets.len();
    let mut octets = octets;
    while !octets.is_empty() {
        let (_, rest) = split(octets).ok_or(DecodeError {
            offset: all - octets.len(),
            expected: "an attribute",
        })?;
        octets = rest;
    }
    Ok(())
}

fn split(octets: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let [kind, length, ..] = octets else {
        return None;
    };
    let (attribute, rest) = octets.split_at_checked(usize::from(*length))?;
    let value = attribute.get(2..)?;
    let kind = Kind(*kind);
    Some((Attribute { kind, value }, rest))
}
