//! What a large result costs: virtual time and datagrams, against the least possible.
//!
//! A handset asks, the gateway answers with 64 kB at once, over a link with a rate, a round trip of 600 ms and
//! loss in both directions. The bound is one round trip and the time the octets take on the link, 32 octets of
//! headers per datagram included. `cargo run --example wtp_large_result` prints medians and 95th percentiles, and
//! then what segment size, group size and timers do to them.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a program for developers"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wtp::{Class, Config, Endpoint, Indication};

const BODY: usize = 65_536;
const SEGMENT: usize = 1400;
const ONE_WAY: Duration = Duration::from_millis(300);
/// IP and UDP; the headers of WTP itself are in the datagram.
const LOWER_HEADERS: usize = 28;

fn main() {
    let seeds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    println!(
        "64 kB result, round trip 600 ms, {seeds} seeds; seconds (times the bound), datagrams (times the least)"
    );
    for (name, announced) in [
        ("Maximum Group 64 kB", Some(65_536)),
        ("nothing announced", None),
    ] {
        println!("\nhandset: {name}");
        println!(
            "{:>7} {:>5} {:>22} {:>22} {:>16} {:>16}",
            "kbit/s", "loss", "median", "95th percentile", "datagrams", "95th"
        );
        for rate in [9_600, 40_000, 384_000] {
            for loss in [0, 5, 10, 20] {
                print_row(&Config::ip(), rate, loss, announced, seeds);
            }
        }
    }
    sweep(seeds);
}

/// What the settings do: one of them changed at a time, beside the defaults.
fn sweep(seeds: u64) {
    let ip = Config::ip;
    let whole = Some(65_536);
    let variants: [(&str, Config, Option<u32>); 9] = [
        ("defaults", ip(), whole),
        (
            "segment_size = 536",
            Config {
                segment_size: 536,
                ..ip()
            },
            whole,
        ),
        (
            "segment_size = 1000",
            Config {
                segment_size: 1000,
                ..ip()
            },
            whole,
        ),
        (
            "send_group = 16 kB",
            Config {
                send_group: 16_384,
                ..ip()
            },
            whole,
        ),
        (
            "send_group = 4 kB",
            Config {
                send_group: 4_096,
                ..ip()
            },
            whole,
        ),
        (
            "group_retry = 1.5 s",
            Config {
                group_retry: ip().group_retry / 2,
                ..ip()
            },
            whole,
        ),
        (
            "group_retry = 6 s",
            Config {
                group_retry: ip().group_retry * 2,
                ..ip()
            },
            whole,
        ),
        ("nothing announced", ip(), None),
        (
            "the same, unannounced_group = 4 kB",
            Config {
                unannounced_group: 4_215,
                ..ip()
            },
            None,
        ),
    ];
    for (rate, loss) in [(40_000, 0), (40_000, 10), (384_000, 10)] {
        println!("\n{} kbit/s, {loss} % loss", rate / 1000);
        for (name, gateway, announced) in &variants {
            print!("{name:>36}");
            print_row(gateway, rate, loss, *announced, seeds);
        }
    }
}

fn print_row(gateway: &Config, rate: u64, loss: u64, announced: Option<u32>, seeds: u64) {
    let runs = (0..seeds).filter_map(|seed| run(gateway, seed, rate, loss, announced));
    let (mut times, mut datagrams): (Vec<_>, Vec<_>) = runs.unzip();
    times.sort_unstable();
    datagrams.sort_unstable();
    let packets = BODY.div_ceil(SEGMENT);
    let octets = BODY + 32 * packets;
    let bound = ONE_WAY * 2 + on_link(octets, rate);
    // The Invoke, the packets, and one Ack.
    let least = packets + 2;
    let time = |at: usize| {
        let time: Duration = times[at];
        format!(
            "{:.1} ({:.2})",
            time.as_secs_f64(),
            time.as_secs_f64() / bound.as_secs_f64()
        )
    };
    let count = |at: usize| {
        let count: u32 = datagrams[at];
        format!("{count} ({:.2})", f64::from(count) / least as f64)
    };
    let (median, high) = (times.len() / 2, times.len() * 95 / 100);
    let failed = seeds as usize - times.len();
    let failures = if failed > 0 {
        format!("  {failed} failed")
    } else {
        String::new()
    };
    println!(
        "{:>7} {:>4}% {:>22} {:>22} {:>16} {:>16}{failures}",
        rate as f64 / 1000.0,
        loss,
        time(median),
        time(high),
        count(median),
        count(high)
    );
}

fn on_link(octets: usize, rate: u64) -> Duration {
    Duration::from_micros(octets as u64 * 8 * 1_000_000 / rate)
}

/// Time until the handset has the result, and datagrams until all is quiet.
fn run(
    gateway: &Config,
    seed: u64,
    rate: u64,
    loss: u64,
    announced: Option<u32>,
) -> Option<(Duration, u32)> {
    let address = |end: u8| SocketAddr::from(([192, 0, 2, end], 9201));
    let peers = [
        Peer::new(address(1), address(0)),
        Peer::new(address(0), address(1)),
    ];
    let handset = Config {
        receive_group: announced,
        ..Config::ip()
    };
    let mut ends = [
        Endpoint::new(handset, seed, Instant::ZERO),
        Endpoint::new(gateway.clone(), seed + 1, Instant::ZERO),
    ];
    let start = Instant::ZERO + Duration::from_secs(1000);
    let mut now = start;
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ loss << 32 ^ rate;
    let mut flying: BTreeMap<(Instant, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let mut free_at = [start; 2];
    let mut datagrams = 0;
    let mut done = None;
    ends[0]
        .invoke(now, peers[0], Class::Two, true, Bytes::from(vec![1; 100]))
        .unwrap();
    loop {
        for end in 0..2 {
            while let Some(indication) = ends[end].poll_indication() {
                match indication {
                    Indication::Invoke { handle, .. } => {
                        ends[end].result(now, handle, Bytes::from(vec![2; BODY]));
                    }
                    Indication::Result { handle, data, .. } => {
                        assert_eq!(data.len(), BODY);
                        done = Some(now - start);
                        ends[end].acknowledge(now, handle, b"");
                    }
                    _ => {}
                }
            }
            let mut buf = Vec::new();
            while ends[end].poll_transmit(&mut buf).is_some() {
                let datagram = std::mem::take(&mut buf);
                datagrams += 1;
                free_at[end] =
                    free_at[end].max(now) + on_link(datagram.len() + LOWER_HEADERS, rate);
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if random % 100 >= loss {
                    flying.insert(
                        (free_at[end] + ONE_WAY, u64::from(datagrams)),
                        (1 - end, datagram),
                    );
                }
            }
        }
        let arrival = flying.keys().next().map(|(at, _)| *at);
        let timer = ends.iter().filter_map(Endpoint::poll_timeout).min();
        let Some(next) = arrival.into_iter().chain(timer).min() else {
            return done.map(|done| (done, datagrams));
        };
        now = next.max(now);
        if arrival == Some(next) {
            let (_, (to, datagram)) = flying.pop_first()?;
            ends[to].handle_datagram(now, peers[to], &datagram);
        } else {
            for end in &mut ends {
                end.handle_timeout(now);
            }
        }
    }
}
