//! Where log lines go: to standard error, for the service manager to keep; the access log also to a file.

use std::io;

use anyhow::Context;

use crate::cli::filter;
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
    /// Starts logging. A second start in one process changes nothing but the access log.
    ///
    /// # Errors
    /// When the access log's file cannot be opened.
    pub fn start(settings: &LogSettings) -> anyhow::Result<Self> {
        let stderr = Outlet::stderr()?;
        let inlet = stderr.inlet();
        let json = settings.format == Format::Json;
        filter::start(settings.level, json, move || Lines(inlet.clone()));
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
