//! Methods and their bodies, in sessions and without.

use wapbridge::gateway::record::Ending;
use wapbridge::wtp::{Class, Indication};

use super::super::conversation::{Conversation, FRAME, MORE, config};
use super::{fields, get, post, values};

pub(super) fn acknowledgement_headers_are_handed_over() {
    for (option, kept) in [(0x10, &[0x85, 0x81][..]), (0x00, &[])] {
        let (mut conversation, _) = Conversation::session(&[0x02, 0x82, option]);
        let handle = conversation.invoke(&get(0x40));
        conversation.answers(200, &[], b"");
        conversation.result_with(handle, &[0x85, 0x81]);
        let record = conversation.records.pop().unwrap();
        assert_eq!(
            (record.ending, &record.acknowledgement[..]),
            (Ending::Acknowledged, kept)
        );
    }
}

pub(super) fn extended_methods() {
    let mut settings = config();
    settings.wsp.extended_methods = vec!["PROPFIND".into(), "REPORT".into()];
    let mut conversation = Conversation::new(settings);
    let offer = b"\x14\x85\x50PROPFIND\0\x70REPORT\0\x51X\0";
    let offer = [&[u8::try_from(offer.len() - 1).unwrap()][..], &offer[1..]].concat();
    let reply = conversation.connect(&offer, &[]);
    assert!(
        reply
            .windows(4)
            .any(|part| part == [0x03, 0x85, 0x50, 0x70]),
        "{reply:02X?}"
    );
    let (request, _) = conversation.ask(&get(0x50), 207, b"");
    assert_eq!(request.method.as_str(), "PROPFIND");
    let (request, _) = conversation.ask(&post(0x70, &[0x83], b"b"), 200, b"");
    assert_eq!(
        (request.method.as_str(), &request.body[..]),
        ("REPORT", &b"b"[..])
    );
    let refused = conversation.invoke(&get(0x51));
    assert_eq!(conversation.result_of(refused)[1], 0x61, "Not Implemented");
}

/// Method, its PDU, what the origin says and the status octet expected.
pub(super) fn methods() -> Vec<(&'static str, Vec<u8>, u16, u8)> {
    vec![
        ("GET", get(0x40), 200, 0x20),
        ("GET", get(0x40), 404, 0x44),
        ("GET", get(0x40), 418, 0x40),
        ("DELETE", get(0x43), 204, 0x24),
        ("TRACE", get(0x44), 200, 0x20),
        ("POST", post(0x60, &[0x83], b"a\0b\0"), 200, 0x20),
        ("PUT", post(0x61, &[0x83], b"a\0b\0"), 201, 0x21),
        ("PUT", post(0x61, &[0x83], b"a\0b\0"), 204, 0x24),
    ]
}

pub(super) fn seen(request: &wapbridge::gateway::fetch::Request, method: &str) {
    assert_eq!(request.method.as_str(), method);
    assert_eq!(request.uri.to_string(), "https://origin.example/x");
    if request.method == "POST" || request.method == "PUT" {
        assert_eq!(request.body, &b"a\0b\0"[..], "not an octet is lost");
        assert_eq!(request.headers["content-type"], "text/plain");
    }
}

pub(super) fn every_method_in_a_session() {
    for (method, sdu, status, octet) in methods() {
        let (mut conversation, _) = Conversation::session(&[]);
        let (request, reply) = conversation.ask(&sdu, status, b"body");
        seen(&request, method);
        assert_eq!(reply[..4], [0x04, octet, 1, 0x83], "{method} {status}");
        assert_eq!(conversation.records.len(), 1);
        assert_eq!(conversation.records[0].ending, Ending::Acknowledged);
        // Acknowledged once: nothing is said again later.
        conversation.wait(60_000);
        assert!(conversation.heard.is_empty() && conversation.fetches.is_empty());
    }
}

