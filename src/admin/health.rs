//! `/livez` and `/readyz`: for whoever decides whether to restart us, or to send handsets elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

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

pub(super) fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    match readiness.phase() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}
