//! The octets of a connection to an origin: joined writes, and evidence of how the connection
//! ended.
//!
//! h2 joins small frames of many requests into one write, but only those that it may copy: for a
//! vectored writer it copies none above 256 octets, for any other none above 1,024. A SyncML
//! message mostly lies between, so [`Monitored`] is not vectored. TLS writes one record for each
//! write; [`Socket`] joins records.
//!
//! # Evidence that a request was not processed
//!
//! HTTP/1.1 origins close idle connections, and a request may be on its way at that moment. The
//! origin then ends the connection without a reply. Two sequences prove that it never received the
//! whole request:
//!
//! - FIN, then RST. The kernel reports EPIPE, for a reset that comes after the end of the stream.
//!   Only octets that arrived at a closed socket bring it about, so the last octets of the request
//!   were thrown away.
//! - A TLS close_notify, then RST (ECONNRESET). A close with unread octets sends RST in place of
//!   FIN, so the origin closed, by its own decision, before it had read the last octets of the
//!   request.
//!
//! A FIN alone proves nothing, nor does an RST alone: the origin may have processed the request and
//! failed.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::connections::Permit;
use crate::upstream::head::Heads;

/// How a connection ended, for the requests that failed with it.
#[derive(Debug, Default)]
pub(super) struct ConnectionEnd {
    /// When octets of a reply last came, as [`moment`] tells the time. 0: never.
    last_read: AtomicU64,
    /// Octets that came since something was last written.
    reply_octets: AtomicUsize,
    /// It was closed before the origin had received what was written last.
    refused_last_write: AtomicBool,
    /// Requests of HTTP/1.1 that began on it.
    requests: AtomicUsize,
    /// To be closed, as no request uses it.
    closing: AtomicBool,
    /// The task that reads it.
    reader: Mutex<Option<Waker>>,
}

impl ConnectionEnd {
    /// Whether something has come, so that it is more than just made.
    pub(super) fn has_received(&self) -> bool {
        self.last_read.load(Ordering::Relaxed) != 0
    }

    /// Whether it has served another request of HTTP/1.1 before the last one.
    pub(super) fn is_reused(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 1
    }

    /// Lets its reader see the end of the stream, at which hyper closes it.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        let reader = self
            .reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether it is to be closed; if not, `cx` is told once it is.
    fn poll_close(&self, cx: &Context<'_>) -> bool {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if !reader
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *reader = Some(cx.waker().clone());
        }
        self.closing.load(Ordering::Acquire)
    }

    /// Octets of the last reply, as far as it came.
    pub(super) fn reply_octets(&self) -> usize {
        self.reply_octets.load(Ordering::Relaxed)
    }

    /// Whether the origin closed the connection without receiving the whole of a request that began
    /// then.
    pub(super) fn refused_request_of(&self, begun: u64) -> bool {
        self.refused_last_write.load(Ordering::Acquire)
            && self.last_read.load(Ordering::Acquire) < begun
    }
}

/// A number that grows with time and is never 0.
pub(super) fn moment() -> u64 {
    static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);
    let base = *BASE;
    u64::try_from(base.elapsed().as_nanos())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// A TCP connection that collects small writes until they are flushed.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: BufWriter<Tcp>,
    /// Given back when the connection is closed.
    permit: Permit,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, permit: Permit) -> Self {
        let tcp = Tcp {
            stream,
            write_error: None,
        };
        Self {
            tcp: BufWriter::with_capacity(BUFFER, tcp),
            permit,
        }
    }

    /// The pending error of the socket, or the one that a write has met.
    fn take_error(&self) -> Option<i32> {
        let tcp = self.tcp.get_ref();
        let pending = tcp.stream.take_error().ok().flatten();
        tcp.write_error
            .or_else(|| pending.and_then(|error| error.raw_os_error()))
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        let connected = self.tcp.get_ref().stream.connected();
        connected.extra(Arc::clone(self.permit.end()))
    }
}

