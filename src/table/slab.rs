//! Values in numbered slots, in pages of memory.

use std::collections::BTreeSet;

/// A slab whose memory grows by a page at a time, and shrinks when a page is empty.
///
/// New values go to the lowest page with room, so that the values left after a burst gather in few
/// pages.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    pages: Vec<Page<T>>,
    /// The pages with room.
    roomy: BTreeSet<u32>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Page<T> {
    /// An empty page has no memory.
    places: Vec<Place<T>>,
    /// The first free slot, or [`NONE`].
    free: u32,
    len: u32,
}

#[derive(Clone, Debug)]
enum Place<T> {
    Taken(T),
    /// The next free place of the page.
    Free(u32),
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pages: Vec::new(),
            roomy: BTreeSet::new(),
            len: 0,
        }
    }

    /// Inserts a value and returns its slot.
    pub fn insert(&mut self, value: T) -> u32 {
        self.insert_with(|_| value)
    }

    /// Inserts a value that knows its slot.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let number = match self.roomy.first() {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.pages.len()).unwrap_or(NONE);
                self.pages.push(Page::NEW);
                self.roomy.insert(number);
                number
            }
        };
        let Some(page) = self.pages.get_mut(number as usize) else {
            return NONE;
        };
        let base = number * PAGE;
        let slot = page.insert(|within| make(base + within));
        if page.len == PAGE {
            self.roomy.remove(&number);
        }
        self.len += 1;
        base + slot
    }

    /// The value in a slot.
    #[must_use]
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&T> {
        let page = self.pages.get((slot / PAGE) as usize)?;
        match page.places.get((slot % PAGE) as usize)? {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// The value in a slot, to be changed.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let page = self.pages.get_mut((slot / PAGE) as usize)?;
        match page.places.get_mut((slot % PAGE) as usize)? {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Removes the value in a slot.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let number = slot / PAGE;
        let page = self.pages.get_mut(number as usize)?;
        let was_full = page.len == PAGE;
        let value = page.remove(slot % PAGE)?;
        self.len -= 1;
        if was_full {
            self.roomy.insert(number);
        }
        // One page with room is kept: a nearly empty table must not allocate and free it in turn.
        if page.len == 0 && self.roomy.len() > 1 {
            *page = Page::NEW;
            self.drop_last();
        }
        Some(value)
    }

    /// The number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the slab is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A slot above all slots in use.
    #[must_use]
    pub fn end(&self) -> u32 {
        u32::try_from(self.pages.len())
            .unwrap_or(NONE)
            .saturating_mul(PAGE)
    }

    /// All used slots with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let numbered = (0..).step_by(PAGE as usize).zip(&self.pages);
        numbered.flat_map(|(base, page): (u32, _)| {
            (base..)
                .zip(&page.places)
                .filter_map(|(slot, place)| match place {
                    Place::Taken(value) => Some((slot, value)),
                    Place::Free(_) => None,
                })
        })
    }

    /// Removes pages without memory at the end.
    fn drop_last(&mut self) {
        while self
            .pages
            .last()
            .is_some_and(|page| page.places.capacity() == 0)
        {
            self.pages.pop();
            let number = u32::try_from(self.pages.len()).unwrap_or(NONE);
            self.roomy.remove(&number);
        }
        if self.pages.len() < self.pages.capacity() / 4 {
            self.pages.shrink_to_fit();
        }
    }
}

impl<T> Page<T> {
    const NEW: Self = Self {
        places: Vec::new(),
        free: NONE,
        len: 0,
    };

    fn insert(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        self.len += 1;
        let free = self.free;
        if let Some(place) = self.places.get_mut(free as usize)
            && let Place::Free(next) = *place
        {
            self.free = next;
            *place = Place::Taken(make(free));
            return free;
        }
        if self.places.capacity() == self.places.len() {
            // A small table stays small; a large one takes whole pages.
            let more = self.places.len().clamp(4, PAGE as usize);
            self.places.reserve_exact(more);
        }
        let slot = u32::try_from(self.places.len()).unwrap_or(NONE);
        self.places.push(Place::Taken(make(slot)));
        slot
    }

    fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.places.get_mut(slot as usize)?;
        if matches!(place, Place::Free(_)) {
            return None;
        }
        let taken = std::mem::replace(place, Place::Free(self.free));
        self.free = slot;
        self.len -= 1;
        match taken {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }
}

/// Slots in a page. The allocation of so few takes little time.
const PAGE: u32 = 512;

/// No slot.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_slab_equals_a_map() {
        let mut random = Random::new(7);
        let mut slab = Slab::new();
        let mut twin = std::collections::BTreeMap::new();
        for round in 0..40_000u32 {
            // It grows for a while, and then shrinks.
            let growing = round < 20_000;
            if random.below(10) < if growing { 7 } else { 3 } {
                let slot = slab.insert_with(|slot| (slot, round));
                assert_eq!(twin.insert(slot, (slot, round)), None, "taken already");
            } else if let Some(&slot) = twin.keys().nth(usize::try_from(random.below(8)).unwrap()) {
                assert_eq!(slab.remove(slot), twin.remove(&slot));
                assert_eq!(slab.remove(slot), None);
                assert_eq!(slab.get(slot), None);
            }
            assert_eq!(slab.len(), twin.len());
        }
        assert!(
            slab.iter()
                .eq(twin.iter().map(|(slot, value)| (*slot, value)))
        );
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut slab = Slab::new();
        let slots: Vec<u32> = (0..100_000u32).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.pages.len(), 100_000usize.div_ceil(PAGE as usize));
        for slot in &slots[10..] {
            slab.remove(*slot);
        }
        assert_eq!(slab.pages.len(), 1);
        assert_eq!(slab.get(9), Some(&9));
        // A value left in the middle keeps only its page.
        let slots: Vec<u32> = (0..100_000u32).map(|n| slab.insert(n)).collect();
        for slot in slots.iter().filter(|slot| **slot != 50_000) {
            slab.remove(*slot);
        }
        let with_memory = slab.pages.iter().filter(|page| page.places.capacity() > 0);
        assert!(with_memory.count() <= 3);
    }

    #[test]
    fn a_small_table_is_small() {
        let mut slab = Slab::new();
        slab.insert([0u8; 100]);
        assert!(slab.pages[0].places.capacity() <= 4);
    }
}
