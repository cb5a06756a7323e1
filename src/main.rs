//! The `wapbridge` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything can use TLS. It fails only if a provider is installed already, and none is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    wapbridge::cli::run()
}
