//! The URIs that handsets asked for lately, parsed: most requests of a network name a few.

use hashbrown::HashMap;

use crate::random::Keyed;
use crate::route::{Address, AddressError};

/// Parsed URIs by their text.
///
/// A flood of other URIs costs a hit its parsing, and no more: one entry gives way at a time.
#[derive(Debug)]
pub(super) struct AddressCache {
    by_text: HashMap<Box<str>, Address, Keyed>,
    /// The address of the last long URI.
    unkept: Option<Address>,
}

impl AddressCache {
    /// Nothing parsed yet.
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            by_text: HashMap::with_hasher(hasher),
            unkept: None,
        }
    }

    /// What [`Address::parse`] makes of a text.
    ///
    /// # Errors
    /// As [`Address::parse`]. What is no address is parsed anew each time.
    pub(super) fn parse(&mut self, text: &str) -> Result<&Address, AddressError> {
        if !self.by_text.contains_key(text) {
            let address = Address::parse(text)?;
            if text.len() > LONGEST_KEPT {
                return Ok(self.unkept.insert(address));
            }
            if self.by_text.len() >= MOST_ADDRESSES {
                let any = self.by_text.keys().next().cloned();
                any.and_then(|text| self.by_text.remove(&text));
            }
            self.by_text.insert(text.into(), address);
        }
        self.by_text.get(text).ok_or(AddressError::NotAbsolute)
    }
}

/// Addresses kept. With [`LONGEST_KEPT`] they bound the octets.
const MOST_ADDRESSES: usize = 256;
/// Octets of the longest URI that is kept.
const LONGEST_KEPT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_text_means_the_same_address_each_time_and_few_are_kept() {
        let mut cache = AddressCache::new(Random::new(1).hasher());
        for number in 0..2 * MOST_ADDRESSES {
            let long = format!("http://h/{number}?{}", "q".repeat(LONGEST_KEPT));
            for text in [
                format!("http://h/{number}"),
                "HTTP://h:80/a".to_owned(),
                long,
            ] {
                assert_eq!(
                    cache.parse(&text),
                    Address::parse(&text).as_ref().map_err(|error| *error)
                );
            }
        }
        assert_eq!(cache.by_text.len(), MOST_ADDRESSES);
        let held = cache.by_text.len();
        assert_eq!(cache.parse("ftp://h/"), Err(AddressError::Scheme));
        assert_eq!(cache.by_text.len(), held);
    }
}
