//! `${NAME}` in the strings of a configuration: the environment variable of that name.
//!
//! Variables are for secrets that a container's platform gives to a process, and for differences
//! between hosts. `$${` stands for `${` itself.

use std::borrow::Cow;
use std::env::VarError;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mask::is_readable;
use super::report::Problem;

/// Replaces the variables in every string of a table, and adds errors to `problems`.
pub(super) fn expand(
    table: &mut DeTable<'_>,
    get: &dyn Fn(&str) -> Result<String, VarError>,
    problems: &mut Vec<Problem>,
) {
    for (_, value) in table.iter_mut() {
        expand_value(value, get, problems);
    }
}

fn expand_value(
    value: &mut Spanned<DeValue<'_>>,
    get: &dyn Fn(&str) -> Result<String, VarError>,
    problems: &mut Vec<Problem>,
) {
    let at = value.span();
    match value.get_mut() {
        DeValue::String(text) if text.contains("${") => match expanded(text, get) {
            Ok(expanded) => *text = Cow::Owned(expanded),
            Err(wrong) => problems.push(problem(at, wrong)),
        },
        DeValue::Array(values) => {
            for value in values.iter_mut() {
                expand_value(value, get, problems);
            }
        }
        DeValue::Table(table) => expand(table, get, problems),
        _ => {}
    }
}

/// The reason why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Unclosed,
    NoName(String),
    Unset(String),
    NotUnicode,
}

fn expanded(text: &str, get: &dyn Fn(&str) -> Result<String, VarError>) -> Result<String, Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = behind;
            continue;
        }
        out.push_str(before);
        let (name, behind) = behind.split_once('}').ok_or(Wrong::Unclosed)?;
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
        if !is_name {
            return Err(Wrong::NoName(name.to_owned()));
        }
        match get(name) {
            Ok(value) => out.push_str(&value),
            Err(VarError::NotPresent) => return Err(Wrong::Unset(name.to_owned())),
            Err(VarError::NotUnicode(_)) => return Err(Wrong::NotUnicode),
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

fn problem(at: Range<usize>, wrong: Wrong) -> Problem {
    let (title, label, help) = match wrong {
        Wrong::Unclosed => (
            "`${` without its `}`".to_owned(),
            "the name of an environment variable has no end".to_owned(),
            "write ${NAME}, or $${ for the characters themselves".to_owned(),
        ),
        Wrong::NoName(_) => (
            "`${...}` names no environment variable".to_owned(),
            "a name has letters, digits and underscores".to_owned(),
            "write ${NAME}, or $${ for the characters themselves".to_owned(),
        ),
        // The text may be a secret in the place of a name.
        Wrong::Unset(name) if !is_readable(&name) => (
            "an environment variable is not set".to_owned(),
            "its value is wanted here".to_owned(),
            "set it for the process, or write $${ for the characters themselves".to_owned(),
        ),
        Wrong::Unset(name) => (
            format!("the environment variable {name} is not set"),
            "its value is wanted here".to_owned(),
            format!(
                "set {name} for the process, as with Environment= or EnvironmentFile= of its unit"
            ),
        ),
        Wrong::NotUnicode => (
            "the environment variable is no text".to_owned(),
            "its value is wanted here".to_owned(),
            "its value has to be UTF-8".to_owned(),
        ),
    };
    Problem {
        title,
        at,
        label,
        related: None,
        help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(name: &str) -> Result<String, VarError> {
        match name {
            "HOST" => Ok("gw1".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(VarError::NotPresent),
        }
    }

    #[test]
    fn variables_are_replaced_and_missing_ones_are_errors() {
        for (text, result) in [
            ("plain", Ok("plain")),
            ("a ${HOST} b${EMPTY}${HOST}", Ok("a gw1 bgw1")),
            ("$HOST $ $}", Ok("$HOST $ $}")),
            ("$${HOST}", Ok("${HOST}")),
            ("${HOST", Err(Wrong::Unclosed)),
            ("${}", Err(Wrong::NoName(String::new()))),
            ("${a b}", Err(Wrong::NoName("a b".to_owned()))),
            ("${NONE}", Err(Wrong::Unset("NONE".to_owned()))),
        ] {
            assert_eq!(expanded(text, &get), result.map(str::to_owned), "{text}");
        }
    }
}
