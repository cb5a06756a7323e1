//! The text format of Prometheus, as far as `/metrics` of a gateway uses it.

use std::collections::HashMap;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while1};
use nom::character::complete::{char, space1};
use nom::combinator::{map, opt, value};
use nom::multi::{fold_many0, separated_list0};
use nom::sequence::{delimited, separated_pair};
use nom::{IResult, Parser};

/// All numbers of one reading, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Exposition(HashMap<String, Vec<Number>>);

/// One value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    labels: Labels,
    pub(super) value: f64,
}

type Labels = Vec<(String, String)>;

impl Exposition {
    /// Comments are skipped, and lines that are something else.
    pub(super) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Ok((rest, (name, labels))) = series(line) else {
                continue;
            };
            if let Ok(value) = rest.trim().parse() {
                let numbers = all.0.entry(name.to_owned()).or_default();
                numbers.push(Number { labels, value });
            }
        }
        all
    }

    pub(super) fn of(&self, name: &str) -> &[Number] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The sum of the values with these labels; `None` without such values.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |number: &&Number| {
            let mut wanted = labels.iter();
            wanted.all(|(name, value)| number.label(name) == Some(*value))
        };
        let found = self.of(name).iter().filter(has).map(|number| number.value);
        found.reduce(|sum, value| sum + value)
    }
}

impl Number {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Parses a name and its labels. The rest is the value.
fn series(input: &str) -> IResult<&str, (&str, Labels)> {
    let label = separated_pair(map(name, str::to_owned), char('='), quoted);
    let labels = delimited(char('{'), separated_list0(char(','), label), char('}'));
    let (input, found) = (name, map(opt(labels), Option::unwrap_or_default)).parse(input)?;
    let (input, _) = space1(input)?;
    Ok((input, found))
}

fn name(input: &str) -> IResult<&str, &str> {
    take_while1(|letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter))(input)
}

fn quoted(input: &str) -> IResult<&str, String> {
    let piece = alt((
        is_not("\\\""),
        value("\\", tag("\\\\")),
        value("\"", tag("\\\"")),
        value("\n", tag("\\n")),
    ));
    let pieces = fold_many0(piece, String::new, |all, piece| all + piece);
    delimited(char('"'), pieces, char('"')).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_and_the_rest_is_skipped() {
        let all = Exposition::parse(
            "# HELP a Something.\n# TYPE a counter\na{x=\"1\",y=\"a \\\"b\\\" \\\\ {c}, \\n\"} 2.5\n\
             a{x=\"1\",y=\"\"} 4\na{x=\"2\"} 8\nb 7\n\nbroken{x=1} 3\nb nothing\nle_bucket{le=\"+Inf\"} 1e3\n",
        );
        assert_eq!(all.of("a")[0].label("y"), Some("a \"b\" \\ {c}, \n"));
        assert_eq!(all.sum("a", &[]), Some(14.5));
        assert_eq!(all.sum("a", &[("x", "1")]), Some(6.5));
        assert_eq!(all.sum("a", &[("x", "3")]), None);
        assert_eq!(all.sum("b", &[]), Some(7.0));
        assert_eq!(all.sum("broken", &[]), None);
        assert_eq!(all.of("le_bucket")[0].label("le"), Some("+Inf"));
        assert_eq!(all.sum("le_bucket", &[]), Some(1000.0));
    }
}
