//! Commands of the shell: pushes, sessions that end or move, and what the gateway is told to be.

use std::sync::Arc;

use crate::gateway::handover::{Handover, Kept, Ticket};
use crate::gateway::push::Push;
use crate::gateway::{Config, Event, Gateway, Mode};
use crate::identity;
use crate::time::Instant;

/// A command of the shell.
#[derive(Clone, Debug)]
pub enum Command {
    /// Give this to a handset.
    Push(Box<Push>),
    /// End the session of this id, if it is ours.
    Disconnect(u32),
    /// Another shard wants the session of this id: owed one [`Event::Released`].
    Release(Ticket, u32),
    /// The session of this id, which was made here, has ended elsewhere.
    EndedElsewhere(u32),
    /// Another node has taken the session of this id over: it ends here without a word.
    Taken(u32),
    /// Apply changes of subscribers' addresses.
    Identify(Arc<[identity::Change]>),
    /// Use this from now on.
    Reload(Arc<Config>),
    /// Serve these from now on.
    Enter(Mode),
    /// End up to so many sessions; given again and again, all of them.
    DisconnectAll(usize),
}

impl Gateway {
    /// The shell wants something.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Push(push) => self.push(now, &push),
            Command::Disconnect(id) => {
                if let Some(session) = self.sessions.find(id) {
                    let told = self.sessions.disconnect(now, session.key, &mut self.wtp);
                    if let Some(peer) = told {
                        self.policer.grant_disconnect(now, peer.remote.ip());
                    }
                }
            }
            Command::Release(ticket, id) => {
                let record = self.sessions.hand_over(now, id, &mut self.wtp);
                let session = record.map(|record| {
                    let cookies = self.cookies.take(id);
                    let transfer = self.translator.transfers.take(id);
                    Box::new(Handover::new(record, Kept { cookies, transfer }))
                });
                self.events.push_back(Event::Released(ticket, session));
            }
            Command::EndedElsewhere(id) => self.sessions.ended_elsewhere(id),
            Command::Taken(id) => {
                if self.sessions.taken(now, id, &mut self.wtp) {
                    self.cookies.take(id);
                    self.translator.transfers.take(id);
                }
            }
            Command::Identify(changes) => self.identities.apply(&changes),
            Command::Reload(config) => {
                self.wtp.set_config(config.transactions());
                self.sessions.set_config(config.wsp.clone());
                self.connectionless.set_config(config.connectionless);
                self.header_cache.forget();
                self.config = config;
            }
            Command::Enter(mode) => {
                self.mode = mode;
                self.wtp.set_leaving(mode == Mode::Leaving);
            }
            Command::DisconnectAll(at_most) => {
                let (sessions, policer) = (&mut self.sessions, &mut self.policer);
                sessions.disconnect_some(now, at_most, &mut self.wtp, |peer| {
                    policer.grant_disconnect(now, peer.remote.ip());
                });
            }
        }
        self.run(now);
    }
}
