//! The floor under a gateway of this design: one datagram in, one HTTPS request over a pooled connection, one
//! datagram out, on one thread, with the same hyper and rustls and settings, and nothing of WAP in between.
//!
//! ```sh
//! cargo run --release --example null_bridge -- 127.0.0.1:9299 https://localhost:8443/ bench-ca.pem
//! wapbridge bench --connectionless --gateway 127.0.0.1:9299 --pid $(pidof null_bridge)
//! ```
//!
//! `wapbridge bench --connectionless` speaks to it: the first octet of a datagram goes back as it came, in front of
//! a reply PDU with the origin's body; everything behind it is what is posted.

use std::fs::File;
use std::io::{self, BufReader};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UdpSocket};
use tower_service::Service;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream), Some(ca_file)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("null_bridge ADDRESS:PORT https://ORIGIN/ CA_FILE".into());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(File::open(ca_file)?)) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let upstream: Uri = upstream.parse()?;
    tls.alpn_protocols = Vec::new(); // the connector names what it can
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(bridge(&listen, upstream, tls))
}

async fn bridge(
    listen: &str,
    upstream: Uri,
    tls: ClientConfig,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(50))
        .pool_max_idle_per_host(256)
        .build(Connector(connector));
    let socket = Arc::new(UdpSocket::bind(listen).await?);
    eprintln!("ready");
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (len, peer) = socket.recv_from(&mut buffer).await?;
        let Some((&tid, body)) = buffer.get(..len).and_then(<[u8]>::split_first) else {
            continue;
        };
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = upstream.clone();
        let media_type = HeaderValue::from_static("application/vnd.syncml+wbxml");
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        let response = client.request(request);
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            // TID, Reply, status 200, one octet of headers: the content type */*.
            let mut datagram = vec![tid, 0x04, 0x20, 0x01, 0x80];
            let Ok(response) = response.await else {
                return;
            };
            let mut body = response.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                if let Some(data) = frame.data_ref() {
                    datagram.extend_from_slice(data);
                }
            }
            // Whoever asked asks again.
            let _ = socket.send_to(&datagram, peer).await;
        });
    }
}

/// Connections of which nobody thinks that they take several pieces at once, as those of the gateway: see
/// `src/upstream/stream.rs`.
#[derive(Clone)]
struct Connector(HttpsConnector<HttpConnector>);

struct Whole(MaybeHttpsStream<TokioIo<TcpStream>>);

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Whole;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Whole, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { Ok(Whole(connecting.await?)) })
    }
}

impl Connection for Whole {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for Whole {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Whole {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}
