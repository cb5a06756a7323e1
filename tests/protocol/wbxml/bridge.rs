//! The translation between the two notations, where it is easy to get wrong: what SyncML says differently in
//! each, what only one of them can say, and what somebody hostile would send.

use crate::support::infoset;
use proptest::prelude::*;
use wapbridge::wbxml::xml::{Announce, Share, WbxmlOptions, XmlOptions, from_xml, to_xml};
use wapbridge::wbxml::{
    Charset, Encoder, EncoderConfig, Error, Fault, Header, Limits, Options, tables,
};

fn wbxml_with(xml: &str, options: &WbxmlOptions) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    from_xml(xml.as_bytes(), options, &mut out).map(|()| out)
}

fn wbxml(xml: &str) -> Vec<u8> {
    wbxml_with(xml, &WbxmlOptions::default()).unwrap_or_else(|error| panic!("{xml}: {error}"))
}

fn xml_with(wbxml: &[u8], options: &XmlOptions) -> Result<String, Error> {
    let mut out = Vec::new();
    let bare = XmlOptions {
        declaration: false,
        doctype: false,
        ..*options
    };
    to_xml(wbxml, &bare, &mut out).map(|()| String::from_utf8(out).unwrap())
}

fn xml(wbxml: &[u8]) -> String {
    xml_with(wbxml, &XmlOptions::default()).unwrap_or_else(|error| panic!("{wbxml:02x?}: {error}"))
}

fn body(wbxml: &[u8]) -> &[u8] {
    Header::parse(wbxml).unwrap().0
}

/// A SyncML message with this in its body.
fn message(version: &str, inside: &str) -> String {
    format!("<SyncML xmlns=\"SYNCML:SYNCML{version}\"><SyncBody>{inside}</SyncBody></SyncML>")
}

/// The same in WBXML, from its body's tokens.
fn tokens(inside: &[u8]) -> Vec<u8> {
    [b"\x02\xA4\x01\x6A\x00\x6D\x6B", inside, b"\x01\x01"].concat()
}

fn add(data: &str) -> String {
    message(
        "1.2",
        &format!("<Add><Item><Data>{data}</Data></Item></Add>"),
    )
}

fn add_tokens(data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    tokens(&[b"\x45\x54\x4F\xC3", &[length][..], data, b"\x01\x01\x01"].concat())
}

// Line ends, sections, markup characters.

#[test]
fn line_ends_are_kept_to_the_octet() {
    for data in [
        "A\r\nB\r\n",
        "cut between\r",
        "\nand here",
        "only\nLF",
        "\r\r\n\n\r",
    ] {
        let binary = add_tokens(data.as_bytes());
        let text = xml(&binary);
        assert!(
            !text.contains('\r'),
            "a bare CR would be lost by any reader: {text:?}"
        );
        assert_eq!(wbxml(&text), binary, "{data:?}");
    }
    // And as SyncEvolution writes it: CR as it is, in a section.
    assert_eq!(wbxml(&add("<![CDATA[A\r\nB\r]]>")), add_tokens(b"A\r\nB\r"));
    assert_eq!(wbxml(&add("A&#13;&#xA;B")), add_tokens(b"A\r\nB"));
}

#[test]
fn sections_and_their_end_are_text() {
    assert_eq!(
        wbxml(&add("<![CDATA[a]]]]><![CDATA[>b]]>")),
        add_tokens(b"a]]>b")
    );
    assert_eq!(
        wbxml(&add("<![CDATA[a]]]]>&gt;<![CDATA[b]]>")),
        add_tokens(b"a]]>b")
    );
    assert_eq!(xml(&add_tokens(b"a]]>b<&\"'")), add("a]]&gt;b&lt;&amp;\"'"));
}

// Documents inside documents.

const DEVINF_TYPE: &str =
    "<Meta><Type xmlns=\"syncml:metinf\">application/vnd.syncml-devinf+xml</Type></Meta>";
const DEVINF: &str =
    "<DevInf xmlns=\"syncml:devinf\"><VerDTD>1.2</VerDTD><Man>A&amp;B</Man><UTC/></DevInf>";

