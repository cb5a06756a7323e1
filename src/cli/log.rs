//! Where log lines go: to standard error, for the service manager to keep.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::config::{LogFormat, LogSettings};

/// Starts logging. `RUST_LOG` takes the place of the configured level if it is set. A second call changes
/// nothing.
pub fn init(settings: &LogSettings) {
    let filter = EnvFilter::builder()
        .with_default_directive(Directive::from(settings.level))
        .from_env_lossy();
    // It logs every failed verification as an error of its own; we say the same with the cause, once.
    let filter = match "rustls_platform_verifier=off".parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    };
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Whoever has set a subscriber before us, a test for one, keeps it.
    let _ = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
