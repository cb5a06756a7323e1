//! Each role against what others wrote, and against a client that is put together by hand.

mod by_hand;
mod forged;
mod repeated;
mod vectors;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wtls::PrivateKey;

/// The key that the vectors were made with: 1024 bits.
pub(super) fn key() -> PrivateKey {
    let pem = include_str!("../../../fixtures/wtls/key.pem").lines();
    let base64: String = pem.filter(|line| !line.starts_with("-----")).collect();
    PrivateKey::from_der(&STANDARD.decode(base64).unwrap()).unwrap()
}
