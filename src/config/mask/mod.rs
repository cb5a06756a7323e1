//! A configuration file for display: secrets are replaced by `***`, also in a file with errors.
//!
//! Reports quote lines with an error, and an error is often near a secret: a missing quote, a
//! misspelt key. So the mask does not rely on the parser. It walks through the text by itself, and
//! shows a value only behind a key that is known to be public. It masks all other text: values of
//! secret and of unknown keys, text without a key, comments, and strings of several lines.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::suggest::closest;

/// The visible part of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sensitivity {
    /// The whole value; of a URL neither user information nor parameters, query and fragment.
    Plain,
    /// The name of a file, unless it looks like a secret in its place.
    File,
    /// The part of a rule such as `set X-Key: value` before the value.
    Rule,
    /// No part of the value.
    Secret,
}

/// The keys that the reader knows, by their names without a section.
pub(super) type Keys = BTreeMap<&'static str, Sensitivity>;

/// A text with its secrets masked.
#[derive(Clone, Debug)]
pub(super) struct Masked {
    text: String,
    /// The replacements in order: the range of the original, and the offset of its mask.
    replaced: Vec<(Range<usize>, usize)>,
}

impl Masked {
    /// Masks the secrets of a configuration file.
    pub(super) fn new(source: &str, keys: &Keys) -> Self {
        let mut text = String::with_capacity(source.len());
        let mut replaced = Vec::new();
        let mut from = 0;
        for secret in secrets(source, keys) {
            text.push_str(source.get(from..secret.start).unwrap_or_default());
            replaced.push((secret.clone(), text.len()));
            text.push_str(MASK);
            from = secret.end;
        }
        text.push_str(source.get(from..).unwrap_or_default());
        Self { text, replaced }
    }

    /// The masked text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The range in the masked text for a range of the original.
    pub(super) fn place(&self, original: &Range<usize>) -> Range<usize> {
        let start = self.offset(original.start, false);
        start..self.offset(original.end, true).max(start)
    }

    fn offset(&self, original: usize, is_end: bool) -> usize {
        let (mut was, mut is) = (0, 0);
        for (range, at) in &self.replaced {
            let inside = match is_end {
                true => range.start < original && original < range.end,
                false => range.contains(&original),
            };
            if inside {
                return if is_end { at + MASK.len() } else { *at };
            }
            if range.start >= original {
                break;
            }
            (was, is) = (range.end, at + MASK.len());
        }
        is + original.saturating_sub(was)
    }
}

/// Keys of secrets in lists of tables. A file whose list cannot be parsed does not make them known.
const SECRETS: &[&str] = &["secret", "password", "token"];

/// The mask of a secret.
const MASK: &str = "***";

