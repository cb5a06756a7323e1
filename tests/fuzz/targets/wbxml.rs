//! Targets for WBXML, its translation and the peek into SyncML.

use wapbridge::syncml::Encoding;
use wapbridge::syncml::content::{Config, Message, Outcome, Policy, request};
use wapbridge::syncml::header::peek;
use wapbridge::syncml::summary::summarize;
use wapbridge::wbxml::explain;
use wapbridge::wbxml::xml::{WbxmlOptions, XmlOptions, from_xml, to_xml};
use wapbridge::wbxml::{Decoder, Encoder, EncoderConfig, Error, Fault, Options};

/// Decoding is total and says no more than the input holds; what was decoded encodes to what decodes the same.
pub(crate) fn decoder(octets: &[u8]) {
    let Ok(once) = reencoded(octets) else { return };
    assert_eq!(reencoded(&once).as_ref(), Ok(&once));
    // Names of variables count against the limit of strings only where they are shown.
    let shown = explain::json(octets, &Options::default());
    assert!(
        shown
            .as_ref()
            .is_ok_and(|json| serde_json::from_str::<serde_json::Value>(json).is_ok())
            || shown.is_err_and(|error| error.fault == Fault::Amplified)
    );
    let _ = explain::xml(octets, &Options::default(), false);
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
pub(crate) fn to_text(octets: &[u8]) {
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
pub(crate) fn text(xml: &[u8], must: bool) {
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
pub(crate) fn syncml(octets: &[u8]) {
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
        if let Outcome::Translated(translated) = request(&config, &message, None, None) {
            assert_eq!(translated.media_type.encoding, other);
        }
    }
}
