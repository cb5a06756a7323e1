//! The window that finds duplicated records (9.2.3.1).

use crate::wtls::defects;

/// Which of the last 32 records were received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// The largest number received.
    last: u16,
    /// Bit `n`: the record `last - n` was received.
    seen: u32,
}

impl Window {
    /// Whether a record may be new. Only a record that proves to be genuine is then [received](Self::receive).
    pub(super) fn is_new(self, sequence: u16) -> bool {
        if defects::NO_WINDOW.is_planted() {
            return true;
        }
        match self.last.checked_sub(sequence) {
            Some(back) => u32::from(back) < u32::BITS && self.seen >> back & 1 == 0,
            None => true,
        }
    }

    /// A genuine record was received.
    pub(super) fn receive(&mut self, sequence: u16) {
        match self.last.checked_sub(sequence) {
            Some(back) => self.seen |= 1_u32.checked_shl(u32::from(back)).unwrap_or(0),
            None => {
                let ahead = u32::from(sequence - self.last);
                self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
                self.last = sequence;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_accepted_once_and_none_older_than_32() {
        let mut window = Window::default();
        assert!(window.is_new(0));
        window.receive(0);
        assert!(!window.is_new(0));
        window.receive(40);
        assert!(!window.is_new(8) && window.is_new(9) && window.is_new(41));
        window.receive(9);
        assert!(!window.is_new(9) && !window.is_new(40));
    }

    proptest! {
        #[test]
        fn it_says_what_a_list_of_all_records_would(numbers in prop::collection::vec(0u16..100, 0..200)) {
            let mut window = Window::default();
            let mut received: Vec<u16> = Vec::new();
            for number in numbers {
                let last = received.iter().copied().max().unwrap_or(0);
                let is_new = number + 32 > last && !received.contains(&number);
                prop_assert_eq!(window.is_new(number), is_new);
                if is_new {
                    window.receive(number);
                    received.push(number);
                }
            }
        }
    }
}
