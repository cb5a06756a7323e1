//! WSP-S-001, WSP-CO-S-001 to 037 and WSP-CL-S-001 to 020.

use bytes::Bytes;
use wapbridge::gateway::push::{Push, PushId, PushOutcome, To};
use wapbridge::gateway::record::Ending;
use wapbridge::gateway::{Command, Mode, Redirect, Unassigned};
use wapbridge::wdp::{Peer, Service};
use wapbridge::wsp::header;
use wapbridge::wtp::{Class, Indication};

use crate::suite::Suite;
use crate::talk::{FRAME, MORE, Talk, UNIT_SERVER, WHOLE, config, session_id};

/// What most of these tests ask for: `http://a.example/x`.
const URI: &[u8] = b"http://a.example/x";

pub(crate) fn hold(suite: &mut Suite) {
    suite.held(
        &["WSP-S-001", "WSP-CL-S-001", "WSP-CO-S-001"],
        "both_modes_answer_on_their_ports",
        both_modes_answer_on_their_ports,
    );
    suite.held(
        &["WSP-CO-S-002", "WSP-CO-S-003"],
        "a_second_connect_replaces_the_session",
        a_second_connect_replaces_the_session,
    );
    suite.held(
        &["WSP-CO-S-004"],
        "a_connect_is_redirected",
        a_connect_is_redirected,
    );
    suite.held(
        &["WSP-CO-S-005", "WSP-CO-S-006", "WSP-CO-S-016"],
        "capabilities_are_lowered_and_answered",
        capabilities_are_lowered_and_answered,
    );
    suite.held(
        &["WSP-CO-S-006"],
        "what_was_agreed_is_enforced",
        what_was_agreed_is_enforced,
    );
    suite.held(
        &["WSP-CO-S-007"],
        "either_side_disconnects",
        either_side_disconnects,
    );
    suite.held(
        &["WSP-CO-S-008", "WSP-CO-S-009"],
        "a_session_sleeps_and_wakes_elsewhere",
        a_session_sleeps_and_wakes_elsewhere,
    );
    suite.held(
        &["WSP-CO-S-010"],
        "a_push_is_sent_if_agreed",
        a_push_is_sent_if_agreed,
    );
    suite.held(
        &["WSP-CO-S-011", "WSP-CO-S-012"],
        "a_push_is_confirmed_or_refused",
        a_push_is_confirmed_or_refused,
    );
    suite.held(
        &["WSP-CO-S-012"],
        "acknowledgement_headers_are_handed_over",
        acknowledgement_headers_are_handed_over,
    );
    suite.held(&["WSP-CO-S-013"], "extended_methods", extended_methods);
    suite.held(
        &["WSP-CO-S-014", "WSP-CL-S-003"],
        "headers_of_the_default_page_both_ways",
        headers_of_the_default_page_both_ways,
    );
    suite.held(&["WSP-CO-S-015"], "code_pages", code_pages);
    suite.held(
        &[
            "WSP-CO-S-017",
            "WSP-CO-S-018",
            "WSP-CO-S-020",
            "WSP-CO-S-021",
            "WSP-CO-S-023",
            "WSP-CO-S-024",
            "WSP-CO-S-027",
            "WSP-CO-S-029",
            "WSP-CO-S-030",
            "WSP-CO-S-031",
            "WSP-CO-S-032",
        ],
        "every_method_in_a_session",
        every_method_in_a_session,
    );
    suite.held(
        &[
            "WSP-CO-S-025",
            "WSP-CO-S-026",
            "WSP-CL-S-010",
            "WSP-CL-S-011",
        ],
        "head_brings_the_length_and_no_body",
        head_brings_the_length_and_no_body,
    );
    suite.held(
        &["WSP-CO-S-028", "WSP-CL-S-012", "WSP-CL-S-013"],
        "options_lists_methods_one_by_one",
        options_lists_methods_one_by_one,
    );
    suite.held(
        &["WSP-CO-S-019"],
        "trailers_of_a_reply_follow_in_a_data_fragment",
        trailers_of_a_reply_follow_in_a_data_fragment,
    );
    suite.held(
        &["WSP-CO-S-022", "WSP-CO-S-033"],
        "a_body_in_several_sdus_is_one_request",
        a_body_in_several_sdus_is_one_request,
    );
    suite.held(
        &[
            "WSP-CO-S-034",
            "WSP-CO-S-035",
            "WSP-CL-S-018",
            "WSP-CL-S-019",
        ],
        "multipart_bodies_are_turned",
        multipart_bodies_are_turned,
    );
    suite.held(
        &["WSP-CO-S-036"],
        "a_multipart_body_in_several_sdus",
        a_multipart_body_in_several_sdus,
    );
    suite.held(
        &["WSP-CO-S-037", "WSP-CL-S-020"],
        "encoding_versions_are_agreed",
        encoding_versions_are_agreed,
    );
    suite.held(&["WSP-CL-S-002"], "a_unit_push", a_unit_push);
    suite.held(
        &[
            "WSP-CL-S-004",
            "WSP-CL-S-005",
            "WSP-CL-S-006",
            "WSP-CL-S-007",
            "WSP-CL-S-008",
            "WSP-CL-S-009",
            "WSP-CL-S-014",
            "WSP-CL-S-015",
            "WSP-CL-S-016",
            "WSP-CL-S-017",
        ],
        "every_method_without_a_session",
        every_method_without_a_session,
    );
}

