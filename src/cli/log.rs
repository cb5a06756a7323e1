//! Where log lines go: to standard error, for the service manager to keep; the access log also to a file.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{AccessLog, LogSettings};
use crate::record::{Format, Inlet, Outlet};

/// The program's log. Dropping it writes what is still on its way.
#[derive(Debug)]
pub struct Log {
    _stderr: Outlet,
    /// The access log's own file, if it has one.
    _file: Option<Outlet>,
    places: Places,
}

/// Where lines go. Clones lead to the same places.
#[derive(Clone, Debug)]
pub struct Places {
    access: Option<(Format, Inlet)>,
    all: Vec<Inlet>,
}

impl Log {
    /// Starts logging. `RUST_LOG` takes the place of the configured level if it is set; it alone reaches the
    /// libraries below warnings, whose finer levels may show what travels. A second start in one process changes
    /// nothing but the access log.
    ///
    /// # Errors
    /// When the access log's file cannot be opened.
    pub fn start(settings: &LogSettings) -> anyhow::Result<Self> {
        let stderr = Outlet::stderr()?;
        let filter = match std::env::var("RUST_LOG") {
            Ok(wanted) if !wanted.is_empty() => EnvFilter::builder().parse_lossy(wanted),
            _ => ours(settings.level),
        };
        // It logs every failed verification as an error of its own; we say the same with the cause, once.
        let filter = match "rustls_platform_verifier=off".parse() {
            Ok(quiet) => filter.add_directive(quiet),
            Err(_) => filter,
        };
        let colours = io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let inlet = stderr.inlet();
        let builder = tracing_subscriber::fmt()
            .with_ansi(colours)
            .with_env_filter(filter)
            .with_writer(move || Lines(inlet.clone()));
        // Whoever has set a subscriber before us, a test for one, keeps it.
        let _ = match settings.format {
            Format::Text => builder.try_init(),
            Format::Json => builder.json().flatten_event(true).try_init(),
        };
        let mut all = vec![stderr.inlet()];
        let file = match &settings.access {
            AccessLog::File(path) => Some(Outlet::file(path).with_context(|| {
                let path = path.display();
                format!("[log]: cannot write the access log to {path}: name a file in a directory that is there and ours")
            })?),
            AccessLog::Stderr | AccessLog::Off => None,
        };
        let access = match settings.access {
            AccessLog::Off => None,
            AccessLog::Stderr | AccessLog::File(_) => {
                let outlet = file.as_ref().unwrap_or(&stderr);
                Some((settings.format, outlet.inlet()))
            }
        };
        all.extend(file.as_ref().map(Outlet::inlet));
        Ok(Self {
            _stderr: stderr,
            _file: file,
            places: Places { access, all },
        })
    }

    /// The places lines go to.
    #[must_use]
    pub fn places(&self) -> Places {
        self.places.clone()
    }
}

impl Places {
    /// Where the shards write their access log.
    #[must_use]
    pub fn access(&self) -> Option<(Format, Inlet)> {
        self.access.clone()
    }

    /// Opens files anew: somebody has moved the old ones away.
    pub fn reopen(&self) {
        self.all.iter().for_each(Inlet::reopen);
    }

    /// Lines lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.all.iter().map(Inlet::lost).sum()
    }
}

/// One event at a time, handed over as a line.
struct Lines(Inlet);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.offer(&mut line.to_vec(), 1);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Our own lines from this level on, and the libraries' warnings. Who did what on the admin port is always told,
/// unless nothing is.
fn ours(level: LevelFilter) -> EnvFilter {
    let libraries = level.min(LevelFilter::WARN);
    let audit = match level {
        LevelFilter::OFF => level,
        level => level.max(LevelFilter::INFO),
    };
    EnvFilter::new(format!("{libraries},wapbridge={level},audit={audit}"))
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
        assert!(ours(LevelFilter::ERROR).to_string().contains("audit=info"));
        assert_eq!(
            ours(LevelFilter::OFF).max_level_hint(),
            Some(LevelFilter::OFF)
        );
    }
}
