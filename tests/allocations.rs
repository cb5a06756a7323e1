//! Counts allocations of the core: a bound on each transaction, on each idle session, and on memory
//! that stays. `cargo bench --bench core` prints the figures themselves.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    dead_code,
    reason = "a test may panic, and the bench uses more of its gateway"
)]

#[path = "support/direct.rs"]
mod direct;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use direct::Direct;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wapbridge::wsp::session::OCTETS_PER_SESSION;
use wapbridge::wtp::OCTETS_PER_PEER;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The counters are the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Octets allocated and not freed.
fn live() -> usize {
    let stats = GLOBAL.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Allocations, reallocations among them.
fn allocations() -> usize {
    let stats = GLOBAL.stats();
    stats.allocations + stats.reallocations
}

#[test]
fn a_post_is_some_dozen_allocations() {
    let _alone = alone();
    let mut direct = Direct::new();
    direct.reserve(HANDSETS);
    for handset in 0..HANDSETS {
        direct.connect(handset);
        direct.post(handset);
        direct.post_unit(handset);
    }
    direct.pass(Duration::from_secs(60));
    let mut per_post = |post: &mut dyn FnMut(&mut Direct, usize)| {
        let before = allocations();
        for turn in 0..4 * HANDSETS {
            post(&mut direct, turn % HANDSETS);
        }
        (allocations() - before).div_ceil(4 * HANDSETS)
    };
    let session = per_post(&mut |direct, handset| direct.post(handset));
    let unit = per_post(&mut |direct, handset| direct.post_unit(handset));
    println!("allocations: {session} in connection mode, {unit} in connectionless mode");
    assert!(session <= 40, "{session} in connection mode");
    assert!(unit <= 40, "{unit} in connectionless mode");
}

#[test]
fn an_idle_session_takes_the_documented_memory_and_returns_it() {
    let _alone = alone();
    let mut direct = Direct::with(|config| config.wtp.tid_cache_capacity = SESSIONS + 1);
    direct.reserve(SESSIONS + 1);
    direct.connect(SESSIONS);
    let before = live();
    // A growing table is never more than one part too large, so no number is unlucky.
    for handset in 0..SESSIONS {
        direct.connect(handset);
        if handset >= SESSIONS / 4 && handset % 1_000 == 0 {
            let each = (live() - before) / (handset + 1);
            assert!(
                each <= OCTETS_PER_SESSION + OCTETS_PER_PEER + OCTETS_PER_ADDRESS,
                "{each} at {handset}"
            );
        }
    }
    // The last TIDs of the handsets expire without any traffic. The use of their addresses expires
    // with the next datagram of any handset. The sessions stay.
    direct.pass(Duration::from_secs(600));
    direct.post(SESSIONS);
    let each = (live() - before) / SESSIONS;
    assert!(each <= OCTETS_PER_SESSION, "{each} without TIDs");
    assert!(each >= 64, "{each}: are they there at all?");
    for handset in 0..SESSIONS {
        direct.disconnect(handset);
    }
    direct.pass(Duration::from_secs(600));
    direct.post(SESSIONS);
    let left = live().saturating_sub(before);
    assert!(left < 256 << 10, "{left} octets are not given back");
}

const HANDSETS: usize = 16;
const SESSIONS: usize = 30_000;
/// Memory for the use of a recent address, of at most `max_addresses`.
const OCTETS_PER_ADDRESS: usize = 128;
