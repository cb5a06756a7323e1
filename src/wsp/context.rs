//! Context of one step of a state machine of this layer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::random::Keyed;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::capability::ServerLimits;
use crate::wsp::indication::Indication;
use crate::wsp::key::{MethodId, SessionKey};
use crate::wsp::pdu::Pdu;
use crate::wsp::profile::Profile;
use crate::wsp::stats::Stats;
use crate::wtp::{Endpoint, Handle};

/// Lent to `step` of a session, a method or a push for one event.
pub(super) struct StepContext<'a> {
    pub(super) now: Instant,
    pub(super) limits: &'a ServerLimits,
    /// Whether a change of a session is to be indicated.
    pub(super) stored: bool,
    pub(super) owners: &'a mut Owners,
    pub(super) indications: &'a mut VecDeque<Indication>,
    pub(super) stats: &'a mut Stats,
    pub(super) wtp: &'a mut Endpoint,
}

impl StepContext<'_> {
    /// Adds an indication for the user of this layer.
    pub(super) fn indicate(&mut self, indication: Indication) {
        self.indications.push_back(indication);
    }

    /// Marks a session whose record in the store is out of date.
    pub(super) fn changed(&mut self, key: SessionKey) {
        if self.stored {
            self.indicate(Indication::Changed(key));
        }
    }

    /// TR-Abort.req for a transaction without an owner.
    pub(super) fn abort(&mut self, transaction: Handle, reason: AbortReason) {
        self.owners.remove(&transaction);
        self.wtp.abort(self.now, transaction, reason.0);
    }

    /// TR-Result.req with one PDU.
    pub(super) fn result(&mut self, transaction: Handle, pdu: &Pdu<'_>) {
        let sdu = encoded(pdu);
        self.wtp.result(self.now, transaction, sdu);
    }
}

/// A session, as its methods and pushes see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionRef<'a> {
    pub(super) key: SessionKey,
    pub(super) peer: Peer,
    pub(super) profile: &'a Arc<Profile>,
}

/// The octets of a PDU.
pub(super) fn encoded(pdu: &Pdu<'_>) -> Bytes {
    let mut sdu = Vec::new();
    pdu.encode(&mut sdu);
    sdu.into()
}

/// To which state machine the indications of a transaction go.
pub(super) type Owners = HashMap<Handle, Owner, Keyed>;

/// The owner of an open transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner {
    /// A session: the transaction is its Connect or Resume.
    Session(SessionKey),
    /// A method.
    Method(MethodId),
    /// A confirmed push.
    Push,
    /// A method that came before its Connect.
    PendingMethod,
    /// A Resume whose session another shard or the store may have.
    Claim,
    /// The Connect of a refused session: the session is in TERMINATING and has no other state.
    Terminating,
}
