//! What to log, and how.

use std::path::{Path, PathBuf};

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;

use super::section::Section;
use super::value::{Value, Wrong, one_of, text};
use crate::record::Format;

/// What to log, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Lines of this level and above are written. `debug` writes a line per transaction, `trace` one per
    /// PDU. The environment variable `RUST_LOG` overrides it. Default: `info`.
    pub level: LevelFilter,
    /// How a line looks. Default: `text`.
    pub format: Format,
    /// Where the access log goes, one line per exchange, whatever `level` says. Default: standard error.
    pub access: AccessLog,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Between the other lines.
    Stderr,
    /// Nowhere.
    Off,
    /// To a file of its own, which may be moved away and is made anew with the next SIGHUP.
    File(PathBuf),
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            format: Format::Text,
            access: AccessLog::Stderr,
        }
    }
}

impl LogSettings {
    pub(super) fn read(section: &Section<'_, '_>, directory: &Path) -> Self {
        let default = Self::default();
        Self {
            level: section.or("level", default.level),
            format: section.or("format", default.format),
            access: match section.or("access", default.access) {
                AccessLog::File(file) => AccessLog::File(directory.join(file)),
                other => other,
            },
        }
    }
}

impl Value for LevelFilter {
    const EXPECTED: &'static str = "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[
                ("off", Self::OFF),
                ("error", Self::ERROR),
                ("warn", Self::WARN),
                ("info", Self::INFO),
                ("debug", Self::DEBUG),
                ("trace", Self::TRACE),
            ],
        )
    }
}

impl Value for AccessLog {
    const EXPECTED: &'static str = "\"stderr\", \"off\" or the path of a file";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)? {
            "" => Err(Wrong::new("this is empty", "\"off\" writes none")),
            "stderr" => Ok(Self::Stderr),
            "off" => Ok(Self::Off),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl Value for Format {
    const EXPECTED: &'static str = "\"text\" or \"json\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(value, &[("text", Self::Text), ("json", Self::Json)])
    }
}
