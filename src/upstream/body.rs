//! The body of a request, which tells how far hyper has come with it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::stream::moment;

/// A body in one piece.
pub(super) struct RequestBody {
    data: Option<Bytes>,
    progress: Arc<Progress>,
}

/// How far hyper has come with one request.
#[derive(Debug)]
pub(super) struct Progress {
    /// When it took the body to send it. 0: not yet.
    begun: AtomicU64,
    is_empty: bool,
}

impl RequestBody {
    /// The body, and its progress for whoever has to know it when hyper is done.
    pub(super) fn new(data: Bytes) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress {
            begun: AtomicU64::new(0),
            is_empty: data.is_empty(),
        });
        let body = Self {
            data: Some(data).filter(|data| !data.is_empty()),
            progress: Arc::clone(&progress),
        };
        (body, progress)
    }
}

impl Progress {
    /// Whether the request has a body of which no octet has left, so that the origin has not the
    /// whole of it.
    pub(super) fn lacks_body(&self) -> bool {
        !self.is_empty && self.begun().is_none()
    }

    /// When hyper took the body: after it had chosen a connection and before it wrote there.
    pub(super) fn begun(&self) -> Option<u64> {
        Some(self.begun.load(Ordering::Acquire)).filter(|begun| *begun != 0)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take();
        if data.is_some() {
            self.progress.begun.store(moment(), Ordering::Release);
        }
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let octets = self.data.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(octets).unwrap_or(u64::MAX))
    }
}
