//! Applies a route's content policy to the SyncML bodies of an exchange.
//!
//! [`syncml::content`](crate::syncml::content) decides. This module changes the HTTP fields
//! together with the body, repeats a request once in the other notation after 415 or 406, and
//! remembers the notation of each origin.

use bytes::Bytes;
use hashbrown::HashMap;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::gateway::answer::Problem;
use crate::gateway::fetch::{Reply, Request};
use crate::gateway::transfers::Transfers;
use crate::random::Keyed;
use crate::syncml::Encoding;
use crate::syncml::content::{
    self, Config, MediaType, Message, Outcome, Policy, Reason, Translated,
};

/// The content state of one exchange, kept until the reply arrives.
#[derive(Debug, Default)]
pub(super) struct Content {
    config: Config,
    /// The media type of the handset's request.
    asked: Option<MediaType>,
    /// The handset's `Accept` field.
    accept: String,
    /// The request carries a digest of its octets, so no body of this exchange is changed.
    integrity: bool,
    /// The untranslated request, while the origin may still refuse its media type.
    untouched: Option<Box<Request>>,
    /// The notation of the repeated request, until its reply arrives.
    trying: Option<Encoding>,
    /// The session, whose large objects span several messages.
    session: Option<u32>,
}

/// State of translation between exchanges.
#[derive(Debug)]
pub(super) struct Translator {
    encodings: OriginEncodings,
    pub(super) transfers: Transfers,
}

/// The notation that each origin accepts, learned by routes with `encoding = "auto"`.
#[derive(Debug)]
struct OriginEncodings {
    by_origin: HashMap<Box<str>, Encoding, Keyed>,
}

/// Counters of translation; they only grow.
#[derive(Clone, Copy, Debug, Default, derive_more::AddAssign)]
pub struct Stats {
    /// Requests translated for the origin.
    pub requests: u64,
    /// Replies translated for the handset.
    pub replies: u64,
    /// Requests sent again in the other notation, after 415 or 406.
    pub second_tries: u64,
    /// Messages passed untouched because they carry a digest.
    pub sealed: u64,
    /// Messages that could not be translated.
    pub untranslatable: u64,
    /// Messages too large for their receiver once translated.
    pub too_large: u64,
}

impl OriginEncodings {
    fn of(&self, request: &Request) -> Option<Encoding> {
        let origin = request.uri.authority()?.as_str();
        self.by_origin.get(origin).copied()
    }

    fn learn(&mut self, origin: &str, encoding: Encoding) {
        // Origins are named by the configuration; only pass-through routes could bring more than a
        // few.
        if self.by_origin.len() < MAX_ORIGINS || self.by_origin.contains_key(origin) {
            self.by_origin.insert(origin.into(), encoding);
        }
    }
}

impl Translator {
    pub(super) fn new(origins: Keyed, sessions: Keyed) -> Self {
        Self {
            encodings: OriginEncodings {
                by_origin: HashMap::with_hasher(origins),
            },
            transfers: Transfers::new(sessions),
        }
    }

    /// Applies the route's policy to a request before it goes upstream.
    ///
    /// # Errors
    /// [`Problem::Untranslatable`] or [`Problem::RequestTooLarge`] with the reason in words.
    pub(super) fn outgoing(
        &mut self,
        config: &Config,
        session: Option<u32>,
        request: &mut Request,
        stats: &mut Stats,
    ) -> Result<Content, (Problem, Option<String>)> {
        if config.policy == Policy::AsIs {
            return Ok(Content::default());
        }
        let text = |name| {
            request
                .headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let content_type = text(CONTENT_TYPE).unwrap_or_default().to_owned();
        let mut content = Content {
            config: *config,
            asked: MediaType::parse(&content_type),
            accept: text(ACCEPT).unwrap_or_default().to_owned(),
            integrity: is_sealed(&request.headers),
            untouched: None,
            trying: None,
            session,
        };
        if content.asked.is_none() {
            return Ok(content);
        }
        let message = Message {
            content_type: &content_type,
            body: &request.body,
            integrity: content.integrity,
        };
        let transfer = session.map(|session| self.transfers.of(session));
        match content::request(config, &message, self.encodings.of(request), transfer) {
            Outcome::Pass(reason) => {
                stats.count(reason);
                if config.policy == Policy::Auto && !content.integrity {
                    content.untouched = Some(Box::new(request.clone()));
                }
            }
            Outcome::Translated(translated) => {
                stats.requests += 1;
                put(
                    translated,
                    &mut request.headers,
                    &mut request.body,
                    Some(ACCEPT),
                );
            }
            Outcome::Refuse(reason) => {
                stats.count(reason);
                let problem = match reason {
                    Reason::TooLarge => Problem::RequestTooLarge,
                    _ => Problem::Untranslatable,
                };
                return Err((problem, Some(format!("the request: {}", words(reason)))));
            }
        }
        Ok(content)
    }
}

impl Content {
    /// The request to send after the origin refused the media type. At most one per exchange, and
    /// only after a status by which the origin did not process the request.
    pub(super) fn second_try(
        &mut self,
        reply: &Reply,
        translator: &mut Translator,
        stats: &mut Stats,
    ) -> Option<Request> {
        let mut request = *self.untouched.take()?;
        let content_type = request.headers.get(CONTENT_TYPE)?.to_str().ok()?.to_owned();
        let message = Message {
            content_type: &content_type,
            body: &request.body,
            integrity: self.integrity,
        };
        let transfer = self.session.map(|session| translator.transfers.of(session));
        let status = reply.status.as_u16();
        let translated = content::after_refusal(&self.config, &message, status, transfer)?;
        self.trying = Some(translated.media_type.encoding);
        put(
            translated,
            &mut request.headers,
            &mut request.body,
            Some(ACCEPT),
        );
        stats.second_tries += 1;
        stats.requests += 1;
        Some(request)
    }

