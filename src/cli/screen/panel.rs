//! A panel of the screen, lines of text or a table, and how panels share the rows.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row, Table, Widget};

use crate::printable;

pub(in crate::cli) const PLAIN: Style = Style::new();
pub(in crate::cli) const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
pub(in crate::cli) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
pub(in crate::cli) const GOOD: Style = Style::new().fg(Color::Green);
pub(in crate::cli) const WARNING: Style = STRONG.fg(Color::Yellow);
pub(in crate::cli) const BAD: Style = STRONG.fg(Color::Red);

/// A piece of text in one style. Gateways and operators choose some of the text, so controls and
/// characters that deceive a reader are escaped.
pub(in crate::cli) fn text(text: impl AsRef<str>, style: Style) -> Span<'static> {
    Span::styled(printable::line(text.as_ref()).into_owned(), style)
}

/// Lines of text, or a table. The first column of a table is a name, the others are numbers.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Panel {
    Lines(Vec<Line<'static>>),
    Table {
        titles: &'static [&'static str],
        rows: Vec<Vec<Span<'static>>>,
    },
}

impl Panel {
    /// Rows for the whole panel.
    pub(in crate::cli) const fn height(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Table { rows, .. } => rows.len() + 1,
        }
    }

    /// Columns for the whole panel.
    pub(in crate::cli) fn width(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.iter().map(Line::width).max().unwrap_or(0),
            Self::Table { titles, rows } => {
                let widths = widths(titles, rows);
                widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
            }
        }
    }

    /// Whether the panel has only titles.
    pub(in crate::cli) const fn is_empty(&self) -> bool {
        matches!(self, Self::Table { rows, .. } if rows.is_empty())
    }
}

impl Widget for Panel {
    /// The last row of a table with too few rows shows the number of hidden ones.
    fn render(self, area: Rect, buf: &mut Buffer) {
        let height = self.height();
        match self {
            Self::Lines(lines) => {
                for (line, row) in lines.into_iter().zip(area.rows()) {
                    line.render(row, buf);
                }
            }
            Self::Table { titles, rows } if height > usize::from(area.height) => {
                let [shown, last] =
                    Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
                table(titles, rows, shown, buf);
                let hidden = height - usize::from(shown.height);
                text(format!("{hidden} more"), FAINT).render(last, buf);
            }
            Self::Table { titles, rows } => table(titles, rows, area, buf),
        }
    }
}

/// Numbers get their columns first, names get the rest.
fn table(titles: &[&str], mut rows: Vec<Vec<Span<'static>>>, area: Rect, buf: &mut Buffer) {
    let mut widths = widths(titles, &rows);
    let numbers: usize = widths.iter().skip(1).map(|width| width + GAP).sum();
    if let Some(name) = widths.first_mut() {
        *name = (*name).min(usize::from(area.width).saturating_sub(numbers).max(LEAST));
        for cell in rows.iter_mut().filter_map(|row| row.first_mut()) {
            shorten(cell, *name);
        }
    }
    let header = titles.iter().enumerate().map(|(column, title)| {
        let style = if column == 0 { STRONG } else { FAINT };
        aligned(column, text(title, style))
    });
    let body = rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate();
        Row::new(cells.map(|(column, cell)| aligned(column, cell)))
    });
    let constraints = widths
        .iter()
        .map(|width| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    Table::new(body, constraints)
        .header(Row::new(header))
        .column_spacing(u16::try_from(GAP).unwrap_or(u16::MAX))
        .render(area, buf);
}

fn widths(titles: &[&str], rows: &[Vec<Span<'static>>]) -> Vec<usize> {
    let width = |(column, title): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(Span::width).max().unwrap_or(0);
        let least = if column == 0 { 0 } else { NUMBER };
        widest.max(Span::raw(*title).width()).max(least)
    };
    titles.iter().enumerate().map(width).collect()
}

fn aligned(column: usize, cell: Span<'static>) -> Line<'static> {
    let line = Line::from(cell);
    match column {
        0 => line,
        _ => line.right_aligned(),
    }
}

/// Cuts a name, and marks the cut.
fn shorten(cell: &mut Span<'static>, width: usize) {
    if cell.width() <= width {
        return;
    }
    while cell.width() + CUT.len() > width && !cell.content.is_empty() {
        cell.content.to_mut().pop();
    }
    cell.content.to_mut().push_str(CUT);
}

/// The heights of panels below each other with a blank row between them, in so many rows. The
/// highest loses rows first, except for the first one. When all are at their least, the last ones
/// are left out.
pub(in crate::cli) fn heights(wanted: &[usize], rows: usize) -> Vec<usize> {
    let mut heights = wanted.to_vec();
    while heights.iter().sum::<usize>() + heights.len().saturating_sub(1) > rows {
        match heights.iter_mut().skip(1).max() {
            Some(highest) if *highest > SHORTEST => *highest -= 1,
            Some(_) => drop(heights.pop()),
            None => break,
        }
    }
    heights
}

/// Columns of a number, and between two columns.
const NUMBER: usize = 7;
const GAP: usize = 2;
/// Columns of a name on a narrow terminal.
const LEAST: usize = 8;
/// The mark of a name that is cut.
const CUT: &str = "..";
/// A title, a row, and how many more there are.
const SHORTEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::screen::plain;

    fn hosts(names: &[&str]) -> Panel {
        let row = |name: &&str| vec![text(name, PLAIN), text("1", BAD)];
        Panel::Table {
            titles: &["host", "n"],
            rows: names.iter().map(row).collect(),
        }
    }

    fn shown(panel: &Panel, width: u16, height: u16) -> Vec<String> {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        panel.clone().render(buf.area, &mut buf);
        plain(&buf).lines().map(str::to_owned).collect()
    }

    #[test]
    fn text_cannot_move_the_cursor_or_turn_around() {
        let escaped = text("c\x1b[2J\u{202e}d\u{9b}", PLAIN).content;
        assert_eq!(escaped, "c\\u{1b}[2J\\u{202e}d\\u{9b}");
    }

    #[test]
    fn a_table_has_room_for_its_numbers_first() {
        let hosts = hosts(&["sync.example.com:443", "a"]);
        assert_eq!((hosts.width(), hosts.height()), (29, 3));
        assert_eq!(
            shown(&hosts, 21, 3),
            [
                "host                n",
                "sync.examp..        1",
                "a                   1"
            ]
        );
        assert_eq!(
            shown(&hosts, 80, 3)[1..],
            [
                "sync.example.com:443        1",
                "a                           1"
            ]
        );
    }

    #[test]
    fn rows_without_room_are_counted() {
        let hosts = hosts(&["a", "b", "c", "d"]);
        assert_eq!(
            shown(&hosts, 20, 4),
            ["host        n", "a           1", "b           1", "2 more"]
        );
        assert_eq!(shown(&hosts, 20, 1), ["5 more"]);
    }

    #[test]
    fn the_least_important_panels_are_left_out() {
        let wanted = [4, 6, 2];
        assert_eq!(heights(&wanted, 100), wanted);
        assert_eq!(heights(&wanted, 12), [4, 4, 2]);
        assert_eq!(heights(&wanted, 9), [4, 3]);
        assert_eq!(heights(&wanted, 8), [4, 3]);
        assert_eq!(heights(&wanted, 7), [4]);
        assert_eq!(heights(&wanted, 3), [4]);
    }
}
