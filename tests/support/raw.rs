//! An HTTPS origin on loopback that writes fixed octets, valid or not, and counts requests and
//! connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wapbridge::gateway::fetch::{FetchError, Reply, Request};
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::upstream::{Tls, Upstream};

use super::certificate::{Certificate, acceptor, tls};

/// The action of an origin after its reply.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum AfterReply {
    /// Waits for the next request.
    KeepAlive,
    /// Closes in good order.
    Close,
    /// Resets the TCP connection.
    Reset,
    /// Does nothing, for ever.
    Stall,
}

/// The requests and connections of an origin.
#[derive(Default)]
pub(crate) struct OriginLog {
    pub(crate) connections: AtomicUsize,
    /// Each request, head and body.
    pub(crate) requests: Mutex<Vec<Vec<u8>>>,
    /// Connections that the client has closed.
    pub(crate) closed: AtomicUsize,
}

impl OriginLog {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until the client has closed a connection.
    pub(crate) async fn closed(&self) {
        self.closed_times(1).await;
    }

    /// Waits until the client has closed so many connections.
    pub(crate) async fn closed_times(&self, times: usize) {
        while self.closed.load(Ordering::SeqCst) < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// An upstream side that trusts the tests' authority.
pub(crate) fn upstream() -> Upstream {
    upstream_with(&tls(), |_| {})
}

/// An upstream side with one route, which `change` makes special.
pub(crate) fn upstream_with(tls: &Tls, change: impl FnOnce(&mut RouteSettings)) -> Upstream {
    let mut route = RouteSettings::from_prefix("http://a.example/", "https://localhost/").unwrap();
    change(&mut route);
    Upstream::new(tls, &Routes::new(vec![route]))
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An HTTPS origin that gives the same octets to every request.
pub(crate) async fn origin(
    reply: impl Into<Vec<u8>>,
    then: AfterReply,
) -> (SocketAddr, Arc<OriginLog>) {
    origin_with(acceptor(Certificate::Good, &[b"http/1.1"]), reply, then).await
}

pub(crate) async fn origin_with(
    acceptor: TlsAcceptor,
    reply: impl Into<Vec<u8>>,
    then: AfterReply,
) -> (SocketAddr, Arc<OriginLog>) {
    let (listener, address) = listen().await;
    let seen = Arc::new(OriginLog::default());
    let reply: Arc<Vec<u8>> = Arc::new(reply.into());
    let counts = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            counts.connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, reply) = (acceptor.clone(), Arc::clone(&reply));
            let counts = Arc::clone(&counts);
            tokio::spawn(async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    serve(tls, &reply, then, &counts).await;
                }
            });
        }
    });
    (address, seen)
}

async fn serve(
    mut tls: tokio_rustls::server::TlsStream<TcpStream>,
    reply: &[u8],
    then: AfterReply,
    seen: &OriginLog,
) {
    loop {
        let Some(request) = read_request(&mut tls).await else {
            seen.closed.fetch_add(1, Ordering::SeqCst);
            return;
        };
        seen.requests.lock().unwrap().push(request);
        let _ = tls.write_all(reply).await;
        let _ = tls.flush().await;
        match then {
            AfterReply::KeepAlive => {}
            AfterReply::Close => {
                let _ = tls.shutdown().await;
                let _ = tokio::io::copy(&mut tls, &mut tokio::io::sink()).await;
                seen.closed.fetch_add(1, Ordering::SeqCst);
                return;
            }
            AfterReply::Reset => {
                let (tcp, _) = tls.into_inner();
                tcp.set_zero_linger().unwrap();
                return;
            }
            AfterReply::Stall => {
                let _ = tls.read(&mut [0; 1]).await;
                seen.closed.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

/// A request with its body by Content-Length; `None` once the client has closed.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let body: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if request.len() == end + 4 + body {
                return Some(request);
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}

/// The name of the only route.
pub(crate) const ROUTE: &str = "1";

/// A request with room and time enough for any test.
pub(crate) fn request(method: Method, address: SocketAddr, body: &'static [u8]) -> Request {
    Request {
        trace: None,
        source: None,
        session: None,
        route: ROUTE.into(),
        method,
        uri: format!("https://localhost:{}/ds?x=1", address.port())
            .parse()
            .unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(body),
        max_reply: 1000,
        first_byte_timeout: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
    }
}

pub(crate) async fn get(address: SocketAddr) -> Result<Reply, FetchError> {
    upstream().fetch(request(Method::GET, address, b"")).await
}
