//! Pushes, in sessions and without.

use bytes::Bytes;
use wapbridge::gateway::Command;
use wapbridge::gateway::push::{Push, PushId, PushOutcome, To};
use wapbridge::wdp::{Peer, Service};
use wapbridge::wtp::Class;

use super::super::conversation::{Conversation, UNIT_SERVER, config};

/// Has the gateway push "hi" as text/plain.
pub(super) fn push(conversation: &mut Conversation, number: u64, to: To) {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "text/plain".parse().unwrap());
    headers.insert("age", "1".parse().unwrap());
    conversation.command(Command::Push(Box::new(Push {
        id: PushId(number),
        to,
        headers,
        body: Bytes::from_static(b"hi"),
    })));
}

pub(super) fn number(id: &[u8]) -> u32 {
    id.iter()
        .fold(0, |id, octet| id << 7 | u32::from(octet & 0x7F))
}

pub(super) const PUSH: &[u8] = &[0x06, 3, 0x83, 0x85, 0x81, b'h', b'i'];

pub(super) fn a_push_is_sent_if_agreed() {
    let (mut conversation, id) = Conversation::session(&[0x02, 0x82, 0x40]);
    let id = number(&id);
    push(
        &mut conversation,
        1,
        To::Session {
            id,
            confirmed: false,
        },
    );
    let (_, class, sdu) = conversation.invoked();
    assert_eq!((class, &sdu[..]), (Class::Zero, PUSH));
    push(
        &mut conversation,
        2,
        To::Session {
            id,
            confirmed: true,
        },
    );
    push(
        &mut conversation,
        3,
        To::Session {
            id: id ^ 1,
            confirmed: false,
        },
    );
    let outcomes: Vec<_> = conversation
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
    assert!(conversation.heard.is_empty());
}

pub(super) fn a_push_is_confirmed_or_refused() {
    // Confirmed push and acknowledgement headers; two at a time.
    let (mut conversation, id) = Conversation::session(&[0x02, 0x82, 0x90, 0x02, 0x84, 0x02]);
    let to = To::Session {
        id: number(&id),
        confirmed: true,
    };
    push(&mut conversation, 1, to);
    push(&mut conversation, 2, to);
    push(&mut conversation, 3, to);
    assert_eq!(
        conversation.pushed.pop(),
        Some((PushId(3), PushOutcome::Busy))
    );
    let (first, class, sdu) = conversation.invoked();
    assert_eq!((class, sdu[0], &sdu[1..]), (Class::One, 0x07, &PUSH[1..]));
    conversation
        .client
        .accept(conversation.now, first, &[0x85, 0x81]);
    conversation.run();
    let headers = Bytes::from_static(&[0x85, 0x81]);
    assert_eq!(
        conversation.pushed.pop(),
        Some((PushId(1), PushOutcome::Confirmed { headers }))
    );
    let (second, ..) = conversation.invoked();
    conversation.client.abort(conversation.now, second, 0xEE);
    conversation.run();
    for reason in 0xEA..=0xEE {
        push(&mut conversation, 4, to);
        let (handle, ..) = conversation.invoked();
        conversation.client.abort(conversation.now, handle, reason);
        conversation.run();
        let outcome = PushOutcome::Aborted(wapbridge::wsp::AbortReason(reason));
        assert_eq!(conversation.pushed.pop(), Some((PushId(4), outcome)));
    }
}

pub(super) fn a_unit_push() {
    let mut conversation = Conversation::new(config());
    let client = "192.0.2.7:2948".parse().unwrap();
    push(
        &mut conversation,
        1,
        To::Unit(Peer::new(client, UNIT_SERVER)),
    );
    assert_eq!(conversation.pushed, [(PushId(1), PushOutcome::Sent)]);
    let (peer, datagram) = conversation.units.pop().unwrap();
    assert_eq!(peer.remote.port(), 2_948);
    assert_eq!(&datagram[1..], PUSH);
    // What is no request is not answered.
    conversation.deliver(Service::Connectionless, &[1, 0x06, 1, 0x83]);
    conversation.run();
    assert!(conversation.units.is_empty());
}
