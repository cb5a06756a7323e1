//! Subscriber identities: the subscriber behind an address, as the access network knows them.
//!
//! WAP itself gives only the handset's address. The network knows which subscriber has it at the
//! moment. Each shard holds a [`Table`] of identities and looks an address up once, when an
//! exchange begins. The shards share the entries; one owner outside the core makes them.

pub mod directory;
mod field;
pub mod list;
pub mod report;
mod saved;
pub mod server;
pub mod session;
mod table;

use std::fmt;
use std::net::IpAddr;

pub use field::{AliasKey, Field};
pub use table::{Change, NotAPrefix, Prefix, Table};

/// The identity of one subscriber, as long as the subscriber has an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The telephone number, in digits without a sign (E.164), or the operator's own identifier.
    pub msisdn: Option<Private>,
    /// The operator's pseudonym for the number, if there is one.
    pub alias: Option<Private>,
    /// The number of the SIM (3GPP TS 23.003).
    pub imsi: Option<Private>,
    /// The number of the device, IMEI or IMEISV.
    pub imei: Option<Private>,
    /// The support node that carries the handset, by its address.
    pub sgsn: Option<IpAddr>,
    /// The gateway node to the packet network, by its address.
    pub ggsn: Option<IpAddr>,
    /// Charging-ID of the bearer.
    pub charging_id: Option<u32>,
    /// The network that serves the handset: MCC and MNC in digits. Another one than the home
    /// network means roaming.
    pub network: Option<Box<str>>,
    /// Radio access technology (3GPP TS 29.061): 1 UTRAN, 2 GERAN, 3 WLAN, 6 EUTRAN, 10 NR.
    pub rat: Option<u8>,
    /// The location of the handset, as the network encodes it (3GPP TS 29.274, User Location
    /// Information).
    pub location: Option<Private>,
    /// The access point name.
    pub apn: Option<Box<str>>,
    /// The network access server that speaks for the address.
    pub nas: Option<Box<str>>,
    /// The accounting session of the bearer.
    pub session: Option<Box<str>>,
    /// The source of the identity.
    pub source: Source,
}

impl Identity {
    /// The key of this subscriber at any address: the number, the SIM, or the alias.
    #[must_use]
    pub fn name(&self) -> Option<&Private> {
        let number = self.msisdn.as_ref().or(self.imsi.as_ref());
        number.or(self.alias.as_ref())
    }
}

/// The source of an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    /// The configuration.
    #[default]
    Configured,
    /// A file that the configuration names.
    File,
    /// RADIUS accounting.
    Radius,
}

impl Source {
    /// The stable name used in records and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::File => "file",
            Self::Radius => "radius",
        }
    }
}

/// Text that identifies a person. Only [`Private::reveal`] shows it in full.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Private(Box<str>);

impl Private {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for a trusted origin, a charging record, or an operator who asked for it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The last two characters, for an operator to tell two apart by.
impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.chars().count();
        let shown = if count > 2 * SHOWN { SHOWN } else { 0 };
        f.write_str("…")?;
        self.0
            .chars()
            .skip(count - shown)
            .try_for_each(|c| write!(f, "{c}"))
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Characters of a private text that are shown, if it has more than twice as many.
const SHOWN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_show_when_printed() {
        let identity = Identity {
            msisdn: Some(Private::new("491701234567")),
            imsi: Some(Private::new("262011234567890")),
            imei: Some(Private::new("123")),
            location: Some(Private::new("0162f220")),
            ..Identity::default()
        };
        let text = format!("{identity:?}");
        for secret in ["4917", "26201", "123", "0162"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("…67") && text.contains("…90"), "{text}");
    }
}
