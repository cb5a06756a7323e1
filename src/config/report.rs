//! What is wrong with a configuration, shown the way rustc shows it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One mistake: what it is, where it is and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one line.
    pub title: String,
    /// Where: octets of the file.
    pub at: Range<usize>,
    /// What is wrong with the octets there; shown beside the carets.
    pub label: String,
    /// Another place that has to do with it.
    pub related: Option<(Range<usize>, String)>,
    /// What to do about it.
    pub help: String,
}

/// Every mistake of one configuration file; its `Display` is what the operator reads.
#[derive(Clone, Debug)]
pub struct Report {
    path: String,
    source: Option<String>,
    problems: Vec<Problem>,
}

impl Report {
    /// The mistakes found in `source`, in the order of the file.
    #[must_use]
    pub fn new(path: &str, source: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.at.start);
        Self {
            path: path.to_owned(),
            source: Some(source.to_owned()),
            problems,
        }
    }

    /// A file that could not even be read.
    #[must_use]
    pub fn unreadable(path: &str, why: &str, help: &str) -> Self {
        Self {
            path: path.to_owned(),
            source: None,
            problems: vec![Problem {
                title: format!("cannot read {path}: {why}"),
                at: 0..0,
                label: String::new(),
                related: None,
                help: help.to_owned(),
            }],
        }
    }

    /// The mistakes, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
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
        out.push_str(&match self.problems.len() {
            1 => format!("{}: 1 error", self.path),
            count => format!("{}: {count} errors", self.path),
        });
        out
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let mut group = Group::with_title(Level::ERROR.primary_title(&*problem.title));
        if let Some(source) = &self.source {
            let mut snippet = Snippet::source(source.as_str())
                .path(self.path.as_str())
                .annotation(
                    AnnotationKind::Primary
                        .span(problem.at.clone())
                        .label(&*problem.label),
                );
            if let Some((at, label)) = &problem.related {
                snippet =
                    snippet.annotation(AnnotationKind::Context.span(at.clone()).label(&**label));
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

/// What is gathered while a file is read: mistakes, so that all of them are told at once, and the words the
/// reader knows.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Problem>>,
    words: RefCell<BTreeSet<(String, &'static str)>>,
}

impl Problems {
    pub(super) fn add(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    /// The reader asked the section of this name for this key.
    pub(super) fn asked(&self, section: &str, key: &'static str) {
        self.words.borrow_mut().insert((section.to_owned(), key));
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.found.into_inner()
    }

    pub(super) fn into_words(self) -> BTreeSet<(String, &'static str)> {
        self.words.into_inner()
    }
}
