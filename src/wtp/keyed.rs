//! A keyed hash: hostile keys cannot be made to collide, yet a run can be replayed from its seed.

#![expect(
    deprecated,
    reason = "the only keyed SipHash in std; the replacement cannot be seeded"
)]

use std::hash::{BuildHasher, SipHasher};

/// Builds SipHash hashers with one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed(u64, u64);

impl Keyed {
    /// A key made from a seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed, seed.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15)
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher;

    fn build_hasher(&self) -> SipHasher {
        SipHasher::new_with_keys(self.0, self.1)
    }
}
