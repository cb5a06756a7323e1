//! Decides whether a message passes, is translated or is refused. The functions have no effect; the
//! gateway carries out their decisions.
//!
//! A message passes untouched unless the route says otherwise. A message with an integrity header
//! always passes untouched, because the header covers every octet of the body.

mod media_type;

use std::fmt;

use crate::syncml::Encoding;
use crate::syncml::header::peek;
use crate::syncml::large_object::{self, Direction, Progress, Transfer};
use crate::wbxml::xml::{
    Announce, Chunks, Share, WbxmlOptions, XmlOptions, from_xml_in, to_xml_in,
};
use crate::wbxml::{Error, Fault, Limits, Options, tables};

pub use media_type::MediaType;
use media_type::charset;

/// The notation that a route wants messages to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Every octet passes as the handset sends it.
    #[default]
    AsIs,
    /// The origin gets this notation, the handset gets the one that it sent.
    To(Encoding),
    /// Messages pass untouched until an origin refuses the media type. From then on the origin gets
    /// the other notation.
    Auto,
}

/// The treatment of a message that should be translated and cannot be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// The message passes untouched: the receiver may understand it.
    #[default]
    Pass,
    /// The message is refused.
    Refuse,
}

/// The content settings of a route.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The notation of messages at the origin. Default: unchanged.
    pub policy: Policy,
    /// The treatment of a message that cannot be translated. Default: it passes.
    pub fallback: Fallback,
    /// Divisor of a MaxMsgSize or MaxObjSize in a message whose replies grow on their way back to
    /// its sender. Translation to XML grows a message up to 3.2 times. Default: 4.
    pub share: u32,
    /// Writes a DOCTYPE into XML. Some origins want it, some refuse it. Default: yes.
    pub doctype: bool,
    /// Limits of a translation. Default: see [`Limits`].
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            fallback: Fallback::default(),
            share: 4,
            doctype: true,
            limits: Limits::default(),
        }
    }
}

/// A message on its way, in either direction. Its body may hold credentials, and is not printed.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Its Content-Type field.
    pub content_type: &'a str,
    /// Its octets.
    pub body: &'a [u8],
    /// It has an `x-syncml-hmac` field, or the session has agreed on one.
    pub integrity: bool,
}

/// The decision about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message passes untouched.
    Pass(Reason),
    /// This message replaces it.
    Translated(Translated),
    /// The message is refused.
    Refuse(Reason),
}

/// A translated message. Its body may hold credentials, and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Translated {
    /// Its octets; their number is its Content-Length.
    pub body: Vec<u8>,
    /// The new Content-Type, and in a request the new Accept.
    pub media_type: MediaType,
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("content_type", &self.content_type)
            .field("octets", &self.body.len())
            .field("integrity", &self.integrity)
            .finish()
    }
}

impl fmt::Debug for Translated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Translated")
            .field("media_type", &self.media_type)
            .field("octets", &self.body.len())
            .finish()
    }
}

/// Why a message was not translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The route wants no translation, or the message is in the wanted notation already.
    Fits,
    /// The message is empty, or no SyncML.
    NotSyncMl,
    /// The message has a digest of its octets.
    Integrity,
    /// The message has no form in the other notation, or is malformed.
    Untranslatable(Error),
    /// The translated message exceeds the size that the receiver can take.
    TooLarge,
}

impl Reason {
    /// A stable name for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::NotSyncMl => "not-syncml",
            Self::Integrity => "integrity",
            Self::Untranslatable(error) => error.fault.label(),
            Self::TooLarge => "too-large",
        }
    }
}

/// The decision about a request. `learned` is the notation that this origin was found to want,
/// where the policy is `auto`. `transfer` is the state of large objects in the session; a request
/// without a session has none.
#[must_use]
pub fn request(
    config: &Config,
    message: &Message<'_>,
    learned: Option<Encoding>,
    transfer: Option<&mut Transfer>,
) -> Outcome {
    let wanted = match config.policy {
        Policy::AsIs => None,
        Policy::To(encoding) => Some(encoding),
        Policy::Auto => learned,
    };
    let direction = transfer.map(|transfer| &mut transfer.requests);
    deliver(config, message, wanted, None, direction)
}

