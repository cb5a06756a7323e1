//! The view of `top`: the figures of a gateway, or the error.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::quantiles::Latency;
use super::reading::float;
use super::snapshot::{Snapshot, Table};
use crate::cli::screen::panel::{BAD, FAINT, GOOD, PLAIN, Panel, STRONG, WARNING, heights, text};
use crate::cli::screen::plain;
use crate::cli::screen::units::{count, octets, percent, rate, span, time};

/// The figures as panels. Each item is one panel, or two beside each other; the most important come
/// first and are shown longest.
pub(super) struct View(Vec<Vec<Panel>>);

impl View {
    /// Panels stand beside each other where so many columns have room for both.
    pub(super) fn new(snapshot: &Snapshot, gateway: &str, columns: u16) -> Self {
        let columns = usize::from(columns);
        let mut items = vec![vec![head(snapshot, gateway, columns)]];
        let mut besides = beside(shards(snapshot), tables(snapshot), columns).into_iter();
        items.extend(besides.next());
        items.push(vec![targets(snapshot)]);
        items.extend(beside(errors(snapshot), routes(snapshot), columns));
        // Without room beside the shards the tables come last: a full table is among the errors,
        // too.
        items.extend(besides);
        for item in &mut items {
            item.retain(|panel| !panel.is_empty());
        }
        items.retain(|item| !item.is_empty());
        Self(items)
    }

    /// Rows with room for everything.
    pub(super) fn rows(&self) -> u16 {
        let heights = self.0.iter().map(|item| item_height(item) + 1);
        u16::try_from(heights.sum::<usize>().saturating_sub(1)).unwrap_or(u16::MAX)
    }
}

/// Both in one item if there is room, else in two.
fn beside(left: Panel, right: Panel, columns: usize) -> Vec<Vec<Panel>> {
    if left.width() + BETWEEN + right.width() > columns {
        return vec![vec![left], vec![right]];
    }
    vec![vec![left, right]]
}

fn item_height(panels: &[Panel]) -> usize {
    panels.iter().map(Panel::height).max().unwrap_or(0)
}

impl Widget for View {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let wanted: Vec<usize> = self.0.iter().map(|item| item_height(item)).collect();
        let heights = heights(&wanted, usize::from(area.height));
        let mut y = area.y;
        for (item, height) in self.0.into_iter().zip(heights) {
            let height = u16::try_from(height).unwrap_or(u16::MAX);
            let mut x = area.x;
            for panel in item {
                let width = panel.width() + BETWEEN;
                let rest = Rect::new(x, y, area.right().saturating_sub(x), height);
                panel.render(rest.intersection(area), buf);
                x = x.saturating_add(u16::try_from(width).unwrap_or(u16::MAX));
            }
            y = y.saturating_add(height).saturating_add(1);
        }
    }
}

/// For a gateway that does not answer: the error, and the last figures, if there are any.
pub(super) struct Outage<'a> {
    pub(super) error: &'a str,
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) gateway: &'a str,
}

impl Widget for Outage<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let error = self.error;
        let message = match self.snapshot {
            Some(snapshot) => {
                let at = clock(&snapshot.at);
                format!("{error}; trying again. What follows is of {at}.")
            }
            None => format!("{error}; trying again."),
        };
        Paragraph::new(text(message, BAD))
            .wrap(Wrap { trim: true })
            .render(area, buf);
        let Some(snapshot) = self.snapshot else {
            return;
        };
        let message = plain(buf).lines().filter(|line| !line.is_empty()).count();
        let above = u16::try_from(message + 1).unwrap_or(u16::MAX);
        let rest = Rect {
            y: area.y.saturating_add(above),
            height: area.height.saturating_sub(above),
            ..area
        };
        View::new(snapshot, self.gateway, area.width).render(rest, buf);
        buf.set_style(rest, Style::reset().patch(FAINT));
    }
}

