//! Decisions about messages in both directions, and large objects over several messages.

use super::*;

fn request(config: &Config, message: &Message<'_>, learned: Option<Encoding>) -> Outcome {
    super::request(config, message, learned, None)
}

fn after_refusal(config: &Config, message: &Message<'_>, status: u16) -> Option<Translated> {
    super::after_refusal(config, message, status, None)
}

fn response(
    config: &Config,
    message: &Message<'_>,
    asked: Option<MediaType>,
    accept: &str,
    room: Option<usize>,
) -> Outcome {
    super::response(config, message, asked, accept, room, None)
}

const XML: &str = "application/vnd.syncml+xml; charset=\"utf-8\"";
const WBXML: &str = "application/vnd.syncml+wbxml";
const BODY: &[u8] =
    b"<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><Meta><MaxMsgSize xmlns=\"syncml:metinf\">\
    10000</MaxMsgSize></Meta></SyncHdr></SyncML>";

fn message<'a>(content_type: &'a str, body: &'a [u8]) -> Message<'a> {
    Message {
        content_type,
        body,
        integrity: false,
    }
}

fn config(policy: Policy) -> Config {
    Config {
        policy,
        ..Config::default()
    }
}

fn translated(outcome: Outcome) -> Translated {
    match outcome {
        Outcome::Translated(translated) => translated,
        other => panic!("{other:?}"),
    }
}

fn binary() -> Vec<u8> {
    translate(
        &Config {
            share: 1,
            ..Config::default()
        },
        &message(XML, BODY),
        Encoding::Wbxml,
    )
    .unwrap()
}

#[test]
fn as_it_is_every_octet_passes() {
    let outcome = request(
        &config(Policy::AsIs),
        &message(XML, b"not even XML"),
        Some(Encoding::Wbxml),
    );
    assert_eq!(outcome, Outcome::Pass(Reason::Fits));
}

#[test]
fn a_route_that_wants_xml_gets_it_and_the_handset_what_it_sent() {
    let config = config(Policy::To(Encoding::Xml));
    let wbxml = binary();
    let sent = translated(request(&config, &message(WBXML, &wbxml), None));
    assert_eq!(sent.media_type.name(), "application/vnd.syncml+xml");
    assert!(
        sent.body.ends_with(BODY),
        "what its sender announced holds, as the answer shrinks"
    );
    let asked = MediaType::parse(WBXML);
    let back = translated(response(&config, &message(XML, BODY), asked, "*/*", None));
    assert_eq!(back.media_type.name(), WBXML);
    assert!(
        back.body.windows(5).any(|w| w == b"2500\0"),
        "a quarter is announced, as what is sent back grows"
    );
}

#[test]
fn a_digest_of_the_octets_protects_them() {
    let sealed = Message {
        integrity: true,
        ..message(XML, BODY)
    };
    let outcome = request(&config(Policy::To(Encoding::Wbxml)), &sealed, None);
    assert_eq!(outcome, Outcome::Pass(Reason::Integrity));
    assert!(asks_for_integrity(b"<Type>syncml:auth-MAC</Type>"));
    assert!(!asks_for_integrity(BODY));
}

#[test]
fn auto_translates_only_after_a_refusal_of_the_origin() {
    let auto = config(Policy::Auto);
    let wbxml = binary();
    let message = message(WBXML, &wbxml);
    assert_eq!(request(&auto, &message, None), Outcome::Pass(Reason::Fits));
    for status in [200, 400, 404, 500, 502] {
        assert_eq!(after_refusal(&auto, &message, status), None);
    }
    for status in [406, 415] {
        assert_eq!(
            after_refusal(&auto, &message, status)
                .unwrap()
                .media_type
                .encoding,
            Encoding::Xml
        );
    }
    assert_eq!(after_refusal(&config(Policy::AsIs), &message, 415), None);
    let learned = request(&auto, &message, Some(Encoding::Xml));
    assert_eq!(translated(learned).media_type.encoding, Encoding::Xml);
}

#[test]
fn a_response_that_the_handset_names_in_accept_passes() {
    let auto = config(Policy::Auto);
    let asked = MediaType::parse(WBXML);
    let named = "text/plain, Application/vnd.syncml+xml;q=0.5";
    assert_eq!(
        response(&auto, &message(XML, BODY), asked, named, None),
        Outcome::Pass(Reason::Fits)
    );
    translated(response(&auto, &message(XML, BODY), asked, WBXML, None));
    let refused = "application/vnd.syncml+xml; q=0.0";
    translated(response(&auto, &message(XML, BODY), asked, refused, None));
    let html = message("text/html", b"<html>");
    assert_eq!(
        response(&auto, &html, asked, "", None),
        Outcome::Pass(Reason::NotSyncMl)
    );
    assert_eq!(
        response(&auto, &message(XML, b""), asked, "", None),
        Outcome::Pass(Reason::NotSyncMl)
    );
}

