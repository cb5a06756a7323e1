//! `/state` and `/reload`: shows and changes the state of the gateway, and reloads its
//! configuration.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::gateway::Mode;
use crate::server::{Control, ControlError};

pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/state", get(show_state).put(set_state))
        .route("/reload", post(reload))
        .with_state(control)
}

async fn show_state(State(control): State<Control>) -> String {
    format!("{}\n", control.state())
}

/// The body is the state to enter: `running`, `isolated` or `draining`. The answer comes once every
/// shard has entered it.
async fn set_state(State(control): State<Control>, wanted: String) -> Response {
    match wanted.trim().parse::<Mode>() {
        Ok(mode) => match control.enter(mode).await {
            Ok(()) => format!("{}\n", control.state()).into_response(),
            Err(error) => refused(&error),
        },
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Reads the configuration again, as SIGHUP does. Mistakes are reported as `wapbridge check`
/// reports them.
async fn reload(State(control): State<Control>) -> Response {
    match control.reload().await {
        Ok(reloaded) => {
            Json(json!({"reloaded": true, "needs_restart": reloaded.needs_restart})).into_response()
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &ControlError) -> Response {
    let status = match error {
        ControlError::Configuration(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ControlError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n")).into_response()
}
