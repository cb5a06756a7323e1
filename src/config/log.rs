//! `[log]`: level, format and the access log.

use std::path::{Path, PathBuf};

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;

use super::section::Section;
use super::value::{Value, Wrong, string, text, words};
use crate::record::Format;

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Lines of this level and above are written. `debug` writes a line per transaction, `trace`
    /// one per PDU. The environment variable `RUST_LOG` overrides it. Default: `info`.
    pub level: LevelFilter,
    /// The format of a line. Default: `text`.
    pub format: Format,
    /// The output of the access log, one line per exchange, at any `level`. Default: standard
    /// error.
    pub access: AccessLog,
}

/// The output of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard error, between the other lines.
    Stderr,
    /// No access log.
    Off,
    /// A file of its own. After log rotation the next SIGHUP creates it again.
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

words!(
    LevelFilter,
    "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
    [
        ("off", Self::OFF),
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ]
);

impl Value for AccessLog {
    const EXPECTED: &'static str = "\"stderr\", \"off\" or the path of a file";

    fn show(&self) -> toml::Value {
        match self {
            Self::Stderr => string("stderr"),
            Self::Off => string("off"),
            Self::File(path) => path.show(),
        }
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)? {
            "" => Err(Wrong::new("this is empty", "\"off\" writes none")),
            "stderr" => Ok(Self::Stderr),
            "off" => Ok(Self::Off),
            _ => PathBuf::read(value).map(Self::File),
        }
    }
}

words!(
    Format,
    "\"text\" or \"json\"",
    [("text", Self::Text), ("json", Self::Json)]
);