/// The replacement for a request that the origin answered with `status`: only where the origin
/// refused the media type (415, 406), so that it has not processed the request, and the policy is
/// `auto`. The caller does this once per request, and remembers the notation if the replacement
/// succeeds.
#[must_use]
pub fn after_refusal(
    config: &Config,
    message: &Message<'_>,
    status: u16,
    transfer: Option<&mut Transfer>,
) -> Option<Translated> {
    if config.policy != Policy::Auto || !matches!(status, 406 | 415) {
        return None;
    }
    let sent = MediaType::parse(message.content_type)?;
    let direction = transfer.map(|transfer| &mut transfer.requests);
    match deliver(
        config,
        message,
        Some(sent.encoding.other()),
        None,
        direction,
    ) {
        Outcome::Translated(translated) => Some(translated),
        Outcome::Pass(_) | Outcome::Refuse(_) => None,
    }
}

/// The decision about a response to a handset that sent `asked`, accepts `accept`, and can take
/// `room` octets.
///
/// A translated response that exceeds `room` is refused with any fallback: it could not reach the
/// handset.
#[must_use]
pub fn response(
    config: &Config,
    message: &Message<'_>,
    asked: Option<MediaType>,
    accept: &str,
    room: Option<usize>,
    transfer: Option<&mut Transfer>,
) -> Outcome {
    let wanted = match (config.policy, asked, MediaType::parse(message.content_type)) {
        (Policy::AsIs, _, _) | (_, None, _) | (_, _, None) => None,
        (Policy::Auto | Policy::To(_), Some(_), Some(got)) if got.is_named_in(accept) => None,
        (Policy::Auto | Policy::To(_), Some(asked), Some(_)) => Some(asked.encoding),
    };
    let direction = transfer.map(|transfer| &mut transfer.replies);
    deliver(config, message, wanted, room, direction)
}

/// Whether a message asks for `syncml:auth-MAC`: from then on the session's messages must not be
/// touched.
#[must_use]
pub fn asks_for_integrity(body: &[u8]) -> bool {
    const MAC: &[u8] = b"syncml:auth-MAC";
    body.windows(MAC.len()).any(|window| window == MAC)
}

fn deliver(
    config: &Config,
    message: &Message<'_>,
    wanted: Option<Encoding>,
    room: Option<usize>,
    direction: Option<&mut Direction>,
) -> Outcome {
    let Some(media_type) =
        MediaType::parse(message.content_type).filter(|_| !message.body.is_empty())
    else {
        return Outcome::Pass(Reason::NotSyncMl);
    };
    let wanted = wanted.filter(|wanted| *wanted != media_type.encoding);
    let reason = match wanted {
        None if direction.as_ref().is_none_or(|known| known.is_fresh()) => {
            return Outcome::Pass(Reason::Fits);
        }
        None => Reason::Fits,
        Some(_) => Reason::Integrity,
    };
    let key = large_object::key(message.body);
    let before = match (&direction, &key) {
        (Some(direction), Some(key)) => direction.before(key),
        (None, Some(key)) if !key.is_first => Progress::Translated(Chunks::Unknown),
        _ => Progress::Translated(Chunks::Closed),
    };
    let (outcome, after) = match wanted.filter(|_| !message.integrity) {
        Some(wanted) => translated(
            config,
            message,
            media_type,
            wanted,
            before,
            direction.is_some(),
        ),
        None => passed(reason, message.body, before),
    };
    if let (Some(direction), Some(key)) = (direction, key) {
        direction.record(&key, before, after);
    }
    match outcome {
        Outcome::Translated(translated)
            if room.is_some_and(|room| translated.body.len() > room) =>
        {
            Outcome::Refuse(Reason::TooLarge)
        }
        outcome => outcome,
    }
}

