//! Sessions: from Connect to Disconnect, with capabilities, Suspend and Resume.

use wapbridge::gateway::{Command, Mode, Redirect};
use wapbridge::wtp::Class;

use super::super::conversation::{Conversation, WHOLE, config, session_id};
use super::{get, post, resume, with_id};

pub(super) fn both_modes_answer_on_their_ports() {
    let (mut conversation, id) = Conversation::session(&[]);
    let (request, reply) = conversation.ask(&get(0x40), 200, b"hi");
    assert_eq!(request.uri.to_string(), "https://origin.example/x");
    assert_eq!(reply[..], [0x04, 0x20, 1, 0x83, b'h', b'i']);
    conversation.invoke_as(Class::Zero, &with_id(0x05, &id), WHOLE);
    assert_eq!(conversation.gateway.stats().sessions, 0);

    let (_, reply) = conversation.ask_unit(&get(0x40), 200, b"hi");
    assert_eq!(reply[..2], [0x04, 0x20]);
    assert!(reply.ends_with(b"hi"));
}

pub(super) fn a_second_connect_replaces_the_session() {
    let (mut conversation, first) = Conversation::session(&[0x02, 0x82, 0x20]);
    let pending = conversation.invoke(&get(0x40));
    let reply = conversation.connect(&[], &[]);
    // ConnectReply: id, length of capabilities, length of headers, and nothing after the two blocks.
    let second = session_id(&reply);
    let at = 1 + second.len();
    let (capabilities, headers) = (usize::from(reply[at]), usize::from(reply[at + 1]));
    assert_eq!(reply.len(), at + 2 + capabilities + headers);
    assert_ne!(first, second);
    assert_eq!(
        (conversation.abort_of(pending), conversation.cancelled),
        (0xE1, 1)
    );
    assert_eq!(conversation.gateway.stats().sessions, 1);
    let handle = conversation.invoke(&resume(&first, &[]));
    assert_eq!(
        conversation.abort_of(handle),
        0xE1,
        "the old id means nothing any more"
    );
}

pub(super) fn a_connect_is_redirected() {
    let mut settings = config();
    let to = ["192.0.2.99:50001".parse().unwrap()];
    assert!(
        Redirect::new(&to, 9_201, true).is_err(),
        "another port is never for good"
    );
    assert!(Redirect::new(&["192.0.2.99:9300".parse().unwrap()], 9_201, false).is_err());
    settings.redirect = Some(Redirect::new(&to, 9_201, false).unwrap());
    let mut conversation = Conversation::new(settings);
    // The first method came before its Connect; it ends with it.
    let early = conversation.invoke(&get(0x40));
    let reply = conversation.connect(&[], &[]);
    assert_eq!(reply[..], [0x03, 0x00, 0x44, 0xC3, 0x51, 192, 0, 2, 99]);
    assert_eq!(conversation.abort_of(early), 0xE1);
    assert_eq!(
        (
            conversation.gateway.stats().sessions,
            conversation.gateway.stats().wsp.redirected
        ),
        (0, 1)
    );

    let mut settings = config();
    settings.redirect = Redirect::new(&["192.0.2.99:9201".parse().unwrap()], 9_201, true).ok();
    let reply = Conversation::new(settings).connect(&[], &[]);
    assert_eq!(
        reply[..],
        [0x03, 0x80, 0x04, 192, 0, 2, 99],
        "the same port is not named"
    );

    let mut settings = config();
    settings.drain_redirect = Some(Redirect::new(&to, 9_201, false).unwrap());
    let mut conversation = Conversation::new(settings);
    assert_eq!(conversation.connect(&[], &[])[0], 0x02);
    conversation.command(Command::Enter(Mode::Draining));
    assert_eq!(conversation.connect(&[], &[])[0], 0x03);
}

pub(super) fn capabilities_are_lowered_and_answered() {
    let mut settings = config();
    settings.wsp.max_methods = 4;
    settings.wsp.max_client_sdu = 10_000;
    settings.wsp.aliases = vec![0x04, 198, 51, 100, 2];
    let mut conversation = Conversation::new(settings);
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
    let reply = conversation.connect(&offer, &[]);
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
    // A client that named nothing is answered nothing it could not know, but for our Encoding-Version, which a
    // client of version 1.2 reads as text (8.4.2.70).
    let reply = Conversation::new(config()).connect(&[], &[]);
    let at = 1 + session_id(&reply).len();
    assert_eq!(reply[at..], *b"\x00\x15Encoding-Version\x001.5\x00");
}

