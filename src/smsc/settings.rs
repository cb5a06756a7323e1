//! The settings of an SMS centre.

use std::sync::Arc;
use std::time::Duration;

use crate::smpp;

/// An SMS centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name in logs and metrics.
    pub name: Arc<str>,
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Speaks TLS from the first octet, and verifies the centre's certificate. Default: no.
    pub tls: bool,
    /// The beginnings of the numbers it takes, in digits with the country code. Default: every
    /// number.
    pub prefixes: Vec<Box<str>>,
    /// Submissions that may wait for it. Default: 1,000.
    pub queue: usize,
    /// Submissions that may wait for receipts; the oldest ones are given up beyond. Default:
    /// 100,000.
    pub max_receipts: usize,
    /// How long a receipt is waited for. Default: one day.
    pub receipt_timeout: Duration,
    /// How receipts write the name of a message. Default: as the response to the message did.
    pub receipt_id: ReceiptId,
    /// The size of concatenation references. Default: 8 bits, which every phone knows.
    pub reference: ReferenceSize,
    /// For name, TCP and TLS together. Default: 10 s.
    pub connect_timeout: Duration,
    /// The pause after a connection that failed; it doubles with each failure. Default: 1 s.
    pub reconnect_min: Duration,
    /// The longest such pause. Default: 60 s.
    pub reconnect_max: Duration,
    /// The session.
    pub session: smpp::Config,
}

/// How receipts write the name of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptId {
    /// As the response did, in upper or lower case and with or without zeros in front.
    #[default]
    Same,
    /// In decimal digits, where the response wrote hexadecimal ones.
    Decimal,
}

/// The size of the reference that the messages of one datagram have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferenceSize {
    /// 8 bits.
    #[default]
    Short,
    /// 16 bits: fewer mistakes where a phone gets many long messages.
    Long,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "smsc".into(),
            host: String::new(),
            port: 2775,
            tls: false,
            prefixes: Vec::new(),
            queue: 1_000,
            max_receipts: 100_000,
            receipt_timeout: Duration::from_secs(24 * 3600),
            receipt_id: ReceiptId::default(),
            reference: ReferenceSize::default(),
            connect_timeout: Duration::from_secs(10),
            reconnect_min: Duration::from_secs(1),
            reconnect_max: Duration::from_secs(60),
            session: smpp::Config::default(),
        }
    }
}

impl Settings {
    /// The length of the longest prefix that a number begins with; zero if the centre takes every
    /// number.
    #[must_use]
    pub fn takes(&self, number: &str) -> Option<usize> {
        if self.prefixes.is_empty() {
            return Some(0);
        }
        let fitting = self
            .prefixes
            .iter()
            .filter(|prefix| number.starts_with(&***prefix));
        fitting.map(|prefix| prefix.len()).max()
    }
}
