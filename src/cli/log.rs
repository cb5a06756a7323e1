//! Where log lines go: to standard error, for the service manager to keep.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{LogFormat, LogSettings};

/// Starts logging. `RUST_LOG` takes the place of the configured level if it is set; it alone reaches the
/// libraries below warnings, whose finer levels may show what travels. A second call changes nothing.
pub fn init(settings: &LogSettings) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(wanted) if !wanted.is_empty() => EnvFilter::builder().parse_lossy(wanted),
        _ => ours(settings.level),
    };
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

/// Our own lines from this level on, and the libraries' warnings. Who did what on the admin port is always told,
/// unless nothing is.
fn ours(level: LevelFilter) -> EnvFilter {
    let libraries = level.min(LevelFilter::WARN);
    let audit = match level {
        LevelFilter::OFF => level,
        level => level.max(LevelFilter::INFO),
    };
    EnvFilter::new(format!(
        "{libraries},wapbridge={level},access={level},audit={audit}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_quiet_at_any_level() {
        assert_eq!(
            ours(LevelFilter::TRACE).to_string(),
            "wapbridge=trace,access=trace,audit=trace,warn"
        );
        assert!(ours(LevelFilter::ERROR).to_string().contains("audit=info"));
        assert_eq!(
            ours(LevelFilter::OFF).max_level_hint(),
            Some(LevelFilter::OFF)
        );
    }
}