#[test]
fn device_information_is_a_document_of_its_own_in_wbxml() {
    for command in ["Put", "Results"] {
        let text = message(
            "1.2",
            &format!("<{command}>{DEVINF_TYPE}<Item><Data>{DEVINF}</Data></Item></{command}>"),
        );
        let binary = wbxml(&text);
        let inner =
            b"\x4F\xC3\x16\x02\xA4\x03\x6A\x00\x4A\x65\x031.2\0\x01\x51\x03A&B\0\x01\x28\x01\x01";
        assert!(
            binary.windows(inner.len()).any(|window| window == inner),
            "{binary:02x?}"
        );
        assert!(binary.windows(12).any(|window| window == b"devinf+wbxml"));
        assert_eq!(xml(&binary), text);
    }
}

#[test]
fn the_type_of_device_information_names_the_notation_also_in_a_get() {
    let text = message("1.1", &format!("<Get>{DEVINF_TYPE}</Get>"));
    assert!(
        wbxml(&text)
            .windows(12)
            .any(|window| window == b"devinf+wbxml")
    );
    assert_eq!(xml(&wbxml(&text)), text);
}

#[test]
fn device_information_in_a_section_is_read_too() {
    let plain = message(
        "1.2",
        &format!("<Put>{DEVINF_TYPE}<Item><Data>{DEVINF}</Data></Item></Put>"),
    );
    let section = message(
        "1.2",
        &format!("<Put>{DEVINF_TYPE}<Item><Data><![CDATA[{DEVINF}]]></Data></Item></Put>"),
    );
    assert_eq!(wbxml(&section), wbxml(&plain));
}

#[test]
fn its_own_version_goes_with_the_messages() {
    for (version, number) in [
        ("1.1", &b"\x02\x9F\x54\x6A\x00"[..]),
        ("1.2", b"\x02\xA4\x03\x6A\x00"),
    ] {
        let binary = wbxml(&message(
            version,
            &format!("<Put><Item><Data>{DEVINF}</Data></Item></Put>"),
        ));
        assert!(binary.windows(5).any(|window| window == number));
    }
    // Tag 1C was renamed: Size, then MaxSize.
    let inner = |version: &str, name: &str| {
        let devinf = format!("<DevInf xmlns=\"syncml:devinf\"><{name}>9</{name}></DevInf>");
        wbxml(&message(
            version,
            &format!("<Put><Item><Data>{devinf}</Data></Item></Put>"),
        ))
    };
    for (version, name) in [("1.1", "Size"), ("1.2", "MaxSize")] {
        assert!(
            inner(version, name)
                .windows(4)
                .any(|window| window == b"\x5C\x039\0"),
            "{name}"
        );
        assert!(xml(&inner(version, name)).contains(&format!("<{name}>9</{name}>")));
    }
}

// Credentials and other data that is no text.

#[test]
fn a_raw_digest_of_syncml_1_0_becomes_base64_and_back() {
    let digest: Vec<u8> = (0xF0..=0xFF).collect();
    let mut binary = b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.0//EN\x6D\x6C\x4E\x5A\x00\x01\x53\x03syncml:auth-md5\0\x01\x01\
        \x00\x00\x4F\xC3\x10"
        .to_vec();
    binary.extend(&digest);
    binary.extend([1, 1, 1, 1]);
    let text = xml(&binary);
    assert!(
        text.contains("<Data>8PHy8/T19vf4+fr7/P3+/w==</Data>"),
        "{text}"
    );
    assert!(
        text.contains("<Format xmlns=\"syncml:metinf\">b64</Format></Meta>"),
        "{text}"
    );
    assert_eq!(wbxml(&text), binary);
    // A digest that happens to be printable is still a digest.
    let at = binary.len() - 20;
    binary[at..at + 16].copy_from_slice(b"ABCDEFGHIJKLMNOP");
    assert!(xml(&binary).contains("<Data>QUJDREVGR0hJSktMTU5PUA==</Data>"));
    assert_eq!(wbxml(&xml(&binary)), binary);
}

#[test]
fn credentials_in_base64_stay_as_they_are() {
    for version in ["1.0", "1.1", "1.2"] {
        let text = format!(
            "<SyncML xmlns=\"SYNCML:SYNCML{version}\"><SyncHdr><Cred><Meta><Format xmlns=\"syncml:metinf\">b64</Format>\
             <Type xmlns=\"syncml:metinf\">syncml:auth-md5</Type></Meta><Data>MraccrRHny5AADBfmPIGpQ==</Data></Cred></SyncHdr></SyncML>"
        );
        let binary = wbxml(&text);
        assert!(
            binary
                .windows(26)
                .any(|window| window == b"\x03MraccrRHny5AADBfmPIGpQ==\0")
        );
        assert_eq!(xml(&binary), text);
    }
}

