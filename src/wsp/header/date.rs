//! Dates: seconds since 1970 on the wire, one of HTTP's three forms in text.

use std::time::{Duration, SystemTime};

/// The seconds of a date in any of HTTP's forms (RFC 1123, RFC 850, asctime).
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()?;
    Some(date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

/// The seconds of a date for the wire; `None` for a date that WSP cannot encode: before 1970, or
/// beyond 32 bits.
pub(crate) fn on_wire(text: &[u8]) -> Option<u64> {
    parse(text).filter(|seconds| u32::try_from(*seconds).is_ok())
}

/// The date in RFC 1123 form; `None` beyond the year 9999.
pub(crate) fn text(seconds: u64) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let date = (seconds < YEAR_10000)
        .then(|| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))??;
    Some(httpdate::fmt_http_date(date))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_of_http_are_one_date() {
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(form.as_bytes()), Some(784_111_777), "{form}");
        }
        assert_eq!(parse(b"yesterday"), None);
        // B.1.4
        assert_eq!(
            text(0x353F_BA11).as_deref(),
            Some("Thu, 23 Apr 1998 22:00:49 GMT")
        );
    }

    #[test]
    fn a_date_that_handsets_cannot_hold_is_not_for_the_wire() {
        assert_eq!(on_wire(b"Wed, 31 Dec 1969 23:59:59 GMT"), None);
        assert_eq!(on_wire(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        let last = on_wire(b"Sun, 07 Feb 2106 06:28:15 GMT");
        assert_eq!(last, Some(u64::from(u32::MAX)));
        assert_eq!(on_wire(b"Sun, 07 Feb 2106 06:28:16 GMT"), None);
        assert_eq!(on_wire(b"Fri, 31 Dec 9999 23:59:59 GMT"), None);
    }

    #[test]
    fn a_date_beyond_the_calendar_is_none() {
        assert_eq!(text(u64::MAX), None);
        assert_eq!(
            text(253_402_300_799).as_deref(),
            Some("Fri, 31 Dec 9999 23:59:59 GMT")
        );
    }

    proptest! {
        #[test]
        fn dates_round_trip(seconds in 0..253_402_300_800u64) {
            prop_assert_eq!(parse(text(seconds).unwrap().as_bytes()), Some(seconds));
        }

        #[test]
        fn any_text_is_read_or_refused(text: Vec<u8>) {
            let _ = parse(&text);
        }

        #[test]
        fn texts_like_dates_are_read_or_refused(text in "(Sun|Sunday),? [0-9]{0,2}[- ](Feb|Jan|Foo)[- ][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}( GMT)?( [0-9]{4})?") {
            let _ = parse(text.as_bytes());
        }
    }
}
