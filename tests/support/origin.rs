//! A sync server on loopback: HTTPS with an authority of its own, well-known paths, and what it has heard.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, LOCATION, PROXY_AUTHENTICATE, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::sessions;

/// What is wrong with a certificate.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Certificate {
    Good,
    Expired,
    WrongName,
    Untrusted,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What an origin knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) heard: Vec<Heard>,
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
                    // A client that goes away is what some tests are about.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(tls), service)
                        .await;
                });
            }
        });
        Self { address, state }
    }

    /// An origin that gives these octets to every request, whatever they mean, and then closes: in good
    /// order, or with a reset.
    pub(crate) async fn raw(reply: &'static [u8], reset: bool) -> SocketAddr {
        let (listener, address) = listen().await;
        let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut tls = acceptor.accept(tcp).await.ok()?;
                    let mut request = vec![0; 64 * 1024];
                    // What is asked for does not matter, nor whether this is all of it.
                    let _ = tls.read(&mut request).await.ok()?;
                    tls.write_all(reply).await.ok()?;
                    tls.flush().await.ok()?;
                    if reset {
                        let (tcp, _) = tls.into_inner();
                        tcp.set_zero_linger().ok()?;
                    } else {
                        tls.shutdown().await.ok()?;
                    }
                    Some(())
                });
            }
        });
        address
    }

    /// The upstream that a route names to get here.
    pub(crate) fn uri(&self) -> String {
        uri(self.address)
    }

    /// What has come for this path, query included.
    pub(crate) fn heard(&self, target: &str) -> Vec<Heard> {
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
    let heard = Heard {
        method: head.method.clone(),
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

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
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

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

/// The file with the authority that the tests of this process trust.
pub(crate) fn ca_file() -> &'static Path {
    &authority().file
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let (issuer, pem) = new_issuer("Test authority");
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("origin-ca-{}.pem", std::process::id()));
        std::fs::write(&file, pem).unwrap();
        Authority { issuer, file }
    })
}

fn new_issuer(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

fn acceptor(certificate: Certificate, protocols: &[&[u8]]) -> TlsAcceptor {
    let name = match certificate {
        Certificate::WrongName => "other.example",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if certificate == Certificate::Expired {
        params.not_after = date_time_ymd(2001, 2, 3);
    }
    let key = KeyPair::generate().unwrap();
    let stranger;
    let issuer = match certificate {
        Certificate::Untrusted => {
            stranger = new_issuer("Somebody else").0;
            &stranger
        }
        _ => &authority().issuer,
    };
    let chain = vec![params.signed_by(&key, issuer).unwrap().der().clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
