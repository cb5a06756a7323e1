//! A frame of the live screen.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Sparkline, Widget};

use crate::cli::bench::measurement::{Measurement, bars};
use crate::cli::bench::report::latency;
use crate::cli::screen::panel::{BAD, FAINT, GOOD, PLAIN, Panel, STRONG, text};
use crate::cli::screen::units::{count, percent, rate, span, time};

/// What is under way.
pub(super) struct View<'a> {
    /// The gateway and the URI.
    pub(super) title: &'a str,
    /// One line, as it stands where there is no screen.
    pub(super) words: String,
    /// How much of the phase is over, of 1.
    pub(super) share: Option<f64>,
    /// The figures of the load, once it runs.
    pub(super) load: Option<LoadView<'a>>,
}

/// Figures of the load so far.
pub(super) struct LoadView<'a> {
    pub(super) measurement: &'a Measurement,
    /// Since the clock started.
    pub(super) elapsed: Duration,
    pub(super) under_way: u64,
    /// Packets sent again, and heard again.
    pub(super) repeats: (u64, u64),
}

impl Widget for View<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let mut lines = vec![
            Line::from(vec![
                text("wapbridge bench", STRONG),
                text(format!("  {}", self.title), PLAIN),
                text("  q ends", FAINT),
            ]),
            Line::default(),
            Line::from(text(&self.words, STRONG)),
        ];
        lines.push(self.share.map_or_else(Line::default, bar));
        let Some(load) = self.load else {
            Panel::Lines(lines).render(area, buf);
            return;
        };
        lines.push(Line::default());
        lines.extend(load.lines());
        let head = u16::try_from(lines.len() + 1).unwrap_or(u16::MAX);
        let rows = area.height.saturating_sub(head);
        // The histogram has what the rate leaves, and the rate at most a third.
        let chart = (rows / 3).clamp(2, 8);
        let [top, middle, bottom] = Layout::vertical([
            Constraint::Length(head),
            Constraint::Fill(1),
            Constraint::Length(chart),
        ])
        .areas(area);
        Panel::Lines(lines).render(top, buf);
        let [left, _, right] = Layout::horizontal([
            Constraint::Fill(1),
            Constraint::Length(3),
            Constraint::Length((area.width / 2).min(44)),
        ])
        .areas(middle);
        load.histogram(left, buf);
        load.endings().render(right, buf);
        load.rates(bottom, buf);
    }
}

impl LoadView<'_> {
    fn lines(&self) -> Vec<Line<'static>> {
        let stats = &self.measurement.stats;
        let number = |value: u64| count(Some(value as f64));
        let last = self.measurement.timeline.seconds().last();
        let mean = stats.done as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let mean = (!self.elapsed.is_zero()).then_some(mean);
        let latency = latency(&stats.histogram);
        let shown = |millis: f64| time((stats.done > 0).then_some(millis / 1000.0));
        let (again, heard) = self.repeats;
        let failures = match stats.failures() {
            0 => GOOD,
            _ => BAD,
        };
        [
            (
                "requests",
                vec![
                    ("answered", number(stats.done), STRONG),
                    ("failed", number(stats.failures()), failures),
                    ("under way", number(self.under_way), STRONG),
                ],
            ),
            (
                "rate",
                vec![
                    (
                        "now",
                        per_second(last.map(|second| second.done as f64)),
                        STRONG,
                    ),
                    ("mean", per_second(mean), STRONG),
                    ("for", span(self.elapsed.as_secs_f64()), STRONG),
                ],
            ),
            (
                "latency",
                vec![
                    ("p50", shown(latency.p50), STRONG),
                    ("p90", shown(latency.p90), STRONG),
                    ("p99", shown(latency.p99), STRONG),
                    ("max", shown(latency.max), STRONG),
                ],
            ),
            (
                "packets",
                vec![
                    ("sent again", number(again), STRONG),
                    ("heard again", number(heard), STRONG),
                ],
            ),
        ]
        .into_iter()
        .map(|(label, items)| {
            let mut line = Line::from(text(label, FAINT));
            for (place, (name, value, style)) in items.into_iter().enumerate() {
                let blanks = (LABEL + place * COLUMN).saturating_sub(line.width()).max(1);
                line.push_span(" ".repeat(blanks));
                line.push_span(text(name, FAINT));
                line.push_span(" ");
                line.push_span(text(value, style));
            }
            line
        })
        .collect()
    }

    /// A row for each range of latencies: its upper bound, a bar, how many.
    fn histogram(&self, area: Rect, buf: &mut Buffer) {
        let histogram = &self.measurement.stats.histogram;
        let rows = usize::from(area.height.saturating_sub(1));
        let fits = |steps: &&[u64]| bars(histogram, steps).len() <= rows;
        let steps = STEPS.iter().copied().find(fits).unwrap_or(&[10]);
        let bars = bars(histogram, steps);
        let most = bars
            .iter()
            .map(|(_, count)| *count)
            .max()
            .unwrap_or(0)
            .max(1);
        let width = usize::from(area.width).saturating_sub(BESIDES).max(1);
        let mut lines = vec![Line::from(text("LATENCY", STRONG))];
        lines.extend(bars.into_iter().take(rows).map(|(bound, value)| {
            let cells = (value as f64 / most as f64 * width as f64).ceil();
            let full = (0..width).filter(|cell| (*cell as f64) < cells).count();
            Line::from(vec![
                text(format!("{:>9} ", time(Some(bound.as_secs_f64()))), FAINT),
                text("█".repeat(full), GOOD),
                text(format!(" {}", count(Some(value as f64))), PLAIN),
            ])
        }));
        Panel::Lines(lines).render(area, buf);
    }

    /// Statuses, then causes of failures, the most frequent first.
    fn endings(&self) -> Panel {
        let statuses = self.measurement.statuses.iter();
        let mut rows: Vec<_> = statuses
            .map(|(status, number)| {
                let style = if *status == 200 { GOOD } else { BAD };
                (*number, format!("status {status}"), style)
            })
            .collect();
        let errors = self.measurement.stats.errors.iter();
        let others = errors.filter(|(cause, _)| !cause.starts_with("status "));
        rows.extend(others.map(|(cause, number)| (*number, cause.clone(), BAD)));
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        let rows = rows.into_iter().map(|(number, name, style)| {
            vec![text(name, style), text(count(Some(number as f64)), PLAIN)]
        });
        Panel::Table {
            titles: &["ENDED", "n"],
            rows: rows.collect(),
        }
    }

    /// Answers in each of the last seconds, as a chart.
    fn rates(&self, area: Rect, buf: &mut Buffer) {
        let seconds = self.measurement.timeline.seconds();
        let shown = seconds.len().min(usize::from(area.width));
        let data: Vec<u64> = seconds
            .iter()
            .skip(seconds.len() - shown)
            .map(|second| second.done)
            .collect();
        let most = data.iter().copied().max().unwrap_or(0);
        let title = format!(
            "  answers in each of the last {shown} s, at most {}",
            count(Some(most as f64))
        );
        let [title_row, chart] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        Line::from(vec![text("RATE", STRONG), text(title, FAINT)]).render(title_row, buf);
        Sparkline::default()
            .data(data)
            .style(GOOD)
            .render(chart, buf);
    }
}

