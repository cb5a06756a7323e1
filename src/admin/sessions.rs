//! `/sessions`: who is there, a page at a time.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::server::{Findings, Question, Shards};
use crate::wsp::census::{self, Summary};
use crate::wsp::pseudonym::Pseudonyms;

pub(super) fn router(shards: Arc<OnceLock<Shards>>) -> Router {
    Router::new().route("/sessions", get(page).with_state(shards))
}

/// What may be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Sessions on a page, at most 1 000.
    #[serde(default = "usual_limit")]
    limit: usize,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only sessions of this handset.
    address: Option<IpAddr>,
    /// Only sessions in this state.
    state: Option<String>,
}

fn usual_limit() -> usize {
    100
}

/// A page. A page may have fewer sessions than asked for, or none, and not be the last: `next` says.
#[derive(Debug, Serialize)]
struct Page {
    sessions: Vec<Row>,
    /// The `cursor` of the next page; `null` on the last.
    next: Option<String>,
}

/// A session, as JSON has it. Sizes are octets, 0 is no limit.
#[derive(Debug, Serialize)]
struct Row {
    /// What logs, records and traces call it; its id is nobody's business but the handset's.
    session: String,
    shard: usize,
    /// The handset's address and port.
    peer: String,
    /// Ours, that it talks to.
    local: String,
    state: &'static str,
    idle_seconds: f64,
    client_sdu: u32,
    server_sdu: u32,
    client_message: u32,
    server_message: u32,
    max_methods: u8,
    methods: usize,
    pushes: usize,
    /// The newest header encoding the handset understands; `null` if it did not say.
    encoding: Option<String>,
}

impl Row {
    fn new(shard: usize, session: &Summary, names: Pseudonyms) -> Self {
        Self {
            session: names.of(session.id).to_string(),
            shard,
            peer: session.peer.remote.to_string(),
            local: session.peer.local.to_string(),
            state: session.state,
            idle_seconds: session.idle.as_secs_f64(),
            client_sdu: session.client_sdu,
            server_sdu: session.server_sdu,
            client_message: session.client_message,
            server_message: session.server_message,
            max_methods: session.method_mor,
            methods: session.methods,
            pushes: session.pushes,
            encoding: session.encoding.map(|version| version.to_string()),
        }
    }
}

/// A place in the tables of all shards, one after the other: `shard-slot`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    shard: usize,
    slot: u32,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (shard, slot) = text.split_once('-')?;
        Some(Self {
            shard: shard.parse().ok()?,
            slot: slot.parse().ok()?,
        })
    }

    fn show(self) -> String {
        format!("{}-{}", self.shard, self.slot)
    }
}

async fn page(
    State(shards): State<Arc<OnceLock<Shards>>>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let begin = match wanted.cursor.as_deref().map(Cursor::parse) {
        None => Cursor::default(),
        Some(Some(cursor)) => cursor,
        Some(None) => {
            let text = "cursor must be what `next` of the page before says\n";
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let Some(shards) = shards.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response();
    };
    match gather(shards, begin, &wanted).await {
        Some(page) => Json(page).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "a shard does not answer\n").into_response(),
    }
}

/// Asks shard after shard until the page is full or enough has been looked at for one request.
async fn gather(shards: &Shards, mut at: Cursor, wanted: &Wanted) -> Option<Page> {
    let limit = wanted.limit.clamp(1, MAX_LIMIT);
    let mut rows = Vec::new();
    let mut next = None;
    for _ in 0..MAX_QUESTIONS {
        if at.shard >= shards.count() {
            next = None;
            break;
        }
        let query = census::Query {
            from: at.slot,
            limit: limit - rows.len(),
            address: wanted.address,
            state: wanted.state.clone(),
        };
        let found = shards.ask(at.shard, Question::Sessions(query)).await;
        let Some(Findings::Sessions(stretch)) = found else {
            return None;
        };
        rows.extend(
            stretch
                .sessions
                .iter()
                .map(|session| Row::new(at.shard, session, shards.names())),
        );
        at = match stretch.next {
            Some(slot) => Cursor { slot, ..at },
            None => Cursor {
                shard: at.shard + 1,
                slot: 0,
            },
        };
        next = (at.shard < shards.count()).then_some(at);
        if rows.len() >= limit {
            break;
        }
    }
    Some(Page {
        sessions: rows,
        next: next.map(Cursor::show),
    })
}

const MAX_LIMIT: usize = 1_000;
/// Questions for one page: with a rare state to look for, a page may end before anything is found.
const MAX_QUESTIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { shard: 3, slot: 70 };
        assert_eq!(Cursor::parse(&cursor.show()), Some(cursor));
        for nonsense in ["", "3", "-", "3-", "a-1", "3--1"] {
            assert_eq!(Cursor::parse(nonsense), None, "{nonsense}");
        }
    }
}
