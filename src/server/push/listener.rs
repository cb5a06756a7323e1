//! The port of the Push Access Protocol. Every request gets an answer in PAP (WAP-247 13).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request as HttpRequest, Response as HttpResponse, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::PushHandle;
use super::bearer::Bearers;
use super::initiators::{Counted, Initiators, Known, Who};
use super::keeper::Request;
use crate::initiator::PushSettings;
use crate::push::Recipient;
use crate::push::capabilities;
use crate::push::pap::{self, Operation, Rejection, Response, Status, Versions, multipart};
use crate::wdp::source_prefix;

/// Serves initiators. Clones serve the same.
#[derive(Clone)]
pub(super) struct Listener(Arc<Shared>);

struct Shared {
    tls: Option<TlsAcceptor>,
    initiators: Initiators,
    handle: PushHandle,
    max_request: usize,
    max_addresses: usize,
    request_timeout: Duration,
    connections: Arc<Semaphore>,
    bearers: Bearers,
    sources: Arc<Sources>,
}

/// Open connections by source. One source gets a quarter of all, so that a stranger who opens
/// connections and says nothing keeps no initiator out.
struct Sources {
    most: usize,
    open: Mutex<HashMap<u128, usize>>,
}

/// A connection that counts for its source until it is dropped.
struct Counting(Arc<Sources>, u128);

impl Sources {
    fn new(max_connections: usize) -> Self {
        Self {
            most: max_connections.div_ceil(4),
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u128, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection; `None` if its source has as many as it may.
    fn count(sources: &Arc<Self>, address: IpAddr) -> Option<Counting> {
        let source = source_prefix(address.to_canonical());
        let mut open = sources.open();
        let own = open.entry(source).or_default();
        if *own >= sources.most {
            return None;
        }
        *own += 1;
        Some(Counting(Arc::clone(sources), source))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let mut open = self.0.open();
        if let Some(own) = open.get_mut(&self.1) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.1);
            }
        }
    }
}

/// The client of a connection.
#[derive(Clone)]
struct Client {
    address: SocketAddr,
    certificate: Option<CertificateDer<'static>>,
}

/// An answer in PAP.
struct Answer {
    status: StatusCode,
    versions: Versions,
    response: Response,
    /// The second entity of an answer about capabilities.
    profile: Option<String>,
}

