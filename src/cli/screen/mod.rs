//! What the commands with a live screen share: the terminal, panels, and numbers with their units.

pub(super) mod panel;
pub(super) mod terminal;
pub(super) mod units;

use ratatui::buffer::Buffer;
use ratatui::text::Span;

/// Text without styles, line by line.
pub(super) fn plain(buf: &Buffer) -> String {
    let mut text = String::new();
    for row in buf.area.rows() {
        let start = text.len();
        // A wide character is in the first of its cells.
        let mut covered = 0;
        for position in row.positions() {
            if covered == 0 {
                let symbol = buf.cell(position).map_or(" ", |cell| cell.symbol());
                text.push_str(symbol);
                covered = Span::raw(symbol).width().max(1);
            }
            covered -= 1;
        }
        let end = text.trim_end_matches(' ').len().max(start);
        text.truncate(end);
        text.push('\n');
    }
    text
}
