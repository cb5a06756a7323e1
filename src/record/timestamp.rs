//! Moments as text: RFC 3339, UTC, microseconds.

use time::OffsetDateTime;
use time::macros::format_description;

use super::digits::{decimal, padded};

/// Writes moments. Keeps the text of the day, which most following moments share.
#[derive(Clone, Debug, Default)]
pub(super) struct Timestamp {
    day: Option<u64>,
    date: String,
}

impl Timestamp {
    /// Appends `2026-11-23T08:10:56.123456Z`, given microseconds since 1970.
    pub(super) fn write(&mut self, micros: u64, out: &mut Vec<u8>) {
        let seconds = micros / 1_000_000;
        let day = seconds / DAY;
        if self.day != Some(day) {
            self.date = date(seconds);
            self.day = Some(day);
        }
        let second = seconds % DAY;
        out.extend_from_slice(self.date.as_bytes());
        out.push(b'T');
        padded(second / 3_600, 2, out);
        out.push(b':');
        padded(second / 60 % 60, 2, out);
        out.push(b':');
        padded(second % 60, 2, out);
        out.push(b'.');
        padded(micros % 1_000_000, 6, out);
        out.push(b'Z');
    }

    /// Appends `20261123T081056Z`, as it stands in the names of files.
    pub(super) fn write_compact(&mut self, micros: u64, out: &mut Vec<u8>) {
        let mut long = Vec::with_capacity(32);
        self.write(micros, &mut long);
        let whole = long.split(|octet| *octet == b'.').next();
        let kept = |octet: &&u8| !matches!(octet, b'-' | b':');
        out.extend(whole.unwrap_or_default().iter().filter(kept));
        out.push(b'Z');
    }
}

/// The date of a moment in seconds since 1970.
fn date(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| {
            let form = format_description!("[year]-[month]-[day]");
            moment.format(form).ok()
        })
        .unwrap_or_else(|| {
            // A clock beyond the year 9999: the number of seconds is written instead.
            let mut text = Vec::new();
            decimal(seconds / DAY, &mut text);
            String::from_utf8(text).unwrap_or_default()
        })
}

const DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(micros: u64) -> String {
        let mut out = Vec::new();
        Timestamp::default().write(micros, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_written_as_rfc_3339_says() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            timestamp(951_827_696_000_007),
            "2000-02-29T12:34:56.000007Z"
        );
        assert_eq!(
            timestamp(1_795_421_456_123_456),
            "2026-11-23T08:10:56.123456Z"
        );
        let mut out = Vec::new();
        Timestamp::default().write_compact(1_795_421_456_123_456, &mut out);
        assert_eq!(out, b"20261123T081056Z");
    }

    #[test]
    fn a_new_day_is_noticed() {
        let mut timestamp = Timestamp::default();
        let mut out = Vec::new();
        timestamp.write(86_399_999_999, &mut out);
        out.push(b' ');
        timestamp.write(86_400_000_000, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "1970-01-01T23:59:59.999999Z 1970-01-02T00:00:00.000000Z"
        );
    }
}
