//! Pushes: what the shell wants a handset to have.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::gateway::{Event, Gateway};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::header::{Encoder, EncodingVersion};
pub use crate::wsp::push::{PushId, PushOutcome};

/// Content for a handset that did not ask for it. One [`Event::PushDone`] follows.
#[derive(Clone, Debug)]
pub struct Push {
    /// The asker's name for it.
    pub id: PushId,
    /// To whom.
    pub to: To,
    /// Its headers, the content type among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Where a push goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To the client of a session.
    Session {
        /// The session's id.
        id: u32,
        /// Whether the client is to confirm it.
        confirmed: bool,
    },
    /// To a port of an address, mostly 2948, in one datagram that nobody confirms.
    Unit(Peer),
}

impl Gateway {
    /// S-Push.req, S-ConfirmedPush.req or S-Unit-Push.req.
    pub(super) fn push(&mut self, now: Instant, push: &Push) {
        match push.to {
            To::Session { id, confirmed } => {
                let Some(session) = self.sessions.find(id) else {
                    let done = Event::PushDone(push.id, PushOutcome::NoSession);
                    return self.events.push_back(done);
                };
                let pages = session.agreed.code_pages();
                let encoder = Encoder::new(session.encoding).with_pages(pages);
                let headers = encode(&push.headers, session.encoding, encoder);
                let content = (confirmed, &headers[..], &push.body[..]);
                self.sessions
                    .push(now, session.key, push.id, content, &mut self.wtp);
            }
            To::Unit(peer) => {
                let version = EncodingVersion::default();
                let headers = encode(&push.headers, version, Encoder::new(version));
                let outcome = match self.connectionless.push(peer, &headers, &push.body) {
                    true => PushOutcome::Sent,
                    false => PushOutcome::TooLarge,
                };
                self.events.push_back(Event::PushDone(push.id, outcome));
            }
        }
    }
}

/// The block of a push: the content type first.
fn encode(headers: &HeaderMap, version: EncodingVersion, mut encoder: Encoder<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream");
    crate::wsp::header::encode_content_type(version, content_type, &mut out);
    for (name, value) in headers {
        if name != CONTENT_TYPE {
            encoder.field(name.as_str(), value.as_bytes(), &mut out);
        }
    }
    out
}
