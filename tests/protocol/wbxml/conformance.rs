//! The static conformance requirements of WBXML (WAP-192 section 9, as corrected by SIN 105). Each test is named
//! after the requirement it holds.

use wapbridge::wbxml::xml::{WbxmlOptions, XmlOptions, from_xml, to_xml};
use wapbridge::wbxml::{
    Charset, Decoder, Encoder, EncoderConfig, Error, Event, Fault, Header, Name, Options, tables,
};

fn encode_with(xml: &str, options: &WbxmlOptions) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    from_xml(xml.as_bytes(), options, &mut out).map(|()| out)
}

fn encode(xml: &str) -> Vec<u8> {
    encode_with(xml, &WbxmlOptions::default()).unwrap_or_else(|error| panic!("{xml}: {error}"))
}

fn decode(wbxml: &[u8]) -> String {
    let mut out = Vec::new();
    let options = XmlOptions {
        declaration: false,
        doctype: false,
        ..XmlOptions::default()
    };
    to_xml(wbxml, &options, &mut out).unwrap_or_else(|error| panic!("{wbxml:02x?}: {error}"));
    String::from_utf8(out).unwrap()
}

fn body(wbxml: &[u8]) -> Vec<u8> {
    Header::parse(wbxml).unwrap().0.to_vec()
}

/// Version, public id, charset, string table, body; and what was said is what is read.
#[test]
fn wbxml_s_001_the_encoder_writes_the_binary_structure() {
    let xml =
        "<si><indication href=\"http://www.xyz.com/a\" action=\"delete\">mail</indication></si>";
    for version in [0x01, 0x02, 0x03] {
        let wbxml = encode_with(
            xml,
            &WbxmlOptions {
                version,
                ..WbxmlOptions::default()
            },
        )
        .unwrap();
        assert_eq!(wbxml[..5], [version, 0x05, 0x6A, 0x00, 0x45]);
        assert_eq!(decode(&wbxml), xml);
    }
    let wbxml = encode("<x/>");
    assert_eq!(wbxml, b"\x02\x01\x6A\x02x\0\x04\x00");
    assert_eq!(decode(&wbxml), "<x/>");
}

/// Any document of the grammar decodes; every cut and every bad number is an error and never a panic.
#[test]
fn wbxml_c_001_the_decoder_reads_the_binary_structure_and_nothing_else() {
    let whole = b"\x03\x01\x6A\x12abc\0 Enter name: \0\x47\xC5\x09\x83\x00\x05\x01\x88\x06\x86\x08\x03xyz\0\x85\x03/s\0\
        \x01\x83\x04\x86\x07\x0A\x03N\0\x01\x43\x04\x00\x83\x04\x01\xC3\x02\x00\x01\x00\x07\x45\x40v\0\x01\x02\x81\x20\xC0\x80\x00\x01\x01";
    let read = |wire: &[u8]| -> Result<usize, Error> {
        let mut decoder = Decoder::new(wire, &Options::default())?;
        let mut events = 0;
        while decoder.next()?.is_some() {
            events += 1;
        }
        Ok(events)
    };
    assert_eq!(read(whole), Ok(32));
    for cut in 0..whole.len() {
        assert_eq!(
            read(&whole[..cut]).map_err(|error| error.fault),
            Err(Fault::Malformed),
            "cut at {cut}"
        );
    }
    let reject = |wire: &[u8]| {
        assert_eq!(
            read(wire).map_err(|error| error.fault),
            Err(Fault::Malformed),
            "{wire:02x?}"
        );
    };
    reject(&[
        3, 1, 0x6A, 0, 0x45, 0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x01,
    ]); // six octets
    reject(&[
        3, 1, 0x6A, 0, 0x45, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x01,
    ]); // 35 bits
    reject(&[3, 1, 0x6A, 0, 0x45, 0x83, 0x00, 0x01]); // no such string
    reject(&[3, 1, 0x6A, 2, 0x41, 0x00, 0x45, 0x83, 0x02, 0x01]); // beyond the table
    reject(&[
        3, 1, 0x6A, 0, 0x45, 0xC3, 0x8F, 0xFF, 0xFF, 0xFF, 0x7F, 0x01,
    ]); // 4 GiB of opaque data
    reject(&[3, 1, 0x6A, 0, 0x45, 0x05]); // no END
}

#[test]
fn wbxml_s_002_all_markup_becomes_tokens() {
    let wbxml = encode(
        "<?xml version=\"1.0\"?><wml><card id=\"a\" unknown=\"1\"><p mode=\"wrap\">x<br/><other b=\"c\">y</other></p></card></wml>",
    );
    let body = body(&wbxml);
    for markup in [
        &b"<"[..],
        b">",
        b"=\"",
        b"card",
        b"wrap",
        b"unknown",
        b"other",
    ] {
        assert!(
            !body.windows(markup.len()).any(|window| window == markup),
            "{markup:?} in {body:02x?}"
        );
    }
    // Those without a token are names in the string table.
    let (_, header) = Header::parse(&wbxml).unwrap();
    assert_eq!(header.strings.octets(), b"unknown\0other\0b\0");
}

