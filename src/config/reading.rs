//! The results of reading a configuration: errors, and every setting with its value in force.
//!
//! Readers ask a [`Section`](super::section::Section) for each key they know, with its type, its
//! range and its default. These are all the properties of a setting, and they are recorded here.
//! The configuration in force, the JSON Schema, the list of keys and the mask of reports come from
//! this record.

use std::cell::RefCell;
use std::ops::Range;

use serde_json::Value as Json;
use toml::{Table, Value};

use super::mask::{Keys, Sensitivity};
use super::report::Problem;

/// One step on the way to a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into the table of this name.
    Key(&'static str),
    /// Into this one of a list of tables.
    Index(usize),
}

/// A setting that a reader asked for.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The table of the setting.
    pub(super) path: Vec<Step>,
    /// The table as the operator writes it: `[listen]`, `[[route]]`.
    pub(super) section: String,
    pub(super) key: &'static str,
    /// Its place in the file, if the file sets it.
    pub(super) at: Option<Range<usize>>,
    /// The value in force, secrets masked. `None` if it is not set and has no default.
    pub(super) value: Option<Value>,
    pub(super) kind: Kind,
    /// The least and the greatest value.
    pub(super) range: Option<(Value, Value)>,
}

/// The kind of a setting.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A value, described in JSON Schema.
    Value(fn() -> Json),
    /// A table.
    Table,
    /// A list of tables.
    Tables,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value",
            Self::Table => "Table",
            Self::Tables => "Tables",
        })
    }
}

/// The collection of errors and settings, which all readers share.
#[derive(Debug, Default)]
pub(super) struct Reading {
    problems: RefCell<Vec<Problem>>,
    settings: RefCell<Vec<Setting>>,
    keys: RefCell<Keys>,
}

impl Reading {
    pub(super) fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// A reader has asked for a setting.
    pub(super) fn setting(&self, setting: Setting, sensitivity: Sensitivity) {
        let mut keys = self.keys.borrow_mut();
        let known = keys.entry(setting.key).or_insert(sensitivity);
        *known = sensitivity.max(*known);
        self.settings.borrow_mut().push(setting);
    }

    /// The setting that was asked for latest is not set, and has this default.
    pub(super) fn unset(&self, path: &[Step], key: &'static str, value: Value) {
        let mut settings = self.settings.borrow_mut();
        let latest = settings.iter_mut().rev();
        if let Some(setting) = latest
            .filter(|setting| setting.key == key && setting.path == path)
            .find(|setting| setting.at.is_none())
        {
            setting.value = Some(value);
        }
    }

    /// The range of the setting that was asked for latest.
    pub(super) fn range(&self, key: &'static str, least: Value, most: Value) {
        let mut settings = self.settings.borrow_mut();
        if let Some(setting) = settings.last_mut().filter(|setting| setting.key == key) {
            setting.range = Some((least, most));
        }
    }

    /// Marks the settings of a table as not in force.
    pub(super) fn without_effect(&self, path: &[Step]) {
        let mut settings = self.settings.borrow_mut();
        for setting in settings.iter_mut().filter(|setting| setting.path == path) {
            setting.value = None;
        }
    }

    /// The errors, the settings, and the sensitivity of each key.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Setting>, Keys) {
        (
            self.problems.into_inner(),
            self.settings.into_inner(),
            self.keys.into_inner(),
        )
    }
}

/// The settings in the form of the file.
pub(super) fn document(settings: &[Setting]) -> Table {
    let mut root = Table::new();
    for setting in settings {
        if let Some(value) = &setting.value
            && let Some(table) = table(&mut root, &setting.path)
        {
            table.insert(setting.key.to_owned(), value.clone());
        }
    }
    root
}

/// The table at the end of a path. A missing table is created.
fn table<'t>(root: &'t mut Table, path: &[Step]) -> Option<&'t mut Table> {
    let mut at = root;
    let mut steps = path.iter().peekable();
    while let Some(step) = steps.next() {
        let Step::Key(key) = step else {
            return None;
        };
        let index = match steps.peek() {
            Some(Step::Index(index)) => Some(*index),
            _ => None,
        };
        let entry = at.entry((*key).to_owned());
        at = match index {
            None => entry
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut()?,
            Some(index) => {
                steps.next();
                let list = entry
                    .or_insert_with(|| Value::Array(Vec::new()))
                    .as_array_mut()?;
                while list.len() <= index {
                    list.push(Value::Table(Table::new()));
                }
                list.get_mut(index)?.as_table_mut()?
            }
        };
    }
    Some(at)
}
