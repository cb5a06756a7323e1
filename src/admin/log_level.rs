//! `/log-level`: shows and changes the log level of the running process. A restart restores the
//! configured level.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tracing::level_filters::LevelFilter;

/// The log level of this program, and the function that changes it. Clones share both.
#[derive(Clone)]
pub struct LogLevel {
    shown: Arc<Mutex<String>>,
    set: Arc<dyn Fn(LevelFilter) -> bool + Send + Sync>,
}

impl LogLevel {
    /// `shown` is the present level. `set` changes it and returns whether that worked.
    pub fn new(shown: String, set: impl Fn(LevelFilter) -> bool + Send + Sync + 'static) -> Self {
        Self {
            shown: Arc::new(Mutex::new(shown)),
            set: Arc::new(set),
        }
    }

    fn show(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{shown}\n")
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.show().trim_end())
    }
}

pub(super) fn router(level: LogLevel) -> Router {
    Router::new().route("/log-level", get(show).put(change).with_state(level))
}

async fn show(State(level): State<LogLevel>) -> String {
    level.show()
}

/// The body is the name of a level. Libraries stay at `warn` at every level, since their finer
/// levels log the content of handsets' and origins' messages.
async fn change(State(level): State<LogLevel>, wanted: String) -> Response {
    let wanted = wanted.trim();
    let Some((name, filter)) = LEVELS.iter().find(|(name, _)| *name == wanted) else {
        let names: Vec<&str> = LEVELS.iter().map(|(name, _)| *name).collect();
        let text = format!("send one of: {}\n", names.join(", "));
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    if !(level.set)(*filter) {
        let text = "the log level cannot be changed here\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let mut shown = level.shown.lock().unwrap_or_else(PoisonError::into_inner);
    (*name).clone_into(&mut shown);
    drop(shown);
    level.show().into_response()
}

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];