/// Optional. No instruction is meant for this tokeniser, so none is removed.
#[test]
fn wbxml_s_003_no_instruction_is_for_the_tokeniser() {
    assert_eq!(
        decode(&encode("<x><?wbxml keep?></x>")),
        "<x><?wbxml keep?></x>"
    );
}

#[test]
fn wbxml_s_004_comments_declaration_and_doctype_leave_no_octets() {
    let plain = encode("<SyncML xmlns=\"SYNCML:SYNCML1.1\"><SyncBody/></SyncML>");
    let dressed = encode(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- a --><!DOCTYPE SyncML PUBLIC \"-//SYNCML//DTD SyncML 1.1//EN\" \
         \"x\" [<!ELEMENT SyncML ANY>]><SyncML><!-- b --><SyncBody/></SyncML><!-- c -->",
    );
    assert_eq!(plain, b"\x02\x9F\x53\x6A\x00\x6D\x2B\x01");
    assert_eq!(
        dressed, plain,
        "the public id and the charset say what the DOCTYPE and the declaration said"
    );
}

#[test]
fn wbxml_s_005_text_becomes_strings_entities_and_opaque_data() {
    assert_eq!(
        body(&encode("<wml><p>text</p></wml>")),
        b"\x7F\x60\x03text\0\x01\x01"
    );
    let latin = WbxmlOptions {
        charset: Charset::US_ASCII,
        ..WbxmlOptions::default()
    };
    assert_eq!(
        body(&encode_with("<wml><p>a\u{E9}</p></wml>", &latin).unwrap()),
        b"\x7F\x60\x03a\0\x02\x81\x69\x01\x01"
    );
    let data =
        encode("<SyncML><SyncBody><Add><Item><Data>v</Data></Item></Add></SyncBody></SyncML>");
    assert_eq!(
        body(&data),
        b"\x6D\x6B\x45\x54\x4F\xC3\x01v\x01\x01\x01\x01\x01"
    );
}

/// Parsed entities are the five and character references. Entities that a document declares are not expanded but
/// refused: a document of an unknown peer may declare a billion laughs. That departs from 6.1 on purpose.
#[test]
fn wbxml_s_006_entities_become_characters() {
    assert_eq!(
        body(&encode(
            "<wml><p>&lt;&amp;&gt;&apos;&quot;&#x41;&#66;</p></wml>"
        )),
        b"\x7F\x60\x03<&>'\"AB\0\x01\x01"
    );
    let ascii = WbxmlOptions {
        charset: Charset::US_ASCII,
        ..WbxmlOptions::default()
    };
    let nbsp = encode_with("<wml><p>&#160;=&amp;</p></wml>", &ascii).unwrap();
    assert_eq!(body(&nbsp), b"\x7F\x60\x02\x81\x20\x03=&\0\x01\x01");
    for xml in [
        "<!DOCTYPE x [<!ENTITY e \"v\">]><x>&e;</x>",
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>",
        "<x>&nbsp;</x>",
        "<x a=\"&nbsp;\"/>",
    ] {
        let error = encode_with(xml, &WbxmlOptions::default()).unwrap_err();
        assert_eq!(
            error.expected, "one of the five entities or a character reference",
            "{xml}"
        );
    }
}

/// Optional. What is opaque by its application is: dates, and the data of SyncML items.
#[test]
fn wbxml_s_007_application_data_becomes_opaque() {
    let wbxml = encode("<si><indication created=\"1999-04-30T06:40:00Z\">x</indication></si>");
    assert_eq!(
        body(&wbxml),
        b"\x45\xC6\x0A\xC3\x06\x19\x99\x04\x30\x06\x40\x01\x03x\0\x01\x01"
    );
}

#[test]
fn wbxml_s_008_what_is_not_well_formed_is_refused_without_output() {
    for xml in [
        "",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "</a>",
        "<a/>text",
        "<a b></a>",
        "<a b=c/>",
        "<a b=\"1\" b=\"2\"/>",
        "<a b=\"<\"/>",
        "<a>&</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>\u{1}</a>",
        "<a b=\"\u{1}\"/>",
        "<a>]]></a>",
        "<a><!-- -- --></a>",
        "<a><![CDATA[x</a>",
        "<1/>",
        "<a><?xml x?></a>",
        "<a/><?xml version=\"1.0\"?>",
        "<a/><!DOCTYPE a>",
        "<!DOCTYPE a><!DOCTYPE a><a/>",
    ] {
        let mut out = b"before".to_vec();
        let error = from_xml(xml.as_bytes(), &WbxmlOptions::default(), &mut out).expect_err(xml);
        assert_eq!(error.fault, Fault::Malformed, "{xml}");
        assert_eq!(out, b"before", "{xml}");
    }
}

