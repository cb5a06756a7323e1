//! Content codings between origin and handset (RFC 9110 8.4, 12.5.3).
//!
//! A gateway that reads bodies, to translate SyncML or to map addresses, asks for codings that it
//! can decode, and decodes them. Otherwise the handset's own Accept-Encoding passes, and a handset
//! without one means `identity`. A reply in a coding that was not asked for is decoded, or refused
//! by name. A transfer coding besides `chunked` is decoded or refused too: no request of the
//! gateway asks for one (RFC 9112 7).

use std::io::{self, Read};

use bytes::Bytes;
use derive_more::AddAssign;
use flate2::bufread::GzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue,
    RANGE, TRANSFER_ENCODING,
};

use crate::gateway::answer::Problem;
use crate::gateway::fetch::Reply;

/// Counters of content codings.
#[derive(Clone, Copy, Debug, Default, AddAssign)]
pub struct Stats {
    /// Replies whose codings were undone.
    pub decoded: u64,
    /// Replies refused because of their coding: unknown, broken, or too large once decoded.
    pub refused: u64,
}

/// The content codings of one exchange.
#[derive(Debug, Default)]
pub(super) struct Codings {
    /// The handset's Accept-Encoding; `None` where the gateway replaced it.
    accepted: Option<HeaderValue>,
    /// Octets that a decoded body may have.
    max: usize,
}

impl Codings {
    /// Sets the Accept-Encoding of a request. `reads`: the gateway reads the bodies of this
    /// exchange.
    pub(super) fn request(headers: &mut HeaderMap, reads: bool, max: usize) -> Self {
        let accepted = match reads {
            true => {
                // A part of a coded body cannot be decoded.
                let readable = match headers.contains_key(RANGE) {
                    true => "identity",
                    false => READABLE,
                };
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(readable));
                None
            }
            false => {
                let identity = || HeaderValue::from_static("identity");
                Some(
                    headers
                        .entry(ACCEPT_ENCODING)
                        .or_insert_with(identity)
                        .clone(),
                )
            }
        };
        Self { accepted, max }
    }

    /// Undoes the codings of a reply that the handset did not ask for, or that the gateway has to
    /// read.
    ///
    /// # Errors
    /// [`Problem::Untranslatable`] with the name of a coding that cannot be undone,
    /// [`Problem::ReplyTooLarge`] for a body that is larger than allowed once decoded.
    pub(super) fn reply(
        &self,
        reply: &mut Reply,
        stats: &mut Stats,
    ) -> Result<(), (Problem, String)> {
        match self.decode_reply(reply) {
            Ok(decoded) => {
                stats.decoded += u64::from(decoded);
                Ok(())
            }
            Err(problem) => {
                stats.refused += 1;
                Err(problem)
            }
        }
    }

    /// Whether there was something to undo.
    fn decode_reply(&self, reply: &mut Reply) -> Result<bool, (Problem, String)> {
        let transfer = named(&reply.headers, TRANSFER_ENCODING, "chunked");
        let is_empty = reply.body.is_empty();
        let is_transferred = !transfer.is_empty() && !is_empty;
        if is_transferred {
            self.undo(&transfer, reply)?;
        }
        let codings = named(&reply.headers, CONTENT_ENCODING, "identity");
        if codings.is_empty() {
            // `identity` is no coding that a reply may name (RFC 9110 8.4.1).
            reply.headers.remove(CONTENT_ENCODING);
        }
        if codings.iter().all(|coding| self.accepts(coding)) {
            return Ok(is_transferred);
        }
        // The fields of a reply without a body, such as one to HEAD, are those of a GET.
        if !is_empty {
            self.undo(&codings, reply)?;
        }
        for name in [
            CONTENT_ENCODING,
            CONTENT_LENGTH,
            ETAG,
            CONTENT_MD5,
            CONTENT_DIGEST,
        ] {
            reply.headers.remove(name);
        }
        Ok(!is_empty)
    }

    /// Undoes these codings, the last one first.
    fn undo(&self, codings: &[String], reply: &mut Reply) -> Result<(), (Problem, String)> {
        if codings.len() > MAX_CODINGS {
            let why = format!("the reply has {} content codings", codings.len());
            return Err((Problem::Untranslatable, why));
        }
        for coding in codings.iter().rev() {
            let is_partial = reply.status == http::StatusCode::PARTIAL_CONTENT;
            let decoded = match is_partial {
                true => Err(DecodeError::Unknown),
                false => decode(coding, &reply.body, self.max),
            };
            reply.body = decoded.map_err(|error| self.refused(coding, error))?.into();
        }
        Ok(())
    }

    fn accepts(&self, coding: &str) -> bool {
        let Some(accepted) = &self.accepted else {
            return false;
        };
        let mut any = false;
        for part in accepted.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
            let q = parameters.trim().strip_prefix("q=").map(str::trim);
            let refused = q.is_some_and(|q| q.parse() == Ok(0.0_f32));
            let name = name.trim().to_ascii_lowercase();
            if name.trim_start_matches("x-") == coding.trim_start_matches("x-") {
                return !refused;
            }
            any |= name == "*" && !refused;
        }
        any
    }

    fn refused(&self, coding: &str, error: DecodeError) -> (Problem, String) {
        match error {
            DecodeError::TooLarge => (
                Problem::ReplyTooLarge,
                format!(
                    "decoded from {coding} the reply has more than the {} octets allowed",
                    self.max
                ),
            ),
            DecodeError::Unknown => (
                Problem::Untranslatable,
                format!("the reply is in the content coding {coding}, which nobody asked for"),
            ),
            DecodeError::Broken(why) => (
                Problem::Untranslatable,
                format!("the reply is not in its content coding {coding}: {why}"),
            ),
        }
    }
}

