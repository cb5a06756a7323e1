//! The store's file: opened, begun, and named when it is damaged.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::Database;
use redb::backends::FileBackend;

use super::Settings;
use super::error::OpenError;
use super::sessions::Sessions;
use super::tables::{Change, Table, Tables};
use super::watch::FileWatch;
use crate::wsp::log_id::{KEY_LEN, LogIds};

/// A store's file, opened.
pub(super) struct Opened {
    pub(super) tables: Tables,
    pub(super) sessions: Sessions,
    pub(super) watch: FileWatch,
}

/// Opens the file and begins a start.
pub(super) fn open(path: &Path, settings: &Settings) -> Result<Opened, OpenError> {
    let (database, file) = database(path)?;
    let mut tables = Tables::new(database);
    let other = |error| OpenError::other(path, error);
    let format = tables.get(META, FORMAT).map_err(other)?;
    if format.is_some_and(|format| format != OURS) {
        return Err(OpenError::later(path));
    }
    tables.change(Change::put(META, FORMAT, OURS));
    let sessions =
        Sessions::begin(&mut tables, settings.max_age, settings.max_sessions).map_err(other)?;
    let watch = FileWatch::new(path, file).map_err(|error| OpenError::io(path, error))?;
    Ok(Opened {
        tables,
        sessions,
        watch,
    })
}

/// The database of a file, and the file itself.
pub(super) fn database(path: &Path) -> Result<(Database, File), OpenError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| OpenError::io(path, error))?;
    let watched = file
        .try_clone()
        .map_err(|error| OpenError::io(path, error))?;
    let backend = FileBackend::new(file).map_err(|error| OpenError::database(path, error))?;
    let database = Database::builder()
        .set_cache_size(CACHE)
        // A file that another program changed is an error here. Without this check redb would panic
        // later.
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(|error| OpenError::database(path, error))?;
    Ok((database, watched))
}

/// The log ids of sessions, and their key in the file. A file without a key gets one.
pub(super) fn names(
    path: &Path,
    tables: &mut Tables,
) -> Result<(LogIds, [u8; KEY_LEN]), OpenError> {
    let known = tables.get(META, NAMES_KEY);
    let known = known.map_err(|error| OpenError::other(path, error))?;
    if let Some(key) = known.and_then(|key| <[u8; KEY_LEN]>::try_from(key).ok()) {
        return Ok((LogIds::new(&key), key));
    }
    let mut key = [0; KEY_LEN];
    getrandom::fill(&mut key).map_err(|error| OpenError::io(path, std::io::Error::other(error)))?;
    tables.change(Change::put(META, NAMES_KEY, key));
    Ok((LogIds::new(&key), key))
}

/// The new path of a damaged file.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    path.with_file_name(name)
}

/// Octets of the file kept in memory.
const CACHE: usize = 32 << 20;

pub(super) const META: Table = Table("meta");
/// In META: the format of the tables.
pub(super) const FORMAT: &[u8] = b"format";
pub(super) const OURS: &[u8] = &[1];
/// In META: the key under which sessions have names.
pub(super) const NAMES_KEY: &[u8] = b"session names";