fn head(snapshot: &Snapshot, gateway: &str, width: usize) -> Panel {
    let mut lines = vec![title(snapshot, gateway), Line::default()];
    let exchanges = &snapshot.exchanges;
    let sessions = &snapshot.sessions;
    let transactions = &snapshot.transactions;
    let datagrams = &snapshot.datagrams;
    let process = &snapshot.process;
    let per_second = |value| format!("{} /s", rate(value));
    let repeated = transactions
        .retransmissions_per_second
        .zip(datagrams.out_per_second)
        .filter(|(_, sent)| *sent > 0.0)
        .map(|(again, sent)| again / sent);
    let rows = [
        (
            "exchanges",
            vec![
                ("", per_second(exchanges.per_second)),
                ("in flight", count(exchanges.in_flight)),
                ("at origins", count(exchanges.at_origins)),
                (
                    "sessionless",
                    per_second(exchanges.connectionless_per_second),
                ),
            ],
        ),
        ("latency", latency(exchanges.latency_seconds)),
        ("  of origins", latency(exchanges.origin_latency_seconds)),
        (
            "sessions",
            vec![
                ("", count(sessions.held)),
                ("begun", per_second(sessions.connects_per_second)),
                ("resumed", per_second(sessions.resumes_per_second)),
                ("ended", per_second(sessions.ended_per_second)),
            ],
        ),
        (
            "transactions",
            vec![
                ("", count(transactions.held)),
                ("begun", per_second(transactions.per_second)),
            ],
        ),
        (
            "sent again",
            vec![
                ("", per_second(transactions.retransmissions_per_second)),
                ("of sent", percent(repeated)),
                (
                    "heard again",
                    per_second(transactions.duplicates_per_second),
                ),
            ],
        ),
        (
            "datagrams",
            vec![
                ("in", per_second(datagrams.in_per_second)),
                ("out", per_second(datagrams.out_per_second)),
                ("in", format!("{}/s", octets(datagrams.bytes_in_per_second))),
                (
                    "out",
                    format!("{}/s", octets(datagrams.bytes_out_per_second)),
                ),
            ],
        ),
        (
            "process",
            vec![
                ("cpu", percent(process.cpu)),
                ("memory", octets(process.resident_bytes)),
                ("files", count(process.open_files)),
                ("of", count(process.max_files)),
            ],
        ),
    ];
    let column = (width.saturating_sub(LABEL) / 4).clamp(15, 22);
    lines.extend(rows.into_iter().map(|(label, items)| {
        let mut line = Line::from(text(label, FAINT));
        for (place, (name, value)) in items.into_iter().enumerate() {
            let blanks = (LABEL + place * column).saturating_sub(line.width()).max(1);
            line.push_span(" ".repeat(blanks));
            if !name.is_empty() {
                line.push_span(text(name, FAINT));
                line.push_span(" ");
            }
            line.push_span(text(value, STRONG));
        }
        line
    }));
    Panel::Lines(lines)
}

fn title(snapshot: &Snapshot, gateway: &str) -> Line<'static> {
    let style = match snapshot.state.as_str() {
        "running" => GOOD,
        _ => WARNING,
    };
    let mut line = Line::from(vec![
        text(format!("wapbridge {}", snapshot.version), STRONG),
        "  ".into(),
        text(&snapshot.state, style),
    ]);
    if let Some(uptime) = snapshot.uptime_seconds {
        line.push_span(text(format!("  up {}", span(uptime)), PLAIN));
    }
    if snapshot.restarted {
        line.push_span(text("  restarted", WARNING));
    }
    let interval = snapshot
        .interval_seconds
        .map_or_else(String::new, |seconds| format!(", {seconds:.1} s"));
    let (at, pid) = (clock(&snapshot.at), snapshot.pid);
    line.push_span(text(
        format!("  {at}{interval}  pid {pid}  {gateway}"),
        FAINT,
    ));
    line
}

fn latency(latency: Option<Latency>) -> Vec<(&'static str, String)> {
    let shown = |of: fn(Latency) -> f64| time(latency.map(of));
    vec![
        ("p50", shown(|latency| latency.p50)),
        ("p95", shown(|latency| latency.p95)),
        ("p99", shown(|latency| latency.p99)),
        ("mean", shown(|latency| latency.mean)),
    ]
}

fn shards(snapshot: &Snapshot) -> Panel {
    let rows = snapshot.shards.iter().map(|shard| {
        let silent = shard.heartbeat_age_seconds.filter(|age| *age > SILENT);
        let name = match silent {
            Some(age) => text(format!("{} silent {}", shard.shard, span(age)), BAD),
            None => text(shard.shard.to_string(), PLAIN),
        };
        let full = if shard.cpu.is_some_and(|cpu| cpu > BUSY) {
            WARNING
        } else {
            PLAIN
        };
        let count = |value: u64| text(count(Some(float(value))), PLAIN);
        vec![
            name,
            text(percent(shard.cpu), full),
            count(shard.sessions),
            count(shard.transactions),
            count(shard.exchanges),
            text(rate(shard.datagrams_in_per_second), PLAIN),
            text(rate(shard.datagrams_out_per_second), PLAIN),
        ]
    });
    Panel::Table {
        titles: &[
            "SHARD",
            "cpu",
            "sessions",
            "transact.",
            "exch.",
            "in/s",
            "out/s",
        ],
        rows: rows.collect(),
    }
}

