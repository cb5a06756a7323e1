//! Everything unpredictable in the core comes from one seed: drawn by the shell from the system, by
//! a test from its number.

use std::hash::BuildHasher;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use siphasher::sip::SipHasher13;

/// A stream of random numbers. Seeing some of them does not help to guess others.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Another stream of the same seed. Its use leaves the first one as it is.
    #[must_use]
    pub fn apart(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(1);
        Self(random)
    }

    /// The next 32 bits.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// The next 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which is not zero; evenly spread for bounds far below 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.u64() % bound.max(1)
    }

    /// True in `probability` of all cases.
    pub fn chance(&mut self, probability: f64) -> bool {
        f64::from(self.u32()) < probability * 4_294_967_296.0
    }

    /// A hasher with a key of its own.
    pub fn hasher(&mut self) -> Keyed {
        Keyed {
            key: (self.u64(), self.u64()),
        }
    }
}

/// SipHash-1-3 with a secret key: peers choose the keys of our tables and must not be able to
/// choose their collisions. The key comes from the seed, so that a run can be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    key: (u64, u64),
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_stream_and_another_seed_another() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (
                random.u64(),
                random.below(10),
                random.hasher().hash_one(7u32),
            )
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(Random::new(1).u64(), Random::apart(1).u64());
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn chance_keeps_to_its_extremes() {
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| !random.chance(0.0)));
        assert!((0..1000).all(|_| random.chance(1.0)));
    }
}
