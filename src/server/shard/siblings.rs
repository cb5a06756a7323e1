//! The other shards of the gateway, as one shard sees them.

use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::WeakSender;

use super::command::ShardCommand;

/// The mailboxes of all shards, set once every shard runs. They do not keep a mailbox open.
pub(in crate::server) type Mailboxes = Arc<OnceLock<Vec<WeakSender<ShardCommand>>>>;

/// The mailboxes of all shards but one.
pub(in crate::server) struct Siblings {
    number: usize,
    mailboxes: Mailboxes,
}

impl Siblings {
    /// The siblings of the shard with this number.
    pub(in crate::server) fn new(number: usize, mailboxes: &Mailboxes) -> Self {
        Self {
            number,
            mailboxes: Arc::clone(mailboxes),
        }
    }

    /// Sends a command to each sibling. A full mailbox loses the command.
    pub(super) fn send(&self, command: impl Fn() -> ShardCommand) {
        let mailboxes = self.mailboxes.get().into_iter().flatten();
        for (number, mailbox) in mailboxes.enumerate() {
            if let Some(mailbox) = mailbox.upgrade().filter(|_| number != self.number) {
                let _ = mailbox.try_send(command());
            }
        }
    }
}
