//! The `wapbridge` program.

use std::process::ExitCode;

/// The system's allocator keeps what a million sessions had; this one gives it back. README.md has
/// the figures.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Before anything can use TLS. It fails only if a provider is installed already, and none is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    wapbridge::cli::run()
}
