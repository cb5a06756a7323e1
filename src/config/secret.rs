//! Values that must not be seen: in no log, no error and no dump of the configuration.

use std::fmt;

use toml::de::DeValue;

use super::value::{Value, Wrong, text};

/// A secret of the configuration. It is shown as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `secret` from being seen.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// What it is, for who has to compare with it or compute from it.
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

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value).map(Self::new)
    }
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
