//! A route's content policy, from a handset that speaks WBXML to an origin that does not, and back.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use wapbridge::gateway;
use wapbridge::gateway::fetch::{Reply, Request as Fetch};
use wapbridge::handset::{self, Request};
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::sim::World;
use wapbridge::syncml::content::{Fallback, Policy};
use wapbridge::syncml::{Encoding, Protocol};
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;

use super::new_world;
use crate::{gateway_config, phone_config};

const WBXML: &str = "application/vnd.syncml+wbxml";
const XML: &str = "application/vnd.syncml+xml";

fn fixture(name: &str) -> Vec<u8> {
    let path = format!(
        "{}/fixtures/syncml-sessions/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(path).unwrap()
}

fn config(policy: Policy, fallback: Fallback) -> gateway::Config {
    let mut route =
        RouteSettings::from_prefix("http://sync.example/", "https://origin.example/").unwrap();
    route.content.policy = policy;
    route.content.fallback = fallback;
    gateway::Config {
        routes: Routes::new(vec![route]).into(),
        ..gateway_config()
    }
}

fn reply(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.into(),
        trailers: None,
    }
}

/// An origin that takes XML only and answers in XML.
fn xml_only(request: &Fetch) -> Reply {
    if request.headers[CONTENT_TYPE] == XML {
        reply(200, XML, fixture("s11-xml-md5-01-slow/01-resp.xml"))
    } else {
        reply(415, "text/plain", "XML, please")
    }
}

fn world(
    policy: Policy,
    fallback: Fallback,
    mut origin: impl FnMut(&Fetch) -> Reply + 'static,
) -> World {
    let mut world = new_world(1, config(policy, fallback));
    world.origin.script = Some(Box::new(move |request| Ok(origin(request))));
    world
}

fn post(
    world: &mut World,
    content_type: &str,
    extra: &[(&str, &str)],
    body: &[u8],
) -> handset::Reply {
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    let mut headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
    headers.extend(
        extra
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    world.request(
        phone,
        &Request {
            method: Method::POST,
            uri: "http://sync.example/",
            headers: &headers,
            body,
        },
    );
    world.run_until_idle();
    world.outcomes(phone)[0].1.clone().unwrap()
}

#[test]
fn as_is_is_the_default_and_touches_nothing() {
    let body = fixture("s11-wbxml-basic-01-slow/01-req.wbxml");
    let mut world = world(Policy::default(), Fallback::default(), |request| {
        reply(200, XML, request.body.clone())
    });
    let answer = post(&mut world, WBXML, &[], &body);
    assert_eq!((answer.status, &*answer.content_type), (200, XML));
    assert_eq!(answer.body, body);
    assert_eq!(world.origin.requests[0].body, body);
}

#[test]
fn an_origin_that_wants_xml_gets_it_and_the_handset_its_wbxml_back() {
    let mut world = world(Policy::To(Encoding::Xml), Fallback::default(), xml_only);
    let answer = post(
        &mut world,
        WBXML,
        &[],
        &fixture("s11-wbxml-basic-01-slow/01-req.wbxml"),
    );
    assert_eq!((answer.status, &*answer.content_type), (200, WBXML));
    assert_eq!(Encoding::of(&answer.body), Some(Encoding::Wbxml));
    let sent = &world.origin.requests;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].headers[CONTENT_TYPE], XML);
    assert_eq!(sent[0].headers[ACCEPT], XML);
    assert!(sent[0].body.windows(8).any(|octets| octets == b"<SyncHdr"));
    let stats = world.gateway.stats().content;
    assert_eq!((stats.requests, stats.replies), (1, 1));
}

#[test]
fn auto_translates_once_after_a_refusal_and_remembers_it() {
    let mut world = world(Policy::Auto, Fallback::default(), xml_only);
    let body = fixture("s11-wbxml-basic-01-slow/01-req.wbxml");
    let answer = post(&mut world, WBXML, &[], &body);
    assert_eq!((answer.status, &*answer.content_type), (200, WBXML));
    let types: Vec<_> = world
        .origin
        .requests
        .iter()
        .map(|request| request.headers[CONTENT_TYPE].clone())
        .collect();
    assert_eq!(types, [WBXML, XML]);
    assert_eq!(world.origin.requests[0].body, body);
    // The next request goes in XML at once.
    assert_eq!(post(&mut world, WBXML, &[], &body).status, 200);
    assert_eq!(world.origin.requests.len(), 3);
    assert_eq!(world.gateway.stats().content.second_tries, 1);
    assert!(world.gateway.is_idle());
    assert_eq!(world.origin.pending(), 0);
}

