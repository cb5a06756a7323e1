//! The errors of a configuration in the style of rustc. Secrets in quoted lines are masked.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::mask::{Keys, Masked};
use super::source::Sources;

/// One error or warning: its title, its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The error in one line.
    pub title: String,
    /// The range of octets in the file, or in all files one after the other.
    pub at: Range<usize>,
    /// The error at its place; shown beside the carets.
    pub label: String,
    /// A related place, with its label.
    pub related: Option<(Range<usize>, String)>,
    /// The remedy.
    pub help: String,
}

/// All errors of one configuration, or all warnings; `Display` is the text for the operator.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    path: String,
    /// The files of the configuration. Empty if there is no text to quote.
    files: Vec<MaskedFile>,
    problems: Vec<Problem>,
    severity: Severity,
}

/// A file without its secrets.
#[derive(Clone, Debug)]
struct MaskedFile {
    name: String,
    /// Its place among all files.
    span: Range<usize>,
    /// The masked text. A mask changes columns, but not the numbers of lines.
    source: Arc<Masked>,
}

/// Whether the problems of a report prevent the use of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used.
    Warning,
}

/// A problem for programs, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Whether it prevents the use of the configuration.
    pub severity: Severity,
    /// The error in one line.
    pub title: String,
    /// The file, if it has a place.
    pub file: Option<String>,
    /// The line there, from 1.
    pub line: Option<usize>,
    /// The column there, from 1, in characters. Before it a secret counts as `***`.
    pub column: Option<usize>,
    /// The error at its place.
    pub label: String,
    /// The remedy.
    pub help: String,
}

impl Report {
    /// The mistakes found in a configuration, in the order of its files.
    pub(super) fn new(
        path: &str,
        sources: &Sources,
        keys: &Keys,
        severity: Severity,
        mut problems: Vec<Problem>,
    ) -> Self {
        problems.sort_by_key(|problem| problem.at.start);
        let files = sources.files().map(|file| MaskedFile {
            name: file.name.clone(),
            span: file.span(),
            source: Masked::new(&file.text, keys).into(),
        });
        Self {
            path: path.to_owned(),
            files: files.collect(),
            problems,
            severity,
        }
    }

    /// The report of a file that could not be read.
    #[must_use]
    pub fn unreadable(path: &str, why: &str, help: &str) -> Self {
        Self {
            path: path.to_owned(),
            files: Vec::new(),
            problems: vec![Problem {
                title: format!("cannot read {path}: {why}"),
                at: 0..0,
                label: String::new(),
                related: None,
                help: help.to_owned(),
            }],
            severity: Severity::Error,
        }
    }

    /// The problems, in the order of the files.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether the report is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems for programs.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.problems.iter().map(|problem| {
            let place = self.place(problem);
            Entry {
                severity: self.severity,
                title: problem.title.clone(),
                file: place.as_ref().map(|(name, ..)| (*name).to_owned()),
                line: place.as_ref().map(|(_, line, _)| *line),
                column: place.as_ref().map(|(.., column)| *column),
                label: problem.label.clone(),
                help: problem.help.clone(),
            }
        })
    }

    /// The problems as lines for a log: error, place and remedy.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.entries().map(|entry| {
            let place = match (&entry.file, entry.line) {
                (Some(file), Some(line)) => format!(" ({file}:{line})"),
                _ => String::new(),
            };
            let label = match entry.label.as_str() {
                "" => String::new(),
                label => format!(": {label}"),
            };
            format!("{}{label}{place}: {}", entry.title, entry.help)
        })
    }

    /// The report as text, with colours for a terminal if asked for.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours {
            Renderer::styled()
        } else {
            Renderer::plain()
        }
        .decor_style(DecorStyle::Ascii);
        let mut out = String::new();
        for problem in &self.problems {
            out.push_str(&renderer.render(&[self.group(problem)]));
            out.push_str("\n\n");
        }
        let noun = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        let count = self.problems.len();
        out.push_str(&format!("{}: {count} {noun}{plural}", self.path));
        out
    }

    /// File, line and column of a problem that has a place.
    fn place(&self, problem: &Problem) -> Option<(&str, usize, usize)> {
        if problem.label.is_empty() && problem.at.is_empty() {
            return None;
        }
        let (file, at) = self.local(&problem.at)?;
        let before = file.source.text().get(..at.start)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next()?.chars().count() + 1;
        Some((&file.name, line, column))
    }

    /// The file of a place, and the place in its masked text.
    fn local(&self, at: &Range<usize>) -> Option<(&MaskedFile, Range<usize>)> {
        let file = self
            .files
            .iter()
            .find(|file| file.span.contains(&at.start) || file.span.end == at.start)?;
        let local = at.start - file.span.start..at.end.min(file.span.end) - file.span.start;
        Some((file, file.source.place(&local)))
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&*problem.title));
        if let Some((file, at)) = self.local(&problem.at)
            && !(problem.label.is_empty() && problem.at.is_empty())
        {
            let mut snippet = Snippet::source(file.source.text())
                .path(file.name.as_str())
                .annotation(AnnotationKind::Primary.span(at).label(&*problem.label));
            let related = problem.related.as_ref();
            if let Some((at, label)) = related.and_then(|(at, label)| {
                // Another file would need a snippet of its own; the label alone would mislead.
                let (other, at) = self.local(at)?;
                (other.name == file.name).then_some((at, label))
            }) {
                snippet = snippet.annotation(AnnotationKind::Context.span(at).label(&**label));
            }
            group = group.element(snippet);
        }
        if !problem.help.is_empty() {
            group = group.element(Level::HELP.message(&*problem.help));
        }
        group
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