/// The codings that a field names, without the one that changes nothing here.
fn named(headers: &HeaderMap, field: HeaderName, plain: &str) -> Vec<String> {
    let values = headers.get_all(field).iter();
    values
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity" && coding != plain)
        .collect()
}

/// Why a body cannot be decoded.
enum DecodeError {
    Unknown,
    TooLarge,
    Broken(io::Error),
}

/// Decodes at most `max` octets.
fn decode(coding: &str, body: &Bytes, max: usize) -> Result<Vec<u8>, DecodeError> {
    match coding {
        "gzip" | "x-gzip" => gunzip(body, max),
        // RFC 9110 8.4.1.2 means zlib; some origins send raw deflate.
        "deflate" => match read(ZlibDecoder::new(body.as_ref()), max) {
            Err(DecodeError::Broken(_)) => read(DeflateDecoder::new(body.as_ref()), max),
            decoded => decoded,
        },
        _ => Err(DecodeError::Unknown),
    }
}

/// Decodes one member after the other. What follows the last one is padding, which some origins
/// send.
fn gunzip(body: &[u8], max: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::new();
    let mut rest = body;
    loop {
        let mut member = GzDecoder::new(rest);
        let more = read(&mut member, max - decoded.len())?;
        decoded.extend(more);
        rest = member.into_inner();
        if !rest.starts_with(GZIP) {
            return Ok(decoded);
        }
    }
}

fn read(decoder: impl Read, max: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let read = decoder.take(limit).read_to_end(&mut decoded);
    read.map_err(DecodeError::Broken)?;
    match decoded.len() > max {
        true => Err(DecodeError::TooLarge),
        false => Ok(decoded),
    }
}

