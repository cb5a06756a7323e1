//! A configuration file for display: secrets are replaced by `***`, also in a file with errors.
//!
//! Reports quote lines with an error, and an error is often near a secret: a missing quote, a
//! misspelt key. So the mask does not rely on the parser. It walks through the text by itself, and
//! shows a value only behind a key that is known to be public, and only if the value is
//! [readable]: a secret may stand behind a wrong key. It masks all other text: values of secret and
//! of unknown keys, text without a key, comments, and strings of several lines. Where the value of
//! a secret key does not end as it should, all values up to the next section are masked.

mod readable;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::suggest::closest;
pub(super) use readable::is_readable;

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
        is_tainted: false,
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
    /// Whether every value up to the next section may be a part of a secret.
    is_tainted: bool,
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
                            self.is_tainted = false;
                        }
                        State::Section if octet == b'[' => {}
                        State::Value(sensitivity) if octet == b'{' => {
                            self.depth += 1;
                            self.taint(sensitivity);
                        }
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
        let mut sensitivity = match words.is_empty() {
            true => Sensitivity::Secret,
            false => Sensitivity::Plain,
        };
        for word in words {
            let name = self.text(&word).trim_matches(['"', '\'']);
            let is_shown = self.keys.contains_key(name) || is_plausible(name);
            // A dotted key is as secret as any of its parts.
            for part in name.split('.').filter(|part| !part.trim().is_empty()) {
                sensitivity = sensitivity.max(self.sensitivity(part.trim()));
            }
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

    /// A value of this sensitivity does not end as it should.
    fn taint(&mut self, sensitivity: Sensitivity) {
        self.is_tainted |= sensitivity > Sensitivity::Plain;
    }

    /// Whether a word is a key whose value is secret.
    fn is_secret(&self, word: &Range<usize>) -> bool {
        let name = self.text(word).trim_matches(['"', '\'']);
        let mut parts = name.split('.');
        parts.any(|part| {
            self.keys
                .get(part)
                .is_some_and(|known| *known > Sensitivity::File)
        })
    }

    /// A string, or an unterminated one: it ends at a quote, else with its line.
    fn string(&mut self, quote: u8) {
        let start = self.at;
        let triple = [quote; 3];
        if self.rest().as_bytes().starts_with(&triple) {
            let end = self.lines_end(quote);
            self.at = end;
            self.hide_lines(start..end);
            if let State::Value(sensitivity) = self.state {
                self.taint(sensitivity);
            }
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
            State::Section => {
                self.is_tainted |= self.is_secret(&whole);
                self.hide(whole);
            }
            State::Value(sensitivity) => {
                if !is_closed {
                    self.taint(sensitivity);
                }
                let inner = start + 1..self.at - usize::from(is_closed);
                self.value(inner, sensitivity);
                if self.depth == 0 {
                    self.end_value(false);
                }
            }
        }
    }

    /// The end of a string of several lines, which is the end of the text if it has none.
    fn lines_end(&self, quote: u8) -> usize {
        let octets = self.rest().as_bytes();
        let mut at = 3;
        while let Some(octet) = octets.get(at) {
            match *octet {
                b'\\' if quote == b'"' => at += 2,
                octet if octet == quote && octets.get(at..at + 3) == Some(&[quote; 3]) => {
                    return self.at + at + 3;
                }
                _ => at += 1,
            }
        }
        self.source.len()
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
        let is_key = self.depth > 0 && self.is_key(&word);
        match self.state {
            State::Key => self.words.push(word),
            State::Section => {
                self.is_tainted |= self.is_secret(&word);
                let known =
                    self.keys.contains_key(self.text(&word)) || is_plausible(self.text(&word));
                if !known && length > 0 {
                    self.hide(word);
                }
            }
            State::Value(_) if is_key => self.words.push(word),
            State::Value(sensitivity) => {
                // A value without quotes goes on up to a blank, and is not a rule or a file.
                let ends = |c: char| c.is_whitespace() || ",]}\"'#=".contains(c);
                let more = self.rest().find(ends).unwrap_or_else(|| self.rest().len());
                self.at += more;
                let sensitivity = match sensitivity {
                    Sensitivity::Plain if more == 0 => Sensitivity::Plain,
                    _ => Sensitivity::Secret,
                };
                self.taint(sensitivity);
                self.value(start..self.at, sensitivity);
                if self.depth == 0 {
                    self.end_value(false);
                }
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
            _ if self.is_tainted => 0,
            Sensitivity::Secret => 0,
            Sensitivity::Rule => rule(text),
            Sensitivity::File if !is_file(text) => 0,
            Sensitivity::File => text.len(),
            Sensitivity::Plain => {
                let is_url = text.contains(":/");
                let shown = text
                    .find(|sign| sign == '?' || is_url && matches!(sign, ';' | '#'))
                    .map_or(text.len(), |query| query + 1);
                // User information of a URL, which itself may have such a sign.
                let (user, host) = match text.rfind('@') {
                    Some(at) => {
                        let from = text.find(":/").map_or(0, |scheme| scheme + 1).min(at);
                        let slashes = text
                            .get(from..at)
                            .map_or(0, |rest| rest.len() - rest.trim_start_matches('/').len());
                        (from + slashes..at, at + 1)
                    }
                    None => (0..0, 0),
                };
                let parts = [text.get(..user.start), text.get(host..shown.max(host))];
                let are_readable = parts
                    .into_iter()
                    .all(|part| part.is_some_and(|part| is_readable(part.trim_end_matches('?'))));
                match are_readable {
                    true => {
                        self.hide(range.start + user.start..range.start + user.end);
                        shown.max(host)
                    }
                    false => 0,
                }
            }
        };
        self.hide(range.start + shown..range.end);
    }

    /// The line ends, and no equals sign made a key of these words.
    fn hide_words(&mut self) {
        for word in std::mem::take(&mut self.words) {
            self.is_tainted |= self.is_secret(&word);
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

/// Whether a text looks like the path of a file, and not like a secret in its place.
fn is_file(text: &str) -> bool {
    text.split('/').all(is_file_name)
}

fn is_file_name(name: &str) -> bool {
    let is_plain = |character: char| is_word(character) || matches!(character, '*' | '@' | '~');
    name.chars().all(is_plain) && is_readable(name.trim_matches(['*', '@', '~']))
}

/// A file's path for reports. A part that may be a secret in the place of a path is masked.
pub(super) fn file(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    match is_file(&text) {
        true => text,
        false => text
            .split('/')
            .map(|name| if is_file_name(name) { name } else { MASK })
            .collect::<Vec<_>>()
            .join("/")
            .into(),
    }
}

const MOST_PLAUSIBLE: usize = 32;

/// Length of the public part of a rule for header fields: its action and the name of the field.
fn rule(text: &str) -> usize {
    let (head, has_value) = match text.split_once(':') {
        Some((head, _)) => (head, true),
        None => (text, false),
    };
    let mut words = head.split(' ');
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    match (first, second) {
        ("rename", Some(_)) if text.split([' ', ':']).all(is_readable) => text.len(),
        ("set" | "add" | "rename", Some(name)) if has_value && is_readable(name) => {
            first.len() + 1 + name.len()
        }
        ("remove", Some(name)) if is_readable(name) => first.len() + 1 + name.len(),
        ("set" | "add" | "remove" | "rename", _) => first.len(),
        // A misspelt action, or a field without one.
        (_, Some(_)) if is_plausible(first) => first.len(),
        (_, None) if has_value && is_readable(first) => first.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
