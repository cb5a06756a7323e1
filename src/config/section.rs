//! A table of the file while it is read: readers take every key by name, and the keys left at the
//! end are errors.

use std::cell::RefCell;
use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mask::{Sensitivity, is_plausible};
use super::reading::{Kind, Reading, Setting, Step};
use super::report::Problem;
use super::suggest::closest;
use super::value::{Value, Wrong};

/// One table of the file. Dropping it reports the keys that no reader asked for.
pub(super) struct Section<'p, 'i> {
    /// The name as the operator writes it: `[listen]`, `[[route]]`; empty for the file itself.
    name: String,
    /// The path to the table.
    path: Vec<Step>,
    /// Its place; `None` if the file has no such table.
    at: Option<Range<usize>>,
    entries: RefCell<DeTable<'i>>,
    known: RefCell<Vec<&'static str>>,
    reading: &'p Reading,
}

impl<'p, 'i> Section<'p, 'i> {
    /// The file itself.
    pub(super) fn root(table: DeTable<'i>, reading: &'p Reading) -> Self {
        Self::new(String::new(), Vec::new(), None, table, reading)
    }

    fn new(
        name: String,
        path: Vec<Step>,
        at: Option<Range<usize>>,
        table: DeTable<'i>,
        reading: &'p Reading,
    ) -> Self {
        Self {
            name,
            path,
            at,
            entries: RefCell::new(table),
            known: RefCell::default(),
            reading,
        }
    }

    /// The place of the section, if the file has it.
    pub(super) fn at(&self) -> Option<Range<usize>> {
        self.at.clone()
    }

    /// The table `[key]`; an empty one if the file does not have it.
    pub(super) fn section(&self, key: &'static str) -> Self {
        let name = format!("[{}]", self.path(key));
        let path = self.below(key, None);
        let taken = self.take(key);
        self.asked(key, Kind::Table, Sensitivity::Plain, taken.as_ref(), None);
        match taken {
            Some((at, value)) => self.table(name, path, at, value),
            None => self.absent(name, path),
        }
    }