fn get(code: u8) -> Vec<u8> {
    let mut sdu = vec![code, 18];
    sdu.extend_from_slice(URI);
    sdu
}

/// With a content type and further headers.
fn post(code: u8, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let mut sdu = vec![code, 18, u8::try_from(headers.len()).unwrap()];
    sdu.extend_from_slice(URI);
    sdu.extend_from_slice(headers);
    sdu.extend_from_slice(body);
    sdu
}

fn with_id(first: u8, id: &[u8]) -> Vec<u8> {
    let mut sdu = vec![first];
    sdu.extend_from_slice(id);
    sdu
}

fn resume(id: &[u8], headers: &[u8]) -> Vec<u8> {
    let mut sdu = with_id(0x09, id);
    sdu.push(0);
    sdu.extend_from_slice(headers);
    sdu
}

/// The fields of a Reply, content type aside, as text.
fn fields(reply: &[u8]) -> Vec<(String, String)> {
    assert_eq!(reply[0], 0x04, "Reply");
    let (_, rest) = header::decode_content_type(&reply[3..3 + usize::from(reply[2])]).unwrap();
    header::fields(rest, &[])
        .map(|field| {
            let field = field.unwrap();
            let value = String::from_utf8(field.value.into_owned()).unwrap();
            (field.name.into_owned(), value)
        })
        .collect()
}

fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = fields
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

fn both_modes_answer_on_their_ports() {
    let (mut talk, id) = Talk::session(&[]);
    let (request, reply) = talk.ask(&get(0x40), 200, b"hi");
    assert_eq!(request.uri.to_string(), "https://origin.example/x");
    assert_eq!(reply[..], [0x04, 0x20, 1, 0x83, b'h', b'i']);
    talk.invoke_as(Class::Zero, &with_id(0x05, &id), WHOLE);
    assert_eq!(talk.gateway.stats().sessions, 0);

    let (_, reply) = talk.ask_unit(&get(0x40), 200, b"hi");
    assert_eq!(reply[..2], [0x04, 0x20]);
    assert!(reply.ends_with(b"hi"));
}

fn a_second_connect_replaces_the_session() {
    let (mut talk, first) = Talk::session(&[0x02, 0x82, 0x20]);
    let pending = talk.invoke(&get(0x40));
    let reply = talk.connect(&[], &[]);
    // ConnectReply: id, length of capabilities, length of headers, and nothing after the two blocks.
    let second = session_id(&reply);
    let at = 1 + second.len();
    let (capabilities, headers) = (usize::from(reply[at]), usize::from(reply[at + 1]));
    assert_eq!(reply.len(), at + 2 + capabilities + headers);
    assert_ne!(first, second);
    assert_eq!((talk.abort_of(pending), talk.cancelled), (0xE1, 1));
    assert_eq!(talk.gateway.stats().sessions, 1);
    let handle = talk.invoke(&resume(&first, &[]));
    assert_eq!(
        talk.abort_of(handle),
        0xE1,
        "the old id means nothing any more"
    );
}

