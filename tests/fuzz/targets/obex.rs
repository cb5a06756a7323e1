//! Packets of OBEX, and the session of a client.

use bytes::Bytes;
use wapbridge::obex::packet::{self, packet_len};
use wapbridge::obex::session::{Action, Answer, Session};

/// Headers that are read are written as the same octets.
pub(crate) fn headers(octets: &[u8]) {
    let Ok(headers) = packet::headers(octets) else {
        return;
    };
    let mut again = Vec::new();
    for header in &headers {
        packet::put_header(&mut again, header);
    }
    assert_eq!(packet::headers(&again), Ok(headers));
}

/// Whatever a client says: each packet has one response that the client can take, an object that is
/// being put stays within its limit, and the session never waits for itself.
pub(crate) fn session(octets: &[u8]) {
    let mut session = Session::new(MAX_BODY, 7);
    let mut rest = octets;
    let mut most = usize::from(packet::LEAST_PACKET);
    while rest.len() >= 3 {
        let stated = packet_len(rest).unwrap_or_default();
        // Short lengths, so that few octets are many packets.
        let (one, after) = rest.split_at((3 + stated % 64).min(rest.len()));
        rest = after;
        let mut one = one.to_vec();
        let len = u16::try_from(one.len()).unwrap().to_be_bytes();
        one[1..3].copy_from_slice(&len);
        let is_get = one[0] & 0x7F == 3;
        let size = one
            .get(5..7)
            .map_or(0, |size| u16::from_be_bytes([size[0], size[1]]));
        if one[0] & 0x7F == 0 {
            most = most.max(usize::from(size));
        }
        let answer = || Answer {
            status: 200 + u16::from(one[2]),
            media_type: Some("text/x-vcard".to_owned()),
            body: Bytes::from(vec![b'x'; 40 * one.len()]),
        };
        match session.handle_packet(&one) {
            Action::Close => break,
            Action::Begin(request) | Action::Perform(request)
                if request
                    .body
                    .as_ref()
                    .is_some_and(|body| body.len() > MAX_BODY) =>
            {
                panic!("an object beyond the limit");
            }
            Action::Perform(_) | Action::Await => session.handle_answer(answer(), is_get),
            Action::Respond | Action::Begin(_) | Action::Cancel | Action::Forget => {}
        }
        let response = session.response();
        assert_eq!(packet_len(response), Some(response.len()), "{response:x?}");
        assert!(response.len() <= most, "{} of {most}", response.len());
        assert!(session.held() <= MAX_BODY);
    }
}

const MAX_BODY: usize = 300;
