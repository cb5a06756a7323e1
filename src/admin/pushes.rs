//! `/pushes`: the list of pushes, in pages. Recipients are masked.

use std::sync::{Arc, OnceLock};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::push::datetime;
use crate::push::pap::MessageState;
use crate::push::ppg::{Listed, Listing};
use crate::server::PushHandle;

pub(super) fn router(pushes: Arc<OnceLock<PushHandle>>) -> Router {
    Router::new().route("/pushes", get(page).with_state(pushes))
}

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushesQuery {
    /// Deliveries on a page, at most 1 000.
    #[serde(default = "default_limit")]
    limit: usize,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only deliveries in this state, by its name in PAP; `pending` deliveries are not over.
    state: Option<String>,
    /// Only pushes of this initiator.
    initiator: Option<String>,
}

fn default_limit() -> usize {
    100
}

/// One page.
#[derive(Debug, Serialize)]
struct Page {
    pushes: Vec<PushInfo>,
    /// The `cursor` of the next page; `null` on the last.
    next: Option<String>,
}

/// A push and one of its recipients.
#[derive(Debug, Serialize)]
struct PushInfo {
    initiator: String,
    push_id: String,
    /// Masked: the last two characters of a number.
    recipient: String,
    state: &'static str,
    received: String,
    expires: String,
    /// The time of the next attempt; `null` if one is under way or the delivery is over.
    next_attempt: Option<String>,
    attempts: u32,
    octets: usize,
}

impl PushInfo {
    fn new(listed: &Listed) -> Self {
        Self {
            initiator: listed.initiator.to_string(),
            push_id: listed.push_id.to_string(),
            recipient: listed.recipient.to_string(),
            state: listed.state.name(),
            received: datetime::text(listed.received),
            expires: datetime::text(listed.expires),
            next_attempt: listed.next.map(datetime::text),
            attempts: listed.attempts,
            octets: listed.octets,
        }
    }
}

async fn page(
    State(pushes): State<Arc<OnceLock<PushHandle>>>,
    Query(query): Query<PushesQuery>,
) -> Response {
    let Some(pushes) = pushes.get() else {
        return (
            StatusCode::NOT_FOUND,
            "there are no pushes: the configuration has no [push]\n",
        )
            .into_response();
    };
    let after = match query.cursor.as_deref().map(cursor) {
        None => None,
        Some(Some(place)) => Some(place),
        Some(None) => {
            let text = "cursor must be `next` of the page before\n";
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let state = match query.state.as_deref().map(MessageState::parse) {
        None => None,
        Some(Some(state)) => Some(state),
        Some(None) => {
            let names = MessageState::ALL.map(MessageState::name).join(", ");
            return (
                StatusCode::BAD_REQUEST,
                format!("state is one of {names}\n"),
            )
                .into_response();
        }
    };
    let limit = query.limit.clamp(1, MAX_LIMIT);
    let page = pushes
        .list(Listing {
            after,
            limit,
            state,
            initiator: query.initiator,
        })
        .await;
    Json(Page {
        pushes: page.listed.iter().map(PushInfo::new).collect(),
        next: page
            .next
            .map(|(push, recipient)| format!("{push}-{recipient}")),
    })
    .into_response()
}

fn cursor(text: &str) -> Option<(u64, u32)> {
    let (push, recipient) = text.split_once('-')?;
    Some((push.parse().ok()?, recipient.parse().ok()?))
}

const MAX_LIMIT: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_push_and_a_recipient() {
        assert_eq!(cursor("17-3"), Some((17, 3)));
        for nonsense in ["", "17", "-", "17-", "a-1", "1-2-3"] {
            assert_eq!(cursor(nonsense), None, "{nonsense}");
        }
    }
}