fn a_connect_is_redirected() {
    let mut settings = config();
    let to = ["192.0.2.99:50001".parse().unwrap()];
    assert!(
        Redirect::new(&to, 9_201, true).is_err(),
        "another port is never for good"
    );
    assert!(Redirect::new(&["192.0.2.99:9300".parse().unwrap()], 9_201, false).is_err());
    settings.redirect = Some(Redirect::new(&to, 9_201, false).unwrap());
    let mut talk = Talk::new(settings);
    // The first method came before its Connect; it ends with it.
    let early = talk.invoke(&get(0x40));
    let reply = talk.connect(&[], &[]);
    assert_eq!(reply[..], [0x03, 0x00, 0x44, 0xC3, 0x51, 192, 0, 2, 99]);
    assert_eq!(talk.abort_of(early), 0xE1);
    assert_eq!(
        (
            talk.gateway.stats().sessions,
            talk.gateway.stats().wsp.redirected
        ),
        (0, 1)
    );

    let mut settings = config();
    settings.redirect = Redirect::new(&["192.0.2.99:9201".parse().unwrap()], 9_201, true).ok();
    let reply = Talk::new(settings).connect(&[], &[]);
    assert_eq!(
        reply[..],
        [0x03, 0x80, 0x04, 192, 0, 2, 99],
        "the same port is not named"
    );

    let mut settings = config();
    settings.drain_redirect = Some(Redirect::new(&to, 9_201, false).unwrap());
    let mut talk = Talk::new(settings);
    assert_eq!(talk.connect(&[], &[])[0], 0x02);
    talk.command(Command::Enter(Mode::Draining));
    assert_eq!(talk.connect(&[], &[])[0], 0x03);
}

fn capabilities_are_lowered_and_answered() {
    let mut settings = config();
    settings.wsp.max_methods = 4;
    settings.wsp.max_client_sdu = 10_000;
    settings.wsp.aliases = vec![0x04, 198, 51, 100, 2];
    let mut talk = Talk::new(settings);
    let offer = [
        &[0x04, 0x80, 0x81, 0x9C, 0x40][..], // Client-SDU-Size 20,032
        &[0x04, 0x80, 0x81, 0x80, 0x00],     // an alternative, less preferred
        &[0x02, 0x82, 0xF8],                 // every option
        &[0x02, 0x83, 0x09],                 // Method-MOR 9
        b"\x0APush-MOR\0\x02",               // by its name
        &[0x06, 0x87, 0x04, 192, 0, 2, 7],   // Aliases
        b"\x04x-y\0",                        // nobody knows this one
    ]
    .concat();
    let reply = talk.connect(&offer, &[]);
    let at = 1 + session_id(&reply).len();
    let block = &reply[at + 2..at + 2 + usize::from(reply[at])];
    let contains = |part: &[u8]| block.windows(part.len()).any(|window| window == part);
    assert!(
        contains(&[0x03, 0x80, 0xCE, 0x10]),
        "10,000 octets: {block:02X?}"
    );
    assert!(contains(&[0x02, 0x83, 4]), "{block:02X?}");
    assert!(contains(&[0x02, 0x82, 0xF8]), "{block:02X?}");
    assert!(
        contains(b"\x04x-y\0"),
        "unknown, and so refused: {block:02X?}"
    );
    assert!(
        contains(&[0x06, 0x87, 0x04, 198, 51, 100, 2]),
        "{block:02X?}"
    );
    // A client that named nothing is answered nothing it could not know.
    let reply = Talk::new(config()).connect(&[], &[]);
    let at = 1 + session_id(&reply).len();
    assert_eq!(reply[at..], [0, 0]);
}

fn what_was_agreed_is_enforced() {
    // Server-SDU-Size 100, one method at a time.
    let (mut talk, _) = Talk::session(&[0x02, 0x81, 0x64, 0x02, 0x83, 0x01]);
    let large = talk.invoke(&post(0x60, &[0x83], &[b'x'; 100]));
    assert_eq!(talk.abort_of(large), 0xE6, "MRUEXCEEDED");
    let first = talk.invoke(&get(0x40));
    let second = talk.invoke(&get(0x40));
    assert_eq!(talk.abort_of(second), 0xE7, "MOREXCEEDED");
    talk.answers(200, &[], b"");
    // Its reply only waits for the last Ack, so it does not count any more.
    let third = talk.invoke(&get(0x40));
    talk.answers(200, &[], b"");
    assert_eq!(
        (talk.result_of(first)[1], talk.result_of(third)[1]),
        (0x20, 0x20)
    );
    // Client-SDU-Size 64: a larger reply is the gateway's problem. 0: there is none.
    let (mut talk, _) = Talk::session(&[0x02, 0x80, 0x40]);
    let (_, reply) = talk.ask(&get(0x40), 200, &[b'x'; 100]);
    assert_eq!(reply[1], 0x62, "Bad Gateway");
    assert!(reply.len() <= 64);
    let (mut talk, _) = Talk::session(&[0x02, 0x80, 0x00]);
    let (_, reply) = talk.ask(&get(0x40), 200, &[b'x'; 20_000]);
    assert_eq!(reply.len(), 20_004);
}

