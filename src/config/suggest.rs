//! "Did you mean": the known word closest to a mistyped one.

/// The candidate that takes the fewest typing mistakes to become `word`, if those are few enough.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (mistakes(word, candidate), candidate))
        .filter(|(count, _)| *count <= allowed)
        .min_by_key(|(count, _)| *count)
        .map(|(_, candidate)| candidate)
}

/// Characters to insert, delete, change or swap with their neighbour to get from one word to the other
/// (optimal string alignment).
fn mistakes(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().map(normal).collect();
    let to: Vec<char> = to.chars().map(normal).collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
    // `row[n]`: mistakes between what was read of `from` and the first `n` characters of `to`.
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = at(&row, j) + usize::from(a != b);
            let deleted = at(&row, j + 1) + 1;
            let inserted = at(&next, j) + 1;
            let swapped =
                if i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a) {
                    at(&before, j - 1) + 1
                } else {
                    usize::MAX
                };
            next.push(changed.min(deleted).min(inserted).min(swapped));
        }
        before = std::mem::replace(&mut row, next);
    }
    at(&row, to.len())
}

fn normal(character: char) -> char {
    match character {
        '-' | ' ' | '.' => '_',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_typing_mistakes() {
        assert_eq!(mistakes("kitten", "sitting"), 3);
        assert_eq!(mistakes("", "abc"), 3);
        assert_eq!(mistakes("abc", ""), 3);
        assert_eq!(mistakes("jsno", "json"), 1);
        assert_eq!(mistakes("lsietn", "listen"), 2);
        assert_eq!(mistakes("ca-file", "ca_file"), 0);
        assert_eq!(mistakes("Match", "match"), 0);
    }

    #[test]
    fn suggests_only_what_is_close() {
        let keys = ["connection_mode", "connectionless"];
        assert_eq!(closest("conection_mode", keys), Some("connection_mode"));
        assert_eq!(closest("connection-less", keys), Some("connectionless"));
        assert_eq!(closest("listen", keys), None);
    }
}