    /// The tables `[[key]]`, in order.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Self> {
        let name = format!("[[{}]]", self.path(key));
        let taken = self.take(key);
        self.asked(key, Kind::Tables, Sensitivity::Plain, taken.as_ref(), None);
        let Some((at, value)) = taken else {
            return Vec::new();
        };
        if let DeValue::Table(_) = value.get_ref() {
            self.reading.problem(Problem {
                title: format!("`{key}` is a list of tables"),
                at: at.clone(),
                label: "in single brackets there could be only one".to_owned(),
                related: None,
                help: format!("write {name}"),
            });
            return vec![self.table(name, self.below(key, Some(0)), at, value)];
        }
        let DeValue::Array(items) = value.into_inner() else {
            self.wrong_section(&name, at);
            return Vec::new();
        };
        items
            .into_iter()
            .enumerate()
            .map(|(nth, item)| {
                let path = self.below(key, Some(nth));
                self.table(name.clone(), path, item.span(), item)
            })
            .collect()
    }

    /// The value of `key`, or `default` if the file does not set it.
    pub(super) fn or<T: Value>(&self, key: &'static str, default: T) -> T {
        self.get(key).unwrap_or_else(|| {
            self.default(key, &default);
            default
        })
    }

    /// The same for a value that must lie in `range`.
    pub(super) fn within<T>(&self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: Value + PartialOrd + Debug,
    {
        self.optional(key, range).unwrap_or_else(|| {
            self.default(key, &default);
            default
        })
    }

    /// The value of `key`, which must lie in `range`, if the file sets it.
    pub(super) fn optional<T>(&self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: Value + PartialOrd + Debug,
    {
        let value = self.spanned::<T>(key);
        self.reading
            .range(key, range.start().show(), range.end().show());
        let value = value?;
        if range.contains(value.get_ref()) {
            return Some(value.into_inner());
        }
        let (least, most) = range.into_inner();
        let label = if *value.get_ref() < least {
            format!("less than {least:?}")
        } else {
            format!("more than {most:?}")
        };
        self.invalid(
            key,
            value.span(),
            Wrong::new(label, format!("choose a value from {least:?} to {most:?}")),
        );
        None
    }

    /// The value of `key`, if the file sets it, and the value is valid.
    pub(super) fn get<T: Value>(&self, key: &'static str) -> Option<T> {
        self.spanned(key).map(Spanned::into_inner)
    }

    /// The value of `key` and its place.
    pub(super) fn spanned<T: Value>(&self, key: &'static str) -> Option<Spanned<T>> {
        let taken = self.take(key);
        let mut wrong = Vec::new();
        let read = taken.as_ref().and_then(|(_, value)| {
            let read = T::read_spanned(value, &mut wrong)?;
            Some(Spanned::new(value.span(), read))
        });
        let shown = read.as_ref().map(|read| read.get_ref().show());
        self.asked(
            key,
            Kind::Value(T::schema),
            T::SENSITIVITY,
            taken.as_ref(),
            shown,
        );
        for (at, wrong) in wrong {
            self.invalid(key, at, wrong);
        }
        read
    }

    /// Records the default of `key`, which a reader asked for.
    pub(super) fn default<T: Value>(&self, key: &'static str, default: &T) {
        self.reading.unset(&self.path, key, default.show());
    }

    /// Marks the settings of this section as without effect: the setting that enables it is
    /// missing.
    pub(super) fn without_effect(&self) {
        self.reading.without_effect(&self.path);
    }

    /// The values of `key`, at least one, and their place.
    pub(super) fn list<T: Value>(&self, key: &'static str) -> Option<Spanned<Vec<T>>> {
        let values = self.spanned::<Vec<T>>(key)?;
        if values.get_ref().is_empty() {
            let expected = format!("expected at least one: {}", T::EXPECTED);
            self.invalid(key, values.span(), Wrong::new("this is empty", expected));
            return None;
        }
        Some(values)
    }

    /// Whether the file sets `key`, to a valid value or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.borrow().contains_key(key)
    }

    /// Reports a missing setting that the section needs.
    pub(super) fn missing(&self, what: &str, help: &str) {
        self.reading.problem(Problem {
            title: format!("{} has no {what}", self.name),
            at: self.at().unwrap_or(0..0),
            label: format!("{what} is missing"),
            related: None,
            help: help.to_owned(),
        });
    }

    /// Reports a value of the right type that is wrong.
    pub(super) fn invalid(&self, key: &str, at: Range<usize>, wrong: Wrong) {
        self.reading.problem(Problem {
            title: format!("invalid `{key}` in {}", self.name),
            at,
            label: wrong.label,
            related: None,
            help: wrong.help,
        });
    }

    /// Reports any problem.
    pub(super) fn problem(&self, problem: Problem) {
        self.reading.problem(problem);
    }

    /// A table in this one, as the operator writes it between brackets.
    fn path(&self, key: &str) -> String {
        match self.name.trim_matches(['[', ']']) {
            "" => key.to_owned(),
            outer => format!("{outer}.{key}"),
        }
    }

    /// The path to a table in this one.
    fn below(&self, key: &'static str, nth: Option<usize>) -> Vec<Step> {
        let mut path = self.path.clone();
        path.push(Step::Key(key));
        path.extend(nth.map(Step::Index));
        path
    }

    fn take(&self, key: &'static str) -> Option<Taken<'i>> {
        self.known.borrow_mut().push(key);
        let (name, value) = self.entries.borrow_mut().remove_entry(key)?;
        Some((name.span(), value))
    }

    fn asked(
        &self,
        key: &'static str,
        kind: Kind,
        sensitivity: Sensitivity,
        taken: Option<&Taken<'i>>,
        value: Option<toml::Value>,
    ) {
        let setting = Setting {
            path: self.path.clone(),
            section: self.name.clone(),
            key,
            at: taken.map(|(at, _)| at.clone()),
            value,
            kind,
            range: None,
        };
        self.reading.setting(setting, sensitivity);
    }

    fn table(
        &self,
        name: String,
        path: Vec<Step>,
        at: Range<usize>,
        value: Spanned<DeValue<'i>>,
    ) -> Self {
        let DeValue::Table(table) = value.into_inner() else {
            self.wrong_section(&name, at);
            return self.absent(name, path);
        };
        Self::new(name, path, Some(at), table, self.reading)
    }

    fn absent(&self, name: String, path: Vec<Step>) -> Self {
        Self::new(name, path, None, DeTable::default(), self.reading)
    }

    fn wrong_section(&self, name: &str, at: Range<usize>) {
        self.reading.problem(Problem {
            title: format!("{name} is a section, not a value"),
            at,
            label: "expected a table".to_owned(),
            related: None,
            help: format!("write {name} on a line of its own and its settings below it"),
        });
    }
}

/// A key's place, and its value.
type Taken<'i> = (Range<usize>, Spanned<DeValue<'i>>);

impl Drop for Section<'_, '_> {
    fn drop(&mut self) {
        let known = self.known.get_mut();
        for (key, value) in std::mem::take(self.entries.get_mut()) {
            let is_section = matches!(value.get_ref(), DeValue::Table(_));
            let (thing, place) = match (self.name.as_str(), is_section) {
                ("", true) => ("section", "this file"),
                ("", false) => ("key", "this file, outside any section"),
                (name, _) => ("key", name),
            };
            // The text may be a secret in the place of a key.
            let shown = match is_plausible(key.get_ref()) {
                true => key.get_ref().as_ref(),
                false => "***",
            };
            let help = closest(key.get_ref(), known.iter().copied()).map_or_else(
                || {
                    known.sort_unstable();
                    format!("known here: {}", known.join(", "))
                },
                |known| format!("did you mean `{known}`?"),
            );
            self.reading.problem(Problem {
                title: format!("unknown {thing} `{shown}` in {place}"),
                at: key.span(),
                label: format!("there is no such {thing}"),
                related: None,
                help,
            });
        }
    }
}