fn either_side_disconnects() {
    let (mut talk, id) = Talk::session(&[]);
    let pending = talk.invoke(&get(0x40));
    talk.invoke_as(Class::Zero, &with_id(0x05, &id), WHOLE);
    assert_eq!((talk.abort_of(pending), talk.cancelled), (0xE1, 1));
    let after = talk.invoke(&get(0x40));
    talk.wait(3_000);
    assert_eq!(talk.abort_of(after), 0xE1);

    let reply = talk.connect(&[], &[]);
    let id = session_id(&reply);
    let number = id
        .iter()
        .fold(0u32, |id, octet| id << 7 | u32::from(octet & 0x7F));
    let pending = talk.invoke(&get(0x40));
    talk.command(Command::Disconnect(number));
    assert_eq!(talk.abort_of(pending), 0xE1);
    let (_, class, sdu) = talk.invoked();
    assert_eq!((class, &sdu[..]), (Class::Zero, &with_id(0x05, &id)[..]));
}

fn a_session_sleeps_and_wakes_elsewhere() {
    let mut talk = Talk::new(config());
    // Session resume; User-Agent "old".
    let id = session_id(&talk.connect(&[0x02, 0x82, 0x20], b"\xA9old\0"));
    let pending = talk.invoke(&get(0x40));
    talk.invoke_as(Class::Zero, &with_id(0x08, &id), WHOLE);
    assert_eq!(talk.abort_of(pending), 0xE2);
    let asleep = talk.invoke(&get(0x40));
    assert_eq!(talk.abort_of(asleep), 0xE2);

    talk.port = 50_001;
    // There is a session at the new address; it is dropped.
    let other = session_id(&talk.connect(&[], &[]));
    let handle = talk.invoke(&resume(&id, &[]));
    assert_eq!(talk.result_of(handle)[..2], [0x04, 0x20]);
    assert_eq!(talk.gateway.stats().sessions, 1);
    let (request, _) = talk.ask(&get(0x40), 200, b"");
    assert_eq!(request.headers["user-agent"], "old");
    let unknown = talk.invoke(&resume(&other, &[]));
    assert_eq!(talk.abort_of(unknown), 0xE1);
    // Headers of a Resume take the place of the session's.
    let handle = talk.invoke(&resume(&id, b"\xA9new\0"));
    talk.result_of(handle);
    let (request, _) = talk.ask(&get(0x40), 200, b"");
    assert_eq!(request.headers["user-agent"], "new");
    // Where the facility was not agreed on there is no resuming.
    let (mut talk, id) = Talk::session(&[]);
    let handle = talk.invoke(&resume(&id, &[]));
    assert_eq!(talk.abort_of(handle), 0xE1);
}

/// Has the gateway push "hi" as text/plain.
fn push(talk: &mut Talk, number: u64, to: To) {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "text/plain".parse().unwrap());
    headers.insert("age", "1".parse().unwrap());
    talk.command(Command::Push(Box::new(Push {
        id: PushId(number),
        to,
        headers,
        body: Bytes::from_static(b"hi"),
    })));
}

fn number(id: &[u8]) -> u32 {
    id.iter()
        .fold(0, |id, octet| id << 7 | u32::from(octet & 0x7F))
}

const PUSH: &[u8] = &[0x06, 3, 0x83, 0x85, 0x81, b'h', b'i'];

fn a_push_is_sent_if_agreed() {
    let (mut talk, id) = Talk::session(&[0x02, 0x82, 0x40]);
    let id = number(&id);
    push(
        &mut talk,
        1,
        To::Session {
            id,
            confirmed: false,
        },
    );
    let (_, class, sdu) = talk.invoked();
    assert_eq!((class, &sdu[..]), (Class::Zero, PUSH));
    push(
        &mut talk,
        2,
        To::Session {
            id,
            confirmed: true,
        },
    );
    push(
        &mut talk,
        3,
        To::Session {
            id: id ^ 1,
            confirmed: false,
        },
    );
    let outcomes: Vec<_> = talk
        .pushed
        .iter()
        .map(|(_, outcome)| outcome.clone())
        .collect();
    assert_eq!(
        outcomes,
        [
            PushOutcome::Sent,
            PushOutcome::NotAgreed,
            PushOutcome::NoSession
        ]
    );
    assert!(talk.heard.is_empty());
}