pub(super) fn what_was_agreed_is_enforced() {
    // Server-SDU-Size 100, one method at a time.
    let (mut conversation, _) = Conversation::session(&[0x02, 0x81, 0x64, 0x02, 0x83, 0x01]);
    let large = conversation.invoke(&post(0x60, &[0x83], &[b'x'; 100]));
    assert_eq!(conversation.abort_of(large), 0xE6, "MRUEXCEEDED");
    let first = conversation.invoke(&get(0x40));
    let second = conversation.invoke(&get(0x40));
    assert_eq!(conversation.abort_of(second), 0xE7, "MOREXCEEDED");
    conversation.answers(200, &[], b"");
    // Its reply only waits for the last Ack, so it does not count any more.
    let third = conversation.invoke(&get(0x40));
    conversation.answers(200, &[], b"");
    assert_eq!(
        (
            conversation.result_of(first)[1],
            conversation.result_of(third)[1]
        ),
        (0x20, 0x20)
    );
    // Client-SDU-Size 64: a larger reply is the gateway's problem. 0: there is none.
    let (mut conversation, _) = Conversation::session(&[0x02, 0x80, 0x40]);
    let (_, reply) = conversation.ask(&get(0x40), 200, &[b'x'; 100]);
    assert_eq!(reply[1], 0x62, "Bad Gateway");
    assert!(reply.len() <= 64);
    let (mut conversation, _) = Conversation::session(&[0x02, 0x80, 0x00]);
    let (_, reply) = conversation.ask(&get(0x40), 200, &[b'x'; 20_000]);
    assert_eq!(reply.len(), 20_004);
}

pub(super) fn either_side_disconnects() {
    let (mut conversation, id) = Conversation::session(&[]);
    let pending = conversation.invoke(&get(0x40));
    conversation.invoke_as(Class::Zero, &with_id(0x05, &id), WHOLE);
    assert_eq!(
        (conversation.abort_of(pending), conversation.cancelled),
        (0xE1, 1)
    );
    let after = conversation.invoke(&get(0x40));
    conversation.wait(3_000);
    assert_eq!(conversation.abort_of(after), 0xE1);

    let reply = conversation.connect(&[], &[]);
    let id = session_id(&reply);
    let number = id
        .iter()
        .fold(0u32, |id, octet| id << 7 | u32::from(octet & 0x7F));
    let pending = conversation.invoke(&get(0x40));
    conversation.command(Command::Disconnect(number));
    assert_eq!(conversation.abort_of(pending), 0xE1);
    let (_, class, sdu) = conversation.invoked();
    assert_eq!((class, &sdu[..]), (Class::Zero, &with_id(0x05, &id)[..]));
}

pub(super) fn a_session_sleeps_and_wakes_elsewhere() {
    let mut conversation = Conversation::new(config());
    // Session resume; User-Agent "old".
    let id = session_id(&conversation.connect(&[0x02, 0x82, 0x20], b"\xA9old\0"));
    let pending = conversation.invoke(&get(0x40));
    conversation.invoke_as(Class::Zero, &with_id(0x08, &id), WHOLE);
    assert_eq!(conversation.abort_of(pending), 0xE2);
    let asleep = conversation.invoke(&get(0x40));
    assert_eq!(conversation.abort_of(asleep), 0xE2);

    conversation.port = 50_001;
    // There is a session at the new address; it is dropped.
    let other = session_id(&conversation.connect(&[], &[]));
    let handle = conversation.invoke(&resume(&id, &[]));
    assert_eq!(conversation.result_of(handle)[..2], [0x04, 0x20]);
    assert_eq!(conversation.gateway.stats().sessions, 1);
    let (request, _) = conversation.ask(&get(0x40), 200, b"");
    assert_eq!(request.headers["user-agent"], "old");
    let unknown = conversation.invoke(&resume(&other, &[]));
    assert_eq!(conversation.abort_of(unknown), 0xE1);
    // Headers of a Resume take the place of the session's.
    let handle = conversation.invoke(&resume(&id, b"\xA9new\0"));
    conversation.result_of(handle);
    let (request, _) = conversation.ask(&get(0x40), 200, b"");
    assert_eq!(request.headers["user-agent"], "new");
    // Where the facility was not agreed on there is no resuming.
    let (mut conversation, id) = Conversation::session(&[]);
    let handle = conversation.invoke(&resume(&id, &[]));
    assert_eq!(conversation.abort_of(handle), 0xE1);
}
