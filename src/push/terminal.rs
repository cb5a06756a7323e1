//! Push over HTTP to a terminal with an HTTP server (OTA-HTTP, WAP-235 7), over one connection that
//! the gateway opened (PO-TCP).
//!
//! [`Exchange`] does no I/O. It registers with the terminal by OPTIONS, which tells the terminal's
//! capabilities and preferences (CPI), and then sends the push by POST. The caller sends each
//! [`request`](Exchange::request) and gives the head of each response to
//! [`handle_response`](Exchange::handle_response), until that returns an outcome.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Method, Request, StatusCode};

use crate::push::{Outcome, PushMessage};
use crate::wsp::header::application_name;

/// The gateway towards terminals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// The name (PROXY-ID) and the password that a terminal gets if it asks for Basic
    /// authentication. Default: none, and such a terminal gets no push.
    pub credentials: Option<Credentials>,
    /// X-Wap-Push-ProvURL: the configuration context that the terminal is to use. Default: none.
    pub provisioning_url: Option<HeaderValue>,
    /// Whether X-Wap-Terminal-Id must name the recipient. Default: false.
    pub match_terminal: bool,
}

/// The value of Authorization for terminals. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(HeaderValue);

impl Credentials {
    /// Basic credentials (RFC 7617).
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        Self(value)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// One push to one terminal.
#[derive(Debug)]
pub struct Exchange {
    presentation: Arc<Presentation>,
    message: Arc<PushMessage>,
    /// Names of the recipient, one of which the terminal may be asked to have.
    names: Vec<String>,
    stage: Stage,
    /// Requests built so far.
    requests: u32,
    registrations: u32,
    is_authorized: bool,
    /// The name of the terminal's CPI, as its registration had it.
    tag: Option<HeaderValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Registration,
    Push,
}

impl Exchange {
    /// The exchange for a message. `names` are the recipient's number and alias, in full.
    #[must_use]
    pub fn new(
        presentation: Arc<Presentation>,
        message: Arc<PushMessage>,
        names: Vec<String>,
    ) -> Self {
        Self {
            presentation,
            message,
            names,
            stage: Stage::Registration,
            requests: 0,
            registrations: 0,
            is_authorized: false,
            tag: None,
        }
    }

    /// The next request, for the same connection.
    pub fn request(&mut self) -> Request<Bytes> {
        let (method, body) = match self.stage {
            Stage::Registration => (Method::OPTIONS, Bytes::new()),
            Stage::Push => (Method::POST, entity(&self.message)),
        };
        let length = body.len();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = http::Uri::from_static(PATH);
        let headers = request.headers_mut();
        // The terminal has no name (7.2.5.1).
        headers.insert(HOST, HeaderValue::from_static(""));
        if self.requests == 0 {
            headers.insert(VERSION, HeaderValue::from_static("1.0"));
            if let Some(url) = &self.presentation.provisioning_url {
                headers.insert(PROVISIONING, url.clone());
            }
        }
        if let Some(Credentials(value)) = &self.presentation.credentials
            && self.is_authorized
        {
            headers.insert(AUTHORIZATION, value.clone());
        }
        match self.stage {
            Stage::Registration => self.registrations += 1,
            Stage::Push => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/http"));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                if let Some(tag) = &self.tag {
                    headers.insert(TAG, tag.clone());
                }
                if let Some(info) = push_info(&self.message) {
                    headers.insert(INFO, HeaderValue::from_static(info));
                }
            }
        }
        self.requests += 1;
        request
    }

    /// Takes the head of the response to the last request. Returns the outcome of the push; `None`
    /// if another request follows.
    pub fn handle_response(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Outcome> {
        if status == StatusCode::UNAUTHORIZED {
            return self.authorize(headers);
        }
        let code = push_status(headers);
        match (self.stage, code) {
            (Stage::Registration, Some(500 | 501)) if status.is_success() => {
                self.registered(headers)
            }
            (Stage::Registration, Some(300)) => Some(refused("refuses to register for now")),
            (Stage::Push, Some(400 | 401)) if status.is_success() => Some(Outcome::Confirmed),
            // 200 and 204 say that the application has accepted the push (7.4.2).
            (Stage::Push, None) if matches!(status.as_u16(), 200 | 204) => Some(Outcome::Confirmed),
            // The numbers of the reasons for which a session's client aborts a push.
            (Stage::Push, Some(reason @ 234..=238)) => {
                u8::try_from(reason).ok().map(Outcome::Aborted)
            }
            // The CPI has changed since the registration.
            (Stage::Push, Some(256)) if self.registrations < MOST_REGISTRATIONS => {
                self.stage = Stage::Registration;
                None
            }
            (Stage::Push, Some(256)) => Some(refused("changes its capabilities all the time")),
            // Another version (600), no fitting configuration context (257, 302), no registration
            // (301), or no server of OTA-HTTP.
            (_, Some(257 | 600)) | (Stage::Registration, _) => Some(Outcome::NotAgreed),
            (Stage::Push, _) => Some(refused("did not take the push")),
        }
    }

    /// Answers a challenge once (7.2.6.2.1).
    fn authorize(&mut self, headers: &HeaderMap) -> Option<Outcome> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
        let mut challenges = challenges.filter_map(|value| value.to_str().ok());
        let is_basic = challenges.any(|value| {
            let scheme = value.split_whitespace().next().unwrap_or_default();
            scheme.eq_ignore_ascii_case("basic")
        });
        if !is_basic || self.is_authorized || self.presentation.credentials.is_none() {
            return Some(Outcome::NotAgreed);
        }
        self.is_authorized = true;
        None
    }

    /// Compares the push with the CPI; a field that is missing has its default (7.2.5.5).
    fn registered(&mut self, headers: &HeaderMap) -> Option<Outcome> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let terminal = text(TERMINAL).map(str::trim);
        let is_meant = |id: &str| self.names.iter().any(|name| is_same(name, id));
        if self.presentation.match_terminal && !terminal.is_some_and(is_meant) {
            // Another terminal has the address.
            return Some(Outcome::Unreachable);
        }
        let accepted = text(ACCEPT).unwrap_or("application/vnd.wap.sia, text/vnd.wap.si");
        if !accepts(accepted, self.message.content_type()) {
            return Some(Outcome::NotAgreed);
        }
        let applications = text(APPLICATIONS).unwrap_or("*");
        let application = application(&self.message);
        let mut applications = applications.split(',').map(str::trim);
        if !applications.any(|id| id == "*" || id.eq_ignore_ascii_case(&application)) {
            return Some(Outcome::NotAgreed);
        }
        let most = text(MAX_SIZE).map_or(Some(1_400), |size| size.trim().parse().ok());
        if most.is_some_and(|most: u64| self.message.body.len() as u64 > most) {
            return Some(Outcome::TooLarge);
        }
        self.tag = headers.get(TAG).cloned();
        self.stage = Stage::Push;
        None
    }
}

