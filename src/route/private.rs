//! What of a URI is between the handset and its origin, and in no log, record or trace.

use std::ops::Range;

/// Where the private parts of a URI are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private {
    /// The user, with the password, before the host; empty without one. The `@` stands behind it.
    pub user: Range<usize>,
    /// The query and the fragment, without the `?` or `#` before them; empty without one.
    pub query: Range<usize>,
}

/// Finds the private parts of what is, or looks like, a URI; a NUL at the end is none of it. Where no scheme stands
/// before it, the beginning is taken for the authority: better one name too many is hidden than a password too few.
#[must_use]
pub fn private(uri: &[u8]) -> Private {
    let end = uri.strip_suffix(b"\0").unwrap_or(uri).len();
    let mark = uri
        .iter()
        .position(|octet| matches!(octet, b'?' | b'#'))
        .unwrap_or(end);
    let before = uri.get(..mark).unwrap_or_default();
    let scheme = before.windows(3).position(|octets| octets == b"://");
    let start = scheme.map_or(0, |at| at + 3);
    let authority = before
        .get(start..)
        .and_then(|rest| rest.split(|octet| *octet == b'/').next())
        .unwrap_or_default();
    let user = authority.iter().rposition(|octet| *octet == b'@');
    Private {
        user: start..start + user.unwrap_or(0),
        query: (mark + 1).min(end)..end,
    }
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
            ("http://u:p@h/p?q", "u:p", "q"),
            ("http://u@v:p@h", "u@v:p", ""),
            ("http://h/a@b", "", ""),
            ("http://h?u@v", "", "u@v"),
            ("u:p@h/p", "u:p", ""),
            ("http://u@h/p?q\0", "u", "q"),
            ("http://h/p\0", "", ""),
            ("?", "", ""),
            ("", "", ""),
        ] {
            let found = private(uri.as_bytes());
            assert_eq!(
                (&uri[found.user], &uri[found.query]),
                (user, query),
                "{uri}"
            );
        }
    }
}
