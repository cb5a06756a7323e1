//! "Did you mean": the known word closest to a mistyped one.

use strsim::osa_distance;

/// The candidate that needs the fewest typing corrections to become `word`, if they are few enough.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&normal(word), &normal(candidate)), candidate))
        .filter(|(count, _)| *count <= allowed)
        .min_by_key(|(count, _)| *count)
        .map(|(_, candidate)| candidate)
}

/// A word for comparison: separators count as one character, and case does not count.
fn normal(word: &str) -> String {
    word.replace(['-', ' ', '.'], "_").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_close_names() {
        let keys = ["connection_mode", "connectionless"];
        assert_eq!(closest("conection_mode", keys), Some("connection_mode"));
        assert_eq!(closest("connection-less", keys), Some("connectionless"));
        assert_eq!(closest("listen", keys), None);
        // Two swapped neighbours are one correction; case and separators are none.
        assert_eq!(closest("lsietn", ["listen"]), Some("listen"));
        assert_eq!(closest("CA-File", ["ca_file"]), Some("ca_file"));
    }
}