/// The ranges of all secrets, in order. No range spans a line end.
fn secrets(source: &str, keys: &Keys) -> Vec<Range<usize>> {
    let mut walk = Walk {
        source,
        keys,
        at: 0,
        depth: 0,
        state: State::Key,
        words: Vec::new(),
        found: Vec::new(),
    };
    walk.run();
    let mut found = walk.found;
    found.sort_by_key(|range| range.start);
    // Neighbours become one mask, so that the number of words of a secret does not show.
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in found {
        match merged.last_mut() {
            Some(last) if is_gap(source, last.end, range.start) => {
                last.end = range.end.max(last.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Whether only blanks stand between two places.
fn is_gap(source: &str, from: usize, to: usize) -> bool {
    from >= to
        || source
            .get(from..to)
            .is_some_and(|gap| gap.bytes().all(|octet| matches!(octet, b' ' | b'\t')))
}

/// The expected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A key, or a section between brackets.
    Key,
    /// The name of a section.
    Section,
    /// A value of this sensitivity.
    Value(Sensitivity),
}

/// A walk through the text, token by token.
struct Walk<'a> {
    source: &'a str,
    keys: &'a Keys,
    at: usize,
    /// Open brackets and braces of a value.
    depth: usize,
    state: State,
    /// The words since the line began, which are a key once an equals sign follows.
    words: Vec<Range<usize>>,
    found: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn run(&mut self) {
        while let Some(octet) = self.peek() {
            let start = self.at;
            match octet {
                b'\n' => self.end_line(),
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => {
                    self.at = self.line_end();
                    self.hide(start + 1..self.at);
                }
                b'"' | b'\'' => self.string(octet),
                b'=' => self.equals(),
                b'[' | b'{' => {
                    self.at += 1;
                    match self.state {
                        State::Key if self.words.is_empty() && octet == b'[' => {
                            self.state = State::Section;
                        }
                        State::Section if octet == b'[' => {}
                        _ => self.depth += 1,
                    }
                    if octet == b'{' {
                        self.state = State::Key;
                    }
                }
                b']' | b'}' => {
                    self.at += 1;
                    self.depth = self.depth.saturating_sub(1);
                    self.end_value(octet == b'}');
                }
                b',' => {
                    self.at += 1;
                    // In an inline table a key follows; in an array another value of the same key.
                    if self.words_are_of_a_table() {
                        self.hide_words();
                        self.state = State::Key;
                    }
                }
                _ => self.word(),
            }
        }
        self.hide_words();
    }

    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn line_end(&self) -> usize {
        self.rest()
            .find('\n')
            .map_or(self.source.len(), |length| self.at + length)
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.source.get(range.clone()).unwrap_or_default()
    }

    fn end_line(&mut self) {
        self.at += 1;
        self.hide_words();
        if self.depth == 0 || !matches!(self.state, State::Value(_)) {
            self.state = State::Key;
        }
    }

    /// Whether a comma is followed by a key.
    fn words_are_of_a_table(&self) -> bool {
        matches!(self.state, State::Key)
            || self
                .source
                .get(self.at..self.line_end())
                .is_some_and(|rest| {
                    let word = rest.trim_start();
                    let length = word.find(|c: char| !is_word(c)).unwrap_or(word.len());
                    length > 0
                        && word
                            .get(length..)
                            .is_some_and(|rest| rest.trim_start().starts_with('='))
                })
    }

    /// A value is complete. A second one on the line has no key: it is a mistake, and is masked.
    fn end_value(&mut self, of_table: bool) {
        if of_table {
            self.hide_words();
        }
        if self.depth == 0 || of_table {
            self.state = State::Value(Sensitivity::Secret);
        }
    }

    /// The words before an equals sign are a key, which decides whether the value is public.
    fn equals(&mut self) {
        self.at += 1;
        let words = std::mem::take(&mut self.words);
        let mut sensitivity = Sensitivity::Secret;
        for word in words {
            let name = self.text(&word).trim_matches(['"', '\'']);
            let is_shown = self.keys.contains_key(name) || is_plausible(name);
            sensitivity = self.sensitivity(name);
            if !is_shown {
                self.hide(word);
            }
        }
        self.state = State::Value(sensitivity);
    }

    /// The sensitivity of a key's value. A misspelt key counts as the key that it is close to, and
    /// as a secret one if it is close to any secret key.
    fn sensitivity(&self, name: &str) -> Sensitivity {
        if let Some(known) = self.keys.get(name) {
            return *known;
        }
        let close = |least: Sensitivity| {
            let keys = self.keys.iter().filter(|(_, known)| **known >= least);
            closest(name, keys.map(|(key, _)| *key))
        };
        let is_secret = closest(name, SECRETS.iter().copied()).is_some();
        match (close(Sensitivity::File), close(Sensitivity::Plain)) {
            (None, Some(_)) if !is_secret => Sensitivity::Plain,
            _ => Sensitivity::Secret,
        }
    }

    /// A string, or an unterminated one: it ends at a quote, else with its line.
    fn string(&mut self, quote: u8) {
        let start = self.at;
        let triple = [quote; 3];
        if self.rest().as_bytes().starts_with(&triple) {
            let end = self
                .rest()
                .as_bytes()
                .windows(3)
                .skip(3)
                .position(|octets| octets == triple)
                .map_or(self.source.len(), |length| start + 3 + length + 3);
            self.at = end;
            self.hide_lines(start..end);
            return;
        }
        let line_end = self.line_end();
        self.at += 1;
        while self.at < line_end {
            match self.peek() {
                Some(octet) if octet == quote => break,
                Some(b'\\') if quote == b'"' => self.at += 2,
                _ => self.at += 1,
            }
        }
        let is_closed = self.at < line_end;
        self.at = (self.at + usize::from(is_closed)).min(line_end);
        while !self.source.is_char_boundary(self.at) {
            self.at += 1;
        }
        let whole = start..self.at;
        match self.state {
            State::Key => self.words.push(whole),
            State::Section => self.hide(whole),
            State::Value(sensitivity) => {
                let inner = start + 1..self.at - usize::from(is_closed);
                self.value(inner, sensitivity);
                if self.depth == 0 {
                    self.end_value(false);
                }
            }
        }
    }

    /// A word without quotes: a key, a section, a number, or a mistake.
    fn word(&mut self) {
        let start = self.at;
        let length = self
            .rest()
            .find(|c: char| !is_word(c))
            .unwrap_or_else(|| self.rest().len());
        self.at += length.max(self.rest().chars().next().map_or(1, char::len_utf8));
        let word = start..self.at;
        match self.state {
            State::Key => self.words.push(word),
            State::Section => {
                let known =
                    self.keys.contains_key(self.text(&word)) || is_plausible(self.text(&word));
                if !known && length > 0 {
                    self.hide(word);
                }
            }
            State::Value(_) if self.depth > 0 && self.is_key(&word) => self.words.push(word),
            State::Value(sensitivity) => {
                self.value(word, sensitivity);
            }
        }
    }

    /// Whether an equals sign follows, so that this is a key of an inline table, or of a line
    /// behind an array that was not closed.
    fn is_key(&self, word: &Range<usize>) -> bool {
        let line = self.source.get(word.end..self.line_end());
        line.is_some_and(|line| line.trim_start().starts_with(['=', '.']))
    }

    fn value(&mut self, range: Range<usize>, sensitivity: Sensitivity) {
        let text = self.text(&range);
        let shown = match sensitivity {
            Sensitivity::Secret => 0,
            Sensitivity::Rule => rule(text),
            Sensitivity::File if !is_file(text) => 0,
            Sensitivity::File => text.len(),
            Sensitivity::Plain => {
                // User information and query of a URL.
                if let Some(at) = text.rfind('@') {
                    let from = text.find(":/").map_or(0, |scheme| scheme + 1).min(at);
                    let slashes = text
                        .get(from..at)
                        .map_or(0, |rest| rest.len() - rest.trim_start_matches('/').len());
                    self.hide(range.start + from + slashes..range.start + at);
                }
                let text = self.text(&range);
                let is_url = text.contains(":/");
                text.find(|sign| sign == '?' || is_url && matches!(sign, ';' | '#'))
                    .map_or_else(|| range.len(), |query| query + 1)
            }
        };
        self.hide(range.start + shown..range.end);
    }

    /// The line ends, and no equals sign made a key of these words.
    fn hide_words(&mut self) {
        for word in std::mem::take(&mut self.words) {
            if !self.keys.contains_key(self.text(&word)) {
                self.hide(word);
            }
        }
    }

    fn hide(&mut self, range: Range<usize>) {
        let text = self.text(&range);
        let blank = text.len() - text.trim_start().len();
        let end = range.start + text.trim_end().len();
        if range.start + blank < end {
            self.found.push(range.start + blank..end);
        }
    }

    fn hide_lines(&mut self, range: Range<usize>) {
        let text = self.text(&range);
        let mut start = range.start;
        let lines: Vec<_> = text
            .split_inclusive('\n')
            .map(|line| {
                let at = start;
                start += line.len();
                at..at + line.trim_end_matches(['\n', '\r']).len()
            })
            .collect();
        for line in lines {
            self.hide(line);
        }
    }
}

const fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

/// Whether an unknown key looks like a key, and not like a secret in its place.
pub(super) fn is_plausible(name: &str) -> bool {
    (1..=MOST_PLAUSIBLE).contains(&name.len())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphabetic() || matches!(octet, b'_' | b'-' | b'.'))
}

/// Whether a text looks like the name of a file, and not like a secret in its place.
fn is_file(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or_default();
    let is_plain = |character: char| is_word(character) || matches!(character, '*' | '@' | '~');
    name.chars().all(is_plain) && (name.contains('.') || is_plausible(name) || name.is_empty())
}

/// A file's name for reports.
pub(super) fn file(path: &Path) -> Cow<'_, str> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match is_file(&name) {
        true => path.to_string_lossy(),
        false => path
            .with_file_name(MASK)
            .to_string_lossy()
            .into_owned()
            .into(),
    }
}

const MOST_PLAUSIBLE: usize = 32;

/// Length of the public part of a rule for header fields: its action and the name of the field.
fn rule(text: &str) -> usize {
    let head = text.find(':').unwrap_or(text.len());
    let mut words = text.get(..head).unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some("rename"), _) => text.len(),
        (Some(verb @ ("set" | "add" | "remove")), Some(name)) => verb.len() + 1 + name.len(),
        (Some(first), _) if first.len() == head => head,
        (first, _) => first.map_or(0, str::len),
    }
}

#[cfg(test)]
mod tests;
