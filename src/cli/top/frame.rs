//! One frame: the figures as lines of a terminal.

use super::figures::{Figures, Table};
use super::line::{Block, Cell, Line, Paint, stack};
use super::quantiles::Latency;
use super::words::{count, octets, percent, rate, span, time};

/// What a frame has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The frame; the most important comes first and is kept longest.
pub(super) fn frame(figures: &Figures, gateway: &str, size: Size) -> Vec<Line> {
    let Size { width, height } = size;
    let mut blocks = vec![head(figures, gateway, width)];
    let mut besides = shards(figures, width)
        .beside(tables(figures, width), width)
        .into_iter();
    blocks.extend(besides.next());
    blocks.extend(filled(targets(figures, width)));
    match filled(routes(figures, width)) {
        Some(routes) => blocks.extend(errors(figures, width).beside(routes, width)),
        None => blocks.push(errors(figures, width)),
    }
    // Where there is no room beside the shards, tables can wait: what is full is among the errors, too.
    blocks.extend(besides);
    stack(blocks, height)
}

/// A frame for a gateway that does not answer: why, and what was known when it did.
pub(super) fn troubled(
    trouble: &str,
    figures: Option<&Figures>,
    gateway: &str,
    size: Size,
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let words = match figures {
        Some(figures) => format!(
            "{trouble}; trying again. What follows is of {}.",
            clock(&figures.at)
        ),
        None => format!("{trouble}; trying again."),
    };
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > size.width {
            lines.push(Line::default().with(Paint::Bad, std::mem::take(&mut line)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(Line::default().with(Paint::Bad, line));
    if let Some(figures) = figures {
        lines.push(Line::default());
        let rest = Size {
            height: size.height.saturating_sub(lines.len()),
            ..size
        };
        lines.extend(frame(figures, gateway, rest).into_iter().map(Line::faded));
    }
    lines.truncate(size.height);
    lines
}

fn head(figures: &Figures, gateway: &str, width: usize) -> Block {
    let mut lines = vec![title(figures, gateway), Line::default()];
    let exchanges = &figures.exchanges;
    let sessions = &figures.sessions;
    let transactions = &figures.transactions;
    let datagrams = &figures.datagrams;
    let process = &figures.process;
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
        let mut line = Line::default().with(Paint::Faint, label);
        for (place, (name, value)) in items.into_iter().enumerate() {
            line = line.at(LABEL + place * column);
            if !name.is_empty() {
                line = line.with(Paint::Faint, name).with(Paint::Plain, " ");
            }
            line = line.with(Paint::Strong, value);
        }
        line
    }));
    Block(lines)
}

