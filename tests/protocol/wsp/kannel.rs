//! Kannel's own header examples, through our codec and back: what they mean must survive.
//!
//! The file comes with Kannel (`header_test` in its test directory); without it there is nothing to test. Its
//! lines are `< before`, `> after`, and `| both`; Kannel loses some things that we keep (quality factors of
//! encodings, three-digit warnings), so what we compare with is what stands before.

use std::fs;
use std::path::PathBuf;

use wapbridge::wsp::header::{EncodingVersion, encode_field, fields};

const PLACES: [&str; 2] = [
    "/usr/lib/kannel/test/header_test",
    "/usr/share/kannel/test/header_test",
];

#[test]
fn kannels_examples_keep_their_meaning() {
    let file = std::env::var_os("KANNEL_HEADER_TEST").map(PathBuf::from);
    let place = file.or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()));
    let Some(place) = place else {
        eprintln!("skipped: Kannel is not installed");
        return;
    };
    let text = fs::read_to_string(&place).unwrap();
    let examples: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ").or_else(|| line.strip_prefix("< ")))
        .filter_map(|line| line.split_once(':'))
        .collect();
    assert!(examples.len() > 80, "{place:?} holds {}", examples.len());
    for version in [
        EncodingVersion::V1_1,
        EncodingVersion::V1_2,
        EncodingVersion::V1_3,
        EncodingVersion::V1_4,
    ] {
        for (name, value) in &examples {
            let mut wire = Vec::new();
            encode_field(version, name, value.trim().as_bytes(), &mut wire);
            let mut back = Vec::new();
            for field in fields(&wire, &[]) {
                let field = field.unwrap_or_else(|error| panic!("{name}:{value}: {error}"));
                assert!(field.name.eq_ignore_ascii_case(name), "{name}");
                back.push(String::from_utf8(field.value.into_owned()).unwrap());
            }
            assert_eq!(
                meaning(name, &back.join(",")),
                meaning(name, value),
                "{name}:{value} for {version} came back as {back:?}"
            );
        }
    }
}

/// The value without what HTTP does not care about: case of tokens, blanks, optional marks, a factor of one
/// and spare zeros, the place of a realm, and the date of a warning.
fn meaning(name: &str, value: &str) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    let value = if is_date(&name) {
        date(value)
    } else {
        value.to_owned()
    };
    let mut parts: Vec<String> = value
        .to_ascii_lowercase()
        .replace('"', "")
        .split([',', ';'])
        .map(|part| part.split_whitespace().collect::<String>())
        .map(|part| match part.split_once("q=") {
            Some(("", factor)) => format!("q={}", factor.parse::<f32>().unwrap_or(-1.0)),
            _ => part,
        })
        .filter(|part| part != "q=1" && !part.is_empty())
        .collect();
    if name == "warning" {
        // One number stands for both.
        parts = parts
            .iter()
            .map(|part| part.replacen("299", "199", 1))
            .collect();
    }
    if name.ends_with("authenticate") {
        // The realm goes first: what is compared is which parts there are.
        parts = parts
            .iter()
            .map(|part| part.trim_start_matches("digest").to_owned())
            .collect();
        parts.sort();
    }
    parts
}

fn is_date(name: &str) -> bool {
    matches!(
        name,
        "date"
            | "expires"
            | "if-modified-since"
            | "if-unmodified-since"
            | "last-modified"
            | "if-range"
            | "retry-after"
    )
}

/// The three forms of a date are one.
fn date(value: &str) -> String {
    match httpdate::parse_http_date(value.trim()) {
        Ok(date) => httpdate::fmt_http_date(date),
        Err(_) => value.to_owned(),
    }
}
