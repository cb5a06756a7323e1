//! Alerts and their checksums (10.2).

use crate::codec::{Parsed, fail, octets, uint8};
use crate::wtls::record::{ContentType, put_plain};

/// The level of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The connection goes on.
    Warning,
    /// The connection ends; its session may be resumed.
    Critical,
    /// The connection and its session end.
    Fatal,
}

impl Level {
    const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Warning,
            2 => Self::Critical,
            3 => Self::Fatal,
            _ => return None,
        })
    }

    const fn number(self) -> u8 {
        match self {
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Fatal => 3,
        }
    }
}

/// The description of an alert: its cause.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Description(pub u8);

macro_rules! descriptions {
    ($($number:literal $name:ident $text:literal;)*) => {
        impl Description {
            $(#[doc = concat!("`", $text, "`.")] pub const $name: Self = Self($number);)*

            /// The name in the specification.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    _ => "unknown",
                }
            }
        }
    };
}

descriptions! {
    0 CONNECTION_CLOSE_NOTIFY "connection_close_notify";
    1 SESSION_CLOSE_NOTIFY "session_close_notify";
    5 NO_CONNECTION "no_connection";
    10 UNEXPECTED_MESSAGE "unexpected_message";
    11 TIME_REQUIRED "time_required";
    20 BAD_RECORD_MAC "bad_record_mac";
    21 DECRYPTION_FAILED "decryption_failed";
    22 RECORD_OVERFLOW "record_overflow";
    30 DECOMPRESSION_FAILURE "decompression_failure";
    40 HANDSHAKE_FAILURE "handshake_failure";
    42 BAD_CERTIFICATE "bad_certificate";
    43 UNSUPPORTED_CERTIFICATE "unsupported_certificate";
    44 CERTIFICATE_REVOKED "certificate_revoked";
    45 CERTIFICATE_EXPIRED "certificate_expired";
    46 CERTIFICATE_UNKNOWN "certificate_unknown";
    47 ILLEGAL_PARAMETER "illegal_parameter";
    48 UNKNOWN_CA "unknown_ca";
    49 ACCESS_DENIED "access_denied";
    50 DECODE_ERROR "decode_error";
    51 DECRYPT_ERROR "decrypt_error";
    52 UNKNOWN_KEY_ID "unknown_key_id";
    53 DISABLED_KEY_ID "disabled_key_id";
    54 KEY_EXCHANGE_DISABLED "key_exchange_disabled";
    55 SESSION_NOT_READY "session_not_ready";
    56 UNKNOWN_PARAMETER_INDEX "unknown_parameter_index";
    57 DUPLICATE_FINISHED_RECEIVED "duplicate_finished_received";
    60 EXPORT_RESTRICTION "export_restriction";
    70 PROTOCOL_VERSION "protocol_version";
    71 INSUFFICIENT_SECURITY "insufficient_security";
    80 INTERNAL_ERROR "internal_error";
    90 USER_CANCELED "user_canceled";
    100 NO_RENEGOTIATION "no_renegotiation";
}

impl std::fmt::Debug for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// An alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The level.
    pub level: Level,
    /// The cause.
    pub description: Description,
    /// The checksum of the record that the sender of the alert received last.
    pub checksum: [u8; 4],
}

/// Decodes an alert. Octets after the alert are a fault.
pub fn alert(input: &[u8]) -> Parsed<'_, Alert> {
    let (rest, level) = uint8(input)?;
    let level = Level::of(level).ok_or_else(|| fail(input, "an alert level"))?;
    let (rest, description) = uint8(rest)?;
    let (rest, checksum) = octets(4)(rest)?;
    if !rest.is_empty() {
        return Err(fail(rest, "the end of an alert"));
    }
    let alert = Alert {
        level,
        description: Description(description),
        checksum: checksum.try_into().unwrap_or_default(),
    };
    Ok((rest, alert))
}

impl Alert {
    /// The six octets of the alert.
    #[must_use]
    pub const fn encode(&self) -> [u8; 6] {
        let [a, b, c, d] = self.checksum;
        [self.level.number(), self.description.0, a, b, c, d]
    }

    /// A record of its own with the alert in clear text.
    pub(super) fn in_clear(&self, sequence: u16) -> Vec<u8> {
        let mut out = Vec::new();
        let content = self.encode();
        put_plain(&mut out, ContentType::Alert, sequence, true, &content);
        out
    }
}

/// The checksum of a record: its blocks of four octets, the last filled up with zeros, XORed.
#[must_use]
pub fn checksum(record: &[u8]) -> [u8; 4] {
    record.chunks(4).fold([0; 4], |mut sum, chunk| {
        for (sum, octet) in sum.iter_mut().zip(chunk) {
            *sum ^= octet;
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_read_as_it_was_written() {
        let sent = Alert {
            level: Level::Critical,
            description: Description::CONNECTION_CLOSE_NOTIFY,
            checksum: [1, 2, 3, 4],
        };
        assert_eq!(alert(&sent.encode()), Ok((&[][..], sent)));
        assert!(alert(&[4, 0, 0, 0, 0, 0]).is_err());
        assert!(alert(&[1, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_checksum_fills_the_last_block_with_zeros() {
        assert_eq!(checksum(&[1, 2, 3, 4, 0x10, 0x20]), [0x11, 0x22, 3, 4]);
        assert_eq!(checksum(&[]), [0; 4]);
    }
}
