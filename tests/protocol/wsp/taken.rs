//! A session that another node has taken over ends here without a word about the session.

use wapbridge::gateway::Command;

use super::conversation::Conversation;

/// GET of `http://a.example/`.
fn get() -> Vec<u8> {
    let uri = b"http://a.example/";
    [&[0x40, u8::try_from(uri.len()).unwrap()][..], uri].concat()
}

#[test]
fn what_is_under_way_ends_as_at_a_resume_and_the_client_hears_no_disconnect() {
    // With the facility of resuming sessions, and without: its peer may have gone to another node.
    for option in [0x20, 0x00] {
        let (mut conversation, id) = Conversation::session(&[0x02, 0x82, option]);
        let number = id
            .iter()
            .fold(0u32, |id, octet| id << 7 | u32::from(octet & 0x7F));
        let pending = conversation.invoke(&get());
        conversation.command(Command::Taken(number ^ 1));
        assert_eq!(conversation.gateway.stats().sessions, 1, "another session");
        conversation.command(Command::Taken(number));
        // Abort RESUME: a client that resumed elsewhere gave this request up.
        assert_eq!(
            (conversation.abort_of(pending), conversation.cancelled),
            (0xE3, 1),
            "option {option}"
        );
        let stats = conversation.gateway.stats();
        assert_eq!((stats.sessions, stats.wsp.taken), (0, 1));
        assert!(conversation.heard.is_empty(), "{:?}", conversation.heard);
        let after = conversation.invoke(&get());
        conversation.wait(3_000);
        assert_eq!(
            conversation.abort_of(after),
            0xE1,
            "it is not here any more"
        );
    }
}
