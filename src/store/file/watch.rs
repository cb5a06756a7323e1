//! Detects changes of the store's file by other programs.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A change of the file by another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Interference {
    /// Its name is gone. The octets are there for as long as the file is open.
    #[error("was deleted or moved away")]
    Deleted,
    /// Its name is that of another file now. The octets are there for as long as the file is open.
    #[error("was replaced by another file")]
    Replaced,
    /// The file was truncated or overwritten, and its contents are lost.
    #[error("was truncated or overwritten")]
    Changed,
    /// Its time of change is not that of our latest write: it may have been overwritten.
    #[error("was touched")]
    Touched,
}

/// Compares a file with its state after our latest write.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    file: File,
    /// Length and time of change after our latest write.
    seen: (u64, i64, i64),
}

impl FileWatch {
    /// Watches an open file and its name.
    pub(super) fn new(path: &Path, file: File) -> io::Result<Self> {
        let seen = state(&file.metadata()?);
        let path = path.to_owned();
        Ok(Self { path, file, seen })
    }

    /// Takes the present state of the file as our own write.
    pub(super) fn written(&mut self) {
        if let Ok(metadata) = self.file.metadata() {
            self.seen = state(&metadata);
        }
    }

    /// Looks at the file and its name. This costs two system calls.
    pub(super) fn check(&self) -> Result<(), Interference> {
        let Ok(open) = self.file.metadata() else {
            return Ok(());
        };
        let ((len, ..), now) = (self.seen, state(&open));
        if open.len() != len {
            return Err(Interference::Changed);
        }
        if now != self.seen {
            return Err(Interference::Touched);
        }
        match std::fs::metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (open.dev(), open.ino()) => Ok(()),
            Ok(_) => Err(Interference::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Interference::Deleted),
            // The directory cannot be read now, which is no evidence about the file.
            Err(_) => Ok(()),
        }
    }
}

fn state(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn every_kind_of_interference_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let open = || {
            std::fs::write(&path, "octets").unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            (
                FileWatch::new(&path, file.try_clone().unwrap()).unwrap(),
                file,
            )
        };
        let (mut watch, mut file) = open();
        assert_eq!(watch.check(), Ok(()));
        file.write_all(b"ours, and longer").unwrap();
        watch.written();
        assert_eq!(watch.check(), Ok(()));
        std::fs::rename(&path, directory.path().join("moved")).unwrap();
        assert_eq!(watch.check(), Err(Interference::Deleted));
        std::fs::write(&path, "octets").unwrap();
        assert_eq!(watch.check(), Err(Interference::Replaced));

        let (watch, _file) = open();
        File::create(&path).unwrap();
        assert_eq!(watch.check(), Err(Interference::Changed));
        let (watch, _file) = open();
        // The clock of the file system ticks every few milliseconds.
        while watch.check().is_ok() {
            std::fs::write(&path, "OCTETS").unwrap();
        }
        assert_eq!(watch.check(), Err(Interference::Touched));
    }
}