#[test]
fn binary_data_becomes_base64_and_says_so() {
    let meta = |inside: &str| format!("<Meta>{inside}</Meta>");
    let format = "<Format xmlns=\"syncml:metinf\">b64</Format>";
    let kind = "<Type xmlns=\"syncml:metinf\">image/x</Type>";
    let expect = |inside: &[u8], xml_inside: &str| {
        assert_eq!(xml(&tokens(inside)), message("1.2", xml_inside));
    };
    // No Meta at all; the command's; the item's; a Format that says `bin`.
    expect(
        b"\x45\x54\x4F\xC3\x01\xFF\x01\x01\x01",
        &format!("<Add><Item>{}<Data>/w==</Data></Item></Add>", meta(format)),
    );
    expect(
        b"\x45\x5A\x00\x01\x53\x03image/x\0\x01\x01\x00\x00\x54\x4F\xC3\x01\x00\x01\x01\x01",
        &format!(
            "<Add>{}<Item>{}<Data>AA==</Data></Item></Add>",
            meta(kind),
            meta(&format!("{format}{kind}"))
        ),
    );
    expect(
        b"\x45\x54\x5A\x00\x01\x53\x03image/x\0\x01\x01\x00\x00\x4F\xC3\x01\x00\x01\x01\x01",
        &format!(
            "<Add><Item>{}<Data>AA==</Data></Item></Add>",
            meta(&format!("{kind}{format}"))
        ),
    );
    expect(
        b"\x45\x54\x5A\x00\x01\x47\x03bin\0\x01\x01\x00\x00\x4F\xC3\x01A\x01\x01\x01",
        &format!("<Add><Item>{}<Data>QQ==</Data></Item></Add>", meta(format)),
    );
    expect(
        b"\x45\x54\x5A\x00\x01\x47\x03 bin  \0\x01\x01\x00\x00\x4F\xC3\x01A\x01\x01\x01",
        &format!("<Add><Item>{}<Data>QQ==</Data></Item></Add>", meta(format)),
    );
    // One command's type is not another's.
    expect(
        b"\x45\x5A\x00\x01\x53\x03image/x\0\x01\x01\x01\x00\x00\x45\x54\x4F\xC3\x01\xFF\x01\x01\x01",
        &format!("<Add>{}</Add><Add><Item>{}<Data>/w==</Data></Item></Add>", meta(kind), meta(format)),
    );
    // One item's needs are not another's.
    expect(
        b"\x45\x54\x4F\xC3\x01\xFF\x01\x01\x54\x4F\xC3\x01A\x01\x01\x01",
        &format!(
            "<Add><Item>{}<Data>/w==</Data></Item><Item><Data>A</Data></Item></Add>",
            meta(format)
        ),
    );
}

#[test]
fn the_sizes_a_peer_announces_can_be_lowered() {
    let text = "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><Meta><MaxMsgSize xmlns=\"syncml:metinf\">150000</MaxMsgSize>\
        <MaxObjSize xmlns=\"syncml:metinf\">4000000</MaxObjSize></Meta></SyncHdr></SyncML>";
    let announce = Announce {
        message: Share {
            divisor: 4,
            at_most: 30_000,
        },
        object: Share {
            divisor: 4,
            ..Share::default()
        },
    };
    let lowered = text
        .replace("150000", "30000")
        .replace("4000000", "1000000");
    let binary = wbxml_with(
        text,
        &WbxmlOptions {
            announce,
            ..WbxmlOptions::default()
        },
    )
    .unwrap();
    assert_eq!(xml(&binary), lowered);
    assert_eq!(
        xml_with(
            &wbxml(text),
            &XmlOptions {
                announce,
                ..XmlOptions::default()
            }
        )
        .unwrap(),
        lowered
    );
}

// Names.

