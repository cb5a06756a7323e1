//! The origin that requests end at: HTTPS on a thread of its own, one answer for everything.

use std::convert::Infallible;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::ValueEnum;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::cli::bench::messages::{MEDIA_TYPE, body};
use crate::cli::bench::report;

/// A running origin. It ends with the process.
pub(super) struct Origin {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// The authority to trust.
    pub(super) ca_file: PathBuf,
    seen: Arc<RequestCounts>,
}

/// Settings of an origin.
pub(super) struct Settings {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Where its authority is written to, and taken from when it is there.
    pub(super) ca_file: PathBuf,
    /// Octets of each answer's body.
    pub(super) reply_size: usize,
    /// Which HTTP it offers.
    pub(super) http: Http,
    /// How long it thinks over each request.
    pub(super) think: Duration,
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Http {
    /// Only HTTP/1.1.
    #[value(name = "1.1")]
    One,
    /// Only HTTP/2.
    #[value(name = "2")]
    Two,
    /// The version that the client prefers.
    Any,
}

#[derive(Default)]
struct RequestCounts {
    requests: AtomicU64,
    connections: AtomicU64,
}

impl Origin {
    /// Binds, then serves.
    pub(super) fn start(settings: Settings) -> anyhow::Result<Self> {
        let Settings {
            address,
            ca_file,
            reply_size,
            http,
            think,
        } = settings;
        let tls = TlsAcceptor::from(Arc::new(server_config(&ca_file, http)?));
        let listener = TcpListener::bind(address)
            .with_context(|| format!("--origin: cannot listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(RequestCounts::default());
        let answer = Bytes::from(body(ANSWER, reply_size));
        let shared = Arc::clone(&seen);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || runtime.block_on(serve(listener, tls, answer, think, shared)))?;
        Ok(Self {
            address,
            ca_file,
            seen,
        })
    }

    /// Counters of the origin so far.
    pub(super) fn seen(&self) -> report::Origin {
        report::Origin {
            requests: self.seen.requests.load(Ordering::Relaxed),
            connections: self.seen.connections.load(Ordering::Relaxed),
        }
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    answer: Bytes,
    think: Duration,
    seen: Arc<RequestCounts>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("error: the origin cannot serve: {error}"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                seen.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(converse(
                    stream,
                    tls.clone(),
                    answer.clone(),
                    think,
                    Arc::clone(&seen),
                ));
            }
            // Out of descriptors, most likely; some will be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Answers one connection until its client closes it.
async fn converse(
    stream: tokio::net::TcpStream,
    tls: TlsAcceptor,
    answer: Bytes,
    think: Duration,
    seen: Arc<RequestCounts>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let service = service_fn(|request: http::Request<Incoming>| {
        let answer = answer.clone();
        let seen = Arc::clone(&seen);
        async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            seen.requests.fetch_add(1, Ordering::Relaxed);
            if !think.is_zero() {
                tokio::time::sleep(think).await;
            }
            let mut response = Response::new(Full::new(answer));
            let media_type = HeaderValue::from_static(MEDIA_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            Ok::<_, Infallible>(response)
        }
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn server_config(ca_file: &Path, http: Http) -> anyhow::Result<ServerConfig> {
    let own = own_file(ca_file);
    if !(ca_file.exists() && own.exists()) {
        generate(ca_file, &own)?;
    }
    let certificate = CertificateDer::from_pem_file(&own)
        .with_context(|| format!("the origin's certificate in {}", own.display()))?;
    let key = PrivateKeyDer::from_pem_file(&own)
        .with_context(|| format!("the origin's key in {}", own.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let (h1, h2) = (b"http/1.1".to_vec(), b"h2".to_vec());
    config.alpn_protocols = match http {
        Http::One => vec![h1],
        Http::Two => vec![h2],
        Http::Any => vec![h2, h1],
    };
    Ok(config)
}

/// An authority, and a certificate of it for this host. The authority's key is not kept.
fn generate(ca_file: &Path, own: &Path) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "wapbridge bench authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let write = |path: &Path, text: String| {
        fs::write(path, text).with_context(|| path.display().to_string())
    };
    write(own, certificate.pem() + &key.serialize_pem())?;
    write(ca_file, authority.pem())
}

/// Beside the authority: the certificate and key of the origin, so that the next run has the same
/// authority.
fn own_file(ca_file: &Path) -> PathBuf {
    let mut name = ca_file.as_os_str().to_owned();
    name.push(".origin");
    name.into()
}

/// A small answer of a recorded session.
const ANSWER: &[u8] =
    include_bytes!("../../../fixtures/syncml-sessions/s12-wbxml-large-01-slow/10-resp.wbxml");
