//! Programs by others, to compare with.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::process::Command;

/// Whether a program is installed. Where it is not, this says so; with `PEERS_REQUIRED=1` that is a failure.
pub(crate) fn is_there(program: &str) -> bool {
    if Command::new(program).arg("-h").output().is_ok() {
        return true;
    }
    assert!(
        std::env::var("PEERS_REQUIRED").as_deref() != Ok("1"),
        "{program} is required and not installed"
    );
    eprintln!("******** SKIPPED: {program} is not installed ********");
    false
}