#[test]
fn namespaces_choose_pages_however_they_are_written() {
    let expected = wbxml(&message(
        "1.1",
        "<Add><Meta><Type xmlns=\"syncml:metinf\">x</Type></Meta></Add>",
    ));
    for text in [
        "<SyncML xmlns='SYNCML:SYNCML1.1'><SyncBody><Add><Meta><Type xmlns='syncml:metinf'>x</Type></Meta></Add></SyncBody></SyncML>",
        "<s:SyncML xmlns:s='SYNCML:SYNCML1.1' xmlns:m='syncml:metinf'><s:SyncBody><s:Add><s:Meta><m:Type>x</m:Type></s:Meta></s:Add></s:SyncBody></s:SyncML>",
        "<SyncML xmlns='syncml:syncml1.1'><SyncBody><Add><Meta xmlns='syncml:syncml'><Type xmlns='syncml:metinf1.1'>x</Type></Meta></Add></SyncBody></SyncML>",
        "<!DOCTYPE SyncML PUBLIC '-//SYNCML//DTD SyncML 1.1//EN' 'x'><SyncML><SyncBody><Add><Meta><Type>x</Type></Meta></Add></SyncBody></SyncML>",
        "<!DOCTYPE SyncML PUBLIC '-//SYNCML//DTD SyncML 1.1//EN' 'x'>\n<SyncML>\n <SyncBody>\n  <Add>\n   <Meta>\n    <Type>x</Type>\n</Meta></Add></SyncBody></SyncML>\n",
    ] {
        assert_eq!(wbxml(text), expected, "{text}");
    }
}

#[test]
fn what_is_unknown_stays_a_literal() {
    for inside in [
        "<Add><New>x</New></Add>",
        "<Add><New xmlns=\"urn:x\"><Data>not ours</Data></New><Data>ours</Data></Add>",
        "<Add new=\"1\" xml:lang=\"en\"></Add>",
        "<Add><Meta><New xmlns=\"urn:x\"><Type xmlns=\"syncml:metinf\">x</Type></New></Meta></Add>",
        "<Add><x:New xmlns:x=\"urn:x\" x:a=\"1\">x</x:New></Add>",
    ] {
        let text = message("1.2", inside);
        assert_eq!(xml(&wbxml(&text)), text);
    }
}

#[test]
fn unassigned_tokens_and_pages_survive_the_round_trip() {
    let binary =
        tokens(b"\x45\x00\x09\x47\x03x\0\x01\x7E\x01\x00\x00\x8F\x00\x03\x2A\x031\0\x01\x01");
    let text = xml(&binary);
    assert!(
        text.contains("<wbxml-tag-9-07>x</wbxml-tag-9-07><wbxml-tag-9-3E></wbxml-tag-9-3E>"),
        "{text}"
    );
    assert!(
        text.contains("<Data wbxml-attribute-3-2A=\"1\"/>"),
        "{text}"
    );
    assert_eq!(wbxml(&text), binary);
}

#[test]
fn the_doctype_is_that_of_the_version() {
    for (version, public_id) in [
        ("1.0", "SyncML 1.0"),
        ("1.1", "SyncML 1.1"),
        ("1.2", "SyncML 1.2"),
    ] {
        let mut out = Vec::new();
        to_xml(
            &wbxml(&message(version, "")),
            &XmlOptions::default(),
            &mut out,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        let begin = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE SyncML PUBLIC \"-//SYNCML//DTD {public_id}//EN\" \"http://"
        );
        assert!(text.starts_with(&begin), "{text}");
    }
}

#[test]
fn variables_of_wml_are_extension_tokens() {
    let text = "<wml><card title=\"$(a)\"><p>$(b:escape) $$5 $(c:unesc)$d</p></card></wml>";
    let binary = wbxml(text);
    assert_eq!(
        body(&binary),
        b"\x7F\xE7\x36\x42a\0\x01\x60\x40b\0\x03 $5 \0\x41c\0\x42d\0\x01\x01\x01"
    );
    assert_eq!(xml(&binary), text.replace("$d", "$(d)"));
    assert_eq!(wbxml(&xml(&binary)), binary);
}

#[test]
fn white_space_means_what_it_means_in_the_document_type() {
    let inline = "<wml><p>a <b>b</b> <i>c</i>\n</p></wml>";
    assert_eq!(xml(&wbxml(inline)), inline);
    let indented = xml_with(
        &wbxml(&add("x")),
        &XmlOptions {
            indent: true,
            ..XmlOptions::default()
        },
    )
    .unwrap();
    assert!(
        indented.contains("\n    <Add>\n      <Item>\n        <Data>x</Data>\n      </Item>"),
        "{indented}"
    );
    assert_eq!(wbxml(&indented), wbxml(&add("x")));
    assert_eq!(
        wbxml(&add(" \r\n")),
        add_tokens(b" \r\n"),
        "data of an item is data"
    );
}