/// Optional, and not done: what is well-formed is translated, valid or not.
#[test]
fn wbxml_s_009_validity_is_not_checked() {
    assert_eq!(decode(&encode("<si><sl/></si>")), "<si><sl/></si>");
}

/// Optional. Defaults that are there stay there: the receiver need not know the DTD.
#[test]
fn wbxml_s_010_default_values_are_not_omitted() {
    let xml = "<sl href=\"http://a/\" action=\"execute-low\"/>";
    assert_eq!(decode(&encode(xml)), xml);
}

/// A document with a default spelled out and one without it read the same.
#[test]
fn wbxml_c_010_an_absent_attribute_has_its_default() {
    let action = |xml: &str| {
        let wbxml = encode(xml);
        let mut decoder = Decoder::new(&wbxml, &Options::default()).unwrap();
        let vocabulary = decoder.vocabulary();
        let mut found = None;
        while let Some(event) = decoder.next().unwrap() {
            match event {
                Event::Attribute(a) if a.name == Name::Assigned("action") => {
                    found = Some(a.prefix.to_owned());
                }
                _ => {}
            }
        }
        found.or_else(|| {
            vocabulary
                .default_value(vocabulary.root, "action")
                .map(ToOwned::to_owned)
        })
    };
    assert_eq!(
        action("<sl href=\"x\" action=\"execute-low\"/>"),
        action("<sl href=\"x\"/>")
    );
    assert_eq!(
        tables::SI.default_value("indication", "action"),
        Some("signal-medium")
    );
    assert_eq!(
        tables::WML_1_3.default_value("card", "ordered"),
        Some("true")
    );
    assert_eq!(tables::WML_1_3.default_value("card", "title"), None);
}

#[test]
fn wbxml_s_012_instructions_are_preserved() {
    let xml = "<?before a b?><x><?inside v?><?bare?>text</x><?after?>";
    let wbxml = encode(xml);
    assert_eq!(decode(&wbxml), xml);
    assert_eq!(
        encode("<si><?x y?></si>"),
        b"\x02\x05\x6A\x02x\0\x45\x43\x04\x00\x03y\0\x01\x01"
    );
}

#[test]
fn wbxml_s_013_an_attribute_name_is_one_token_or_one_literal() {
    // The longest prefix wins, the rest of the value is value tokens and strings.
    let cases: [(&str, &[u8]); 7] = [
        ("<sl href=\"x\"/>", b"\x85\x08\x03x\0\x01"),
        ("<sl href=\"http://x\"/>", b"\x85\x09\x03x\0\x01"),
        (
            "<sl href=\"http://www.x.com/y\"/>",
            b"\x85\x0A\x03x\0\x85\x03y\0\x01",
        ),
        ("<sl action=\"cache\"/>", b"\x85\x07\x01"),
        ("<sl action=\"other\"/>", b"\x85\x04\x00\x03other\0\x01"),
        ("<sl new=\".com/\"/>", b"\x85\x04\x00\x85\x01"),
        ("<sl new=\"\"/>", b"\x85\x04\x00\x03\0\x01"),
    ];
    for (xml, tokens) in cases {
        let wbxml = encode(xml);
        assert_eq!(body(&wbxml), tokens, "{xml}");
        assert_eq!(decode(&wbxml), xml);
    }
}

/// The same document, once in tokens and once in literals and strings from the table, is the same document.
#[test]
fn wbxml_c_011_tokens_and_literals_are_both_accepted() {
    let xml = "<wml><card title=\"http://www.a.com/\"><p align=\"center\">x</p><br/></card></wml>";
    let tokens = encode(xml);
    let mut literals = Vec::new();
    let mut encoder = Encoder::new(&mut literals, &EncoderConfig::new(&tables::WML_1_3));
    encoder.start_literal("wml").unwrap();
    encoder.start_literal("card").unwrap();
    encoder.attribute_literal("title").unwrap();
    encoder.shared_text("http://www.a.com/").unwrap();
    encoder.end_attributes();
    encoder.start_literal("p").unwrap();
    encoder.attribute_literal("align").unwrap();
    encoder.text("center");
    encoder.end_attributes();
    encoder.shared_text("x").unwrap();
    encoder.end();
    encoder.start_literal("br").unwrap();
    encoder.end();
    encoder.end();
    encoder.end();
    encoder.finish();
    assert_ne!(tokens, literals);
    assert_eq!(decode(&tokens), xml);
    assert_eq!(decode(&literals), xml);
    // All four literal tags: 04, 44, 84, C4.
    assert_eq!(decode(b"\x02\x0A\x6A\x04a\0b\0\x44\x00\x04\x02\x84\x02\x04\x00\x03v\0\x01\xC4\x02\x04\x00\x03v\0\x01\x01\x01"),
        "<a><b/><b a=\"v\"/><b a=\"v\"></b></a>");
}
