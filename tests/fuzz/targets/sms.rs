//! Notifications, short messages, and what an SMS centre says.

use wapbridge::smpp::{Config, Event, Message, Session};
use wapbridge::sms::UserDataHeader;
use wapbridge::syncml::notification::{Body, Builder, Notification};
use wapbridge::time::Instant;

/// A notification that is read is built again, but for the bits for future use.
pub(crate) fn notification(octets: &[u8]) {
    let Ok(notification) = Notification::parse(octets) else {
        return;
    };
    let builder = Builder {
        version: notification.version,
        ui_mode: notification.ui_mode,
        by_server: notification.by_server,
        session_id: notification.session_id,
        server: notification.server,
        body: Body::Vendor(notification.body),
    };
    let again = [&octets[..16], &builder.trigger().unwrap()].concat();
    assert_eq!(Notification::parse(&again), Ok(notification));
    assert_eq!(again.len(), octets.len());
    let Ok(syncs) = notification.syncs() else {
        return;
    };
    let body = Body::Stores(&syncs);
    let again = Builder { body, ..builder }.trigger().unwrap();
    let whole = [&octets[..16], &again].concat();
    assert_eq!(Notification::parse(&whole).unwrap().syncs().unwrap(), syncs);
}

/// A header that is read and written is read again as the same.
pub(crate) fn user_data(octets: &[u8]) {
    let Ok((header, rest)) = UserDataHeader::decode(octets) else {
        return;
    };
    assert!(octets.ends_with(rest));
    let mut again = Vec::new();
    header.encode(&mut again);
    assert_eq!(UserDataHeader::decode(&again), Ok((header, &[][..])));
}

/// Whatever a centre says after it has accepted the bind: every message has one answer, and what we
/// say in turn is bounded by what it said.
pub(crate) fn session(octets: &[u8]) {
    let now = Instant::ZERO;
    let mut session = Session::new(Config::default(), now);
    session.handle_input(now, b"\0\0\0\x11\x80\0\0\x09\0\0\0\0\0\0\0\x01\0");
    assert!(session.is_bound());
    let message = Message {
        destination: "491701234567",
        user_data: b"\x06\x05\x04\x0B\x84\x23\xF0!",
        validity: None,
        more: false,
    };
    let mut submitted = 0;
    while session.has_room(now) {
        session.submit(now, submitted, &message);
        submitted += 1;
    }
    let mut said = Vec::new();
    session.poll_transmit(&mut said);
    said.clear();
    session.handle_input(now, octets);
    session.poll_transmit(&mut said);
    assert!(said.len() <= 2 * octets.len() + 32);
    session.handle_disconnect();
    let mut answers = 0;
    while let Some(event) = session.poll_event() {
        answers += u64::from(matches!(event, Event::Answered { .. }));
    }
    assert_eq!(answers, submitted);
}