#[test]
fn other_charsets_are_read_and_written() {
    let latin =
        b"<?xml version='1.0' encoding='iso-8859-1'?><si><indication>\xE9</indication></si>";
    let mut utf8 = Vec::new();
    from_xml(latin, &WbxmlOptions::default(), &mut utf8).unwrap();
    assert_eq!(utf8, "\x02\x05\x6A\x00\x45\x46\x03é\0\x01\x01".as_bytes());
    for charset in [
        Charset::ISO_8859_1,
        Charset::UCS_2,
        Charset::UTF_16LE,
        Charset::US_ASCII,
        Charset::UCS_4,
    ] {
        let options = WbxmlOptions {
            charset,
            ..WbxmlOptions::default()
        };
        let text = "<si><indication a=\"é\">é日</indication></si>";
        assert_eq!(
            xml(&wbxml_with(text, &options).unwrap()),
            text,
            "{charset:?}"
        );
    }
}

// What cannot be said, and what nobody means well by.

fn fault(wbxml: &[u8]) -> (Fault, &'static str) {
    let mut out = b"before".to_vec();
    let error = to_xml(wbxml, &XmlOptions::default(), &mut out).unwrap_err();
    assert_eq!(out, b"before", "nothing half done");
    (error.fault, error.expected)
}

#[test]
fn what_xml_cannot_say_is_refused() {
    let untranslatable = |inside: &[u8]| {
        assert_eq!(
            fault(&tokens(inside)).0,
            Fault::Untranslatable,
            "{inside:02x?}"
        );
    };
    untranslatable(b"\x45\x03\x01\0\x01"); // a control character
    untranslatable(b"\x45\x03\xFF\0\x01"); // not UTF-8
    untranslatable(b"\x45\xC3\x01\xFF\x01"); // binary data where it has no Format
    untranslatable(b"\x45\x54\x4F\xC3\x01\xFF\xC3\x01\xFF\x01\x01\x01"); // in two pieces
    untranslatable(b"\x45\xC0\x01"); // an extension
}

#[test]
fn a_literal_that_is_no_name_is_refused() {
    let with = |name: &[u8]| {
        [
            b"\x02\x01\x6A",
            &[u8::try_from(name.len()).unwrap()][..],
            name,
            b"\x04\x00",
        ]
        .concat()
    };
    for name in [&b"a b\0"[..], b"a><b\0", b"1\0", b"\0", b"a\"\0", b"\xFF\0"] {
        assert_eq!(
            fault(&with(name)).1,
            "a literal that is a name in XML",
            "{name:?}"
        );
    }
    let twice = b"\x02\x01\x6A\x02a\0\x84\x00\x04\x00\x04\x00\x01";
    assert_eq!(fault(twice).1, "a few different attributes");
    let end = b"\x02\x01\x6A\x02a\0\x43\x04\x00\x03?>\0\x01\x05";
    assert_eq!(fault(end).1, "a processing instruction without ?>");
}

#[test]
fn nesting_is_bounded_both_ways() {
    let deep = [b"\x02\x01\x6A\x00".to_vec(), vec![0x45; 1_000_000]].concat();
    assert_eq!(fault(&deep).0, Fault::TooDeep);
    let error = wbxml_with(&"<a>".repeat(1_000_000), &WbxmlOptions::default()).unwrap_err();
    assert_eq!((error.fault, error.offset), (Fault::TooDeep, 64 * 3));
    // What stands inside counts with what it stands in.
    let devinf = format!(
        "<DevInf xmlns=\"syncml:devinf\">{}{}</DevInf>",
        "<Ext>".repeat(60),
        "</Ext>".repeat(60)
    );
    let text = message(
        "1.2",
        &format!("<Put><Item><Data>{devinf}</Data></Item></Put>"),
    );
    assert_eq!(
        wbxml_with(&text, &WbxmlOptions::default())
            .unwrap_err()
            .fault,
        Fault::TooDeep
    );
}

