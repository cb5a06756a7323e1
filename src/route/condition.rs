//! Which requests a route takes.

use std::fmt;

use http::Method;

use super::{Address, Binding, RequestView};
use crate::syncml::Protocol;

/// The conditions of a route: a request must fulfil all of them, each by any of its alternatives.
/// An empty list is no condition.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// Prefixes of the URI. Default: any URI.
    pub prefixes: Vec<Address>,
    /// Our UDP ports. Default: any.
    pub local_ports: Vec<u16>,
    /// Whether the request came in WTLS records or over TLS. Default: either.
    pub secured: Option<bool>,
    /// The protocols that carry requests. Default: any.
    pub bindings: Vec<Binding>,
    /// The services that clients of OBEX connect to, such as `SYNCML-SYNC`. Default: any.
    pub obex_targets: Vec<Pattern>,
    /// Methods. Default: any.
    pub methods: Vec<Method>,
    /// Media types of the body, such as `text/x-vcard`, `text/*`. A request without a body has no
    /// media type. Default: any.
    pub media_types: Vec<Pattern>,
    /// How the handset names itself, such as `Nokia*`. Default: any.
    pub user_agents: Vec<Pattern>,
    /// SyncML versions of the message in the body. A body that is no SyncML message has no version.
    /// Default: any.
    pub protocols: Vec<Protocol>,
}

impl Condition {
    /// Everything under `prefix`.
    #[must_use]
    pub fn prefix(prefix: Address) -> Self {
        Self {
            prefixes: vec![prefix],
            ..Self::default()
        }
    }

    /// Returns the matched prefix, if the condition has any, and the path after it, if the route
    /// takes the request for `asked`.
    ///
    /// # Errors
    ///
    /// The first [`Mismatch`] otherwise.
    pub fn admit<'a>(
        &self,
        asked: &'a Address,
        request: &RequestView<'_>,
    ) -> Result<(Option<&Address>, &'a str), Mismatch> {
        let found = if self.prefixes.is_empty() {
            (None, asked.under_any())
        } else {
            let mut matches = self
                .prefixes
                .iter()
                .filter_map(|prefix| Some((Some(prefix), asked.under(prefix)?)));
            matches.next().ok_or(Mismatch::Uri)?
        };
        if !self.local_ports.is_empty() && !self.local_ports.contains(&request.local_port) {
            return Err(Mismatch::LocalPort);
        }
        if self
            .secured
            .is_some_and(|secured| secured != request.secured)
        {
            return Err(Mismatch::Secured);
        }
        if !self.bindings.is_empty() && !self.bindings.contains(&request.binding) {
            return Err(Mismatch::Binding);
        }
        if !any(&self.obex_targets, request.obex_target) {
            return Err(Mismatch::ObexTarget);
        }
        if !self.methods.is_empty() && !self.methods.contains(request.method) {
            return Err(Mismatch::Method);
        }
        if !any(&self.media_types, request.content_type.map(essence)) {
            return Err(Mismatch::MediaType);
        }
        if !any(&self.user_agents, request.user_agent) {
            return Err(Mismatch::UserAgent);
        }
        // Last, because this is the only condition that reads the body.
        if !self.protocols.is_empty()
            && !request
                .protocol()
                .is_some_and(|protocol| self.protocols.contains(&protocol))
        {
            return Err(Mismatch::SyncMl);
        }
        Ok(found)
    }

    /// Whether every request that `other` takes is taken by this condition too, so that a route
    /// with `other` further down is never reached. It may say no when the truth is yes, never the
    /// other way.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.prefixes, &other.prefixes, |a, b| b.under(a).is_some())
            && covers(&self.local_ports, &other.local_ports, PartialEq::eq)
            && (self.secured.is_none() || self.secured == other.secured)
            && covers(&self.bindings, &other.bindings, PartialEq::eq)
            && covers(&self.obex_targets, &other.obex_targets, Pattern::covers)
            && covers(&self.methods, &other.methods, PartialEq::eq)
            && covers(&self.media_types, &other.media_types, Pattern::covers)
            && covers(&self.user_agents, &other.user_agents, Pattern::covers)
            && covers(&self.protocols, &other.protocols, PartialEq::eq)
    }
}