#[test]
fn auto_gives_up_after_one_second_try_and_passes_the_refusal_on() {
    let mut world = world(Policy::Auto, Fallback::default(), |_| {
        reply(415, "text/plain", "neither")
    });
    let answer = post(
        &mut world,
        WBXML,
        &[],
        &fixture("s11-wbxml-basic-01-slow/01-req.wbxml"),
    );
    assert_eq!(answer.status, 415);
    assert_eq!(world.origin.requests.len(), 2);
    assert_eq!(world.records.len(), 1);
}

#[test]
fn auto_sends_nothing_again_for_any_other_status() {
    for status in [400, 404, 409, 500, 503] {
        let mut world = world(Policy::Auto, Fallback::default(), move |_| {
            reply(status, "text/plain", "no")
        });
        let answer = post(
            &mut world,
            WBXML,
            &[],
            &fixture("s11-wbxml-basic-01-slow/01-req.wbxml"),
        );
        assert_eq!(answer.status, status);
        assert_eq!(world.origin.requests.len(), 1);
    }
}

#[test]
fn a_message_with_a_digest_is_never_touched() {
    for policy in [Policy::To(Encoding::Xml), Policy::Auto] {
        let body = fixture("s11-wbxml-basic-01-slow/01-req.wbxml");
        let mut world = world(policy, Fallback::Refuse, xml_only);
        let hmac = [("X-SyncML-HMAC", "algorithm=MD5, username=\"u\", mac=Zm9v")];
        let answer = post(&mut world, WBXML, &hmac, &body);
        assert_eq!(answer.status, 415);
        assert_eq!(world.origin.requests.len(), 1);
        assert_eq!(world.origin.requests[0].body, body);
        assert!(
            world.origin.requests[0]
                .headers
                .contains_key("x-syncml-hmac")
        );
    }
}

#[test]
fn what_cannot_be_translated_passes_or_is_refused_as_configured() {
    let broken = &fixture("s11-wbxml-basic-01-slow/01-req.wbxml")[..200];
    let accepting = |request: &Fetch| reply(200, WBXML, request.body.clone());
    let mut passing = world(Policy::To(Encoding::Xml), Fallback::Pass, accepting);
    assert_eq!(post(&mut passing, WBXML, &[], broken).body, broken);
    let mut refusing = world(Policy::To(Encoding::Xml), Fallback::Refuse, accepting);
    assert_eq!(post(&mut refusing, WBXML, &[], broken).status, 502);
    assert!(refusing.origin.requests.is_empty());
    let record = &refusing.records[0];
    assert_eq!(record.problem.unwrap().label(), "untranslatable");
    assert!(
        record
            .detail
            .as_ref()
            .unwrap()
            .contains("cannot be translated"),
        "{:?}",
        record.detail
    );
}

#[test]
fn what_is_no_syncml_passes_whatever_the_policy() {
    let mut world = world(Policy::To(Encoding::Xml), Fallback::Refuse, |request| {
        reply(200, "text/x-vcard", request.body.clone())
    });
    let answer = post(
        &mut world,
        "text/x-vcard",
        &[],
        b"BEGIN:VCARD\r\nEND:VCARD\r\n",
    );
    assert_eq!(answer.body, &b"BEGIN:VCARD\r\nEND:VCARD\r\n"[..]);
}

#[test]
fn the_record_says_which_syncml_message_it_was() {
    let mut world = world(Policy::default(), Fallback::default(), |_| {
        reply(200, XML, "<x/>")
    });
    post(
        &mut world,
        WBXML,
        &[],
        &fixture("s12-wbxml-md5-02-two-way/02-req.wbxml"),
    );
    let syncml = world.records[0].syncml.clone().unwrap();
    assert_eq!(
        (syncml.protocol, &*syncml.message),
        (Some(Protocol::Ds12), "2")
    );
    assert!(!syncml.request.statuses.counts.is_empty());
    assert!(!syncml.session.is_empty());
}

