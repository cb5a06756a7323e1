//! Warnings of files that `wapbridge serve` cannot write or refuses.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Advice, Note};
use crate::config::{AccessLog, mask};
use crate::store::Settings;

impl Advice<'_> {
    /// Files that `serve` could not write.
    pub(super) fn files(&mut self) {
        let mut files: Vec<(&str, &str, PathBuf, bool)> = Vec::new();
        if let Some(records) = &self.settings.records {
            files.push(("[records]", "path", records.path.clone(), true));
        }
        let store = self.settings.store.as_ref().and_then(Settings::file);
        if let Some(path) = store {
            files.push(("[store]", "path", path.to_owned(), false));
        }
        if let AccessLog::File(path) = &self.settings.log.access {
            files.push(("[log]", "access", path.clone(), false));
        }
        for (section, key, path, makes_directory) in files {
            let Some(why) = unwritable(&path, makes_directory) else {
                continue;
            };
            self.add(Note {
                section,
                nth: None,
                key,
                title: format!("{section} {key}: {} cannot be written", mask::file(&path)),
                label: why,
                help: "make the directory, writable for the user that wapbridge runs as; under systemd \
                       StateDirectory= and LogsDirectory= do"
                    .to_owned(),
            });
        }
        if let Some(path) = store
            && let Some(why) = no_store(path)
        {
            let path = mask::file(path);
            self.add(Note {
                section: "[store]",
                nth: None,
                key: "path",
                title: format!("{path} is no store, and `wapbridge serve` refuses it"),
                label: why.to_owned(),
                help: "name another file, or move this one away".to_owned(),
            });
        }
    }
}

/// The reason why this user cannot write or create a file.
fn unwritable(path: &Path, makes_directory: bool) -> Option<String> {
    match path.metadata() {
        Ok(file) if file.is_dir() => return Some("this is a directory".to_owned()),
        Ok(_) => {
            let write = access(path, Access::WRITE_OK);
            return write.err().map(|error| error.to_string());
        }
        Err(_) => {}
    }
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut directory = parent(path);
    while makes_directory && !directory.exists() && directory != Path::new(".") {
        directory = parent(&directory);
    }
    let name = mask::file(&directory);
    match directory.metadata() {
        Err(error) => Some(format!("{name}: {error}")),
        Ok(found) if !found.is_dir() => Some(format!("{name} is no directory")),
        Ok(found) => {
            let write = access(&directory, Access::WRITE_OK | Access::EXEC_OK);
            write
                .err()
                .map(|error| format!("{name}: {error}{}", owner(&found)))
        }
    }
}

fn owner(directory: &Metadata) -> String {
    format!(
        " (it belongs to user {}, mode {:o})",
        directory.uid(),
        directory.mode() & 0o7777
    )
}

/// The reason why an existing file is no store.
fn no_store(path: &Path) -> Option<&'static str> {
    let head = {
        use std::io::Read;
        let mut head = [0; STORE_MAGIC.len()];
        let mut file = std::fs::File::open(path).ok()?;
        if file.metadata().ok()?.len() == 0 {
            return None;
        }
        file.read_exact(&mut head).map(|()| head)
    };
    match head {
        Ok(head) if head == *STORE_MAGIC => None,
        _ => Some("it does not begin as a store does"),
    }
}

/// The first octets of a store's file.
const STORE_MAGIC: &[u8; 4] = b"redb";
