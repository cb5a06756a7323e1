//! Who may do what on the admin port.
//!
//! Reading is open to whoever reaches the port, unless `reads_need_token` is set. Whatever changes something
//! needs the token, from loopback too: a browser on the operator's desk is on loopback. Against pages that
//! such a browser has open elsewhere, requests that come from another origin are refused, and so are names
//! that we do not know as our own, since they may have been pointed here (DNS rebinding). No reply carries a
//! CORS header.

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

use super::counters::{Counters, Refused};
use crate::config::AdminSettings;

/// Who is on the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub SocketAddr);

/// The rules, which a reload may replace. Clones share them.
#[derive(Clone)]
pub struct Access {
    rules: Arc<RwLock<Rules>>,
    counters: Arc<Counters>,
}

struct Rules {
    /// Of the token, under a key that lives as long as the process: tags can be compared without telling by
    /// the time it takes how much was right.
    token: Option<hmac::Tag>,
    key: hmac::Key,
    reads_need_token: bool,
    hosts: Vec<String>,
}

impl Access {
    pub(super) fn new(settings: &AdminSettings, counters: Arc<Counters>) -> Self {
        Self {
            rules: Arc::new(RwLock::new(Rules::new(settings))),
            counters,
        }
    }

    /// Uses these settings from the next request on.
    pub fn replace(&self, settings: &AdminSettings) {
        let rules = Rules::new(settings);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> std::sync::RwLockReadGuard<'_, Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, client: Client, why: Refused, answer: Response) -> Response {
        self.counters.refused(why);
        debug!(client = %client.0, why = why.label(), "admin request refused");
        answer
    }
}

impl Rules {
    fn new(settings: &AdminSettings) -> Self {
        // Without randomness nothing could be compared safely, so nobody has the right token.
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok();
        let token = key.as_ref().zip(settings.token.as_ref());
        Self {
            token: token.map(|(key, token)| hmac::sign(key, token.reveal().as_bytes())),
            key: key.unwrap_or_else(|| hmac::Key::new(hmac::HMAC_SHA256, &[])),
            reads_need_token: settings.reads_need_token,
            hosts: settings.hosts.clone(),
        }
    }

    fn has_token(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let Some(tag) = &self.token else {
            return Err(Denied::NoneConfigured);
        };
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let shown = shown.ok_or(Denied::Missing)?;
        hmac::verify(&self.key, shown.as_bytes(), tag.as_ref()).map_err(|_| Denied::Wrong)
    }

    fn knows(&self, host: &str) -> bool {
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

/// Why a token is not enough.
enum Denied {
    NoneConfigured,
    Missing,
    Wrong,
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let unauthorized = |text| {
            let challenge = [(WWW_AUTHENTICATE, "Bearer realm=\"wapbridge\"")];
            (StatusCode::UNAUTHORIZED, challenge, text).into_response()
        };
        match self {
            Self::NoneConfigured => (
                StatusCode::FORBIDDEN,
                "no token is configured, so this is refused to everybody: set token_file in [admin]\n",
            )
                .into_response(),
            Self::Missing => unauthorized("send Authorization: Bearer and the token of [admin]\n"),
            Self::Wrong => unauthorized("this is not the token of [admin]\n"),
        }
    }
}

/// What every request passes: whatever is not a mere question needs the token and must not come from another
/// site's page. What was done, and by whom, is logged.
pub(super) async fn changes(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    if is_cross_site(request.headers()) {
        return access.refuse(client, Refused::CrossSite, other_site());
    }
    let allowed = access.rules().has_token(request.headers());
    if let Err(denied) = allowed {
        return access.refuse(client, Refused::Token, denied.into_response());
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = next.run(request).await;
    let status = answer.status().as_u16();
    info!(target: "audit", client = %client.0, %method, path, status, "admin");
    answer
}

/// What all that shows something passes, `/livez` and `/readyz` excepted: it may need the token.
pub(super) async fn reads(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = {
        let rules = access.rules();
        // `changes` has looked at the others.
        if rules.reads_need_token && request.method().is_safe() {
            rules.has_token(request.headers())
        } else {
            Ok(())
        }
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(denied) => access.refuse(client, Refused::Token, denied.into_response()),
    }
}

/// For questions that need the token always, such as what one subscriber does.
pub async fn token_needed(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = access.rules().has_token(request.headers());
    match allowed {
        Ok(()) => next.run(request).await,
        Err(denied) => access.refuse(client, Refused::Token, denied.into_response()),
    }
}

/// What all passes that a browser could be made to fetch by a name that was pointed here: the name must be
/// ours, and so must be the page that asks, unless it merely has a link to our page. Programs that send no name, as
/// HTTP/1.0 allows, are no browsers.
pub(super) async fn names(
    State(access): State<Access>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let known = match request.headers().get(HOST).map(|host| host.to_str()) {
        None => true,
        Some(Ok(host)) => access.rules().knows(host),
        Some(Err(_)) => false,
    };
    if !known {
        let text = "this name is not known to be ours: add it to hosts in [admin], or use the IP address\n";
        let answer = (StatusCode::MISDIRECTED_REQUEST, text).into_response();
        return access.refuse(client, Refused::Host, answer);
    }
    if is_cross_site(request.headers()) && !is_link(&request) {
        return access.refuse(client, Refused::CrossSite, other_site());
    }
    next.run(request).await
}

fn other_site() -> Response {
    let text = "requests of other sites' pages are refused: open this in a window of its own\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

/// Whether somebody followed a link to the page, which is the same for everybody and tells nothing by itself.
fn is_link(request: &Request) -> bool {
    let mode = request.headers().get("sec-fetch-mode");
    request.method().is_safe()
        && request.uri().path() == "/"
        && mode.is_some_and(|mode| mode.as_bytes() == b"navigate")
}

/// Whether a browser says that the page behind a request is not ours.
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
