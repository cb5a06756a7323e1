//! Kinds of values of settings, with their error texts.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use super::mask::Sensitivity;
use super::suggest::closest;

/// A type that a value in the file can be read as.
pub(super) trait Value: Sized {
    /// The expected value, to complete "expected ...".
    const EXPECTED: &'static str;

    /// The visible part of a value.
    const SENSITIVITY: Sensitivity = Sensitivity::Plain;

    /// The value in the form of the file, secrets masked.
    fn show(&self) -> toml::Value;

    /// The allowed values in JSON Schema.
    fn schema() -> Json {
        json!({ "type": "string" })
    }

    /// Reads a value, or returns the reason why it is wrong.
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong>;

    /// Reads a value that may consist of several, and returns every error in them.
    fn read_spanned(
        value: &Spanned<DeValue<'_>>,
        wrong: &mut Vec<(Range<usize>, Wrong)>,
    ) -> Option<Self> {
        Self::read(value.get_ref())
            .map_err(|error| wrong.push((value.span(), error)))
            .ok()
    }
}

/// The error of a value: the text beside it, and the text below it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) label: String,
    pub(super) help: String,
}

impl Wrong {
    pub(super) fn new(label: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            help: help.into(),
        }
    }
}

/// The value is of another TOML type.
pub(super) fn wrong_type<T: Value>(found: &DeValue<'_>) -> Wrong {
    let expected = T::EXPECTED;
    let help = match found {
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            format!("write text between quotes: {expected}")
        }
        DeValue::Array(_) => "only one value is possible here: write it without [ and ]".to_owned(),
        DeValue::Table(_) => format!("write KEY = VALUE, the value being {expected}"),
        DeValue::String(_) => format!("write {expected}"),
    };
    Wrong::new(format!("expected {expected}, found {}", kind(found)), help)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The text of a string value.
pub(super) fn text<'a, T: Value>(value: &'a DeValue<'_>) -> Result<&'a str, Wrong> {
    value.as_str().ok_or_else(|| wrong_type::<T>(value))
}

/// The text of a string value, or the digits of an integer.
pub(super) fn integer_or_text<'a, T: Value>(value: &'a DeValue<'_>) -> Result<&'a str, Wrong> {
    match value.as_integer() {
        Some(integer) if integer.radix() == 10 => Ok(integer.as_str()),
        _ => text::<T>(value),
    }
}

/// A type whose values are words.
pub(super) trait Keywords: Copy + PartialEq + 'static {
    /// The words, each with its value.
    const KEYWORDS: &'static [(&'static str, Self)];
}

/// One of a closed set of words.
pub(super) fn one_of<T: Value + Keywords>(value: &DeValue<'_>) -> Result<T, Wrong> {
    let text = text::<T>(value)?;
    if let Some((_, choice)) = T::KEYWORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*choice);
    }
    let words = T::KEYWORDS.iter().map(|(word, _)| *word);
    let help = closest(text, words)
        .map(|word| format!("did you mean \"{word}\"?"))
        .unwrap_or_default();
    Err(Wrong::new(format!("expected {}", T::EXPECTED), help))
}

/// The word for a value.
pub(super) fn word_for<T: Keywords>(value: T) -> toml::Value {
    let words = T::KEYWORDS.iter();
    let word = words
        .filter(|(_, other)| *other == value)
        .map(|(word, _)| *word);
    string(word.into_iter().next().unwrap_or_default())
}

/// The schema of a closed set of words.
pub(super) fn words_schema<T: Keywords>() -> Json {
    let words: Vec<_> = T::KEYWORDS.iter().map(|(word, _)| *word).collect();
    json!({ "enum": words })
}