#[test]
fn a_translated_response_that_does_not_fit_is_refused() {
    let wbxml = binary();
    let asked = MediaType::parse(XML);
    let outcome = response(
        &config(Policy::Auto),
        &message(WBXML, &wbxml),
        asked,
        "",
        Some(100),
    );
    assert_eq!(outcome, Outcome::Refuse(Reason::TooLarge));
}

#[test]
fn what_cannot_be_translated_passes_or_is_refused_as_configured() {
    let broken = message(XML, b"<SyncML>");
    let pass = config(Policy::To(Encoding::Wbxml));
    let refuse = Config {
        fallback: Fallback::Refuse,
        ..pass
    };
    let reason = |outcome| match outcome {
        Outcome::Pass(reason) => ("pass", reason.label()),
        Outcome::Refuse(reason) => ("refuse", reason.label()),
        Outcome::Translated(_) => ("translated", ""),
    };
    assert_eq!(reason(request(&pass, &broken, None)), ("pass", "malformed"));
    assert_eq!(
        reason(request(&refuse, &broken, None)),
        ("refuse", "malformed")
    );
}

#[test]
fn bodies_are_not_printed() {
    let sent = translated(request(
        &config(Policy::To(Encoding::Wbxml)),
        &message(XML, BODY),
        None,
    ));
    for printed in [format!("{:?}", message(XML, BODY)), format!("{sent:?}")] {
        assert!(
            !printed.contains("10000") && !printed.contains(", 49,"),
            "{printed}"
        );
    }
}

/// A message in WBXML: the number `id` of session 5, and `items` as octets of tokens.
fn numbered(id: u8, items: &[u8]) -> Vec<u8> {
    [
        // SyncML 1.2 by number, UTF-8, no string table; SyncHdr with SessionID and MsgID;
        // SyncBody, Add.
        &b"\x02\xA4\x01\x6A\x00\x6D\x6C\x65\x035\0\x01\x5B\x03"[..],
        &[b'0' + id],
        b"\0\x01\x01\x6B\x45",
        items,
        b"\x01\x01\x01",
    ]
    .concat()
}

/// An Item with opaque Data, with MoreData or without.
fn item(meta: &[u8], data: &[u8], more: bool) -> Vec<u8> {
    let len = u8::try_from(data.len()).unwrap();
    let more: &[u8] = if more { b"\x34" } else { b"" };
    [
        b"\x54",
        meta,
        b"\x4F\xC3",
        &[len],
        data,
        b"\x01",
        more,
        b"\x01",
    ]
    .concat()
}

/// Meta with a Size, and with a Format.
const SIZE: &[u8] = b"\x5A\x00\x01\x52\x0311\0\x01\x00\x00\x01";
const BINARY: &[u8] = b"\x5A\x00\x01\x47\x03bin\0\x01\x52\x0311\0\x01\x00\x00\x01";

/// The Data in XML of each message in turn, or the label of its refusal.
fn transferred(config: &Config, messages: &[Vec<u8>]) -> Vec<String> {
    let mut transfer = Transfer::default();
    let one = |body: &Vec<u8>| {
        let message = message(WBXML, body);
        match super::request(config, &message, None, Some(&mut transfer)) {
            Outcome::Translated(translated) => {
                let text = String::from_utf8(translated.body).unwrap();
                let data = text.split_once("<Data>").unwrap().1;
                let data = data.split_once("</Data>").unwrap().0;
                let size = if text.contains(">11</Size>") {
                    "11:"
                } else {
                    ""
                };
                format!("{size}{data}")
            }
            Outcome::Refuse(reason) => reason.label().to_owned(),
            Outcome::Pass(reason) => format!("pass {}", reason.label()),
        }
    };
    messages.iter().map(one).collect()
}

/// A message without an open object, which makes the session known.
fn hello() -> Vec<u8> {
    numbered(1, &item(b"", b"hello", false))
}

#[test]
fn the_chunks_of_an_object_are_all_text_and_keep_its_octets() {
    let config = config(Policy::To(Encoding::Xml));
    let chunks = [
        hello(),
        numbered(2, &item(SIZE, b"caf\xC3", true)),
        // Repeated, as after a lost reply.
        numbered(2, &item(SIZE, b"caf\xC3", true)),
        numbered(3, &item(b"", b"\xA9 \xF0\x9F\x98", true)),
        numbered(4, &item(b"", b"\x80!", false)),
        numbered(5, &item(b"", b"\xFF\xFE", false)),
    ];
    assert_eq!(
        transferred(&config, &chunks),
        ["hello", "11:caf", "11:caf", "\u{e9} ", "\u{1F600}!", "//4="]
    );
}

