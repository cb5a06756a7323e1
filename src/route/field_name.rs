//! Names of header fields as rules compare them.

use http::{HeaderMap, HeaderName};

/// A list of names and patterns, ready to be compared with every field of every message.
///
/// A field is compared only with the patterns that begin with its own first character or with a
/// star, and only with those of whose characters it lacks none. Few patterns are left to be
/// compared character by character.
#[derive(Clone, Debug, Default)]
pub struct FieldNames {
    /// As the rules write them, in their order.
    names: Vec<HeaderName>,
    /// The patterns by [`class`] of the first character, behind them those that begin with a star.
    /// Empty without names.
    groups: Vec<Vec<Pattern>>,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// One bit for each [`class`] of character that is in the text.
    classes: u64,
    text: Box<str>,
}

impl FieldNames {
    /// The list with one more name or pattern.
    pub fn push(&mut self, name: HeaderName) {
        let text = name.as_str();
        let group = match text.as_bytes().first() {
            Some(b'*') | None => STAR,
            Some(first) => class(*first),
        };
        self.groups.resize_with(STAR + 1, Vec::new);
        if let Some(group) = self.groups.get_mut(group) {
            group.push(Pattern {
                classes: classes(text.bytes().filter(|octet| *octet != b'*')),
                text: text.into(),
            });
        }
        self.names.push(name);
    }

    /// The names and patterns as the rules write them, in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[HeaderName] {
        &self.names
    }

    /// Whether one of the patterns means the field `name`, as [`means_field`] has it.
    #[must_use]
    pub fn mean(&self, name: &str) -> bool {
        !self.names.is_empty() && self.mean_profiled(&NameProfile::of(name))
    }

    /// Removes the fields that the list means.
    pub fn remove_from(&self, headers: &mut HeaderMap) {
        let listed = |name: &&HeaderName| self.mean(name.as_str());
        let listed: Vec<HeaderName> = headers.keys().filter(listed).cloned().collect();
        for name in listed {
            headers.remove(name);
        }
    }

    /// The same of a name that is compared with several lists.
    pub(super) fn mean_profiled(&self, profile: &NameProfile<'_>) -> bool {
        [profile.group, STAR].into_iter().any(|group| {
            let patterns = self.groups.get(group).map_or(&[][..], Vec::as_slice);
            patterns.iter().any(|pattern| {
                pattern.classes & !profile.classes == 0 && means_field(&pattern.text, profile.name)
            })
        })
    }
}

/// The name of a field, and what patterns have to have in common with it.
pub(super) struct NameProfile<'a> {
    name: &'a str,
    /// The [`class`] of its first character.
    group: usize,
    /// One bit for each [`class`] of character that is in it.
    classes: u64,
}

impl<'a> NameProfile<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        Self {
            name,
            group: name.bytes().next().map_or(OTHER, class),
            classes: classes(name.bytes()),
        }
    }
}

impl FromIterator<HeaderName> for FieldNames {
    fn from_iter<I: IntoIterator<Item = HeaderName>>(names: I) -> Self {
        let mut list = Self::default();
        for name in names {
            list.push(name);
        }
        list
    }
}

impl From<&[&'static str]> for FieldNames {
    /// # Panics
    /// If one is no name of a field in lower case.
    fn from(names: &[&'static str]) -> Self {
        names
            .iter()
            .map(|name| HeaderName::from_static(name))
            .collect()
    }
}

impl PartialEq for FieldNames {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

/// Whether a rule's `pattern` means the field `name`. A `*` in the pattern stands for any run of
/// characters.
///
/// All characters but letters and digits are alike: CGI hands the fields `X-MSISDN`, `X_MSISDN` and
/// `X.MSISDN` to an origin under one name.
#[must_use]
pub fn means_field(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.as_bytes(), name.as_bytes());
    // Where to continue when the text after the last star does not match here: one octet later.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                pattern = rest;
                retry = Some((rest, name));
                continue;
            }
            (Some((wanted, wanted_rest)), Some((octet, octet_rest)))
                if folded(*wanted) == folded(*octet) =>
            {
                (pattern, name) = (wanted_rest, octet_rest);
                continue;
            }
            _ => {}
        }
        let Some((after_star, [_, later @ ..])) = retry else {
            return false;
        };
        (pattern, name) = (after_star, later);
        retry = Some((after_star, later));
    }
}