fn tables(snapshot: &Snapshot) -> Panel {
    let rows = snapshot.tables.iter().map(|(name, table)| {
        let Table { used, limit } = *table;
        let (used, limit) = (float(used), float(limit));
        let full = (limit > 0.0).then(|| used / limit);
        let style = match full {
            Some(full) if full > 0.95 => BAD,
            Some(full) if full > BUSY => WARNING,
            _ => PLAIN,
        };
        let shown = |value| {
            if name.ends_with("bytes") {
                octets(Some(value))
            } else {
                count(Some(value))
            }
        };
        vec![
            text(name.replace('_', " "), PLAIN),
            text(shown(used), style),
            text(shown(limit), PLAIN),
            text(percent(full), style),
        ]
    });
    Panel::Table {
        titles: &["TABLE", "used", "limit", "full"],
        rows: rows.collect(),
    }
}

fn targets(snapshot: &Snapshot) -> Panel {
    let rows = snapshot.targets.iter().map(|target| {
        let style = match target.condition.as_str() {
            "failing" | "ejected" | "failing_checks" => BAD,
            "answering" => GOOD,
            _ => FAINT,
        };
        let last = target
            .last_failure
            .as_ref()
            .zip(target.last_failure_seconds);
        let last = last.map_or_else(
            || "-".to_owned(),
            |(failure, ago)| format!("{} {} ago", failure.replace('_', " "), span(ago)),
        );
        let failing = target.failed_per_second.is_some_and(|rate| rate > 0.0);
        vec![
            text(&target.host, PLAIN),
            text(target.condition.replace('_', " "), style),
            text(rate(target.answered_per_second), PLAIN),
            text(
                rate(target.failed_per_second),
                if failing { BAD } else { PLAIN },
            ),
            text(last, PLAIN),
        ]
    });
    Panel::Table {
        titles: &["ORIGIN", "state", "answered/s", "failed/s", "last failure"],
        rows: rows.collect(),
    }
}

fn routes(snapshot: &Snapshot) -> Panel {
    let rows = snapshot.routes.iter().map(|route| {
        vec![
            text(&route.name, PLAIN),
            text(rate(route.exchanges_per_second), PLAIN),
            text(rate(route.upstream_errors_per_second), PLAIN),
            text(time(route.upstream_mean_seconds), PLAIN),
        ]
    });
    Panel::Table {
        titles: &["ROUTE", "exch./s", "errors/s", "origin mean"],
        rows: rows.collect(),
    }
}

fn errors(snapshot: &Snapshot) -> Panel {
    let rows: Vec<Vec<_>> = snapshot
        .errors
        .iter()
        .map(|error| {
            let name = match &error.cause {
                Some(cause) => format!("{}: {}", error.words, cause.replace('_', " ")),
                None => error.words.to_owned(),
            };
            let now = error.per_second.is_some_and(|rate| rate > 0.0);
            let style = if now { BAD } else { PLAIN };
            vec![
                text(name, PLAIN),
                text(rate(error.per_second), style),
                text(count(Some(error.total)), PLAIN),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Panel::Lines(vec![text("ERRORS  none since the start", FAINT).into()]);
    }
    Panel::Table {
        titles: &["ERRORS", "/s", "since start"],
        rows,
    }
}

/// The time of day of a moment in RFC 3339, in UTC.
fn clock(at: &str) -> String {
    let time = at.split_once('T').map_or(at, |(_, time)| time);
    format!("{} UTC", time.trim_end_matches('Z'))
}

/// Columns of the labels in front.
const LABEL: usize = 15;
/// Columns between two panels.
const BETWEEN: usize = 4;
/// The share of a table from which on it is shown as filling up.
const BUSY: f64 = 0.8;
/// Seconds after which a shard that shows itself once a second is conspicuous.
const SILENT: f64 = 3.0;

#[cfg(test)]
mod tests;
