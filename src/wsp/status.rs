//! Status octets: HTTP's codes folded into one octet (WSP table 36).
//!
//! The class is the high nibble and the code within it the low one, except that the client errors
//! ran over: 416 and 417 are 0x50 and 0x51, and the server errors moved on to 0x60.

/// 200 OK.
pub const OK: u8 = 0x20;
/// 400 Bad Request.
pub const BAD_REQUEST: u8 = 0x40;
/// 307 Temporary Redirect.
pub const TEMPORARY_REDIRECT: u8 = 0x37;
/// 403 Forbidden.
pub const FORBIDDEN: u8 = 0x43;
/// 409 Conflict.
pub const CONFLICT: u8 = 0x49;
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
/// A status without an octet becomes the one that makes a handset do the right thing:
///
/// | HTTP | octet | why |
/// | --- | --- | --- |
/// | 102, 103 | 100 | provisional, as 100 |
/// | 207, 208, 226 and the other 2xx | 200 | the request succeeded, and the body says how |
/// | 308 | 307 | the handset repeats the request with its method; after 301 a POST becomes a GET |
/// | the other 3xx | 300 | no redirection that a handset could follow: it shows the body |
/// | 421 | 502 | the origin dislikes the gateway's connection, not the request |
/// | 423 | 409 | the state of the resource is in the way |
/// | 425, 429 | 503 | the same request may succeed later; Retry-After stays |
/// | 451 | 403 | it is forbidden, and to repeat it is of no use |
/// | the other 4xx | 400 | the request is at fault, in a way no handset knows |
/// | 507, 529 | 503 | the origin cannot now |
/// | 511, 520, 521, 523, 525 to 527, 530 | 502 | something between the gateway and the origin answered |
/// | 522, 524, 598, 599 | 504 | something in front of the origin waited in vain |
/// | the other 5xx, and what is no status | 500 | the origin failed |
#[must_use]
pub fn from_http(status: u16) -> u8 {
    match status {
        100..=101 => octet(0x10, status - 100),
        102..=199 => 0x10,
        200..=206 => octet(0x20, status - 200),
        207..=299 => OK,
        300..=307 => octet(0x30, status - 300),
        308 => TEMPORARY_REDIRECT,
        309..=399 => 0x30,
        400..=415 => octet(0x40, status - 400),
        416..=417 => octet(0x50, status - 416),
        421 => BAD_GATEWAY,
        423 => CONFLICT,
        425 | 429 => UNAVAILABLE,
        451 => FORBIDDEN,
        418..=499 => BAD_REQUEST,
        500..=505 => octet(0x60, status - 500),
        507 | 529 => UNAVAILABLE,
        511 | 520..=521 | 523 | 525..=527 | 530 => BAD_GATEWAY,
        522 | 524 | 598..=599 => GATEWAY_TIMEOUT,
        _ => INTERNAL_ERROR,
    }
}

/// The HTTP status of an octet, or `None` for an unassigned one.
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
            (308, 0x37),
            (421, 0x62),
            (423, 0x49),
            (425, 0x63),
            (429, 0x63),
            (431, 0x40),
            (103, 0x10),
            (226, 0x20),
            (399, 0x30),
            (451, 0x43),
            (507, 0x63),
            (511, 0x62),
            (520, 0x62),
            (524, 0x64),
            (550, 0x60),
            (599, 0x64),
            (0, 0x60),
            (999, 0x60),
        ] {
            assert_eq!(from_http(status), octet, "{status}");
        }
    }
}
