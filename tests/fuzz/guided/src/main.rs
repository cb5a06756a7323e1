//! The targets of tests/fuzz under libFuzzer. `FUZZ_TARGET` names one.
#![no_main]

#[path = "../../targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = targets::ALL.iter().find(|(name, _)| *name == wanted);
    match found {
        Some((_, target)) => *target,
        None => {
            let names: Vec<_> = targets::ALL.iter().map(|(name, _)| *name).collect();
            eprintln!("FUZZ_TARGET is one of {}", names.join(" "));
            std::process::exit(2);
        }
    }
});

fuzz_target!(|octets: &[u8]| TARGET(octets));
