//! Errors when a store is opened, with a remedy for each.

use std::io;
use std::path::{Path, PathBuf};

use redb::{DatabaseError, StorageError};

/// The reason why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store {}: {why}", .path.display())]
pub struct OpenError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("another process has it open (stop that one, or give each its own `path` in [store])")]
    Taken,
    #[error(
        "it is damaged, or no store of ours: {0} (move it away; wapbridge then starts with an empty one, and \
         handsets connect anew)"
    )]
    Damaged(String),
    #[error(
        "it is of a later version of wapbridge (start that version, or move the file away; handsets then \
         connect anew)"
    )]
    Later,
    #[error("{error}{}", hint(.error))]
    Io { error: io::Error },
}

impl OpenError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        let why = match error.kind() {
            // The errors of redb for a file that is not a redb file.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Why::Damaged(error.to_string())
            }
            _ => Why::Io { error },
        };
        Self::new(path, why)
    }

    pub(super) fn later(path: &Path) -> Self {
        Self::new(path, Why::Later)
    }

    pub(super) fn database(path: &Path, error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::new(path, Why::Taken),
            DatabaseError::Storage(StorageError::Io(error)) => Self::io(path, error),
            other => Self::new(path, Why::Damaged(other.to_string())),
        }
    }

    pub(super) fn other(path: &Path, error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => Self::io(path, error),
            other => Self::new(path, Why::Damaged(other.to_string())),
        }
    }

    fn new(path: &Path, why: Why) -> Self {
        let path = path.to_owned();
        Self { path, why }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            " (make its directory first; under systemd, StateDirectory=wapbridge makes /var/lib/wapbridge)"
        }
        io::ErrorKind::PermissionDenied => {
            " (its directory and the file must be writable for the user wapbridge runs as)"
        }
        io::ErrorKind::StorageFull => " (make room on that file system)",
        _ => "",
    }
}
