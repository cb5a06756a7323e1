//! Addresses compared as parsed URIs, never as text: the URI of a request, the prefix of a route,
//! and the upstream of a route.

use url::{Position, Url};

use super::uri_secrets::uri_secrets;

/// The longest URI a handset may ask for, in octets; origins rarely accept more.
pub const MAX_URI: usize = 8192;

/// Why text is not an address that can be compared with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than [`MAX_URI`].
    #[error("is longer than {MAX_URI} octets")]
    TooLong,
    /// Control characters or backslashes, which clients and servers read in different ways.
    #[error("has a control character or a backslash in it")]
    Ambiguous,
    /// No `scheme://host`, or one that does not parse.
    #[error("is not an absolute URI with a host")]
    NotAbsolute,
    /// The scheme is neither `http` nor `https`.
    #[error("is neither http:// nor https://")]
    Scheme,
    /// `user@` or `user:password@`; never passed on, often a disguise.
    #[error("has a user name before the host")]
    UserInfo,
    /// The path has a `%` without two hexadecimal digits after it. Origins differ in how they read
    /// one.
    #[error("has a % in its path that begins no escape")]
    Escape,
    /// `..` next to an encoded separator or a path parameter, which an origin might decode and then
    /// follow.
    #[error("hides a `..` behind percent-encoding or a path parameter")]
    Traversal,
    /// A prefix or an upstream with a query or a fragment.
    #[error("has a query or a fragment")]
    NotAPrefix,
}

/// An absolute `http` or `https` URI in normal form (RFC 3986 section 6.2).
///
/// Scheme and host are in lower case. An internationalised host is in its ASCII form. A default
/// port is removed. The path is never empty, has no dot segments, and percent-encodes only the
/// octets that need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: Url,
}

