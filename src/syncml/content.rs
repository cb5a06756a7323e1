//! What becomes of a message on its way: passed, translated, or refused. Pure decisions; the gateway acts.
//!
//! A message goes untouched unless the route says otherwise, and always when it carries an integrity header:
//! that covers every octet of the body.

use std::fmt;

use crate::syncml::Encoding;
use crate::syncml::header::peek;
use crate::wbxml::xml::{Announce, Share, WbxmlOptions, XmlOptions, from_xml, to_xml};
use crate::wbxml::{Charset, Error, Fault, Limits, Options, tables};

/// What a route wants messages to be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Whatever the handset sends: every octet passes.
    #[default]
    AsIs,
    /// The origin gets this, the handset what it sent.
    To(Encoding),
    /// As it is, until an origin refuses the media type; then the other, and so from then on.
    Auto,
}

/// What to do with a message that should be translated and cannot be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Passes it untouched: the other side may cope.
    #[default]
    Pass,
    /// Refuses it.
    Refuse,
}

/// The content settings of a route.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What messages are to be in. Default: as they are.
    pub policy: Policy,
    /// What to do with a message that cannot be translated. Default: pass it.
    pub fallback: Fallback,
    /// Where messages grow on their way back to whoever announced a MaxMsgSize or MaxObjSize, it is told as divided
    /// by this. Translation to XML grows a message up to 3.2 times. Default: 4.
    pub share: u32,
    /// Writes a DOCTYPE into XML. Some origins want it, some refuse it. Default: yes.
    pub doctype: bool,
    /// What a message may cost. Default: see there.
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

/// A media type of SyncML messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The notation it names.
    pub encoding: Encoding,
    /// Device management instead of data synchronization.
    pub management: bool,
}

impl MediaType {
    /// Reads a Content-Type, parameters and case aside; `None` for anything but a SyncML message.
    #[must_use]
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next()?.trim();
        ALL.into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(essence))
            .map(|(_, media_type)| media_type)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.management, self.encoding) {
            (false, Encoding::Xml) => "application/vnd.syncml+xml",
            (false, Encoding::Wbxml) => "application/vnd.syncml+wbxml",
            (true, Encoding::Xml) => "application/vnd.syncml.dm+xml",
            (true, Encoding::Wbxml) => "application/vnd.syncml.dm+wbxml",
        }
    }

    /// The same in this notation.
    #[must_use]
    pub fn with(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// Whether an Accept field names it. `*/*` does not count: a client that says so still expects an answer in the
    /// notation of its request.
    #[must_use]
    pub fn is_named_in(self, accept: &str) -> bool {
        accept
            .split(',')
            .filter(|range| !is_refused(range))
            .filter_map(Self::parse)
            .any(|named| named == self)
    }
}

/// Whether a media range says `q=0`.
fn is_refused(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0f32)
        })
    })
}

const ALL: [(&str, MediaType); 4] = [
    (
        "application/vnd.syncml+xml",
        MediaType {
            encoding: Encoding::Xml,
            management: false,
        },
    ),
    (
        "application/vnd.syncml+wbxml",
        MediaType {
            encoding: Encoding::Wbxml,
            management: false,
        },
    ),
    (
        "application/vnd.syncml.dm+xml",
        MediaType {
            encoding: Encoding::Xml,
            management: true,
        },
    ),
    (
        "application/vnd.syncml.dm+wbxml",
        MediaType {
            encoding: Encoding::Wbxml,
            management: true,
        },
    ),
];

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

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every octet passes.
    Pass(Reason),
    /// This goes instead.
    Translated(Translated),
    /// Nothing goes.
    Refuse(Reason),
}

/// A translated message. Its body may hold credentials, and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Translated {
    /// Its octets; their number is its Content-Length.
    pub body: Vec<u8>,
    /// Its Content-Type, and in a request what Accept has to be.
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
    /// The route wants it so, or it is already in the notation that is wanted.
    Fits,
    /// It is no SyncML message, or an empty one.
    NotSyncMl,
    /// It carries a digest of its octets.
    Integrity,
    /// It has no way to be said in the other notation, or is malformed.
    Untranslatable(Error),
    /// Translated it would be longer than the receiver can take.
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

/// What becomes of a request. `learned` is what this origin was found to want, where the policy is `auto`.
#[must_use]
pub fn request(config: &Config, message: &Message<'_>, learned: Option<Encoding>) -> Outcome {
    let wanted = match config.policy {
        Policy::AsIs => None,
        Policy::To(encoding) => Some(encoding),
        Policy::Auto => learned,
    };
    deliver(config, message, wanted, None)
}

/// What to send instead after the origin has answered `status` to the request as it was: only where it refused the
/// media type (415, 406), so that it has not processed it, and the policy is `auto`. The caller does this once per
/// request, and remembers the notation if it helps.
#[must_use]
pub fn after_refusal(config: &Config, message: &Message<'_>, status: u16) -> Option<Translated> {
    if config.policy != Policy::Auto || !matches!(status, 406 | 415) {
        return None;
    }
    let sent = MediaType::parse(message.content_type)?;
    match deliver(config, message, Some(sent.encoding.other()), None) {
        Outcome::Translated(translated) => Some(translated),
        Outcome::Pass(_) | Outcome::Refuse(_) => None,
    }
}

