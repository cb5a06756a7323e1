//! Pushes from the shell to a handset.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};

use crate::gateway::{Event, Gateway};
use crate::push::capabilities::Capabilities;
use crate::push::message::encode_headers;
use crate::route::{FieldNames, Pattern};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::header::{Encoder, EncodingVersion, fields, without_credentials};
pub use crate::wsp::push::{PushId, PushOutcome};
use crate::wsp::sessions::SessionInfo;

/// Content for a handset that did not ask for it. One [`Event::PushDone`] follows.
#[derive(Clone, Debug)]
pub struct Push {
    /// The asker's name for it.
    pub id: PushId,
    /// The destination.
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
    /// To the session that the client at an address uses and that takes such pushes.
    Client {
        /// The client's address; of IPv6 any address of its /64.
        address: IpAddr,
        /// Whether the client is to confirm it.
        confirmed: bool,
    },
    /// A port of an address, in most cases 2948, in one unconfirmed datagram.
    Unit(Peer),
}

/// Fields of pushes that clients of some models do not get (WAP-249 5.1.2.1.2). A client names its
/// model in the User-Agent of its Connect, so the rule is for pushes in sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct UserAgentRule {
    /// The names of the models, such as `Nokia*`.
    pub user_agents: Vec<Pattern>,
    /// The fields. A `*` stands for any run of characters.
    pub drop: FieldNames,
}

impl Gateway {
    /// The capabilities of the client at an address, by the Connect of its session.
    #[must_use]
    pub fn capabilities_of(&self, address: IpAddr) -> Option<Capabilities> {
        let session = self.sessions.find_for_push(address, true)?;
        let headers = without_credentials(&session.headers);
        let fields = fields(&headers, session.agreed.code_pages());
        let fields = fields.filter_map(Result::ok);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Some(Capabilities {
            fields: fields
                .map(|field| (field.name.to_ascii_lowercase(), text(&field.value)))
                .collect(),
            max_message: Some(session.agreed.client_sdu).filter(|size| *size != 0),
            max_pushes: session.agreed.push_mor,
        })
    }

    /// S-Push.req, S-ConfirmedPush.req or S-Unit-Push.req.
    pub(super) fn push(&mut self, now: Instant, push: &Push) {
        match push.to {
            To::Session { .. } | To::Client { .. } => {
                let (session, confirmed) = match push.to {
                    To::Client { address, confirmed } => {
                        (self.sessions.find_for_push(address, confirmed), confirmed)
                    }
                    To::Session { id, confirmed } => (self.sessions.find(id), confirmed),
                    To::Unit(_) => (None, false),
                };
                let Some(session) = session else {
                    let done = Event::PushDone(push.id, PushOutcome::NoSession);
                    return self.events.push_back(done);
                };
                let pages = session.agreed.code_pages();
                let encoder = Encoder::new(session.encoding).with_pages(pages);
                let fields = self.for_client(&session, &push.headers);
                let headers = encode_headers(&fields, session.encoding, encoder);
                let content = (confirmed, &headers[..], &push.body[..]);
                self.sessions
                    .push(now, session.key, push.id, content, &mut self.wtp);
            }
            To::Unit(peer) => {
                let version = EncodingVersion::default();
                let headers = encode_headers(&push.headers, version, Encoder::new(version));
                let pushed = self.connectionless.push(peer, &headers, &push.body);
                let outcome = pushed.err().unwrap_or(PushOutcome::Sent);
                self.events.push_back(Event::PushDone(push.id, outcome));
            }
        }
    }
    /// The fields of a push that the client of a session gets.
    fn for_client<'a>(&self, session: &SessionInfo, headers: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        let rules = &self.config.push_rules;
        if rules.is_empty() {
            return Cow::Borrowed(headers);
        }
        let own = fields(&session.headers, session.agreed.code_pages());
        let mut own = own.filter_map(Result::ok);
        let Some(model) = own.find(|field| field.name.eq_ignore_ascii_case("user-agent")) else {
            return Cow::Borrowed(headers);
        };
        let model = String::from_utf8_lossy(&model.value);
        let is_meant = |rule: &&UserAgentRule| {
            let mut patterns = rule.user_agents.iter();
            patterns.any(|pattern| pattern.matches(&model))
        };
        let rules: Vec<_> = rules.iter().filter(is_meant).collect();
        // Without a content type there is no push.
        let is_kept = |name: &HeaderName| {
            name == CONTENT_TYPE || !rules.iter().any(|rule| rule.drop.mean(name.as_str()))
        };
        let kept = headers.iter().filter(|(name, _)| is_kept(name));
        Cow::Owned(
            kept.map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }
}
