//! `[log]`: level, format and the access log.

use std::path::{Path, PathBuf};

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;

use super::section::Section;
use super::value::{Value, Wrong, string, text, words};
use crate::record::{Format, Syslog};

/// The prefix of a syslog server.
const SYSLOG: &str = "syslog:";

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
    /// Of exchanges with a status below 400 that reached their handset, each shard logs one in so
    /// many. All others are logged. Default: 1, which means all.
    pub access_sample: u32,
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
    /// A syslog server, with one datagram for each line.
    Syslog(Syslog),
    /// The journal of systemd, with a field for each field of a line, such as `WAPBRIDGE_STATUS`.
    Journald,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            format: Format::Text,
            access: AccessLog::Stderr,
            access_sample: 1,
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
            access_sample: section.within("access_sample", 1..=1_000_000, default.access_sample),
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
    const EXPECTED: &'static str =
        "\"stderr\", \"off\", \"journald\", \"syslog:server=ADDRESS\" or the path of a file";

    fn show(&self) -> toml::Value {
        match self {
            Self::Stderr => string("stderr"),
            Self::Off => string("off"),
            Self::File(path) => path.show(),
            Self::Syslog(syslog) => string(syslog.to_string()),
            Self::Journald => string("journald"),
        }
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)? {
            "" => Err(Wrong::new("this is empty", "\"off\" writes none")),
            "stderr" => Ok(Self::Stderr),
            "off" => Ok(Self::Off),
            "journald" => Ok(Self::Journald),
            other if other.starts_with(SYSLOG) => {
                let syslog = other.split_at(SYSLOG.len()).1.parse();
                let wrong = |why: String| Wrong::new("this names no syslog server", why);
                syslog.map(Self::Syslog).map_err(wrong)
            }
            _ => PathBuf::read(value).map(Self::File),
        }
    }
}

words!(
    Format,
    "\"text\" or \"json\"",
    [("text", Self::Text), ("json", Self::Json)]
);
