//! The upstream requests of one shard, each a task on the shard's runtime.

use std::sync::Arc;

use http::Method;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::gateway::fetch::{FetchError, Reply, Request, RequestId};
use crate::upstream::{Retries, Tunnel, Upstream};

/// The requests under way, and the queue of their results.
pub(super) struct UpstreamTasks {
    upstream: Arc<Upstream>,
    /// The task of each request, by the slot of its id.
    tasks: Vec<Option<(RequestId, JoinHandle<()>)>>,
    sender: mpsc::UnboundedSender<Progress>,
    /// The core's limit on exchanges bounds this queue: each request has one result, and asks for
    /// memory once at a time.
    progress: mpsc::UnboundedReceiver<Progress>,
}

/// News of one request.
pub(super) enum Progress {
    /// Its reply needs so many octets of memory in all; the answer tells whether they are free.
    Reserve(RequestId, usize, oneshot::Sender<bool>),
    /// It has ended.
    Fetched(Fetched),
    /// The connection that a CONNECT asked for is there, or is not to be had.
    Connected(RequestId, Result<Box<Tunnel>, FetchError>),
}

/// The result of one request, and how often it was sent again.
pub(super) type Fetched = (RequestId, Result<Reply, FetchError>, Retries);

impl UpstreamTasks {
    /// No requests yet; `upstream` serves those to come.
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        let (sender, progress) = mpsc::unbounded_channel();
        Self {
            upstream,
            tasks: Vec::new(),
            sender,
            progress,
        }
    }

    /// The client that serves new requests.
    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Serves new requests with another client. Requests under way keep theirs.
    pub(super) fn set_upstream(&mut self, upstream: Arc<Upstream>) {
        self.upstream = upstream;
    }

    /// Starts a request.
    pub(super) fn start(&mut self, id: RequestId, request: Request) {
        let upstream = Arc::clone(&self.upstream);
        let sender = self.sender.clone();
        // If the task panics, the core's deadline ends the exchange.
        let task = tokio::spawn(async move {
            if request.method == Method::CONNECT {
                let connected = upstream.connect(&request).await.map(Box::new);
                let _ = sender.send(Progress::Connected(id, connected));
                return;
            }
            let reserve = |octets| {
                let (answer, granted) = oneshot::channel();
                let _ = sender.send(Progress::Reserve(id, octets, answer));
                granted
            };
            let (result, retries) = upstream.fetch_with_retries(request, &reserve).await;
            // The receiver is gone once the shard has stopped.
            let _ = sender.send(Progress::Fetched((id, result, retries)));
        });
        let slot = id.slot as usize;
        if self.tasks.len() <= slot {
            self.tasks.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.tasks.get_mut(slot) {
            *place = Some((id, task));
        }
    }

    /// Waits for the next news.
    pub(super) async fn next(&mut self) -> Option<Progress> {
        let progress = self.progress.recv().await?;
        self.note(&progress);
        Some(progress)
    }

    /// News that are here already.
    pub(super) fn try_next(&mut self) -> Option<Progress> {
        let progress = self.progress.try_recv().ok()?;
        self.note(&progress);
        Some(progress)
    }

    /// A request that has ended has no task any more.
    fn note(&mut self, progress: &Progress) {
        if let Progress::Fetched((id, ..)) | Progress::Connected(id, _) = progress {
            self.take(*id);
        }
    }

    /// Drops the task; hyper then closes the connection or resets the stream. The core ignores a
    /// result that is already in the queue.
    pub(super) fn cancel(&mut self, id: RequestId) {
        if let Some(task) = self.take(id) {
            task.abort();
        }
    }

    fn take(&mut self, id: RequestId) -> Option<JoinHandle<()>> {
        let place = self.tasks.get_mut(id.slot as usize)?;
        let (_, task) = place.take_if(|(theirs, _)| *theirs == id)?;
        Some(task)
    }
}

impl Drop for UpstreamTasks {
    fn drop(&mut self) {
        for (_, task) in self.tasks.iter().flatten() {
            task.abort();
        }
    }
}