#[test]
fn forty_four_kilobytes_do_not_become_eighty_megabytes() {
    // A long string in the table, and as many references to it as fit.
    let mut wire = b"\x02\x01\x6A".to_vec();
    wire.extend([0x81, 0x80 | 0x1D, 0x00]); // 20,096
    wire.extend([b'x'; 20_095]);
    wire.push(0);
    wire.push(0x45);
    wire.extend([0x83, 0x00].repeat(12_000));
    wire.push(0x01);
    assert!(wire.len() < 45_000);
    assert_eq!(fault(&wire).0, Fault::Amplified);
    // The same with names.
    let mut wire = b"\x02\x01\x6A".to_vec();
    wire.extend([0x81, 0x80 | 0x1D, 0x00]);
    wire.extend([b'x'; 20_095]);
    wire.push(0);
    wire.push(0x45);
    wire.extend([0x04, 0x00].repeat(12_000));
    wire.push(0x01);
    assert_eq!(fault(&wire).0, Fault::Amplified);
}

/// Each of these took quadratic time in some translator.
#[test]
#[expect(clippy::disallowed_methods, reason = "time is what this is about")]
fn time_is_linear() {
    let begin = std::time::Instant::now();
    let many = |part: &str| part.repeat(250_000 / part.len());
    let names: String = (0..15_000).map(|n| format!(" a{n}=''")).collect();
    let prefixes: String = (0..15_000).map(|n| format!(" xmlns:a{n}=''")).collect();
    let literals: String = (0..15_000).map(|n| format!("<a{n}/>")).collect();
    for xml in [
        format!("<wml><p>{}</p></wml>", many("$(")),
        format!("<wml><p>{}</p></wml>", many("$(a:b)")),
        format!("<x{names}/>"),
        format!("<SyncML{prefixes}/>"),
        format!("<x>{literals}</x>"),
        format!("<x a='{}'/>", many("&lt;")),
        format!("<wml><p title='{}'/></wml>", many("http:/")),
        format!("<!DOCTYPE x [{}]><x/>", many("<!ENTITY a 'b'>")),
        format!("<x>{}</x>", many("]]")),
        format!("<x>{}", many("<!-- ")),
        format!("<x>{}", many("<![CDATA[")),
        add(&many("&#13;")),
    ] {
        let mut out = Vec::new();
        if from_xml(xml.as_bytes(), &WbxmlOptions::default(), &mut out).is_ok() {
            let _ = to_xml(&out, &XmlOptions::default(), &mut Vec::new());
        }
    }
    let items = b"\x54\x4F\xC3\x01\xFF\x01\x01".repeat(30_000);
    let _ = to_xml(
        &tokens(&[&b"\x45"[..], &items, b"\x01"].concat()),
        &XmlOptions::default(),
        &mut Vec::new(),
    );
    // Seconds would be quadratic; this is unoptimised code on a busy machine.
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[test]
fn output_is_bounded() {
    let options = XmlOptions {
        decode: Options {
            limits: Limits {
                output: 1000,
                ..Limits::default()
            },
            ..Options::default()
        },
        ..XmlOptions::default()
    };
    let long = add_tokens(&[b'<'; 100]);
    assert!(xml_with(&long, &options).is_ok());
    let long = tokens(
        &[
            &b"\x45\x54\x4F\xC3\x82\x00"[..],
            &[b'<'; 256],
            b"\x01\x01\x01",
        ]
        .concat(),
    );
    assert_eq!(
        xml_with(&long, &options).unwrap_err().fault,
        Fault::TooLarge
    );
    let options = WbxmlOptions {
        limits: Limits {
            output: 100,
            ..Limits::default()
        },
        ..WbxmlOptions::default()
    };
    assert_eq!(
        wbxml_with(&add(&"x".repeat(200)), &options)
            .unwrap_err()
            .fault,
        Fault::TooLarge
    );
}

#[test]
fn the_worst_tokens_grow_by_a_bounded_factor() {
    // Two octets that switch the page, one for a tag: a namespace each.
    let wire = |times| tokens(&[0x00, 0x01, 0x16, 0x00, 0x00, 0x33].repeat(times));
    let text = xml(&wire(500));
    assert!(text.len() < 24 * wire(500).len(), "{}", text.len());
    // A small document may do so, a large one not.
    assert_eq!(fault(&wire(10_000)).0, Fault::Amplified);
}

// Properties.

/// A tree of tags from the tables, with text that is not white space, at most so deep.
fn tree() -> impl Strategy<Value = String> {
    let text = "[a-zé日 ]{0,6}[<>&\"'\r\n\\]$a]{1,4}[a-z]";
    let text = text.prop_map(|text: String| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\r', "&#13;")
    });
    let leaf = prop_oneof![
        Just("<Final/>".to_owned()),
        Just("<LocName></LocName>".to_owned()),
        text.clone().prop_map(|text| format!("<Data>{text}</Data>")),
        text.clone()
            .prop_map(|text| format!("<Item><Data>{text}</Data></Item>")),
        text.clone()
            .prop_map(|text| format!("<Unknown>{text}</Unknown>")),
        text.prop_map(|text| format!("<Type xmlns=\"syncml:metinf\">{text}</Type>")),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let names = prop_oneof![
            Just("Add"),
            Just("Sync"),
            Just("Meta"),
            Just("Status"),
            Just("Other"),
            Just("Source")
        ];
        (names, prop::collection::vec(inner, 0..5))
            .prop_map(|(name, children)| format!("<{name}>{}</{name}>", children.concat()))
    })
}

