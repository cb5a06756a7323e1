//! Random octets for secrets: keys, identifiers, blinding. From a seed of 256 bits, for 64 would be too few.

use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rsa::rand_core::{TryCryptoRng, TryRng};

/// A stream of random octets.
#[cfg_attr(test, derive(Clone))]
pub struct SecretRandom {
    stream: ChaCha20Rng,
    /// Given before the stream is.
    #[cfg(test)]
    script: Vec<u8>,
}

impl std::fmt::Debug for SecretRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretRandom")
    }
}

impl SecretRandom {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            stream: ChaCha20Rng::from_seed(seed),
            #[cfg(test)]
            script: Vec::new(),
        }
    }

    /// Gives these octets first.
    #[cfg(test)]
    pub(super) fn scripted(octets: &[u8]) -> Self {
        Self {
            script: octets.to_vec(),
            ..Self::new([1; 32])
        }
    }

    /// Fills `octets`.
    pub(super) fn fill(&mut self, octets: &mut [u8]) {
        #[cfg(test)]
        if self.script.len() >= octets.len() {
            let rest = self.script.split_off(octets.len());
            octets.copy_from_slice(&std::mem::replace(&mut self.script, rest));
            return;
        }
        self.stream.fill_bytes(octets);
    }
}

impl TryRng for SecretRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.stream.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.stream.next_u64())
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        self.fill(octets);
        Ok(())
    }
}

impl TryCryptoRng for SecretRandom {}