/// The reason why a route does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// No prefix matches.
    #[error("another URI")]
    Uri,
    /// It came to another of our ports.
    #[error("another port")]
    LocalPort,
    /// It came in WTLS records and should not, or the other way round.
    #[error("another security")]
    Secured,
    /// It came by another protocol.
    #[error("another binding")]
    Binding,
    /// Its client connected to another service of OBEX, or speaks no OBEX.
    #[error("another OBEX target")]
    ObexTarget,
    /// No method matches.
    #[error("another method")]
    Method,
    /// No media type matches, or the request has no body.
    #[error("another media type")]
    MediaType,
    /// The handset names itself otherwise, or not at all.
    #[error("another user agent")]
    UserAgent,
    /// The body speaks another version of SyncML, or is no SyncML message.
    #[error("another version of SyncML")]
    SyncMl,
}

fn any(patterns: &[Pattern], value: Option<&str>) -> bool {
    patterns.is_empty()
        || value.is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
}

fn covers<T>(wide: &[T], narrow: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    wide.is_empty()
        || (!narrow.is_empty()
            && narrow
                .iter()
                .all(|narrow| wide.iter().any(|wide| covers(wide, narrow))))
}

/// A media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Text to compare with, regardless of ASCII case; a `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern written as `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    /// Whether `value` fits.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let value = value.as_bytes();
        let mut pieces = self.0.split('*').map(str::as_bytes);
        let first = pieces.next().unwrap_or_default();
        let Some((head, mut rest)) = value.split_at_checked(first.len()) else {
            return false;
        };
        if !head.eq_ignore_ascii_case(first) {
            return false;
        }
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        // Between the stars the earliest place is always good enough, so this never goes back.
        for piece in pieces {
            let Some(at) = find(rest, piece) else {
                return false;
            };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.len()
            .checked_sub(last.len())
            .and_then(|at| rest.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(last))
    }

    /// Whether everything that fits `other` fits this too.
    fn covers(&self, other: &Self) -> bool {
        // A star in `other` is a character here, which only a star takes: sound, if not complete.
        self.matches(&other.0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack
        .windows(needle.len())
        .position(|window| window.eq_ignore_ascii_case(needle))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefixes.is_empty() {
            f.write_str("any URI")?;
        } else {
            let prefixes: Vec<_> = self.prefixes.iter().map(Address::shown).collect();
            list(f, &prefixes)?;
        }
        if !self.local_ports.is_empty() {
            f.write_str(", port ")?;
            list(f, &self.local_ports)?;
        }
        match self.secured {
            Some(true) => f.write_str(", secured")?,
            Some(false) => f.write_str(", not secured")?,
            None => {}
        }
        if !self.bindings.is_empty() {
            f.write_str(", binding ")?;
            list(f, &self.bindings)?;
        }
        if !self.obex_targets.is_empty() {
            f.write_str(", OBEX target ")?;
            list(f, &self.obex_targets)?;
        }
        if !self.methods.is_empty() {
            f.write_str(", method ")?;
            list(f, &self.methods)?;
        }
        if !self.media_types.is_empty() {
            f.write_str(", media type ")?;
            list(f, &self.media_types)?;
        }
        if !self.user_agents.is_empty() {
            f.write_str(", user agent ")?;
            list(f, &self.user_agents)?;
        }
        if !self.protocols.is_empty() {
            f.write_str(", SyncML ")?;
            list(f, &self.protocols)?;
        }
        Ok(())
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            f.write_str(" or ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Message;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, value, fits) in [
            ("text/x-vcard", "Text/X-vCard", true),
            ("text/x-vcard", "text/x-vcardx", false),
            ("text/*", "text/x-vcalendar", true),
            ("text/*", "text", false),
            ("*", "", true),
            ("nokia*", "Nokia6600/1.0", true),
            ("*series60*", "NokiaN70 (Series60/2.8)", true),
            ("*series60*", "SonyEricsson", false),
            ("a*a", "a", false),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYb", false),
            ("*é", "caffé", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(value),
                fits,
                "{pattern} {value}"
            );
        }
    }

    fn request<'a>(method: &'a Method, content_type: Option<&'a str>) -> RequestView<'a> {
        RequestView {
            uri: "",
            method,
            local_port: 9201,
            secured: false,
            binding: Binding::Wsp,
            obex_target: None,
            content_type,
            user_agent: Some("Nokia6600"),
            message: Message::Body(&[]),
        }
    }

    #[test]
    fn every_part_of_a_condition_counts() {
        let asked = Address::parse("http://a.example/x").unwrap();
        let condition = Condition {
            methods: vec![Method::PUT, Method::POST],
            media_types: vec![Pattern::new("text/x-vcard"), Pattern::new("text/x-irmc")],
            ..Condition::default()
        };
        let admits = |request| condition.admit(&asked, &request).is_ok();
        assert!(admits(request(
            &Method::POST,
            Some("text/x-vcard; charset=utf-8")
        )));
        assert!(!admits(request(&Method::GET, Some("text/x-vcard"))));
        assert!(!admits(request(&Method::POST, Some("text/plain"))));
        assert!(!admits(request(&Method::POST, None)));

        let agents = Condition {
            user_agents: vec![Pattern::new("SonyEricsson*")],
            ..Condition::default()
        };
        assert_eq!(
            agents.admit(&asked, &request(&Method::GET, None)),
            Err(Mismatch::UserAgent)
        );
    }

    #[test]
    fn what_a_message_speaks_is_read_from_it() {
        let asked = Address::parse("http://a.example/x").unwrap();
        let condition = Condition {
            protocols: vec![Protocol::Ds11, Protocol::Dm],
            ..Condition::default()
        };
        let message = |ver_proto: &str| {
            format!("<SyncML><SyncHdr><VerProto>{ver_proto}</VerProto></SyncHdr></SyncML>")
        };
        let admits = |content_type, body: &str| {
            let request = RequestView {
                message: Message::Body(body.as_bytes()),
                ..request(&Method::POST, Some(content_type))
            };
            condition.admit(&asked, &request).err()
        };
        let xml = "application/vnd.syncml+xml; charset=utf-8";
        assert_eq!(admits(xml, &message("SyncML/1.1")), None);
        assert_eq!(admits(xml, &message("DM/1.2")), None);
        let no = Some(Mismatch::SyncMl);
        assert_eq!(admits(xml, &message("SyncML/1.2")), no);
        assert_eq!(admits("text/plain", &message("SyncML/1.1")), no);
        assert_eq!(admits(xml, "<SyncML>"), no);
    }

    #[test]
    fn a_wider_condition_covers_a_narrower_one() {
        let prefix = |text: &str| Condition {
            prefixes: vec![Address::parse_prefix(text).unwrap()],
            ..Condition::default()
        };
        let any = Condition::default();
        let host = prefix("http://a.example/");
        let path = prefix("http://a.example/x/");
        assert!(any.covers(&host) && host.covers(&path) && path.covers(&path));
        assert!(!path.covers(&host) && !host.covers(&any));
        assert!(!host.covers(&prefix("http://b.example/")));

        let mut port = host.clone();
        port.local_ports = vec![9201];
        assert!(host.covers(&port) && !port.covers(&host));

        let media = |text: &str| Condition {
            media_types: vec![Pattern::new(text)],
            ..Condition::default()
        };
        assert!(media("text/*").covers(&media("text/x-vcard")));
        assert!(media("text/*").covers(&media("text/x-*")));
        assert!(!media("text/x-vcard").covers(&media("text/*")));
    }
}