proptest! {
    #[test]
    fn arbitrary_trees_go_both_ways(inside in tree()) {
        let text = message("1.2", &inside);
        let binary = wbxml(&text);
        let back = xml(&binary);
        prop_assert_eq!(infoset::of_xml(back.as_bytes(), true), infoset::of_xml(text.as_bytes(), true));
        prop_assert_eq!(wbxml(&back), binary);
    }

    #[test]
    fn arbitrary_octets_never_panic_and_stay_in_bounds(octets in prop::collection::vec(any::<u8>(), 0..200), table in "[a-z]{0,20}") {
        let wire = [b"\x03\x01\x6A", &[u8::try_from(table.len() + 1).unwrap()][..], table.as_bytes(), b"\0\x45", &octets[..]].concat();
        for wire in [&wire[..], &tokens(&octets), &octets] {
            let mut out = Vec::new();
            if to_xml(wire, &XmlOptions::default(), &mut out).is_ok() {
                prop_assert!(out.len() < 64 * wire.len() + 1024);
                // What we write is XML, and we read it.
                prop_assert!(from_xml(&out, &WbxmlOptions::default(), &mut Vec::new()).is_ok(), "{}", String::from_utf8_lossy(&out));
            }
        }
    }

    #[test]
    fn arbitrary_xml_never_panics(parts in prop::collection::vec(prop_oneof![
        Just("<SyncML>"), Just("</SyncML>"), Just("<Data "), Just("xmlns='syncml:metinf'"), Just(">"), Just("/>"), Just("<![CDATA["), Just("]]>"),
        Just("&#13;"), Just("&"), Just("<!--"), Just("-->"), Just("<?x "), Just("?>"), Just("a"), Just("'"), Just("<Item>"), Just("</Item>"), Just("<Data>"),
        Just("</Data>"), Just("<DevInf>"), Just("</DevInf>"), Just("<!DOCTYPE "),
    ], 0..30)) {
        let mut out = Vec::new();
        if from_xml(parts.concat().as_bytes(), &WbxmlOptions::default(), &mut out).is_ok() {
            prop_assert!(to_xml(&out, &XmlOptions::default(), &mut Vec::new()).is_ok());
        }
    }

    #[test]
    fn literals_and_attributes_go_both_ways(name in "[a-z][a-z0-9._-]{0,8}", value in "[ -~é]{0,20}") {
        prop_assume!(!name.starts_with("xml"));
        let mut binary = Vec::new();
        let mut encoder = Encoder::new(&mut binary, &EncoderConfig::new(&tables::SL));
        encoder.start_literal(&name).unwrap();
        encoder.attribute_literal(&name).unwrap();
        encoder.text(&value);
        encoder.end();
        encoder.finish();
        let back = wbxml(&format!("<!DOCTYPE sl PUBLIC '-//WAPFORUM//DTD SL 1.0//EN' ''>{}", xml(&binary)));
        prop_assert_eq!(infoset::of_wbxml(&back, &Options::default()), infoset::of_wbxml(&binary, &Options::default()));
    }
}
