//! An HTTP/2 origin that sends exactly the frames a test wants, and counts the requests it received.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::support::certificate::{Certificate, acceptor};
use crate::support::raw::listen;

/// A connection of the client, after TLS and its preface.
pub(crate) struct Connection {
    tls: TlsStream<TcpStream>,
    /// The number of this connection, from 1.
    pub(crate) number: usize,
    log: Arc<FrameLog>,
    open: bool,
}

/// What all connections of an origin have received.
#[derive(Default)]
pub(crate) struct FrameLog {
    connections: AtomicUsize,
    /// Requests that arrived to their last octet.
    whole: AtomicUsize,
    /// Requests that were answered, and so count as processed.
    answered: AtomicUsize,
}

impl FrameLog {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn whole(&self) -> usize {
        self.whole.load(Ordering::SeqCst)
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

/// One frame (RFC 9113 section 4.1).
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const HTTP_1_1_REQUIRED: u32 = 13;

impl Connection {
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.open &= self.tls.write_all(&frame).await.is_ok();
        self.open &= self.tls.flush().await.is_ok();
    }

    /// Whether the last frame could be written.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The client's next frame; nothing once it has closed.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.tls.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.tls.read_exact(&mut payload).await.ok()?;
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        };
        match (frame.kind, frame.flags) {
            (SETTINGS, 0) => self.send(SETTINGS, 1, 0, &[]).await,
            (PING, 0) => self.send(PING, 1, 0, &payload).await,
            _ => {}
        }
        Some(frame)
    }

    /// The stream of the next request that is whole; nothing once the client has closed.
    pub(crate) async fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.frame().await?;
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                self.log.whole.fetch_add(1, Ordering::SeqCst);
                return Some(frame.stream);
            }
        }
    }

    /// A reply with status 204.
    pub(crate) async fn reply(&mut self, stream: u32) {
        self.log.answered.fetch_add(1, Ordering::SeqCst);
        // 0x89: ":status: 204", entry 9 of the static table (RFC 7541 appendix A).
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\x89")
            .await;
    }

    pub(crate) async fn goaway(&mut self, last: u32, reason: u32) {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend(reason.to_be_bytes());
        self.send(GOAWAY, 0, 0, &payload).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, reason: u32) {
        self.send(RST_STREAM, 0, stream, &reason.to_be_bytes())
            .await;
    }

    /// Replies to whatever comes.
    pub(crate) async fn serve(&mut self) {
        while let Some(stream) = self.request().await {
            self.reply(stream).await;
        }
    }

    /// Closes, and reads what the client still sends.
    pub(crate) async fn close(&mut self) {
        let _ = self.tls.shutdown().await;
        self.drain().await;
    }

    /// Reads until the client has closed.
    pub(crate) async fn drain(&mut self) {
        let _ = tokio::io::copy(&mut self.tls, &mut tokio::io::sink()).await;
    }
}

/// An HTTP/2 origin whose connections are served by `serve`.
pub(crate) async fn origin<S, F>(serve: S) -> (SocketAddr, Arc<FrameLog>)
where
    S: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listen().await;
    let acceptor = acceptor(Certificate::Good, &[b"h2", b"http/1.1"]);
    let log = Arc::new(FrameLog::default());
    let counts = Arc::clone(&log);
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let number = counts.connections.fetch_add(1, Ordering::SeqCst) + 1;
            let (acceptor, log, serve) =
                (acceptor.clone(), Arc::clone(&counts), Arc::clone(&serve));
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else {
                    return;
                };
                let mut connection = Connection {
                    tls,
                    number,
                    log,
                    open: true,
                };
                if connection.tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let mut preface = [0; 24];
                    let _ = connection.tls.read_exact(&mut preface).await;
                    connection.send(SETTINGS, 0, 0, &[]).await;
                }
                serve(connection).await;
            });
        }
    });
    (address, log)
}

impl Connection {
    /// Whether HTTP/2 was agreed on.
    pub(crate) fn is_http2(&self) -> bool {
        self.tls.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// A request and a reply over HTTP/1.1.
    pub(crate) async fn serve_http1(&mut self, reply: &str) {
        while super::read_request(&mut self.tls).await.is_some() {
            self.log.whole.fetch_add(1, Ordering::SeqCst);
            self.log.answered.fetch_add(1, Ordering::SeqCst);
            let _ = self.tls.write_all(reply.as_bytes()).await;
            let _ = self.tls.flush().await;
        }
    }
}
