//! `/trace`: starts, lists, follows, downloads and ends traces. Every request needs the token.

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

use super::request::TraceRequest;
use super::{StartError, Trace, Traces};
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
    asked: Result<Json<TraceRequest>, JsonRejection>,
) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return text(rejection.status(), &rejection.body_text()),
    };
    let options = match asked.check() {
        Ok(options) => options,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, &wrong),
    };
    match traces.begin(options, client).await {
        Ok(trace) => (StatusCode::CREATED, Json(trace.info())).into_response(),
        Err(error) => {
            let status = match error {
                StartError::TooMany => StatusCode::TOO_MANY_REQUESTS,
                StartError::Starting => StatusCode::SERVICE_UNAVAILABLE,
            };
            text(status, &error.to_string())
        }
    }
}

async fn list(State(traces): State<Traces>) -> Response {
    Json(traces.list()).into_response()
}

/// `/trace/7` is the trace's row as JSON; `/trace/7.pcapng` is the whole trace as a capture file.
async fn one(State(traces): State<Traces>, Path(name): Path<String>) -> Response {
    let (name, is_file) = match name.strip_suffix(".pcapng") {
        Some(name) => (name, true),
        None => (&*name, false),
    };
    let Some(trace) = find(&traces, name) else {
        return unknown();
    };
    if !is_file {
        return Json(trace.info()).into_response();
    }
    let mut file = Vec::new();
    pcapng::begin(&trace.recording(), &mut file);
    let entries = trace.progress.borrow().entries;
    for number in 0..entries {
        pcapng::packet(&trace.recording(), number, &mut file);
        // Decoding a packet takes time on the thread that serves every admin request.
        if number % PACKETS_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
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
    /// Entries the client has already.
    #[serde(default)]
    after: usize,
}

/// All entries so far, then each new one, as JSON lines. The last line is the trace's own row. A
/// client that does not read delays only its own answer.
async fn events(
    State(traces): State<Traces>,
    Path(name): Path<String>,
    Query(from): Query<From>,
) -> Response {
    let Some(trace) = find(&traces, &name) else {
        return unknown();
    };
    let (write, lines) = mpsc::channel(MAX_QUEUED_LINES);
    tokio::spawn(send_events(trace, from.after, write));
    let body = Body::new(LineBody(lines));
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn send_events(trace: Arc<Trace>, mut next: usize, write: mpsc::Sender<Bytes>) {
    let mut progress = trace.progress.subscribe();
    loop {
        let now = *progress.borrow_and_update();
        while next < now.entries {
            let told = trace.recording().event(next);
            if !send_line(&write, &told).await {
                return;
            }
            next += 1;
        }
        if now.ended.is_some() {
            send_line(&write, &trace.info()).await;
            return;
        }
        tokio::select! {
            changed = progress.changed() => if changed.is_err() { return },
            () = write.closed() => return,
        }
    }
}

async fn send_line(write: &mpsc::Sender<Bytes>, line: &impl serde::Serialize) -> bool {
    let Ok(mut line) = serde_json::to_vec(line) else {
        return false;
    };
    line.push(b'\n');
    write.send(line.into()).await.is_ok()
}

/// A response body of lines from a channel.
struct LineBody(mpsc::Receiver<Bytes>);

impl hyper::body::Body for LineBody {
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

/// Packets decoded before the thread serves other tasks.
const PACKETS_PER_TURN: usize = 16;
/// Lines queued for one client.
const MAX_QUEUED_LINES: usize = 64;