fn a_push_is_confirmed_or_refused() {
    // Confirmed push and acknowledgement headers; two at a time.
    let (mut talk, id) = Talk::session(&[0x02, 0x82, 0x90, 0x02, 0x84, 0x02]);
    let to = To::Session {
        id: number(&id),
        confirmed: true,
    };
    push(&mut talk, 1, to);
    push(&mut talk, 2, to);
    push(&mut talk, 3, to);
    assert_eq!(talk.pushed.pop(), Some((PushId(3), PushOutcome::Busy)));
    let (first, class, sdu) = talk.invoked();
    assert_eq!((class, sdu[0], &sdu[1..]), (Class::One, 0x07, &PUSH[1..]));
    talk.client.accept(talk.now, first, &[0x85, 0x81]);
    talk.run();
    let headers = Bytes::from_static(&[0x85, 0x81]);
    assert_eq!(
        talk.pushed.pop(),
        Some((PushId(1), PushOutcome::Confirmed { headers }))
    );
    let (second, ..) = talk.invoked();
    talk.client.abort(talk.now, second, 0xEE);
    talk.run();
    for reason in 0xEA..=0xEE {
        push(&mut talk, 4, to);
        let (handle, ..) = talk.invoked();
        talk.client.abort(talk.now, handle, reason);
        talk.run();
        let outcome = PushOutcome::Aborted(wapbridge::wsp::AbortReason(reason));
        assert_eq!(talk.pushed.pop(), Some((PushId(4), outcome)));
    }
}

fn acknowledgement_headers_are_handed_over() {
    for (option, kept) in [(0x10, &[0x85, 0x81][..]), (0x00, &[])] {
        let (mut talk, _) = Talk::session(&[0x02, 0x82, option]);
        let handle = talk.invoke(&get(0x40));
        talk.answers(200, &[], b"");
        talk.result_with(handle, &[0x85, 0x81]);
        let record = talk.records.pop().unwrap();
        assert_eq!(
            (record.ending, &record.acknowledgement[..]),
            (Ending::Acknowledged, kept)
        );
    }
}

fn extended_methods() {
    let mut settings = config();
    settings.wsp.extended_methods = vec!["PROPFIND".into(), "REPORT".into()];
    let mut talk = Talk::new(settings);
    let offer = b"\x14\x85\x50PROPFIND\0\x70REPORT\0\x51X\0";
    let offer = [&[u8::try_from(offer.len() - 1).unwrap()][..], &offer[1..]].concat();
    let reply = talk.connect(&offer, &[]);
    assert!(
        reply
            .windows(4)
            .any(|part| part == [0x03, 0x85, 0x50, 0x70]),
        "{reply:02X?}"
    );
    let (request, _) = talk.ask(&get(0x50), 207, b"");
    assert_eq!(request.method.as_str(), "PROPFIND");
    let (request, _) = talk.ask(&post(0x70, &[0x83], b"b"), 200, b"");
    assert_eq!(
        (request.method.as_str(), &request.body[..]),
        ("REPORT", &b"b"[..])
    );
    let refused = talk.invoke(&get(0x51));
    assert_eq!(talk.result_of(refused)[1], 0x61, "Not Implemented");
}

