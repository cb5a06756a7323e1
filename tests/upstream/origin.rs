//! An origin on loopback with a certificate authority of its own, and all the bad manners one could want.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wapbridge::gateway::fetch::{FetchError, Reply, Request};
use wapbridge::route::Routes;
use wapbridge::upstream::{Tls, TlsSettings, Upstream};

/// What is wrong with a certificate.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Certificate {
    Good,
    Expired,
    NotYetValid,
    WrongName,
    Untrusted,
}

/// What an origin does after it has written its reply.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    /// Waits for the next request.
    Listen,
    /// Closes in good order.
    Close,
    /// Resets the TCP connection.
    Reset,
    /// Does nothing, for ever.
    Stall,
}

/// What an origin has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    /// Each request, head and body.
    pub(crate) requests: Mutex<Vec<Vec<u8>>>,
    /// Connections that the client has closed.
    pub(crate) closed: AtomicUsize,
}

impl Seen {
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

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

/// The authority that tests trust. Its file stays in the build's directory for temporary files.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let issuer = new_issuer("Test authority");
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("upstream-ca-{}.pem", std::process::id()));
        std::fs::write(&file, issuer.1).unwrap();
        Authority {
            issuer: issuer.0,
            file,
        }
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

fn server_config(certificate: Certificate, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let name = match certificate {
        Certificate::WrongName => "other.example",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    match certificate {
        Certificate::Expired => params.not_after = date_time_ymd(2001, 2, 3),
        Certificate::NotYetValid => params.not_before = date_time_ymd(2901, 2, 3),
        _ => {}
    }
    let key = KeyPair::generate().unwrap();
    let signed = match certificate {
        Certificate::Untrusted => params.signed_by(&key, &new_issuer("Somebody else").0),
        _ => params.signed_by(&key, &authority().issuer),
    }
    .unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![signed.der().clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

pub(crate) fn acceptor(certificate: Certificate, protocols: &[&[u8]]) -> TlsAcceptor {
    TlsAcceptor::from(server_config(certificate, protocols))
}

/// An acceptor that asks clients for a certificate of the tests' authority.
pub(crate) fn picky_acceptor() -> TlsAcceptor {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(&authority().file).unwrap();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).map(Result::unwrap));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    )
    .build()
    .unwrap();
    let (chain, key) = identity("localhost");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![chain.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// An acceptor that speaks TLS 1.2 only, and its certificate.
pub(crate) fn old_acceptor() -> (TlsAcceptor, CertificateDer<'static>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = identity("localhost");
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![chain.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), chain.der().clone())
}

/// A certificate of the tests' authority, and its key.
pub(crate) fn identity(name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority().issuer).unwrap();
    (certificate, key)
}

/// TLS that trusts the tests' authority.
pub(crate) fn tls() -> Tls {
    Tls::load(&TlsSettings {
        ca_files: vec![authority().file.clone()],
    })
    .unwrap()
}

/// An upstream side that trusts the tests' authority.
pub(crate) fn upstream() -> Upstream {
    Upstream::new(&tls(), &Routes::default())
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An HTTPS origin that gives the same octets to every request.
pub(crate) async fn origin(reply: impl Into<Vec<u8>>, then: Then) -> (SocketAddr, Arc<Seen>) {
    origin_with(acceptor(Certificate::Good, &[b"http/1.1"]), reply, then).await
}

pub(crate) async fn origin_with(
    acceptor: TlsAcceptor,
    reply: impl Into<Vec<u8>>,
    then: Then,
) -> (SocketAddr, Arc<Seen>) {
    let (listener, address) = listen().await;
    let seen = Arc::new(Seen::default());
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
    then: Then,
    seen: &Seen,
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
            Then::Listen => {}
            Then::Close => {
                let _ = tls.shutdown().await;
                let _ = tokio::io::copy(&mut tls, &mut tokio::io::sink()).await;
                seen.closed.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Then::Reset => {
                let (tcp, _) = tls.into_inner();
                tcp.set_zero_linger().unwrap();
                return;
            }
            Then::Stall => {
                let _ = tls.read(&mut [0; 1]).await;
                seen.closed.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }
}

/// A request with its body, as told by Content-Length; nothing once the client has closed.
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

/// A request with room and time enough for any test.
pub(crate) fn request(method: Method, address: SocketAddr, body: &'static [u8]) -> Request {
    Request {
        method,
        uri: format!("https://localhost:{}/ds?x=1", address.port())
            .parse()
            .unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(body),
        max_reply: 1000,
        connect_timeout: Duration::from_secs(20),
        first_byte_timeout: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
    }
}

pub(crate) async fn get(address: SocketAddr) -> Result<Reply, FetchError> {
    upstream().fetch(request(Method::GET, address, b"")).await
}
