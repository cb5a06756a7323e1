//! A method's request: as it comes in, perhaps in several SDUs, and as the user is shown it.

use std::sync::Arc;

use bytes::Bytes;

use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::header::{CodePage, EncodingVersion};
use crate::wsp::key::SessionKey;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::profile::Profile;
use crate::wsp::reply_limit::ReplyLimit;
use crate::wtp::Fragment;

/// S-MethodInvoke.ind: the request of a client.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The conversation it came over.
    pub peer: Peer,
    /// The session; `None` in connectionless mode.
    pub session: Option<SessionKey>,
    /// GET, POST and so on.
    pub method: pdu::Method,
    /// The URI, as sent.
    pub uri: Bytes,
    /// Profile of the client; `None` in connectionless mode.
    pub client: Option<Arc<Profile>>,
    /// The method's own headers: an encoded block. For methods with a body it begins with the
    /// content type.
    pub headers: Bytes,
    /// Headers that followed the body (Data Fragment PDU): an encoded block, mostly empty.
    pub trailers: Bytes,
    /// The request body; `None` for methods without one (Get PDUs).
    pub body: Option<Bytes>,
    /// The newest header encoding the client understands.
    pub encoding: EncodingVersion,
    /// The extension pages the session agreed on.
    pub pages: Box<[CodePage]>,
    /// The HTTP name of an extended method the session agreed on.
    pub extended: Option<Box<str>>,
    /// Largest reply SDU in octets; `None` without a limit.
    pub max_reply: Option<usize>,
    /// The limit behind `max_reply`.
    pub reply_limit: ReplyLimit,
    /// Octets the gateway's own reply may have, if they are fewer; without a session only.
    pub max_problem: Option<usize>,
}

/// The request of a method PDU, cut out of its SDU, and the data units of it that have come since.
#[derive(Debug)]
pub(super) struct PartialRequest {
    method: pdu::Method,
    uri: Bytes,
    headers: Bytes,
    trailers: Bytes,
    /// The body, or its first data unit.
    body: Option<Bytes>,
    /// The data units after the first.
    more: Vec<u8>,
    /// Octets of the first SDU.
    sdu: usize,
    whole: bool,
}

impl PartialRequest {
    /// The request of a Get or Post PDU, which was decoded from this SDU.
    pub(super) fn of(pdu: &Pdu<'_>, sdu: &Bytes, fragment: Fragment) -> Option<Self> {
        let (method, uri, headers, body) = match pdu {
            Pdu::Get(get) => (get.method, get.uri, get.headers, None),
            Pdu::Post(post) => (post.method, post.uri, post.headers, Some(post.data)),
            _ => return None,
        };
        Some(Self {
            method,
            uri: sdu.slice_ref(uri),
            headers: sdu.slice_ref(headers),
            trailers: Bytes::new(),
            body: body.map(|body| sdu.slice_ref(body)),
            more: Vec::new(),
            sdu: sdu.len(),
            whole: !fragment.more,
        })
    }

    /// Octets of the body so far.
    pub(super) fn len(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len) + self.more.len()
    }

    /// Octets of the first SDU.
    pub(super) const fn sdu_len(&self) -> usize {
        self.sdu
    }

    /// Whether no data unit is missing.
    pub(super) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Where the first SDU stands in the message.
    pub(super) const fn fragment(&self) -> Fragment {
        Fragment {
            more: !self.whole,
            frame_boundary: false,
        }
    }

    /// A further data unit: raw octets of the body, or the last of them in a Data Fragment PDU.
    pub(super) fn add(&mut self, data: &Bytes, fragment: Fragment) -> Result<(), AbortReason> {
        self.whole = !fragment.more;
        if fragment.frame_boundary && self.whole {
            let Ok(Pdu::DataFragment(last)) = Pdu::decode(data) else {
                return Err(AbortReason::PROTOERR);
            };
            self.trailers = data.slice_ref(last.headers);
            self.more.extend_from_slice(last.data);
        } else {
            self.more.extend_from_slice(data);
        }
        Ok(())
    }

    /// The request with the values of its session. `limit` is the largest reply in octets, and the
    /// origin of that limit.
    pub(super) fn into_invocation(
        self,
        key: SessionKey,
        peer: Peer,
        profile: &Arc<Profile>,
        (max_reply, reply_limit): (Option<usize>, ReplyLimit),
    ) -> Invocation {
        let agreed = &profile.agreed;
        let body = match (self.body, self.more.is_empty()) {
            (body, true) => body,
            (None, false) => Some(self.more.into()),
            (Some(first), false) => {
                let mut body = Vec::with_capacity(first.len() + self.more.len());
                body.extend_from_slice(&first);
                body.extend_from_slice(&self.more);
                Some(body.into())
            }
        };
        Invocation {
            peer,
            session: Some(key),
            method: self.method,
            uri: self.uri,
            client: Some(Arc::clone(profile)),
            headers: self.headers,
            trailers: self.trailers,
            body,
            encoding: profile.encoding.unwrap_or_default(),
            pages: agreed.code_pages().into(),
            extended: agreed.extended_method(self.method.0).map(Into::into),
            max_reply,
            reply_limit,
            max_problem: None,
        }
    }
}