/// The group of a field's first character: 26 letters, ten digits, and all others, which are alike.
fn class(octet: u8) -> usize {
    CLASSES
        .get(usize::from(octet))
        .map_or(OTHER, |class| usize::from(*class))
}

fn classes(octets: impl Iterator<Item = u8>) -> u64 {
    octets.fold(0, |classes, octet| classes | 1 << class(octet))
}

/// Compared octet by octet for each field: a table instead of a [`folded`] and a subtraction.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "an octet is below 256")]
        {
            classes[octet as usize] = match folded(octet) {
                letter @ b'a'..=b'z' => letter - b'a',
                digit @ b'0'..=b'9' => digit - b'0' + 26,
                _ => 36,
            };
        }
        if octet == u8::MAX {
            break classes;
        }
        octet += 1;
    }
};
const OTHER: usize = 36;
/// Behind the groups of characters.
const STAR: usize = OTHER + 1;

const fn folded(octet: u8) -> u8 {
    match octet {
        b'A'..=b'Z' => octet.to_ascii_lowercase(),
        b'a'..=b'z' | b'0'..=b'9' => octet,
        _ => b'-',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_and_case_are_alike() {
        for separator in "!#$%&'+-.^_`|~".chars() {
            let name = format!("X{separator}Msisdn");
            assert!(means_field("x-msisdn", &name), "{name}");
            assert!(means_field(&name, "x-msisdn"), "{name}");
        }
        for other in ["xmsisdn", "x-msisdn-", "x-msisd", "x--msisdn", ""] {
            assert!(!means_field("x-msisdn", other), "{other}");
        }
    }

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, name, means) in [
            ("x-ssl-*", "x_ssl_client_cert", true),
            ("x-ssl-*", "x-ssl-", true),
            ("x-ssl-*", "x-ssl", false),
            ("*msisdn*", "x-up-msisdn-1", true),
            ("*msisdn*", "msisdn", true),
            ("*msisdn*", "x-msisd-n", false),
            ("x-*-id", "x-a-b-id", true),
            ("x-*-id", "x-a-idx", false),
            ("*", "", true),
        ] {
            assert_eq!(means_field(pattern, name), means, "{pattern} {name}");
        }
    }

    #[test]
    fn a_list_means_what_one_of_its_patterns_means() {
        let patterns = [
            "accept", "x-ssl-*", "*msisdn*", "*mdn", "x-*-id", "9x", "_a", "cf-*", "x_up",
        ];
        let list: FieldNames = patterns.iter().map(|name| name.parse().unwrap()).collect();
        let names = [
            "",
            "a",
            "accept",
            "accepts",
            "x-ssl-",
            "x_ssl_cert",
            "msisdn",
            "X-Up-MSISDN-1",
            "x-mdn",
            "mdns",
            "x-a-id",
            "x-id",
            "9x",
            "9",
            "-a",
            "~a",
            "cf-ray",
            "cfray",
            "x.up",
            "x-u",
            "*",
            "*a",
            "user-agent",
        ];
        for name in names {
            let expected = patterns.iter().any(|pattern| means_field(pattern, name));
            assert_eq!(list.mean(name), expected, "{name}");
            assert!(!FieldNames::default().mean(name), "{name}");
        }
        let all: FieldNames = ["*".parse().unwrap()].into_iter().collect();
        assert!(names.iter().all(|name| all.mean(name)));
    }

    proptest::proptest! {
        #[test]
        fn a_list_agrees_with_its_patterns(
            patterns in proptest::collection::vec("[a-cA-C0*_-]{1,5}", 0..6),
            name in "[a-cA-C0*._-]{0,7}",
        ) {
            let list: FieldNames = patterns.iter().map(|name| name.parse().unwrap()).collect();
            // Names of fields are compared in lower case, which `HeaderName` makes of them.
            let expected = list.as_slice().iter().any(|pattern| means_field(pattern.as_str(), &name));
            proptest::prop_assert_eq!(list.mean(&name), expected);
        }
    }
}
