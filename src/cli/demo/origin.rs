//! The demo's sync server: HTTPS with a certificate of its own, and a count of every message.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::cli::demo::sessions::Exchange;

/// Expected and received messages of the origin.
#[derive(Debug)]
pub(super) struct MessageLog {
    expected: HashMap<String, Exchange>,
    seen: Mutex<Seen>,
    think: Duration,
    /// The answer to unexpected requests, which are mistakes otherwise.
    welcome: Option<&'static str>,
}

/// Received messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The number of times that each expected message came, by path and query.
    pub(super) times: HashMap<String, u32>,
    /// Requests that were not expected, or not to the octet.
    pub(super) wrong: Vec<String>,
}

impl MessageLog {
    /// An origin that expects these messages, each under its path, and answers each after `think`.
    pub(super) fn new(expected: HashMap<String, Exchange>, think: Duration) -> Self {
        Self {
            expected,
            seen: Mutex::default(),
            think,
            welcome: None,
        }
    }

    /// Answers unexpected requests with this text, as 200.
    pub(super) const fn with_welcome(mut self, text: &'static str) -> Self {
        self.welcome = Some(text);
        self
    }

    /// The messages received so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn answer(&self, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        if let Some(text) = self.welcome
            && !self.expected.contains_key(&path)
        {
            let mut welcome = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
            let plain = http::HeaderValue::from_static("text/plain");
            welcome.headers_mut().insert(CONTENT_TYPE, plain);
            return welcome;
        }
        let media_type = request.headers().get(CONTENT_TYPE).cloned();
        let body = request
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let checks = match (self.expected.get(&path), body) {
            (None, _) => Err(format!("{path}: this request was not expected")),
            (_, Err(error)) => Err(format!("{path}: {error}")),
            (Some(exchange), Ok(body)) if body != exchange.request => Err(format!(
                "{path}: {} octets that are not the recorded ones",
                body.len()
            )),
            (Some(exchange), Ok(_))
                if media_type.as_ref().is_none_or(|t| t != exchange.media_type) =>
            {
                Err(format!(
                    "{path}: media type {media_type:?} instead of {}",
                    exchange.media_type
                ))
            }
            (Some(exchange), Ok(_)) => Ok(*exchange),
        };
        let exchange = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match checks {
                Ok(exchange) => {
                    *seen.times.entry(path).or_insert(0) += 1;
                    exchange
                }
                Err(wrong) => {
                    seen.wrong.push(wrong);
                    let mut refusal = Response::new(Full::default());
                    *refusal.status_mut() = StatusCode::NOT_FOUND;
                    return refusal;
                }
            }
        };
        tokio::time::sleep(self.think).await;
        let mut answer = Response::new(Full::new(Bytes::from_static(exchange.answer)));
        let media_type = http::HeaderValue::from_static(exchange.media_type);
        answer.headers_mut().insert(CONTENT_TYPE, media_type);
        answer
    }
}

/// A certificate authority that lives as long as the demo, and the origin's key and certificate.
pub(super) struct Authority {
    /// The authority's certificate, for the gateway to trust.
    pub(super) pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes the authority and a certificate for `localhost`.
    pub(super) fn generate() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "wapbridge demo authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            pem: authority.pem(),
            server: Arc::new(server),
        })
    }
}

/// Serves until the runtime ends; returns the address.
pub(super) async fn start(
    authority: &Authority,
    origin_log: Arc<MessageLog>,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("the demo's origin")?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(Arc::clone(&authority.server));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&origin_log)));
        }
    });
    Ok(address)
}

async fn serve(
    stream: tokio::net::TcpStream,
    acceptor: TlsAcceptor,
    origin_log: Arc<MessageLog>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let service = service_fn(move |request| {
        let origin_log = Arc::clone(&origin_log);
        async move { Ok::<_, std::convert::Infallible>(origin_log.answer(request).await) }
    });
    hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}
