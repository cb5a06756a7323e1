//! The life of the process.

use std::time::Duration;

use super::section::Section;

/// How the process behaves as a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// How long what is under way may take to finish while the gateway drains. Default: as long as the slowest
    /// route lets an origin think, and 15 s for the reply to cross the air.
    pub drain_timeout: Option<Duration>,
}

impl ServerSettings {
    pub(super) fn read(section: &Section<'_, '_>) -> Self {
        let key = "drain_timeout";
        let set = section.has(key);
        let read = section.within(key, Duration::ZERO..=LONGEST_DRAIN, Duration::ZERO);
        Self {
            drain_timeout: set.then_some(read),
        }
    }
}

/// A service manager would have lost patience long before.
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);
