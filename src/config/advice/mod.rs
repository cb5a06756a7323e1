//! Warnings: contradictory limits, secrets from an example, files that cannot be written.
//! `wapbridge check` shows them, and `wapbridge serve` logs each once.

mod files;
mod hosts;
mod limits;
mod secrets;

use std::ops::Range;

use super::Settings;
use super::reading::{Setting, Step};
use super::report::Problem;
use crate::initiator::InitiatorSettings;
use crate::route::RouteSettings;

/// Every warning about these settings.
pub(super) fn warnings(settings: &Settings, asked: &[Setting]) -> Vec<Problem> {
    let mut advice = Advice {
        settings,
        asked,
        found: Vec::new(),
    };
    advice.sizes();
    advice.times();
    advice.counts();
    advice.hosts();
    advice.amplification();
    advice.secrets();
    advice.files();
    advice.bearers();
    advice.pushes();
    advice.found
}

struct Advice<'a> {
    settings: &'a Settings,
    asked: &'a [Setting],
    found: Vec<Problem>,
}

/// A warning: its place and its text.
struct Note<'a> {
    section: &'a str,
    /// The index in a list of tables.
    nth: Option<usize>,
    key: &'a str,
    title: String,
    label: String,
    help: String,
}

impl Advice<'_> {
    /// Pushes without a store, and passwords of initiators in plain text.
    fn pushes(&mut self) {
        let Some(push) = &self.settings.push else {
            return;
        };
        let note = |title: &str, label: &str, help: &str| Note {
            section: "[push]",
            nth: None,
            key: "listen",
            title: title.to_owned(),
            label: label.to_owned(),
            help: help.to_owned(),
        };
        let mut notes = Vec::new();
        if self.settings.store.is_none() {
            notes.push(note(
                "accepted pushes end with the process",
                "without a store their content, deadlines and notifications are in memory only",
                "set `path` in [store]",
            ));
        }
        let is_open = push
            .listen
            .iter()
            .any(|address| !address.ip().is_loopback());
        let has_secret = |initiator: &InitiatorSettings| {
            initiator.password.is_some() || initiator.token.is_some()
        };
        if push.tls.is_none() && is_open && push.initiators.iter().any(has_secret) {
            notes.push(note(
                "passwords of initiators can be read on the way",
                "HTTP in plain text, and not on loopback",
                "set `certificate` and `key` in [push]",
            ));
        }
        for note in notes {
            self.add(note);
        }
    }

    fn add(&mut self, note: Note<'_>) {
        let at = self.place(note.section, note.nth, note.key);
        self.found.push(Problem {
            // A problem without a label and a place is shown without a quote.
            label: if at.is_some() {
                note.label
            } else {
                String::new()
            },
            at: at.unwrap_or(0..0),
            title: note.title,
            related: None,
            help: note.help,
        });
    }

    /// The place of a setting, if the file sets it.
    fn place(&self, section: &str, nth: Option<usize>, key: &str) -> Option<Range<usize>> {
        let setting = self.asked.iter().find(|setting| {
            let is_nth = match (nth, setting.path.last()) {
                (Some(nth), Some(Step::Index(index))) => nth == *index,
                (Some(_), _) => false,
                (None, _) => true,
            };
            setting.section == section && setting.key == key && is_nth
        });
        setting?.at.clone()
    }

    /// SMS centres without push initiators.
    fn bearers(&mut self) {
        if self.settings.push.is_some() || self.settings.smsc.is_empty() {
            return;
        }
        self.add(Note {
            section: "[[smsc]]",
            nth: Some(0),
            key: "address",
            title: "SMS centres are for pushes, and nobody can push".to_owned(),
            label: "this centre is not connected to".to_owned(),
            help: "set `listen` in [push], or remove [[smsc]]".to_owned(),
        });
    }

    fn is_set(&self, section: &str, nth: Option<usize>, key: &str) -> bool {
        self.place(section, nth, key).is_some()
    }

    fn routes(&self) -> impl Iterator<Item = (usize, &RouteSettings)> {
        self.settings.routes.iter().enumerate()
    }
}

#[cfg(test)]
mod tests;