fn title(figures: &Figures, gateway: &str) -> Line {
    let paint = match figures.state.as_str() {
        "running" => Paint::Good,
        _ => Paint::Warning,
    };
    let mut line = Line::default()
        .with(Paint::Strong, format!("wapbridge {}", figures.version))
        .with(Paint::Plain, "  ")
        .with(paint, figures.state.clone());
    if let Some(uptime) = figures.uptime_seconds {
        line = line.with(Paint::Plain, format!("  up {}", span(uptime)));
    }
    if figures.restarted {
        line = line.with(Paint::Warning, "  restarted");
    }
    let about = figures
        .interval_seconds
        .map_or_else(String::new, |seconds| format!(", {seconds:.1} s"));
    line.with(
        Paint::Faint,
        format!(
            "  {}{about}  pid {}  {gateway}",
            clock(&figures.at),
            figures.pid
        ),
    )
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

fn shards(figures: &Figures, width: usize) -> Block {
    let rows = figures.shards.iter().map(|shard| {
        let silent = shard.heartbeat_age_seconds.filter(|age| *age > SILENT);
        let name = match silent {
            Some(age) => (Paint::Bad, format!("{} silent {}", shard.shard, span(age))),
            None => plain(shard.shard.to_string()),
        };
        let full = if shard.cpu.is_some_and(|cpu| cpu > BUSY) {
            Paint::Warning
        } else {
            Paint::Plain
        };
        let count = |value: u64| plain(count(Some(super::reading::float(value))));
        vec![
            name,
            (full, percent(shard.cpu)),
            count(shard.sessions),
            count(shard.transactions),
            count(shard.exchanges),
            plain(rate(shard.datagrams_in_per_second)),
            plain(rate(shard.datagrams_out_per_second)),
        ]
    });
    let titles = [
        "SHARD",
        "cpu",
        "sessions",
        "transact.",
        "exch.",
        "in/s",
        "out/s",
    ];
    Block::table(&titles, rows.collect(), width)
}

fn tables(figures: &Figures, width: usize) -> Block {
    let rows = figures.tables.iter().map(|(name, table)| {
        let Table { used, limit } = *table;
        let (used, limit) = (super::reading::float(used), super::reading::float(limit));
        let full = (limit > 0.0).then(|| used / limit);
        let paint = match full {
            Some(full) if full > 0.95 => Paint::Bad,
            Some(full) if full > BUSY => Paint::Warning,
            _ => Paint::Plain,
        };
        let shown = |value| {
            if name.ends_with("bytes") {
                octets(Some(value))
            } else {
                count(Some(value))
            }
        };
        vec![
            plain(name.replace('_', " ")),
            (paint, shown(used)),
            plain(shown(limit)),
            (paint, percent(full)),
        ]
    });
    Block::table(&["TABLE", "used", "limit", "full"], rows.collect(), width)
}

fn targets(figures: &Figures, width: usize) -> Block {
    let rows = figures.targets.iter().map(|target| {
        let paint = match target.condition.as_str() {
            "failing" => Paint::Bad,
            "answering" => Paint::Good,
            _ => Paint::Faint,
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
            plain(target.host.clone()),
            (paint, target.condition.clone()),
            plain(rate(target.answered_per_second)),
            (
                if failing { Paint::Bad } else { Paint::Plain },
                rate(target.failed_per_second),
            ),
            plain(last),
        ]
    });
    let titles = ["ORIGIN", "state", "answered/s", "failed/s", "last failure"];
    Block::table(&titles, rows.collect(), width)
}

fn routes(figures: &Figures, width: usize) -> Block {
    let rows = figures.routes.iter().map(|route| {
        vec![
            plain(route.name.clone()),
            plain(rate(route.exchanges_per_second)),
            plain(rate(route.upstream_errors_per_second)),
            plain(time(route.upstream_mean_seconds)),
        ]
    });
    let titles = ["ROUTE", "exch./s", "errors/s", "origin mean"];
    Block::table(&titles, rows.collect(), width)
}

fn errors(figures: &Figures, width: usize) -> Block {
    let rows: Vec<Vec<Cell>> = figures
        .errors
        .iter()
        .map(|error| {
            let name = match &error.cause {
                Some(cause) => format!("{}: {}", error.words, cause.replace('_', " ")),
                None => error.words.to_owned(),
            };
            let now = error.per_second.is_some_and(|rate| rate > 0.0);
            let paint = if now { Paint::Bad } else { Paint::Plain };
            vec![
                plain(name),
                (paint, rate(error.per_second)),
                plain(count(Some(error.total))),
            ]
        })
        .collect();
    if rows.is_empty() {
        let none = Line::default().with(Paint::Faint, "ERRORS  none since the start");
        return Block(vec![none]);
    }
    Block::table(&["ERRORS", "/s", "since start"], rows, width)
}

/// Without one that has nothing but a title.
fn filled(block: Block) -> Option<Block> {
    (block.0.len() > 1).then_some(block)
}

fn plain(text: String) -> Cell {
    (Paint::Plain, text)
}

/// The time of day of a moment in RFC 3339, in UTC.
fn clock(at: &str) -> String {
    let time = at.split_once('T').map_or(at, |(_, time)| time);
    format!("{} UTC", time.trim_end_matches('Z'))
}

/// Columns of the labels in front.
const LABEL: usize = 15;
/// Of 1: what fills up.
const BUSY: f64 = 0.8;
/// Seconds after which a shard that shows itself once a second is conspicuous.
const SILENT: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::figures::tests::reading;

    fn figures() -> Figures {
        Figures::between(Some(&reading(7, 100)), &reading(7, 110))
    }

    fn shown(lines: &[Line], size: Size) -> Vec<String> {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.render(size.width, false))
            .collect();
        assert!(lines.len() <= size.height, "{lines:#?}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= size.width),
            "{lines:#?}"
        );
        lines
    }

    const WIDE: Size = Size {
        width: 100,
        height: 50,
    };

    #[test]
    fn everything_has_its_place() {
        let lines = shown(&frame(&figures(), "http://gw:9280/", WIDE), WIDE);
        let text = lines.join("\n");
        assert_eq!(
            lines[0],
            "wapbridge 0.1.0  running  up 1 min 50 s  08:01:50 UTC, 10.0 s  pid 7  http://gw:9280/"
        );
        for words in [
            "exchanges      40.0 /s",
            "latency        p50 5.00 ms",
            "mean 4.00 ms",
            "sessions       60",
            "sent again     2.0 /s               of sent 0.5 %",
            "in 39.1 KiB/s",
            "process        cpu 40 %",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        let words = |start: &str| {
            let line = lines.iter().find(|line| line.starts_with(start));
            line.unwrap_or_else(|| panic!("{start} in\n{text}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words("1 "), "1 - 30 4 2 300 300");
        assert_eq!(
            words("exchange bytes"),
            "exchange bytes 900 MiB 1.0 GiB 88 %"
        );
        assert_eq!(
            words("a.example"),
            "a.example:443 failing 38.0 2.0 connect refused 3 s ago"
        );
        assert_eq!(words("b.example"), "b.example:443 unknown 0.0 0.0 -");
        assert_eq!(words("contacts"), "contacts 40.0 2.0 5.00 ms");
        assert_eq!(
            words("answered by the gateway: up"),
            "answered by the gateway: upstream connect 2.0 219"
        );
    }

    #[test]
    fn a_frame_fits_on_every_terminal() {
        for (width, height) in [(80, 24), (40, 10), (20, 3), (1, 1), (300, 100)] {
            let size = Size { width, height };
            let lines = shown(&frame(&figures(), "http://gw:9280/", size), size);
            assert!(!lines.is_empty());
            shown(
                &troubled(
                    "no answer at all",
                    Some(&figures()),
                    "http://gw:9280/",
                    size,
                ),
                size,
            );
        }
        // What is most important is still there on the smallest one that is usual.
        let size = Size {
            width: 80,
            height: 24,
        };
        let text = shown(&frame(&figures(), "http://gw:9280/", size), size).join("\n");
        for words in [
            "exchanges      40.0",
            "p99 9.90 ms",
            "SHARD",
            "a.example:443",
            "upstream connect",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_coloured() {
        let lines = frame(&figures(), "http://gw:9280/", WIDE);
        let render = |start: &str| {
            let line = lines
                .iter()
                .find(|line| line.render(100, false).starts_with(start));
            line.unwrap().render(100, true)
        };
        let red = "\x1b[1m\x1b[31m";
        assert!(
            render("a.example").contains(&format!("{red}failing")),
            "{:?}",
            render("a.example")
        );
        assert!(!render("b.example").contains(red));
        assert!(render("exchange bytes").contains("\x1b[33m"));
    }

    #[test]
    fn a_gateway_that_is_silent_is_told_above_what_was_known() {
        let lines = troubled(
            "http://gw:9280/: no answer",
            Some(&figures()),
            "http://gw:9280/",
            WIDE,
        );
        let lines = shown(&lines, WIDE);
        assert_eq!(
            lines[0],
            "http://gw:9280/: no answer; trying again. What follows is of 08:01:50 UTC."
        );
        assert!(lines[2].starts_with("wapbridge 0.1.0"));
        let lines = troubled(&"word ".repeat(50), None, "http://gw:9280/", WIDE);
        assert!(shown(&lines, WIDE).len() > 2);
    }
}