impl Address {
    /// Parses the URI of a request strictly: a URI that two programs could read differently is
    /// refused.
    ///
    /// # Errors
    ///
    /// Any [`AddressError`] except [`AddressError::NotAPrefix`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_URI {
            return Err(AddressError::TooLong);
        }
        if text.bytes().any(|octet| octet.is_ascii_control()) {
            return Err(AddressError::Ambiguous);
        }
        let before_query = text.split(['?', '#']).next().unwrap_or_default();
        if before_query.contains('\\') {
            return Err(AddressError::Ambiguous);
        }
        if text.eq_ignore_ascii_case(DEVICE_HOME) {
            let url = Url::parse(DEVICE_HOME).map_err(|_| AddressError::NotAbsolute)?;
            return Ok(Self { url });
        }
        // The URL parser forgives `http:host` and `http:///host`; a gateway should not guess.
        let (scheme, rest) = before_query
            .split_once("://")
            .ok_or(AddressError::NotAbsolute)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(AddressError::Scheme);
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.is_empty() {
            return Err(AddressError::NotAbsolute);
        }
        if authority.contains('@') {
            return Err(AddressError::UserInfo);
        }
        let path = rest.get(authority.len()..).unwrap_or_default();
        if !has_whole_escapes(path) {
            return Err(AddressError::Escape);
        }
        let mut url = Url::parse(text).map_err(|_| AddressError::NotAbsolute)?;
        if url.path().contains('%') {
            let path = without_needless_encoding(url.path());
            if path != url.path() {
                url.set_path(&path);
            }
        }
        if has_hidden_parent(url.path()) {
            return Err(AddressError::Traversal);
        }
        Ok(Self { url })
    }

    /// Parses an address that others are measured against or placed under.
    ///
    /// # Errors
    ///
    /// Any [`AddressError`].
    pub fn parse_prefix(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse(text)?;
        if address.url.query().is_some() || address.url.fragment().is_some() {
            return Err(AddressError::NotAPrefix);
        }
        Ok(address)
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it is `DEVICE:home`, by which a handset asks for its home page. It names no host.
    #[must_use]
    pub fn is_device_home(&self) -> bool {
        self.url.cannot_be_a_base()
    }

    /// Whether it names a host and a port only.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.url.path() == "/"
    }

    /// Host and port, as a URI has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Whether the two differ in host and port only.
    #[must_use]
    pub fn is_twin_of(&self, other: &Self) -> bool {
        self.url.scheme() == other.url.scheme() && self.url.path() == other.url.path()
    }

    /// The part of this address's path after `prefix`. `None` if scheme, host or port differ, or
    /// the prefix ends within a path segment. The part is empty or starts with a slash.
    #[must_use]
    pub fn under<'a>(&'a self, prefix: &Self) -> Option<&'a str> {
        let (asked, wanted) = (&self.url, &prefix.url);
        let same_origin = asked.scheme() == wanted.scheme()
            && self.host() == prefix.host()
            && asked.port() == wanted.port();
        if !same_origin {
            return None;
        }
        if asked.path() == wanted.path() {
            return Some("");
        }
        let segments = wanted.path().strip_suffix('/');
        let rest = asked
            .path()
            .strip_prefix(segments.unwrap_or_else(|| wanted.path()))?;
        rest.starts_with('/').then_some(rest)
    }

    /// The part after the host: [`Self::under`] for a route without prefixes.
    #[must_use]
    pub fn under_any(&self) -> &str {
        match self.url.path() {
            "/" => "",
            _ if self.is_device_home() => "",
            path => path,
        }
    }

    /// The address `rest` below this one, with the query of `asked` and without its fragment.
    /// `rest` is the result of [`Self::under`]; one slash joins the two paths.
    #[must_use]
    pub fn join(&self, rest: &str, asked: &Self) -> String {
        let whole = &self.url[..Position::AfterPath];
        let base = match whole.strip_suffix('/') {
            Some(open) if !rest.is_empty() => open,
            _ => whole,
        };
        let query = asked.url.query();
        let mut joined =
            String::with_capacity(base.len() + rest.len() + query.map_or(0, |q| q.len() + 1));
        joined.push_str(base);
        joined.push_str(rest);
        if let Some(query) = query {
            joined.push('?');
            joined.push_str(query);
        }
        joined
    }

    /// The path and the query, as they stand in a request line.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The path of this address with the query of another.
    #[must_use]
    pub fn path_with_query_of(&self, other: &Self) -> String {
        match other.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// Whether the path is that of `base` or one below it, perhaps with parameters (`;`) behind
    /// the last segment of `base`.
    #[must_use]
    pub fn has_path_below(&self, base: &Self) -> bool {
        let base = base.url.path();
        let rest = self.url.path().strip_prefix(base);
        rest.is_some_and(|rest| {
            rest.is_empty() || base.ends_with('/') || rest.starts_with(['/', ';'])
        })
    }

    /// Resolves `reference` in a document fetched from this address (RFC 3986 section 5). `None`
    /// for a reference that [`Self::parse`] would refuse.
    #[must_use]
    pub fn resolve(&self, reference: &str) -> Option<Self> {
        let resolved = self.url.join(reference).ok()?;
        Self::parse(resolved.as_str()).ok()
    }

    /// Scheme, host and port of this address, with the shortest path.
    #[must_use]
    pub fn root(&self) -> Self {
        let mut url = self.url.clone();
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Self { url }
    }

    /// The text for logs and for the configuration in force: without the parameters of a path.
    #[must_use]
    pub fn shown(&self) -> String {
        let text = self.url.as_str();
        let secret = uri_secrets(text.as_bytes()).query;
        match (text.get(..secret.start), secret.is_empty()) {
            (Some(public), false) => format!("{public}***"),
            _ => text.to_owned(),
        }
    }

    /// The host without the dot that marks a name as complete: both forms name the same host.
    fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.strip_suffix('.').unwrap_or(host)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// Decodes the percent-encoded characters that need no encoding and writes the other ones in upper
/// case (RFC 3986 sections 6.2.2.1 and 6.2.2.2).
fn without_needless_encoding(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let encoded = piece
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (encoded, piece.split_at_checked(2)) {
            (Some(octet), Some((_, rest))) if is_unreserved(octet) => {
                out.push(char::from(octet));
                out.push_str(rest);
            }
            (Some(_), Some((digits, rest))) => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
                out.push_str(rest);
            }
            _ => {
                out.push('%');
                out.push_str(piece);
            }
        }
    }
    out
}

