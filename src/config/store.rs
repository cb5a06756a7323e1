//! `[store]`: what outlives a restart.

use std::path::{Path, PathBuf};

use super::listen::ListenSettings;
use super::section::Section;
use crate::store::Settings;
use crate::wsp::session;

/// Reads the section; without a path there is no store.
pub(super) fn read(
    section: &Section<'_, '_>,
    directory: &Path,
    listen: &ListenSettings,
    wsp: &session::Config,
) -> Option<Settings> {
    let path = section.get::<PathBuf>("path")?;
    let shards = u64::try_from(listen.shards).unwrap_or(u64::MAX);
    let per_shard = u64::try_from(wsp.max_sessions).unwrap_or(u64::MAX);
    Some(Settings {
        path: directory.join(path),
        max_age: wsp.idle_timeout + wsp.idle_timeout / 4,
        max_sessions: shards.saturating_mul(per_shard),
    })
}
