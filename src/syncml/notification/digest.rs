//! The digest of a notification: proof that a server with the shared password made it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// The secrets that a server and a client share.
#[derive(Clone, Copy)]
pub struct Secret<'a> {
    /// The server's password at the client. It may be empty.
    pub password: &'a [u8],
    /// The nonce that the client gave to the server. It may be empty.
    pub nonce: &'a [u8],
}

/// The password is not printed.
impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The digest over `trigger`, which is everything after the digest (OMA DM Security 1.2, 5.5):
/// MD5(B64(MD5(server ":" password)) ":" nonce ":" B64(MD5(trigger))).
#[must_use]
pub fn digest(server: &str, secret: Secret<'_>, trigger: &[u8]) -> [u8; 16] {
    let credentials = credentials(server, secret.password);
    let trigger = STANDARD.encode(Md5::digest(trigger));
    md5_of(&[&credentials, secret.nonce, trigger.as_bytes()])
}

/// B64(MD5(name ":" password)), which stands for the password in every digest of SyncML.
pub(super) fn credentials(name: &str, password: &[u8]) -> Vec<u8> {
    STANDARD
        .encode(md5_of(&[name.as_bytes(), password]))
        .into_bytes()
}

/// MD5 of the parts, with a colon between each two.
pub(super) fn md5_of(parts: &[&[u8]]) -> [u8; 16] {
    let mut md5 = Md5::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            md5.update(b":");
        }
        md5.update(part);
    }
    md5.finalize().into()
}