/// What becomes of a response to a handset that sent `asked` and accepts `accept`, and can take `room` octets.
///
/// A translated response that does not fit is refused whatever the fallback: it would be lost on the way.
#[must_use]
pub fn response(
    config: &Config,
    message: &Message<'_>,
    asked: Option<MediaType>,
    accept: &str,
    room: Option<usize>,
) -> Outcome {
    let wanted = match (config.policy, asked, MediaType::parse(message.content_type)) {
        (Policy::AsIs, _, _) | (_, None, _) | (_, _, None) => None,
        (Policy::Auto | Policy::To(_), Some(_), Some(got)) if got.is_named_in(accept) => None,
        (Policy::Auto | Policy::To(_), Some(asked), Some(_)) => Some(asked.encoding),
    };
    deliver(config, message, wanted, room)
}

/// Whether a message asks for `syncml:auth-MAC`: from then on the session's messages must not be touched.
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
) -> Outcome {
    let Some(media_type) =
        MediaType::parse(message.content_type).filter(|_| !message.body.is_empty())
    else {
        return Outcome::Pass(Reason::NotSyncMl);
    };
    let Some(wanted) = wanted.filter(|wanted| *wanted != media_type.encoding) else {
        return Outcome::Pass(Reason::Fits);
    };
    if message.integrity {
        return Outcome::Pass(Reason::Integrity);
    }
    match translate(config, message, wanted) {
        Ok(body) if room.is_some_and(|room| body.len() > room) => Outcome::Refuse(Reason::TooLarge),
        Ok(body) => Outcome::Translated(Translated {
            body,
            media_type: media_type.with(wanted),
        }),
        Err(Error {
            fault: Fault::TooLarge,
            ..
        }) => Outcome::Refuse(Reason::TooLarge),
        Err(error) => match config.fallback {
            Fallback::Pass => Outcome::Pass(Reason::Untranslatable(error)),
            Fallback::Refuse => Outcome::Refuse(Reason::Untranslatable(error)),
        },
    }
}

/// A message in the other notation.
///
/// # Errors
///
/// It is malformed, exceeds the limits, or cannot be said in the other notation.
pub fn translate(
    config: &Config,
    message: &Message<'_>,
    wanted: Encoding,
) -> Result<Vec<u8>, Error> {
    let charset = charset(message.content_type);
    let mut out = Vec::new();
    match wanted {
        Encoding::Xml => {
            // What comes back to its sender will shrink: the sizes it announces hold.
            let options = XmlOptions {
                decode: Options {
                    limits: config.limits,
                    vocabulary: Some(&tables::SYNCML_1_2),
                    charset,
                },
                doctype: config.doctype,
                ..XmlOptions::default()
            };
            to_xml(message.body, &options, &mut out)?;
        }
        Encoding::Wbxml => {
            // What comes back will grow on its way to its sender.
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
            from_xml(message.body, &options, &mut out)?;
        }
    }
    // Whatever else calls itself SyncML, such as a page about an error, is not translated into nonsense.
    match peek(&out) {
        Some(_) => Ok(out),
        None => Err(Error {
            fault: Fault::Untranslatable,
            offset: 0,
            token: None,
            expected: "a SyncML message",
        }),
    }
}

