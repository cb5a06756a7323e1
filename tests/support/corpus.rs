//! Real messages: the sessions in `fixtures/`, and the whole corpus beside the repository where it is.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::{Path, PathBuf};

/// A file of the corpus.
pub(crate) struct Sample {
    pub path: PathBuf,
    pub octets: Vec<u8>,
}

impl Sample {
    pub(crate) fn name(&self) -> String {
        let parts: Vec<_> = self
            .path
            .iter()
            .rev()
            .take(2)
            .map(|part| part.to_string_lossy())
            .collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    }

    pub(crate) fn is(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }
}

/// The sessions in the repository.
pub(crate) fn fixtures() -> Vec<Sample> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/syncml-sessions"))
}

/// A part of the full corpus, which lies beside the repository (or where `SHARED_DIR` says). Where it is
/// absent this says so; with `PEERS_REQUIRED=1` that is a failure.
pub(crate) fn shared(part: &str) -> Vec<Sample> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("SHARED_DIR").map_or(beside, PathBuf::from);
    let found = files(&shared.join("corpus").join(part));
    if found.is_empty() {
        assert!(
            std::env::var("PEERS_REQUIRED").as_deref() != Ok("1"),
            "the corpus {part} is required and not there"
        );
        eprintln!(
            "******** SKIPPED: the corpus {part} is not there; only the fixtures were read ********"
        );
    }
    found
}

fn files(directory: &Path) -> Vec<Sample> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "wbxml" || e == "xml") {
            found.push(Sample {
                octets: std::fs::read(&path).unwrap(),
                path,
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}