pub(super) fn every_method_without_a_session() {
    for (method, sdu, status, octet) in methods() {
        let mut conversation = Conversation::new(config());
        let (request, reply) = conversation.ask_unit(&sdu, status, b"body");
        seen(&request, method);
        assert_eq!(reply[..2], [0x04, octet], "{method} {status}");
        assert_eq!(conversation.records[0].session, None);
        // A copy of what may not be done twice gets the same answer; of the rest, an answer of its own.
        let mut copy = vec![7];
        copy.extend_from_slice(&sdu);
        conversation.unit(&copy);
        match method {
            "GET" | "TRACE" => assert_eq!(conversation.fetches.len(), 1),
            _ => {
                assert!(conversation.fetches.is_empty(), "{method} twice");
                assert_eq!(conversation.units.pop().unwrap().1[1..], reply[..]);
            }
        }
    }
}

pub(super) fn head_brings_the_length_and_no_body() {
    let (mut conversation, _) = Conversation::session(&[]);
    let handle = conversation.invoke(&get(0x42));
    assert_eq!(conversation.fetched().method, "HEAD");
    conversation.answers(200, &[("content-length", "5000")], b"");
    let reply = conversation.result_of(handle);
    assert_eq!(values(&fields(&reply), "content-length"), ["5000"]);
    assert_eq!(reply.len(), 3 + usize::from(reply[2]));

    conversation.unit(&[&[9][..], &get(0x42)].concat());
    assert_eq!(conversation.fetched().method, "HEAD");
    conversation.answers(200, &[("content-length", "5000")], b"");
    let (_, reply) = conversation.units.pop().unwrap();
    assert_eq!(reply[0], 9);
    assert_eq!(values(&fields(&reply[1..]), "content-length"), ["5000"]);
}

pub(super) fn options_lists_methods_one_by_one() {
    let allow = |reply: &[u8]| {
        // Allow as a number, each method a short integer: GET, HEAD, POST.
        for octet in [0xC0, 0xC2, 0xE0] {
            assert!(
                reply.windows(2).any(|part| part == [0x86, octet]),
                "{reply:02X?}"
            );
        }
        assert_eq!(values(&fields(reply), "allow"), ["GET", "HEAD", "POST"]);
    };
    let (mut conversation, _) = Conversation::session(&[]);
    let handle = conversation.invoke(&get(0x41));
    assert_eq!(conversation.fetched().method, "OPTIONS");
    conversation.answers(204, &[("allow", "GET, HEAD, POST")], b"");
    allow(&conversation.result_of(handle));
    conversation.unit(&[&[9][..], &get(0x41)].concat());
    conversation.answers(204, &[("allow", "GET, HEAD, POST")], b"");
    allow(&conversation.units.pop().unwrap().1[1..]);
}

