//! Hostile octets for every decoder and for the whole core.
//!
//! Each target in [`targets`] takes any octets and checks what has to hold for all of them. `cargo test` replays the
//! corpus in `fixtures/fuzz`, mutations of it and of real messages, and noise; `WAPBRIDGE_FUZZ=1000000 cargo test
//! --release --test fuzz` goes on for longer. A failure prints the target and the octets as hex, to be put into a
//! test of its own. `tests/fuzz/guided/run` drives the same targets with libFuzzer, which looks at coverage, and lets
//! the corpus grow.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod conversations;
#[path = "../support/mod.rs"]
mod support;
mod targets;
mod wbxml;
mod wtp;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use wapbridge::random::Random;

/// Real octets to begin with: recorded SyncML messages, and what a handset of ours says with them.
fn corpus() -> Vec<Vec<u8>> {
    let mut found = targets::said_by_a_handset();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/syncml-sessions");
    for session in std::fs::read_dir(root).unwrap() {
        let session = session.unwrap().path();
        if !session.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(session).unwrap() {
            let path = file.unwrap().path();
            if path
                .extension()
                .is_some_and(|kind| kind == "wbxml" || kind == "xml")
            {
                let octets = std::fs::read(path).unwrap();
                found.push(octets[..octets.len().min(4_000)].to_vec());
            }
        }
    }
    // Directory order is nobody's promise; the run has to be the same every time.
    found.sort();
    assert!(found.len() > 50, "only {} seeds", found.len());
    found
}

/// What coverage-guided runs of a target found worth keeping; `tests/fuzz/guided/run` writes it.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let name = format!("fixtures/fuzz/{target}.hex");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let Ok(lines) = std::fs::read_to_string(file) else {
        return Vec::new();
    };
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    lines
        .lines()
        .map(|line| line.as_bytes().chunks(2).map(octet).collect())
        .collect()
}

/// A seed, changed in a few places: what finds most mistakes in length fields and flags.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| corpus[random.below(corpus.len() as u64) as usize].clone();
    let mut octets = pick(random);
    if random.chance(0.2) {
        octets = (0..random.below(64))
            .map(|_| random.u32().to_le_bytes()[0])
            .collect();
    }
    if random.chance(0.1) {
        let other = pick(random);
        let at = random.below(octets.len() as u64 + 1) as usize;
        octets.truncate(at);
        octets.extend(&other[random.below(other.len() as u64) as usize..]);
    }
    for _ in 0..random.below(8) {
        if octets.is_empty() {
            break;
        }
        // Headers are at the front, and so is most of what can go wrong.
        let reach = if random.chance(0.7) {
            octets.len().min(48)
        } else {
            octets.len()
        };
        let at = random.below(reach as u64) as usize;
        match random.below(5) {
            0 => octets[at] ^= 1 << random.below(8),
            1 => octets[at] = random.u32().to_le_bytes()[0],
            2 => octets[at] = [0x00, 0x1F, 0x7F, 0x80, 0xFF][random.below(5) as usize],
            3 => octets.truncate(at),
            _ => octets.insert(at, random.u32().to_le_bytes()[0]),
        }
    }
    octets.truncate(8_000);
    octets
}

#[test]
fn every_target_bears_hostile_octets() {
    let rounds = std::env::var("WAPBRIDGE_FUZZ")
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(6_000usize);
    let messages = corpus();
    for (number, (name, target)) in targets::ALL.iter().enumerate() {
        let mut random = Random::new(number as u64);
        let mut corpus = kept(name);
        corpus.extend_from_slice(&messages);
        // Each input of a costly target makes a whole handshake with public keys.
        let cost = if targets::COSTLY.contains(name) {
            200
        } else {
            1
        };
        for octets in corpus.iter().step_by(cost) {
            run(name, *target, octets);
        }
        for _ in 0..rounds / cost {
            run(name, *target, &mutated(&corpus, &mut random));
        }
    }
}

/// The check above notices a target that fails.
#[test]
#[should_panic(expected = "target planted")]
fn a_planted_mistake_is_found() {
    let corpus = corpus();
    let mut random = Random::new(1);
    for _ in 0..6_000 {
        let planted = |octets: &[u8]| assert!(octets.first() != Some(&0xFF));
        run("planted", planted, &mutated(&corpus, &mut random));
    }
}

fn run(name: &str, target: targets::Target, octets: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(octets))).is_err() {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        panic!("target {name} fails on {hex}");
    }
}
