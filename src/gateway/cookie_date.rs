//! Dates of cookies (RFC 6265 5.1.1): servers write them in a dozen forms, and this reads them all.

/// The seconds since 1970 of a date, 0 for an earlier one; `None` for text that is no date.
///
/// The parts may be in any order: the first token with the form of a time, a day, a month or a year
/// counts.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|octet| is_delimiter(*octet)) {
        if time.is_none()
            && let Some(found) = time_of(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = digits(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = digits(token, 2, 4)
        {
            year = Some(found);
        }
    }
    let (hour, minute, second) = time?;
    let year = match year? {
        two @ 70..=99 => two + 1900,
        two @ 0..=69 => two + 2000,
        year => year,
    };
    let (day, month) = (day?, month?);
    if year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if day < 1 || day > days_in(month, year) {
        return None;
    }
    let Some(days) = days_since_1970(year, month, day) else {
        return Some(0);
    };
    Some(days * 86_400 + u64::from(hour * 3_600 + minute * 60 + second))
}

fn is_delimiter(octet: u8) -> bool {
    matches!(octet, 0x09 | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// A number of so many digits, which may be followed by anything but a digit.
fn digits(token: &[u8], least: usize, most: usize) -> Option<u32> {
    let len = token
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    if !(least..=most).contains(&len) {
        return None;
    }
    std::str::from_utf8(token.get(..len)?).ok()?.parse().ok()
}

fn time_of(token: &[u8]) -> Option<(u32, u32, u32)> {
    let mut parts = token.splitn(3, |octet| *octet == b':');
    let whole = |part: &[u8]| {
        part.iter()
            .all(u8::is_ascii_digit)
            .then(|| digits(part, 1, 2))?
    };
    let (hour, minute) = (whole(parts.next()?)?, whole(parts.next()?)?);
    Some((hour, minute, digits(parts.next()?, 1, 2)?))
}

/// The number of a month, from 1.
fn month_of(token: &[u8]) -> Option<u32> {
    let name = token.get(..3)?;
    let place = MONTHS
        .iter()
        .position(|month| name.eq_ignore_ascii_case(month))?;
    u32::try_from(place + 1).ok()
}

const fn days_in(month: u32, year: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

/// Days from 1970-01-01; `None` for earlier dates.
fn days_since_1970(year: u32, month: u32, day: u32) -> Option<u64> {
    let years = 1970..year;
    if year < 1970 {
        return None;
    }
    let of_years: u32 = years.map(|year| 365 + u32::from(is_leap(year))).sum();
    let of_months: u32 = (1..month).map(|month| days_in(month, year)).sum();
    Some(u64::from(of_years + of_months + day - 1))
}

const MONTHS: [&[u8]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_form_is_read() {
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 6-Nov-1994 8:49:37 GMT",
            "06 Nov 1994 08:49:37",
            "6 november 94 08:49:37 UTC",
            "Sun, 06-Nov-1994 08:49:37",
            "1994-Nov-06 08:49:37",
            "Nov 06 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 -0000 (GMT)",
            "08:49:37 6th Nov 1994",
        ] {
            assert_eq!(parse(form.as_bytes()), Some(784_111_777), "{form}");
        }
        assert_eq!(parse(b"Thu, 01-Jan-1970 00:00:01 GMT"), Some(1));
        assert_eq!(parse(b"Thu, 01-Jan-70 00:00:00 GMT"), Some(0));
        assert_eq!(parse(b"Mon, 01-Jan-1900 00:00:00 GMT"), Some(0));
        assert_eq!(
            parse(b"Fri, 31-Dec-9999 23:59:59 GMT"),
            Some(253_402_300_799)
        );
        assert_eq!(parse(b"Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            &b""[..],
            b"0",
            b"-1",
            b"Session",
            b"Sun, 06 Nov 1994",
            b"Sun, 32 Jan 1994 08:49:37 GMT",
            b"Thu, 29 Feb 2023 00:00:00 GMT",
            b"Sun, 06 Nov 1600 08:49:37 GMT",
            b"Sun, 06 Nov 1994 24:00:00 GMT",
            b"Sun, 06 Nov 1994 08:49 GMT",
            b"06.11.1994 08:49:37",
        ] {
            assert_eq!(parse(text), None, "{}", String::from_utf8_lossy(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(text: Vec<u8>) {
            let _ = parse(&text);
        }

        #[test]
        fn the_form_of_http_is_read_as_http_reads_it(seconds in 0..253_402_300_800u64) {
            let text = crate::wsp::header::date::text(seconds).unwrap();
            proptest::prop_assert_eq!(parse(text.as_bytes()), Some(seconds));
        }
    }
}
