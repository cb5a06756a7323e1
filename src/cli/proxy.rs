//! `wapbridge proxy`: a handset that any HTTP program can use.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap};
use http::{HeaderName, HeaderValue, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::client::{Client, ClientError};
use crate::cli::gateway_address::resolve;
use crate::cli::impairment::Impairment;
use crate::cli::secure::{SecureArgs, SecureClient};
use crate::handset::{Config, Failure, Reply, Request};
use crate::printable;
use crate::server::clock::Clock;
use crate::sim::Network;
use crate::wsp::AbortReason;
use crate::wsp::capability::Capabilities;
use crate::wsp::pdu::Method;

/// Run an HTTP proxy that sends its requests to a gateway over WSP, as a handset would.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Proxy {
    /// The gateway's connection-mode address. Without a port: 9201, or 9203 with --secure.
    #[arg(long, value_name = "HOST[:PORT]")]
    gateway: String,
    #[command(flatten)]
    secure: SecureArgs,
    /// The address of this proxy for HTTP programs. Port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Seconds to wait for the gateway at each step; then the program gets 504.
    #[arg(long, value_name = "SECONDS", default_value_t = 130, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Percentage of datagrams lost, in each direction.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=90))]
    loss: u8,
    /// Percentage of datagrams delivered twice.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    duplicate: u8,
    /// Percentage of datagrams delayed, so that later ones overtake them.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    reorder: u8,
    /// Delay of every datagram in milliseconds, in each direction.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    delay: u64,
    /// Seed of losses and delays: the same seed loses the same datagrams of the same traffic.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the result of each request on standard error.
    #[arg(long, short)]
    verbose: bool,
}

impl Proxy {
    /// Runs until SIGINT or SIGTERM.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let gateway = resolve(&self.gateway, self.secure.default_port())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.serve(gateway))
    }

    async fn serve(self, gateway: SocketAddr) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        println!(
            "proxy: http://{} to WSP at {gateway}",
            listener.local_addr()?
        );
        let shared = Arc::new(Shared {
            impairment: self.impairment(),
            settings: self,
            gateway,
            stop: CancellationToken::new(),
            handsets: TaskTracker::new(),
            handset_number: AtomicU64::new(0),
            clock: Clock::start(),
        });
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let place = Arc::clone(&room).acquire_owned().await?;
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            };
            let Ok((stream, _)) = accepted else {
                // No file descriptors are left, most likely. Others may close soon.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                shared.connection(stream).await;
                drop(place);
            });
        }
        // Each handset ends its session.
        shared.stop.cancel();
        shared.handsets.close();
        let _ = tokio::time::timeout(GOODBYE, shared.handsets.wait()).await;
        Ok(())
    }

    /// The simulated network; `None` without impairments.
    fn impairment(&self) -> Option<Network> {
        if (self.loss, self.duplicate, self.reorder, self.delay) == (0, 0, 0, 0) {
            return None;
        }
        let share = |percent: u8| f64::from(percent) / 100.0;
        // A reordered datagram is delayed by up to four times this.
        let jitter = if self.reorder > 0 { MIN_JITTER } else { 0 };
        Some(
            Network::perfect()
                .loss(share(self.loss))
                .duplication(share(self.duplicate))
                .reordering(share(self.reorder))
                .delay(Duration::from_millis(self.delay))
                .jitter(Duration::from_millis(jitter)),
        )
    }
}

/// State that the connections share.
struct Shared {
    settings: Proxy,
    gateway: SocketAddr,
    impairment: Option<Network>,
    stop: CancellationToken,
    handsets: TaskTracker,
    handset_number: AtomicU64,
    clock: Clock,
}

