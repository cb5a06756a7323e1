//! Addresses compared as parsed URIs, never as text: what a handset asks for, what a route matches, and
//! where a route sends it.

use url::{Position, Url};

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
    /// Neither `http` nor `https`.
    #[error("is neither http:// nor https://")]
    Scheme,
    /// `user@` or `user:password@`; never passed on, often a disguise.
    #[error("has a user name before the host")]
    UserInfo,
    /// `..` next to an encoded slash or a path parameter, which an origin might decode and then follow.
    #[error("hides a `..` behind percent-encoding or a path parameter")]
    Traversal,
    /// A prefix or an upstream with a query or a fragment.
    #[error("has a query or a fragment")]
    NotAPrefix,
}

/// An absolute `http` or `https` URI in normal form (RFC 3986 section 6.2).
///
/// Scheme and host are in lower case, an internationalised host is in its ASCII form, a default port is
/// gone, the path is never empty, has no dot segments, and percent-encodes nothing it need not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: Url,
}

impl Address {
    /// Parses what a handset asked for, strictly: what two programs could read differently is refused.
    ///
    /// # Errors
    ///
    /// Any [`AddressError`] but [`AddressError::NotAPrefix`].
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

    /// What follows `prefix` in this address's path, if scheme, host and port are the same and the prefix
    /// ends where a path segment ends: nothing, or a path that starts with a slash.
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

    /// What follows any host: [`Self::under`] for a route that names no prefix.
    #[must_use]
    pub fn under_any(&self) -> &str {
        match self.url.path() {
            "/" => "",
            path => path,
        }
    }

    /// The address `rest` below this one, with the query of `asked` and without its fragment. `rest` is
    /// what [`Self::under`] found; one slash joins the two paths.
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

    /// The address that `reference` names when it is found in what was fetched from this one (RFC 3986
    /// section 5). What is not to be trusted names none.
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

/// Decodes the percent-encoded characters that need no encoding and writes the other ones in upper case
/// (RFC 3986 sections 6.2.2.1 and 6.2.2.2).
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

/// Whether a `..` is left in a path whose plain dot segments are resolved: one that only shows once an
/// origin decodes `%2F` or `%5C`, or cuts off a path parameter as servlet containers do.
fn has_hidden_parent(path: &str) -> bool {
    if !path.contains("..") {
        return false;
    }
    let mut plain = path.replace("%2F", "/");
    for (encoded, decoded) in [("%5C", "/"), ("%3B", ";")] {
        if plain.contains(encoded) {
            plain = plain.replace(encoded, decoded);
        }
    }
    plain
        .split('/')
        .any(|segment| segment.split(';').next() == Some(".."))
}

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
            parse("http://a.example/x%2fy%20z%zz%+f%4").unwrap(),
            "http://a.example/x%2Fy%20z%zz%+f%4"
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
        // A full-width dot and full-width letters are the same name (UTS 46); a Cyrillic letter is not.
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
        ] {
            assert_eq!(parse(text), Err(AddressError::Traversal), "{text}");
        }
        for text in [
            "http://a.example/sync/a..b",
            "http://a.example/sync/...",
            "http://a.example/?x=../..",
            "http://a.example/.%2Fcontacts",
        ] {
            assert!(parse(text).is_ok(), "{text}");
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
            text in "(http://sync\\.example\\.com)?[-/.%2eEfF5cC\\\\@:;?#a é]{0,40}"
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
