//! Overwrites octets in place, so that nothing in a datagram moves.

use std::ops::Range;

use crate::route::{UriSecrets, uri_secrets};

/// The octet that replaces a secret octet.
pub(super) const BLANK: u8 = b'*';

/// Blanks the parameters and the query of a URI, and the user before its host.
pub(super) fn uri(uri: &mut [u8]) {
    for part in secret_in_uri(uri) {
        blank(uri.get_mut(part).unwrap_or_default());
    }
}

/// A URI with its parameters, its query and its user blank.
#[must_use]
pub fn uri_text(text: &str) -> String {
    let mut octets = text.as_bytes().to_vec();
    uri(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

/// The parts of a URI that may hold a secret: its parameters with its query, and the user before
/// its host.
pub(super) fn secret_in_uri(uri: &[u8]) -> Vec<Range<usize>> {
    let UriSecrets {
        mut user_info,
        query,
    } = uri_secrets(uri);
    // The sign stays, so that a reader sees what the part is.
    if uri.get(..user_info.end).and_then(<[u8]>::last) == Some(&b'@') {
        user_info.end -= 1;
    }
    let parts = [query, user_info].into_iter();
    parts.filter(|part| !part.is_empty()).collect()
}

/// Overwrites all octets.
pub(super) fn blank(octets: &mut [u8]) {
    octets.fill(BLANK);
}