impl Shared {
    /// Serves one connection with a handset and a session of its own.
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (queue, requests) = mpsc::channel(1);
        let timeout = Duration::from_secs(self.settings.timeout);
        match self.open().await {
            Ok(client) => {
                let stop = self.stop.clone();
                self.handsets.spawn(async move {
                    disconnect(keep(client, requests, timeout, stop).await).await;
                });
            }
            // The channel closes, so that each request gets an error.
            Err(error) => eprintln!("proxy: no socket for a handset: {error}"),
        }
        let service = service_fn(|request| {
            let (shared, queue) = (Arc::clone(&self), queue.clone());
            async move { Ok::<_, Infallible>(shared.answer(request, &queue).await) }
        });
        // A program may end its connection in any way.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn open(&self) -> std::io::Result<Client> {
        let config = Config {
            capabilities: Some(
                Capabilities::default()
                    .with_client_sdu(0)
                    .with_server_sdu(0),
            ),
            ..Config::default()
        };
        let settings = &self.settings;
        let secure = settings.secure.settings(&settings.gateway);
        let secure = secure.map_err(std::io::Error::other)?;
        let secure = secure.map(SecureClient::new).transpose()?;
        let client = Client::open(self.gateway, config).await?.secured_by(secure);
        let number = self.handset_number.fetch_add(1, Ordering::Relaxed);
        Ok(match &self.impairment {
            Some(network) => {
                let seed = self.settings.seed.wrapping_add(number);
                client.impaired_by(Impairment::new(network.clone(), seed))
            }
            None => client,
        })
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        queue: &mpsc::Sender<QueuedRequest>,
    ) -> Response<Full<Bytes>> {
        let began = self.clock.now();
        let line = format!("{} {}", request.method(), request.uri());
        let line = printable::line(&line).into_owned();
        let (response, octets) = match self.ask(request, queue).await {
            Ok(reply) => {
                let octets = reply.body.len();
                (into_http(reply), octets)
            }
            Err(problem) => (problem.response(), 0),
        };
        if self.settings.verbose {
            let took = self.clock.now().since(began).as_millis();
            let status = response.status().as_u16();
            eprintln!("{status} {octets} octets {took} ms: {line}");
        }
        response
    }

    async fn ask(
        &self,
        request: http::Request<Incoming>,
        queue: &mpsc::Sender<QueuedRequest>,
    ) -> Result<Reply, Problem> {
        let owned = read(request).await?;
        let (answer, answered) = oneshot::channel();
        queue
            .send((owned, answer))
            .await
            .map_err(|_| Problem::NoHandset)?;
        answered
            .await
            .map_err(|_| Problem::NoHandset)?
            .map_err(Problem::Client)
    }
}

/// A request for the connection's handset, and the channel for its reply.
type QueuedRequest = (OwnedRequest, oneshot::Sender<Result<Reply, ClientError>>);

