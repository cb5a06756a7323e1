//! The scenarios that run in clear text only, each with the reason, and that there are no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The sender's address is a victim's, where the sender receives nothing: such a sender completes no
/// handshake, and no layer above WTLS hears of it. What it costs at a secure port:
/// `src/wtls/tests/forged.rs`, `src/wtls/tests/repeated.rs`, `tests/protocol/wtls/limits.rs`.
const FORGED: &str = "a forged sender completes no handshake";

/// Thousands of addresses, with one datagram each. At a secure port each would need a handshake of
/// its own, whose rates come first; what is counted once it is open is counted in `scenarios`.
const MANY: &str = "the rates of handshakes stand before thousands of addresses";

const PLAIN_ONLY: [(&str, &str, &str); 14] = [
    (
        "forgery",
        "a_forged_session_brings_its_victim_a_few_packets_of_a_large_result",
        FORGED,
    ),
    (
        "forgery",
        "forged_acknowledgements_of_guessed_packets_end_the_result",
        FORGED,
    ),
    (
        "forgery",
        "forged_acknowledgements_without_a_number_bring_a_few_packets",
        FORGED,
    ),
    (
        "forgery",
        "forty_eight_forged_gets_bring_a_few_packets_each",
        FORGED,
    ),
    (
        "forgery",
        "a_method_is_answered_though_the_ack_of_the_connect_reply_is_late",
        FORGED,
    ),
    (
        "protection",
        "a_victim_gets_no_more_than_three_times_the_forged_octets",
        FORGED,
    ),
    (
        "protection",
        "ids_are_not_guessed_faster_than_the_pauses_allow",
        MANY,
    ),
    (
        "protection",
        "ids_are_not_guessed_from_many_sources_of_one_network",
        MANY,
    ),
    (
        "protection",
        "a_full_table_of_failures_does_not_make_guesses_free",
        MANY,
    ),
    (
        "protection",
        "failures_of_one_region_leave_the_resumes_of_others",
        MANY,
    ),
    (
        "protection",
        "guesses_under_way_count_before_they_fail",
        MANY,
    ),
    (
        "protection",
        "resumes_of_the_own_session_go_on_while_failures_are_not_counted",
        MANY,
    ),
    (
        "protection",
        "one_address_does_not_take_the_room_for_headers",
        MANY,
    ),
    (
        "protection",
        "blind_acknowledgements_do_not_keep_others_out",
        MANY,
    ),
];

/// A scenario that is not in the folder which runs twice stands in the list, and the other way
/// round.
#[test]
fn what_runs_in_clear_text_only_is_listed_with_its_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        // These two run what is in the folder, and this one is none.
        if path.is_dir() || ["plain", "secured", "plain_only"].contains(&module.as_str()) {
            continue;
        }
        for test in tests_of(&fs::read_to_string(path).unwrap()) {
            found.insert((module.clone(), test));
        }
    }
    let listed: BTreeSet<(String, String)> = PLAIN_ONLY
        .iter()
        .map(|(module, test, _)| ((*module).to_owned(), (*test).to_owned()))
        .collect();
    assert_eq!(found, listed);
    assert_eq!(listed.len(), PLAIN_ONLY.len(), "a scenario is listed twice");
}

/// Every file of the folder is a module of both worlds.
#[test]
fn every_scenario_of_the_folder_runs_in_both_worlds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim");
    let modules = fs::read_to_string(folder.join("scenarios/mod.rs")).unwrap();
    for entry in fs::read_dir(folder.join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        let line = format!("mod {module};");
        assert!(
            module == "mod" || modules.lines().any(|it| it == line),
            "{module} is not run"
        );
        let text = fs::read_to_string(&path).unwrap();
        for own in ["World", "Rig", "Gateway"] {
            let new = format!(" {own}::new(");
            assert!(!text.contains(&new), "{module} makes a {own} of its own");
        }
    }
    for world in ["plain.rs", "secured.rs"] {
        let text = fs::read_to_string(folder.join(world)).unwrap();
        assert!(text.contains("#[path = \"scenarios/mod.rs\"]"), "{world}");
    }
}

/// The names of the tests in a source.
fn tests_of(source: &str) -> Vec<String> {
    let functions = source.split("#[test]\n").skip(1);
    let names = functions.filter_map(|text| {
        let (_, rest) = text.split_once("fn ")?;
        Some(rest.split_once('(')?.0.to_owned())
    });
    names.collect()
}
