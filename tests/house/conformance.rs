//! `deploy/CONFORMANCE.md` is made here: every item of the specifications' static conformance tables, with the
//! tests that hold the item or the reason why the gateway does not claim the item.
//!
//! The fixtures name the items. The test programs `protocol` and `wire` name, beside each test, the items that
//! the test holds, and fail unless every claimed item was held; so the table repeats what those programs prove.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::documents::{hold_file, path};

/// The fixtures in the order of the document, and their specifications.
const SPECIFICATIONS: &[(&str, &str)] = &[
    ("wtp", "WTP: WAP-224-WTP-20010710-a, appendix C"),
    ("wsp", "WSP: WAP-230-WSP-20010705-a, appendix D"),
    ("wdp", "WDP: WAP-259-WDP-20010614-a, appendix A"),
    ("wcmp", "WCMP: WAP-202-WCMP-20010624-a, appendix A"),
    (
        "wbxml",
        "WBXML: WAP-192-WBXML-20010725-a, section 9, with SIN 105",
    ),
    (
        "sync",
        "SyncML over WAP: WAP-234-SYNC-20010530-a, appendix A",
    ),
    (
        "wtls",
        "WTLS: WAP-261-WTLS-20010406-a, appendix E.1, with SINs 100 to 102",
    ),
    (
        "pap",
        "Push Access Protocol: WAP-247-PAP-20010429-a, appendix A",
    ),
    (
        "ppg",
        "Push Proxy Gateway: WAP-249-PPGService-20010713-a, appendix A",
    ),
    (
        "pushota",
        "Push over the air: WAP-235-PushOTA-20010425-a, appendix A.2",
    ),
    ("pushmsg", "Push messages: WAP-251, WAP-167, WAP-168"),
];

/// Items in all fixtures.
const ITEMS: usize = 385;

struct Item<'a> {
    id: &'a str,
    status: &'a str,
    function: &'a str,
    reason: &'a str,
}

fn items(fixture: &str) -> Vec<Item<'_>> {
    let lines = fixture.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut fields = line.split('\t');
            let mut field = || fields.next().unwrap_or_default();
            Item {
                id: field(),
                status: field(),
                function: field(),
                reason: field(),
            }
        })
        .collect()
}

/// The tests that hold each item.
fn holders() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |id: &str, test: String| {
        let tests = found.entry(id.to_owned()).or_default();
        if !tests.contains(&test) {
            tests.push(test);
        }
    };
    for file in sources(&path("tests/protocol")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for call in text.split("suite.held(").skip(1) {
            let Some((ids, rest)) = call.split_once(']') else {
                continue;
            };
            let test = rest.split('"').nth(1).unwrap_or_default();
            // The tests of the suite itself hold items called A and B.
            for id in ids.split('"').skip(1).step_by(2).filter(|id| id.len() > 1) {
                add(id, test.to_owned());
            }
        }
        for function in text.split("fn wbxml_").skip(1) {
            let name = function.split('(').next().unwrap();
            let mut parts = name.splitn(3, '_');
            let (Some(role @ ("s" | "c")), Some(number)) = (parts.next(), parts.next()) else {
                continue;
            };
            let id = format!("WBXML-{}-{number}", role.to_uppercase());
            add(&id, format!("wbxml_{name}"));
        }
    }
    for file in ["wtp.txt", "wsp.txt"] {
        let text = std::fs::read_to_string(path("fixtures/conformance/wire").join(file)).unwrap();
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("scenario "))
        {
            let (names, _) = line.split_once(": ").unwrap();
            let mut names = names.split(' ');
            let scenario = names.next().unwrap();
            for id in names {
                add(id, format!("wire {scenario}"));
            }
        }
    }
    found
}

fn sources(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

const INTRODUCTION: &str = "\
# Conformance

Every item of the static conformance requirements of the WAP specifications for servers, gateways and push
proxies: 385 items of 11 specifications. An item that the gateway claims is held by the tests named beside
the item. An item that the gateway does not claim has its reason.

- Names that begin with `wire` are transcripts in `fixtures/conformance/wire`: octets in hexadecimal, sent over
  real sockets to the program with its shipped settings. No codec of the gateway takes part in the comparison.
  `cargo test --test wire -- --nocapture` prints them.
- Other names are tests of the test program `protocol`: the core with a second implementation of the client
  side, virtual time, and an origin that is played by the test. `cargo test --test protocol -- --nocapture
  every_item` prints their tables.

Status: M is mandatory, O optional, - removed by a later edition. Where the specification requires one of
several items (a bearer, an address scheme), one of them is enough.

This file is generated: `WAPBRIDGE_DOCUMENTS=write cargo test --test house` writes it, and a test fails when it
is stale.
";

#[test]
fn every_item_is_held_or_has_its_reason() {
    let holders = holders();
    let mut summary =
        String::from("| specification | items | held | on the wire | not claimed |\n");
    summary.push_str("| --- | ---: | ---: | ---: | ---: |\n");
    let (mut tables, mut all) = (String::new(), 0);
    for (name, specification) in SPECIFICATIONS {
        let file = path("fixtures/conformance").join(format!("{name}.tsv"));
        let fixture = std::fs::read_to_string(file).unwrap();
        let (mut held, mut on_the_wire, mut unclaimed) = (0, 0, 0);
        writeln!(tables, "\n## {specification}\n").unwrap();
        tables.push_str(
            "| item | | function | held by, or why not claimed |\n| --- | --- | --- | --- |\n",
        );
        let items = items(&fixture);
        for item in &items {
            let tests = holders.get(item.id);
            let words = match (tests, item.reason) {
                (Some(tests), "") => {
                    held += 1;
                    on_the_wire += usize::from(tests.iter().any(|test| test.starts_with("wire ")));
                    let tests = tests.iter().map(|test| format!("`{test}`"));
                    tests.collect::<Vec<_>>().join(", ")
                }
                (None, reason) if !reason.is_empty() => {
                    unclaimed += 1;
                    format!("Not claimed. {reason}")
                }
                (None, _) => panic!("{} has neither a test nor a reason", item.id),
                (Some(tests), _) => panic!("{} is not claimed, and held by {tests:?}", item.id),
            };
            writeln!(
                tables,
                "| {} | {} | {} | {words} |",
                item.id, item.status, item.function
            )
            .unwrap();
        }
        all += items.len();
        writeln!(
            summary,
            "| {specification} | {} | {held} | {on_the_wire} | {unclaimed} |",
            items.len()
        )
        .unwrap();
    }
    assert_eq!(all, ITEMS, "items in the fixtures");
    hold_file(
        "deploy/CONFORMANCE.md",
        &format!("{INTRODUCTION}\n{summary}{tables}"),
    );
}

/// Where the tables of the specifications are at hand, the fixtures have their items and statuses.
#[test]
fn the_fixtures_have_the_items_of_the_specifications() {
    let tables = path("../shared/conformance");
    if !tables.is_dir() {
        println!("SKIPPED: the specifications' tables are not here");
        return;
    }
    for (name, _) in SPECIFICATIONS {
        let read = |file: &Path| std::fs::read_to_string(file).unwrap();
        let theirs = read(&tables.join(format!("{name}.tsv")));
        let theirs = theirs.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            (fields[0].to_owned(), fields[3].to_owned())
        });
        let ours = read(&path("fixtures/conformance").join(format!("{name}.tsv")));
        let ours = items(&ours);
        let ours = ours
            .iter()
            .map(|item| (item.id.to_owned(), item.status.to_owned()));
        assert!(theirs.eq(ours), "{name}: items or statuses differ");
    }
}
