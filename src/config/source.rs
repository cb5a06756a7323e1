//! The text of a configuration: its file, and the files that `include` names.
//!
//! Offsets count through all files one after the other, so that one number gives file and octet.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::include::include;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Name of the file in reports.
    pub(super) name: String,
    pub(super) text: String,
    /// The octets of all files before it.
    base: usize,
}

/// Every file of a configuration. It holds secrets, so that its `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Sources(Vec<SourceFile>);

impl SourceFile {
    /// Its place among all files.
    pub(super) fn span(&self) -> Range<usize> {
        self.base..self.base + self.text.len()
    }
}

impl Sources {
    /// A configuration of one file.
    pub(super) fn new(name: &str, text: &str) -> Self {
        let mut sources = Self::default();
        sources.add(name.to_owned(), text.to_owned());
        sources
    }

    /// Adds a file behind the others.
    pub(super) fn add(&mut self, name: String, text: String) {
        // One octet between two files, so that the end of one is not the beginning of the next.
        let base = self.0.last().map_or(0, |last| last.span().end + 1);
        self.0.push(SourceFile { name, text, base });
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.0.iter()
    }

    /// Parses every file and merges the tables of included files into the first. Offsets in tables
    /// and errors count through all files.
    pub(super) fn parse(&self) -> Parsed<'_> {
        let mut parsed = Parsed {
            table: DeTable::default(),
            syntax: Vec::new(),
            doubled: Vec::new(),
        };
        for file in &self.0 {
            let (table, errors) = DeTable::parse_recoverable(&file.text);
            let table = moved(table.into_inner(), file.base);
            for error in errors {
                let at = error.span().unwrap_or(0..0);
                let at = at.start + file.base..at.end + file.base;
                parsed.syntax.push((at, error));
            }
            if parsed.table.is_empty() {
                parsed.table = table;
            } else {
                merge(&mut parsed.table, table, &mut parsed.doubled);
            }
        }
        parsed
    }

    /// The line of a place.
    pub(super) fn line_text(&self, at: usize) -> Option<&str> {
        let file = self.0.iter().rfind(|file| file.base <= at)?;
        let (before, behind) = file.text.split_at_checked(at - file.base)?;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = behind.find('\n').unwrap_or(behind.len()) + before.len();
        file.text.get(start..end)
    }

    /// The number of the line of a place, counted through all files.
    pub(super) fn line(&self, at: usize) -> usize {
        let ends = |text: &str| text.bytes().filter(|octet| *octet == b'\n').count() + 1;
        let before = self.0.iter().take_while(|file| file.base <= at);
        before
            .map(|file| {
                let end = (at - file.base).min(file.text.len());
                ends(file.text.get(..end).unwrap_or(&file.text))
            })
            .sum()
    }
}

/// The texts of all files of a configuration, or the error. For comparisons: has a file changed?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts(pub(super) Result<Sources, String>);

impl Texts {
    /// Reads the file at `path` and the files that its `include` names now.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let read = std::fs::read_to_string(path).map(|text| {
            let mut sources = Sources::new(&path.display().to_string(), &text);
            let directory = path.parent().unwrap_or_else(|| Path::new(""));
            // A file that cannot be read is missing in the texts.
            let _ = include(&mut sources, directory);
            sources
        });
        Self(read.map_err(|error| error.to_string()))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|file| &file.name))
            .finish()
    }
}

/// The result of parsing the files.
pub(super) struct Parsed<'i> {
    pub(super) table: DeTable<'i>,
    pub(super) syntax: Vec<(Range<usize>, Error)>,
    /// Keys that two files set, with the place in the first one and in the second one.
    pub(super) doubled: Vec<(String, Range<usize>, Range<usize>)>,
}

/// A table with its places moved by a number of octets.
fn moved(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    if by == 0 {
        return table;
    }
    let at = |span: Range<usize>| span.start + by..span.end + by;
    table
        .into_iter()
        .map(|(key, value)| {
            let key = Spanned::new(at(key.span()), key.into_inner());
            (key, moved_value(value, by))
        })
        .collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + by..value.span().end + by;
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved(table, by)),
        DeValue::Array(values) => DeValue::Array(
            values
                .into_iter()
                .map(|value| moved_value(value, by))
                .collect(),
        ),
        other => other,
    };
    Spanned::new(span, value)
}

/// Adds the keys of one table to another: tables are merged, lists of tables are concatenated.
fn merge<'i>(
    into: &mut DeTable<'i>,
    from: DeTable<'i>,
    doubled: &mut Vec<(String, Range<usize>, Range<usize>)>,
) {
    for (key, value) in from {
        let Some((known, before)) = into.remove_entry(key.get_ref().as_ref()) else {
            into.insert(key, value);
            continue;
        };
        let at = before.span();
        let both = match (before.into_inner(), value.into_inner()) {
            (DeValue::Table(mut before), DeValue::Table(value)) => {
                merge(&mut before, value, doubled);
                DeValue::Table(before)
            }
            (DeValue::Array(before), DeValue::Array(value)) if are_tables(&before) => {
                DeValue::Array(before.into_iter().chain(value).collect())
            }
            (before, _) => {
                let name = known.get_ref().to_string();
                doubled.push((name, known.span(), key.span()));
                before
            }
        };
        into.insert(known, Spanned::new(at, both));
    }
}

fn are_tables(values: &[Spanned<DeValue<'_>>]) -> bool {
    values
        .iter()
        .all(|value| matches!(value.get_ref(), DeValue::Table(_)))
}