    /// Applies the policy to the origin's reply.
    ///
    /// # Errors
    /// [`Problem::ReplyTooLarge`] or [`Problem::Untranslatable`], with the reason in words.
    pub(super) fn incoming(
        &mut self,
        origin: Option<&str>,
        reply: &mut Reply,
        room: Option<usize>,
        translator: &mut Translator,
        stats: &mut Stats,
    ) -> Result<(), (Problem, Option<String>)> {
        if let (Some(encoding), Some(origin)) = (self.trying.take(), origin)
            && !matches!(reply.status.as_u16(), 406 | 415)
        {
            translator.encodings.learn(origin, encoding);
        }
        if self.config.policy == Policy::AsIs || self.asked.is_none() {
            return Ok(());
        }
        let Some(content_type) = reply
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
        else {
            return Ok(());
        };
        let content_type = content_type.to_owned();
        let message = Message {
            content_type: &content_type,
            body: &reply.body,
            integrity: self.integrity || is_sealed(&reply.headers),
        };
        let transfer = self.session.map(|session| translator.transfers.of(session));
        let outcome = content::response(
            &self.config,
            &message,
            self.asked,
            &self.accept,
            room,
            transfer,
        );
        match outcome {
            Outcome::Pass(reason) => stats.count(reason),
            Outcome::Translated(translated) => {
                stats.replies += 1;
                put(translated, &mut reply.headers, &mut reply.body, None);
            }
            Outcome::Refuse(reason) => {
                stats.count(reason);
                let problem = match reason {
                    Reason::TooLarge => Problem::ReplyTooLarge,
                    _ => Problem::Untranslatable,
                };
                return Err((problem, Some(format!("the reply: {}", words(reason)))));
            }
        }
        Ok(())
    }
}

impl Stats {
    fn count(&mut self, reason: Reason) {
        match reason {
            Reason::Fits | Reason::NotSyncMl => {}
            Reason::Integrity => self.sealed += 1,
            Reason::Untranslatable(_) => self.untranslatable += 1,
            Reason::TooLarge => self.too_large += 1,
        }
    }
}

/// Whether the message carries a digest of its body, so that no octet may change.
pub(super) fn is_sealed(headers: &HeaderMap) -> bool {
    headers.contains_key("x-syncml-hmac")
}

/// Replaces a body by its translation, and the content type with it.
fn put(
    translated: Translated,
    headers: &mut HeaderMap,
    body: &mut Bytes,
    also: Option<http::HeaderName>,
) {
    let name = HeaderValue::from_static(translated.media_type.name());
    if let Some(also) = also {
        headers.insert(also, name.clone());
    }
    headers.insert(CONTENT_TYPE, name);
    *body = translated.body.into();
}

fn words(reason: Reason) -> String {
    match reason {
        Reason::Untranslatable(error) => format!("cannot be translated: {error}"),
        Reason::TooLarge => "is too large once translated".to_owned(),
        Reason::Integrity => "carries a digest".to_owned(),
        Reason::Fits | Reason::NotSyncMl => "needs no translation".to_owned(),
    }
}

/// Origins whose notation is remembered.
const MAX_ORIGINS: usize = 4_096;
