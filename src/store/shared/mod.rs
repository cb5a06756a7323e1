//! The store of several nodes: Redis or Valkey, as one server, with Sentinels, or as a cluster.
//!
//! One thread (`worker.rs`) takes the messages of [`super::StoreHandle`]. It sends changes and
//! look-ups in batches, all of a batch at the same time, and waits for the answers no longer than
//! the bound of [`Settings::latency`]. So no shard waits for the store, and no handset waits longer
//! than that for a look-up.
//!
//! # Sessions
//!
//! The record of a session is the one of the file ([`crate::wsp::saved`]). Beside the record the
//! store has the session's *owner*, which is a process of a node, and its *epoch* (`scripts.rs`).
//! A look-up is a claim: one atomic step makes this process the owner and raises the epoch. The
//! earlier owner is told by a channel, and drops the session. An owner that was not told, because it
//! was paused or cut off, finds at its next write that its epoch is outdated, and drops the session
//! then ([`super::StoreHandle::on_lost`]).
//!
//! # Without the store
//!
//! While the store does not answer, look-ups find nothing at once, and changes wait: the last one of
//! each session and entry (`changes.rs`), a bounded number. When the store answers again, they are
//! written; the epochs decide what is outdated.
//!
//! # Nodes
//!
//! Each node has a name, and a lease on it (`lease.rs`). Tables of other modules are tables of the
//! node. All nodes share the secret of session ids, so that an id means the same everywhere.

mod changes;
mod exchange;
#[cfg(test)]
mod fake;
mod keys;
mod lease;
mod link;
mod node;
mod scripts;
mod settings;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};

pub(super) use self::node::Event;
pub use self::settings::{NotAServer, Password, Server, Settings};
use self::worker::{Parts, SharedWorker};
use super::Limits;
use super::message::{Counts, Message};
use crate::worker::{Handle, Inbox, Worker};
use crate::wsp::log_id::{KEY_LEN, LogIds};

/// The reason why a shared store cannot be opened. A store that does not answer is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another living process has the name of this node.
    #[error(
        "another gateway is node {node} of this store: {holder} (give each its own `node` in [cluster], or stop \
         that one)"
    )]
    Taken {
        /// The name.
        node: String,
        /// Host and process.
        holder: String,
    },
    /// The system has no thread, or no randomness.
    #[error("cannot start the thread of the store: {0}")]
    Io(#[from] io::Error),
}

/// Starts the thread, and waits until it has joined the other nodes, or has found out that the store
/// does not answer. Returns the thread, and the log ids of sessions.
pub(super) fn start(
    settings: &Settings,
    limits: Limits,
    queue: (Handle<Message>, Inbox<Message>),
    counts: &Arc<Counts>,
) -> Result<(Worker<Message>, LogIds), OpenError> {
    let mut secret = [0; KEY_LEN];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let parts = Parts {
        settings: settings.clone(),
        limits,
        counts: Arc::clone(counts),
        queue: queue.0.clone(),
        secret,
    };
    let (tell, begun) = mpsc::channel();
    let worker = Worker::start("store", queue, move |inbox| match runtime() {
        Ok(runtime) => SharedWorker::new(parts, runtime).run(&inbox, &tell),
        // The opener waits for it.
        Err(error) => drop(tell.send(Err(error.into()))),
    })?;
    let secret = begun
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the thread has ended").into()))?;
    Ok((worker, LogIds::new(&secret)))
}

/// Asks the store whether it answers, and what it is. For operators: nothing is written.
///
/// # Errors
/// The reason why it does not answer, in words.
pub(super) fn ping(settings: &Settings) -> Result<String, String> {
    let runtime = runtime().map_err(|error| error.to_string())?;
    runtime
        .block_on(node::ping(settings))
        .map_err(|why| why.to_string())
}

/// A thread for connections, beside the one that waits for them.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("store-io")
        .enable_all()
        .build()
}