/// A TCP stream of which everything is read that arrived before it broke.
///
/// A write to a connection that the origin has reset fails, and whoever writes would read no more.
/// The reply or the GOAWAY that the origin sent before its reset would be lost. Such a write is
/// dropped instead; the reader meets the end of the stream.
#[derive(Debug)]
struct Tcp {
    stream: TcpStream,
    /// The first error of a write.
    write_error: Option<i32>,
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_error.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        match ready!(Pin::new(&mut self.stream).poll_write(cx, buf)) {
            Err(error) if is_reset(&error) => {
                self.write_error = error.raw_os_error();
                Poll::Ready(Ok(buf.len()))
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset) && error.raw_os_error().is_some()
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// A connection to an origin, with or without TLS, that watches how it ends.
pub(super) struct Monitored {
    io: TokioIo<MaybeHttpsStream<TokioIo<Socket>>>,
    /// HTTP/1.1, so that the last octets written belong to the one request under way.
    one_request: bool,
    /// Something was written since octets last came.
    unanswered: bool,
    /// Where the reply of HTTP/1.1 is.
    heads: Heads,
    /// The stream has ended: waiting for the reset that tells of unread octets.
    ending: Option<Ending>,
}

/// The end of a stream whose last request has no reply.
struct Ending {
    /// What the reader is told.
    result: io::Result<()>,
    /// An orderly end of TLS.
    close_notify: bool,
    next_check: Pin<Box<Sleep>>,
    pause: Duration,
    until: Instant,
}

impl Monitored {
    pub(super) fn new(stream: MaybeHttpsStream<TokioIo<Socket>>) -> Self {
        let one_request = !stream.connected().is_negotiated_h2();
        Self {
            io: TokioIo::new(stream),
            one_request,
            unanswered: false,
            heads: Heads::default(),
            ending: None,
        }
    }

    fn socket(&self) -> &Socket {
        match self.io.inner() {
            MaybeHttpsStream::Http(socket) => socket.inner(),
            MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
        }
    }

    /// Makes the heads readable in what was just read; whether anything of it is left.
    fn clean(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        if !self.one_request {
            return true;
        }
        let new = buf.filled_mut().get_mut(before..).unwrap_or_default();
        let left = self.heads.clean(new);
        let skipped = self.heads.take_skipped();
        if skipped > 0 {
            let connections = self.socket().permit.connections();
            connections.count_skipped_lines(skipped);
        }
        buf.set_filled(before + left);
        left > 0
    }

    /// Looks for the reset, a few times, and then gives the reader the end.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let error = self.socket().take_error();
            let end = Arc::clone(self.socket().permit.end());
            let Some(ending) = &mut self.ending else {
                return Poll::Ready(Ok(()));
            };
            let refused = match error {
                Some(EPIPE) => true,
                Some(ECONNRESET) => ending.close_notify,
                _ => false,
            };
            if refused {
                end.refused_last_write.store(true, Ordering::Release);
            }
            if error.is_some() || Instant::now() >= ending.until {
                let result = std::mem::replace(&mut ending.result, Ok(()));
                return Poll::Ready(result);
            }
            ready!(ending.next_check.as_mut().poll(cx));
            ending.pause *= 2;
            let next = Instant::now() + ending.pause;
            ending.next_check.as_mut().reset(next);
        }
    }
}

impl Connection for Monitored {
    fn connected(&self) -> Connected {
        self.io.inner().connected()
    }
}

impl AsyncRead for Monitored {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ending.is_some() {
            return self.poll_ending(cx);
        }
        let before = buf.filled().len();
        let result = loop {
            let Poll::Ready(result) = Pin::new(&mut self.io).poll_read(cx, buf) else {
                let begins = self.one_request && self.unanswered;
                let closes = self.socket().permit.end().poll_close(cx);
                // The reader takes nothing read for the end of the stream.
                return match closes && !begins {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Pending,
                };
            };
            let octets = buf.filled().len().saturating_sub(before);
            if result.is_err() || octets == 0 {
                break result;
            }
            let end = self.socket().permit.end();
            end.reply_octets.fetch_add(octets, Ordering::Relaxed);
            end.last_read.store(moment(), Ordering::Release);
            self.unanswered = false;
            if self.clean(buf, before) {
                return Poll::Ready(Ok(()));
            }
        };
        // With TLS an end without close_notify is an error of this kind.
        let at_end = match &result {
            Ok(()) => buf.remaining() > 0,
            Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
        };
        if !(at_end && self.one_request && self.unanswered) {
            return Poll::Ready(result);
        }
        let is_tls = matches!(self.io.inner(), MaybeHttpsStream::Https(_));
        self.ending = Some(Ending {
            close_notify: is_tls && result.is_ok(),
            result,
            next_check: Box::pin(tokio::time::sleep(FIRST_CHECK)),
            pause: FIRST_CHECK,
            until: Instant::now() + RESET_WAIT,
        });
        self.poll_ending(cx)
    }
}

impl AsyncWrite for Monitored {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.unanswered {
            self.unanswered = true;
            self.heads.begin();
            let end = self.socket().permit.end();
            end.reply_octets.store(0, Ordering::Relaxed);
            if self.one_request {
                end.requests.fetch_add(1, Ordering::Relaxed);
            }
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// TLS records up to this many octets are joined into one write.
const BUFFER: usize = 16 * 1024;
/// The reset follows the end within one round trip. The pauses between checks double from here.
const FIRST_CHECK: Duration = Duration::from_millis(1);
/// How long an end without a reply is held back for the reset.
const RESET_WAIT: Duration = Duration::from_millis(500);

const EPIPE: i32 = rustix::io::Errno::PIPE.raw_os_error();
const ECONNRESET: i32 = rustix::io::Errno::CONNRESET.raw_os_error();
