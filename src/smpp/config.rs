//! The settings of a session with an SMS centre.

use std::fmt;
use std::time::Duration;

use rusmpp::types::COctetString;

use crate::limit::Rate;

/// The settings of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name we bind with, at most 15 characters of ASCII.
    pub system_id: String,
    /// The password, at most 8 characters of ASCII.
    pub password: Password,
    /// The type of system, at most 12 characters of ASCII. Default: none.
    pub system_type: String,
    /// The service type of messages, at most 5 characters: `WAP` at some centres. Default: none.
    pub service_type: String,
    /// The address that messages are from, at most 20 characters. Default: none, and the centre
    /// fills it in.
    pub source: String,
    /// Type and plan of the source address. Default: unknown.
    pub source_number: Number,
    /// Type and plan of the numbers of phones. Default: international, ISDN.
    pub destination_number: Number,
    /// Octet of `data_coding`: 0x04 or 0xF5, both for eight bits. Default: 0x04.
    pub data_coding: u8,
    /// Octet of `esm_class`: 0x40 says that there is a user data header, the two lowest bits are
    /// the messaging mode. Default: 0x40, the centre's own mode.
    pub esm_class: u8,
    /// Asks for delivery receipts. Default: yes.
    pub receipts: bool,
    /// Messages without an answer at one time. Default: 10.
    pub window: usize,
    /// Messages in a second. Default: as many as the window allows.
    pub rate: Option<Rate>,
    /// Silence of the centre after which an `enquire_link` is sent. Default: 30 s.
    pub enquire_link: Duration,
    /// Time for an answer of the centre; then the session ends. Default: 30 s.
    pub response_timeout: Duration,
}

/// Type of number and numbering plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// Type of number: 0 unknown, 1 international, 2 national, 3 specific to the network, 5
    /// alphanumeric.
    pub ton: u8,
    /// Numbering plan: 0 unknown, 1 ISDN (E.164), 9 private.
    pub npi: u8,
}

/// A password. It is not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(Box<str>);

/// A text of the settings that does not fit its field of a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} takes at most {max} characters of ASCII")]
pub struct ConfigError {
    /// The setting.
    pub field: &'static str,
    /// The most characters of the field.
    pub max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            system_id: String::new(),
            password: Password::default(),
            system_type: String::new(),
            service_type: String::new(),
            source: String::new(),
            source_number: Number::default(),
            destination_number: Number { ton: 1, npi: 1 },
            data_coding: 0x04,
            esm_class: 0x40,
            receipts: true,
            window: 10,
            rate: None,
            enquire_link: Duration::from_secs(30),
            response_timeout: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Checks that every text fits its field of a PDU.
    ///
    /// # Errors
    ///
    /// The first text that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fields = [
            ("system_id", 15, &*self.system_id),
            ("password", 8, &*self.password.0),
            ("system_type", 12, &*self.system_type),
            ("service_type", 5, &*self.service_type),
            ("source", 20, &*self.source),
        ];
        let wrong = fields
            .into_iter()
            .find(|(_, max, text)| text.len() > *max || !is_printable(text));
        match wrong {
            Some((field, max, _)) => Err(ConfigError { field, max }),
            None => Ok(()),
        }
    }
}

impl Password {
    /// A password.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Whether the password has a property: for warnings about well-known passwords.
    #[must_use]
    pub fn reveals(&self, property: impl Fn(&str) -> bool) -> bool {
        property(&self.0)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// A text as a PDU has it; empty if it does not fit, which [`Config::check`] excludes.
pub(super) fn c_string<const MAX: usize>(text: &str) -> COctetString<1, MAX> {
    text.parse().unwrap_or_default()
}

fn is_printable(text: &str) -> bool {
    text.bytes()
        .all(|octet| octet == b' ' || octet.is_ascii_graphic())
}
