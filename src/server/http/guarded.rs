//! The stream under hyper: gives hyper heads that are whole and checked, and bodies as long as
//! their heads say.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::head::{self, BodyLength, Checked, HeadRefusal, MAX_HEAD};

/// Facts about a connection that its stream and its service share.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// A request has begun and its response is not written yet.
    busy: AtomicBool,
    /// The body has no length, or a tunnel was asked for, so the connection ends with its response.
    last: AtomicBool,
    /// The request was answered before its body was read to the end.
    is_cut: AtomicBool,
    /// When the response under way was ready.
    ready: Mutex<Option<Instant>>,
}

impl Progress {
    /// The response is written.
    pub(super) fn answered(&self) {
        self.busy.store(false, Ordering::Relaxed);
        self.set_ready(None);
    }

    /// The request is answered although its body is not read to the end.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// Whether octets of a request were left unread.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// The response is ready to be written.
    pub(super) fn ready(&self) {
        self.set_ready(Some(Instant::now()));
    }

    fn set_ready(&self, at: Option<Instant>) {
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Completes once a response has been under way for [`LONGEST_REPLY`].
    pub(super) async fn overdue(&self) {
        loop {
            tokio::time::sleep(LONGEST_REPLY / 16).await;
            let ready = *self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            if ready.is_some_and(|ready| ready.elapsed() >= LONGEST_REPLY) {
                return;
            }
        }
    }

    /// Whether the connection must end with this response.
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }
}

/// A stream of requests. hyper sees the end of the stream at a head that is refused.
#[derive(Debug)]
pub(super) struct Guarded<T> {
    io: T,
    progress: Arc<Progress>,
    max_body: u64,
    received: BytesMut,
    /// Octets at the beginning of `received` that hyper may have.
    released: usize,
    expected: Expected,
    refusal: Option<HeadRefusal>,
    has_ended: bool,
}

/// What the octets after the released ones are.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Head,
    Body(u64),
    /// A chunked body or the octets of a tunnel, and nothing after them.
    Rest,
}

impl<T> Guarded<T> {
    pub(super) fn new(io: T, progress: Arc<Progress>, max_body: u64) -> Self {
        Self {
            io,
            progress,
            max_body,
            received: BytesMut::new(),
            released: 0,
            expected: Expected::Head,
            refusal: None,
            has_ended: false,
        }
    }

    /// Whether the next head must wait: its request would be mistaken for the one under way.
    fn must_wait(&self) -> bool {
        matches!(self.expected, Expected::Head) && self.progress.busy.load(Ordering::Relaxed)
    }

    /// The stream, the octets that hyper has not read, and the reason for which a head was refused.
    pub(super) fn into_parts(self) -> (T, BytesMut, Option<HeadRefusal>) {
        (self.io, self.received, self.refusal)
    }

    /// Releases what may be read of the octets received. False: more octets are needed.
    fn release(&mut self) -> bool {
        let received = self.received.len();
        match &mut self.expected {
            Expected::Rest => self.released = received,
            Expected::Body(left) => {
                let part = received.min(usize::try_from(*left).unwrap_or(usize::MAX));
                self.released = part;
                *left -= part as u64;
                if *left == 0 {
                    self.expected = Expected::Head;
                }
            }
            Expected::Head => match head::check(&self.received, self.max_body) {
                Ok(Some(Checked { len, body })) => {
                    self.released = len;
                    self.progress.busy.store(true, Ordering::Relaxed);
                    self.expected = match body {
                        BodyLength::Octets(0) => Expected::Head,
                        BodyLength::Octets(octets) => Expected::Body(octets),
                        BodyLength::Chunked | BodyLength::Tunnel => {
                            self.progress.last.store(true, Ordering::Relaxed);
                            Expected::Rest
                        }
                    };
                }
                Ok(None) => {}
                Err(refusal) => self.refusal = Some(refusal),
            },
        }
        self.released > 0
    }

    /// The stream ends here. A handset that has closed its side still wants the response under
    /// way, so hyper hears of the end once the response is written.
    fn end(&self) -> Poll<io::Result<()>> {
        // A chunked body that is cut off ends by the time without octets.
        let may_be_whole = !matches!(self.expected, Expected::Body(_));
        match may_be_whole && self.progress.busy.load(Ordering::Relaxed) {
            // hyper reads again after the response, since it has a timeout for the next head.
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.released > 0 {
                let part = this.released.min(buf.remaining());
                buf.put_slice(this.received.get(..part).unwrap_or_default());
                this.received.advance(part);
                this.released -= part;
                return Poll::Ready(Ok(()));
            }
            if this.refusal.is_some() {
                return this.end();
            }
            let must_wait = this.must_wait();
            let may_release = !must_wait && !this.received.is_empty();
            if may_release && this.release() || this.refusal.is_some() {
                continue;
            }
            if this.has_ended {
                return this.end();
            }
            // Octets behind the request under way are read only to hear of the connection's end.
            if must_wait && this.received.len() >= MAX_HEAD {
                return Poll::Pending;
            }
            let had = this.received.len();
            this.received.resize(had + READ, 0);
            let mut fresh = ReadBuf::new(this.received.get_mut(had..).unwrap_or_default());
            let read = Pin::new(&mut this.io).poll_read(cx, &mut fresh);
            let more = fresh.filled().len();
            this.received.truncate(had + more);
            ready!(read)?;
            if more == 0 {
                this.has_ended = true;
                return this.end();
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Time for a whole response: 64 kB at 1 kbit/s take nine minutes.
const LONGEST_REPLY: Duration = Duration::from_secs(15 * 60);
/// Octets read at once. At most this many wait behind a head that is not whole.
const READ: usize = 8 * 1024;
const _: () = assert!(READ < MAX_HEAD);
