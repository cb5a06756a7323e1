//! Warnings about the hosts of routes.

use super::{Advice, Note};

impl Advice<'_> {
    /// Ejection where no other host stands in.
    pub(super) fn hosts(&mut self) {
        let alone: Vec<_> = self
            .routes()
            .filter(|(_, route)| route.host_policy.outlier.is_some() && route.hosts().count() == 1)
            .map(|(nth, route)| (nth, route.name.to_string()))
            .collect();
        for (nth, name) in alone {
            self.add(Note {
                section: "[[route]]",
                nth: Some(nth),
                key: "outlier",
                title: format!("route {name}: outlier has no effect"),
                label: "the only host of a route is never ejected".to_owned(),
                help: "add hosts to `upstream`, or remove it".to_owned(),
            });
        }
    }
}
