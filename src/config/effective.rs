//! The configuration as it is in force: the file, and every default it leaves as it is.
//!
//! The defaults are those that the example file shows, which a test holds to the code. Settings whose default
//! depends on something else, or is nothing, are left out when they are not set.

use std::net::SocketAddr;

use toml::{Table, Value};

use super::listen::ListenSettings;

/// The example file, which shows every setting with its default.
const EXAMPLE: &str = include_str!("../../deploy/wapbridge.toml");

/// The sections that are nothing without a setting that has no default.
const TURNS_ON: [&str; 2] = ["records", "store"];

/// What is in force when `source` is the file. Secrets are masked.
pub(super) fn effective(source: &str) -> Table {
    let mut table: Table = source.parse().unwrap_or_default();
    let routes = defaults("[[route]]");
    table
        .entry("listen")
        .or_insert_with(|| Value::Table(listen()));
    for (section, _) in sections() {
        let Some(name) = section
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
        else {
            continue;
        };
        if name.starts_with('[') {
            continue;
        }
        // Some sections turn something on, as those within another one do: only the file can bring them.
        if TURNS_ON.contains(&name) && !table.contains_key(name) {
            continue;
        }
        let settings = match name.split_once('.') {
            Some((outer, inner)) => table.get_mut(outer).and_then(|outer| outer.get_mut(inner)),
            None => Some(
                table
                    .entry(name)
                    .or_insert_with(|| Value::Table(Table::new())),
            ),
        };
        if let Some(Value::Table(settings)) = settings {
            // Another bearer brings its own defaults, which the example does not show.
            if !settings.contains_key("bearer") {
                add(settings, defaults(section));
            }
        }
    }
    if let Some(Value::Array(all)) = table.get_mut("route") {
        for route in all {
            if let Value::Table(route) = route {
                add(route, routes.clone());
            }
        }
    }
    // An empty section says nothing.
    table.retain(|_, value| !matches!(value, Value::Table(section) if section.is_empty()));
    for (key, value) in &mut table {
        mask(key, value);
    }
    table
}

/// Where a file without `[listen]` listens: the one section that is more when it is not there.
fn listen() -> Table {
    let default = ListenSettings::default();
    let texts = |addresses: &[SocketAddr]| {
        let texts = addresses
            .iter()
            .map(|address| Value::String(address.to_string()));
        Value::Array(texts.collect())
    };
    Table::from_iter([
        (
            "connection_mode".to_owned(),
            texts(&default.connection_mode),
        ),
        ("connectionless".to_owned(), texts(&default.connectionless)),
    ])
}

fn add(settings: &mut Table, defaults: Table) {
    for (key, value) in defaults {
        settings.entry(key).or_insert(value);
    }
}

/// The sections of the example, in its order: the header and the lines below it.
fn sections() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in EXAMPLE.lines() {
        let text = line.strip_prefix("# ").unwrap_or(line).trim();
        if text.starts_with('[') && text.ends_with(']') && !text.contains(' ') {
            all.push((text, Vec::new()));
        } else if let Some((_, lines)) = all.last_mut() {
            lines.push(line);
        }
    }
    all
}

/// The defaults of a section: what is commented out there and does not say that its default is another one.
fn defaults(section: &str) -> Table {
    sections()
        .into_iter()
        .filter(|(name, _)| *name == section)
        .flat_map(|(_, lines)| lines)
        .filter_map(|line| {
            let setting = line.strip_prefix("# ")?;
            let (key, _) = setting.split_once('=')?;
            let is_key = key
                .trim()
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
            // What is said behind the value; a # within it is in quotes and has no space before it.
            let comment = setting.split_once(" # ").map_or("", |(_, comment)| comment);
            let stands = is_key && !comment.contains("default:");
            stands.then(|| setting.parse::<Table>().ok()).flatten()
        })
        .flatten()
        .collect()
}

/// Hides what must not be seen: secrets, who subscribers are, and the values of fields that routes set.
fn mask(key: &str, value: &mut Value) {
    let is_secret = ["token", "secret", "password", "subscribers"]
        .iter()
        .any(|word| key.contains(word))
        && !key.ends_with("_file")
        && !value.is_bool();
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                mask(key, value);
            }
        }
        Value::Array(values) => {
            for value in values {
                mask(key, value);
            }
        }
        Value::String(text) if is_secret => "***".clone_into(text),
        Value::String(text) if key.ends_with("_headers") => {
            if let Some((rule, _)) = text.split_once(':')
                && !rule.starts_with("rename")
            {
                *text = format!("{rule}: ***");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Settings;

    const FIVE_LINES: &str = "[[route]]\nmatch = \"http://sync.example.com/\"\n\
                              upstream = \"https://sync.internal.example:8443/\"\n";

    fn shown(source: &str) -> String {
        toml::to_string(&effective(source)).unwrap()
    }

    #[test]
    fn what_is_shown_is_what_is_in_force() {
        let text = shown(FIVE_LINES);
        for line in [
            "listen = \"127.0.0.1:9280\"",
            "max_reply = \"1MiB\"",
            "level = \"info\"",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let parse = |source: &str| Settings::parse(source, "it", Path::new("")).unwrap();
        let (short, long) = (parse(FIVE_LINES), parse(&text));
        assert_eq!(short.listen, long.listen);
        assert_eq!(short.admin, long.admin);
        assert_eq!(short.log, long.log);
        let core = |settings: &Settings| {
            let core = settings.core();
            format!(
                "{:?} {:?} {:?} {:?}",
                core.wtp, core.wsp, core.connectionless, core.limits
            )
        };
        assert_eq!(core(&short), core(&long));
        let limits = |settings: &Settings| settings.routes.iter().next().unwrap().limits;
        assert_eq!(limits(&short), limits(&long));
    }

    #[test]
    fn secrets_are_masked_and_files_are_not() {
        let more = "request_headers = [\"set X-Key: abc\", \"rename A: B\"]\n\
                    [admin]\ntoken = \"abc\"\nreads_need_token = true\n\
                    [radius]\nshared_secret = \"abc\"\nsecret_file = \"s.txt\"\n";
        let text = shown(&format!("{FIVE_LINES}{more}"));
        assert!(!text.contains("abc"), "{text}");
        for kept in [
            "s.txt",
            "set X-Key: ***",
            "rename A: B",
            "reads_need_token = true",
        ] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }
}
