//! The tables in the operators' book are made here, from what the program says of itself; the copies in the book are
//! held to that. `WAPBRIDGE_DOCUMENTS=write cargo test --test house documents` writes them anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use wapbridge::config::Settings;

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Holds the part of OPERATIONS.md between the marks of `name` to `fresh`, or writes it.
fn hold(name: &str, fresh: &str) {
    let file = path("deploy/OPERATIONS.md");
    let book = std::fs::read_to_string(&file).unwrap();
    let open = format!("<!-- generated: {name} -->\n");
    let (before, rest) = book.split_once(&open).expect("the mark is there");
    let (shown, after) = rest.split_once("<!-- end -->").expect("the mark is closed");
    let fresh = format!("\n{}\n\n", fresh.trim());
    if shown == fresh {
        return;
    }
    let wanted = std::env::var("WAPBRIDGE_DOCUMENTS");
    assert!(
        wanted.is_ok_and(|wanted| wanted == "write"),
        "the table `{name}` in deploy/OPERATIONS.md is stale; \
         `WAPBRIDGE_DOCUMENTS=write cargo test --test house documents` writes it"
    );
    std::fs::write(file, format!("{before}{open}{fresh}<!-- end -->{after}")).unwrap();
}

/// Holds a whole file to `fresh`, or writes it.
pub(crate) fn hold_file(name: &str, fresh: &str) {
    let file = path(name);
    if std::fs::read_to_string(&file).is_ok_and(|shown| shown == fresh) {
        return;
    }
    let wanted = std::env::var("WAPBRIDGE_DOCUMENTS");
    assert!(
        wanted.is_ok_and(|wanted| wanted == "write"),
        "{name} is stale; `WAPBRIDGE_DOCUMENTS=write cargo test --test house` writes it"
    );
    std::fs::write(file, fresh).unwrap();
}

/// One setting as the example file shows it.
struct Setting {
    section: String,
    key: String,
    value: String,
    /// Commented out: `value` is the default.
    is_default: bool,
    meaning: String,
}

/// The settings of the example file, in its order.
fn settings(example: &str) -> Vec<Setting> {
    let mut section = String::new();
    let mut found: Vec<Setting> = Vec::new();
    for line in example.lines() {
        let (text, is_default) = match line.strip_prefix("# ") {
            Some(text) => (text, true),
            None => (line, false),
        };
        if text.starts_with('[') && text.trim_end().ends_with(']') {
            section = text.trim().to_owned();
            continue;
        }
        // What a comment says goes on in the next line, far to the right.
        if let Some(more) = text.trim_start().strip_prefix("# ")
            && text.starts_with("    ")
            && let Some(last) = found.last_mut()
        {
            write!(last.meaning, " {}", more.trim()).unwrap();
            continue;
        }
        let Some((key, rest)) = text.split_once('=') else {
            continue;
        };
        let key = key.trim();
        if key.is_empty() || key.contains(|c: char| !c.is_ascii_lowercase() && c != '_' && c != '6')
        {
            continue;
        }
        let (value, meaning) = value_and_comment(rest);
        if found
            .iter()
            .any(|other| other.section == section && other.key == key)
        {
            continue;
        }
        found.push(Setting {
            section: section.clone(),
            key: key.to_owned(),
            value: value.to_owned(),
            is_default,
            meaning: meaning.to_owned(),
        });
    }
    found
}

/// Cuts at the first `#` outside quotes.
fn value_and_comment(rest: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, octet) in rest.bytes().enumerate() {
        match octet {
            b'"' => quoted = !quoted,
            b'#' if !quoted => return (rest[..at].trim(), rest[at + 1..].trim()),
            _ => {}
        }
    }
    (rest.trim(), "")
}

fn example() -> String {
    std::fs::read_to_string(path("deploy/wapbridge.toml")).unwrap()
}

#[test]
fn the_metrics_are_those_of_the_program() {
    hold("metrics", &wapbridge::admin::families::markdown());
}

#[test]
fn the_settings_are_those_of_the_example_file() {
    let mut table = String::new();
    let mut section = "none yet".to_owned();
    for setting in settings(&example()) {
        if setting.section != section {
            section.clone_from(&setting.section);
            write!(
                table,
                "\n`{section}`\n\n| key | default | effect |\n| --- | --- | --- |\n"
            )
            .unwrap();
        }
        // Where there is no default to show, the file shows an example and says so.
        let (meaning, default) = match setting.meaning.split_once("default: ") {
            Some((meaning, default)) => (meaning.trim().trim_end_matches(';'), default.to_owned()),
            None if setting.is_default => {
                (setting.meaning.as_str(), format!("`{}`", setting.value))
            }
            None => (setting.meaning.as_str(), "none: required".to_owned()),
        };
        let example = match setting.meaning.contains("default: ") || !setting.is_default {
            true => format!("; such as `{}`", setting.value),
            false => String::new(),
        };
        let cell = |text: &str| text.replace('|', "\\|");
        writeln!(
            table,
            "| `{}` | {} | {} |",
            setting.key,
            cell(&default),
            cell(&(meaning.to_owned() + &example))
        )
        .unwrap();
    }
    hold("settings", &table);
}

