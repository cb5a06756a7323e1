//! Settings that a running gateway cannot change: only the next start reads them.
//!
//! `wapbridge serve` names the changed ones after a reload, `wapbridge check --diff` before one.
//! Both ask the same rows.

use toml::{Table, Value};

use super::Settings;

/// A setting, or a section, that needs a restart.
struct Row {
    /// The setting as operators write it.
    setting: &'static str,
    /// The keys that lead to it from the root of the file.
    path: &'static [&'static str],
}

const ROWS: [Row; 21] = [
    Row::new("[listen]", &["listen"]),
    Row::new("[http]", &["http"]),
    Row::new("[admin] listen", &["admin", "listen"]),
    Row::new("[admin] probes", &["admin", "probes"]),
    Row::new("[log]", &["log"]),
    Row::new("[tracing] endpoint", &["tracing", "endpoint"]),
    Row::new("[tracing] headers_file", &["tracing", "headers_file"]),
    Row::new("[tracing] timeout", &["tracing", "timeout"]),
    Row::new("[tracing] max_queued", &["tracing", "max_queued"]),
    Row::new("[records]", &["records"]),
    Row::new("[store]", &["store"]),
    Row::new("[cluster]", &["cluster"]),
    Row::new("[push] listen", &["push", "listen"]),
    Row::new("[push] certificate", &["push", "certificate"]),
    Row::new("[push] key", &["push", "key"]),
    Row::new("[push] client_ca_file", &["push", "client_ca_file"]),
    Row::new("[push] max_request", &["push", "max_request"]),
    Row::new("[push] max_connections", &["push", "max_connections"]),
    Row::new("[push] request_timeout", &["push", "request_timeout"]),
    Row::new("[push] max_recipients", &["push", "max_recipients"]),
    Row::new(
        "[identity.radius] listen",
        &["identity", "radius", "listen"],
    ),
];

/// `[[smsc]]` has passwords, which the document masks. So the settings themselves are compared.
const CENTRES: Row = Row::new("[[smsc]]", &["smsc"]);

impl Row {
    const fn new(setting: &'static str, path: &'static [&'static str]) -> Self {
        Self { setting, path }
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain([&CENTRES])
}

/// Whether the setting at the end of `path`, the keys from the root of the file, needs a restart.
#[must_use]
pub fn needs_restart(path: &[&str]) -> bool {
    rows().any(|row| path.starts_with(row.path))
}

impl Settings {
    /// The settings that differ from those of the running gateway's start and need a restart, as
    /// operators write them. Contents of files are not compared.
    #[must_use]
    pub fn needing_a_restart(&self, started_with: &Self) -> Vec<&'static str> {
        let changed = rows().filter(|row| {
            let document = |settings: &Self| value(&settings.document, row.path).cloned();
            let is_masked = row.path == CENTRES.path;
            document(self) != document(started_with) || is_masked && self.smsc != started_with.smsc
        });
        changed.map(|row| row.setting).collect()
    }

    /// These settings after a reload of a gateway with other settings at its start. Serialized,
    /// they show the settings in force: those that need a restart have the values of the start.
    #[must_use]
    pub fn reloaded(mut self, started_with: &Self) -> Self {
        for row in rows() {
            set(
                &mut self.document,
                row.path,
                value(&started_with.document, row.path),
            );
        }
        self
    }
}

/// The value at the end of a path.
fn value<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (key, rest) = path.split_first()?;
    let found = table.get(*key)?;
    match rest {
        [] => Some(found),
        rest => value(found.as_table()?, rest),
    }
}

