//! The address of a client (WAP-249 6): `WAPPUSH=+15551234/TYPE=PLMN@ppg.example.com`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::identity::Private;

/// A recipient: its address, and the text that the initiator wrote, which every answer repeats.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipient {
    text: Box<str>,
    address: Address,
}

/// The address of a client.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A telephone number in digits, without sign and separators (E.164).
    Plmn(Private),
    /// An IP address.
    Ip(IpAddr),
    /// An identifier that the operator maps to a client, unescaped.
    User(Private),
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text does not follow the grammar of WAP-249 6.1.
    #[error("not an address: WAPPUSH=+NUMBER/TYPE=PLMN@NAME is one")]
    Malformed,
    /// The type is none of PLMN, IPv4, IPv6 and USER.
    #[error("addresses of this type are not served")]
    Type,
}

impl Recipient {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// The text is malformed, or its type is not served.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let address = parse(text)?;
        Ok(Self {
            text: text.into(),
            address,
        })
    }

    /// The text as the initiator wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }
}

/// The address only, masked.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Numbers and identifiers are masked: the last two characters of those that are long enough.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plmn(number) => write!(f, "PLMN {number}"),
            Self::Ip(address) => write!(f, "{address}"),
            Self::User(name) => write!(f, "USER {name}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse(text: &str) -> Result<Address, AddressError> {
    // The name of the gateway holds no "@", a client specifier only an escaped one.
    let (client, gateway) = text
        .trim()
        .rsplit_once('@')
        .ok_or(AddressError::Malformed)?;
    if text.len() > MAX_TEXT || !is_gateway_name(gateway) {
        return Err(AddressError::Malformed);
    }
    let client = client.strip_prefix('/').unwrap_or(client);
    let client = client.strip_suffix('/').unwrap_or(client);
    let mut parts = client.split('/');
    let value = parts
        .next()
        .and_then(|first| keyword(first, "WAPPUSH"))
        .ok_or(AddressError::Malformed)?;
    let kind = parts
        .next_back()
        .and_then(|last| keyword(last, "TYPE"))
        .ok_or(AddressError::Malformed)?;
    // Qualifiers between the two are for later extensions: none is known.
    if parts.any(|qualifier| !qualifier.contains('=')) {
        return Err(AddressError::Malformed);
    }
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    let address = if is("PLMN") {
        number(value).map(Address::Plmn)
    } else if is("IPV4") {
        value
            .parse()
            .ok()
            .map(|v4: Ipv4Addr| Address::Ip(v4.into()))
    } else if is("IPV6") {
        let v6 = value.parse().ok();
        v6.map(|v6: Ipv6Addr| Address::Ip(IpAddr::V6(v6).to_canonical()))
    } else if is("USER") {
        unescape(value).map(|name| Address::User(Private::new(name)))
    } else if kind.is_empty() || !kind.bytes().all(is_type) {
        None
    } else {
        return Err(AddressError::Type);
    };
    address.ok_or(AddressError::Malformed)
}

fn keyword<'a>(part: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = part.split_once('=')?;
    key.eq_ignore_ascii_case(name).then_some(value)
}

const fn is_type(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

/// `ppg-specifier`: names of letters, digits and hyphens between dots. Ports and underscores occur.
fn is_gateway_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b':'))
    };
    name.split('.').all(is_part)
}

/// `global-phone-number`, of which some initiators forget the sign.
fn number(value: &str) -> Option<Private> {
    let value = value.strip_prefix('+').unwrap_or(value);
    let mut digits = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '0'..='9' => digits.push(c),
            '-' | '.' => {}
            _ => return None,
        }
    }
    let fits = (1..=MAX_DIGITS).contains(&digits.len());
    fits.then(|| Private::new(digits))
}

/// `escaped-value`, whose octets have to be UTF-8.
fn unescape(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                octets.push(u8::from_str_radix(digits, 16).ok()?);
            }
            b'+' | b'-' | b'.' | b'_' => octets.push(octet),
            octet if octet.is_ascii_alphanumeric() => octets.push(octet),
            _ => return None,
        }
    }
    let text = String::from_utf8(octets).ok()?;
    (!text.is_empty()).then_some(text)
}

/// Characters of an address.
const MAX_TEXT: usize = 512;
/// Digits of a number: E.164 has 15, some networks have longer ones.
const MAX_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<Address, AddressError> {
        let recipient = Recipient::parse(text)?;
        assert_eq!(recipient.text(), text);
        Ok(recipient.address().clone())
    }

    fn plmn(digits: &str) -> Result<Address, AddressError> {
        Ok(Address::Plmn(Private::new(digits)))
    }

    fn user(name: &str) -> Result<Address, AddressError> {
        Ok(Address::User(Private::new(name)))
    }

    /// The examples of WAP-249 6.2.
    #[test]
    fn the_examples_of_the_specification_are_addresses() {
        let ip = |text: &str| Ok(Address::Ip(text.parse().unwrap()));
        for (text, expected) in [
            (
                "WAPPUSH=john.doe%40wapforum.org/TYPE=USER@ppg.carrier.com",
                user("john.doe@wapforum.org"),
            ),
            (
                "wappush=47397547589/type=user@carrier.com",
                user("47397547589"),
            ),
            (
                "WAPPUSH=+155519990730/TYPE=USER@ppg.carrier.com",
                user("+155519990730"),
            ),
            (
                "WAPPUSH=+155519990730/TYPE=PLMN@ppg.carrier.com",
                plmn("155519990730"),
            ),
            (
                "WAPPUSH=+1.555-1999/TYPE=PLMN@ppg.carrier.com",
                plmn("15551999"),
            ),
            (
                "WAPPUSH=FEDC:BA98:7654:3210:FEDC:BA98:7654:3210/TYPE=IPv6@carrier.com",
                ip("fedc:ba98:7654:3210:fedc:ba98:7654:3210"),
            ),
            (
                "WAPPUSH=195.153.199.30/TYPE=IPv4@ppg.carrier.com",
                ip("195.153.199.30"),
            ),
            ("/WAPPUSH=+1/X=y/TYPE=PLMN/@a", plmn("1")),
        ] {
            assert_eq!(address(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_from_what_is_not_served() {
        for text in [
            "",
            "+15551999",
            "WAPPUSH=+15551999/TYPE=PLMN",
            "WAPPUSH=+15551999@ppg",
            "WAPPUSH=/TYPE=USER@ppg",
            "WAPPUSH=+1x/TYPE=PLMN@ppg",
            "WAPPUSH=1.2.3/TYPE=IPv4@ppg",
            "WAPPUSH=a%4/TYPE=USER@ppg",
            "WAPPUSH=a%+1/TYPE=USER@ppg",
            "WAPPUSH=a/TYPE=USER@ppg..com",
            "WAPPUSH=a/x/TYPE=USER@ppg",
            "WAPPUSH=1/TYPE=@ppg",
        ] {
            assert_eq!(address(text), Err(AddressError::Malformed), "{text}");
        }
        let man = "WAPPUSH=12345678/TYPE=MAN@ppg.carrier.com";
        assert_eq!(address(man), Err(AddressError::Type));
    }

    #[test]
    fn a_number_is_not_printed() {
        let recipient = Recipient::parse("WAPPUSH=+155519990730/TYPE=PLMN@ppg").unwrap();
        let printed = format!("{recipient} {recipient:?}");
        assert!(
            !printed.contains("5551") && printed.contains("…30"),
            "{printed}"
        );
    }
}
