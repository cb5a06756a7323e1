//! The budget of a route for requests that are tried at another host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::route::RetryBudget;

/// The requests of a route under way, of all shards, and those that are tried at another host.
#[derive(Debug, Default)]
pub(super) struct Budget {
    requests: AtomicU32,
    retrying: AtomicU32,
    retries: AtomicU64,
    refused: AtomicU64,
}

/// A request of the route, under way until it is dropped.
#[derive(Debug)]
pub(super) struct Active(Arc<Budget>);

/// A request that is tried at another host, until it is dropped.
#[derive(Debug)]
pub(super) struct Retrying(Arc<Budget>);

/// As many requests as may be are tried at other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BudgetSpent;

impl Budget {
    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> Active {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// A request under way is to be tried at another host.
    ///
    /// # Errors
    ///
    /// [`BudgetSpent`], which is counted.
    pub(super) fn retry(
        self: &Arc<Self>,
        budget: Option<&RetryBudget>,
    ) -> Result<Retrying, BudgetSpent> {
        let most = budget.map_or(u32::MAX, |budget| {
            most_retries(budget, self.requests.load(Ordering::Relaxed))
        });
        let more = |retrying: u32| (retrying < most).then(|| retrying + 1);
        let begun = self
            .retrying
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        match begun {
            Ok(_) => {
                self.retries.fetch_add(1, Ordering::Relaxed);
                Ok(Retrying(Arc::clone(self)))
            }
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(BudgetSpent)
            }
        }
    }

    /// Retries so far, and those that were refused.
    pub(super) fn counts(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.retries), count(&self.refused))
    }
}

/// How many of the requests under way may be at another host.
fn most_retries(budget: &RetryBudget, requests: u32) -> u32 {
    let share = u64::from(requests) * u64::from(budget.budget_percent) / 100;
    let share = u32::try_from(share).unwrap_or(u32::MAX);
    share.max(budget.min_retry_concurrency)
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn retries_never_exceed_their_share_or_their_minimum() {
        let mut random = Random::new(5);
        for _ in 0..100 {
            let settings = RetryBudget {
                budget_percent: u32::try_from(random.below(101)).unwrap(),
                min_retry_concurrency: u32::try_from(random.below(4)).unwrap(),
            };
            let budget = Arc::new(Budget::default());
            let (mut active, mut retrying) = (Vec::new(), Vec::new());
            let (mut begun, mut refused) = (0, 0);
            for _ in 0..500 {
                let any = |len: usize, random: &mut Random| {
                    usize::try_from(random.below(len as u64)).unwrap()
                };
                match random.below(5) {
                    0 | 1 => active.push(budget.begin()),
                    2 if active.len() > retrying.len() => {
                        active.swap_remove(any(active.len(), &mut random));
                    }
                    3 if !retrying.is_empty() => {
                        retrying.swap_remove(any(retrying.len(), &mut random));
                    }
                    _ => {
                        let percent = settings.budget_percent as usize;
                        let least = settings.min_retry_concurrency as usize;
                        let most = (active.len() * percent / 100).max(least);
                        match budget.retry(Some(&settings)) {
                            Ok(one) => {
                                assert!(retrying.len() < most, "{settings:?}");
                                retrying.push(one);
                                begun += 1;
                            }
                            Err(BudgetSpent) => {
                                assert!(retrying.len() >= most, "{settings:?}");
                                refused += 1;
                            }
                        }
                    }
                }
            }
            assert_eq!(budget.counts(), (begun, refused));
        }
    }

    #[test]
    fn without_a_budget_every_request_may_be_tried_elsewhere() {
        let budget = Arc::new(Budget::default());
        let all: Vec<_> = (0..1000).map(|_| budget.retry(None)).collect();
        assert!(all.iter().all(Result::is_ok));
        drop(all);
        assert_eq!(budget.retrying.load(Ordering::Relaxed), 0);
    }
}
