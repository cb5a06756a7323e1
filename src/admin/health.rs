//! `/livez` and `/readyz`: for whoever decides whether to restart us, or to send handsets elsewhere.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::server;
use crate::server::Control;

pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(control))
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
