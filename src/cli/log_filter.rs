//! The filter of log lines. The admin port can change it at run time.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::admin::LogLevel;

/// Writes events of this level and above to `writer`, as JSON or as text. `RUST_LOG` replaces the
/// level if it is set. Only `RUST_LOG` enables the libraries' levels below warnings, which may show
/// the contents of connections.
///
/// A subscriber that was set earlier, such as a test's, stays in place.
pub(super) fn start<W>(level: LevelFilter, json: bool, colours: bool, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (shown, filter) = match std::env::var("RUST_LOG") {
        Ok(wanted) if !wanted.is_empty() => {
            let filter = EnvFilter::builder().parse_lossy(&wanted);
            (wanted, filter)
        }
        _ => (level.to_string(), ours(level)),
    };
    let builder = tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_writer(writer);
    let level = if json {
        let builder = builder.json().flatten_event(true);
        let builder = builder
            .with_env_filter(quieted(filter))
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let set = move |level| handle.reload(quieted(ours(level))).is_ok();
        builder.try_init().map(|()| LogLevel::new(shown, set))
    } else {
        let builder = builder
            .with_env_filter(quieted(filter))
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let set = move |level| handle.reload(quieted(ours(level))).is_ok();
        builder.try_init().map(|()| LogLevel::new(shown, set))
    };
    if let Ok(level) = level {
        let _ = LEVEL.set(level);
    }
}

/// Whether lines on standard error have colours: on a terminal, unless `NO_COLOR` is set.
pub(super) fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The level of the log, for changes; `None` if another subscriber is in place.
pub(super) fn level() -> Option<LogLevel> {
    LEVEL.get().cloned()
}

static LEVEL: OnceLock<LogLevel> = OnceLock::new();

/// Our own events from this level on, and the libraries' warnings. Actions on the admin port are
/// logged at every level except `off`.
fn ours(level: LevelFilter) -> EnvFilter {
    let libraries = level.min(LevelFilter::WARN);
    let audit = if level == LevelFilter::OFF {
        level
    } else {
        level.max(LevelFilter::INFO)
    };
    // Deliveries of pushes are logged as `access`.
    EnvFilter::new(format!(
        "{libraries},wapbridge={level},access={level},audit={audit}"
    ))
}

/// It logs every failed verification as an error of its own; we say the same with the cause, once.
fn quieted(filter: EnvFilter) -> EnvFilter {
    match "rustls_platform_verifier=off".parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    }
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
        assert_eq!(
            ours(LevelFilter::OFF).max_level_hint(),
            Some(LevelFilter::OFF)
        );
    }

    #[test]
    fn changes_are_logged_at_every_level() {
        let filter = ours(LevelFilter::ERROR).to_string();
        assert!(filter.contains("audit=info"), "{filter}");
    }
}
