//! The specification's tables and examples, transcribed a second time in `fixtures/wsp`, checked
//! against the code: two transcriptions that must agree.

use super::wire::{put_integer, put_long, put_with_length};
use super::{
    CodePage, EncodingVersion, X_UP_1, application, charset, decode_content_type, encode_field,
    fields, language, media_types, table,
};
use crate::wsp::capability::Id;
use crate::wsp::pdu::{AbortReason, Method};
use crate::wsp::status;

const FIELDS: &str = include_str!("../../../fixtures/wsp/fields.tsv");
const NUMBERS: &str = include_str!("../../../fixtures/wsp/numbers.tsv");

/// Octets in hexadecimal, and text in single marks.
fn octets(notation: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (place, part) in notation.split('\'').enumerate() {
        if place % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
        } else {
            let hex = part.split_whitespace();
            out.extend(hex.map(|octet| u8::from_str_radix(octet, 16).unwrap()));
        }
    }
    out
}

/// The octets of every example.
pub(super) fn wires() -> Vec<Vec<u8>> {
    rows(FIELDS).map(|row| octets(row[4])).collect()
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| line.split('\t').collect())
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

fn numbers(kind: &str) -> Vec<(u64, &'static str, &'static str)> {
    let found: Vec<_> = rows(NUMBERS)
        .filter(|row| row[0] == kind)
        .map(|row| (number(row[1]), row[2], row[3]))
        .collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

#[test]
fn every_example_is_read_and_written() {
    for row in rows(FIELDS) {
        let [way, version, name, value, wire] = row[..] else {
            panic!("{row:?}");
        };
        let version = EncodingVersion::parse(version.as_bytes()).unwrap();
        let wire = octets(wire);
        if way != "<" {
            let mut out = Vec::new();
            encode_field(version, name, value.as_bytes(), &mut out);
            assert_eq!(out, wire, "writing {name}: {value}: {out:02X?}");
        }
        if way != ">" {
            let mut read = fields(&wire, &[]).with_body(500);
            let field = read
                .next()
                .unwrap()
                .unwrap_or_else(|error| panic!("{name}: {value}: {error}"));
            assert_eq!(field.name, name);
            assert_eq!(
                String::from_utf8_lossy(&field.value),
                value,
                "reading {name}"
            );
            assert!(read.next().is_none());
        }
    }
}

#[test]
fn every_field_number_has_its_examples() {
    for (number, name, version) in numbers("field") {
        assert_eq!(table::name(number), Some(name));
        let examples = |ways: &[&str]| {
            rows(FIELDS).any(|row| {
                ways.contains(&row[0])
                    && octets(row[4]).first() == u8::try_from(0x80 | number).ok().as_ref()
            })
        };
        assert!(examples(&["=", "<"]), "{name} {number:#x} is read");
        // 0x48 and up are never written; see `table`.
        assert_eq!(
            examples(&["="]),
            number < 0x48,
            "{name} {number:#x} is written"
        );
        if number < 0x48 {
            let version = EncodingVersion::parse(version.as_bytes()).unwrap();
            let code = u8::try_from(number).unwrap();
            assert_eq!(table::code(version, name.as_bytes()), Some(code), "{name}");
        }
    }
}

#[test]
fn every_row_of_the_table_has_its_number_in_the_specification() {
    let numbers = numbers("field");
    for number in 0..=0x7F {
        let specified = numbers.iter().find(|(specified, ..)| *specified == number);
        assert_eq!(
            table::name(number),
            specified.map(|(_, name, _)| *name),
            "{number:#x}"
        );
    }
}

#[test]
fn every_media_type_is_read_and_written_by_its_version() {
    for (number, name, version) in numbers("media") {
        assert_eq!(media_types::name(number), Some(name));
        let Ok(short) = u8::try_from(number) else {
            let mut wire = Vec::new();
            put_with_length(&mut wire, |out| put_long(out, number));
            assert_eq!(decode_content_type(&wire).unwrap().0, name);
            assert_eq!(version, "-");
            continue;
        };
        for minor in 1..=6 {
            let peer = EncodingVersion::new(1, minor).unwrap();
            let since = EncodingVersion::parse(version.as_bytes());
            let known = since.is_some_and(|since| since <= peer);
            let found = media_types::short_number(peer, name.as_bytes());
            assert_eq!(found, known.then_some(short), "{name} for {peer}");
        }
    }
}

#[test]
fn every_charset_language_and_application_goes_both_ways() {
    for (number, name, _) in numbers("charset") {
        assert_eq!(charset::name(number), Some(name));
        assert_eq!(
            charset::number(name.as_bytes()).map(u64::from),
            Some(number)
        );
        let mut wire = vec![0x81];
        match number {
            0..=0x7F => put_integer(&mut wire, number),
            _ => put_with_length(&mut wire, |out| put_integer(out, number)),
        }
        assert_both_ways("accept-charset", name, &wire);
    }
    for (number, name, _) in numbers("language") {
        let mut wire = vec![0x83];
        match number {
            0..=0x7F => put_integer(&mut wire, number),
            _ => put_with_length(&mut wire, |out| put_integer(out, number)),
        }
        assert_both_ways("accept-language", name, &wire);
        assert_eq!(
            language::number(name.as_bytes()).map(u64::from),
            Some(number)
        );
    }
    for (number, name, _) in numbers("application") {
        let mut wire = vec![0xAF];
        put_integer(&mut wire, number);
        assert_both_ways("x-wap-application-id", name, &wire);
        assert_eq!(application::name(number), Some(name));
    }
}

fn assert_both_ways(field: &str, value: &str, wire: &[u8]) {
    let mut out = Vec::new();
    encode_field(EncodingVersion::V1_2, field, value.as_bytes(), &mut out);
    assert_eq!(out, wire, "{field}: {value}");
    let read = fields(wire, &[]).next().unwrap().unwrap();
    assert_eq!((&*read.name, &*read.value), (field, value.as_bytes()));
}

#[test]
fn every_extension_field_is_read() {
    let pages = [CodePage {
        code: 0x10,
        page: &X_UP_1,
    }];
    for (number, name, _) in numbers("x-up-1") {
        let wire = [0x10, 0x80 | u8::try_from(number).unwrap(), 0x81];
        let field = fields(&wire, &pages).next().unwrap().unwrap();
        assert_eq!((&*field.name, &*field.value), (name, &b"1"[..]));
    }
}

#[test]
fn every_status_method_capability_and_reason_has_its_number() {
    let octet = |number: u64| u8::try_from(number).unwrap();
    for (number, http, _) in numbers("status") {
        let http = http.parse().unwrap();
        assert_eq!(status::from_http(http), octet(number));
        assert_eq!(status::to_http(octet(number)), Some(http));
    }
    for (number, name, _) in numbers("method") {
        assert_eq!(Method(octet(number)).name(), Some(name));
    }
    for (number, name, _) in numbers("capability") {
        assert_eq!(Id(octet(number)).name(), Some(name));
    }
    for (number, name, _) in numbers("abort") {
        assert_eq!(AbortReason(octet(number)).name(), Some(name));
    }
}
