//! Programs by others, to compare with.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::process::Command;

/// Whether a program is installed. Without the program the test prints a line; with
/// `PEERS_REQUIRED=1` it fails.
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
