//! Tables of assigned numbers, searchable by number and by name.

use std::cmp::Ordering;

/// One assigned number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assigned {
    pub(crate) number: u16,
    pub(crate) name: &'static str,
}

/// A table in the order of its numbers, with an index in the order of its names, made when
/// compiling.
pub(crate) struct Table<const N: usize> {
    rows: [Assigned; N],
    by_name: [u16; N],
}

impl<const N: usize> Table<N> {
    /// Makes the table of rows that stand in the order of their numbers.
    #[expect(clippy::indexing_slicing, reason = "evaluated when compiling")]
    pub(crate) const fn new(rows: [(u16, &'static str); N]) -> Self {
        let mut assigned = [Assigned {
            number: 0,
            name: "",
        }; N];
        let mut names = [""; N];
        let mut row = 0;
        while row < N {
            let (number, name) = rows[row];
            assert!(
                row == 0 || assigned[row - 1].number < number,
                "rows must stand in the order of their numbers"
            );
            assigned[row] = Assigned { number, name };
            names[row] = name;
            row += 1;
        }
        Self {
            rows: assigned,
            by_name: order(&names),
        }
    }

    /// The name of a number.
    pub(crate) fn name(&self, number: u64) -> Option<&'static str> {
        let number = u16::try_from(number).ok()?;
        let found = self.rows.binary_search_by_key(&number, |row| row.number);
        Some(self.rows.get(found.ok()?)?.name)
    }

    /// The number of a name, in any case.
    pub(crate) fn number(&self, name: &[u8]) -> Option<u16> {
        let row = find(&self.by_name, name, |row| {
            self.rows.get(usize::from(row)).map_or("", |row| row.name)
        })?;
        Some(self.rows.get(usize::from(row))?.number)
    }

    #[cfg(test)]
    pub(crate) fn rows(&self) -> &[Assigned] {
        &self.rows
    }
}

/// Finds a name in an index made by [`order`]; where rows share a name, the first of them.
pub(crate) fn find<const N: usize>(
    index: &[u16; N],
    name: &[u8],
    row_name: impl Fn(u16) -> &'static str,
) -> Option<u16> {
    // Stable sorting keeps rows that share a name in their order.
    let at = index.partition_point(|&row| compare(row_name(row).as_bytes(), name).is_lt());
    let row = *index.get(at)?;
    compare(row_name(row).as_bytes(), name)
        .is_eq()
        .then_some(row)
}

/// The positions of `names` in the order of the names, without regard to case.
#[expect(clippy::indexing_slicing, reason = "evaluated when compiling")]
pub(crate) const fn order<const N: usize>(names: &[&'static str; N]) -> [u16; N] {
    let mut index = [0u16; N];
    let mut sorted = 0;
    while sorted < N {
        let mut at = sorted;
        while at > 0
            && matches!(
                compare(
                    names[index[at - 1] as usize].as_bytes(),
                    names[sorted].as_bytes()
                ),
                Ordering::Greater
            )
        {
            index[at] = index[at - 1];
            at -= 1;
        }
        assert!(
            sorted <= u16::MAX as usize,
            "a table of this size needs a wider index"
        );
        #[expect(clippy::cast_possible_truncation, reason = "asserted one line above")]
        {
            index[at] = sorted as u16;
        }
        sorted += 1;
    }
    index
}

/// Compares without regard to ASCII case, the length first: many names share their beginning, few
/// their length. `Ord::cmp` cannot run at compile time.
#[expect(clippy::indexing_slicing, reason = "const, and bounded by the loop")]
pub(crate) const fn compare(a: &[u8], b: &[u8]) -> Ordering {
    if a.len() != b.len() {
        return match a.len() < b.len() {
            true => Ordering::Less,
            false => Ordering::Greater,
        };
    }
    let mut at = 0;
    while at < a.len() {
        // Most comparisons are between equal names in the same case.
        if a[at] != b[at] {
            let (x, y) = (a[at].to_ascii_lowercase(), b[at].to_ascii_lowercase());
            if x < y {
                return Ordering::Less;
            }
            if x > y {
                return Ordering::Greater;
            }
        }
        at += 1;
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_searched_both_ways() {
        static TABLE: Table<3> = Table::new([(1, "Beta"), (5, "alpha"), (9, "alphabet")]);
        assert_eq!(TABLE.name(5), Some("alpha"));
        assert_eq!(TABLE.name(6), None);
        assert_eq!(TABLE.number(b"ALPHA"), Some(5));
        assert_eq!(TABLE.number(b"beta"), Some(1));
        assert_eq!(TABLE.number(b"alphabet"), Some(9));
        assert_eq!(TABLE.number(b"alp"), None);
    }
}
