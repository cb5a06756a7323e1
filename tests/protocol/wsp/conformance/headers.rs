//! Header fields, code pages and encoding versions.

use wapbridge::gateway::Unassigned;

use super::super::conversation::{Conversation, config};
use super::{fields, get, values};

pub(super) fn headers_of_the_default_page_both_ways() {
    let mut settings = config();
    settings.wsp.max_methods = 8;
    let mut conversation = Conversation::new(settings);
    conversation.connect(&[], b"\x80\x94\xA9ua\0");
    // B.1: Accept by number, Accept-Language, an Age, a date, and a field without a number.
    let mut sdu = get(0x40);
    sdu.extend_from_slice(b"\x80\x83\x83\x99\x8F\x04\x35\x3F\xBA\x11x-own\0v\0");
    let handle = conversation.invoke(&sdu);
    let request = conversation.fetched();
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
    conversation.answers(401, &fields_of_origin, b"");
    let reply = conversation.result_of(handle);
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

pub(super) fn code_pages() {
    // Header Code Pages: 0x10 is x-up-1, 0x11 is nobody's.
    let offer = b"\x12\x86\x10x-up-1\0\x11x-none\0";
    let offer = [&[u8::try_from(offer.len() - 1).unwrap()][..], &offer[1..]].concat();
    let (mut conversation, _) = Conversation::session(&offer);
    let mut sdu = get(0x40);
    sdu.extend_from_slice(b"\x10\x81\x85");
    let handle = conversation.invoke(&sdu);
    assert!(
        conversation
            .fetched()
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-up"))
    );
    // A field of the agreed page goes back on that page.
    let name = conversation
        .fetched()
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("x-up"))
        .cloned();
    let name: &'static str = Box::leak(name.unwrap().as_str().to_owned().into_boxed_str());
    conversation.answers(200, &[(name, "5")], b"");
    let reply = conversation.result_of(handle);
    assert!(
        reply.windows(3).any(|part| part == [0x10, 0x81, 0x85]),
        "{reply:02X?}"
    );
    let mut sdu = get(0x40);
    sdu.extend_from_slice(b"\x11\x81\x85");
    let handle = conversation.invoke(&sdu);
    let reply = conversation.result_of(handle);
    assert_eq!(reply[1], 0x40, "Bad Request");
    assert!(
        reply.windows(3).any(|part| part == [0xC3, 0x01, 0x91]),
        "{reply:02X?}"
    );
}

pub(super) fn encoding_versions_are_agreed() {
    // The client says 1.4 in its Connect, and is told so once for all.
    let mut conversation = Conversation::new(config());
    let reply = conversation.connect(&[], &[0xC3, 0x94]);
    assert!(reply.ends_with(&[0xC3, 0x94]), "{reply:02X?}");
    // Ours is 1.5, so a client of 1.6 is told 1.5.
    let reply = Conversation::new(config()).connect(&[], &[0xC3, 0x96]);
    assert!(reply.ends_with(&[0xC3, 0x95]), "{reply:02X?}");
    // One that says nothing is of 1.2: a field of 1.3 goes as text.
    let encoded = |headers: &[u8]| {
        let mut conversation = Conversation::new(config());
        conversation.connect(&[], headers);
        let handle = conversation.invoke(&get(0x40));
        conversation.answers(
            200,
            &[("te", "x"), ("expect", "x"), ("content-id", "<c@a>")],
            b"",
        );
        conversation.result_of(handle)
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
    let mut conversation = Conversation::new(config());
    for (own, told) in [(&[][..], "1.2"), (&[0xC3, 0x93][..], "1.3")] {
        let (_, reply) = conversation.ask_unit(&[&get(0x40)[..], own].concat(), 200, b"");
        assert_eq!(
            values(&fields(&reply), "encoding-version"),
            [told],
            "{reply:02X?}"
        );
    }
    // A number nobody assigned: refused with the versions we know, where the operator wants it so.
    let mut settings = config();
    settings.headers.unassigned = Unassigned::Refuse;
    let mut conversation = Conversation::new(settings);
    conversation.connect(&[], &[0xC3, 0x94]);
    let handle = conversation.invoke(&[&get(0x40)[..], &[0xFE, 0x81]].concat());
    let reply = conversation.result_of(handle);
    assert_eq!(reply[1], 0x40);
    assert!(
        reply.windows(2).any(|part| part == [0xC3, 0x94]),
        "{reply:02X?}"
    );
}
