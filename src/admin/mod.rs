//! What operators and monitoring see over HTTP: `/livez`, `/readyz` and `/metrics`.

pub mod metrics;
mod samples;

pub use samples::samples;

use std::future::Future;
use std::io;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::server;
use crate::server::Control;
use metrics::Metrics;

/// Answers on `listener` until `stop` is ready, then finishes what is under way.
///
/// # Errors
///
/// None that the listener gives while it is running: those are waited out.
pub async fn serve(
    listener: TcpListener,
    control: Control,
    metrics: Metrics,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let upkeep = tokio::spawn(metrics.clone().upkeep());
    let served = axum::serve(listener, router(control, metrics))
        .with_graceful_shutdown(stop)
        .await;
    upkeep.abort();
    served
}

fn router(control: Control, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(control))
        .route("/metrics", get(scrape).with_state(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n") })
}

async fn readyz(State(control): State<Control>) -> (StatusCode, String) {
    let state = control.state();
    match state {
        server::State::Running => (StatusCode::OK, "ready\n".to_owned()),
        server::State::Starting | server::State::Isolated | server::State::Draining => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{state}\n"))
        }
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
        let (control, obedience) = server::control();
        let metrics = Metrics::install();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, control, metrics.clone(), async {
            let _ = stopped.await;
        }));

        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        for (state, status, body) in [
            (server::State::Starting, "HTTP/1.1 503", "starting\n"),
            (server::State::Running, "HTTP/1.1 200", "ready\n"),
            (server::State::Isolated, "HTTP/1.1 503", "isolated\n"),
            (server::State::Draining, "HTTP/1.1 503", "draining\n"),
        ] {
            obedience.show(state);
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
