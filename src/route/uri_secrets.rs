//! The secret parts of a URI: the userinfo, the parameters of the path and the query. Logs, records
//! and traces leave them out.

use std::ops::Range;

/// The places of the secret parts of a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriSecrets {
    /// User name and password, with the `@` after them; empty if the URI has none.
    pub user_info: Range<usize>,
    /// What follows the first `;`, `&`, `?` or `#`, escaped or not: path parameters, as
    /// `;jsessionid=`, with the rest of the path, query and fragment. Empty if the URI has none.
    pub query: Range<usize>,
}

/// Finds the secret parts of octets that are, or resemble, a URI. A NUL at the end is not part of
/// the URI.
///
/// Handsets send invalid URIs: with one slash or three, with backslashes, without a scheme, with an
/// unescaped password. In doubt a part counts as secret.
#[must_use]
pub fn uri_secrets(uri: &[u8]) -> UriSecrets {
    let end = uri.strip_suffix(b"\0").unwrap_or(uri).len();
    let mark = uri
        .iter()
        .position(|octet| matches!(octet, b'?' | b'#'))
        .unwrap_or(end);
    let before = uri.get(..mark).unwrap_or_default();
    let start = authority_at(before);
    let rest = before.get(start..).unwrap_or_default();
    let authority = rest
        .split(|octet| is_slash(*octet))
        .next()
        .unwrap_or_default();
    let at = |octets: &[u8]| {
        let plain = octets.iter().rposition(|octet| *octet == b'@');
        let escaped = octets.windows(3).rposition(|octets| octets == b"%40");
        plain.map(|at| at + 1).or_else(|| escaped.map(|at| at + 3))
    };
    let user_info = match at(authority) {
        Some(len) => len,
        None if has_port_or_none(authority) => 0,
        // A password with a slash or a question mark in it.
        None => match at(rest) {
            Some(len) => len,
            None if at(uri).is_some() => rest.len(),
            None => 0,
        },
    };
    let path = start + user_info;
    let query = match parameters_at(before.get(path..).unwrap_or_default()) {
        Some(parameters) => path + parameters,
        None => (mark + 1).min(end),
    };
    UriSecrets {
        user_info: start..path,
        query: query..end,
    }
}

/// Where the parameters of a path begin (RFC 3986 3.3), or a query whose sign is escaped or is the
/// wrong one.
fn parameters_at(path: &[u8]) -> Option<usize> {
    let plain = path.iter().position(|octet| matches!(octet, b';' | b'&'));
    let is_escape = |octets: &[u8]| {
        let is = |escape: &&[u8]| octets.eq_ignore_ascii_case(escape);
        [&b"%3b"[..], b"%26", b"%3f", b"%23"].iter().any(is)
    };
    let escaped = path.windows(3).position(is_escape);
    let ends = [plain.map(|at| at + 1), escaped.map(|at| at + 3)];
    ends.into_iter().flatten().min()
}

/// Where the authority begins: after the slashes that follow a scheme, or that are the beginning.
fn authority_at(uri: &[u8]) -> usize {
    let slashes = |from: usize| {
        let rest = uri.get(from..).unwrap_or_default();
        rest.iter().take_while(|octet| is_slash(**octet)).count()
    };
    let first_slash = uri.iter().position(|octet| is_slash(*octet));
    match first_slash {
        Some(0) => slashes(0),
        Some(at) if uri.get(at - 1) == Some(&b':') => at + slashes(at),
        // Text with a URI in it.
        _ => uri
            .windows(3)
            .position(|octets| octets == b"://")
            .map_or(0, |at| at + 3),
    }
}

const fn is_slash(octet: u8) -> bool {
    matches!(octet, b'/' | b'\\')
}

/// Whether what follows a colon in an authority without an `@` can be a port; in brackets colons
/// mean nothing.
fn has_port_or_none(authority: &[u8]) -> bool {
    let after_brackets = authority.rsplit(|octet| *octet == b']').next();
    let mut parts = after_brackets
        .unwrap_or_default()
        .split(|octet| *octet == b':');
    parts.next();
    parts.all(|port| port.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_query_are_found_wherever_they_are() {
        for (uri, user, query) in [
            ("http://h/p", "", ""),
            ("http://h/p?a=b#c", "", "a=b#c"),
            ("http://h/p#c?d", "", "c?d"),
            ("http://u:p@h/p?q", "u:p@", "q"),
            ("http://u@v:p@h", "u@v:p@", ""),
            ("http://h/a@b", "", ""),
            ("http://h?u@v", "", "u@v"),
            ("u:p@h/p", "u:p@", ""),
            ("http://u@h/p?q\0", "u@", "q"),
            ("http://h/p\0", "", ""),
            ("http:/u:p@h/", "u:p@", ""),
            ("http:///u:p@h/", "u:p@", ""),
            ("//u:p@h/", "u:p@", ""),
            ("/u:p@h/", "u:p@", ""),
            ("http:\\\\u:p@h\\x", "u:p@", ""),
            ("http:u:p@h/", "http:u:p@", ""),
            ("http://u:p/w@h/", "u:p/w@", ""),
            ("http://u:p?w@h/", "u:p", "w@h/"),
            ("http://u:p#w@h/", "u:p", "w@h/"),
            ("http://[::1]:80/a@b", "", ""),
            ("http://h:80/a@b?c", "", "c"),
            ("see/also http://u:p@h/", "u:p@", ""),
            ("http://h/ds;jsessionid=1A", "", "jsessionid=1A"),
            ("http://h/ds;a/b;c=d?e#f", "", "a/b;c=d?e#f"),
            ("http://h/ds%3Bjsessionid=1A?q", "", "jsessionid=1A?q"),
            ("http://h/ds?a;b", "", "a;b"),
            ("http://u:p;w@h/x;y", "u:p;w@", "y"),
            ("http://u:p/w;v@h/x", "u:p/w;v@", ""),
            ("http://h/ds;", "", ""),
            ("/ds;s=1", "", "s=1"),
            ("http://h/ds&s=1", "", "s=1"),
            ("http://h/ds%3fs=1", "", "s=1"),
            ("http://h/ds%23s=1", "", "s=1"),
            ("http://u%3Ap%40h/x", "u%3Ap%40", ""),
            ("http://h/a%40b", "", ""),
            ("?", "", ""),
            ("", "", ""),
        ] {
            let found = uri_secrets(uri.as_bytes());
            assert_eq!(
                (&uri[found.user_info], &uri[found.query]),
                (user, query),
                "{uri}"
            );
        }
    }
}
