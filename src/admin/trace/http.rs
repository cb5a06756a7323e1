//! `/trace`: the requests. All of them need the token.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::wanted::Asked;
use super::{NotBegun, Trace, Traces};
use crate::admin::access::Client;
use crate::trace::pcapng;

pub(in crate::admin) fn router(traces: Traces) -> Router {
    Router::new()
        .route("/trace", post(begin).get(list))
        .route("/trace/{name}", get(one).delete(end))
        .route("/trace/{name}/events", get(events))
        .with_state(traces)
}

async fn begin(
    State(traces): State<Traces>,
    Extension(client): Extension<Client>,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return text(rejection.status(), &rejection.body_text()),
    };
    let wanted = match asked.check() {
        Ok(wanted) => wanted,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, &wrong),
    };
    match traces.begin(wanted, client).await {
        Ok(trace) => (StatusCode::CREATED, Json(trace.row())).into_response(),
        Err(error) => {
            let status = match error {
                NotBegun::TooMany => StatusCode::TOO_MANY_REQUESTS,
                NotBegun::Starting => StatusCode::SERVICE_UNAVAILABLE,
            };
            text(status, &error.to_string())
        }
    }
}

async fn list(State(traces): State<Traces>) -> Response {
    Json(traces.rows()).into_response()
}

/// `/trace/7` is the trace's row, `/trace/7.pcapng` all of it as a capture.
async fn one(State(traces): State<Traces>, Path(name): Path<String>) -> Response {
    let (name, is_file) = match name.strip_suffix(".pcapng") {
        Some(name) => (name, true),
        None => (&*name, false),
    };
    let Some(trace) = find(&traces, name) else {
        return unknown();
    };
    if !is_file {
        return Json(trace.row()).into_response();
    }
    let mut file = Vec::new();
    pcapng::write(&trace.story(), &mut file);
    let name = format!(
        "attachment; filename=\"wapbridge-trace-{}.pcapng\"",
        trace.id
    );
    let mut answer = ([(CONTENT_TYPE, "application/x-pcapng")], file).into_response();
    if let Ok(name) = HeaderValue::from_str(&name) {
        answer.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    answer
}

async fn end(State(traces): State<Traces>, Path(name): Path<String>) -> Response {
    match find(&traces, &name) {
        Some(trace) => {
            traces.end(&trace);
            StatusCode::NO_CONTENT.into_response()
        }
        None => unknown(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    /// Entries that are known already.
    #[serde(default)]
    after: usize,
}

/// Everything so far and then everything as it comes, a JSON object a line; the last one is the trace's row. A client
/// that does not read holds nobody up.
async fn events(
    State(traces): State<Traces>,
    Path(name): Path<String>,
    Query(from): Query<From>,
) -> Response {
    let Some(trace) = find(&traces, &name) else {
        return unknown();
    };
    let (write, lines) = mpsc::channel(LINES);
    tokio::spawn(tell(trace, from.after, write));
    let body = Body::new(Lines(lines));
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn tell(trace: Arc<Trace>, mut next: usize, write: mpsc::Sender<Bytes>) {
    let mut progress = trace.progress.subscribe();
    loop {
        let now = *progress.borrow_and_update();
        while next < now.entries {
            let told = trace.story().told(next);
            if !say(&write, &told).await {
                return;
            }
            next += 1;
        }
        if now.ended.is_some() {
            say(&write, &trace.row()).await;
            return;
        }
        tokio::select! {
            changed = progress.changed() => if changed.is_err() { return },
            () = write.closed() => return,
        }
    }
}

async fn say(write: &mpsc::Sender<Bytes>, line: &impl serde::Serialize) -> bool {
    let Ok(mut line) = serde_json::to_vec(line) else {
        return false;
    };
    line.push(b'\n');
    write.send(line.into()).await.is_ok()
}

/// A body that is written while it is sent.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

fn find(traces: &Traces, name: &str) -> Option<Arc<Trace>> {
    traces.find(name.parse().ok()?)
}

fn unknown() -> Response {
    text(
        StatusCode::NOT_FOUND,
        "there is no such trace, or it is over for long: GET /trace lists them",
    )
}

fn text(status: StatusCode, words: &str) -> Response {
    (status, format!("{words}\n")).into_response()
}

/// Lines that may wait for a client.
const LINES: usize = 64;
