//! A table of the file while it is read: every key is taken by name, and what is left when the reading
//! ends is a mistake.

use std::cell::RefCell;
use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Problem, Problems};
use super::suggest::closest;
use super::value::{Value, Wrong};

/// One table of the file. Dropping it reports the keys that nobody asked for.
pub(super) struct Section<'p, 'i> {
    /// As the operator writes it: `[listen]`, `[[route]]`; empty for the file itself.
    name: String,
    /// Where it begins; `None` if the file does not have it.
    at: Option<Range<usize>>,
    entries: RefCell<DeTable<'i>>,
    known: RefCell<Vec<&'static str>>,
    problems: &'p Problems,
}

impl<'p, 'i> Section<'p, 'i> {
    /// The file itself.
    pub(super) fn root(table: DeTable<'i>, problems: &'p Problems) -> Self {
        Self::new(String::new(), None, table, problems)
    }

    fn new(
        name: String,
        at: Option<Range<usize>>,
        table: DeTable<'i>,
        problems: &'p Problems,
    ) -> Self {
        Self {
            name,
            at,
            entries: RefCell::new(table),
            known: RefCell::default(),
            problems,
        }
    }

    /// Where the section begins, if the file has it.
    pub(super) fn at(&self) -> Option<Range<usize>> {
        self.at.clone()
    }

    /// The table `[key]`; an empty one if the file does not have it.
    pub(super) fn section(&self, key: &'static str) -> Self {
        let name = format!("[{}]", self.path(key));
        match self.take(key) {
            Some((at, value)) => self.table(name, at, value),
            None => self.absent(name),
        }
    }

    /// The tables `[[key]]`, in order.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Self> {
        let name = format!("[[{}]]", self.path(key));
        let Some((at, value)) = self.take(key) else {
            return Vec::new();
        };
        if let DeValue::Table(_) = value.get_ref() {
            self.problems.add(Problem {
                title: format!("`{key}` is a list of tables"),
                at: at.clone(),
                label: "in single brackets there could be only one".to_owned(),
                related: None,
                help: format!("write {name}"),
            });
            return vec![self.table(name, at, value)];
        }
        let DeValue::Array(items) = value.into_inner() else {
            self.wrong_section(&name, at);
            return Vec::new();
        };
        items
            .into_iter()
            .map(|item| self.table(name.clone(), item.span(), item))
            .collect()
    }

    /// The value of `key`, or `default` if the file does not set it.
    pub(super) fn or<T: Value>(&self, key: &'static str, default: T) -> T {
        self.get(key).unwrap_or(default)
    }

    /// The same for a value that must lie in `range`.
    pub(super) fn within<T>(&self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: Value + PartialOrd + Debug,
    {
        let Some(value) = self.spanned::<T>(key) else {
            return default;
        };
        if range.contains(value.get_ref()) {
            return value.into_inner();
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
        default
    }

    /// The value of `key`, if the file sets it and it is one.
    pub(super) fn get<T: Value>(&self, key: &'static str) -> Option<T> {
        self.spanned(key).map(Spanned::into_inner)
    }

    /// The value of `key` and where it is.
    pub(super) fn spanned<T: Value>(&self, key: &'static str) -> Option<Spanned<T>> {
        let (_, value) = self.take(key)?;
        let mut wrong = Vec::new();
        let read = T::read_spanned(&value, &mut wrong);
        for (at, wrong) in wrong {
            self.invalid(key, at, wrong);
        }
        read.map(|read| Spanned::new(value.span(), read))
    }

    /// The values of `key`, of which there must be one at least, and where they are.
    pub(super) fn list<T: Value>(&self, key: &'static str) -> Option<Spanned<Vec<T>>> {
        let values = self.spanned::<Vec<T>>(key)?;
        if values.get_ref().is_empty() {
            let expected = format!("expected at least one: {}", T::EXPECTED);
            self.invalid(key, values.span(), Wrong::new("this is empty", expected));
            return None;
        }
        Some(values)
    }

    /// Whether the file sets `key`, be it well or wrongly.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.borrow().contains_key(key)
    }

    /// Reports that something the section cannot do without is missing.
    pub(super) fn missing(&self, what: &str, help: &str) {
        self.problems.add(Problem {
            title: format!("{} has no {what}", self.name),
            at: self.at().unwrap_or(0..0),
            label: format!("{what} is missing"),
            related: None,
            help: help.to_owned(),
        });
    }

    /// Reports a value that is of the right kind and yet wrong.
    pub(super) fn invalid(&self, key: &str, at: Range<usize>, wrong: Wrong) {
        self.problems.add(Problem {
            title: format!("invalid `{key}` in {}", self.name),
            at,
            label: wrong.label,
            related: None,
            help: wrong.help,
        });
    }

    /// Reports anything else.
    pub(super) fn problem(&self, problem: Problem) {
        self.problems.add(problem);
    }

    /// A table in this one, as the operator writes it between brackets.
    fn path(&self, key: &str) -> String {
        match self.name.trim_matches(['[', ']']) {
            "" => key.to_owned(),
            outer => format!("{outer}.{key}"),
        }
    }

    fn take(&self, key: &'static str) -> Option<(Range<usize>, Spanned<DeValue<'i>>)> {
        self.known.borrow_mut().push(key);
        self.problems.asked(&self.name, key);
        let (name, value) = self.entries.borrow_mut().remove_entry(key)?;
        Some((name.span(), value))
    }

    fn table(&self, name: String, at: Range<usize>, value: Spanned<DeValue<'i>>) -> Self {
        let DeValue::Table(table) = value.into_inner() else {
            self.wrong_section(&name, at);
            return self.absent(name);
        };
        Self::new(name, Some(at), table, self.problems)
    }

    fn absent(&self, name: String) -> Self {
        Self::new(name, None, DeTable::default(), self.problems)
    }

    fn wrong_section(&self, name: &str, at: Range<usize>) {
        self.problems.add(Problem {
            title: format!("{name} is a section, not a value"),
            at,
            label: "expected a table".to_owned(),
            related: None,
            help: format!("write {name} on a line of its own and its settings below it"),
        });
    }
}

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
            let help = closest(key.get_ref(), known.iter().copied()).map_or_else(
                || {
                    known.sort_unstable();
                    format!("known here: {}", known.join(", "))
                },
                |known| format!("did you mean `{known}`?"),
            );
            self.problems.add(Problem {
                title: format!("unknown {thing} `{}` in {place}", key.get_ref()),
                at: key.span(),
                label: format!("there is no such {thing}"),
                related: None,
                help,
            });
        }
    }
}