const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

/// Whether each `%` begins an escape.
fn has_whole_escapes(path: &str) -> bool {
    let mut pieces = path.split('%');
    pieces.next();
    pieces.all(|piece| {
        let digits = piece.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Whether a path without plain dot segments contains a hidden `..`: one that appears when an
/// origin decodes the path, perhaps twice, or accepts separators other than `/`.
fn has_hidden_parent(path: &str) -> bool {
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    let mut plain = path.as_bytes().to_vec();
    for _ in 0..MAX_DECODINGS {
        if has_parent(&plain) {
            return true;
        }
        if !decode(&mut plain) {
            return false;
        }
    }
    // No honest path is encoded so often.
    true
}

/// Decodes every escape once; whether there was any.
fn decode(path: &mut Vec<u8>) -> bool {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_slice();
    while let Some((octet, after)) = rest.split_first() {
        let escaped = match (octet, after) {
            (b'%', [high, low, after @ ..]) => digit(high)
                .zip(digit(low))
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
                .map(|decoded| (decoded, after)),
            _ => None,
        };
        let (octet, after) = escaped.unwrap_or((*octet, after));
        out.push(octet);
        rest = after;
    }
    let found = out.len() != path.len();
    *path = out;
    found
}

/// Whether some origin finds a `..` in a decoded path. Servers cut a segment at a parameter, at a
/// presumed query, and at white space. A NUL or a control ends a segment for some, and is left out
/// by others. Old decoders accept the overlong forms of `/`, `.` and `\\` in UTF-8, and servers with
/// an eight-bit character set make these of characters that look like them.
fn has_parent(path: &[u8]) -> bool {
    let mut ascii = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((octet, after)) = rest.split_first() {
        let (octet, after) = match rest {
            [0xC0, low @ (0xAE | 0xAF), after @ ..]
            | [0xE0, 0x80, low @ (0xAE | 0xAF), after @ ..]
            | [0xF0, 0x80, 0x80, low @ (0xAE | 0xAF), after @ ..] => (low & 0x7F, after),
            [0xC1, 0x9C, after @ ..] | [0xE0, 0x81, 0x9C, after @ ..] => (b'\\', after),
            // Full width, and the slashes of fractions and divisions.
            [0xEF, 0xBC, 0x8F, after @ ..]
            | [0xE2, 0x81, 0x84, after @ ..]
            | [0xE2, 0x88, 0x95, after @ ..]
            | [0xE2, 0xA7, 0xB8, after @ ..] => (b'/', after),
            [0xEF, 0xBC, 0xBC, after @ ..] | [0xEF, 0xB9, 0xA8, after @ ..] => (b'\\', after),
            // Full width, small, and a leader of one dot.
            [0xEF, 0xBC, 0x8E, after @ ..]
            | [0xEF, 0xB9, 0x92, after @ ..]
            | [0xE2, 0x80, 0xA4, after @ ..] => (b'.', after),
            [0xE2, 0x80, 0xA5, after @ ..] => {
                ascii.push(b'.');
                (b'.', after)
            }
            _ => (*octet, after),
        };
        ascii.push(octet);
        rest = after;
    }
    let is_parent = |segment: &[u8]| {
        let mut cut = segment.split(|octet| matches!(octet, b';' | b'?' | b'#'));
        cut.next().unwrap_or_default().trim_ascii() == b".."
    };
    let is_slash = |octet: &u8| matches!(octet, b'/' | b'\\');
    let has_control = ascii.iter().any(u8::is_ascii_control);
    ascii
        .split(|octet| is_slash(octet) || octet.is_ascii_control())
        .any(is_parent)
        || has_control && {
            ascii.retain(|octet| !octet.is_ascii_control());
            ascii.split(is_slash).any(is_parent)
        }
}

/// The URI of a handset's key for the home page.
const DEVICE_HOME: &str = "device:home";
/// How often a path is decoded to look for a hidden `..`.
const MAX_DECODINGS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, AddressError> {
        Address::parse(text).map(|address| address.to_string())
    }

    fn under(asked: &str, prefix: &str) -> Option<String> {
        let prefix = Address::parse_prefix(prefix).unwrap();
        let asked = Address::parse(asked).unwrap();
        asked.under(&prefix).map(str::to_owned)
    }

    #[test]
    fn parameters_of_a_path_are_not_shown() {
        let shown = |text: &str| Address::parse_prefix(text).map(|address| address.shown());
        let public = "https://origin.example/sync";
        assert_eq!(shown(public).as_deref(), Ok(public));
        for text in [
            "https://origin.example/sync;key=S3CR3T",
            "https://origin.example/sync/&key=S3CR3T/",
            "https://origin.example/sync%3Fkey=S3CR3T",
        ] {
            let shown = shown(text).unwrap();
            assert!(shown.starts_with(public), "{shown}");
            assert!(!shown.contains("S3CR3T"), "{shown}");
        }
    }

    #[test]
    fn equal_addresses_have_one_normal_form() {
        for same in [
            "http://sync.example.com/a/b",
            "HTTP://Sync.EXAMPLE.com/a/b",
            "http://sync.example.com:80/a/b",
            "http://sync.example.com:080/a/b",
            "http://sync.example.com:/a/b",
            "http://sync.example.com/x/../a/./b",
            "http://sync.example.com/x/%2e%2E/a/%2e/b",
            "http://sync.example.com/x/.%2e/a/b",
            "http://sync.example.com/../../a/b",
            "http://sync.example.com/%61/%62",
            "http://sync%2eexample.com/a/b",
        ] {
            assert_eq!(
                parse(same).as_deref(),
                Ok("http://sync.example.com/a/b"),
                "{same}"
            );
        }
    }

    #[test]
    fn encoding_that_means_something_stays() {
        assert_eq!(
            parse("http://a.example/x%2fy%20z?%zz%").unwrap(),
            "http://a.example/x%2Fy%20z?%zz%"
        );
        assert_eq!(
            parse("http://a.example/%C3%A9/é ü").unwrap(),
            "http://a.example/%C3%A9/%C3%A9%20%C3%BC"
        );
    }

    #[test]
    fn an_empty_path_is_a_slash() {
        assert_eq!(parse("http://a.example").unwrap(), "http://a.example/");
        assert_eq!(
            parse("http://a.example?x=1").unwrap(),
            "http://a.example/?x=1"
        );
    }

    #[test]
    fn international_names_have_one_ascii_form() {
        assert_eq!(
            parse("http://BÜCHER.example/").unwrap(),
            "http://xn--bcher-kva.example/"
        );
        // A full-width dot and full-width letters are the same name (UTS 46); a Cyrillic letter is
        // not.
        assert_eq!(
            parse("http://ｓync。example/").unwrap(),
            "http://sync.example/"
        );
        assert_ne!(
            parse("http://sуnc.example/").unwrap(),
            "http://sync.example/"
        );
    }

    #[test]
    fn ipv6_literals_have_one_form() {
        assert_eq!(
            parse("http://[0:0:0:0:0:0:0:1]:80/").unwrap(),
            "http://[::1]/"
        );
        assert_eq!(
            parse("http://[::FFFF:1.2.3.4]/").unwrap(),
            "http://[::ffff:102:304]/"
        );
        for bad in [
            "http://[::1/",
            "http://::1/",
            "http://[::1%25eth0]/",
            "http://[::1]x/",
        ] {
            assert_eq!(parse(bad), Err(AddressError::NotAbsolute), "{bad}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use AddressError::{Ambiguous, NotAbsolute, Scheme, TooLong, UserInfo};
        for (text, why) in [
            ("http://sync.example.com@evil/", UserInfo),
            ("http://user:secret@sync.example.com/", UserInfo),
            ("http://@sync.example.com/", UserInfo),
            ("http://sync.example.com\\@evil/", Ambiguous),
            ("http://sync.example.com\\evil/", Ambiguous),
            ("http:\\\\sync.example.com/", Ambiguous),
            ("http://sync.exa\tmple.com/", Ambiguous),
            ("http://sync.example.com/\r\nHost: evil", Ambiguous),
            ("http://sync.example.com/\0", Ambiguous),
            ("http:sync.example.com/", NotAbsolute),
            ("http:/sync.example.com/", NotAbsolute),
            ("http:///sync.example.com/", NotAbsolute),
            ("http://", NotAbsolute),
            ("http://?x", NotAbsolute),
            ("http://:80/", NotAbsolute),
            ("http://a.example:65536/", NotAbsolute),
            ("http://a.example:8o/", NotAbsolute),
            ("http://a.example%40evil/", NotAbsolute),
            ("http://a.example%2fevil/", NotAbsolute),
            ("http://a b.example/", NotAbsolute),
            ("//sync.example.com/", NotAbsolute),
            ("/sync", NotAbsolute),
            ("sync.example.com/", NotAbsolute),
            ("", NotAbsolute),
            ("ftp://sync.example.com/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("javascript://sync.example.com/%0aalert(1)", Scheme),
            (" http://sync.example.com/", Scheme),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
        let long = format!("http://a.example/{}", "x".repeat(MAX_URI));
        assert_eq!(parse(&long), Err(TooLong));
    }

    #[test]
    fn an_at_sign_after_the_authority_is_just_a_character() {
        assert!(parse("http://a.example/user@host").is_ok());
        assert!(parse("http://a.example/?to=user@host").is_ok());
        assert!(parse("http://a.example?user@host").is_ok());
    }

    #[test]
    fn a_hidden_parent_directory_is_refused() {
        for text in [
            "http://a.example/sync/..%2fadmin",
            "http://a.example/sync/%2e%2e%2fadmin",
            "http://a.example/sync%2f..%2fadmin",
            "http://a.example/sync/..%5cadmin",
            "http://a.example/sync/..;x=1/admin",
            "http://a.example/sync/..%3bx/admin",
            "http://a.example/sync/x%2F..",
            "http://a.example/sync/..%252fadmin",
            "http://a.example/sync/..%25%32%66admin",
            "http://a.example/sync/%252e%252e%252fadmin",
            "http://a.example/sync/..%255cadmin",
            "http://a.example/sync/..%00/admin",
            "http://a.example/sync/..%0d%0aadmin",
            "http://a.example/sync/..%09/admin",
            "http://a.example/sync/..%7F/admin",
            "http://a.example/sync/..%20/admin",
            "http://a.example/sync/..%3f/admin",
            "http://a.example/sync/..%23/admin",
            "http://a.example/sync/..%c0%afadmin",
            "http://a.example/sync/%c0%ae%c0%ae/admin",
            "http://a.example/sync/..%c1%9cadmin",
            "http://a.example/sync/%e0%80%ae./admin",
            "http://a.example/sync/.%00./admin",
            "http://a.example/sync/.%0d.%2fadmin",
            "http://a.example/sync/..%ef%bc%8fadmin",
            "http://a.example/sync/%EF%BC%8E%EF%BC%8E/admin",
            "http://a.example/sync/\u{2025}/admin",
            "http://a.example/sync/..\u{2215}admin",
            "http://a.example/sync/..%25e2%2588%2595admin",
            "http://a.example/%2525252525252525252fadmin",
        ] {
            assert_eq!(parse(text), Err(AddressError::Traversal), "{text}");
        }
        for text in [
            "http://a.example/sync/a..b",
            "http://a.example/sync/...",
            "http://a.example/sync/100%25",
            "http://a.example/sync/a%252Fb",
            "http://a.example/sync/caf%C3%A9..",
            "http://a.example/?x=../..",
            "http://a.example/.%2Fcontacts",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_escape_that_is_none_is_refused() {
        for text in [
            "http://a.example/sync/..%%32fadmin",
            "http://a.example/sync/..%2%66admin",
            "http://a.example/sync/..%%35cadmin",
            "http://a.example/sync/%",
            "http://a.example/sync/%4",
            "http://a.example/sync/%zz",
            "http://a.example/sync/%u002e%u002e/admin",
        ] {
            assert_eq!(parse(text), Err(AddressError::Escape), "{text}");
        }
    }

    #[test]
    fn the_home_page_of_a_device_has_an_address() {
        let home = "DEVICE:home";
        assert_eq!(parse(home).unwrap(), "device:home");
        assert_eq!(under("device:HOME", home).as_deref(), Some(""));
        assert_eq!(under("http://a.example/", home), None);
        assert_eq!(under(home, "http://a.example/"), None);
        let base = Address::parse_prefix("https://o.example/home").unwrap();
        let asked = Address::parse(home).unwrap();
        assert_eq!(base.join("", &asked), "https://o.example/home");
        assert_eq!((asked.under_any(), asked.resolve("/x")), ("", None));
        for text in ["device:other", "DEVICE:home/x", "device:home?x", "DEVICE:"] {
            assert_eq!(parse(text), Err(AddressError::NotAbsolute), "{text}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let host = "http://sync.example.com/";
        assert_eq!(
            under("http://sync.example.com/x?y", host).as_deref(),
            Some("/x")
        );
        assert_eq!(under("http://sync.example.com", host).as_deref(), Some(""));
        assert_eq!(
            under("http://sync.example.com./", host).as_deref(),
            Some("")
        );
        assert_eq!(under("http://sync.example.com.evil/", host), None);
        assert_eq!(under("http://sync.example.com:8080/", host), None);
        assert_eq!(under("https://sync.example.com/", host), None);
        assert_eq!(under("http://evil.sync.example.com/", host), None);

        let path = "http://a.example/sync";
        assert_eq!(under("http://a.example/sync", path).as_deref(), Some(""));
        assert_eq!(
            under("http://a.example/sync/x", path).as_deref(),
            Some("/x")
        );
        assert_eq!(under("http://a.example/syncx", path), None);
        assert_eq!(under("http://a.example/Sync", path), None);
        assert_eq!(under("http://a.example/sync/../admin", path), None);
        assert_eq!(under("http://a.example/sync%2fx", path), None);
        let directory = "http://a.example/sync/";
        assert_eq!(under("http://a.example/sync", directory), None);
        assert_eq!(
            under("http://a.example/sync//x", directory).as_deref(),
            Some("//x")
        );
    }

    #[test]
    fn one_slash_joins_two_paths() {
        for (base, rest, joined) in [
            ("https://o.example/", "/x/y", "https://o.example/x/y"),
            ("https://o.example/", "", "https://o.example/"),
            ("https://o.example/app", "", "https://o.example/app"),
            ("https://o.example/app", "/x", "https://o.example/app/x"),
            ("https://o.example/app/", "", "https://o.example/app/"),
            ("https://o.example/app/", "//x", "https://o.example/app//x"),
            ("https://o.example/app/", "/x", "https://o.example/app/x"),
            (
                "https://o.example:8443/app/",
                "/x",
                "https://o.example:8443/app/x",
            ),
        ] {
            let base = Address::parse_prefix(base).unwrap();
            let asked = Address::parse("http://a.example/?q=1#f").unwrap();
            assert_eq!(base.join(rest, &asked), format!("{joined}?q=1"));
        }
    }

    #[test]
    fn a_prefix_has_neither_query_nor_fragment() {
        for text in ["http://a.example/?x", "http://a.example/#x"] {
            assert_eq!(Address::parse_prefix(text), Err(AddressError::NotAPrefix));
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_never_leaves_the_prefix(
            text in "(http://sync\\.example\\.com)?[-/.%2356eEfF0cC\\\\@:;?#a é]{0,40}"
        ) {
            let base = Address::parse_prefix("https://o.example/app/").unwrap();
            let prefix = Address::parse_prefix("http://sync.example.com/").unwrap();
            if let Ok(asked) = Address::parse(&text)
                && let Some(rest) = asked.under(&prefix)
            {
                let joined = base.join(rest, &asked);
                let again = Address::parse(&joined).unwrap();
                proptest::prop_assert!(again.under(&base).is_some(), "{} -> {}", text, joined);
                proptest::prop_assert_eq!(again.to_string(), joined);
            }
        }
    }
}
