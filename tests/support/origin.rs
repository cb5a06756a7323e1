//! A sync server on loopback: HTTPS with an authority of its own, well-known paths, and a list of
//! requests.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION,
    PROXY_AUTHENTICATE, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::uri::Authority as UriAuthority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::certificate::{Authority, Certificate, acceptor, acceptor_of};
use super::raw::{listen, read_request};
use super::sessions;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: Method,
    /// `:authority` of HTTP/2, `Host` of HTTP/1.1.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// State of an origin.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) heard: Vec<ReceivedRequest>,
    /// Requests whose client went away before they were answered.
    pub(crate) abandoned: usize,
    /// Whether `/hold` may answer.
    released: bool,
}

/// A running origin; it ends with the test's runtime.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        Self::with(Certificate::Good).await
    }

    /// An origin with this certificate.
    ///
    /// | path | answer |
    /// | --- | --- |
    /// | `/syncml/SESSION/NUMBER` | the recorded answer, if the body is the recorded request |
    /// | `/echo` | the body |
    /// | `/gzip/asked`, `/gzip/always` | the body, in gzip if that was asked for, or anyway |
    /// | `/bytes/N` | N octets |
    /// | `/status/N` | that status, with the fields that go with it |
    /// | `/cookie` | 200 with two cookies |
    /// | `/stall`, `/hold` | none; none before [`release`](Self::release) |
    /// | anything else | 200, `hello` |
    pub(crate) async fn with(certificate: Certificate) -> Self {
        let (listener, address) = listen().await;
        let state = watch::Sender::new(State::default());
        let acceptor = acceptor(certificate, &[b"h2", b"http/1.1"]);
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let service = service_fn(|request| {
                        let state = state.clone();
                        async move { Ok::<_, Infallible>(answer(request, state).await) }
                    });
                    // Some tests are about clients that close the connection.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(tls), service)
                        .await;
                });
            }
        });
        Self { address, state }
    }

    /// The upstream that a route names to get here.
    pub(crate) fn uri(&self) -> String {
        uri(self.address)
    }

    /// What has come for this path, query included.
    pub(crate) fn heard(&self, target: &str) -> Vec<ReceivedRequest> {
        let state = self.state.borrow();
        let same = state.heard.iter().filter(|heard| heard.target == target);
        same.cloned().collect()
    }

    /// How many requests have come.
    pub(crate) fn heard_in_all(&self) -> usize {
        self.state.borrow().heard.len()
    }

    /// Waits until something is so.
    pub(crate) async fn wait(&self, so: impl FnMut(&State) -> bool) {
        self.state.subscribe().wait_for(so).await.unwrap();
    }

    /// Lets `/hold` answer.
    pub(crate) fn release(&self) {
        self.state.send_modify(|state| state.released = true);
    }
}

pub(crate) fn uri(address: SocketAddr) -> String {
    format!("https://localhost:{}/", address.port())
}