/// Sets the value at the end of a path, or removes it.
fn set(table: &mut Table, path: &[&str], new: Option<&Value>) {
    match (path, new) {
        ([], _) => {}
        ([key], None) => drop(table.remove(*key)),
        ([key], Some(new)) => drop(table.insert((*key).to_owned(), new.clone())),
        ([key, ..], None) if !table.contains_key(*key) => {}
        ([key, rest @ ..], new) => {
            let below = table
                .entry((*key).to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Some(below) = below.as_table_mut() {
                set(below, rest, new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(more: &str) -> Settings {
        let source = format!(
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://b.example/\"\n{more}"
        );
        Settings::parse(&source, "wapbridge.toml", Path::new("."))
            .unwrap_or_else(|report| panic!("{report}"))
    }

    fn pushes(more: &str) -> String {
        format!(
            "[push]\nlisten = \"127.0.0.1:0\"\n{more}\n[[push.initiator]]\nname = \"a\"\n\
             networks = [\"127.0.0.0/8\"]\ntargets = \"*\"\n"
        )
    }

    #[test]
    fn limits_of_the_listener_for_initiators_need_a_restart() {
        let before = settings(&pushes(""));
        for (change, setting) in [
            ("max_request = \"2MiB\"", "[push] max_request"),
            ("max_connections = 7", "[push] max_connections"),
            ("request_timeout = \"7s\"", "[push] request_timeout"),
            ("max_recipients = 7", "[push] max_recipients"),
        ] {
            let after = settings(&pushes(change));
            assert_eq!(after.needing_a_restart(&before), [setting]);
        }
        let after = settings(&pushes("max_pushes = 7"));
        assert!(after.needing_a_restart(&before).is_empty());
        assert!(before.needing_a_restart(&before).is_empty());
    }

    #[test]
    fn the_limits_of_the_store_need_no_restart_and_its_file_does() {
        let store = "[store]\npath = \"state.redb\"\n";
        let before = settings(store);
        for change in ["[wsp]\nidle_timeout = \"3h\"", "[limits]\nmax_sessions = 7"] {
            let after = settings(&format!("{store}{change}\n"));
            assert_ne!(after.store, before.store);
            assert!(after.needing_a_restart(&before).is_empty(), "{change}");
        }
        let after = settings("[store]\npath = \"other.redb\"\n");
        assert_eq!(after.needing_a_restart(&before), ["[store]"]);
        assert_eq!(settings("").needing_a_restart(&before), ["[store]"]);
    }

    #[test]
    fn a_changed_password_of_a_centre_needs_a_restart() {
        let centre = |password: &str| {
            settings(&format!(
                "[[smsc]]\naddress = \"127.0.0.1:2775\"\nsystem_id = \"a\"\npassword = \"{password}\"\n"
            ))
        };
        assert_eq!(centre("b").needing_a_restart(&centre("a")), ["[[smsc]]"]);
        assert!(centre("a").needing_a_restart(&centre("a")).is_empty());
    }

    #[test]
    fn after_a_reload_settings_that_need_a_restart_show_the_values_of_the_start() {
        let listen = "[listen]\nconnection_mode = \"127.0.0.1:0\"\n";
        let start = settings(&format!(
            "{listen}shards = 1\n[wsp]\nidle_timeout = \"1h\"\n"
        ));
        let radius = "[identity.radius]\nlisten = \"127.0.0.1:0\"\n\
            [[identity.radius.client]]\nnetwork = \"127.0.0.0/8\"\nsecret = \"a\"\n";
        let file = settings(&format!(
            "{listen}shards = 2\n[wsp]\nidle_timeout = \"2h\"\n{radius}"
        ));
        let shown = Table::try_from(file.reloaded(&start)).unwrap();
        let listen = value(&shown, &["listen"]);
        assert_eq!(listen, value(&start.document, &["listen"]));
        let idle = value(&shown, &["wsp", "idle_timeout"]);
        assert_ne!(idle, value(&start.document, &["wsp", "idle_timeout"]));
        let radius = |key| value(&shown, &["identity", "radius", key]);
        assert_eq!(radius("listen"), None, "there was none at the start");
        assert!(radius("client").is_some());
    }

    #[test]
    fn a_path_of_keys_tells_whether_its_setting_needs_a_restart() {
        for path in [
            &["listen", "shards"][..],
            &["admin", "listen"],
            &["smsc", "rate"],
            &["identity", "radius", "listen"],
        ] {
            assert!(needs_restart(path), "{path:?}");
        }
        for path in [
            &["admin", "token"][..],
            &["push", "initiator", "max_pushes"],
            &["identity", "radius", "client", "network"],
            &["limits", "max_sessions"],
        ] {
            assert!(!needs_restart(path), "{path:?}");
        }
    }
}
