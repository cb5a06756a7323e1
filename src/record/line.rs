//! Named values as one line: `name=value` for people, JSON and CSV for machines.
//!
//! A line is written once per exchange by a shard, so it goes straight into the shard's buffer: nothing is
//! formatted twice and nothing is allocated for it.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use super::stamp::Stamp;

/// A line being written. Values come in the order in which they stand.
pub(super) trait Fields {
    /// Any text; whatever is in it, the line stays one line.
    fn text(&mut self, name: &str, value: &str);

    /// A word, which is known to need no quotes.
    fn word(&mut self, name: &str, value: impl Display);

    /// A number.
    fn number(&mut self, name: &str, value: u64);

    /// A time in milliseconds, with three decimals.
    fn millis(&mut self, name: &str, value: Duration);

    /// A moment in microseconds since 1970, if it is there.
    fn moment(&mut self, name: &str, stamp: &mut Stamp, micros: Option<u64>) {
        match micros {
            Some(micros) => {
                let mut text = Vec::with_capacity(32);
                stamp.write(micros, &mut text);
                self.text(name, std::str::from_utf8(&text).unwrap_or_default());
            }
            None => self.absent(name),
        }
    }

    /// A value that is not there.
    fn absent(&mut self, name: &str);

    /// A text, if it is there.
    fn text_if(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.absent(name),
        }
    }

    /// A number, if it is there.
    fn number_if(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.absent(name),
        }
    }

    /// A time in milliseconds, if it is there.
    fn millis_if(&mut self, name: &str, value: Option<Duration>) {
        match value {
            Some(value) => self.millis(name, value),
            None => self.absent(name),
        }
    }
}

/// `name="text" name=7`, each with a space before it. What is absent is left out.
pub(super) struct Text<'a>(pub(super) &'a mut Vec<u8>);

impl Text<'_> {
    fn name(&mut self, name: &str) {
        self.0.push(b' ');
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
    }
}

impl Fields for Text<'_> {
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        if value.bytes().all(is_plain) {
            quoted(value, self.0);
        } else {
            show(format_args!("{value:?}"), self.0);
        }
    }

    fn word(&mut self, name: &str, value: impl Display) {
        self.name(name);
        show(value, self.0);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        decimal(value, self.0);
    }

    fn millis(&mut self, name: &str, value: Duration) {
        self.name(name);
        milliseconds(value, self.0);
    }

    fn absent(&mut self, _: &str) {}
}

/// `,"name":"text","name":7`, each with a comma before it.
pub(super) struct Json<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// Whether what is absent is written as `null`, for readers that count on every name.
    pub(super) nulls: bool,
}

impl Json<'_> {
    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

impl Fields for Json<'_> {
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        if value.bytes().all(is_plain) {
            quoted(value, self.out);
        } else {
            // Writing to memory cannot fail, and any text is a JSON string.
            let _ = serde_json::to_writer(&mut *self.out, value);
        }
    }

    fn word(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.out.push(b'"');
        show(value, self.out);
        self.out.push(b'"');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        decimal(value, self.out);
    }

    fn millis(&mut self, name: &str, value: Duration) {
        self.name(name);
        milliseconds(value, self.out);
    }

    fn absent(&mut self, name: &str) {
        if self.nulls {
            self.name(name);
            self.out.extend_from_slice(b"null");
        }
    }
}

/// `,text,7`, each with a comma before it (RFC 4180). What is absent is empty.
pub(super) struct Csv<'a>(pub(super) &'a mut Vec<u8>);

impl Fields for Csv<'_> {
    fn text(&mut self, _: &str, value: &str) {
        self.0.push(b',');
        csv_text(value, self.0);
    }

    fn word(&mut self, _: &str, value: impl Display) {
        self.0.push(b',');
        show(value, self.0);
    }

    fn number(&mut self, _: &str, value: u64) {
        self.0.push(b',');
        decimal(value, self.0);
    }

    fn millis(&mut self, _: &str, value: Duration) {
        self.0.push(b',');
        milliseconds(value, self.0);
    }

    fn absent(&mut self, _: &str) {
        self.0.push(b',');
    }
}

