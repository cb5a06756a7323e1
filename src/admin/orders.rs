//! `/state` and `/reload`: what the gateway is doing, and telling it what to do.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::gateway::Mode;
use crate::server::{Control, Disobeyed};

pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/state", get(state).put(enter))
        .route("/reload", post(reload))
        .with_state(control)
}

async fn state(State(control): State<Control>) -> String {
    format!("{}\n", control.state())
}

/// The body is the state to enter: `running`, `isolated` or `draining`. It is answered when every shard has been
/// told.
async fn enter(State(control): State<Control>, wanted: String) -> Response {
    match wanted.trim().parse::<Mode>() {
        Ok(mode) => match control.enter(mode).await {
            Ok(()) => format!("{}\n", control.state()).into_response(),
            Err(error) => refused(&error),
        },
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Reads the configuration again, as SIGHUP does. What it says of mistakes is what `wapbridge check` says.
async fn reload(State(control): State<Control>) -> Response {
    match control.reload().await {
        Ok(reloaded) => {
            Json(json!({"reloaded": true, "needs_restart": reloaded.needs_restart})).into_response()
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &Disobeyed) -> Response {
    let status = match error {
        Disobeyed::Configuration(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Disobeyed::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n")).into_response()
}