pub(super) fn trailers_of_a_reply_follow_in_a_data_fragment() {
    // Large data transfer; replies of any size in SDUs of 64.
    let (mut conversation, _) =
        Conversation::session(&[0x02, 0x82, 0x08, 0x02, 0x80, 0x40, 0x02, 0x88, 0x00]);
    let handle = conversation.invoke(&get(0x40));
    conversation.answers_with(
        200,
        &[("content-type", "text/plain")],
        &[b'x'; 150],
        &[("age", "1")],
    );
    let mut body = Vec::new();
    let mut trailers = Vec::new();
    for heard in std::mem::take(&mut conversation.heard) {
        match heard {
            Indication::Result { data, fragment, .. } => {
                assert!(fragment.more && data.len() <= 64);
                body.extend_from_slice(&data[4..]);
            }
            Indication::ResultData { data, fragment, .. } if fragment.frame_boundary => {
                assert!(!fragment.more);
                assert_eq!(data[..2], [0x80, 2], "Data Fragment, two octets of headers");
                trailers.extend_from_slice(&data[2..4]);
                body.extend_from_slice(&data[4..]);
            }
            Indication::ResultData { data, .. } => {
                assert!(data.len() <= 64);
                body.extend_from_slice(&data);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((body, trailers), (vec![b'x'; 150], vec![0x85, 0x81]));
    conversation
        .client
        .acknowledge(conversation.now, handle, &[]);
    conversation.run();
    assert_eq!(conversation.records[0].ending, Ending::Acknowledged);
}

pub(super) fn a_body_in_several_sdus_is_one_request() {
    for (code, method) in [(0x60, "POST"), (0x61, "PUT")] {
        let (mut conversation, _) = Conversation::session(&[0x02, 0x82, 0x08]);
        let handle = conversation.invoke_as(Class::Two, &post(code, &[0x83], b"one "), MORE);
        conversation.invoke_data(handle, b"two ", MORE);
        assert!(conversation.fetches.is_empty(), "it is not whole yet");
        conversation.invoke_data(handle, &[0x80, 2, 0x85, 0x81, b'3'], FRAME);
        let request = conversation.fetched();
        assert_eq!(
            (request.method.as_str(), &request.body[..]),
            (method, &b"one two 3"[..])
        );
        assert_eq!(
            request.headers["age"], "1",
            "known last, told before the body"
        );
        conversation.answers(200, &[], b"");
        assert_eq!(conversation.result_of(handle)[1], 0x20);
    }
    // Without large data transfer there is only one SDU.
    let (mut conversation, _) = Conversation::session(&[]);
    let handle = conversation.invoke_as(Class::Two, &post(0x60, &[0x83], b"one "), MORE);
    assert_eq!(conversation.abort_of(handle), 0xE0);
}

/// Two parts, text/plain "a" and text/html "b".
pub(super) const MULTIPART: &[u8] = &[2, 1, 1, 0x83, b'a', 1, 1, 0x82, b'b'];
/// application/vnd.wap.multipart.mixed
pub(super) const MIXED: &[u8] = &[0xA3];

pub(super) fn is_mime(request: &wapbridge::gateway::fetch::Request) {
    let content_type = request.headers["content-type"].to_str().unwrap();
    assert!(
        content_type.starts_with("multipart/mixed; boundary="),
        "{content_type}"
    );
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    assert_eq!(body.matches("\r\n\r\n").count(), 2, "{body}");
    assert!(body.contains("text/plain\r\n\r\na\r\n") && body.contains("text/html\r\n\r\nb\r\n"));
}

pub(super) const MIME: &[u8] = b"--x\r\nContent-Type: text/plain\r\n\r\na\r\n--x\r\nContent-Type: text/html\r\n\r\nb\r\n--x--\r\n";

pub(super) fn multipart_bodies_are_turned() {
    let fields = [("content-type", "multipart/mixed; boundary=x")];
    let (mut conversation, _) = Conversation::session(&[]);
    let handle = conversation.invoke(&post(0x60, MIXED, MULTIPART));
    is_mime(&conversation.fetched());
    conversation.answers(200, &fields, MIME);
    let reply = conversation.result_of(handle);
    assert_eq!(reply[..4], [0x04, 0x20, 1, 0xA3]);
    assert_eq!(&reply[4..], MULTIPART);

    conversation.unit(&[&[9][..], &post(0x60, MIXED, MULTIPART)].concat());
    is_mime(&conversation.fetched());
    conversation.answers(200, &fields, MIME);
    let (_, reply) = conversation.units.pop().unwrap();
    assert_eq!(reply[4], 0xA3);
    assert!(reply.ends_with(MULTIPART));
}

pub(super) fn a_multipart_body_in_several_sdus() {
    let (mut conversation, _) = Conversation::session(&[0x02, 0x82, 0x08]);
    let handle = conversation.invoke_as(Class::Two, &post(0x60, MIXED, &MULTIPART[..3]), MORE);
    conversation.invoke_data(handle, &MULTIPART[3..6], MORE);
    conversation.invoke_data(handle, &[&[0x80, 0][..], &MULTIPART[6..]].concat(), FRAME);
    is_mime(&conversation.fetched());
}
