//! The status of a response, and its meaning for a message.

use std::fmt;

/// `command_status` of a response (SMPP 3.4, 5.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

/// The meaning of a status other than OK for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The centre wants fewer messages: this one may be sent later.
    Throttled,
    /// The centre cannot take the message now.
    Temporary,
    /// The centre would refuse the message again.
    Permanent,
}

impl Status {
    /// ESME_ROK.
    pub const OK: Self = Self(0);

    /// The meaning of a status other than OK for a message.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self.0 {
            // ESME_RTHROTTLED, ESME_RMSGQFUL.
            0x58 | 0x14 => Fault::Throttled,
            // ESME_RSYSERR, ESME_RSUBMITFAIL, ESME_RX_T_APPN, ESME_RINVBNDSTS; above are those of
            // the vendors.
            0x08 | 0x45 | 0x64 | 0x04 | 0x0400.. => Fault::Temporary,
            _ => Fault::Permanent,
        }
    }

    /// The name in the specification, for every status that a transceiver may get.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "ESME_ROK",
            0x01 => "ESME_RINVMSGLEN",
            0x02 => "ESME_RINVCMDLEN",
            0x03 => "ESME_RINVCMDID",
            0x04 => "ESME_RINVBNDSTS",
            0x05 => "ESME_RALYBND",
            0x08 => "ESME_RSYSERR",
            0x0A => "ESME_RINVSRCADR",
            0x0B => "ESME_RINVDSTADR",
            0x0D => "ESME_RBINDFAIL",
            0x0E => "ESME_RINVPASWD",
            0x0F => "ESME_RINVSYSID",
            0x14 => "ESME_RMSGQFUL",
            0x15 => "ESME_RINVSERTYP",
            0x43 => "ESME_RINVESMCLASS",
            0x45 => "ESME_RSUBMITFAIL",
            0x48 => "ESME_RINVSRCTON",
            0x49 => "ESME_RINVSRCNPI",
            0x50 => "ESME_RINVDSTTON",
            0x51 => "ESME_RINVDSTNPI",
            0x53 => "ESME_RINVSYSTYP",
            0x58 => "ESME_RTHROTTLED",
            0x62 => "ESME_RINVEXPIRY",
            0x64 => "ESME_RX_T_APPN",
            0x65 => "ESME_RX_P_APPN",
            0x66 => "ESME_RX_R_APPN",
            0xC1 => "ESME_ROPTPARNOTALLWD",
            0xC2 => "ESME_RINVPARLEN",
            0xFF => "ESME_RUNKNOWNERR",
            _ => return None,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "status {:#010x}", self.0),
        }
    }
}