fn per_second(value: Option<f64>) -> String {
    format!("{} /s", rate(value))
}

/// A bar that fills up.
fn bar(share: f64) -> Line<'static> {
    let share = share.clamp(0.0, 1.0);
    let full = (0..BAR)
        .filter(|cell| (*cell as f64) < share * BAR as f64)
        .count();
    Line::from(vec![
        text("█".repeat(full), GOOD),
        text("░".repeat(BAR - full), FAINT),
        text(format!(" {}", percent(Some(share))), PLAIN),
    ])
}

/// Bounds of the histogram, finer ones first.
const STEPS: [&[u64]; 3] = [&[10, 15, 20, 30, 50, 70], &[10, 20, 50], &[10, 30]];
const LABEL: usize = 10;
const COLUMN: usize = 17;
/// Columns of a histogram's row beside the bar: the bound and the number.
const BESIDES: usize = 20;
const BAR: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::measurement::Exchange;
    use crate::cli::screen::plain;
    use crate::time::Instant;

    fn ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn measured() -> Measurement {
        let mut measurement = Measurement::new(ms(0), None, None);
        for number in 0..1_000_u64 {
            let now = ms(1_000 + number * 5);
            measurement.timeline.advance(now, 4);
            let wrong = (number % 100 == 0).then(|| "no answer within 1s".to_owned());
            if wrong.is_none() {
                measurement.timeline.done(number * 50);
            }
            measurement.ended(
                now,
                Exchange {
                    who: 1,
                    since: Instant::from_micros(now.as_micros() - number * 50 - 1),
                    status: wrong.is_none().then_some(200),
                    octets: 1,
                    wrong,
                },
            );
        }
        measurement
    }

    fn shown(columns: u16, rows: u16) -> String {
        let measurement = measured();
        let view = View {
            title: "192.0.2.1:9201  http://h/\u{1b}[2J",
            words: "990 transactions".to_owned(),
            share: Some(0.25),
            load: Some(LoadView {
                measurement: &measurement,
                elapsed: Duration::from_secs(6),
                under_way: 4,
                repeats: (12, 3),
            }),
        };
        let mut buf = Buffer::empty(Rect::new(0, 0, columns, rows));
        view.render(buf.area, &mut buf);
        plain(&buf)
    }

    #[test]
    fn everything_has_its_place_on_a_screen_of_80_columns() {
        let text = shown(80, 24);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 24, "{text}");
        for words in [
            "wapbridge bench  192.0.2.1:9201",
            "\n990 transactions\n",
            "██████████░░░░",
            " 25 %",
            "answered 990",
            "failed 10",
            "under way 4",
            "rate      now 198 /s",
            "latency   p50 25.0 ms",
            "sent again 12",
            "LATENCY",
            "50.0 ms ████",
            "status 200           ",
            "no answer within 1s ",
            "answers in each of the last 5 s, at most 198",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(lines.last().unwrap().contains('█'), "{text}");
    }

    #[test]
    fn a_small_screen_shows_what_matters_first() {
        for (columns, rows) in [(40, 12), (20, 5), (1, 1), (80, 13)] {
            let text = shown(columns, rows);
            assert_eq!(text.lines().count(), usize::from(rows));
            assert!(rows < 9 || text.contains("answered 990"), "{text}");
        }
    }
}