/// Whoever adds a key to the program adds it to the example, with what it does.
#[test]
fn every_key_is_in_the_example_with_its_effect() {
    let example = example();
    let shown = settings(&example);
    let last = |section: &str| {
        let name = section.trim_matches(['[', ']']);
        name.rsplit('.').next().unwrap_or(name).to_owned()
    };
    let keys: BTreeSet<(String, &str)> = shown
        .iter()
        .map(|setting| (last(&setting.section), setting.key.as_str()))
        .collect();
    // As the settings that are commented out would be read, so that what depends on them is asked for too.
    let all: String = example
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n")
        .filter(|line| {
            let text = line.trim_start();
            text.starts_with('[')
                || text
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.trim().contains(' '))
        })
        .collect();
    let mut missing = Vec::new();
    let names = |word: &str| {
        shown.iter().any(|s| {
            s.section
                .trim_matches(['[', ']'])
                .split('.')
                .any(|part| part == word)
        })
    };
    for (section, key) in Settings::vocabulary(&all, &path("deploy")) {
        let is_section = names(key);
        if !is_section && !keys.contains(&(last(&section), key)) {
            missing.push(format!("{section} {key}"));
        }
    }
    assert!(
        missing.is_empty(),
        "not in deploy/wapbridge.toml: {missing:?}"
    );
    let silent: Vec<_> = shown
        .iter()
        .filter(|setting| setting.meaning.is_empty())
        .map(|setting| format!("{} {}", setting.section, setting.key))
        .collect();
    assert!(
        silent.is_empty(),
        "without a word on what they do: {silent:?}"
    );
}

/// Every metric that a query names is one of the program's, with those labels and, where they are a closed set, those
/// values; so is every label it sums by.
fn understands(query: &str) -> usize {
    let families = wapbridge::admin::families::families();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut named = 0;
    let mut labels: BTreeSet<&str> = BTreeSet::from(["instance", "le"]);
    for prefix in ["wapbridge_", "process_"] {
        for (at, _) in query.match_indices(prefix) {
            let rest = &query[at..];
            let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
            let family = families
                .iter()
                .find(|family| {
                    let behind = name.strip_prefix(family.name);
                    let allowed: &[&str] = match family.kind {
                        "histogram" => &["_bucket", "_sum", "_count"],
                        _ => &[""],
                    };
                    behind.is_some_and(|behind| allowed.contains(&behind))
                })
                .unwrap_or_else(|| panic!("no metric `{name}` in: {query}"));
            named += 1;
            labels.extend(family.labels.keys());
            let Some(matchers) = rest[name.len()..].strip_prefix('{') else {
                continue;
            };
            for matcher in matchers.split('}').next().unwrap().split(',') {
                let (label, value) = matcher.split_once('=').unwrap();
                let label = label.trim();
                if ["instance", "job"].contains(&label) {
                    continue;
                }
                let values = family.labels.get(label);
                let values = values.unwrap_or_else(|| panic!("{name} has no {label}: {query}"));
                let value = value.trim_matches('"').to_owned();
                assert!(
                    values.contains(&value),
                    "{name} has no {label}={value}: {query}"
                );
            }
        }
    }
    for by in query.split(" by (").skip(1) {
        for label in by.split(')').next().unwrap().split(',') {
            assert!(
                labels.contains(label.trim()),
                "nothing has {label}: {query}"
            );
        }
    }
    named
}

#[test]
fn alert_rules_and_dashboard_know_the_metrics() {
    let rules = std::fs::read_to_string(path("deploy/prometheus/wapbridge.rules.yml")).unwrap();
    let rules: Vec<String> = rules
        .split("expr:")
        .skip(1)
        .map(|rule| {
            let query = rule.split("\n        for:").next().unwrap();
            query
                .split("\n        labels:")
                .next()
                .unwrap()
                .replace('\n', " ")
        })
        .collect();
    let named: usize = rules.iter().map(|rule| understands(rule)).sum();
    assert!(named > rules.len(), "{rules:?}");

    let dashboard = std::fs::read_to_string(path("deploy/grafana/wapbridge.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            assert!(understands(query) > 0, "{query}");
        }
    }
}

/// The anchor of a heading, as hosts of Markdown make it.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches(['#', ' '])
        .to_lowercase()
        .chars()
        .filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-'))
        .map(|sign| if sign == ' ' { '-' } else { sign })
        .collect()
}

#[test]
fn every_alert_names_a_section_of_the_handbook() {
    let book = std::fs::read_to_string(path("deploy/OPERATIONS.md")).unwrap();
    let anchors: BTreeSet<String> = book
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(anchor)
        .collect();
    let rules = std::fs::read_to_string(path("deploy/prometheus/wapbridge.rules.yml")).unwrap();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let section = alert
            .split("runbook_url: \"")
            .nth(1)
            .and_then(|rest| rest.split_once('"'))
            .and_then(|(url, _)| url.split_once("OPERATIONS.md#"))
            .map(|(_, section)| section);
        assert!(
            section.is_some_and(|section| anchors.contains(section)),
            "{alert}"
        );
    }
    // The contents list names sections, too.
    for line in book.lines().filter(|line| line.starts_with("- [")) {
        if let Some((_, rest)) = line.split_once("](#") {
            let section = rest.split(')').next().unwrap();
            assert!(anchors.contains(section), "{line}");
        }
    }
}

#[test]
fn a_stateful_set_names_a_headless_service() {
    let directory = path("deploy/kubernetes");
    let mut sets = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let objects: Vec<&str> = text.split("\n---\n").collect();
        let names = objects.iter().filter_map(|object| {
            let (_, rest) = object.split_once("\n  serviceName: ")?;
            rest.lines().next()
        });
        for name in names {
            sets += 1;
            let headless = objects.iter().any(|object| {
                object.contains("kind: Service\n")
                    && object.contains(&format!("\n  name: {name}\n"))
                    && object.contains("\n  clusterIP: None\n")
            });
            assert!(headless, "{name} is no headless Service");
        }
    }
    assert_eq!(sets, 1);
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = std::fs::read_to_string(path("deploy/helm/wapbridge/Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("version: {version}"),
        format!("appVersion: \"{version}\""),
    ] {
        assert!(chart.lines().any(|shown| shown == line), "{line}");
    }
}
