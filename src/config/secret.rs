//! Secret values, which appear in no log, error or dump of the configuration.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::mask::{self, Sensitivity};
use super::section::Section;
use super::value::{Value, Wrong, string, text};

/// A secret of the configuration. It is shown as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// The secret, for a comparison or a computation.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Value for Secret {
    const EXPECTED: &'static str = "a string";
    const SENSITIVITY: Sensitivity = Sensitivity::Secret;

    fn show(&self) -> toml::Value {
        string("***")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value).map(Self::new)
    }
}

/// Where a secret stands: the key, and the place of its value.
type Place = (&'static str, Range<usize>);

/// The secret under `key`, or the content of the file that `file_key` names, without the white
/// space around it. `None` if neither is set. Both keys together, an unreadable file and an empty
/// secret are reported, and `None` too.
pub(super) fn read(
    section: &Section<'_, '_>,
    directory: &Path,
    key: &'static str,
    file_key: &'static str,
) -> Option<(Secret, Place)> {
    let (octets, place) = octets(section, directory, key, file_key)?;
    match String::from_utf8(octets) {
        Ok(text) => Some((Secret::new(&text), place)),
        Err(_) => {
            let wrong = Wrong::new("the file is no text in UTF-8", "write the secret in ASCII");
            section.invalid(place.0, place.1, wrong);
            None
        }
    }
}

/// The same for a secret of any octets.
pub(super) fn octets(
    section: &Section<'_, '_>,
    directory: &Path,
    key: &'static str,
    file_key: &'static str,
) -> Option<(Vec<u8>, Place)> {
    let word = section.spanned::<Secret>(key);
    let file = section.spanned::<PathBuf>(file_key);
    let (octets, place) = match (word, file) {
        (None, None) => return None,
        (Some(_), Some(file)) => {
            let wrong = Wrong::new(format!("and `{key}` is set too"), "keep one of the two");
            section.invalid(file_key, file.span(), wrong);
            return None;
        }
        (Some(word), None) => {
            let octets = word.get_ref().reveal().as_bytes().to_vec();
            (octets, (key, word.span()))
        }
        (None, Some(file)) => {
            let path = directory.join(file.get_ref());
            match std::fs::read(&path) {
                Ok(octets) => (octets.trim_ascii().to_vec(), (file_key, file.span())),
                Err(error) => {
                    let label = format!("{}: {error}", mask::file(&path));
                    let help = "it is relative to the directory of this file; make a secret with: \
                                openssl rand -hex 32 > FILE";
                    section.invalid(file_key, file.span(), Wrong::new(label, help));
                    return None;
                }
            }
        }
    };
    if octets.is_empty() {
        let wrong = Wrong::new("the secret is empty", "an empty secret protects nothing");
        section.invalid(place.0, place.1, wrong);
        return None;
    }
    Some((octets, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("open sesame");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(***)");
        assert_eq!(secret.reveal(), "open sesame");
    }
}