/// A SyncML message in WBXML with an Add of one Item, whose Data is opaque: the chunk `number` of an object.
fn chunk(number: u8, meta: &[u8], data: &[u8], more: bool) -> Vec<u8> {
    [
        // SyncML 1.2, UTF-8; SyncHdr with SessionID and MsgID; SyncBody, Add, Item.
        &b"\x02\xA4\x01\x6A\x00\x6D\x6C\x65\x035\0\x01\x5B\x03"[..],
        &[b'0' + number],
        b"\0\x01\x01\x6B\x45\x54",
        meta,
        b"\x4F\xC3",
        &[u8::try_from(data.len()).unwrap()],
        data,
        b"\x01",
        if more { b"\x34" } else { b"" },
        b"\x01\x01\x01\x01",
    ]
    .concat()
}

/// The messages that reach an origin which takes XML, after a handset has sent these in one session. It may resume the
/// session on another shard before any of them.
fn sent_in_one_session(shards: u32, messages: &[Vec<u8>]) -> (Vec<u16>, Vec<String>) {
    let config = config(Policy::To(Encoding::Xml), Fallback::Pass);
    let mut world = new_world(1, config).shards(shards);
    world.origin.script = Some(Box::new(|_| Ok(reply(200, XML, "<SyncML/>"))));
    let mut phone = phone_config();
    if let Some(capabilities) = &mut phone.capabilities {
        capabilities.options = ProtocolOptions::SESSION_RESUME;
    }
    let phone = world.handset(phone);
    world.connect(phone);
    world.run_until_idle();
    let headers = [("Content-Type".to_owned(), WBXML.to_owned())];
    for body in messages {
        if shards > 1 {
            let before = world.session_events(phone).len();
            world.move_to_new_address(phone);
            assert!(world.run_until(|world| world.session_events(phone).len() > before));
        }
        let request = Request {
            method: Method::POST,
            uri: "http://sync.example/",
            headers: &headers,
            body,
        };
        world.request(phone, &request);
        world.run_until_idle();
    }
    let outcomes = world.outcomes(phone).iter();
    let statuses = outcomes.map(|(_, outcome)| outcome.clone().unwrap().status);
    let statuses = statuses.collect();
    let requests = world.origin.requests.iter();
    let bodies = requests.map(|request| String::from_utf8_lossy(&request.body).into_owned());
    (statuses, bodies.collect())
}

#[test]
fn a_vcard_in_three_chunks_that_cut_a_character_reaches_the_origin_whole() {
    // Meta of the Item: Type text/x-vcard and Size 25.
    let meta = b"\x5A\x00\x01\x53\x03text/x-vcard\0\x01\x52\x0325\0\x01\x00\x00\x01";
    let messages = [
        chunk(1, meta, b"BEGIN:VCARD N:M\xC3", true),
        chunk(2, b"", b"\xBCller", true),
        chunk(3, b"", b" X\xC3\xA9", false),
    ];
    for shards in [1, 3] {
        let (statuses, bodies) = sent_in_one_session(shards, &messages);
        assert_eq!(statuses, [200, 200, 200]);
        let data: Vec<&str> = bodies
            .iter()
            .map(|body| body.split_once("<Data>").unwrap().1)
            .map(|rest| rest.split_once("</Data>").unwrap().0)
            .collect();
        assert_eq!(data, ["BEGIN:VCARD N:M", "\u{fc}ller", " X\u{e9}"]);
        assert_eq!(data.concat().len(), 25);
        assert!(bodies[0].contains(">25</Size>") && !bodies.concat().contains("b64"));
    }
}

#[test]
fn an_object_that_is_no_text_after_all_is_refused_in_the_middle() {
    let messages = [
        chunk(1, b"", b"text", true),
        chunk(2, b"", b"\xFF\xFE", false),
    ];
    let (statuses, bodies) = sent_in_one_session(1, &messages);
    assert_eq!((statuses.as_slice(), bodies.len()), (&[200, 502][..], 1));
}
