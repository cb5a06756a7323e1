//! Access control of the admin port.
//!
//! Reads are open to every client that reaches the port, unless `reads_need_token` is set. A change
//! needs the token, from loopback too: the operator's browser is on loopback. Requests of other
//! sites' pages are refused (CSRF), and so are Host names that are not our own (DNS rebinding). No
//! answer has a CORS header.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::{hmac, rand};
use tracing::{debug, info};

use super::refusals::{Refusal, Refusals};
use crate::config::AdminSettings;

/// The address of the client.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub SocketAddr);

/// The rules, which a reload replaces. Clones share them.
#[derive(Clone)]
pub struct Access {
    rules: Arc<RwLock<Rules>>,
    refusals: Arc<Refusals>,
}

struct Rules {
    /// HMAC of the token under a key of this process. Comparing tags takes the same time for every
    /// token.
    token: Option<hmac::Tag>,
    key: hmac::Key,
    reads_need_token: bool,
    hosts: Vec<String>,
}

impl Access {
    pub(super) fn new(settings: &AdminSettings, refusals: Arc<Refusals>) -> Self {
        Self {
            rules: Arc::new(RwLock::new(Rules::new(settings))),
            refusals,
        }
    }

    /// Applies new settings to the following requests.
    pub fn replace(&self, settings: &AdminSettings) {
        let rules = Rules::new(settings);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> std::sync::RwLockReadGuard<'_, Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, client: Client, why: Refusal, answer: Response) -> Response {
        self.refusals.count(why);
        debug!(client = %client.0, why = why.label(), "admin request refused");
        answer
    }
}

impl Rules {
    fn new(settings: &AdminSettings) -> Self {
        // Without a random key every token counts as wrong: no comparison would be safe.
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok();
        let token = key.as_ref().zip(settings.token.as_ref());
        Self {
            token: token.map(|(key, token)| hmac::sign(key, token.reveal().as_bytes())),
            key: key.unwrap_or_else(|| hmac::Key::new(hmac::HMAC_SHA256, &[])),
            reads_need_token: settings.reads_need_token,
            hosts: settings.hosts.clone(),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), TokenError> {
        let Some(tag) = &self.token else {
            return Err(TokenError::NoneConfigured);
        };
        let presented = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let presented = presented.ok_or(TokenError::Missing)?;
        hmac::verify(&self.key, presented.as_bytes(), tag.as_ref()).map_err(|_| TokenError::Wrong)
    }

    fn is_own_name(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The reason why a request has no valid token.
enum TokenError {
    NoneConfigured,
    Missing,
    Wrong,
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let unauthorized = |text| {
            let challenge = [(WWW_AUTHENTICATE, "Bearer realm=\"wapbridge\"")];
            (StatusCode::UNAUTHORIZED, challenge, text).into_response()
        };
        match self {
            Self::NoneConfigured => (
                StatusCode::FORBIDDEN,
                "no token is configured, so every such request is refused: set token_file in [admin]\n",
            )
                .into_response(),
            Self::Missing => unauthorized("send Authorization: Bearer and the token of [admin]\n"),
            Self::Wrong => unauthorized("this is not the token of [admin]\n"),
        }
    }
}

/// For every request: a change needs the token and must not come from another site's page. Every
/// change is logged.
pub(super) async fn require_token_to_change(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    if is_cross_site(request.headers()) {
        return access.refuse(client, Refusal::CrossSite, other_site());
    }
    let allowed = access.rules().check_token(request.headers());
    if let Err(error) = allowed {
        return access.refuse(client, Refusal::Token, error.into_response());
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = next.run(request).await;
    let status = answer.status().as_u16();
    info!(target: "audit", client = %client.0, %method, path, status, "admin");
    answer
}

/// For every read but `/livez` and `/readyz`: it needs the token if `reads_need_token` is set.
pub(super) async fn require_token_to_read(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = {
        let rules = access.rules();
        // `require_token_to_change` has checked the other methods.
        if rules.reads_need_token && request.method().is_safe() {
            rules.check_token(request.headers())
        } else {
            Ok(())
        }
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => access.refuse(client, Refusal::Token, error.into_response()),
    }
}

/// For reads that always need the token: they show the traffic of one subscriber.
pub async fn require_token(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = access.rules().check_token(request.headers());
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => access.refuse(client, Refusal::Token, error.into_response()),
    }
}

/// For every path that DNS rebinding could expose: the Host must be one of ours, and the request
/// must come from our own page or follow a link to it. A request without Host, as HTTP/1.0 allows,
/// does not come from a browser.
pub(super) async fn require_own_name(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let known = match request.headers().get(HOST).map(|host| host.to_str()) {
        None => true,
        Some(Ok(host)) => access.rules().is_own_name(host),
        Some(Err(_)) => false,
    };
    if !known {
        let text = "this name is not known to be ours: add it to hosts in [admin], or use the IP address\n";
        let answer = (StatusCode::MISDIRECTED_REQUEST, text).into_response();
        return access.refuse(client, Refusal::Host, answer);
    }
    if is_cross_site(request.headers()) && !is_link(&request) {
        return access.refuse(client, Refusal::CrossSite, other_site());
    }
    next.run(request).await
}

fn other_site() -> Response {
    let text = "requests of other sites' pages are refused: open this in a window of its own\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

/// Whether a browser followed a link to the page, which shows nothing by itself.
fn is_link(request: &Request) -> bool {
    let mode = request.headers().get("sec-fetch-mode");
    request.method().is_safe()
        && request.uri().path() == "/"
        && mode.is_some_and(|mode| mode.as_bytes() == b"navigate")
}

/// Whether the browser reports that a page of another site sent the request.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    match (origin, host) {
        (Some((_, origin)), Some(host)) => !origin.eq_ignore_ascii_case(host),
        _ => true,
    }
}
