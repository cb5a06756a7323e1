//! Gives events to the state machines of sessions, methods and pushes, and updates the tables by
//! their outcome.

use super::Sessions;
use crate::time::Instant;
use crate::wsp::AbortReason;
use crate::wsp::indication::{EndReason, Indication};
use crate::wsp::key::{MethodId, SessionKey};
use crate::wsp::method;
use crate::wsp::push;
use crate::wsp::session::{Event, Outcome};
use crate::wtp::{Endpoint, Handle};

impl Sessions {
    /// An event for a session. Keeps the tables in step with its state.
    pub(super) fn step(
        &mut self,
        now: Instant,
        key: SessionKey,
        event: Event<'_>,
        wtp: &mut Endpoint,
    ) -> Outcome {
        let outcome = self.step_only(now, key, event, wtp);
        if let Outcome::Over { .. } = outcome {
            if self.claims.is_known_outside(key.id) {
                self.shared.indications.push_back(Indication::Gone(key.id));
            }
            self.remove(key);
        }
        outcome
    }

    /// The same, except that a session that is over stays in the tables.
    pub(super) fn step_only(
        &mut self,
        now: Instant,
        key: SessionKey,
        event: Event<'_>,
        wtp: &mut Endpoint,
    ) -> Outcome {
        let Some(session) = self.table.get_mut(key) else {
            return Outcome::Refused;
        };
        let before = session.response_to();
        let mut cx = self.shared.context(now, wtp);
        let outcome = session.step(event, key, &mut self.children, &mut cx);
        let after = match outcome {
            Outcome::Lives | Outcome::Refused => session.response_to(),
            Outcome::Over { .. } => None,
        };
        if before != after {
            if let Some(peer) = before
                && self.setting_up.get(&peer) == Some(&key)
            {
                self.setting_up.remove(&peer);
            }
            if let Some(peer) = after {
                self.setting_up.insert(peer, key);
            }
        }
        outcome
    }

    /// An event for a method that does not concern its session.
    pub(super) fn step_method(
        &mut self,
        now: Instant,
        key: SessionKey,
        id: MethodId,
        event: method::Event<'_>,
        wtp: &mut Endpoint,
    ) {
        let mut cx = self.shared.context(now, wtp);
        let outcome = self.children.methods.step(id, event, &mut cx);
        self.method_stepped(now, key, id, outcome, wtp);
    }

    /// Removes a method that is over, and lets its session hear why.
    pub(super) fn method_stepped(
        &mut self,
        now: Instant,
        key: SessionKey,
        id: MethodId,
        outcome: method::Outcome,
        wtp: &mut Endpoint,
    ) {
        if outcome == method::Outcome::Lives {
            return;
        }
        if let Some(session) = self.table.get_mut(key) {
            let (_, list, _) = session.parts(key);
            self.children.methods.remove(list, id);
        }
        if let method::Outcome::Ended(ending) = outcome {
            self.child_ended(now, key, ending, wtp);
        }
    }

    /// An event for a confirmed push, which is over with it.
    pub(super) fn step_push(
        &mut self,
        now: Instant,
        transaction: Handle,
        event: push::Event,
        wtp: &mut Endpoint,
    ) {
        let Some(key) = self.children.pushes.session_of(transaction) else {
            return;
        };
        let mut cx = self.shared.context(now, wtp);
        let outcome = self.children.pushes.step(transaction, event, &mut cx);
        if let Some(session) = self.table.get_mut(key) {
            let (_, _, list) = session.parts(key);
            list.remove(transaction);
        }
        if let push::Outcome::Ended(ending) = outcome {
            self.child_ended(now, key, ending, wtp);
        }
    }

    /// The client aborted a method or push. Two reasons are meant for the whole session.
    fn child_ended(
        &mut self,
        now: Instant,
        key: SessionKey,
        ending: EndReason,
        wtp: &mut Endpoint,
    ) {
        let event = match ending {
            EndReason::Aborted(AbortReason::DISCONNECT) => Event::Disconnect(ending),
            EndReason::Aborted(AbortReason::SUSPEND) => Event::Suspend(ending),
            EndReason::Aborted(_) | EndReason::Lost(_) => return,
        };
        self.step(now, key, event, wtp);
    }
}
