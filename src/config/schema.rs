//! The JSON Schema of a configuration, for editors that complete and check.
//!
//! The schema comes from the keys that the readers ask for, with types, ranges and defaults.
//! Descriptions come from the example file.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::asked;
use super::reading::{Kind, Setting, Step};

/// The schema (draft 2020-12).
#[must_use]
pub fn schema() -> Json {
    let mut root = object();
    for setting in asked(EVERY_SECTION, Path::new("")) {
        // Lists have one table each in the text that was read.
        let mut at = Some(&mut root);
        for step in &setting.path {
            if let Step::Key(key) = step {
                at = at.and_then(|at| table(at, key));
            }
        }
        let described = describe(&setting);
        if let Some(properties) = at.and_then(properties) {
            let known = properties.entry(setting.key).or_insert_with(|| json!({}));
            if let (Some(known), Json::Object(described)) = (known.as_object_mut(), described) {
                known.extend(described);
            }
        }
    }
    if let Some(root) = root.as_object_mut() {
        root.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        root.insert("title".to_owned(), json!("wapbridge.toml"));
    }
    root
}

/// A table without keys so far, which allows no other keys.
fn object() -> Json {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

fn properties(table: &mut Json) -> Option<&mut Map<String, Json>> {
    let is_list = table.get("items").is_some();
    let table = match is_list {
        true => table.get_mut("items")?,
        false => table,
    };
    table.get_mut("properties")?.as_object_mut()
}

/// The schema of a table in a table, or of the tables of a list in it.
fn table<'j>(outer: &'j mut Json, key: &str) -> Option<&'j mut Json> {
    properties(outer)?.get_mut(key)
}

fn describe(setting: &Setting) -> Json {
    let mut described = match setting.kind {
        Kind::Table => object(),
        Kind::Tables => json!({ "type": "array", "items": object() }),
        Kind::Value(schema) => schema(),
    };
    let Some(map) = described.as_object_mut() else {
        return described;
    };
    if let Some((least, most)) = &setting.range {
        match (least.as_integer(), most.as_integer()) {
            (Some(least), Some(most)) if map.contains_key("minimum") => {
                map.insert("minimum".to_owned(), json!(least));
                map.insert("maximum".to_owned(), json!(most));
            }
            _ => {
                let range = format!("from {least} to {most}");
                map.insert("$comment".to_owned(), json!(range));
            }
        }
    }
    if let (None, Some(default)) = (&setting.at, &setting.value) {
        map.insert("default".to_owned(), json!(default));
    }
    if let Some(text) = meaning(&setting.section, setting.key) {
        map.insert("description".to_owned(), json!(text));
    }
    described
}

/// The description of a setting in the example file.
fn meaning(section: &str, key: &str) -> Option<&'static str> {
    let section = match section {
        "" => return None,
        section => section,
    };
    let mut is_there = false;
    for line in EXAMPLE.lines() {
        let text = line.strip_prefix("# ").unwrap_or(line).trim();
        if text.starts_with('[') && text.ends_with(']') && !text.contains(' ') {
            is_there = text == section;
        } else if is_there
            && let Some((name, rest)) = text.split_once(" = ")
            && name.trim() == key
        {
            return rest.rsplit_once("# ").map(|(_, meaning)| meaning);
        }
    }
    None
}

/// The example file, which describes every setting.
const EXAMPLE: &str = include_str!("../../deploy/wapbridge.toml");

/// A text with every table, so that readers ask for every setting.
const EVERY_SECTION: &str = "[[route]]\n[identity.radius]\n[[identity.radius.client]]\n\
                             network = \"10.0.0.0/8\"\nsecret = \"s\"\n[[identity.radius.forward]]\naddress = \"10.0.0.1:1813\"\n\
                             [records]\npath = \"records.jsonl\"\n[store]\npath = \"state.redb\"\n\
                             [push]\nlisten = \"127.0.0.1:8282\"\n[[push.initiator]]\nname = \"a\"\n\
                             networks = [\"10.0.0.0/8\"]\ntargets = [\"+49\"]\n\
                             [[push.application]]\nid = \"x-wap-application:*\"\nport = 2948\n\
                             [[push.user_agent]]\nmatch = \"a\"\ndrop = \"b\"\n\
                             [push.http]\nnetworks = \"10.0.0.0/8\"\n\
                             [[smsc]]\naddress = \"smsc.example.net:2775\"\nsystem_id = \"wap\"\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_ranges_defaults_and_meanings_are_those_of_the_readers() {
        let schema = schema();
        let of = |pointer: &str| {
            schema
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{pointer}"))
        };
        let log = of("/properties/log/properties/level");
        assert_eq!(log["enum"][0], "off");
        assert_eq!(log["default"], "info");
        let peers = of("/properties/limits/properties/max_transactions_per_peer");
        assert_eq!(
            (&peers["minimum"], &peers["maximum"]),
            (&json!(1), &json!(10_000))
        );
        assert_eq!(
            peers["description"],
            "transactions of one address and port at a time"
        );
        let route = of("/properties/route/items/properties/timeout");
        assert_eq!(route["default"], "120s");
        let client = of("/properties/identity/properties/radius/properties/client/items");
        assert!(client["properties"]["secret"].is_object());
        assert_eq!(client["additionalProperties"], false);
    }
}
