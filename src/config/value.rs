//! Kinds of values a setting can have, and what to say when the file has something else.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::suggest::closest;

/// A type that a value in the file can be read as.
pub(super) trait Value: Sized {
    /// What the file should say, to complete "expected ...".
    const EXPECTED: &'static str;

    /// Reads a value, or says why it cannot be one.
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong>;

    /// Reads a value that may be made of several, telling every mistake in them.
    fn read_spanned(
        value: &Spanned<DeValue<'_>>,
        wrong: &mut Vec<(Range<usize>, Wrong)>,
    ) -> Option<Self> {
        Self::read(value.get_ref())
            .map_err(|error| wrong.push((value.span(), error)))
            .ok()
    }
}

/// What is wrong with a value: shown beside it, and below it.
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
    Wrong::new(format!("expected {expected}, found {}", kind(found)), "")
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

/// One of a closed set of words.
pub(super) fn one_of<T: Value + Copy>(
    value: &DeValue<'_>,
    choices: &[(&'static str, T)],
) -> Result<T, Wrong> {
    let text = text::<T>(value)?;
    if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*choice);
    }
    let words = choices.iter().map(|(word, _)| *word);
    let help = closest(text, words)
        .map(|word| format!("did you mean \"{word}\"?"))
        .unwrap_or_default();
    Err(Wrong::new(format!("expected {}", T::EXPECTED), help))
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

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

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)? {
            "" => Err(Wrong::new("this is empty", "")),
            text => Ok(text.to_owned()),
        }
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "the path of a file";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)? {
            "" => Err(Wrong::new("this is empty", "")),
            text => Ok(Self::from(text)),
        }
    }
}

impl Value for Duration {
    const EXPECTED: &'static str = "a duration such as \"30s\" or \"500ms\"";

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

/// As an operator would write it.
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

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.is_integer() {
            return usize::read(value).map(Self);
        }
        let text = text::<Self>(value)?;
        number_and_unit(text)
            .and_then(|(number, unit)| {
                let octets = match unit {
                    "" | "B" => 1,
                    "KiB" => 1 << 10,
                    "MiB" => 1 << 20,
                    "GiB" => 1 << 30,
                    _ => return None,
                };
                usize::try_from(number.checked_mul(octets)?).ok().map(Self)
            })
            .ok_or_else(|| {
                Wrong::new(
                    format!("expected {}", Self::EXPECTED),
                    "the units are KiB (1024 octets), MiB and GiB",
                )
            })
    }
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
        let text = text::<Self>(value)?;
        text.parse().map_err(|_| {
            let help = if text.parse::<std::net::Ipv4Addr>().is_ok() {
                format!("add the port: \"{text}:PORT\"")
            } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
                format!("put the address in brackets and add the port: \"[{text}]:PORT\"")
            } else if text.starts_with(':') {
                format!("add the address: \"0.0.0.0{text}\" means every IPv4 address of this host")
            } else if text
                .rsplit(':')
                .next()
                .is_some_and(|port| port.parse::<u16>().is_err())
            {
                "a port is a number from 0 to 65535; 0 lets the system choose".to_owned()
            } else {
                "write an IP address: names are not looked up here".to_owned()
            };
            Wrong::new(format!("expected {}", Self::EXPECTED), help)
        })
    }
}

/// One value, or an array of them.
impl<T: Value> Value for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;

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