impl Listener {
    pub(super) fn new(
        settings: &PushSettings,
        initiators: Initiators,
        handle: PushHandle,
        bearers: Bearers,
    ) -> Self {
        let tls = settings.tls.as_ref();
        Self(Arc::new(Shared {
            tls: tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config))),
            initiators,
            handle,
            max_request: settings.max_request,
            max_addresses: settings.ppg.max_recipients,
            request_timeout: settings.request_timeout,
            connections: Arc::new(Semaphore::new(settings.max_connections)),
            bearers,
            sources: Arc::new(Sources::new(settings.max_connections)),
        }))
    }

    pub(super) async fn serve(self, listener: TcpListener) {
        // Dropped with this task, the connections close.
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = tasks.join_next() => continue,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    debug!(%error, "push: accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let counting = Sources::count(&self.0.sources, address.ip());
            let permit = Arc::clone(&self.0.connections).try_acquire_owned();
            let (Some(counting), Ok(permit)) = (counting, permit) else {
                self.0.initiators.count(Counted::Connections);
                continue;
            };
            let listener = self.clone();
            tasks.spawn(async move {
                listener.connection(tcp, address).await;
                drop((counting, permit));
            });
        }
    }

    async fn connection(self, tcp: TcpStream, address: SocketAddr) {
        let _ = socket2::SockRef::from(&tcp).set_tcp_user_timeout(Some(self.0.request_timeout));
        let _ = tcp.set_nodelay(true);
        let Some(acceptor) = self.0.tls.clone() else {
            let client = Client {
                address,
                certificate: None,
            };
            return self.http(tcp, client).await;
        };
        let handshake = tokio::time::timeout(self.0.request_timeout, acceptor.accept(tcp));
        match handshake.await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let certificate = certificates.and_then(|shown| shown.first()).cloned();
                let certificate = certificate.map(CertificateDer::into_owned);
                self.http(
                    stream,
                    Client {
                        address,
                        certificate,
                    },
                )
                .await;
            }
            Ok(Err(error)) => debug!(%error, %address, "push: TLS failed"),
            Err(_) => debug!(%address, "push: TLS took too long"),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin, client: Client) {
        let timeout = self.0.request_timeout;
        let service = service_fn(move |request| {
            let (listener, client) = (self.clone(), client.clone());
            async move { Ok::<_, Infallible>(listener.answer(request, &client).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // An error concerns this initiator only.
        let _ = connection.await;
    }

    async fn answer(
        &self,
        request: HttpRequest<Incoming>,
        client: &Client,
    ) -> HttpResponse<Full<Bytes>> {
        let answer = match self.respond(request, client).await {
            Ok(answer) | Err(answer) => answer,
        };
        let document = pap::write_response(&answer.versions, &answer.response);
        let (content_type, body) = match &answer.profile {
            None => (pap::MEDIA_TYPE.to_owned(), document),
            Some(profile) => capabilities::entities(&document, profile),
        };
        let mut reply = HttpResponse::new(Full::new(Bytes::from(body)));
        *reply.status_mut() = answer.status;
        let headers = reply.headers_mut();
        if let Ok(content_type) = HeaderValue::try_from(content_type) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        match answer.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"push\""),
                );
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(http::header::ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        reply
    }

    async fn respond(
        &self,
        request: HttpRequest<Incoming>,
        client: &Client,
    ) -> Result<Answer, Answer> {
        let known = self.identify(&request, client).map_err(|answer| *answer)?;
        if request.uri().path() != PATH {
            let reason = "the Push Access Protocol is served at /pap";
            return Err(refused(StatusCode::NOT_FOUND, Status::BAD_REQUEST, reason));
        }
        if request.method() != Method::POST {
            let reason = "PAP is sent by POST";
            return Err(refused(
                StatusCode::METHOD_NOT_ALLOWED,
                Status::BAD_REQUEST,
                reason,
            ));
        }
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let body = Limited::new(request.into_body(), self.0.max_request).collect();
        let body = match tokio::time::timeout(self.0.request_timeout, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => {
                self.0.initiators.count(Counted::Oversized);
                return Err(match error.is::<LengthLimitError>() {
                    true => refused(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        Status::BAD_REQUEST,
                        "the message is too large",
                    ),
                    false => refused(
                        StatusCode::BAD_REQUEST,
                        Status::BAD_REQUEST,
                        "the message is not whole",
                    ),
                });
            }
            Err(_) => {
                self.0.initiators.count(Counted::Oversized);
                return Err(refused(
                    StatusCode::REQUEST_TIMEOUT,
                    Status::BAD_REQUEST,
                    "the message came too slowly",
                ));
            }
        };
        self.0.initiators.count(Counted::Answered);
        let rejected = |rejection: Rejection| Answer {
            status: StatusCode::ACCEPTED,
            versions: rejection.versions.clone(),
            response: rejection.response(),
            profile: None,
        };
        let entities = multipart::entities(&content_type, &body).map_err(|error| {
            rejected(Rejection::of_octets(
                Status::BAD_REQUEST,
                error.to_string(),
                &body,
            ))
        })?;
        let (versions, operation) =
            pap::read(&entities.control, self.0.max_addresses).map_err(rejected)?;
        // Queries cost as much as pushes.
        if !self.0.initiators.may_ask(&known) {
            let push_id = match &operation {
                Operation::Push(submission) => Some(submission.push_id.clone()),
                _ => None,
            };
            let response = Rejection {
                versions: versions.clone(),
                push_id,
                code: Status::SERVICE_UNAVAILABLE,
                reason: "the initiator sends more than its rate".to_owned(),
                fragment: None,
            };
            return Err(rejected(response));
        }
        if let Operation::Capabilities {
            query_id, address, ..
        } = operation
        {
            return Ok(self.capabilities(&known, versions, query_id, address).await);
        }
        let (answer, answered) = oneshot::channel();
        let request = Request::Operate {
            known,
            versions: versions.clone(),
            operation,
            content: entities.content,
            answer,
        };
        let busy = || {
            refused(
                StatusCode::SERVICE_UNAVAILABLE,
                Status::SERVICE_UNAVAILABLE,
                "the gateway is busy",
            )
        };
        self.0
            .handle
            .requests
            .try_send(request)
            .map_err(|_| busy())?;
        let response = answered.await.map_err(|_| busy())?;
        Ok(Answer {
            status: StatusCode::ACCEPTED,
            versions,
            response,
            profile: None,
        })
    }

    /// Answers `ccq-message` by the Connect of the client's session.
    async fn capabilities(
        &self,
        known: &Known,
        versions: Versions,
        query_id: Option<String>,
        address: String,
    ) -> Answer {
        let found = match Recipient::parse(&address) {
            Err(_) => Err(Status::ADDRESS_ERROR),
            Ok(recipient) if !known.may_reach(&recipient) => Err(Status::FORBIDDEN),
            Ok(recipient) => Ok(self.0.bearers.capabilities(&recipient).await),
        };
        let (response, profile) = capabilities::answer(query_id, address, found);
        Answer {
            status: StatusCode::ACCEPTED,
            versions,
            response,
            profile,
        }
    }

    fn identify(
        &self,
        request: &HttpRequest<Incoming>,
        client: &Client,
    ) -> Result<Arc<Known>, Box<Answer>> {
        let from = client.address.ip().to_canonical();
        let who = self
            .0
            .initiators
            .identify(from, request.headers(), client.certificate.as_ref());
        match who {
            Who::Known(known) => Ok(known),
            Who::Unauthenticated => {
                self.0.initiators.count(Counted::Unauthenticated);
                let reason = "the initiator is not known by these credentials";
                Err(refused(StatusCode::UNAUTHORIZED, Status::FORBIDDEN, reason).into())
            }
            Who::Forbidden => {
                self.0.initiators.count(Counted::Forbidden);
                let reason = "nobody may push from this address";
                Err(refused(StatusCode::FORBIDDEN, Status::FORBIDDEN, reason).into())
            }
        }
    }
}

fn refused(status: StatusCode, code: Status, reason: &str) -> Answer {
    Answer {
        status,
        versions: Versions::default(),
        response: Response::BadMessage {
            code,
            desc: Some(reason.to_owned()),
            fragment: None,
        },
        profile: None,
    }
}

/// Where the protocol is served.
const PATH: &str = "/pap";
/// Octets of a request's head.
const MAX_HEAD: usize = 16 * 1024;
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
