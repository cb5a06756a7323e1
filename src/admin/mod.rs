//! What operators and monitoring see over HTTP: `/livez`, `/readyz` and `/metrics`.

pub mod metrics;
mod samples;

pub use samples::{samples, samples_of_logs};

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use metrics::Metrics;

/// Whether handsets should be sent here. Clones share one state; it starts as [`Phase::Starting`].
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet listening.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what it has; new handsets should go elsewhere.
    Draining,
}

impl Readiness {
    /// Says where the server is now.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// Where the server is now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            ready if ready == Phase::Ready as u8 => Phase::Ready,
            draining if draining == Phase::Draining as u8 => Phase::Draining,
            _ => Phase::Starting,
        }
    }
}

/// Answers on `listener` until `stop` is ready, then finishes what is under way.
///
/// # Errors
///
/// None that the listener gives while it is running: those are waited out.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Metrics,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let upkeep = tokio::spawn(metrics.clone().upkeep());
    let served = axum::serve(listener, router(readiness, metrics))
        .with_graceful_shutdown(stop)
        .await;
    upkeep.abort();
    served
}

fn router(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(scrape).with_state(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n") })
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    match readiness.phase() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.render()).into_response()
}

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::metrics::Sample;
    use super::*;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        tcp.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn tells_health_and_metrics_and_stops_when_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Readiness::default();
        let metrics = Metrics::install();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, readiness.clone(), metrics.clone(), async {
            let _ = stopped.await;
        }));

        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        for (phase, status, body) in [
            (Phase::Starting, "HTTP/1.1 503", "starting\n"),
            (Phase::Ready, "HTTP/1.1 200", "ready\n"),
            (Phase::Draining, "HTTP/1.1 503", "draining\n"),
        ] {
            readiness.set(phase);
            let reply = get(address, "/readyz").await;
            assert!(
                reply.starts_with(status) && reply.ends_with(body),
                "{reply}"
            );
        }

        metrics.publish(&[Sample::counter(
            "wapbridge_scraped_total",
            "Of this test.",
            7,
        )]);
        let reply = get(address, "/metrics").await;
        assert!(
            reply.contains("content-type: text/plain; version=0.0.4"),
            "{reply}"
        );
        assert!(reply.contains("\nwapbridge_scraped_total 7\n"), "{reply}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
