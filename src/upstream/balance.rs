//! The choice of the host that a request tries first.

use std::time::Duration;

use crate::route::Balance;

/// A host among which a request chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Its weight now, in thousandths; 1 at least.
    pub(super) weight: u32,
    /// Requests under way there.
    pub(super) under_way: u32,
    /// How far it is behind or ahead of its share in the round.
    pub(super) turn: i64,
}

/// The place of the host to try first, and the turns after this choice. `None` without a host.
///
/// The round is smooth weighted round robin: in each round every host gains its weight, and the one
/// that is furthest behind is chosen and pays for all. With the weights 5, 1 and 1 it chooses a, a,
/// b, a, c, a, a.
pub(super) fn choose(balance: Balance, hosts: &mut [Choice]) -> Option<usize> {
    let is_least = match balance {
        Balance::First => return (!hosts.is_empty()).then_some(0),
        Balance::RoundRobin => vec![true; hosts.len()],
        Balance::LeastOutstanding => hosts
            .iter()
            .map(|host| hosts.iter().all(|other| !is_busier(host, other)))
            .collect(),
    };
    let mut total = 0;
    for (host, _) in hosts.iter_mut().zip(&is_least).filter(|(_, is)| **is) {
        host.turn += i64::from(host.weight);
        total += i64::from(host.weight);
    }
    // The first of those with the highest turn.
    let takes_part = hosts.iter().enumerate().zip(&is_least);
    let takes_part = takes_part.filter(|(_, is)| **is).map(|(host, _)| host);
    let (place, _) = takes_part.rev().max_by_key(|(_, host)| host.turn)?;
    hosts.get_mut(place)?.turn -= total;
    Some(place)
}

/// Whether one has more requests under way than the other, each by its weight.
fn is_busier(one: &Choice, other: &Choice) -> bool {
    let load = |host: &Choice, by: &Choice| u64::from(host.under_way) * u64::from(by.weight);
    load(one, other) > load(other, one)
}

/// The weight of a host that is back `since` then, in thousandths. It grows linearly during
/// `slow_start`, and is never nothing, so that the only host of a route is chosen.
pub(super) fn weight_after(weight: u32, since: Option<Duration>, slow_start: Duration) -> u32 {
    let full = weight.saturating_mul(WHOLE);
    let Some(since) = since.filter(|since| *since < slow_start) else {
        return full;
    };
    let part = u128::from(full) * since.as_micros() / slow_start.as_micros();
    u32::try_from(part).unwrap_or(full).max(1)
}

/// The weight 1, in thousandths.
pub(super) const WHOLE: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn hosts(weights: &[u32]) -> Vec<Choice> {
        let host = |weight: &u32| Choice {
            weight: weight * WHOLE,
            under_way: 0,
            turn: 0,
        };
        weights.iter().map(host).collect()
    }

    fn some_weights(random: &mut Random) -> Vec<u32> {
        let count = 1 + random.below(12);
        let weight = |_| u32::try_from(1 + random.below(20)).unwrap();
        (0..count).map(weight).collect()
    }

    #[test]
    fn the_turns_of_a_heavy_host_are_spread_over_the_round() {
        let mut hosts = hosts(&[5, 1, 1]);
        let mut choose = || choose(Balance::RoundRobin, &mut hosts).unwrap();
        let round: Vec<_> = (0..7).map(|_| choose()).collect();
        assert_eq!(round, [0, 0, 1, 0, 2, 0, 0]);
        let next: Vec<_> = (0..7).map(|_| choose()).collect();
        assert_eq!(next, round);
    }

    /// At every moment, and not only after whole rounds.
    #[test]
    fn each_host_has_its_share_of_the_requests_by_weight() {
        let mut random = Random::new(1);
        for _ in 0..200 {
            let weights = some_weights(&mut random);
            let total = f64::from(weights.iter().sum::<u32>());
            for balance in [Balance::RoundRobin, Balance::LeastOutstanding] {
                let mut hosts = hosts(&weights);
                let mut counts = vec![0_u32; weights.len()];
                for sent in 1..=500 {
                    // Every request has ended before the next one.
                    let chosen = choose(balance, &mut hosts).unwrap();
                    counts[chosen] += 1;
                    for (count, weight) in counts.iter().zip(&weights) {
                        let share = f64::from(sent) * f64::from(*weight) / total;
                        let ahead = f64::from(*count) - share;
                        assert!((-1.5..=1.0).contains(&ahead), "{weights:?} {counts:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn requests_under_way_stay_in_proportion_to_the_weights() {
        let mut random = Random::new(2);
        for _ in 0..200 {
            let weights = some_weights(&mut random);
            let mut hosts = hosts(&weights);
            let mut under_way: Vec<usize> = Vec::new();
            for _ in 0..300 {
                // Some hosts are slower than others, by chance.
                while !under_way.is_empty() && random.chance(0.45) {
                    let place = random.below(under_way.len() as u64);
                    let ended = under_way.swap_remove(usize::try_from(place).unwrap());
                    hosts[ended].under_way -= 1;
                }
                let before = hosts.clone();
                let chosen = choose(Balance::LeastOutstanding, &mut hosts).unwrap();
                let load = |host: &Choice| f64::from(host.under_way) / f64::from(host.weight);
                let least = before.iter().map(load).fold(f64::INFINITY, f64::min);
                let over = load(&before[chosen]) - least;
                assert!(over < 1e-9, "{before:?} {chosen}");
                hosts[chosen].under_way += 1;
                under_way.push(chosen);
            }
        }
    }

    #[test]
    fn a_slow_host_gets_fewer_requests_if_outstanding_ones_count() {
        let mut hosts = hosts(&[1, 1]);
        let mut counts = [0, 0];
        for _ in 0..100 {
            let chosen = choose(Balance::LeastOutstanding, &mut hosts).unwrap();
            counts[chosen] += 1;
            // The first host never answers.
            hosts[0].under_way += u32::from(chosen == 0);
        }
        assert_eq!(counts, [1, 99]);
    }

    #[test]
    fn the_first_host_stays_the_first_and_none_is_none() {
        let mut hosts = hosts(&[1, 100]);
        for _ in 0..10 {
            assert_eq!(choose(Balance::First, &mut hosts), Some(0));
        }
        for (_, balance) in Balance::ALL {
            assert_eq!(choose(balance, &mut []), None);
        }
    }

    #[test]
    fn the_weight_of_a_host_that_is_back_grows_linearly_to_the_whole() {
        let mut random = Random::new(3);
        for _ in 0..200 {
            let weight = u32::try_from(1 + random.below(1000)).unwrap();
            let slow_start = Duration::from_millis(1 + random.below(3_600_000));
            let mut last = 0;
            for percent in 0..=120_u32 {
                let since = slow_start * percent / 100;
                let now = weight_after(weight, Some(since), slow_start);
                assert!(now >= last.max(1), "{weight} {slow_start:?} {percent} %");
                let exact = f64::from(weight * WHOLE) * f64::from(percent.min(100)) / 100.0;
                let off = (f64::from(now) - exact).abs();
                assert!(off <= exact / 100.0 + 1.0, "{now} instead of {exact}");
                last = now;
            }
            assert_eq!(last, weight * WHOLE);
            assert_eq!(weight_after(weight, None, slow_start), weight * WHOLE);
            let at_once = weight_after(weight, Some(Duration::ZERO), Duration::ZERO);
            assert_eq!(at_once, weight * WHOLE);
        }
    }
}
