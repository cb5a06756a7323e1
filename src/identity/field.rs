//! Identity fields that an origin may receive, and the pseudonym that stands for a number.

use std::borrow::Cow;
use std::fmt;

use ring::hmac;

use super::Identity;

/// A field of a subscriber's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The telephone number.
    Msisdn,
    /// A pseudonym: the one configured, or one made of the number.
    Alias,
    /// The number of the SIM.
    Imsi,
    /// The number of the device.
    Imei,
    /// The support node's address.
    Sgsn,
    /// The gateway node's address.
    Ggsn,
    /// Charging-ID of the bearer.
    ChargingId,
    /// The network that serves the handset.
    Network,
    /// Radio access technology, as a number.
    Rat,
    /// The location of the handset, in hexadecimal.
    Location,
    /// The access point name.
    Apn,
    /// The access server.
    Nas,
    /// The accounting session.
    Session,
}

impl Field {
    /// Every field, by its name in the configuration.
    pub const ALL: [(&'static str, Self); 13] = [
        ("msisdn", Self::Msisdn),
        ("alias", Self::Alias),
        ("imsi", Self::Imsi),
        ("imei", Self::Imei),
        ("sgsn", Self::Sgsn),
        ("ggsn", Self::Ggsn),
        ("charging_id", Self::ChargingId),
        ("network", Self::Network),
        ("rat", Self::Rat),
        ("location", Self::Location),
        ("apn", Self::Apn),
        ("nas", Self::Nas),
        ("session", Self::Session),
    ];
}

impl Identity {
    /// The field as text, if it is known. `key` makes the pseudonym of a subscriber without an
    /// alias.
    #[must_use]
    pub fn text(&self, field: Field, key: Option<&AliasKey>) -> Option<Cow<'_, str>> {
        let private = |text: &'_ Option<super::Private>| {
            text.as_ref().map(|text| text.reveal().to_owned().into())
        };
        let plain = |text: &Option<Box<str>>| text.as_ref().map(|text| text.to_string().into());
        match field {
            Field::Msisdn => private(&self.msisdn),
            Field::Alias => match &self.alias {
                Some(alias) => Some(alias.reveal().into()),
                None => {
                    let number = self.msisdn.as_ref().or(self.imsi.as_ref())?;
                    Some(key?.alias(number.reveal()).into())
                }
            },
            Field::Imsi => private(&self.imsi),
            Field::Imei => private(&self.imei),
            Field::Sgsn => self.sgsn.map(|address| address.to_string().into()),
            Field::Ggsn => self.ggsn.map(|address| address.to_string().into()),
            Field::ChargingId => self.charging_id.map(|id| id.to_string().into()),
            Field::Network => plain(&self.network),
            Field::Rat => self.rat.map(|rat| rat.to_string().into()),
            Field::Location => private(&self.location),
            Field::Apn => plain(&self.apn),
            Field::Nas => plain(&self.nas),
            Field::Session => plain(&self.session),
        }
    }
}

/// A key that makes pseudonyms of numbers. One number has the same pseudonym as long as the key
/// stays the same. Without the key the number cannot be found. `Debug` hides the key.
#[derive(Clone)]
pub struct AliasKey(hmac::Key);

impl AliasKey {
    /// Takes the octets of a key; 32 random ones are enough.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, octets))
    }

    /// The pseudonym: the first 16 octets of the HMAC-SHA256 of the number, in hexadecimal.
    #[must_use]
    pub fn alias(&self, number: &str) -> String {
        let digest = hmac::sign(&self.0, number.as_bytes());
        let octets = digest.as_ref().iter().take(ALIAS_OCTETS);
        octets.map(|octet| format!("{octet:02x}")).collect()
    }
}

impl fmt::Debug for AliasKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A change of the key shows, the key does not.
        write!(f, "AliasKey({})", self.alias("which key is this"))
    }
}

/// Octets of a pseudonym: enough that no two subscribers share one.
const ALIAS_OCTETS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Private;

    #[test]
    fn an_alias_is_stable_and_says_nothing_of_the_number() {
        let somebody = Identity {
            msisdn: Some(Private::new("491701234567")),
            ..Identity::default()
        };
        let key = AliasKey::new(b"key");
        let alias = somebody.text(Field::Alias, Some(&key)).unwrap();
        // printf 491701234567 | openssl dgst -sha256 -hmac key
        assert_eq!(alias, "8a88f931dbd7c4ab9f4315352bb1bf30");
        assert_eq!(somebody.text(Field::Alias, None), None);
        let other = AliasKey::new(b"other").alias("491701234567");
        assert_ne!(alias, other);
        let named = Identity {
            alias: Some(Private::new("anna")),
            ..somebody
        };
        assert_eq!(named.text(Field::Alias, Some(&key)).unwrap(), "anna");
    }
}
