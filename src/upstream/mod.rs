//! The HTTPS side: one request, one bounded reply or one reason why not.

mod connect;
mod tls;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use crate::gateway::fetch::{Failure, FetchError, Reply, Request};
use connect::{Connector, causes, root_cause, tls_error};

pub use tls::{Tls, TlsError, TlsSettings};

/// The connections of one shard to its origins, kept alive between requests.
///
/// A request is never repeated here. hyper resends one only if it got it back unsent from a connection that
/// the origin had closed meanwhile; that is no second POST.
pub struct Upstream {
    tls: Arc<ClientConfig>,
    /// One pool per connect timeout, since a pool connects on its own. Routes have few different ones.
    pools: Mutex<Vec<(Duration, Pool)>>,
}

type Pool = Client<Connector, Full<Bytes>>;

impl Upstream {
    /// An upstream side without any connection yet. Each shard has its own, and so has each reload.
    #[must_use]
    pub fn new(tls: &Tls) -> Self {
        Self {
            tls: tls.client_config(),
            pools: Mutex::default(),
        }
    }

    /// Sends a request and reads the whole reply. Needs a tokio runtime, of either flavour.
    ///
    /// Dropping the future cancels the request: the HTTP/1 connection is closed, the HTTP/2 stream reset.
    ///
    /// # Errors
    ///
    /// A [`FetchError`] with its class and, for the operator's log, the cause in words.
    pub async fn fetch(&self, request: Request) -> Result<Reply, FetchError> {
        let timeout = request.timeout;
        let max_reply = request.max_reply;
        let origin = request.uri.authority().cloned();
        let at_origin = |mut error: FetchError| {
            if let Some(origin) = &origin
                && !error.detail.starts_with(origin.as_str())
            {
                error.detail.insert_str(0, &format!("{origin}: "));
            }
            error
        };
        let sent = self.send(request);

        let deadline = tokio::time::sleep(timeout);
        tokio::pin!(deadline);
        let response = tokio::select! {
            response = sent => response.map_err(|error| at_origin(classify(&error)))?,
            () = &mut deadline => {
                return Err(at_origin(failed(
                    Failure::Timeout,
                    format!("no reply within {timeout:?}"),
                )));
            }
        };
        let (head, body) = response.into_parts();
        let mut received = BytesMut::new();
        tokio::select! {
            read = read_body(body, max_reply, &mut received) => read.map_err(at_origin)?,
            () = &mut deadline => {
                let octets = received.len();
                return Err(at_origin(failed(
                    Failure::Timeout,
                    format!("the reply was not whole within {timeout:?}; {octets} octets had come"),
                )));
            }
        }
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: received.freeze(),
        })
    }

    /// Hands a request to the pool for its connect timeout. Only the hand-over happens under the lock.
    fn send(&self, request: Request) -> ResponseFuture {
        let connect_timeout = request.connect_timeout;
        let request = into_http(request);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools
            .iter()
            .find(|(timeout, _)| *timeout == connect_timeout)
        {
            return pool.request(request);
        }
        let pool = new_pool(Connector::new(Arc::clone(&self.tls), connect_timeout));
        let response = pool.request(request);
        pools.push((connect_timeout, pool));
        response
    }
}

fn new_pool(connector: Connector) -> Pool {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_MAX_IDLE)
        .http1_max_buf_size(MAX_HEAD)
        .http2_max_header_list_size(MAX_HEAD_H2)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(HTTP2_PING)
        .http2_keep_alive_timeout(HTTP2_PONG)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

fn into_http(request: Request) -> http::Request<Full<Bytes>> {
    let mut http = http::Request::new(Full::new(request.body));
    *http.method_mut() = request.method;
    *http.uri_mut() = request.uri;
    *http.headers_mut() = request.headers;
    http
}

/// Reads a body that may have at most `max` octets, and not one buffer more.
async fn read_body(
    mut body: Incoming,
    max: usize,
    received: &mut BytesMut,
) -> Result<(), FetchError> {
    // For a reply to HEAD, a 204 or a 304 this is zero, whatever its Content-Length says.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(failed(
            Failure::TooLarge,
            format!("the reply has {announced} octets, {max} are allowed"),
        ));
    }
    received.reserve(announced.min(TRUSTED_LENGTH));
    while let Some(frame) = body.frame().await {
        // What is no data is trailers, which WSP has no place for.
        let Ok(data) = frame.map_err(|error| classify(&error))?.into_data() else {
            continue;
        };
        if data.len() > max - received.len() {
            return Err(failed(
                Failure::TooLarge,
                format!("the reply has more than the {max} octets allowed"),
            ));
        }
        received.extend_from_slice(&data);
    }
    Ok(())
}

/// Whose fault a failed request is.
fn classify(error: &(dyn Error + 'static)) -> FetchError {
    let connecting = causes(error).find_map(|cause| cause.downcast_ref::<FetchError>());
    if let Some(error) = connecting {
        return error.clone();
    }
    // With TLS 1.3 an origin refuses our lack of a certificate only after the handshake.
    if let Some(error) = tls_error(error) {
        return failed(Failure::Tls, tls::explain(error));
    }
    let protocol = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    let io = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    if protocol.is_some_and(hyper::Error::is_parse_too_large) {
        return failed(
            Failure::Malformed,
            format!("the reply's header fields exceed {MAX_HEAD} octets"),
        );
    }
    if protocol.is_some_and(hyper::Error::is_parse) {
        return failed(
            Failure::Malformed,
            format!("the reply is not HTTP: {}", root_cause(error)),
        );
    }
    let broken_framing = io.is_some_and(|io| {
        use std::io::ErrorKind::{InvalidData, InvalidInput};
        matches!(io.kind(), InvalidData | InvalidInput)
    });
    let http2 = causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>());
    if broken_framing || http2.is_some_and(h2::Error::is_library) {
        return failed(
            Failure::Malformed,
            format!("the reply breaks off HTTP: {}", root_cause(error)),
        );
    }
    let cause = if protocol.is_some_and(hyper::Error::is_incomplete_message) {
        "it closed the connection before the reply was whole".to_owned()
    } else {
        root_cause(error)
    };
    failed(Failure::Reset, cause)
}

fn failed(failure: Failure, detail: String) -> FetchError {
    FetchError { failure, detail }
}

/// Idle connections are closed after this, before most origins and load balancers close them (60 s), so
/// that a request rarely meets a connection that is just going away.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// Idle HTTP/1 connections kept per origin and shard; more are closed when they become idle.
const POOL_MAX_IDLE: usize = 256;
/// Largest head of an HTTP/1 reply; hyper may overshoot it by one read, which is no larger.
const MAX_HEAD: usize = 64 * 1024;
/// Largest head of an HTTP/2 reply.
const MAX_HEAD_H2: u32 = 64 * 1024;
/// How often a live HTTP/2 connection is asked whether it still lives, and how long it may take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);
const HTTP2_PONG: Duration = Duration::from_secs(10);
/// An announced length is believed up to here when memory is set aside for it.
const TRUSTED_LENGTH: usize = 64 * 1024;