/// A request of an HTTP program.
struct OwnedRequest {
    method: Method,
    uri: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl OwnedRequest {
    fn request(&self) -> Request<'_> {
        Request {
            method: self.method,
            uri: &self.uri,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// Keeps a handset alive and sends the requests of the connection's program, until the program
/// closes the connection or the proxy stops.
async fn keep(
    mut client: Client,
    mut queue: mpsc::Receiver<QueuedRequest>,
    timeout: Duration,
    stop: CancellationToken,
) -> Client {
    loop {
        let (owned, mut answer) = tokio::select! {
            ask = queue.recv() => match ask {
                Some(ask) => ask,
                None => return client,
            },
            _ = client.idle() => return client,
            () = stop.cancelled() => return client,
        };
        if let Some(reply) = carry_out(&mut client, &owned, &mut answer, timeout).await {
            // The program may have closed its connection just now.
            let _ = answer.send(reply);
        }
    }
}

/// Sends a request to the gateway; `None` if the program closed the connection first.
///
/// A gateway without the session aborts the method with DISCONNECT, before it does anything. The
/// proxy then sets up a new session and repeats the method.
async fn carry_out(
    client: &mut Client,
    owned: &OwnedRequest,
    answer: &mut oneshot::Sender<Result<Reply, ClientError>>,
    timeout: Duration,
) -> Option<Result<Reply, ClientError>> {
    let mut again = true;
    loop {
        if !client.is_connected()
            && let Err(error) = client.connect(timeout).await
        {
            return Some(Err(error));
        }
        let ticket = client.submit(&owned.request());
        let reply = tokio::select! {
            reply = client.reply(ticket, timeout) => reply,
            () = answer.closed() => {
                let _ = client.abort(ticket).await;
                return None;
            }
        };
        match reply {
            Err(ClientError::Failed(Failure::Aborted(AbortReason::DISCONNECT))) if again => {
                again = false;
            }
            Err(error @ (ClientError::Silence(_) | ClientError::NoAnswer(_))) => {
                let _ = client.abort(ticket).await;
                return Some(Err(error));
            }
            reply => return Some(reply),
        }
    }
}

/// Ends a handset's session.
async fn disconnect(mut client: Client) {
    if client.is_connected() && client.disconnect().await.is_ok() {
        // Delayed datagrams are still sent.
        let _ = tokio::time::timeout(GOODBYE, client.idle()).await;
    }
}

/// Reads a program's request as the handset will make it.
async fn read(request: http::Request<Incoming>) -> Result<OwnedRequest, Problem> {
    let (head, body) = request.into_parts();
    let method = wsp_method(&head.method)?;
    let uri = absolute(&head.uri, &head.headers)?;
    let headers = passed_on(&head.headers)
        .filter(|(name, _)| *name != HOST && *name != CONTENT_LENGTH)
        .filter_map(|(name, value)| {
            // A field that is no visible ASCII is left out, as RFC 9110 5.5 allows for.
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        })
        .collect();
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                Problem::BodyTooLarge
            } else {
                Problem::BodyUnread
            }
        })?
        .to_bytes();
    if !method.has_body() && !body.is_empty() {
        return Err(Problem::NoPlaceForBody(head.method));
    }
    Ok(OwnedRequest {
        method,
        uri,
        headers,
        body,
    })
}

fn wsp_method(method: &http::Method) -> Result<Method, Problem> {
    Ok(match *method {
        http::Method::GET => Method::GET,
        http::Method::HEAD => Method::HEAD,
        http::Method::OPTIONS => Method::OPTIONS,
        http::Method::DELETE => Method::DELETE,
        http::Method::TRACE => Method::TRACE,
        http::Method::POST => Method::POST,
        http::Method::PUT => Method::PUT,
        ref other => return Err(Problem::UnknownMethod(other.clone())),
    })
}

/// The absolute URI of a request: its own, or the one its `Host` makes of a path (RFC 9112 3.2).
fn absolute(uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
    if uri.scheme().is_some() {
        return Ok(uri.to_string());
    }
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .filter(|host| !host.is_empty())
        .ok_or(Problem::NoHost)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(format!("http://{host}{path}"))
}

fn into_http(reply: Reply) -> Response<Full<Bytes>> {
    let mut all = HeaderMap::new();
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            all.append(name, value);
        }
    }
    let mut headers = HeaderMap::new();
    for (name, value) in passed_on(&all) {
        // The origin's length for HEAD; for a body that is present, the length of the body.
        if *name != CONTENT_LENGTH || reply.body.is_empty() {
            headers.append(name, value.clone());
        }
    }
    // A gateway has to name a type even for an empty body.
    if !(reply.body.is_empty() && reply.content_type == "*/*")
        && let Ok(value) = HeaderValue::from_str(&reply.content_type)
    {
        headers.insert(CONTENT_TYPE, value);
    }
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = headers;
    response
}

/// The fields to forward: those for this hop are left out.
fn passed_on(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named = |name: &HeaderName| {
        headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(name.as_str()))
    };
    headers
        .iter()
        .filter(move |(name, _)| !THIS_HOP.contains(&name.as_str()) && !named(name))
}

/// The reason for an answer by the proxy itself.
#[derive(Debug)]
enum Problem {
    UnknownMethod(http::Method),
    NoHost,
    NoPlaceForBody(http::Method),
    BodyTooLarge,
    BodyUnread,
    NoHandset,
    Client(ClientError),
}