/// A message passes untouched. A large object that it leaves open passes untouched too.
fn passed(reason: Reason, body: &[u8], before: Progress) -> (Outcome, Progress) {
    if before.is_cut() {
        return (
            Outcome::Refuse(Reason::Untranslatable(TWO_NOTATIONS)),
            before,
        );
    }
    let after = match large_object::has_more_data(body) {
        true => Progress::Untouched,
        false => before.closed(),
    };
    (Outcome::Pass(reason), after)
}

fn translated(
    config: &Config,
    message: &Message<'_>,
    media_type: MediaType,
    wanted: Encoding,
    before: Progress,
    in_session: bool,
) -> (Outcome, Progress) {
    let mut chunks = match before {
        Progress::Untouched => {
            return passed(Reason::Untranslatable(TWO_NOTATIONS), message.body, before);
        }
        Progress::Translated(chunks) => chunks,
    };
    let is_open = matches!(chunks, Chunks::Open(_));
    let result = match translate_in(&mut chunks, config, message, wanted) {
        // Without a session the next message could not learn about the open object.
        Ok(_) if !in_session && matches!(chunks, Chunks::Open(_)) => Err(NO_SESSION),
        result => result,
    };
    match result {
        Ok(body) => {
            let media_type = media_type.with(wanted);
            let translated = Translated { body, media_type };
            (
                Outcome::Translated(translated),
                Progress::Translated(chunks),
            )
        }
        Err(error) => match (error.fault, config.fallback) {
            (Fault::TooLarge, _) => (Outcome::Refuse(Reason::TooLarge), before),
            // An object that was begun in the other notation cannot go on in this one.
            (
                Fault::Untranslatable | Fault::Malformed | Fault::Charset | Fault::TooDeep,
                Fallback::Pass,
            ) if !is_open => passed(Reason::Untranslatable(error), message.body, before),
            _ => (Outcome::Refuse(Reason::Untranslatable(error)), before),
        },
    }
}

/// Translates one message into the other notation.
///
/// # Errors
///
/// The message is malformed, exceeds the limits, or has no form in the other notation.
pub fn translate(
    config: &Config,
    message: &Message<'_>,
    wanted: Encoding,
) -> Result<Vec<u8>, Error> {
    translate_in(&mut Chunks::Closed, config, message, wanted)
}

fn translate_in(
    chunks: &mut Chunks,
    config: &Config,
    message: &Message<'_>,
    wanted: Encoding,
) -> Result<Vec<u8>, Error> {
    let charset = charset(message.content_type);
    let mut out = Vec::new();
    match wanted {
        Encoding::Xml => {
            // Replies to the sender shrink, so the sizes that the sender announces hold.
            let options = XmlOptions {
                decode: Options {
                    limits: config.limits,
                    vocabulary: Some(&tables::SYNCML_1_2),
                    charset,
                },
                doctype: config.doctype,
                ..XmlOptions::default()
            };
            to_xml_in(chunks, message.body, &options, &mut out)?;
        }
        Encoding::Wbxml => {
            // Replies to the sender grow.
            let share = Share {
                divisor: config.share,
                ..Share::default()
            };
            let options = WbxmlOptions {
                limits: config.limits,
                vocabulary: Some(&tables::SYNCML_1_2),
                source_charset: charset,
                announce: Announce {
                    message: share,
                    object: share,
                },
                ..WbxmlOptions::default()
            };
            from_xml_in(chunks, message.body, &options, &mut out)?;
        }
    }
    // A body with SyncML's content type but other content, such as an error page, is not
    // translated.
    match peek(&out) {
        Some(_) => Ok(out),
        None => Err(untranslatable("a SyncML message")),
    }
}

const fn untranslatable(expected: &'static str) -> Error {
    Error {
        fault: Fault::Untranslatable,
        offset: 0,
        token: None,
        expected,
    }
}

const TWO_NOTATIONS: Error = untranslatable("all chunks of a large object in one notation");
const NO_SESSION: Error =
    untranslatable("a session for a large object, whose chunks belong together");

#[cfg(test)]
mod tests;
