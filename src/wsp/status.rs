//! Status octets: HTTP's codes folded into one octet (WSP table 36).
//!
//! The class is the high nibble and the code within it the low one, except that the client errors ran over:
//! 416 and 417 are 0x50 and 0x51, and the server errors moved on to 0x60.

/// 200 OK.
pub const OK: u8 = 0x20;
/// 400 Bad Request.
pub const BAD_REQUEST: u8 = 0x40;
/// 413 Request Entity Too Large.
pub const TOO_LARGE: u8 = 0x4D;
/// 415 Unsupported Media Type.
pub const UNSUPPORTED_MEDIA_TYPE: u8 = 0x4F;
/// 500 Internal Server Error.
pub const INTERNAL_ERROR: u8 = 0x60;
/// 501 Not Implemented.
pub const NOT_IMPLEMENTED: u8 = 0x61;
/// 502 Bad Gateway.
pub const BAD_GATEWAY: u8 = 0x62;
/// 503 Service Unavailable.
pub const UNAVAILABLE: u8 = 0x63;
/// 504 Gateway Timeout.
pub const GATEWAY_TIMEOUT: u8 = 0x64;

/// The octet for an HTTP status.
///
/// A status without an octet gets the nearest one: its twin where there is one (308 as 301, 429 as 503), else
/// its class (`x00`), and what is no HTTP status at all is 500.
#[must_use]
pub fn from_http(status: u16) -> u8 {
    match status {
        308 => 0x31,
        429 => UNAVAILABLE,
        416..=417 => octet(0x50, status - 416),
        100..=101 => octet(0x10, status - 100),
        102..=199 => 0x10,
        200..=206 => octet(0x20, status - 200),
        207..=299 => OK,
        300..=307 => octet(0x30, status - 300),
        309..=399 => 0x30,
        400..=415 => octet(0x40, status - 400),
        418..=499 => BAD_REQUEST,
        500..=505 => octet(0x60, status - 500),
        _ => INTERNAL_ERROR,
    }
}

/// The HTTP status of an octet, or `None` for one that nobody assigned.
#[must_use]
pub fn to_http(octet: u8) -> Option<u16> {
    let low = u16::from(octet & 0x0F);
    match octet {
        0x10..=0x11 => Some(100 + low),
        0x20..=0x26 => Some(200 + low),
        0x30..=0x37 => Some(300 + low),
        0x40..=0x4F => Some(400 + low),
        0x50..=0x51 => Some(416 + low),
        0x60..=0x65 => Some(500 + low),
        _ => None,
    }
}

fn octet(class: u8, code: u16) -> u8 {
    class | code.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assigned_octet_goes_both_ways() {
        let mut seen = 0;
        for octet in 0..=u8::MAX {
            if let Some(status) = to_http(octet) {
                assert_eq!(from_http(status), octet, "{status}");
                seen += 1;
            }
        }
        assert_eq!(seen, 2 + 7 + 8 + 16 + 2 + 6);
    }

    #[test]
    fn the_client_errors_run_over_into_0x50() {
        assert_eq!(from_http(415), 0x4F);
        assert_eq!(from_http(416), 0x50);
        assert_eq!(from_http(417), 0x51);
        assert_eq!(from_http(500), 0x60);
    }

    #[test]
    fn a_status_wsp_never_heard_of_gets_the_nearest() {
        for (status, octet) in [
            (308, 0x31),
            (429, 0x63),
            (103, 0x10),
            (226, 0x20),
            (399, 0x30),
            (451, 0x40),
            (511, 0x60),
            (599, 0x60),
            (0, 0x60),
            (999, 0x60),
        ] {
            assert_eq!(from_http(status), octet, "{status}");
        }
    }
}
