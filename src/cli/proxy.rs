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

use crate::cli::air::{Air, AirError};
use crate::cli::request::resolve;
use crate::cli::weather::Weather;
use crate::handset::{Config, Failure, Reply, Request};
use crate::server::clock::Clock;
use crate::sim::Network;
use crate::wsp::AbortReason;
use crate::wsp::capability::Capabilities;
use crate::wsp::pdu::Method;

/// Be an HTTP proxy that asks a gateway over WSP, as a handset would.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Proxy {
    /// The gateway's connection-mode address. Without a port: 9201.
    #[arg(long, value_name = "HOST[:PORT]")]
    gateway: String,
    /// Where HTTP programs reach this proxy. Port 0 lets the system choose.
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
    /// Percentage of datagrams held back, so that later ones overtake them.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    reorder: u8,
    /// Milliseconds every datagram takes, in each direction.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    delay: u64,
    /// Decides the weather: the same seed loses the same datagrams of the same traffic.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Say on standard error what became of each request.
    #[arg(long, short)]
    verbose: bool,
}

impl Proxy {
    /// Runs until SIGINT or SIGTERM.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let gateway = resolve(&self.gateway, 9201)?;
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
            weather: self.weather(),
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
                // Out of descriptors, most likely: others may be given back.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                shared.connection(stream).await;
                drop(place);
            });
        }
        // Each handset says good-bye to the gateway.
        shared.stop.cancel();
        shared.handsets.close();
        let _ = tokio::time::timeout(GOODBYE, shared.handsets.wait()).await;
        Ok(())
    }

    /// What the datagrams go through, if it is not fair weather.
    fn weather(&self) -> Option<Network> {
        if (self.loss, self.duplicate, self.reorder, self.delay) == (0, 0, 0, 0) {
            return None;
        }
        let share = |percent: u8| f64::from(percent) / 100.0;
        // What is held back is held by up to four times this.
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

/// What the connections share.
struct Shared {
    settings: Proxy,
    gateway: SocketAddr,
    weather: Option<Network>,
    stop: CancellationToken,
    handsets: TaskTracker,
    handset_number: AtomicU64,
    clock: Clock,
}

impl Shared {
    /// Serves one connection with a handset and a session of its own.
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (asks, heard) = mpsc::channel(1);
        let patience = Duration::from_secs(self.settings.timeout);
        match self.open().await {
            Ok(air) => {
                let stop = self.stop.clone();
                self.handsets
                    .spawn(async move { goodbye(keep(air, heard, patience, stop).await).await });
            }
            // The channel is closed with it, so that each request is told.
            Err(error) => eprintln!("proxy: no socket for a handset: {error}"),
        }
        let service = service_fn(|request| {
            let (shared, asks) = (Arc::clone(&self), asks.clone());
            async move { Ok::<_, Infallible>(shared.answer(request, &asks).await) }
        });
        // How a program ends its connection is its own business.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn open(&self) -> std::io::Result<Air> {
        let config = Config {
            capabilities: Some(
                Capabilities::default()
                    .with_client_sdu(0)
                    .with_server_sdu(0),
            ),
            ..Config::default()
        };
        let air = Air::open(self.gateway, config).await?;
        let number = self.handset_number.fetch_add(1, Ordering::Relaxed);
        Ok(match &self.weather {
            Some(network) => {
                let seed = self.settings.seed.wrapping_add(number);
                air.under(Weather::new(network.clone(), seed))
            }
            None => air,
        })
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        asks: &mpsc::Sender<Ask>,
    ) -> Response<Full<Bytes>> {
        let began = self.clock.now();
        let line = format!("{} {}", request.method(), request.uri());
        let (response, octets) = match self.ask(request, asks).await {
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
        asks: &mpsc::Sender<Ask>,
    ) -> Result<Reply, Problem> {
        let asked = read(request).await?;
        let (answer, answered) = oneshot::channel();
        asks.send((asked, answer))
            .await
            .map_err(|_| Problem::NoHandset)?;
        answered
            .await
            .map_err(|_| Problem::NoHandset)?
            .map_err(Problem::Air)
    }
}

/// A request on its way to the connection's handset, and whoever waits for the answer.
type Ask = (Asked, oneshot::Sender<Result<Reply, AirError>>);

/// What a program asks for.
struct Asked {
    method: Method,
    uri: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Asked {
    fn request(&self) -> Request<'_> {
        Request {
            method: self.method,
            uri: &self.uri,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// Keeps a handset on the air and asks the gateway what the connection's program asks, until the program
/// has gone or the proxy stops.
async fn keep(
    mut air: Air,
    mut asks: mpsc::Receiver<Ask>,
    patience: Duration,
    stop: CancellationToken,
) -> Air {
    loop {
        let (asked, mut answer) = tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => ask,
                None => return air,
            },
            _ = air.idle() => return air,
            () = stop.cancelled() => return air,
        };
        if let Some(reply) = carry_out(&mut air, &asked, &mut answer, patience).await {
            // The program may have gone at this very moment.
            let _ = answer.send(reply);
        }
    }
}

/// Has the gateway asked; nothing if the program went away first.
///
/// A gateway that no longer knows the session says DISCONNECT to the method without having done anything:
/// then there is a new session and the method is invoked in it.
async fn carry_out(
    air: &mut Air,
    asked: &Asked,
    answer: &mut oneshot::Sender<Result<Reply, AirError>>,
    patience: Duration,
) -> Option<Result<Reply, AirError>> {
    let mut again = true;
    loop {
        if !air.is_connected()
            && let Err(error) = air.connect(patience).await
        {
            return Some(Err(error));
        }
        let ticket = air.submit(&asked.request());
        let reply = tokio::select! {
            reply = air.reply(ticket, patience) => reply,
            () = answer.closed() => {
                let _ = air.abort(ticket).await;
                return None;
            }
        };
        match reply {
            Err(AirError::Failed(Failure::Aborted(AbortReason::DISCONNECT))) if again => {
                again = false;
            }
            Err(error @ (AirError::Silence(_) | AirError::NoAnswer(_))) => {
                let _ = air.abort(ticket).await;
                return Some(Err(error));
            }
            reply => return Some(reply),
        }
    }
}

/// Ends a handset's session.
async fn goodbye(mut air: Air) {
    if air.is_connected() && air.disconnect().await.is_ok() {
        // What the weather delays still leaves.
        let _ = tokio::time::timeout(GOODBYE, air.idle()).await;
    }
}

/// Reads a program's request as the handset will make it.
async fn read(request: http::Request<Incoming>) -> Result<Asked, Problem> {
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
    Ok(Asked {
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
        // The length of what HEAD did not bring is the origin's word; of a body that is here it is ours.
        if *name != CONTENT_LENGTH || reply.body.is_empty() {
            headers.append(name, value.clone());
        }
    }
    // A gateway has to name a type even where there is nothing to be of one.
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

/// The fields that are not this hop's business.
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

/// Why the program gets an answer of the proxy's own.
#[derive(Debug)]
enum Problem {
    UnknownMethod(http::Method),
    NoHost,
    NoPlaceForBody(http::Method),
    BodyTooLarge,
    BodyUnread,
    NoHandset,
    Air(AirError),
}

impl Problem {
    const fn status(&self) -> StatusCode {
        match self {
            Self::UnknownMethod(_) => StatusCode::NOT_IMPLEMENTED,
            Self::NoHost | Self::NoPlaceForBody(_) | Self::BodyUnread => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Air(AirError::Silence(_) | AirError::NoAnswer(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::NoHandset | Self::Air(_) => StatusCode::BAD_GATEWAY,
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
            Self::Air(error) => write!(f, "{error}"),
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
/// Connections at once; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 1024;
/// Octets of a request's body; gateways rarely take more than a few.
const MAX_BODY: usize = 16 << 20;
/// How long the last word of a handset may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// Pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Milliseconds of jitter on a link that reorders, so that there is something to overtake.
const MIN_JITTER: u64 = 10;

const EXAMPLES: &str = "\
Each connection of a program is one handset with one WSP session. What the gateway cannot be asked is answered 502,
what it does not answer in time 504, with the reason as text.

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
        let silence = Problem::Air(AirError::Silence(Duration::from_secs(1)));
        assert_eq!(silence.status(), 504);
        assert_eq!(Problem::Air(AirError::Refused(403)).status(), 502);
    }
}
