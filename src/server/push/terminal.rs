//! A connection to a terminal for one push by OTA-HTTP (PO-TCP, WAP-235 7.2.4.1.2).

use std::net::{IpAddr, SocketAddr};

use http::Method;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::initiator::TerminalSettings;
use crate::push::Outcome;
use crate::push::terminal::Exchange;

/// Connects to the terminal at an address and carries the exchange out.
pub async fn push(settings: &TerminalSettings, address: IpAddr, mut exchange: Exchange) -> Outcome {
    let to = SocketAddr::new(address, settings.port);
    let connected = timeout(settings.connect_timeout, TcpStream::connect(to)).await;
    let Ok(Ok(stream)) = connected else {
        return Outcome::Unreachable;
    };
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let Ok((mut sender, connection)) = builder.handshake(TokioIo::new(stream)).await else {
        return Outcome::Unreachable;
    };
    // Dropped at the end of this function, the connection closes.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let mut is_pushed = false;
    let exchanged = async {
        loop {
            let request = exchange.request().map(Full::new);
            is_pushed |= request.method() == Method::POST;
            let (head, body) = sender.send_request(request).await.ok()?.into_parts();
            if let Some(outcome) = exchange.handle_response(head.status, &head.headers) {
                return Some(outcome);
            }
            // The next response begins behind the body.
            Limited::new(body, MAX_BODY).collect().await.ok()?;
            sender.ready().await.ok()?;
        }
    };
    match timeout(settings.timeout, exchanged).await {
        Ok(Some(outcome)) => outcome,
        // The terminal may have the push.
        _ if is_pushed => Outcome::TimedOut,
        _ => Outcome::Unreachable,
    }
}

/// Octets of a response's head.
const MAX_HEAD: usize = 16 << 10;
/// Octets of the body of a response before the last.
const MAX_BODY: usize = 16 << 10;
