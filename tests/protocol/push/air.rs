//! Pushes through the core: to the client of a session, and to a port.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use wapbridge::gateway::Command;
use wapbridge::gateway::push::{Push, PushId, PushOutcome, To, UserAgentRule};
use wapbridge::push::capabilities;
use wapbridge::push::pap::{self, Response, Status};
use wapbridge::route::Pattern;
use wapbridge::wdp::Peer;
use wapbridge::wtp::Class;

use crate::wsp::conversation::{Conversation, UNIT_SERVER, config};

fn push(talk: &mut Conversation, number: u64, to: To) {
    let mut headers = http::HeaderMap::new();
    let content_type = "application/vnd.syncml.notification";
    headers.insert("content-type", content_type.parse().unwrap());
    headers.insert("x-wap-application-id", "7".parse().unwrap());
    talk.command(Command::Push(Box::new(Push {
        id: PushId(number),
        to,
        headers,
        body: Bytes::from_static(b"hi"),
    })));
}

/// Push, or ConfirmedPush: headers of three octets, application/vnd.syncml.notification, application 7.
const REST: &[u8] = &[3, 0xC4, 0xAF, 0x87, b'h', b'i'];

pub(super) fn a_unit_push_has_the_octets_of_its_message() {
    let mut talk = Conversation::new(config());
    let client = "192.0.2.9:2948".parse().unwrap();
    push(&mut talk, 1, To::Unit(Peer::new(client, UNIT_SERVER)));
    assert_eq!(talk.pushed, [(PushId(1), PushOutcome::Sent)]);
    let (peer, sent) = talk.units.pop().unwrap();
    assert_eq!((peer.remote.port(), sent[1]), (2948, 0x06));
    assert_eq!(&sent[2..], REST);
}

/// Where the client of a [`Conversation`] is.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

pub(super) fn a_push_finds_the_session_of_a_client() {
    // Push only.
    let (mut talk, _) = Conversation::session(&[0x02, 0x82, 0x40]);
    let address = CLIENT;
    let confirmed = false;
    push(&mut talk, 1, To::Client { address, confirmed });
    let (_, class, sdu) = talk.invoked();
    assert_eq!((class, sdu[0], &sdu[1..]), (Class::Zero, 0x06, REST));
    assert_eq!(talk.pushed.pop(), Some((PushId(1), PushOutcome::Sent)));
    let other = "198.51.100.1".parse().unwrap();
    push(
        &mut talk,
        2,
        To::Client {
            address: other,
            confirmed,
        },
    );
    assert_eq!(talk.pushed.pop(), Some((PushId(2), PushOutcome::NoSession)));
    push(
        &mut talk,
        3,
        To::Client {
            address,
            confirmed: true,
        },
    );
    assert_eq!(talk.pushed.pop(), Some((PushId(3), PushOutcome::NotAgreed)));
}

pub(super) fn a_confirmed_push_finds_the_session_of_a_client() {
    // Confirmed push and acknowledgement headers.
    let (mut talk, _) = Conversation::session(&[0x02, 0x82, 0x90, 0x02, 0x84, 0x02]);
    let to = To::Client {
        address: CLIENT,
        confirmed: true,
    };
    push(&mut talk, 1, to);
    let (first, class, sdu) = talk.invoked();
    assert_eq!((class, sdu[0], &sdu[1..]), (Class::One, 0x07, REST));
    talk.client.accept(talk.now, first, &[]);
    talk.run();
    let headers = Bytes::new();
    assert_eq!(
        talk.pushed.pop(),
        Some((PushId(1), PushOutcome::Confirmed { headers }))
    );
    for reason in 0xEA..=0xEE {
        push(&mut talk, 2, to);
        let (handle, ..) = talk.invoked();
        talk.client.abort(talk.now, handle, reason);
        talk.run();
        let outcome = PushOutcome::Aborted(wapbridge::wsp::AbortReason(reason));
        assert_eq!(talk.pushed.pop(), Some((PushId(2), outcome)));
    }
}

/// The headers of a Connect, as text.
fn text_fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| format!("{name}\0{value}\0").into_bytes();
    fields.iter().flat_map(field).collect()
}

/// Push and confirmed push, of which two at a time; the client takes SDUs of 300 octets.
const PUSHES: &[u8] = &[0x02, 0x82, 0xC0, 0x03, 0x80, 0x82, 0x2C, 0x02, 0x84, 0x02];

/// WAP-247 5.5: what the client told in its Connect, else 3008.
pub(super) fn capabilities_are_those_of_the_session() {
    let mut talk = Conversation::new(config());
    let headers = text_fields(&[
        ("accept", "text/vnd.wap.si"),
        ("accept-application", "x-wap-application:wml.ua"),
        ("authorization", "Basic c2VjcmV0"),
    ]);
    talk.connect(PUSHES, &headers);
    let answer = |address: &str| {
        let found = talk.gateway.capabilities_of(address.parse().unwrap());
        let name = Some("q".to_owned());
        let (response, profile) = capabilities::answer(name, address.to_owned(), Ok(found));
        let Response::Capabilities { code, query_id, .. } = &response else {
            panic!("{response:?}")
        };
        assert_eq!(query_id.as_deref(), Some("q"));
        (*code, profile)
    };
    let (code, profile) = answer("192.0.2.7");
    assert_eq!(code, Status::OK);
    let profile = profile.unwrap();
    for part in [
        "<rdf:li>text/vnd.wap.si</rdf:li>",
        "<rdf:li>x-wap-application:wml.ua</rdf:li>",
        "<prf:Push-MsgSize>300</prf:Push-MsgSize>",
        "<prf:Push-MaxPushReq>2</prf:Push-MaxPushReq>",
    ] {
        assert!(profile.contains(part), "{part} in {profile}");
    }
    assert!(!profile.contains("c2VjcmV0"), "{profile}");
    assert_eq!(
        answer("198.51.100.1"),
        (Status::CAPABILITIES_NOT_AVAILABLE, None)
    );
    let refused = capabilities::answer(None, "nobody".to_owned(), Err(Status::ADDRESS_ERROR));
    let document = pap::write_response(&pap::Versions::default(), &refused.0);
    assert!(document.contains("code=\"2002\""), "{document}");
}

/// A rule for the model leaves fields of a push out; other models get them.
pub(super) fn fields_are_dropped_for_a_model() {
    for (model, rest) in [
        ("Phone/1.0", &[1, 0xC4, b'h', b'i'][..]),
        ("Other/1.0", REST),
    ] {
        let mut config = config();
        config.push_rules = [UserAgentRule {
            user_agents: vec![Pattern::new("phone/*")],
            // The content type stays in any case.
            drop: ["x-wap-*", "content-*"]
                .map(|name| name.parse().unwrap())
                .into_iter()
                .collect(),
        }]
        .into();
        let mut talk = Conversation::new(config);
        talk.connect(PUSHES, &text_fields(&[("user-agent", model)]));
        let to = To::Client {
            address: CLIENT,
            confirmed: false,
        };
        push(&mut talk, 1, to);
        let (_, _, sdu) = talk.invoked();
        assert_eq!(&sdu[1..], rest, "{model}");
    }
}
