//! Lines of coloured pieces, and tables of them, cut to a width.

use clap::builder::styling::{AnsiColor, Style};

/// How a piece looks where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Faint,
    Strong,
    Good,
    Warning,
    Bad,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Paint, String)>);

impl Line {
    pub(super) fn with(mut self, paint: Paint, text: impl Into<String>) -> Self {
        // What comes from elsewhere must not move the cursor.
        let text = text.into().replace(char::is_control, "?");
        self.0.push((paint, text));
        self
    }

    /// Goes on at this column at the earliest, and after a blank.
    pub(super) fn at(self, column: usize) -> Self {
        let blanks = column.saturating_sub(self.width()).max(1);
        self.with(Paint::Plain, " ".repeat(blanks))
    }

    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    fn at_least(self, width: usize) -> Self {
        let blanks = width.saturating_sub(self.width());
        self.with(Paint::Plain, " ".repeat(blanks))
    }

    fn append(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The same, all of it faint.
    pub(super) fn faded(mut self) -> Self {
        for (paint, _) in &mut self.0 {
            *paint = Paint::Faint;
        }
        self
    }

    /// As much as has room, with colours or without.
    pub(super) fn render(&self, width: usize, colours: bool) -> String {
        let mut room = width;
        let mut out = String::new();
        for (paint, text) in &self.0 {
            let text: String = text.chars().take(room).collect();
            room -= text.chars().count();
            if colours && *paint != Paint::Plain {
                let style = paint.style();
                out.push_str(&format!("{style}{text}{style:#}"));
            } else {
                out.push_str(&text);
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }
}

impl Paint {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// Lines that belong together, the first of which says what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block(pub(super) Vec<Line>);

/// A column's text in one row.
pub(super) type Cell = (Paint, String);

impl Block {
    /// A table: the first column is as wide as `most` allows and begins at the left, the others are numbers.
    pub(super) fn table(titles: &[&str], rows: Vec<Vec<Cell>>, most: usize) -> Self {
        let title = |(column, title): (usize, &&str)| {
            let paint = if column == 0 {
                Paint::Strong
            } else {
                Paint::Faint
            };
            (paint, (*title).to_owned())
        };
        let titles = titles.iter().enumerate().map(title);
        let all: Vec<Vec<Cell>> = std::iter::once(titles.collect()).chain(rows).collect();
        let columns = all.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = all.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|(_, text)| text.chars().count()).max();
            widest
                .unwrap_or(0)
                .max(if column == 0 { 0 } else { NUMBER })
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let numbers: usize = widths.iter().skip(1).map(|width| width + GAP).sum();
        let line = |row: Vec<Cell>| {
            let mut line = Line::default();
            for (column, ((paint, text), width)) in row.into_iter().zip(&widths).enumerate() {
                line = if column == 0 {
                    let width = (*width).min(most.saturating_sub(numbers)).max(LEAST);
                    line.with(paint, shortened(&text, width)).at_least(width)
                } else {
                    line.with(Paint::Plain, " ".repeat(GAP))
                        .with(paint, format!("{text:>width$}"))
                };
            }
            line
        };
        Self(all.into_iter().map(line).collect())
    }

    fn width(&self) -> usize {
        self.0.iter().map(Line::width).max().unwrap_or(0)
    }

    /// Both side by side if there is room, else one below the other.
    pub(super) fn beside(self, other: Self, width: usize) -> Vec<Self> {
        let column = self.width() + BETWEEN;
        if column + other.width() > width {
            return vec![self, other];
        }
        let rows = self.0.len().max(other.0.len());
        let (mut left, mut right) = (self.0.into_iter(), other.0.into_iter());
        let line = |_| match (left.next().unwrap_or_default(), right.next()) {
            (left, None) => left,
            (left, Some(right)) => left.at_least(column).append(right),
        };
        vec![Self((0..rows).map(line).collect())]
    }

    /// The same in so many rows, of which the last says how many there would be.
    fn cut(mut self, rows: usize) -> Self {
        let all = self.0.len();
        if all > rows {
            let shown = rows.saturating_sub(1);
            self.0.truncate(shown);
            let words = format!("{} more", all - shown);
            self.0.push(Line::default().with(Paint::Faint, words));
        }
        self
    }
}

/// Blocks below each other with a blank line between them, in so many rows. The longest lose rows first, but for the
/// first block; where that is not enough, the last ones are left out.
pub(super) fn stack(mut blocks: Vec<Block>, rows: usize) -> Vec<Line> {
    let mut sizes: Vec<usize> = blocks.iter().map(|block| block.0.len()).collect();
    while sizes.iter().sum::<usize>() + sizes.len().saturating_sub(1) > rows {
        match sizes.iter_mut().skip(1).max() {
            Some(longest) if *longest > SHORTEST => *longest -= 1,
            Some(_) => drop(sizes.pop()),
            None => break,
        }
    }
    blocks.truncate(sizes.len());
    let mut lines = Vec::new();
    for (block, size) in blocks.into_iter().zip(sizes) {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(block.cut(size).0);
    }
    lines.truncate(rows);
    lines
}

/// The beginning of a text that is too long.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(2));
    kept.chain("..".chars()).collect()
}

/// Columns of a number, and between two.
const NUMBER: usize = 7;
const GAP: usize = 2;
/// Columns of a name, where there is hardly any room.
const LEAST: usize = 8;
/// Columns between two blocks.
const BETWEEN: usize = 4;
/// A title, a row, and how many more there are.
const SHORTEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(title: &str, names: &[&str]) -> Block {
        let row = |name: &&str| {
            vec![
                (Paint::Plain, (*name).to_owned()),
                (Paint::Bad, "1".to_owned()),
            ]
        };
        Block::table(&[title, "n"], names.iter().map(row).collect(), 21)
    }

    fn plain(lines: &[Line], width: usize) -> Vec<String> {
        lines.iter().map(|line| line.render(width, false)).collect()
    }

    #[test]
    fn a_line_is_cut_and_coloured_and_cannot_move_the_cursor() {
        let line = Line::default()
            .with(Paint::Plain, "ab")
            .with(Paint::Bad, "c\x1b[2Jd");
        assert_eq!(line.render(80, false), "abc?[2Jd");
        assert_eq!(line.render(3, false), "abc");
        assert_eq!(line.render(3, true), "ab\x1b[1m\x1b[31mc\x1b[0m");
        assert_eq!(line.faded().render(2, false), "ab");
    }

    #[test]
    fn a_table_has_room_for_its_numbers_first() {
        let hosts = table("host", &["sync.example.com:443", "a"]);
        assert_eq!(
            plain(&hosts.0, 80),
            [
                "host                n",
                "sync.examp..        1",
                "a                   1"
            ]
        );
        let one = table("x", &["a"]);
        let both = one.clone().beside(hosts.clone(), 80);
        assert_eq!(both.len(), 1);
        assert_eq!(
            plain(&both[0].0, 80)[1..],
            [
                "a               1    sync.examp..        1",
                "                     a                   1"
            ]
        );
        assert_eq!(one.clone().beside(hosts.clone(), 40), [one, hosts]);
    }

    #[test]
    fn what_has_no_room_is_counted_and_the_least_important_is_left_out() {
        let head = table("head", &["1", "2", "3"]);
        let long = table("long", &["a", "b", "c", "d", "e"]);
        let last = table("last", &["z"]);
        let blocks = || vec![head.clone(), long.clone(), last.clone()];
        assert_eq!(stack(blocks(), usize::MAX).len(), 4 + 1 + 6 + 1 + 2);
        let shown = |rows| plain(&stack(blocks(), rows), 4);
        let above = ["head", "1", "2", "3", ""];
        let twelve = ["long", "a", "b", "3 mo", "", "last", "z"];
        assert_eq!(shown(12), [&above[..], &twelve[..]].concat());
        let nine = ["long", "a", "4 mo"];
        assert_eq!(shown(9), [&above[..], &nine[..]].concat());
        assert_eq!(shown(3), above[..3]);
    }
}
