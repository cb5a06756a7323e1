//! The core without sockets: what one POST costs, what an idle session weighs, and whether a million of them
//! make a difference.
//!
//! `cargo bench --bench core [-- WHAT]`, WHAT being `pdu`, `post`, `unit`, `idle` (or `idle=N`), `secure` (or
//! `secure=N`, with N idle connections of WTLS), `sessions` (or `sessions=N`, with N idle secured sessions).
//! The allocator is the system's, whatever the features: it is the one that can be counted.
//!
//! Instructions of one POST, the difference of two runs: `valgrind --tool=callgrind BINARY run post 2000` against
//! `run post 1000`; likewise `run unit`.

#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench may panic"
)]

#[path = "../support/direct.rs"]
mod direct;
#[cfg(feature = "wtls")]
mod secure;

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wapbridge::{wsp, wtp};

use direct::Direct;

#[global_allocator]
static GLOBAL: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

fn main() {
    // Cargo itself passes `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", what, count] => run(what, count.parse().expect("a number")),
        [] => {
            pdus();
            posts();
            idle(&[1_000, 20_000, 200_000, 1_000_000]);
        }
        ["pdu"] => pdus(),
        ["post" | "unit"] => posts(),
        ["idle"] => idle(&[1_000, 20_000, 200_000, 1_000_000]),
        #[cfg(feature = "wtls")]
        ["secure"] => secure::secure(&[1_000, 20_000, 200_000, 1_000_000]),
        #[cfg(feature = "wtls")]
        ["sessions"] => secure::sessions(&[1_000, 20_000, 200_000, 1_000_000]),
        [what] => match what
            .split_once('=')
            .map(|(what, count)| (what, count.parse()))
        {
            Some(("idle", Ok(count))) => idle(&[count]),
            #[cfg(feature = "wtls")]
            Some(("secure", Ok(count))) => secure::secure(&[count]),
            #[cfg(feature = "wtls")]
            Some(("sessions", Ok(count))) => secure::sessions(&[count]),
            _ => panic!(
                "{what}: not one of pdu, post, unit, idle, idle=N, secure, secure=N, sessions, sessions=N"
            ),
        },
        _ => panic!("one word at most"),
    }
}

/// Nothing but this many transactions, for tools that count instructions.
fn run(what: &str, count: usize) {
    let mut direct = Direct::new();
    direct.reserve(HANDSETS);
    for handset in 0..HANDSETS {
        direct.connect(handset);
    }
    for turn in 0..count {
        match what {
            "post" => direct.post(turn % HANDSETS),
            "unit" => unit(&mut direct, turn),
            _ => panic!("{what}: not post or unit"),
        }
    }
}

/// One POST of connectionless mode, whose handsets may do five a second.
fn unit(direct: &mut Direct, turn: usize) {
    if turn.is_multiple_of(HANDSETS) {
        direct.pass(Duration::from_secs(1));
    }
    direct.post_unit(turn % HANDSETS);
}

/// Decoding and encoding of the PDUs of one POST.
fn pdus() {
    println!("{:<34}{:>10}", "PDU", "ns");
    let connect = direct::connect(0);
    let post = direct::post_datagram();
    let mut out = Vec::with_capacity(2048);
    let row = |what: &str, run: &mut dyn FnMut()| {
        println!("{what:<34}{:>10.0}", best(64, run));
    };
    for (name, datagram) in [("Connect", &connect), ("Post", &post)] {
        row(&format!("WTP Invoke decode ({name})"), &mut || {
            black_box(wtp::Pdu::decode(black_box(datagram)).is_ok());
        });
        let pdu = wtp::Pdu::decode(datagram).expect("an Invoke");
        row(&format!("WTP Invoke encode ({name})"), &mut || {
            out.clear();
            black_box(&pdu).encode(&mut out);
        });
        row(&format!("WSP {name} decode"), &mut || {
            black_box(wsp::Pdu::decode(black_box(&datagram[4..])).is_ok());
        });
        let pdu = wsp::Pdu::decode(&datagram[4..]).expect("a PDU");
        row(&format!("WSP {name} encode"), &mut || {
            out.clear();
            black_box(&pdu).encode(&mut out);
        });
    }
    row("WTP Ack decode", &mut || {
        black_box(wtp::Pdu::decode(black_box(&[0x18, 0, 1])).is_ok());
    });
}

