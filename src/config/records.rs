//! Charging records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::section::Section;
use super::value::{Size, words};
use crate::record::charging::{Format, Settings, Sync};

/// `[records]`; `None` if records are off.
pub(super) fn read(section: &Section<'_, '_>, directory: &Path) -> Option<Settings> {
    let others = ["format", "rotate_size", "rotate_every", "sync", "node"];
    let said_how = others.iter().any(|key| section.has(key));
    let had_path = section.has("path");
    let path = section.get::<PathBuf>("path");
    let format = section.or("format", Format::default());
    let size = section.within(
        "rotate_size",
        Size(4 << 10)..=Size(16 << 30),
        Size(64 << 20),
    );
    let every = section.within(
        "rotate_every",
        SHORTEST..=LONGEST,
        Duration::from_secs(15 * 60),
    );
    let sync = section.or("sync", Sync::default());
    let node = section.get::<String>("node");
    if said_how && !had_path {
        section.missing(
            "path",
            "add `path = \"/var/lib/wapbridge/records/records.jsonl\"`, or remove the section: no records are kept",
        );
    }
    let Some(path) = path else {
        section.without_effect();
        return None;
    };
    let path = directory.join(path);
    let node = node.unwrap_or_else(host);
    Some(Settings {
        path,
        format,
        rotate_size: size.0 as u64,
        rotate_every: every,
        sync,
        node,
    })
}

/// The host's name.
pub(crate) fn host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name.into_owned()
    }
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

words!(
    Format,
    "\"json\" or \"csv\"",
    [("json", Self::Json), ("csv", Self::Csv)]
);

words!(
    Sync,
    "\"closed\", \"always\" or \"never\"",
    [
        ("closed", Self::Closed),
        ("always", Self::Always),
        ("never", Self::Never),
    ]
);
