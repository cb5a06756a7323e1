//! Which log lines are kept, which the admin port may change while they are written.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::admin::LogLevel;

/// Starts writing lines of this level and above to `writer`, as JSON or as text. `RUST_LOG` takes the level's place
/// if it is set; it alone reaches the libraries below warnings, whose finer levels may show what travels.
///
/// Whoever has set a subscriber before us, a test for one, keeps it.
pub(super) fn start<W>(level: LevelFilter, json: bool, writer: W)
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
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
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

/// The level of the log, to be changed; `None` if it is not ours.
pub(super) fn level() -> Option<LogLevel> {
    LEVEL.get().cloned()
}

static LEVEL: OnceLock<LogLevel> = OnceLock::new();

/// Our own lines from this level on, and the libraries' warnings. What is done on the admin port is told at any
/// level but `off`.
fn ours(level: LevelFilter) -> EnvFilter {
    let libraries = level.min(LevelFilter::WARN);
    let audit = if level == LevelFilter::OFF {
        level
    } else {
        level.max(LevelFilter::INFO)
    };
    EnvFilter::new(format!("{libraries},wapbridge={level},audit={audit}"))
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
            "wapbridge=trace,audit=trace,warn"
        );
        assert_eq!(
            ours(LevelFilter::OFF).max_level_hint(),
            Some(LevelFilter::OFF)
        );
    }

    #[test]
    fn who_changed_what_is_told_even_when_little_is() {
        let filter = ours(LevelFilter::ERROR).to_string();
        assert!(filter.contains("audit=info"), "{filter}");
    }
}
