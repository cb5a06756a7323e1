//! What the rows of the responder's tables do (WTP 9.3), and the segments below them.

use bytes::Bytes;

use super::{Doubt, Held, Responder, State, ack_interval};
use crate::wtp::abort::{AbortReason, ProviderAbort};
use crate::wtp::indication::{Fragment, Indication};
use crate::wtp::pdu::{Class, Packet};
use crate::wtp::receiver::{Receiver, Reception};
use crate::wtp::sender::Sender;
use crate::wtp::tpi::Psn;
use crate::wtp::transaction::{Answer, Fate, Shared, Turn};

impl Responder {
    /// A packet of the Invoke.
    pub(super) fn receive(
        &mut self,
        low: u8,
        packet: &Packet<'_>,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        let State::Receiving {
            receiver,
            doubt,
            indicated,
        } = &mut self.state
        else {
            return Fate::Lives;
        };
        if let Err(reason) = shared.check_room(receiver.message_len(), packet, turn) {
            return if *indicated {
                shared.abort(reason, turn)
            } else {
                shared.refuse(AbortReason::Provider(reason), turn)
            };
        }
        let address = shared.peer.remote.ip();
        if doubt.is_some() && turn.pool.unverified_room(address, turn.config) < packet.data.len() {
            // As if it were lost; the Nack will ask for it.
            turn.stats.refused_unverified += 1;
            return Fate::Lives;
        }
        let reception = receiver.hear(turn.now, low, packet, turn.config);
        match reception {
            Reception::Stored => {}
            Reception::Duplicate => shared.note_duplicate(turn),
            Reception::Impossible => turn.stats.strays += 1,
            Reception::Nack { up_to } => self.answer = Some(Answer::Nack { up_to }),
            Reception::Ack {
                psn,
                repeated,
                duplicate,
            } => {
                if duplicate {
                    shared.note_duplicate(turn);
                }
                if let Some(doubt) = *doubt {
                    let held =
                        std::mem::replace(receiver, Box::new(Receiver::new(turn.now, turn.config)));
                    self.ask(Held::Segments(held), doubt, Some(psn), shared, turn);
                    return Fate::Lives;
                }
                self.answer = Some(Answer::Ack {
                    psn: Some(psn),
                    repeated,
                });
            }
        }
        self.deliver(shared, turn)
    }

    /// The first group was verified; go on with the rest, if any.
    pub(super) fn resume(
        &mut self,
        receiver: Box<Receiver>,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        self.state = State::Receiving {
            receiver,
            doubt: None,
            indicated: false,
        };
        if let State::Receiving { receiver, .. } = &mut self.state {
            receiver.keep_until(turn.now + turn.config.wait_timeout);
        }
        self.deliver(shared, turn)
    }

    /// Gives the user what is whole; with the last of it the transaction proper begins.
    pub(super) fn deliver(&mut self, shared: &mut Shared, turn: &mut Turn<'_>) -> Fate {
        loop {
            let State::Receiving {
                receiver,
                doubt: None,
                indicated,
            } = &mut self.state
            else {
                return Fate::Lives;
            };
            let Some((data, fragment)) = receiver.take_unit() else {
                return Fate::Lives;
            };
            let first = !std::mem::replace(indicated, true);
            if fragment.more {
                indicate(data, fragment, first, shared, turn);
                continue;
            }
            turn.stats.reassembled += 1;
            self.last_psn = receiver.acked();
            // The Result, or the ack of the transaction, stands for that of the last group (Fig. 10).
            self.answer = None;
            if first {
                return self.begin(data, fragment, shared, turn);
            }
            indicate(data, fragment, false, shared, turn);
            return self.await_user(shared, turn);
        }
    }

    /// Generate TR-Invoke.ind, start timer A.
    pub(super) fn begin(
        &mut self,
        data: Bytes,
        fragment: Fragment,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        indicate(data, fragment, true, shared, turn);
        self.await_user(shared, turn)
    }

    pub(super) fn await_user(&mut self, shared: &Shared, turn: &mut Turn<'_>) -> Fate {
        let interval = ack_interval(shared, turn.config);
        if interval.is_zero() {
            return self.acknowledge_last(Bytes::new(), turn);
        }
        self.state = State::InvokeRespWait {
            ack_at: turn.now + interval,
            expirations: 0,
        };
        Fate::Lives
    }

    /// Send Ack(TIDve).
    pub(super) fn ask(
        &mut self,
        held: Held,
        doubt: Doubt,
        psn: Option<Psn>,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) {
        let config = turn.config;
        let repeats = u32::from(config.max_retransmissions) + 1;
        self.state = State::TidokWait {
            held,
            doubt,
            forget_at: turn.now + config.base_retry * repeats,
        };
        self.answer = Some(Answer::Verify {
            psn,
            repeated: false,
        });
        shared.report.verified = true;
        turn.stats.verifications += 1;
    }

    pub(super) fn ask_again(&mut self, psn: Option<Psn>, turn: &mut Turn<'_>) {
        self.answer = Some(Answer::Verify {
            psn,
            repeated: true,
        });
        turn.stats.verifications += 1;
    }

    /// The initiator has such a transaction. Says whether this is the first we hear of it; if not, late copies
    /// speak, and it is forgotten without a word, since the initiator may have its answer.
    pub(super) fn vouched(&mut self, tid_new: bool, shared: &Shared, turn: &mut Turn<'_>) -> bool {
        self.answer = None;
        let tid = shared.send_tid & 0x7FFF;
        let (config, stats) = (turn.config, &mut *turn.stats);
        turn.peers
            .verified(turn.now, shared.peer, tid, tid_new, config, stats)
    }

    /// Ack of a class 1 transaction; start timer W.
    pub(super) fn acknowledge_last(&mut self, exit_info: Bytes, turn: &Turn<'_>) -> Fate {
        self.state = State::WaitTimeout {
            until: turn.now + turn.config.wait_timeout,
            exit_info,
        };
        self.answer = Some(Answer::Ack {
            psn: self.last_psn,
            repeated: false,
        });
        Fate::Lives
    }

    pub(super) fn repeat_last(&mut self) {
        if self.answer.is_none() {
            self.answer = Some(Answer::Ack {
                psn: self.last_psn,
                repeated: true,
            });
        }
    }

    pub(super) const fn hold_on(&mut self, repeated: bool) {
        self.answer = Some(Answer::Ack {
            psn: self.last_psn,
            repeated,
        });
    }

    /// Reset RCR, start timer R, send Result PDU.
    pub(super) fn send_result(
        &mut self,
        data: Bytes,
        fragment: Fragment,
        shared: &Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        if shared.class != Class::Two {
            return Fate::Lives;
        }
        let (config, peer) = (turn.config, &shared.capabilities);
        if peer
            .max_receive_unit
            .is_some_and(|limit| data.len() > limit as usize)
        {
            return shared.abort(ProviderAbort::MESSAGETOOLARGE, turn);
        }
        // Extended SAR is needed for more than one data unit.
        if fragment.more && peer.window(config).is_none() {
            return shared.abort(ProviderAbort::NOTIMPLEMENTEDESAR, turn);
        }
        match Sender::new(turn.now, (data, fragment), config.long_retry, peer, config) {
            Ok(sender) => {
                self.answer = None;
                let sender = Box::new(sender);
                self.state = State::ResultRespWait { sender };
                Fate::Lives
            }
            Err(reason) => shared.abort(reason, turn),
        }
    }
}

impl Held {
    pub(super) fn of(data: &[u8], shared: &Shared, turn: &mut Turn<'_>) -> Self {
        let room = turn
            .pool
            .unverified_room(shared.peer.remote.ip(), turn.config);
        if data.len() > room {
            turn.stats.refused_unverified += 1;
            return Self::Dropped { vouched: false };
        }
        Self::Message(Bytes::copy_from_slice(data))
    }
}

fn indicate(data: Bytes, fragment: Fragment, first: bool, shared: &Shared, turn: &mut Turn<'_>) {
    let handle = shared.handle;
    turn.indications.push_back(if first {
        Indication::Invoke {
            handle,
            peer: shared.peer,
            class: shared.class,
            user_ack: shared.user_ack,
            data,
            fragment,
            report: shared.report,
        }
    } else {
        Indication::InvokeData {
            handle,
            data,
            fragment,
        }
    });
}
