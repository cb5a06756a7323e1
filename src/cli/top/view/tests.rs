//! Screens of several sizes, as text.

use super::*;
use crate::cli::top::snapshot::tests::reading;

const GATEWAY: &str = "http://gw:9280/";

fn snapshot() -> Snapshot {
    Snapshot::between(Some(&reading(7, 100)), &reading(7, 110))
}

fn rendered(widget: impl Widget, columns: u16, rows: u16) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, columns, rows));
    widget.render(buf.area, &mut buf);
    buf
}

fn view(columns: u16) -> View {
    View::new(&snapshot(), GATEWAY, columns)
}

#[test]
fn everything_has_its_place() {
    let text = plain(&rendered(view(100), 100, view(100).rows()));
    let lines: Vec<&str> = text.lines().collect();
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
fn panels_stand_beside_each_other_where_there_is_room() {
    let text = plain(&rendered(view(150), 150, 50));
    let title = text.lines().find(|line| line.starts_with("SHARD"));
    assert!(title.is_some_and(|line| line.contains("TABLE")), "{text}");
}

#[test]
fn a_frame_fits_on_every_terminal() {
    for (columns, rows) in [(80, 24), (40, 10), (20, 3), (1, 1), (300, 100)] {
        rendered(view(columns), columns, rows);
        let outage = Outage {
            error: "no answer at all",
            snapshot: Some(&snapshot()),
            gateway: GATEWAY,
        };
        rendered(outage, columns, rows);
    }
    // The most important figures fit on the smallest usual terminal.
    let text = plain(&rendered(view(80), 80, 24));
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

/// The style of the first character of a text.
fn style(buf: &Buffer, start: &str, text: &str) -> Style {
    let lines = plain(buf);
    let mut lines = lines.lines().enumerate();
    let (y, line) = lines.find(|(_, line)| line.starts_with(start)).unwrap();
    let x = line.find(text).unwrap();
    buf[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].style()
}

#[test]
fn what_is_wrong_is_coloured() {
    let buf = rendered(view(100), 100, view(100).rows());
    let is = |start, text, wanted: Style| {
        let style = style(&buf, start, text);
        (style.fg, style.add_modifier) == (wanted.fg, wanted.add_modifier)
    };
    assert!(is("a.example", "failing", BAD));
    assert!(!is("b.example", "unknown", BAD));
    assert!(is("exchange bytes", "88 %", WARNING));
    assert!(is("wapbridge", "running", GOOD));
}

#[test]
fn names_that_others_choose_are_escaped() {
    let mut reading = reading(7, 110);
    reading.status.state = "\x1b]0;title\x07".to_owned();
    reading.status.targets[0].host = "a\u{202e}b\x1b[2J".to_owned();
    reading.status.targets[0].last_failure = Some("c\u{9b}31m".to_owned());
    reading.status.routes[0].name = "d\nd".to_owned();
    let view = View::new(&Snapshot::between(None, &reading), GATEWAY, 150);
    let text = plain(&rendered(view, 150, 50));
    for shown in [
        "\\u{1b}]0;title\\u{7}",
        "a\\u{202e}b\\u{1b}[2J",
        "c\\u{9b}31m",
        "d\\nd",
    ] {
        assert!(text.contains(shown), "{shown} in\n{text}");
    }
    let outage = Outage {
        error: "a\x1b[2J\nb",
        snapshot: None,
        gateway: GATEWAY,
    };
    let text = plain(&rendered(outage, 80, 2));
    assert_eq!(text, "a\\u{1b}[2J\\nb; trying again.\n\n");
}

#[test]
fn an_outage_is_told_above_the_last_figures() {
    let outage = |error, snapshot| Outage {
        error,
        snapshot,
        gateway: GATEWAY,
    };
    let snapshot = snapshot();
    let buf = rendered(
        outage("http://gw:9280/: no answer", Some(&snapshot)),
        100,
        50,
    );
    let text = plain(&buf);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "http://gw:9280/: no answer; trying again. What follows is of 08:01:50 UTC."
    );
    assert!(lines[2].starts_with("wapbridge 0.1.0"), "{text}");
    assert_eq!(
        style(&buf, "wapbridge", "running").add_modifier,
        FAINT.add_modifier
    );
    let text = plain(&rendered(outage(&"word ".repeat(50), None), 100, 50));
    assert!(text.trim_end().lines().count() > 2, "{text}");
    assert!(text.contains("; trying again."), "{text}");
}

#[test]
fn wide_characters_are_as_wide_as_two() {
    let line = Line::from(text("漢a", PLAIN));
    assert_eq!(plain(&rendered(line, 6, 1)), "漢a\n");
}
