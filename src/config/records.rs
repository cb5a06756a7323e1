//! Charging records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::section::Section;
use super::value::{Size, Value, Wrong, one_of};
use crate::record::charging::{Format, Settings, Sync};

/// `[records]`; `None` if no records are kept.
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
    let path = directory.join(path?);
    Some(Settings {
        path,
        format,
        rotate_size: size.0 as u64,
        rotate_every: every,
        sync,
        node: node.unwrap_or_else(host),
    })
}

/// The host's name.
fn host() -> String {
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

impl Value for Format {
    const EXPECTED: &'static str = "\"json\" or \"csv\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(value, &[("json", Self::Json), ("csv", Self::Csv)])
    }
}

impl Value for Sync {
    const EXPECTED: &'static str = "\"closed\", \"always\" or \"never\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[
                ("closed", Self::Closed),
                ("always", Self::Always),
                ("never", Self::Never),
            ],
        )
    }
}
