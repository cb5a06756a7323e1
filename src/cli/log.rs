//! Where log lines go: to standard error, for the service manager to keep.

use crate::cli::filter;
use crate::config::{LogFormat, LogSettings};

/// Starts logging. A second call changes nothing.
pub fn init(settings: &LogSettings) {
    let json = settings.format == LogFormat::Json;
    filter::start(settings.level, json, std::io::stderr);
}