/// The message as a response of HTTP (7.4.1).
fn entity(message: &PushMessage) -> Bytes {
    let mut out = BytesMut::with_capacity(256 + message.body.len());
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    let mut field = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    for (name, value) in &message.headers {
        if name == APPLICATION {
            field(name.as_str(), application(message).as_bytes());
        } else if name != PUSH_FLAG && name != CONTENT_LENGTH {
            field(name.as_str(), value.as_bytes());
        }
    }
    field("content-length", message.body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&message.body);
    out.freeze()
}

/// The application as a URI; one without a registered URI by its number.
fn application(message: &PushMessage) -> String {
    let value = message.headers.get(APPLICATION);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("2");
    let name = value.parse().ok().and_then(application_name);
    name.unwrap_or(value).to_owned()
}

/// X-Wap-Push-Info, the flags of Push-Flag in words (7.4.1.1).
fn push_info(message: &PushMessage) -> Option<&'static str> {
    let flags = message.headers.get(PUSH_FLAG)?.to_str().ok()?;
    let flags: u8 = flags.parse().ok()?;
    (flags & 1 != 0).then_some("authenticated")
}

/// The code of X-Wap-Push-Status (7.4.2.1).
fn push_status(headers: &HeaderMap) -> Option<u16> {
    let value = headers.get(STATUS)?.to_str().ok()?;
    value.split_whitespace().next()?.parse().ok()
}

/// Whether a field like Accept has a type among its ranges.
fn accepts(field: &str, content_type: &str) -> bool {
    let essence = |text: &str| {
        let text = text.split(';').next().unwrap_or_default();
        text.trim().to_ascii_lowercase()
    };
    let content_type = essence(content_type);
    let major = content_type.split('/').next().unwrap_or_default();
    field.split(',').map(essence).any(|range| {
        range == "*/*"
            || range == content_type
            || range.strip_suffix("/*").is_some_and(|start| start == major)
    })
}

/// Whether two names are equal but for the sign of a number.
fn is_same(name: &str, id: &str) -> bool {
    name == id || id.strip_prefix('+').is_some_and(|digits| digits == name)
}

fn refused(reason: &str) -> Outcome {
    Outcome::Refused {
        permanent: false,
        reason: format!("the terminal {reason}"),
    }
}

/// The port that is registered for servers of OTA-HTTP (IANA, `wap-push-http`).
pub const TERMINAL_PORT: u16 = 4035;
/// The resource of every request.
const PATH: &str = "/wappush";
/// Registrations of one exchange: the first, and one after a change of the CPI.
const MOST_REGISTRATIONS: u32 = 2;

const VERSION: &str = "x-wap-push-ota-version";
const PROVISIONING: &str = "x-wap-push-provurl";
const TAG: &str = "x-wap-cpitag";
const INFO: &str = "x-wap-push-info";
const STATUS: &str = "x-wap-push-status";
const TERMINAL: &str = "x-wap-terminal-id";
const ACCEPT: &str = "x-wap-push-accept";
const APPLICATIONS: &str = "x-wap-push-accept-appid";
const MAX_SIZE: &str = "x-wap-push-maxmsgsize";
const APPLICATION: &str = "x-wap-application-id";
const PUSH_FLAG: &str = "push-flag";
