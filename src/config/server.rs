//! The life of the process.

use std::time::Duration;

use super::section::Section;

/// Settings of the process as a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// Time for running exchanges to finish while the gateway drains. Default: the longest timeout
    /// of a route, and 15 s for the reply to reach the handset.
    pub drain_timeout: Option<Duration>,
    /// The interval at which the configuration and its included files are looked at. A change is
    /// loaded once two looks in a row have found the same text. Default: no look.
    pub watch: Option<Duration>,
}

impl ServerSettings {
    pub(super) fn read(section: &Section<'_, '_>) -> Self {
        Self {
            drain_timeout: section.optional("drain_timeout", Duration::ZERO..=LONGEST_DRAIN),
            watch: section.optional("watch", SHORTEST_WATCH..=LONGEST_WATCH),
        }
    }
}

/// The longest drain. Service managers wait less.
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);
/// The files are small, and read whole.
const SHORTEST_WATCH: Duration = Duration::from_millis(100);
const LONGEST_WATCH: Duration = Duration::from_secs(3600);