/// Appends a CSV field. A line break in it becomes a space: readers that go line by line stay right.
fn csv_text(value: &str, out: &mut Vec<u8>) {
    if value.bytes().all(|octet| is_plain(octet) && octet != b',') {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    out.push(b'"');
    for octet in value.bytes() {
        match octet {
            b'"' => out.extend_from_slice(b"\"\""),
            b'\n' | b'\r' => out.push(b' '),
            octet => out.push(octet),
        }
    }
    out.push(b'"');
}

/// The columns' names, in the form of [`Csv`].
pub(super) struct Names<'a>(pub(super) &'a mut Vec<u8>);

impl Fields for Names<'_> {
    fn text(&mut self, name: &str, _: &str) {
        self.absent(name);
    }

    fn word(&mut self, name: &str, _: impl Display) {
        self.absent(name);
    }

    fn number(&mut self, name: &str, _: u64) {
        self.absent(name);
    }

    fn millis(&mut self, name: &str, _: Duration) {
        self.absent(name);
    }

    fn absent(&mut self, name: &str) {
        self.0.push(b',');
        self.0.extend_from_slice(name.as_bytes());
    }
}

/// Needs no escape in any of the forms.
const fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && octet != b'"' && octet != b'\\'
}

fn quoted(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn show(value: impl Display, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{value}");
}

fn milliseconds(value: Duration, out: &mut Vec<u8>) {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    decimal(micros / 1_000, out);
    out.push(b'.');
    padded(micros % 1_000, 3, out);
}

/// Appends a number.
pub(super) fn decimal(value: u64, out: &mut Vec<u8>) {
    let mut digits = 1;
    let mut rest = value / 10;
    while rest > 0 {
        rest /= 10;
        digits += 1;
    }
    padded(value, digits, out);
}

/// Appends the last `digits` digits of a number, with zeros before it.
pub(super) fn padded(mut value: u64, digits: usize, out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + digits, b'0');
    for place in out.iter_mut().skip(from).rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWKWARD: &str = "a \"b\", \\ c\nd\u{1b}[31m é…";

    fn fill(fields: &mut impl Fields) {
        fields.text("plain", "http://h/p");
        fields.text("awkward", AWKWARD);
        fields.word("word", "GET");
        fields.number("zero", 0);
        fields.number("most", u64::MAX);
        fields.millis("time", Duration::from_micros(1_002_003));
        fields.text_if("nothing", None);
        fields.number_if("none", None);
        fields.millis_if("never", None);
    }

    #[test]
    fn for_people_absent_values_are_left_out() {
        let mut out = Vec::new();
        fill(&mut Text(&mut out));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            " plain=\"http://h/p\" awkward=\"a \\\"b\\\", \\\\ c\\nd\\u{1b}[31m é…\" word=GET zero=0 \
             most=18446744073709551615 time=1002.003"
        );
    }

    #[test]
    fn json_is_read_back_as_it_was() {
        for nulls in [false, true] {
            let mut out = b"{\"first\":1".to_vec();
            fill(&mut Json {
                out: &mut out,
                nulls,
            });
            out.push(b'}');
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(read["awkward"], AWKWARD);
            assert_eq!(read["most"], u64::MAX);
            assert_eq!(read["time"], 1002.003);
            assert_eq!(read.get("never").is_some(), nulls);
        }
    }

    #[test]
    fn csv_is_read_back_and_every_record_is_one_line() {
        let (mut head, mut out) = (b"first".to_vec(), b"1".to_vec());
        fill(&mut Names(&mut head));
        fill(&mut Csv(&mut out));
        head.push(b'\n');
        head.extend(&out);
        assert!(!out.contains(&b'\n'));
        let mut reader = csv::Reader::from_reader(&*head);
        let read = reader.records().next().unwrap().unwrap();
        let names = reader.headers().unwrap();
        let of = |name: &str| &read[names.iter().position(|other| other == name).unwrap()];
        assert_eq!(of("awkward"), AWKWARD.replace('\n', " "));
        assert_eq!((of("zero"), of("never"), of("word")), ("0", "", "GET"));
    }
}