impl Problem {
    const fn status(&self) -> StatusCode {
        match self {
            Self::UnknownMethod(_) => StatusCode::NOT_IMPLEMENTED,
            Self::NoHost | Self::NoPlaceForBody(_) | Self::BodyUnread => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Client(ClientError::Silence(_) | ClientError::NoAnswer(_)) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::NoHandset | Self::Client(_) => StatusCode::BAD_GATEWAY,
        }
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let text = format!("wapbridge proxy: {self}\n");
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = self.status();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMethod(http::Method::CONNECT) => f.write_str(
                "CONNECT is a tunnel, which WSP has not: ask for http://, the gateway speaks HTTPS to the origin",
            ),
            Self::UnknownMethod(method) => write!(f, "WSP has no method {method}"),
            Self::NoHost => f.write_str("neither an absolute URI nor a Host"),
            Self::NoPlaceForBody(method) => write!(f, "in WSP {method} has no body"),
            Self::BodyTooLarge => write!(f, "the body has more than {MAX_BODY} octets"),
            Self::BodyUnread => f.write_str("the body broke off"),
            Self::NoHandset => f.write_str("there is no handset for this connection any more"),
            Self::Client(error) => write!(f, "{error}"),
        }
    }
}

/// Fields between a program and its proxy, in lower case.
const THIS_HOP: &[&str] = &[
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The most connections at once; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 1024;
/// The most octets of a request's body. Gateways take less.
const MAX_BODY: usize = 16 << 20;
/// The time for the last PDUs of a handset.
const GOODBYE: Duration = Duration::from_millis(500);
/// Pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Milliseconds of jitter on a link that reorders, so that there is something to overtake.
const MIN_JITTER: u64 = 10;

const EXAMPLES: &str = "\
Each connection of a program is one handset with one WSP session. A request that cannot be sent \
to the gateway gets 502, a request without a timely reply 504, with the reason as text.

Examples:
  wapbridge proxy --gateway 192.0.2.1 --listen 127.0.0.1:8080
  curl --proxy http://127.0.0.1:8080 http://sync.example.com/status
  wapbridge proxy --gateway localhost:9201 --loss 10 --delay 200 --duplicate 5 --reorder 5 --seed 7";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_either_form_names_one_uri() {
        let mut headers = HeaderMap::new();
        let path = Uri::from_static("/a?b");
        assert!(matches!(absolute(&path, &headers), Err(Problem::NoHost)));
        headers.insert(HOST, HeaderValue::from_static("sync.example:81"));
        assert_eq!(
            absolute(&path, &headers).unwrap(),
            "http://sync.example:81/a?b"
        );
        let whole = Uri::from_static("http://other.example/x?y=%20");
        assert_eq!(
            absolute(&whole, &headers).unwrap(),
            "http://other.example/x?y=%20"
        );
    }

    #[test]
    fn what_is_for_the_next_hop_only_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("proxy-connection", "keep-alive"),
            ("accept", "a/b"),
            ("accept", "c/d"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let passed: Vec<&str> = passed_on(&headers)
            .map(|(_, value)| value.to_str().unwrap())
            .collect();
        assert_eq!(passed, ["a/b", "c/d"]);
    }

    #[test]
    fn a_reply_without_anything_has_no_type() {
        let reply = Reply {
            status: 204,
            content_type: "*/*".into(),
            headers: vec![("X-A".into(), b"1".to_vec())],
            body: Bytes::new(),
            trailers: Vec::new(),
        };
        let response = into_http(reply);
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers().len(), 1);
    }

    #[test]
    fn silence_is_504_and_a_refusal_502() {
        let silence = Problem::Client(ClientError::Silence(Duration::from_secs(1)));
        assert_eq!(silence.status(), 504);
        assert_eq!(Problem::Client(ClientError::Refused(403)).status(), 502);
    }
}