fn headers_of_the_default_page_both_ways() {
    let mut settings = config();
    settings.wsp.max_methods = 8;
    let mut talk = Talk::new(settings);
    talk.connect(&[], b"\x80\x94\xA9ua\0");
    // B.1: Accept by number, Accept-Language, an Age, a date, and a field without a number.
    let mut sdu = get(0x40);
    sdu.extend_from_slice(b"\x80\x83\x83\x99\x8F\x04\x35\x3F\xBA\x11x-own\0v\0");
    let handle = talk.invoke(&sdu);
    let request = talk.fetched();
    let field = |name: &str| {
        request
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap())
    };
    assert_eq!(
        field("accept"),
        Some("text/plain"),
        "the method's own wins over the session's"
    );
    assert_eq!(field("user-agent"), Some("ua"));
    assert_eq!(field("accept-language"), Some("en"));
    assert_eq!(field("x-own"), Some("v"));
    assert!(field("via").is_some());
    let fields_of_origin = [
        ("content-type", "text/html; charset=utf-8"),
        ("date", "Thu, 23 Apr 1998 22:00:49 GMT"),
        ("etag", "\"abc\""),
        ("x-syncml-hmac", "algorithm=MD5"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "5"),
        ("location", "http://a.example/y"),
        ("www-authenticate", "Basic realm=\"r\""),
    ];
    talk.answers(401, &fields_of_origin, b"");
    let reply = talk.result_of(handle);
    assert_eq!(reply[1], 0x41, "Unauthorized");
    assert!(
        reply
            .windows(6)
            .any(|part| part == [0x92, 0x04, 0x35, 0x3F, 0xBA, 0x11])
    );
    let fields = fields(&reply);
    assert_eq!(values(&fields, "x-syncml-hmac"), ["algorithm=MD5"]);
    assert_eq!(values(&fields, "location"), ["http://a.example/y"]);
    assert_eq!(values(&fields, "www-authenticate").len(), 1);
    assert_eq!(
        values(&fields, "x-hop").len() + values(&fields, "keep-alive").len(),
        0
    );
}

fn code_pages() {
    // Header Code Pages: 0x10 is x-up-1, 0x11 is nobody's.
    let offer = b"\x12\x86\x10x-up-1\0\x11x-none\0";
    let offer = [&[u8::try_from(offer.len() - 1).unwrap()][..], &offer[1..]].concat();
    let (mut talk, _) = Talk::session(&offer);
    let mut sdu = get(0x40);
    sdu.extend_from_slice(b"\x10\x81\x85");
    let handle = talk.invoke(&sdu);
    assert!(
        talk.fetched()
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-up"))
    );
    // A field of the agreed page goes back on that page.
    let name = talk
        .fetched()
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("x-up"))
        .cloned();
    let name: &'static str = Box::leak(name.unwrap().as_str().to_owned().into_boxed_str());
    talk.answers(200, &[(name, "5")], b"");
    let reply = talk.result_of(handle);
    assert!(
        reply.windows(3).any(|part| part == [0x10, 0x81, 0x85]),
        "{reply:02X?}"
    );
    let mut sdu = get(0x40);
    sdu.extend_from_slice(b"\x11\x81\x85");
    let handle = talk.invoke(&sdu);
    let reply = talk.result_of(handle);
    assert_eq!(reply[1], 0x40, "Bad Request");
    assert!(
        reply.windows(3).any(|part| part == [0xC3, 0x01, 0x91]),
        "{reply:02X?}"
    );
}

