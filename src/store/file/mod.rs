//! The store in a file: opened, begun, and named when it is damaged. One thread writes it in batches.

mod error;
mod sessions;
mod tables;
#[cfg(test)]
mod tests;
mod watch;
mod worker;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;
use redb::backends::FileBackend;
use tracing::info;

pub use self::error::OpenError;
use self::sessions::Sessions;
use self::tables::Tables;
use self::watch::FileWatch;
pub use self::worker::COMMIT_INTERVAL;
use self::worker::StoreWorker;
use super::Limits;
use super::change::{Change, Table};
use super::message::{Counts, Message};
use crate::worker::{Inbox, Worker};
use crate::wsp::log_id::{KEY_LEN, LogIds};

/// Opens the file, or makes it, and starts the thread that writes it. Returns the thread, and the
/// log ids of sessions.
pub(super) fn start(
    path: &Path,
    limits: Limits,
    queue: (crate::worker::Handle<Message>, Inbox<Message>),
    counts: &Arc<Counts>,
) -> Result<(Worker<Message>, LogIds), OpenError> {
    let mut opened = open(path, limits)?;
    let (names, key) = names(path, &mut opened.tables)?;
    // A file that cannot be written is an error now, not with the first session.
    opened
        .tables
        .commit()
        .map_err(|error| OpenError::other(path, error))?;
    opened.watch.written();
    info!(path = %path.display(), sessions = opened.sessions.held(), "store opened");
    let worker = StoreWorker::new(path.to_owned(), limits, key, opened, Arc::clone(counts));
    let worker = Worker::start("store", queue, move |inbox| worker.run(&inbox))
        .map_err(|error| OpenError::io(path, error))?;
    Ok((worker, names))
}

/// A store's file, opened.
struct Opened {
    tables: Tables,
    sessions: Sessions,
    watch: FileWatch,
}

/// Opens the file and begins a start.
fn open(path: &Path, limits: Limits) -> Result<Opened, OpenError> {
    let (database, file) = database(path)?;
    let mut tables = Tables::new(database);
    let other = |error| OpenError::other(path, error);
    let format = tables.get(META, FORMAT).map_err(other)?;
    if format.is_some_and(|format| format != OURS) {
        return Err(OpenError::later(path));
    }
    tables.change(Change::put(META, FORMAT, OURS));
    let sessions =
        Sessions::begin(&mut tables, limits.max_age, limits.max_sessions).map_err(other)?;
    let watch = FileWatch::new(path, file).map_err(|error| OpenError::io(path, error))?;
    Ok(Opened {
        tables,
        sessions,
        watch,
    })
}

/// The database of a file, and the file itself.
fn database(path: &Path) -> Result<(Database, File), OpenError> {
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
fn names(path: &Path, tables: &mut Tables) -> Result<(LogIds, [u8; KEY_LEN]), OpenError> {
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
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    path.with_file_name(name)
}

/// Octets of the file kept in memory.
const CACHE: usize = 32 << 20;

const META: Table = Table("meta");
/// In META: the format of the tables.
const FORMAT: &[u8] = b"format";
const OURS: &[u8] = &[1];
/// In META: the key under which sessions have names.
const NAMES_KEY: &[u8] = b"session names";