/// What one transaction costs.
fn posts() {
    println!(
        "\n{:<34}{:>10}{:>16}{:>14}{:>12}",
        "one POST, 507 and 455 octets", "us", "datagrams/s", "allocations", "octets"
    );
    let mut direct = Direct::new();
    direct.reserve(HANDSETS);
    for handset in 0..HANDSETS {
        direct.connect(handset);
    }
    let mut turn = 0;
    transaction("connection mode", 3.0, &mut || {
        direct.post(turn % HANDSETS);
        turn += 1;
    });
    let mut turn = 0;
    transaction("connectionless", 2.0, &mut || {
        unit(&mut direct, turn);
        turn += 1;
    });
}

fn transaction(name: &str, datagrams: f64, run: &mut dyn FnMut()) {
    let ns = best(256, run);
    let before = allocated();
    for _ in 0..1024 {
        run();
    }
    let after = allocated();
    println!(
        "{name:<34}{:>10.2}{:>16.0}{:>14.1}{:>12.0}",
        ns / 1e3,
        datagrams * 1e9 / ns,
        (after.0 - before.0) as f64 / 1024.0,
        (after.1 - before.1) as f64 / 1024.0,
    );
}

/// Sessions held and doing nothing: what they weigh, and what a POST costs beside them.
fn idle(counts: &[usize]) {
    println!(
        "\n{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "idle",
        "live B",
        "resident B",
        "connect us",
        "worst ms",
        "post us",
        "worst ms",
        "live after",
        "res. after"
    );
    for &count in counts {
        let mut direct = Direct::with(|config| {
            config.wsp.max_sessions = 4_000_000;
            config.wtp.tid_cache_capacity = 4_000_000;
        });
        direct.reserve(HANDSETS + count);
        for handset in 0..HANDSETS {
            direct.connect(handset);
            direct.post(handset);
        }
        let (live, resident) = (live(), resident());
        let begin = cpu();
        let mut worst_connect = Duration::ZERO;
        for handset in 0..count {
            let begin = cpu();
            direct.connect(HANDSETS + handset);
            worst_connect = worst_connect.max(cpu() - begin);
        }
        let connect = (cpu() - begin).as_secs_f64() * 1e6 / count as f64;
        let held = (self::live() - live) as f64 / count as f64;
        let held_resident = (self::resident() - resident) as f64 / count as f64;
        // The few that are busy, and once each of the idle ones in a row that no cache foresees.
        let mut turn = 0;
        let post = best(256, &mut || {
            direct.post(turn % HANDSETS);
            turn += 1;
        });
        let mut worst_post = Duration::ZERO;
        for turn in 0..count.min(100_000) {
            let begin = cpu();
            direct.post(HANDSETS + turn * 7_919 % count);
            worst_post = worst_post.max(cpu() - begin);
        }
        for handset in 0..count {
            direct.disconnect(HANDSETS + handset);
        }
        direct.pass(Duration::from_secs(600));
        direct.post(0);
        println!(
            "{count:>10}{held:>12.0}{held_resident:>12.0}{connect:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>12}{:>12}",
            worst_connect.as_secs_f64() * 1e3,
            post / 1e3,
            worst_post.as_secs_f64() * 1e3,
            kibibytes(self::live() - live),
            kibibytes(self::resident() - resident),
        );
    }
}

fn kibibytes(octets: i64) -> String {
    format!("{} KiB", octets / 1024)
}

/// Nanoseconds of CPU for one run: the best of many short rounds, as anything else on the machine only adds.
fn best(runs: u32, run: &mut dyn FnMut()) -> f64 {
    (0..200)
        .map(|_| {
            let begin = cpu();
            for _ in 0..runs {
                run();
            }
            (cpu() - begin).as_secs_f64() * 1e9 / f64::from(runs)
        })
        .fold(f64::INFINITY, f64::min)
}

/// CPU time of this thread: what others take of the machine is not in it.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Allocations so far, reallocations included, and their octets.
fn allocated() -> (usize, usize) {
    let stats = GLOBAL.stats();
    (
        stats.allocations + stats.reallocations,
        stats.bytes_allocated,
    )
}

/// Octets allocated and not freed.
fn live() -> i64 {
    let stats = GLOBAL.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// Octets of memory that the process occupies.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<i64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Handsets that post.
const HANDSETS: usize = 64;