/// The charset parameter of a Content-Type.
fn charset(content_type: &str) -> Option<Charset> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| Charset::by_name(value))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "application/vnd.syncml+xml; charset=\"utf-8\"";
    const WBXML: &str = "application/vnd.syncml+wbxml";
    const BODY: &[u8] =
        b"<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><Meta><MaxMsgSize xmlns=\"syncml:metinf\">\
        10000</MaxMsgSize></Meta></SyncHdr></SyncML>";

    fn message<'a>(content_type: &'a str, body: &'a [u8]) -> Message<'a> {
        Message {
            content_type,
            body,
            integrity: false,
        }
    }

    fn config(policy: Policy) -> Config {
        Config {
            policy,
            ..Config::default()
        }
    }

    fn translated(outcome: Outcome) -> Translated {
        match outcome {
            Outcome::Translated(translated) => translated,
            other => panic!("{other:?}"),
        }
    }

    fn binary() -> Vec<u8> {
        translate(
            &Config {
                share: 1,
                ..Config::default()
            },
            &message(XML, BODY),
            Encoding::Wbxml,
        )
        .unwrap()
    }

    #[test]
    fn as_it_is_every_octet_passes() {
        let outcome = request(
            &config(Policy::AsIs),
            &message(XML, b"not even XML"),
            Some(Encoding::Wbxml),
        );
        assert_eq!(outcome, Outcome::Pass(Reason::Fits));
    }

    #[test]
    fn a_route_that_wants_xml_gets_it_and_the_handset_what_it_sent() {
        let config = config(Policy::To(Encoding::Xml));
        let wbxml = binary();
        let sent = translated(request(&config, &message(WBXML, &wbxml), None));
        assert_eq!(sent.media_type.name(), "application/vnd.syncml+xml");
        assert!(
            sent.body.ends_with(BODY),
            "what its sender announced holds, as the answer shrinks"
        );
        let asked = MediaType::parse(WBXML);
        let back = translated(response(&config, &message(XML, BODY), asked, "*/*", None));
        assert_eq!(back.media_type.name(), WBXML);
        assert!(
            back.body.windows(5).any(|w| w == b"2500\0"),
            "a quarter is announced, as what is sent back grows"
        );
    }

    #[test]
    fn a_digest_of_the_octets_protects_them() {
        let sealed = Message {
            integrity: true,
            ..message(XML, BODY)
        };
        let outcome = request(&config(Policy::To(Encoding::Wbxml)), &sealed, None);
        assert_eq!(outcome, Outcome::Pass(Reason::Integrity));
        assert!(asks_for_integrity(b"<Type>syncml:auth-MAC</Type>"));
        assert!(!asks_for_integrity(BODY));
    }

    #[test]
    fn auto_translates_only_what_the_origin_has_refused() {
        let auto = config(Policy::Auto);
        let wbxml = binary();
        let message = message(WBXML, &wbxml);
        assert_eq!(request(&auto, &message, None), Outcome::Pass(Reason::Fits));
        for status in [200, 400, 404, 500, 502] {
            assert_eq!(after_refusal(&auto, &message, status), None);
        }
        for status in [406, 415] {
            assert_eq!(
                after_refusal(&auto, &message, status)
                    .unwrap()
                    .media_type
                    .encoding,
                Encoding::Xml
            );
        }
        assert_eq!(after_refusal(&config(Policy::AsIs), &message, 415), None);
        let learned = request(&auto, &message, Some(Encoding::Xml));
        assert_eq!(translated(learned).media_type.encoding, Encoding::Xml);
    }

    #[test]
    fn a_response_that_the_handset_names_in_accept_passes() {
        let auto = config(Policy::Auto);
        let asked = MediaType::parse(WBXML);
        let named = "text/plain, Application/vnd.syncml+xml;q=0.5";
        assert_eq!(
            response(&auto, &message(XML, BODY), asked, named, None),
            Outcome::Pass(Reason::Fits)
        );
        translated(response(&auto, &message(XML, BODY), asked, WBXML, None));
        let refused = "application/vnd.syncml+xml; q=0.0";
        translated(response(&auto, &message(XML, BODY), asked, refused, None));
        let html = message("text/html", b"<html>");
        assert_eq!(
            response(&auto, &html, asked, "", None),
            Outcome::Pass(Reason::NotSyncMl)
        );
        assert_eq!(
            response(&auto, &message(XML, b""), asked, "", None),
            Outcome::Pass(Reason::NotSyncMl)
        );
    }

    #[test]
    fn a_translated_response_that_does_not_fit_is_refused() {
        let wbxml = binary();
        let asked = MediaType::parse(XML);
        let outcome = response(
            &config(Policy::Auto),
            &message(WBXML, &wbxml),
            asked,
            "",
            Some(100),
        );
        assert_eq!(outcome, Outcome::Refuse(Reason::TooLarge));
    }

    #[test]
    fn what_cannot_be_translated_passes_or_is_refused_as_configured() {
        let broken = message(XML, b"<SyncML>");
        let pass = config(Policy::To(Encoding::Wbxml));
        let refuse = Config {
            fallback: Fallback::Refuse,
            ..pass
        };
        let reason = |outcome| match outcome {
            Outcome::Pass(reason) => ("pass", reason.label()),
            Outcome::Refuse(reason) => ("refuse", reason.label()),
            Outcome::Translated(_) => ("translated", ""),
        };
        assert_eq!(reason(request(&pass, &broken, None)), ("pass", "malformed"));
        assert_eq!(
            reason(request(&refuse, &broken, None)),
            ("refuse", "malformed")
        );
    }

    #[test]
    fn bodies_are_not_printed() {
        let sent = translated(request(
            &config(Policy::To(Encoding::Wbxml)),
            &message(XML, BODY),
            None,
        ));
        for printed in [format!("{:?}", message(XML, BODY)), format!("{sent:?}")] {
            assert!(
                !printed.contains("10000") && !printed.contains(", 49,"),
                "{printed}"
            );
        }
    }

    #[test]
    fn media_types_are_recognized_and_named() {
        for (name, media_type) in ALL {
            assert_eq!(MediaType::parse(&name.to_uppercase()), Some(media_type));
            assert_eq!(media_type.name(), name);
        }
        assert_eq!(
            MediaType::parse("application/vnd.syncml.notification"),
            None
        );
        assert_eq!(
            charset("a/b; q=1; Charset=ISO-8859-1"),
            Some(Charset::ISO_8859_1)
        );
    }
}
