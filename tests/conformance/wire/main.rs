//! Conformance on the wire: a running gateway with its shipped defaults, judged octet by octet.
//!
//! The scenarios are transcripts in hexadecimal under `fixtures/conformance/wire`. Their grammar is in
//! [`script`]. No codec of the gateway takes part: a transcript names the octets that the client sends and
//! the octets that the specification wants back. `WIRE_ONLY=W07 cargo test --test wire -- --nocapture` plays
//! one scenario and prints every datagram.

#![expect(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test that panics has failed, and the transcript plays in real time"
)]

mod gateway;
mod origin;
mod player;
mod script;
#[path = "../../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use gateway::Gateway;
use origin::Origin;
use script::Scenario;

/// Plays the scenarios of one file at the same time, each from a socket of its own.
fn play(file: &str) {
    let only = std::env::var("WIRE_ONLY").unwrap_or_default();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance/wire");
    let text = std::fs::read_to_string(directory.join(file)).unwrap();
    let scenarios = script::parse(&text);
    let origin = Arc::new(Origin::start());
    let (alone, shared): (Vec<_>, Vec<_>) = scenarios
        .into_iter()
        .filter(|scenario| scenario.name.starts_with(&only))
        .partition(Scenario::needs_a_gateway_alone);
    let gateway = Gateway::start(&origin, false);
    let mut failed = Vec::new();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for scenario in &shared {
            let (gateway, origin) = (&gateway, &origin);
            running.push((
                scenario,
                scope.spawn(|| player::play(scenario, gateway, origin)),
            ));
        }
        for scenario in &alone {
            let origin = &origin;
            let play =
                || player::play(scenario, &Gateway::start(origin, scenario.pushes()), origin);
            running.push((scenario, scope.spawn(play)));
        }
        for (scenario, thread) in running {
            let outcome = thread.join().unwrap();
            let verdict = if outcome.is_ok() {
                "held    "
            } else {
                "NOT HELD"
            };
            println!(
                "{}  {verdict}  {}  ({})",
                scenario.name,
                scenario.items.join(" "),
                scenario.title
            );
            if let Err(transcript) = outcome {
                failed.push(format!(
                    "{}: {}\n{transcript}",
                    scenario.name, scenario.title
                ));
            }
        }
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn wtp() {
    play("wtp.txt");
}

#[test]
fn wsp() {
    play("wsp.txt");
}
