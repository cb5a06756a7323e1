//! `[store]`: state that survives a restart.

use std::path::{Path, PathBuf};

use super::section::Section;
use crate::store::Settings;
use crate::wsp::session;

/// Reads the section; without a path there is no store.
pub(super) fn read(
    section: &Section<'_, '_>,
    directory: &Path,
    wsp: &session::Config,
) -> Option<Settings> {
    let path = section.get::<PathBuf>("path")?;
    Some(Settings {
        path: directory.join(path),
        max_age: wsp.idle_timeout + wsp.idle_timeout / 4,
        max_sessions: u64::try_from(wsp.max_sessions).unwrap_or(u64::MAX),
    })
}
