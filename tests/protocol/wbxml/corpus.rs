//! Every real message there is, both ways and back.

use crate::support::corpus;
use crate::support::corpus::Sample;
use crate::support::infoset;
use wapbridge::wbxml::xml::{WbxmlOptions, XmlOptions, from_xml, to_xml};
use wapbridge::wbxml::{Decoder, Encoder, EncoderConfig, Options};

fn xml_of(sample: &Sample, options: &XmlOptions) -> Vec<u8> {
    let mut xml = Vec::new();
    to_xml(&sample.octets, options, &mut xml)
        .unwrap_or_else(|error| panic!("{}: {error}", sample.name()));
    xml
}

fn wbxml_of(name: &str, xml: &[u8]) -> Vec<u8> {
    let mut wbxml = Vec::new();
    from_xml(xml, &WbxmlOptions::default(), &mut wbxml)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    wbxml
}

fn reencoded(sample: &Sample) -> Vec<u8> {
    let mut decoder = Decoder::new(&sample.octets, &Options::default()).unwrap();
    let config = EncoderConfig {
        version: decoder.header().version,
        ..EncoderConfig::new(decoder.vocabulary())
    };
    let charset = decoder.charset();
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, &config);
    while let Some(event) = decoder
        .next()
        .unwrap_or_else(|error| panic!("{}: {error}", sample.name()))
    {
        encoder.event(&event, charset).unwrap();
    }
    encoder.finish();
    out
}

/// Fails at the first difference, with what is around it.
fn assert_same_octets(sample: &Sample, back: &[u8]) {
    let differ = back.iter().zip(&sample.octets).position(|(a, b)| a != b);
    let at = differ.unwrap_or_else(|| back.len().min(sample.octets.len()));
    let around = |octets: &[u8]| {
        let part = &octets[at.saturating_sub(60)..(at + 30).min(octets.len())];
        part.escape_ascii().to_string()
    };
    assert_eq!(
        around(back),
        around(&sample.octets),
        "{} at {at}",
        sample.name()
    );
    assert_eq!(back.len(), sample.octets.len(), "{}", sample.name());
}

/// Peers disagree on one octet: an empty element may say that it has content, and has none. Both are kept.
fn check_session_message(sample: &Sample) {
    if sample.is("wbxml") {
        assert_eq!(
            reencoded(sample),
            sample.octets,
            "{}: decoded and encoded",
            sample.name()
        );
        let back = wbxml_of(&sample.name(), &xml_of(sample, &XmlOptions::default()));
        assert_eq!(
            infoset::of_wbxml(&back, &Options::default()),
            infoset::of_wbxml(&sample.octets, &Options::default()),
            "{}",
            sample.name()
        );
        assert_same_octets(sample, &back);
        let indented = xml_of(
            sample,
            &XmlOptions {
                indent: true,
                ..XmlOptions::default()
            },
        );
        assert_eq!(
            wbxml_of(&sample.name(), &indented),
            sample.octets,
            "{}: indented",
            sample.name()
        );
    } else {
        let wbxml = wbxml_of(&sample.name(), &sample.octets);
        let again = Sample {
            octets: wbxml,
            path: sample.path.clone(),
        };
        let xml = xml_of(
            &again,
            &XmlOptions {
                doctype: false,
                ..XmlOptions::default()
            },
        );
        assert_eq!(
            infoset::of_xml(&xml, true),
            infoset::of_xml(&sample.octets, true),
            "{}",
            sample.name()
        );
        assert_eq!(
            wbxml_of(&sample.name(), &xml),
            again.octets,
            "{}",
            sample.name()
        );
    }
}

#[test]
fn every_message_of_the_fixtures_goes_both_ways_and_back() {
    let samples = corpus::fixtures();
    samples.iter().for_each(check_session_message);
    println!(
        "{} messages of fixtures/syncml-sessions read",
        samples.len()
    );
    assert_eq!(samples.len(), 153);
}

#[test]
fn every_message_of_the_corpus_goes_both_ways_and_back() {
    let samples = corpus::shared("syncml-sessions");
    samples.iter().for_each(check_session_message);
    println!("{} messages of corpus/syncml-sessions read", samples.len());
    if !samples.is_empty() {
        assert_eq!(samples.len(), SESSION_MESSAGES);
    }
}

/// Counted with `find`.
const SESSION_MESSAGES: usize = 604;

/// libwbxml's own test documents: what it encoded says the same to us, and survives our translation.
#[test]
fn every_document_of_libwbxml_goes_both_ways_and_back() {
    let samples = corpus::shared("libwbxml-tests");
    for sample in &samples {
        let name = sample.name();
        let options = WbxmlOptions::default();
        if sample.is("xml") {
            let wbxml = wbxml_of(&name, &sample.octets);
            let decoded = Sample {
                octets: wbxml,
                path: sample.path.clone(),
            };
            let xml = xml_of(&decoded, &XmlOptions::default());
            let mut again = Vec::new();
            from_xml(&xml, &options, &mut again).unwrap();
            assert_eq!(again, decoded.octets, "{name}: to WBXML, back, and again");
            assert_eq!(
                without_namespaces(&xml),
                without_namespaces(&sample.octets),
                "{name}"
            );
        } else {
            let back = wbxml_of(&name, &xml_of(sample, &XmlOptions::default()));
            let lines = |wbxml: &[u8]| {
                let mut lines = infoset::of_wbxml(wbxml, &Options::default());
                // White space after a document inside Data is the indentation of the XML that this came from.
                lines.retain(|line| !(name.starts_with("ddf/") && is_blank(line)));
                lines
            };
            assert_eq!(lines(&back), lines(&sample.octets), "{name}");
        }
    }
    println!("{} documents of corpus/libwbxml-tests read", samples.len());
    if !samples.is_empty() {
        assert_eq!(samples.len(), LIBWBXML_DOCUMENTS);
    }
}

/// A line of text that is white space.
fn is_blank(line: &str) -> bool {
    line.strip_prefix('\'')
        .is_some_and(|text| text.trim().is_empty())
}

/// Code pages imply namespaces, so ours are there where the original left them out; and the type of device
/// information names the notation.
fn without_namespaces(xml: &[u8]) -> Vec<String> {
    infoset::of_xml(xml, false)
        .into_iter()
        .filter(|line| {
            !["@xmlns=SYNCML:", "@xmlns=syncml:"]
                .iter()
                .any(|begin| line.starts_with(begin))
        })
        .map(|line| line.replace("syncml-devinf+wbxml", "syncml-devinf+xml"))
        .map(|line| line.replace("dmtnds+wbxml", "dmtnds+xml"))
        // The media type of an embedded document is written anew, without white space around it.
        .map(|line| match line.strip_prefix('\'') {
            Some(text) if text.contains("dmtnds+xml") => format!("'{}", text.trim()),
            _ => line,
        })
        .collect()
}

const LIBWBXML_DOCUMENTS: usize = 130;