/// How each member of a body in gzip begins (RFC 1952 2.3.1).
const GZIP: &[u8] = b"\x1F\x8B";
/// The codings that the gateway can decode.
const READABLE: &str = "gzip, deflate";
/// Codings of one reply. More are no origin's, and each could be a bomb.
const MAX_CODINGS: usize = 2;
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const MAX: usize = 10_000;

    fn gzip(octets: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    fn reply(coding: &str, body: Vec<u8>) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Reply {
            status: http::StatusCode::OK,
            headers,
            body: body.into(),
            trailers: None,
        }
    }

    fn accepting(accept: Option<&'static str>, reads: bool) -> (Codings, String) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
        }
        let codings = Codings::request(&mut headers, reads, MAX);
        (
            codings,
            headers[ACCEPT_ENCODING].to_str().unwrap().to_owned(),
        )
    }

    #[test]
    fn a_silent_handset_means_identity_and_one_that_asks_is_heard() {
        assert_eq!(accepting(None, false).1, "identity");
        assert_eq!(accepting(Some("gzip;q=0.5, *"), false).1, "gzip;q=0.5, *");
        assert_eq!(accepting(None, true).1, "gzip, deflate");
        assert_eq!(accepting(Some("br"), true).1, "gzip, deflate");
    }

    #[test]
    fn a_part_of_a_body_is_asked_for_without_a_coding() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-9"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        Codings::request(&mut headers, true, MAX);
        assert_eq!(headers[ACCEPT_ENCODING], "identity");
    }

    #[test]
    fn a_reply_without_a_body_names_no_coding_that_was_not_asked_for() {
        for (accept, fields) in [(None, 0), (Some("gzip"), 2)] {
            let mut empty = reply("gzip", Vec::new());
            let mut stats = Stats::default();
            let (codings, _) = accepting(accept, false);
            codings.reply(&mut empty, &mut stats).unwrap();
            assert_eq!((empty.headers.len(), stats.decoded), (fields, 0));
        }
    }

    #[test]
    fn what_was_asked_for_passes_untouched() {
        for (accept, coding) in [
            ("gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("deflate;q=0.1, gzip;q=0.5", "GZIP"),
            ("*", "br"),
            ("*;q=0, br", "br"),
        ] {
            let mut passed = reply(coding, gzip(b"hello"));
            let before = passed.body.clone();
            accepting(Some(accept), false)
                .0
                .reply(&mut passed, &mut Stats::default())
                .unwrap();
            assert_eq!(passed.body, before, "{accept}");
            assert!(passed.headers.contains_key(CONTENT_ENCODING));
        }
    }

    #[test]
    fn a_coding_that_was_not_asked_for_is_decoded_or_refused_by_name() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(b"hello").unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
        raw.write_all(b"hello").unwrap();
        for (coding, body) in [
            ("gzip", gzip(b"hello")),
            ("X-Gzip", gzip(b"hello")),
            ("identity, gzip", gzip(b"hello")),
            ("gzip, gzip", gzip(&gzip(b"hello"))),
            // Two members, and padding after the last.
            ("gzip", [gzip(b"hel"), gzip(b"lo"), vec![0; 8]].concat()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
        ] {
            for (accept, reads) in [
                (None, false),
                (Some("gzip;q=0, br"), false),
                (Some("gzip"), true),
            ] {
                let mut coded = reply(coding, body.clone());
                accepting(accept, reads)
                    .0
                    .reply(&mut coded, &mut Stats::default())
                    .unwrap();
                assert_eq!(&*coded.body, b"hello", "{coding}");
                assert!(coded.headers.is_empty(), "{:?}", coded.headers);
            }
        }
        for (coding, body, words) in [
            ("br", b"?".to_vec(), "coding br, which nobody asked for"),
            ("gzip, br, gzip", b"?".to_vec(), "3 content codings"),
            ("gzip", b"hello".to_vec(), "not in its content coding gzip"),
            (
                "gzip",
                gzip(b"hello")[..12].to_vec(),
                "not in its content coding gzip",
            ),
        ] {
            let (codings, _) = accepting(None, false);
            let (problem, detail) = codings
                .reply(&mut reply(coding, body), &mut Stats::default())
                .unwrap_err();
            assert_eq!(problem, Problem::Untranslatable);
            assert!(detail.contains(words), "{detail}");
        }
    }

    #[test]
    fn a_transfer_coding_is_undone_whatever_the_handset_accepts() {
        for (transfer, is_decoded) in [
            ("gzip, chunked", true),
            ("chunked", false),
            ("identity", false),
        ] {
            let mut coded = reply("gzip", gzip(b"hello"));
            if is_decoded {
                coded.body = gzip(&coded.body).into();
            }
            let value = HeaderValue::from_static(transfer);
            coded.headers.insert(TRANSFER_ENCODING, value);
            let mut stats = Stats::default();
            let (codings, _) = accepting(Some("gzip"), false);
            codings.reply(&mut coded, &mut stats).unwrap();
            assert_eq!(*coded.body, gzip(b"hello"), "{transfer}");
            assert_eq!(stats.decoded, u64::from(is_decoded), "{transfer}");
        }
        let mut coded = reply("identity", b"?".to_vec());
        let value = HeaderValue::from_static("x-zip, chunked");
        coded.headers.insert(TRANSFER_ENCODING, value);
        let (codings, _) = accepting(None, false);
        let refused = codings.reply(&mut coded, &mut Stats::default());
        assert_eq!(refused.unwrap_err().0, Problem::Untranslatable);
    }

    #[test]
    fn a_bomb_is_refused_at_its_bound() {
        let bomb = gzip(&vec![0; 50_000_000]);
        let nested = gzip(&bomb);
        for (coding, body) in [("gzip", bomb), ("gzip, gzip", nested)] {
            let (codings, _) = accepting(None, true);
            let (problem, detail) = codings
                .reply(&mut reply(coding, body), &mut Stats::default())
                .unwrap_err();
            assert_eq!(problem, Problem::ReplyTooLarge);
            assert!(detail.contains("10000 octets allowed"), "{detail}");
        }
        let (codings, _) = accepting(None, true);
        let mut largest = reply("gzip", gzip(&vec![0; MAX]));
        codings.reply(&mut largest, &mut Stats::default()).unwrap();
        assert_eq!(largest.body.len(), MAX);
    }
}
