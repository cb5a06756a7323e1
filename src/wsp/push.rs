//! Pushes of a session and their state table: content the client did not ask for (WSP 6.3.3.11 to
//! 6.3.3.13, 7.1.6.6).

use bytes::Bytes;
use hashbrown::HashMap;

use crate::random::Keyed;
use crate::wsp::AbortReason;
use crate::wsp::capability::ProtocolOptions;
use crate::wsp::context::{Owner, SessionRef, StepContext, encoded};
use crate::wsp::indication::{EndReason, Indication};
use crate::wsp::key::SessionKey;
use crate::wsp::pdu::{self, Pdu};
use crate::wtp::{self, Class, Handle};

pub use crate::wsp::indication::{PushId, PushOutcome};

/// A confirmed push in the state PUSHING; NULL is not being in the table.
#[derive(Clone, Copy, Debug)]
struct Push {
    id: PushId,
    session: SessionKey,
}

/// Events of a confirmed push.
#[derive(Debug)]
pub(super) enum Event {
    /// TR-Invoke.cnf, with the exit info if the session agreed on acknowledgement headers.
    RcvAck(Bytes),
    /// TR-Abort.ind.
    RcvAbort(wtp::AbortReason),
    /// Pseudo-event: its session is suspended, resumed or over.
    Abort {
        transaction: Handle,
        reason: AbortReason,
    },
}

/// A step always ends the push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// NULL.
    Over,
    /// NULL. The reason may be meant for the whole session.
    Ended(EndReason),
}

impl Push {
    /// One row of the server's push table (WSP 7.1.6.6).
    fn step(self, event: Event, cx: &mut StepContext<'_>) -> Outcome {
        match event {
            // PUSHING / TR-Invoke.cnf
            Event::RcvAck(headers) => {
                cx.stats.pushes_confirmed += 1;
                let outcome = PushOutcome::Confirmed { headers };
                cx.indicate(Indication::Pushed(self.id, outcome));
                Outcome::Over
            }
            // PUSHING / TR-Abort.ind
            Event::RcvAbort(reason) => {
                let ending = EndReason::of(reason);
                let outcome = match ending {
                    EndReason::Aborted(reason) => PushOutcome::Aborted(reason),
                    EndReason::Lost(reason) => PushOutcome::Lost(reason),
                };
                cx.indicate(Indication::Pushed(self.id, outcome));
                Outcome::Ended(ending)
            }
            // PUSHING / Abort
            Event::Abort {
                transaction,
                reason,
            } => {
                cx.abort(transaction, reason);
                let outcome = PushOutcome::Aborted(reason);
                cx.indicate(Indication::Pushed(self.id, outcome));
                Outcome::Over
            }
        }
    }
}

/// The confirmed pushes of all sessions of a shard.
#[derive(Debug)]
pub(super) struct Pushes {
    by_transaction: HashMap<Handle, Push, Keyed>,
}

impl Pushes {
    pub(super) const fn new(hasher: Keyed) -> Self {
        Self {
            by_transaction: HashMap::with_hasher(hasher),
        }
    }

    /// NULL / S-Push.req or S-ConfirmedPush.req. `headers` begin with the content type.
    pub(super) fn begin(
        &mut self,
        id: PushId,
        session: SessionRef<'_>,
        list: &mut PushList,
        (confirmed, headers, data): (bool, &[u8], &[u8]),
        cx: &mut StepContext<'_>,
    ) -> Result<(), PushOutcome> {
        let content = pdu::Push { headers, data };
        let (option, class, pdu) = match confirmed {
            true => (
                ProtocolOptions::CONFIRMED_PUSH,
                Class::One,
                Pdu::ConfirmedPush(content),
            ),
            false => (ProtocolOptions::PUSH, Class::Zero, Pdu::Push(content)),
        };
        let profile = session.profile;
        if !profile.agreed.options.has(option) {
            return Err(PushOutcome::NotAgreed);
        }
        let sdu = encoded(&pdu);
        if profile.max_unit().is_some_and(|max| sdu.len() > max) {
            return Err(PushOutcome::TooLarge);
        }
        if confirmed && list.len() >= usize::from(profile.agreed.push_mor) {
            return Err(PushOutcome::Busy);
        }
        let transaction = cx
            .wtp
            .invoke(cx.now, session.peer, class, confirmed, sdu)
            .map_err(|_| PushOutcome::Busy)?;
        cx.stats.pushes += 1;
        if !confirmed {
            return Err(PushOutcome::Sent);
        }
        list.add(transaction);
        let session = session.key;
        self.by_transaction
            .insert(transaction, Push { id, session });
        cx.owners.insert(transaction, Owner::Push);
        Ok(())
    }

    /// The session of a push.
    pub(super) fn session_of(&self, transaction: Handle) -> Option<SessionKey> {
        let push = self.by_transaction.get(&transaction)?;
        Some(push.session)
    }

    /// An event for the push of a transaction, which is over with it.
    pub(super) fn step(
        &mut self,
        transaction: Handle,
        event: Event,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        match self.by_transaction.remove(&transaction) {
            Some(push) => push.step(event, cx),
            None => Outcome::Over,
        }
    }

    /// The pseudo-event Abort for all pushes of a session.
    pub(super) fn abort_all(
        &mut self,
        pushes: PushList,
        reason: AbortReason,
        cx: &mut StepContext<'_>,
    ) {
        for transaction in pushes.0.into_iter().flat_map(|pushes| *pushes) {
            let event = Event::Abort {
                transaction,
                reason,
            };
            self.step(transaction, event, cx);
        }
    }
}

/// The confirmed pushes of one session, oldest first. Hardly any session has one, so an empty list
/// is eight octets.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "hardly any session has some")]
pub(super) struct PushList(Option<Box<Vec<Handle>>>);

impl PushList {
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |pushes| pushes.len())
    }

    fn add(&mut self, transaction: Handle) {
        self.0.get_or_insert_default().push(transaction);
    }

    pub(super) fn remove(&mut self, transaction: Handle) {
        if let Some(pushes) = &mut self.0 {
            pushes.retain(|other| *other != transaction);
            if pushes.is_empty() {
                self.0 = None;
            }
        }
    }
}
