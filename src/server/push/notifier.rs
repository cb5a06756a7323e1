//! Results told to initiators by verified HTTPS, never into a network that is not allowed.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Uri};
use tracing::debug;

use crate::gateway::fetch::Request;
use crate::initiator::PushSettings;
use crate::push::pap;
use crate::push::ppg::Notice;
use crate::route::{self, Condition, Destination, RouteSettings, Routes};
use crate::upstream::{Tls, Upstream};

/// Tells results. Clones share connections.
#[derive(Clone, Debug)]
pub(super) struct Notifier(Arc<RwLock<Current>>);

#[derive(Clone)]
struct Current {
    upstream: Arc<Upstream>,
    allows_plaintext: bool,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl Notifier {
    pub(super) fn new(settings: &PushSettings, tls: &Tls) -> Self {
        Self(Arc::new(RwLock::new(Current::new(settings, tls))))
    }

    pub(super) fn replace(&self, settings: &PushSettings, tls: &Tls) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Current::new(settings, tls);
    }

    fn current(&self) -> Current {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a URL is one that may be told; its host's addresses are judged when it is connected
    /// to.
    pub(super) fn may_tell(&self, url: &str) -> bool {
        let Ok(uri) = url.parse::<Uri>() else {
            return false;
        };
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        let has_user = uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        match uri.scheme_str() {
            Some("https") => has_host && !has_user,
            Some("http") => has_host && !has_user && self.current().allows_plaintext,
            _ => false,
        }
    }

    /// Tells a result. True once the initiator has it: an HTTP status of success, and an answer in
    /// PAP of success if there is one.
    pub(super) async fn tell(self, notice: Notice) -> bool {
        let Ok(uri) = notice.url.parse::<Uri>() else {
            return false;
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(pap::MEDIA_TYPE));
        let request = Request {
            source: None,
            trace: None,
            session: None,
            route: ROUTE.into(),
            method: Method::POST,
            uri,
            headers,
            body: Bytes::from(notice.document),
            max_reply: MAX_REPLY,
            first_byte_timeout: TIMEOUT,
            timeout: TIMEOUT,
        };
        let upstream = self.current().upstream;
        match upstream.fetch(request).await {
            Ok(reply) if reply.status.is_success() => match pap::read_response(&reply.body) {
                Ok((
                    _,
                    pap::Response::Notification { code, .. }
                    | pap::Response::BadMessage { code, .. },
                )) => {
                    // A refusal (2xxx) ends the notification: a repetition would be refused, too.
                    code.class() <= 2
                }
                // Many initiators answer nothing.
                _ => true,
            },
            Ok(reply) => {
                debug!(status = reply.status.as_u16(), "a result was not taken");
                false
            }
            Err(error) => {
                debug!(%error, "a result could not be told");
                false
            }
        }
    }
}

impl Current {
    fn new(settings: &PushSettings, tls: &Tls) -> Self {
        let condition = Condition::default();
        let destination = Destination::AsRequested {
            allow_addresses: Arc::clone(&settings.notify_networks),
        };
        let route = RouteSettings {
            name: ROUTE.into(),
            condition,
            destination,
            allow_plaintext: settings.notify_plaintext,
            allowed_methods: Vec::new(),
            http_proxy: None,
            rewrite_resp_uri: false,
            host_policy: route::HostPolicy::default(),
            limits: route::Limits::default(),
            headers: Arc::default(),
            content: crate::syncml::content::Config::default(),
        };
        Self {
            upstream: Arc::new(Upstream::new(tls, &Routes::new(vec![route]))),
            allows_plaintext: settings.notify_plaintext,
        }
    }
}

/// The name of the only route of the notifier's own client.
const ROUTE: &str = "push";
/// Octets of an initiator's answer.
const MAX_REPLY: usize = 64 << 10;
/// For the whole exchange with an initiator.
const TIMEOUT: Duration = Duration::from_secs(30);
