//! Indications of the session layer to its user.

use bytes::Bytes;

use crate::wsp::AbortReason;
use crate::wsp::claim::{ClaimId, ClaimKey};
use crate::wsp::key::{MethodId, SessionKey};
use crate::wsp::request::Invocation;
use crate::wtp::{self, Report};

/// One indication or confirmation.
#[derive(Clone, Debug)]
pub enum Indication {
    /// S-Connect.ind: a client wants a session. Answered with
    /// [`super::sessions::Sessions::accept`], [`super::sessions::Sessions::refuse`] or
    /// [`super::sessions::Sessions::redirect`].
    Connect(SessionKey),
    /// S-Resume.ind: a client wants its session back, perhaps from elsewhere. Answered with
    /// [`super::sessions::Sessions::resume`] or [`super::sessions::Sessions::disconnect`].
    Resume(SessionKey),
    /// S-Suspend.ind: the session sleeps until it is resumed.
    Suspended(SessionKey, EndReason),
    /// S-Disconnect.ind: the session is over.
    Disconnected(SessionKey, EndReason),
    /// S-MethodInvoke.ind: a request, owed one [`super::sessions::Sessions::reply`] or
    /// [`super::sessions::Sessions::abort`].
    Method(MethodId, Invocation),
    /// S-MethodResult.cnf: the client has the whole reply. With it came acknowledgement headers, an
    /// encoded block that is mostly empty.
    Replied(MethodId, Bytes, Report),
    /// S-MethodAbort.ind: the method is over without its reply having been acknowledged.
    Aborted(MethodId, EndReason, Option<Report>),
    /// S-ConfirmedPush.cnf, S-PushAbort.ind, or why a push was not sent: one for each
    /// [`super::sessions::Sessions::push`].
    Pushed(PushId, PushOutcome),
    /// Another shard or the store may have a session: the user answers with one
    /// [`super::sessions::Sessions::handle_claim`].
    Claim(ClaimId, ClaimKey),
    /// A session is new or has changed: [`super::sessions::Sessions::record`] is the record to
    /// store.
    Changed(SessionKey),
    /// A Resume changed the known subscriber of a session: its stored credentials and cookies must
    /// be dropped.
    SubscriberChanged(SessionKey),
    /// The session with this id has ended: its record can be dropped.
    Gone(u32),
}

/// Why a method or a session ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client aborted it, or its session ended, for this reason.
    Aborted(AbortReason),
    /// The transaction layer gave up: the reply was never acknowledged, or the peer broke the
    /// protocol.
    Lost(wtp::AbortReason),
}

impl EndReason {
    /// The reason of a TR-Abort.ind.
    pub(super) const fn of(reason: wtp::AbortReason) -> Self {
        match reason {
            wtp::AbortReason::User(octet) => Self::Aborted(AbortReason(octet)),
            lost => Self::Lost(lost),
        }
    }
}

/// Names one push; chosen by the user that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PushId(pub u64);

/// The end of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was sent without a confirmation.
    Sent,
    /// The client has it.
    Confirmed {
        /// Acknowledgement headers, an encoded block; mostly empty.
        headers: Bytes,
    },
    /// The client, or the end of the session, aborted it. USERREQ may be tried again, USERRFS not.
    Aborted(AbortReason),
    /// It was never acknowledged.
    Lost(wtp::AbortReason),
    /// There is no such session, or it is suspended.
    NoSession,
    /// The client did not agree to pushes of this kind.
    NotAgreed,
    /// As many confirmed pushes as agreed are outstanding, or the transaction layer is full.
    Busy,
    /// It is larger than the client takes.
    TooLarge,
}
