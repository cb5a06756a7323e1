//! One request of a handset at its shard, from the port's side.

use tokio::sync::{mpsc, oneshot};

use super::connections::Busy;
use crate::gateway::http::HttpId;
use crate::gateway::record::Ending;
use crate::server::shard::{HttpAnswer, ShardCommand};

/// A request that a shard has.
pub(in crate::server) struct Begun {
    /// The response, once it is there.
    pub(in crate::server) answered: oneshot::Receiver<HttpAnswer>,
    pub(in crate::server) exchange: Exchange,
}

/// An exchange of a shard. Dropped, it ends: as sent if its response was written, as aborted
/// otherwise. Its connection is busy until then.
pub(in crate::server) struct Exchange {
    id: HttpId,
    shard: mpsc::Sender<ShardCommand>,
    is_written: bool,
    tunnelled: Option<(u64, u64)>,
    _busy: Busy,
}

impl Exchange {
    pub(super) const fn new(id: HttpId, shard: mpsc::Sender<ShardCommand>, busy: Busy) -> Self {
        Self {
            id,
            shard,
            is_written: false,
            tunnelled: None,
            _busy: busy,
        }
    }

    /// The last octet of the response is in the socket.
    pub(in crate::server) const fn written(&mut self) {
        self.is_written = true;
    }

    /// A tunnel has carried so many octets from the handset and to the handset.
    pub(in crate::server) const fn tunnelled(&mut self, received: u64, sent: u64) {
        self.tunnelled = Some((received, sent));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let ending = match self.is_written {
            true => Ending::Sent,
            false => Ending::Aborted,
        };
        let command = ShardCommand::HttpEnd(self.id, ending, self.tunnelled);
        if let Err(mpsc::error::TrySendError::Full(command)) = self.shard.try_send(command) {
            let shard = self.shard.clone();
            // The limit on connections bounds these tasks.
            tokio::spawn(async move { shard.send(command).await });
        }
    }
}