#[test]
fn an_object_that_is_not_all_text_is_refused_by_name() {
    let config = config(Policy::To(Encoding::Xml));
    for first in [
        item(SIZE, b"\x00\x01", true),
        item(SIZE, b"a\xFFb", true),
        item(BINARY, b"abc", true),
    ] {
        let refuse = Config {
            fallback: Fallback::Refuse,
            ..config
        };
        let outcomes = transferred(&refuse, &[hello(), numbered(2, &first)]);
        assert_eq!(outcomes, ["hello", "untranslatable"]);
        // Where such messages pass, all chunks of the object do.
        let chunks = [
            hello(),
            numbered(2, &first),
            numbered(3, &item(b"", b"text", true)),
            numbered(4, &item(b"", b"text", false)),
            numbered(5, &item(b"", b"text", false)),
        ];
        let outcomes = transferred(&config, &chunks);
        let pass = "pass untranslatable";
        assert_eq!(outcomes, ["hello", pass, pass, pass, "text"]);
    }
    // An object that began as text does not continue in another way, whatever the fallback.
    for rest in [&b"\xFF"[..], b"plain", b"\xA9\x00", b"\xA9\xC3"] {
        let chunks = [
            hello(),
            numbered(2, &item(SIZE, b"caf\xC3", true)),
            numbered(3, &item(b"", rest, false)),
        ];
        let outcomes = transferred(&config, &chunks);
        assert_eq!(outcomes, ["hello", "11:caf", "untranslatable"], "{rest:?}");
    }
}

#[test]
fn a_message_whose_past_is_unknown_is_translated_only_where_it_is_text() {
    let refuse = Config {
        fallback: Fallback::Refuse,
        ..config(Policy::To(Encoding::Xml))
    };
    let late = |data: &[u8]| transferred(&refuse, &[numbered(4, &item(b"", data, false))]);
    assert_eq!(late(b"text"), ["text"]);
    assert_eq!(late(b"\xA9 text"), ["untranslatable"]);
    // Without a session the next message could not learn about the open object.
    let large = numbered(1, &item(SIZE, b"text", true));
    let outcome = request(&refuse, &message(WBXML, &large), None);
    assert_eq!(outcome, Outcome::Refuse(Reason::Untranslatable(NO_SESSION)));
}

#[test]
fn device_information_in_chunks_is_refused_in_both_directions() {
    let refuse = Config {
        fallback: Fallback::Refuse,
        ..config(Policy::To(Encoding::Xml))
    };
    let devinf = b"\x02\xA4\x03\x6A\x00\x4A\x6D";
    let outcomes = transferred(&refuse, &[hello(), numbered(2, &item(SIZE, devinf, true))]);
    assert_eq!(outcomes, ["hello", "untranslatable"]);
    for data in [
        "<![CDATA[<DevInf xmlns='syncml:devinf'><VerD]]>",
        "TD>1.2</VerDTD>",
    ] {
        let text = format!(
            "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><SessionID>5</SessionID><MsgID>1</MsgID></SyncHdr><SyncBody>\
             <Results><Meta><Type xmlns='syncml:metinf'>application/vnd.syncml-devinf+xml</Type></Meta>\
             <Item><Data>{data}</Data><MoreData/></Item></Results></SyncBody></SyncML>"
        );
        let text = text.replace("TD>1.2</VerDTD>", "TD&gt;1.2");
        let outcome = super::response(
            &refuse,
            &message(XML, text.as_bytes()),
            MediaType::parse(WBXML),
            "",
            None,
            Some(&mut Transfer::default()),
        );
        let Outcome::Refuse(reason) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(reason.label(), "untranslatable", "{data}");
    }
}

#[test]
fn a_size_that_the_command_names_stays_with_data_in_base64() {
    let config = config(Policy::To(Encoding::Xml));
    let items = [SIZE, &item(b"", b"\xFF\xFE", false)].concat();
    let outcomes = transferred(&config, &[numbered(1, &items)]);
    assert_eq!(outcomes, ["11://4="]);
    let text = translate(
        &config,
        &message(WBXML, &numbered(1, &items)),
        Encoding::Xml,
    );
    let text = String::from_utf8(text.unwrap()).unwrap();
    let item = text.split_once("<Item>").unwrap().1;
    assert!(
        item.contains("<Size xmlns=\"syncml:metinf\">11</Size>"),
        "{text}"
    );
}

#[test]
fn a_translation_that_grows_out_of_proportion_is_refused_by_name() {
    let many = b"\x57\x01".repeat(300_000);
    let body = numbered(1, &[&b"\x54"[..], &many, b"\x01"].concat());
    for fallback in [Fallback::Pass, Fallback::Refuse] {
        let config = Config {
            fallback,
            ..config(Policy::To(Encoding::Xml))
        };
        let outcome = request(&config, &message(WBXML, &body), None);
        let Outcome::Refuse(reason) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(reason.label(), "amplified");
    }
}
