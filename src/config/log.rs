//! What to log, and how.

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;

use super::section::Section;
use super::value::{Value, Wrong, one_of};

/// What to log, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Lines of this level and above are written. `debug` writes a line per transaction, `trace` one per
    /// PDU. The environment variable `RUST_LOG` overrides it. Default: `info`.
    pub level: LevelFilter,
    /// How a line looks. Default: `text`.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            format: LogFormat::Text,
        }
    }
}

impl LogSettings {
    pub(super) fn read(section: &Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            level: section.or("level", default.level),
            format: section.or("format", default.format),
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

impl Value for LogFormat {
    const EXPECTED: &'static str = "\"text\" or \"json\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(value, &[("text", Self::Text), ("json", Self::Json)])
    }
}