/// Makes a type a [`Value`] that is one of some words.
macro_rules! words {
    ($type:ty, $expected:literal, $words:expr) => {
        impl $crate::config::value::Keywords for $type {
            const KEYWORDS: &'static [(&'static str, Self)] = &$words;
        }

        impl $crate::config::value::Value for $type {
            const EXPECTED: &'static str = $expected;

            fn read(value: &toml::de::DeValue<'_>) -> Result<Self, $crate::config::value::Wrong> {
                $crate::config::value::one_of(value)
            }

            fn show(&self) -> toml::Value {
                $crate::config::value::word_for(*self)
            }

            fn schema() -> serde_json::Value {
                $crate::config::value::words_schema::<Self>()
            }
        }
    };
}
pub(super) use words;

/// A string of the file.
pub(super) fn string(text: impl Into<String>) -> toml::Value {
    toml::Value::String(text.into())
}

/// The schema of a string of this form. A string with an environment variable may have any form.
pub(super) fn pattern(form: &str) -> Json {
    json!({ "type": "string", "pattern": format!("^({form})$|\\$\\{{") })
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn show(&self) -> toml::Value {
        toml::Value::Boolean(*self)
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        value.as_bool().ok_or_else(|| {
            let mut wrong = wrong_type::<Self>(value);
            if value.is_str() {
                "write it without quotes".clone_into(&mut wrong.help);
            }
            wrong
        })
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const EXPECTED: &'static str = "a whole number";

            fn show(&self) -> toml::Value {
                toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }

            fn schema() -> Json {
                json!({ "type": "integer", "minimum": 0 })
            }

            fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
                let integer = value.as_integer().ok_or_else(|| {
                    let mut wrong = wrong_type::<Self>(value);
                    if value.is_str() {
                        "write it without quotes".clone_into(&mut wrong.help);
                    }
                    wrong
                })?;
                Self::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| {
                    let (min, max) = (Self::MIN, Self::MAX);
                    Wrong::new(format!("expected a number from {min} to {max}"), "")
                })
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, usize);

impl Value for String {
    const EXPECTED: &'static str = "a string";

    fn show(&self) -> toml::Value {
        string(self.as_str())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)? {
            "" => Err(Wrong::new("this is empty", "")),
            text => Ok(text.to_owned()),
        }
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "the path of a file";
    const SENSITIVITY: Sensitivity = Sensitivity::File;

    fn show(&self) -> toml::Value {
        string(self.to_string_lossy())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)? {
            "" => Err(Wrong::new("this is empty", "")),
            text if text.contains("://") => {
                Err(Wrong::new("expected the path of a file, found a URL", ""))
            }
            text => Ok(Self::from(text)),
        }
    }
}

impl Value for Duration {
    const EXPECTED: &'static str = "a duration such as \"30s\" or \"500ms\"";

    fn show(&self) -> toml::Value {
        let (millis, seconds) = (self.as_millis(), self.as_secs());
        string(match seconds {
            _ if millis % 1_000 != 0 => format!("{millis}ms"),
            3_600.. if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
            600.. if seconds % 60 == 0 => format!("{}m", seconds / 60),
            _ => format!("{seconds}s"),
        })
    }

    fn schema() -> Json {
        pattern("[0-9]+ *(ms|s|m|min|h)")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if let Some(number) = value.as_integer() {
            return Err(Wrong::new(
                format!("expected {}", Self::EXPECTED),
                format!("write the unit too: \"{}s\"", number.as_str()),
            ));
        }
        let text = text::<Self>(value)?;
        duration(text).ok_or_else(|| {
            Wrong::new(
                format!("expected {}", Self::EXPECTED),
                "the units are ms, s, m and h",
            )
        })
    }
}

/// A duration as operators write it: `500ms`, `30s`, `5m` or `5min`, `1h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A number of octets, written as a number or with a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) usize);

/// In the form of the file.
impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            octets if octets >= 1 << 20 && octets % (1 << 20) == 0 => {
                write!(f, "{}MiB", octets >> 20)
            }
            octets if octets >= 1 << 10 && octets % (1 << 10) == 0 => {
                write!(f, "{}KiB", octets >> 10)
            }
            octets => write!(f, "{octets}"),
        }
    }
}

impl Value for Size {
    const EXPECTED: &'static str = "a size such as 65536, \"64KiB\" or \"1MiB\"";

