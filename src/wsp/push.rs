//! Pushes of a session: content the client did not ask for (WSP 6.3.3.11 to 6.3.3.13, 7.1.6.6).

use bytes::Bytes;

use crate::time::Instant;
use crate::wsp::AbortReason;
use crate::wsp::capability::ProtocolOptions;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::session::{SessionKey, State};
use crate::wsp::sessions::{Ending, Indication, Owner, Sessions};
use crate::wtp::{self, Class, Endpoint, Handle};

/// Names one push; chosen by who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PushId(pub u64);

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was sent, and nobody confirms it.
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
    /// There is no such session, or it sleeps.
    NoSession,
    /// The client did not agree to pushes of this kind.
    NotAgreed,
    /// As many confirmed pushes as agreed are outstanding, or the transaction layer is full.
    Busy,
    /// It is larger than the client takes.
    TooLarge,
}

/// A confirmed push that is PUSHING.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push {
    pub(super) id: PushId,
    pub(super) session: SessionKey,
}

impl Sessions {
    /// S-Push.req or S-ConfirmedPush.req: one [`Indication::Pushed`] follows, at once or later. `headers`
    /// are an encoded block that begins with the content type.
    pub fn push(
        &mut self,
        now: Instant,
        key: SessionKey,
        id: PushId,
        (confirmed, headers, data): (bool, &[u8], &[u8]),
        wtp: &mut Endpoint,
    ) {
        let content = pdu::Push { headers, data };
        let pdu = match confirmed {
            true => Pdu::ConfirmedPush(content),
            false => Pdu::Push(content),
        };
        let mut sdu = Vec::with_capacity(headers.len() + data.len() + 4);
        pdu.encode(&mut sdu);
        if let Err(outcome) = self.try_push(now, key, id, confirmed, sdu.into(), wtp) {
            self.indications.push_back(Indication::Pushed(id, outcome));
        }
    }

    fn try_push(
        &mut self,
        now: Instant,
        key: SessionKey,
        id: PushId,
        confirmed: bool,
        sdu: Bytes,
        wtp: &mut Endpoint,
    ) -> Result<(), PushOutcome> {
        let session = self
            .registry
            .get_mut(key.slot)
            .filter(|session| session.id == key.id)
            .ok_or(PushOutcome::NoSession)?;
        match session.state {
            State::Connecting2 { .. } | State::Connected | State::Resuming2 { .. } => {}
            State::Connecting { .. } | State::Suspended | State::Resuming(_) => {
                return Err(PushOutcome::NoSession);
            }
        }
        let (option, class) = match confirmed {
            true => (ProtocolOptions::CONFIRMED_PUSH, Class::One),
            false => (ProtocolOptions::PUSH, Class::Zero),
        };
        if !session.profile.agreed.options.has(option) {
            return Err(PushOutcome::NotAgreed);
        }
        if session.max_unit().is_some_and(|max| sdu.len() > max) {
            return Err(PushOutcome::TooLarge);
        }
        if confirmed && session.pushing() >= usize::from(session.profile.agreed.push_mor) {
            return Err(PushOutcome::Busy);
        }
        let transaction = wtp
            .invoke(now, session.peer, class, confirmed, sdu)
            .map_err(|_| PushOutcome::Busy)?;
        self.stats.pushes += 1;
        if !confirmed {
            return Err(PushOutcome::Sent);
        }
        session.pushes.get_or_insert_default().push(transaction);
        self.pushes.insert(transaction, Push { id, session: key });
        self.owners.insert(transaction, Owner::Push);
        Ok(())
    }

    /// PUSHING / TR-Invoke.cnf.
    pub(super) fn push_confirmed(&mut self, transaction: Handle, exit_info: Bytes) {
        let Some(push) = self.take_push(transaction) else {
            return;
        };
        let wanted = self.session(push.session).is_some_and(|session| {
            let options = session.profile.agreed.options;
            options.has(ProtocolOptions::ACKNOWLEDGEMENT_HEADERS)
        });
        let headers = if wanted { exit_info } else { Bytes::new() };
        self.stats.pushes_confirmed += 1;
        self.indications.push_back(Indication::Pushed(
            push.id,
            PushOutcome::Confirmed { headers },
        ));
    }

    /// PUSHING / TR-Abort.ind. Two reasons act on the whole session.
    pub(super) fn push_aborted(
        &mut self,
        now: Instant,
        transaction: Handle,
        reason: wtp::AbortReason,
        wtp: &mut Endpoint,
    ) {
        let Some(push) = self.take_push(transaction) else {
            return;
        };
        let ending = Ending::of(reason);
        let outcome = match ending {
            Ending::Aborted(reason) => PushOutcome::Aborted(reason),
            Ending::Lost(reason) => PushOutcome::Lost(reason),
        };
        self.indications
            .push_back(Indication::Pushed(push.id, outcome));
        self.act_on(now, push.session, ending, wtp);
    }

    /// PUSHING / Abort.
    pub(super) fn abort_push(
        &mut self,
        now: Instant,
        transaction: Handle,
        reason: AbortReason,
        wtp: &mut Endpoint,
    ) {
        if let Some(push) = self.take_push(transaction) {
            wtp.abort(now, transaction, reason.0);
            self.indications
                .push_back(Indication::Pushed(push.id, PushOutcome::Aborted(reason)));
        }
    }

    fn take_push(&mut self, transaction: Handle) -> Option<Push> {
        let push = self.pushes.remove(&transaction)?;
        self.owners.remove(&transaction);
        if let Some(session) = self.session_mut(push.session)
            && let Some(pushes) = &mut session.pushes
        {
            pushes.retain(|other| *other != transaction);
            if pushes.is_empty() {
                session.pushes = None;
            }
        }
        Some(push)
    }
}