async fn answer(request: Request<Incoming>, state: watch::Sender<State>) -> Response<Full<Bytes>> {
    let target = request
        .uri()
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    let (head, body) = request.into_parts();
    let mut watched = Watched(Some(state.clone()));
    let body = body.collect().await.unwrap().to_bytes();
    let host = head.headers.get(HOST).map(|host| host.to_str().unwrap());
    let authority = head.uri.authority().map(UriAuthority::as_str).or(host);
    let heard = ReceivedRequest {
        method: head.method.clone(),
        authority: authority.unwrap().to_owned(),
        target,
        headers: head.headers,
        body,
    };
    state.send_modify(|state| state.heard.push(heard.clone()));
    let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    let mut response = Response::new(Full::default());
    let fields = response.headers_mut();
    let text = HeaderValue::from_static("text/plain");
    fields.insert(CONTENT_TYPE, text);
    match path.as_slice() {
        ["syncml", session, number] => match sessions::find(session, number) {
            Some(recorded) if recorded.request == heard.body => {
                fields.insert(CONTENT_TYPE, HeaderValue::from_static(recorded.media_type));
                *response.body_mut() = recorded.answer.into();
            }
            _ => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        },
        ["echo"] => {
            if let Some(media_type) = heard.headers.get(CONTENT_TYPE) {
                fields.insert(CONTENT_TYPE, media_type.clone());
            }
            *response.body_mut() = heard.body.into();
        }
        ["gzip", when] => {
            if let Some(media_type) = heard.headers.get(CONTENT_TYPE) {
                fields.insert(CONTENT_TYPE, media_type.clone());
            }
            let asked = heard.headers.get_all(ACCEPT_ENCODING).iter();
            let asked = asked.filter_map(|value| value.to_str().ok());
            let is_asked = asked.flat_map(|value| value.split(',')).any(|coding| {
                let (name, q) = coding.split_once(';').unwrap_or((coding, ""));
                name.trim() == "gzip" && q.trim() != "q=0"
            });
            *response.body_mut() = match *when == "always" || is_asked {
                true => {
                    fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    gzip(&heard.body).into()
                }
                false => heard.body.into(),
            };
        }
        ["bytes", len] => {
            let media_type = HeaderValue::from_static("application/octet-stream");
            fields.insert(CONTENT_TYPE, media_type);
            *response.body_mut() = octets(len.parse().unwrap()).into();
        }
        ["status", number] => {
            let field = |value| HeaderValue::from_static(value);
            match *number {
                "302" => drop(fields.insert(LOCATION, field("https://other.example/x?y=1"))),
                "401" => drop(fields.insert(WWW_AUTHENTICATE, field("Basic realm=\"sync\""))),
                "407" => drop(fields.insert(PROXY_AUTHENTICATE, field("Basic realm=\"way\""))),
                "204" => drop(fields.remove(CONTENT_TYPE)),
                _ => {}
            }
            *response.status_mut() = StatusCode::from_bytes(number.as_bytes()).unwrap();
        }
        ["cookie"] => {
            for cookie in ["a=1; Path=/", "b=2; Path=/; HttpOnly"] {
                fields.append(SET_COOKIE, HeaderValue::from_static(cookie));
            }
        }
        ["stall"] => std::future::pending().await,
        ["hold"] => {
            let mut released = state.subscribe();
            released.wait_for(|state| state.released).await.unwrap();
            *response.body_mut() = Bytes::from_static(b"held").into();
        }
        // hyper would send the body, which HTTP/2 forbids.
        _ if head.method == Method::HEAD => {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(5));
        }
        _ => *response.body_mut() = Bytes::from_static(b"hello").into(),
    }
    watched.0 = None;
    response
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// Octets of every value, so many.
pub(crate) fn octets(len: usize) -> Bytes {
    (0..=250u8).cycle().take(len).collect()
}

/// Notices that hyper dropped a request unanswered.
struct Watched(Option<watch::Sender<State>>);

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.send_modify(|state| state.abandoned += 1);
        }
    }
}

/// An HTTPS origin in a thread of its own that echoes posts and answers other requests with `word`;
/// returns its port.
pub(crate) fn echo(authority: &Authority, word: &'static str) -> u16 {
    let acceptor = acceptor_of(authority);
    let (tell, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (listener, address) = listen().await;
            tell.send(address.port()).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut tls) = acceptor.accept(tcp).await else {
                    continue;
                };
                let Some(request) = read_request(&mut tls).await else {
                    continue;
                };
                let head = request.windows(4).position(|four| four == b"\r\n\r\n");
                let body = match &request[head.unwrap() + 4..] {
                    [] => word.as_bytes(),
                    posted => posted,
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: x/echo\r\nX-Origin: {word}\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = tls.write_all(head.as_bytes()).await;
                let _ = tls.write_all(body).await;
                let _ = tls.shutdown().await;
            }
        });
    });
    port.recv().unwrap()
}

/// One request to the admin port, by hand; the whole answer.
pub(crate) async fn http_get(address: SocketAddr, path: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    tcp.read_to_string(&mut reply).await.unwrap();
    reply
}
