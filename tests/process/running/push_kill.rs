//! The process is killed between the acceptance of a push and its delivery.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wapbridge::push::datetime;

use super::now;
use super::push::stage;

/// An accepted push is delivered and its result told, whenever the process is killed. A result is
/// told again only if a kill came after the first telling: the receipt may have been lost with the
/// process. `WAPBRIDGE_KILLS` sets how often the process is killed.
#[test]
fn an_accepted_push_outlives_a_kill() {
    let times: u32 = std::env::var("WAPBRIDGE_KILLS").map_or(5, |times| times.parse().unwrap());
    let mut stage = stage("push-kill", "[store]\npath = \"store.redb\"");
    let mut kills: Vec<Instant> = Vec::new();
    for time in 0..times {
        let notify = format!("ppg-notify-requested-to=\"{}\"", stage.results.url);
        // One that is delivered before the kill or after it, and one that waits.
        let after = datetime::text(unix_millis() + 1_500);
        let waits = format!("{notify} deliver-after-timestamp=\"{after}\"");
        assert_eq!(stage.submit(&format!("{time}-now"), &notify), "1001");
        assert_eq!(stage.submit(&format!("{time}-later"), &waits), "1001");
        std::thread::sleep(Duration::from_millis(u64::from(time * 7 % 40)));
        stage.gateway.kill();
        // What it told last is read by now.
        std::thread::sleep(Duration::from_millis(300));
        kills.push(now());
        stage.gateway.start_again();
    }
    let mut told: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    let count = usize::try_from(2 * times).unwrap();
    let begun = now();
    while told.len() < count {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", told.len());
        while let Ok((at, result)) = stage.results.heard.try_recv() {
            assert_eq!(result.state.name(), "delivered");
            told.entry(result.push_id).or_default().push(at);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut repeated = 0;
    for (push_id, times) in &mut told {
        times.sort();
        for pair in times.windows(2) {
            repeated += 1;
            let is_killed = kills.iter().any(|kill| (pair[0]..=pair[1]).contains(kill));
            assert!(is_killed, "{push_id} was told twice in one life");
        }
    }
    stage.phone.set_nonblocking(true).unwrap();
    let mut datagram = [0; 2_000];
    let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
    while let Ok(length) = stage.phone.recv(&mut datagram) {
        let text = String::from_utf8_lossy(&datagram[6..length]).into_owned();
        *delivered.entry(text).or_default() += 1;
    }
    assert_eq!(delivered.len(), count, "{delivered:?}");
    println!("{times} kills, {count} pushes, {repeated} results told again");
}

#[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
fn unix_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}
