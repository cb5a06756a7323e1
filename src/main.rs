//! The `wapbridge` program.

use std::process::ExitCode;

/// Another allocator than the system's, for who builds with the feature; README.md says what it brings.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything can use TLS. It fails only if a provider is installed already, and none is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    wapbridge::cli::run()
}
