//! `/sessions`: the list of sessions, in pages.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::server::Shards;
use crate::wsp::listing::{self, Summary};
use crate::wsp::log_id::LogIds;

pub(super) fn router(shards: Arc<OnceLock<Shards>>) -> Router {
    Router::new().route("/sessions", get(page).with_state(shards))
}

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionsQuery {
    /// Sessions on a page, at most 1 000.
    #[serde(default = "default_limit")]
    limit: usize,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only sessions of this handset.
    address: Option<IpAddr>,
    /// Only sessions in this state.
    state: Option<String>,
}

fn default_limit() -> usize {
    100
}

/// One page. A page with fewer sessions than `limit`, or none, need not be the last: the last page
/// has no `next`.
#[derive(Debug, Serialize)]
struct Page {
    sessions: Vec<SessionInfo>,
    /// The `cursor` of the next page; `null` on the last.
    next: Option<String>,
}

/// One session as JSON. Sizes are octets; 0 is no limit.
#[derive(Debug, Serialize)]
struct SessionInfo {
    /// Its pseudonym in logs, records and traces. The id itself is a credential of the handset.
    session: String,
    shard: usize,
    /// The handset's address and port.
    peer: String,
    /// The gateway's address and port.
    local: String,
    /// Whether it came in WTLS records.
    secured: bool,
    state: &'static str,
    idle_seconds: f64,
    client_sdu: u32,
    server_sdu: u32,
    client_message: u32,
    server_message: u32,
    max_methods: u8,
    methods: usize,
    pushes: usize,
    /// The newest header encoding version the handset supports; `null` if it named none.
    encoding: Option<String>,
}

impl SessionInfo {
    fn new(shard: usize, session: &Summary, names: LogIds, secured: bool) -> Self {
        Self {
            session: names.of(session.id).to_string(),
            shard,
            peer: session.peer.remote.to_string(),
            local: session.peer.local.to_string(),
            secured,
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

/// A position in the session tables of all shards: `shard-slot`.
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
    Query(query): Query<SessionsQuery>,
) -> Response {
    let start = match query.cursor.as_deref().map(Cursor::parse) {
        None => Cursor::default(),
        Some(Some(cursor)) => cursor,
        Some(None) => {
            let text = "cursor must be `next` of the page before\n";
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let Some(shards) = shards.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response();
    };
    match collect(shards, start, &query).await {
        Some(page) => Json(page).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "a shard does not answer\n").into_response(),
    }
}

/// Queries one shard after the other until the page is full or [`MAX_QUESTIONS`] is reached.
async fn collect(shards: &Shards, mut at: Cursor, query: &SessionsQuery) -> Option<Page> {
    let limit = query.limit.clamp(1, MAX_LIMIT);
    let mut rows = Vec::new();
    let mut next = None;
    for _ in 0..MAX_QUESTIONS {
        if at.shard >= shards.count() {
            next = None;
            break;
        }
        let query = listing::Query {
            from: at.slot,
            limit: limit - rows.len(),
            address: query.address,
            state: query.state.clone(),
        };
        let page = shards.list_sessions(at.shard, query).await?;
        rows.extend(page.sessions.iter().map(|session| {
            let secured = shards.is_secured(session.peer);
            SessionInfo::new(at.shard, session, shards.names(), secured)
        }));
        at = match page.next {
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
/// Queries for one page. With a rare state as filter, a page may end before a session is found.
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