/// Method, its PDU, what the origin says and the status octet expected.
fn methods() -> Vec<(&'static str, Vec<u8>, u16, u8)> {
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

fn seen(request: &wapbridge::gateway::fetch::Request, method: &str) {
    assert_eq!(request.method.as_str(), method);
    assert_eq!(request.uri.to_string(), "https://origin.example/x");
    if request.method == "POST" || request.method == "PUT" {
        assert_eq!(request.body, &b"a\0b\0"[..], "not an octet is lost");
        assert_eq!(request.headers["content-type"], "text/plain");
    }
}

fn every_method_in_a_session() {
    for (method, sdu, status, octet) in methods() {
        let (mut talk, _) = Talk::session(&[]);
        let (request, reply) = talk.ask(&sdu, status, b"body");
        seen(&request, method);
        assert_eq!(reply[..4], [0x04, octet, 1, 0x83], "{method} {status}");
        assert_eq!(talk.records.len(), 1);
        assert_eq!(talk.records[0].ending, Ending::Acknowledged);
        // Acknowledged once: nothing is said again later.
        talk.wait(60_000);
        assert!(talk.heard.is_empty() && talk.fetches.is_empty());
    }
}

fn every_method_without_a_session() {
    for (method, sdu, status, octet) in methods() {
        let mut talk = Talk::new(config());
        let (request, reply) = talk.ask_unit(&sdu, status, b"body");
        seen(&request, method);
        assert_eq!(reply[..2], [0x04, octet], "{method} {status}");
        assert_eq!(talk.records[0].session, None);
        // A copy of what may not be done twice gets the same answer; of the rest, an answer of its own.
        let mut copy = vec![7];
        copy.extend_from_slice(&sdu);
        talk.unit(&copy);
        match method {
            "GET" | "TRACE" => assert_eq!(talk.fetches.len(), 1),
            _ => {
                assert!(talk.fetches.is_empty(), "{method} twice");
                assert_eq!(talk.units.pop().unwrap().1[1..], reply[..]);
            }
        }
    }
}

fn head_brings_the_length_and_no_body() {
    let (mut talk, _) = Talk::session(&[]);
    let handle = talk.invoke(&get(0x42));
    assert_eq!(talk.fetched().method, "HEAD");
    talk.answers(200, &[("content-length", "5000")], b"");
    let reply = talk.result_of(handle);
    assert_eq!(values(&fields(&reply), "content-length"), ["5000"]);
    assert_eq!(reply.len(), 3 + usize::from(reply[2]));

    talk.unit(&[&[9][..], &get(0x42)].concat());
    assert_eq!(talk.fetched().method, "HEAD");
    talk.answers(200, &[("content-length", "5000")], b"");
    let (_, reply) = talk.units.pop().unwrap();
    assert_eq!(reply[0], 9);
    assert_eq!(values(&fields(&reply[1..]), "content-length"), ["5000"]);
}

fn options_lists_methods_one_by_one() {
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
    let (mut talk, _) = Talk::session(&[]);
    let handle = talk.invoke(&get(0x41));
    assert_eq!(talk.fetched().method, "OPTIONS");
    talk.answers(204, &[("allow", "GET, HEAD, POST")], b"");
    allow(&talk.result_of(handle));
    talk.unit(&[&[9][..], &get(0x41)].concat());
    talk.answers(204, &[("allow", "GET, HEAD, POST")], b"");
    allow(&talk.units.pop().unwrap().1[1..]);
}

fn trailers_of_a_reply_follow_in_a_data_fragment() {
    // Large data transfer; replies of any size in SDUs of 64.
    let (mut talk, _) = Talk::session(&[0x02, 0x82, 0x08, 0x02, 0x80, 0x40, 0x02, 0x88, 0x00]);
    let handle = talk.invoke(&get(0x40));
    talk.answers_with(
        200,
        &[("content-type", "text/plain")],
        &[b'x'; 150],
        &[("age", "1")],
    );
    let mut body = Vec::new();
    let mut trailers = Vec::new();
    for heard in std::mem::take(&mut talk.heard) {
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
    talk.client.acknowledge(talk.now, handle, &[]);
    talk.run();
    assert_eq!(talk.records[0].ending, Ending::Acknowledged);
}

fn a_body_in_several_sdus_is_one_request() {
    for (code, method) in [(0x60, "POST"), (0x61, "PUT")] {
        let (mut talk, _) = Talk::session(&[0x02, 0x82, 0x08]);
        let handle = talk.invoke_as(Class::Two, &post(code, &[0x83], b"one "), MORE);
        talk.invoke_data(handle, b"two ", MORE);
        assert!(talk.fetches.is_empty(), "it is not whole yet");
        talk.invoke_data(handle, &[0x80, 2, 0x85, 0x81, b'3'], FRAME);
        let request = talk.fetched();
        assert_eq!(
            (request.method.as_str(), &request.body[..]),
            (method, &b"one two 3"[..])
        );
        assert_eq!(
            request.headers["age"], "1",
            "known last, told before the body"
        );
        talk.answers(200, &[], b"");
        assert_eq!(talk.result_of(handle)[1], 0x20);
    }
    // Without large data transfer there is only one SDU.
    let (mut talk, _) = Talk::session(&[]);
    let handle = talk.invoke_as(Class::Two, &post(0x60, &[0x83], b"one "), MORE);
    assert_eq!(talk.abort_of(handle), 0xE0);
}

/// Two parts, text/plain "a" and text/html "b".
const MULTIPART: &[u8] = &[2, 1, 1, 0x83, b'a', 1, 1, 0x82, b'b'];
/// application/vnd.wap.multipart.mixed
const MIXED: &[u8] = &[0xA3];

fn is_mime(request: &wapbridge::gateway::fetch::Request) {
    let content_type = request.headers["content-type"].to_str().unwrap();
    assert!(
        content_type.starts_with("multipart/mixed; boundary="),
        "{content_type}"
    );
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    assert_eq!(body.matches("\r\n\r\n").count(), 2, "{body}");
    assert!(body.contains("text/plain\r\n\r\na\r\n") && body.contains("text/html\r\n\r\nb\r\n"));
}

const MIME: &[u8] = b"--x\r\nContent-Type: text/plain\r\n\r\na\r\n--x\r\nContent-Type: text/html\r\n\r\nb\r\n--x--\r\n";

fn multipart_bodies_are_turned() {
    let fields = [("content-type", "multipart/mixed; boundary=x")];
    let (mut talk, _) = Talk::session(&[]);
    let handle = talk.invoke(&post(0x60, MIXED, MULTIPART));
    is_mime(&talk.fetched());
    talk.answers(200, &fields, MIME);
    let reply = talk.result_of(handle);
    assert_eq!(reply[..4], [0x04, 0x20, 1, 0xA3]);
    assert_eq!(&reply[4..], MULTIPART);

    talk.unit(&[&[9][..], &post(0x60, MIXED, MULTIPART)].concat());
    is_mime(&talk.fetched());
    talk.answers(200, &fields, MIME);
    let (_, reply) = talk.units.pop().unwrap();
    assert_eq!(reply[4], 0xA3);
    assert!(reply.ends_with(MULTIPART));
}

fn a_multipart_body_in_several_sdus() {
    let (mut talk, _) = Talk::session(&[0x02, 0x82, 0x08]);
    let handle = talk.invoke_as(Class::Two, &post(0x60, MIXED, &MULTIPART[..3]), MORE);
    talk.invoke_data(handle, &MULTIPART[3..6], MORE);
    talk.invoke_data(handle, &[&[0x80, 0][..], &MULTIPART[6..]].concat(), FRAME);
    is_mime(&talk.fetched());
}

fn encoding_versions_are_agreed() {
    // The client says 1.4 in its Connect, and is told so once for all.
    let mut talk = Talk::new(config());
    let reply = talk.connect(&[], &[0xC3, 0x94]);
    assert!(reply.ends_with(&[0xC3, 0x94]), "{reply:02X?}");
    // Ours is 1.5, so a client of 1.6 is told 1.5.
    let reply = Talk::new(config()).connect(&[], &[0xC3, 0x96]);
    assert!(reply.ends_with(&[0xC3, 0x95]), "{reply:02X?}");
    // One that says nothing is of 1.2: a field of 1.3 goes as text.
    let encoded = |headers: &[u8]| {
        let mut talk = Talk::new(config());
        talk.connect(&[], headers);
        let handle = talk.invoke(&get(0x40));
        talk.answers(
            200,
            &[("te", "x"), ("expect", "x"), ("content-id", "<c@a>")],
            b"",
        );
        talk.result_of(handle)
    };
    let holds_text = |reply: &[u8]| {
        reply
            .windows(10)
            .any(|part| part.eq_ignore_ascii_case(b"content-id"))
    };
    let silent = encoded(&[]);
    assert!(holds_text(&silent), "{silent:02X?}");
    assert!(!holds_text(&encoded(&[0xC3, 0x93])));
    // Without a session every reply says it: as text to who may not know the number, which is of 1.3.
    let mut talk = Talk::new(config());
    for (own, told) in [(&[][..], "1.2"), (&[0xC3, 0x93][..], "1.3")] {
        let (_, reply) = talk.ask_unit(&[&get(0x40)[..], own].concat(), 200, b"");
        assert_eq!(
            values(&fields(&reply), "encoding-version"),
            [told],
            "{reply:02X?}"
        );
    }
    // A number nobody assigned: refused with the versions we know, where the operator wants it so.
    let mut settings = config();
    settings.headers.unassigned = Unassigned::Refuse;
    let mut talk = Talk::new(settings);
    talk.connect(&[], &[0xC3, 0x94]);
    let handle = talk.invoke(&[&get(0x40)[..], &[0xFE, 0x81]].concat());
    let reply = talk.result_of(handle);
    assert_eq!(reply[1], 0x40);
    assert!(
        reply.windows(2).any(|part| part == [0xC3, 0x94]),
        "{reply:02X?}"
    );
}

fn a_unit_push() {
    let mut talk = Talk::new(config());
    let client = "192.0.2.7:2948".parse().unwrap();
    push(&mut talk, 1, To::Unit(Peer::new(client, UNIT_SERVER)));
    assert_eq!(talk.pushed, [(PushId(1), PushOutcome::Sent)]);
    let (peer, datagram) = talk.units.pop().unwrap();
    assert_eq!(peer.remote.port(), 2_948);
    assert_eq!(&datagram[1..], PUSH);
    // What is no request is not answered.
    talk.deliver(Service::Connectionless, &[1, 0x06, 1, 0x83]);
    talk.run();
    assert!(talk.units.is_empty());
}
