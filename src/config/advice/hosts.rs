//! Warnings about the hosts of routes.

use super::{Advice, Note};
use crate::route::Balance;

impl Advice<'_> {
    /// Settings for several hosts where there is one, and settings of a balance where there is
    /// none.
    pub(super) fn hosts(&mut self) {
        let mut found: Vec<(usize, &'static str, String, &str, &str)> = Vec::new();
        for (nth, route) in self.routes() {
            let policy = &route.host_policy;
            let mut add = |key, what, label, help| {
                let title = format!("route {}: {what} has no effect", route.name);
                found.push((nth, key, title, label, help));
            };
            if route.hosts().count() == 1 {
                let help = "add hosts to `upstream`, or remove it";
                if policy.outlier.is_some() {
                    let label = "the only host of a route is never ejected";
                    add("outlier", "outlier", label, help);
                }
                if policy.retry_budget.is_some() {
                    let label = "there is no other host to try";
                    add("retry_budget", "retry_budget", label, help);
                }
                if policy.balance != Balance::First {
                    add("balance", "balance", "there is nothing to choose", help);
                }
            }
            if policy.balance == Balance::First {
                let label = "the first host in service gets all requests";
                let help = "set `balance = \"round_robin\"` or \"least_outstanding\", or remove it";
                for key in ["affinity", "slow_start"] {
                    if self.is_set("[[route]]", Some(nth), key) {
                        add(key, key, label, help);
                    }
                }
                if !policy.weights.is_empty() {
                    add("upstream", "weight", label, help);
                }
            }
        }
        for (nth, key, title, label, help) in found {
            self.add(Note {
                section: "[[route]]",
                nth: Some(nth),
                key,
                title,
                label: label.to_owned(),
                help: help.to_owned(),
            });
        }
    }
}
