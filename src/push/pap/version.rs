//! Versions of PAP, and how two sides find one that both have (WAP-247 9).

use std::fmt;

use crate::push::xml::Prolog;

/// A version of PAP. Its parts are numbers: 2.4 comes before 2.10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The major number.
    pub major: u16,
    /// The minor number.
    pub minor: u16,
}

impl Version {
    /// PAP 1.0.
    pub const V1_0: Self = Self { major: 1, minor: 0 };
    /// PAP 2.0.
    pub const V2_0: Self = Self { major: 2, minor: 0 };

    /// Whether the gateway understands it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        SUPPORTED.contains(&self)
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The versions of the other side, as far as its document names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The version of its document.
    pub document: Version,
    /// Versions it says to support, the preferred one first. No minor number stands for all of
    /// them.
    supported: Vec<(u16, Option<u16>)>,
}

impl Default for Versions {
    /// Nothing was said: version 1.0.
    fn default() -> Self {
        Self {
            document: Version::V1_0,
            supported: Vec::new(),
        }
    }
}

impl Versions {
    /// Of a document of this version that names no others.
    #[must_use]
    pub const fn only(document: Version) -> Self {
        Self {
            document,
            supported: Vec::new(),
        }
    }

    /// Restores versions from a store: the version of the document, and whether the other side has
    /// one above 1.0.
    #[must_use]
    pub fn restored(document: Version, is_above_1_0: bool) -> Self {
        let supported = is_above_1_0.then_some((2, Some(0)));
        Self {
            document,
            supported: supported.into_iter().collect(),
        }
    }

    /// Reads the versions from the prolog of a document.
    pub(in crate::push) fn of(prolog: &Prolog) -> Self {
        let doctype = prolog.doctype.as_deref().unwrap_or_default();
        let named = prolog.instructions.iter().find_map(|instruction| {
            let rest = instruction.trim_start().strip_prefix("wap-pap-ver")?;
            let (_, value) = rest.split_once("supported-versions")?;
            quoted(value.trim_start().strip_prefix('=')?)
        });
        Self {
            document: document_version(doctype),
            supported: named.map(supported_versions).unwrap_or_default(),
        }
    }

    /// Whether the other side has a version above 1.0, so that it understands the processing
    /// instruction (9.2).
    #[must_use]
    pub fn is_above_1_0(&self) -> bool {
        self.document > Version::V1_0
            || self.supported.iter().any(|(major, minor)| {
                minor.is_none_or(|minor| (*major, minor) > (1, 0)) || *major > 1
            })
    }

    /// The version of an answer: that of the document if it is supported, else the first of the
    /// other side's versions that is, else 1.0 (9.3).
    #[must_use]
    pub fn common(&self) -> Version {
        if self.document.is_supported() {
            return self.document;
        }
        let ours = |(major, minor): &(u16, Option<u16>)| {
            let fits = |version: &&Version| {
                version.major == *major && minor.is_none_or(|minor| minor == version.minor)
            };
            SUPPORTED.iter().find(fits).copied()
        };
        self.supported
            .iter()
            .find_map(ours)
            .unwrap_or(Version::V1_0)
    }
}

/// The version in the public identifier of a document type declaration, `-//WAPFORUM//DTD PAP
/// 2.0//EN`. Identifiers without a version, of which there are many, leave it to the system
/// identifier, `pap_1.0.dtd`; no word at all is 1.0.
fn document_version(doctype: &str) -> Version {
    let external = doctype.split('[').next().unwrap_or_default();
    let after = |mark: &str| {
        let at = external.find(mark)?;
        let rest = external.get(at + mark.len()..)?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let text = rest.get(..end.unwrap_or(rest.len()))?;
        Version::parse(text.trim_end_matches('.'))
    };
    let public = after("DTD PAP ");
    public.or_else(|| after("pap_")).unwrap_or(Version::V1_0)
}

fn supported_versions(value: &str) -> Vec<(u16, Option<u16>)> {
    let one = |text: &str| {
        let (major, minor) = text.trim().split_once('.')?;
        let minor = match minor {
            "*" => None,
            minor => Some(number(minor)?),
        };
        Some((number(major)?, minor))
    };
    value.split(',').take(MAX_NAMED).filter_map(one).collect()
}

fn quoted(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text.get(1..)?.split_once(quote).map(|(inner, _)| inner)
}

/// A number in digits only. One that is too large to be ours is as large as can be.
fn number(digits: &str) -> Option<u16> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u16::MAX))
}

/// The versions of the gateway, the preferred one first.
pub(super) const SUPPORTED: [Version; 2] = [Version::V2_0, Version::V1_0];

/// Versions of an initiator that are looked at.
const MAX_NAMED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(public: &str, instruction: &str) -> Versions {
        let doctype = format!("pap PUBLIC \"{public}\" \"http://www.wapforum.org/DTD/pap.dtd\"");
        Versions::of(&Prolog {
            doctype: Some(doctype),
            instructions: vec![instruction.to_owned()],
        })
    }

    #[test]
    fn a_minor_number_is_a_number() {
        let of = |text: &str| Version::parse(text).unwrap();
        assert!(of("2.4") < of("2.10"));
        assert!(of("1.99999999") < of("2.0"));
        assert_eq!(Version::parse("2."), None);
    }

    #[test]
    fn the_version_of_a_document_is_found_or_is_1_0() {
        let of = |public: &str| versions(public, "").document;
        assert_eq!(of("-//WAPFORUM//DTD PAP 2.0//EN"), Version::V2_0);
        assert_eq!(of("-//WAPFORUM//DTD PAP 1.0//EN"), Version::V1_0);
        assert_eq!(of("-//WAPFORUM//DTD PAP//EN"), Version::V1_0);
        let by_system = Prolog {
            doctype: Some("pap SYSTEM \"http://www.wapforum.org/DTD/pap_2.0.dtd\"".to_owned()),
            ..Prolog::default()
        };
        assert_eq!(Versions::of(&by_system).document, Version::V2_0);
        assert_eq!(Versions::of(&Prolog::default()).document, Version::V1_0);
    }

    /// 9.3 and 9.4, case by case.
    #[test]
    fn the_best_common_version_is_the_initiators_first_choice_of_ours() {
        let of = |instruction: &str| {
            let versions = versions("-//WAPFORUM//DTD PAP 9.9//EN", instruction);
            (versions.common(), versions.is_above_1_0())
        };
        let pi = |list: &str| of(&format!("wap-pap-ver supported-versions=\"{list}\""));
        assert_eq!(pi("9.9,2.*,1.0"), (Version::V2_0, true));
        assert_eq!(pi("9.9,1.0,2.0"), (Version::V1_0, true));
        assert_eq!(pi("9.9,2.10"), (Version::V1_0, true));
        assert_eq!(of(""), (Version::V1_0, true));
        let old = versions("-//WAPFORUM//DTD PAP 1.0//EN", "");
        assert!(!old.is_above_1_0());
        let both = versions(
            "-//WAPFORUM//DTD PAP 1.0//EN",
            "wap-pap-ver supported-versions='2.0,1.0'",
        );
        assert!(both.is_above_1_0());
    }
}
