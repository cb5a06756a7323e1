//! What initiators of pushes send.

use bytes::Bytes;
use wapbridge::push::pap::{self, multipart};
use wapbridge::push::{Recipient, content};

/// A submission as a body of HTTP: taking it apart ends, and its content becomes a message or is refused.
pub(super) fn message(octets: &[u8]) {
    let body = Bytes::copy_from_slice(octets);
    for content_type in [
        "multipart/related; boundary=\"x\"",
        "multipart/related",
        "application/xml",
    ] {
        let Ok(entities) = multipart::entities(content_type, &body) else {
            continue;
        };
        document(&entities.control);
        if let Some(entity) = entities.content {
            let made = content::message(&entity, &content::Initiator::default());
            if let Ok(message) = made {
                assert!(!message.headers.contains_key("authorization"));
                // Push behind the transaction id.
                assert_eq!(message.unit_push(1).get(1), Some(&0x06));
            }
        }
    }
}

/// A document is read, and its type written and read again is the same; or it is refused with an answer that is
/// well-formed.
pub(super) fn document(octets: &[u8]) {
    match pap::read(octets, 20) {
        Ok((versions, operation)) => {
            let written = pap::write_operation(&versions, &operation);
            let (_, again) = pap::read(written.as_bytes(), 20).unwrap();
            assert_eq!(again, operation, "{written}");
        }
        Err(rejection) => {
            let versions = rejection.versions.clone();
            let response = rejection.response();
            let written = pap::write_response(&versions, &response);
            let (_, again) = pap::read_response(written.as_bytes()).unwrap();
            assert_eq!(again, response, "{written}");
        }
    }
    if let Ok((versions, response)) = pap::read_response(octets) {
        let written = pap::write_response(&versions, &response);
        assert!(pap::read_response(written.as_bytes()).is_ok(), "{written}");
    }
}

/// An address is read or refused, and is never printed whole.
pub(super) fn address(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    for text in [
        text.to_string(),
        format!("WAPPUSH={text}/TYPE=USER@gw"),
        format!("WAPPUSH=+{text}/TYPE=PLMN@gw"),
    ] {
        if let Ok(recipient) = Recipient::parse(&text) {
            assert_eq!(recipient.text(), text);
        }
    }
}
