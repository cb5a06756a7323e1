//! `/config`: the settings in force as a configuration file, secrets masked.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::CurrentSettings;

pub(super) fn router(settings: CurrentSettings) -> Router {
    Router::new().route("/config", get(show).with_state(settings))
}

async fn show(State(settings): State<CurrentSettings>) -> Response {
    match toml::to_string(&*settings.get()) {
        Ok(text) => ([(CONTENT_TYPE, "application/toml; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