    fn show(&self) -> toml::Value {
        match format!("{self:?}") {
            text if text.ends_with('B') => string(text),
            _ => self.0.show(),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            pattern("[0-9]+ *(B|KiB|MiB|GiB)?"),
        ] })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.is_integer() {
            return usize::read(value).map(Self);
        }
        let text = text::<Self>(value)?;
        octets(text).map(Self).ok_or_else(|| {
            Wrong::new(
                format!("expected {}", Self::EXPECTED),
                "the units are KiB (1024 octets), MiB and GiB",
            )
        })
    }
}

/// A size as operators write it: `65536`, `64KiB`, `1MiB`.
pub(super) fn octets(text: &str) -> Option<usize> {
    let (number, unit) = number_and_unit(text)?;
    let octets = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(octets)?).ok()
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim()))
}

impl Value for SocketAddr {
    const EXPECTED: &'static str =
        "an address and a port such as \"0.0.0.0:9201\" or \"[::]:9201\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if let Some(port) = value.as_integer() {
            let help = format!(
                "write address and port between quotes: \"0.0.0.0:{0}\" or \"127.0.0.1:{0}\"",
                port.as_str()
            );
            return Err(Wrong::new(format!("expected {}", Self::EXPECTED), help));
        }
        let text = text::<Self>(value)?;
        text.parse().map_err(|_| {
            Wrong::new(
                format!("expected {}", Self::EXPECTED),
                address_help(text.trim()),
            )
        })
    }

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn schema() -> Json {
        pattern(".+:[0-9]+")
    }
}

/// The remedy for a text that is no address with a port.
fn address_help(text: &str) -> String {
    use std::net::{Ipv4Addr, Ipv6Addr};

    if text.parse::<Ipv4Addr>().is_ok() {
        return format!("add the port: \"{text}:PORT\"");
    }
    if text.parse::<u16>().is_ok() {
        return format!(
            "add the address: \"0.0.0.0:{text}\" means every IPv4 address of this host"
        );
    }
    // Most texts of the form ADDRESS:PORT are IPv6 addresses as well: `::1:9201`.
    if let Some((address, port)) = text.rsplit_once(':')
        && address.parse::<Ipv6Addr>().is_ok()
        && port.len() >= 4
        && port.parse::<u16>().is_ok()
    {
        return format!("put the address in brackets: \"[{address}]:{port}\"");
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<Ipv6Addr>().is_ok() {
        return format!("put the address in brackets and add the port: \"[{bare}]:PORT\"");
    }
    if let Some(port) = text.strip_prefix(':')
        && port.parse::<u16>().is_ok()
    {
        return format!(
            "add the address: \"0.0.0.0:{port}\" means every IPv4 address of this host"
        );
    }
    if text.contains("://") {
        return "this is no URL: write only an IP address and a port".to_owned();
    }
    let port = text.rsplit(':').next().unwrap_or_default();
    if text.contains(':') && port.parse::<u16>().is_err() {
        return "a port is a number from 0 to 65535; 0 lets the system choose".to_owned();
    }
    "write an IP address: names are not looked up here".to_owned()
}

/// One value, or an array of them.
impl<T: Value> Value for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const SENSITIVITY: Sensitivity = T::SENSITIVITY;

    fn show(&self) -> toml::Value {
        match self.as_slice() {
            [one] => one.show(),
            all => toml::Value::Array(all.iter().map(T::show).collect()),
        }
    }

    fn schema() -> Json {
        let one = T::schema();
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        T::read(value).map(|one| vec![one])
    }

    fn read_spanned(
        value: &Spanned<DeValue<'_>>,
        wrong: &mut Vec<(Range<usize>, Wrong)>,
    ) -> Option<Self> {
        let Some(items) = value.get_ref().as_array() else {
            return T::read_spanned(value, wrong).map(|one| vec![one]);
        };
        let read: Self = items
            .iter()
            .filter_map(|item| T::read_spanned(item, wrong))
            .collect();
        (read.len() == items.len()).then_some(read)
    }
}
