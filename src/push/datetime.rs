//! Moments as PAP writes them: `YYYY-MM-DDThh:mm:ssZ`, in UTC (WAP-247 8.2).

use std::time::{Duration, UNIX_EPOCH};

/// Reads a moment: milliseconds since 1970. `None` if the text is none, or is before 1970.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let shape = text.bytes().map(|octet| match octet {
        b'0'..=b'9' => b'0',
        other => other,
    });
    if !shape.eq(*b"0000-00-00T00:00:00Z") {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |month: u64| match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    // A leap second is written as 60.
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=days_of(month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let days = years + (1..month).map(days_of).sum::<u64>() + day - 1;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000)
}

/// Writes a moment given in milliseconds since 1970.
#[must_use]
pub fn text(moment: u64) -> String {
    // RFC 9110's form of a date has the same parts: "Sun, 06 Nov 1994 08:49:37 GMT".
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(moment.min(LAST)));
    let part = |from: usize, to: usize| date.get(from..to).unwrap_or_default();
    let month = MONTHS
        .iter()
        .position(|name| *name == part(8, 11))
        .unwrap_or(0)
        + 1;
    format!(
        "{}-{month:02}-{}T{}Z",
        part(12, 16),
        part(5, 7),
        part(17, 25)
    )
}

/// The end of the year 9999, which is the last that can be written.
const LAST: u64 = 253_402_300_799_000;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_go_both_ways() {
        for (written, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1999-04-30T06:45:00Z", 925_454_700),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-29T14:00:00Z", 1_795_960_800),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(parse(written), Some(seconds * 1_000), "{written}");
            assert_eq!(text(seconds * 1_000), written);
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for wrong in [
            "",
            "1999-04-30",
            "1999-04-31T06:45:00Z",
            "1999-02-29T06:45:00Z",
            "1999-13-01T00:00:00Z",
            "1999-00-01T00:00:00Z",
            "1999-04-30T24:00:00Z",
            "1999-04-30T06:45:00+01:00",
            "1999-04-30 06:45:00Z",
            "１999-04-30T06:45:00Z",
            "1960-04-30T06:45:00Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
