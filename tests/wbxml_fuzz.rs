//! Entry functions for fuzzing WBXML, its translation and the SyncML peek, fed here by proptest with arbitrary octets
//! and with captured messages that have been tampered with, and by a fuzzer where there is one.
//!
//! Each takes arbitrary octets and panics only if a promise is broken.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics is one that fails"
)]

#[path = "support/corpus.rs"]
mod corpus;

use std::sync::LazyLock;

use proptest::prelude::*;
use wapbridge::syncml::Encoding;
use wapbridge::syncml::content::{Config, Message, Outcome, Policy, request};
use wapbridge::syncml::header::peek;
use wapbridge::syncml::summary::summarize;
use wapbridge::wbxml::explain;
use wapbridge::wbxml::xml::{WbxmlOptions, XmlOptions, from_xml, to_xml};
use wapbridge::wbxml::{Decoder, Encoder, EncoderConfig, Error, Options};

/// Decoding is total and says no more than the input holds; what was decoded encodes to what decodes the same.
fn decoder(octets: &[u8]) {
    let Ok(once) = reencoded(octets) else { return };
    assert_eq!(reencoded(&once).as_ref(), Ok(&once));
    explain::json(octets, &Options::default()).unwrap();
}

fn reencoded(octets: &[u8]) -> Result<Vec<u8>, Error> {
    let mut decoder = Decoder::new(octets, &Options::default())?;
    let config = EncoderConfig {
        version: decoder.header().version,
        charset: decoder.charset(),
        ..EncoderConfig::new(decoder.vocabulary())
    };
    let charset = decoder.charset();
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, &config);
    let mut events = 0;
    while let Some(event) = decoder.next()? {
        events += 1;
        assert!(events <= 3 * octets.len());
        encoder.event(&event, charset)?;
    }
    encoder.finish();
    Ok(out)
}

/// Translation to XML is total and bounded; what it writes is XML, and is stable from then on.
fn to_text(octets: &[u8]) {
    let mut xml = Vec::new();
    match to_xml(octets, &XmlOptions::default(), &mut xml) {
        Err(error) => {
            assert!(xml.is_empty());
            assert!(error.offset <= octets.len(), "{error}");
            let _ = explain::error(&error, octets);
        }
        Ok(()) => {
            assert!(xml.len() <= 64 * octets.len() + 1024);
            text(&xml, true);
        }
    }
}

/// Translation from XML is total and bounded; what it writes is WBXML, and is stable from then on.
fn text(xml: &[u8], must: bool) {
    let mut once = Vec::new();
    match from_xml(xml, &WbxmlOptions::default(), &mut once) {
        Err(error) => assert!(!must, "{error} in {}", String::from_utf8_lossy(xml)),
        Ok(()) => {
            assert!(once.len() <= 2 * xml.len() + 64);
            let mut again = Vec::new();
            let mut twice = Vec::new();
            if to_xml(&once, &XmlOptions::default(), &mut again).is_ok() {
                from_xml(&again, &WbxmlOptions::default(), &mut twice).unwrap();
                assert_eq!(twice, once, "{}", String::from_utf8_lossy(xml));
            }
        }
    }
}

/// Peeking, counting and deciding are total.
fn syncml(octets: &[u8]) {
    let _ = peek(octets);
    let _ = summarize(octets);
    for (content_type, other) in [
        ("application/vnd.syncml+xml", Encoding::Wbxml),
        ("application/vnd.syncml+wbxml", Encoding::Xml),
    ] {
        let message = Message {
            content_type,
            body: octets,
            integrity: false,
        };
        let config = Config {
            policy: Policy::To(other),
            ..Config::default()
        };
        if let Outcome::Translated(translated) = request(&config, &message, None) {
            assert_eq!(translated.media_type.encoding, other);
        }
    }
}

fn all(octets: &[u8]) {
    decoder(octets);
    to_text(octets);
    text(octets, false);
    syncml(octets);
}

static MESSAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    corpus::fixtures()
        .into_iter()
        .map(|sample| sample.octets)
        .filter(|octets| octets.len() < 2500)
        .collect()
});

/// Ways to tamper with a message.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, u8),
    Repeat(prop::sample::Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        8 => (at(), any::<u8>()).prop_map(|(at, octet)| Change::Set(at, octet)),
        8 => (at(), 0u8..5).prop_map(|(at, octet)| Change::Set(at, octet)),
        1 => at().prop_map(Change::Cut),
        4 => (at(), 1u8..20).prop_map(|(at, count)| Change::Remove(at, count)),
        4 => (at(), 1u8..40).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn tampered(mut octets: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if octets.is_empty() {
            break;
        }
        let range = |at: &prop::sample::Index, count: u8| {
            let at = at.index(octets.len());
            at..(at + usize::from(count)).min(octets.len())
        };
        match change {
            Change::Set(at, octet) => {
                let at = at.index(octets.len());
                octets[at] = *octet;
            }
            Change::Cut(at) => octets.truncate(at.index(octets.len())),
            Change::Remove(at, count) => drop(octets.drain(range(at, *count))),
            Change::Repeat(at, count) => {
                let range = range(at, *count);
                let part = octets[range.clone()].to_vec();
                octets.splice(range.start..range.start, part);
            }
        }
    }
    octets
}

proptest! {
    #[test]
    fn arbitrary_octets(octets: Vec<u8>) {
        all(&octets);
    }

    #[test]
    fn a_header_and_arbitrary_octets(public_id in prop_oneof![Just(5u8), 4u8..14], body in prop::collection::vec(any::<u8>(), 0..60)) {
        all(&[&[2, public_id, 0x6A, 4, b'a', b'b', b'c', 0, 0x45][..], &body, &[1]].concat());
    }

    #[test]
    fn messages_tampered_with(message in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 0..6)) {
        let message = message.get(&MESSAGES).clone();
        all(&tampered(message, &changes));
    }
}
