//! Charts of the page, as SVG inside it.

use std::fmt::Write;
use std::time::Duration;

use crate::cli::bench::timeline::Second;
use crate::cli::screen::units::{count, time};

/// A bar for each range of latencies.
pub(super) fn histogram(bars: &[(Duration, u64)]) -> String {
    let most = bars
        .iter()
        .map(|(_, value)| *value)
        .max()
        .unwrap_or(0)
        .max(1);
    let width = WIDTH / bars.len().max(1) as f64;
    let mut svg = begin("Latencies: how many answers took how long", &number(most));
    for (place, (bound, value)) in bars.iter().enumerate() {
        let x = LEFT + place as f64 * width;
        let height = *value as f64 / most as f64 * HEIGHT;
        let bound = time(Some(bound.as_secs_f64()));
        put(
            &mut svg,
            format_args!(
                "<rect class=\"answered\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>up to {bound}: {value}</title></rect>",
                x + width * 0.08,
                TOP + HEIGHT - height,
                width * 0.84,
            ),
        );
        // Every second label, where bars are narrow.
        if width > 62.0 || place % 2 == 0 {
            label(&mut svg, x + width / 2.0, "middle", &bound);
        }
    }
    end(svg)
}

/// Answers and failures of each second, or of each group of seconds.
pub(super) fn rate(groups: &[Group]) -> String {
    let most = groups
        .iter()
        .map(|group| group.answered + group.failed)
        .fold(1.0, f64::max);
    let width = WIDTH / groups.len().max(1) as f64;
    let mut svg = begin("Answers and failures a second", &count(Some(most)));
    for (place, group) in groups.iter().enumerate() {
        let x = LEFT + place as f64 * width;
        let good = group.answered / most * HEIGHT;
        let bad = group.failed / most * HEIGHT;
        for (class, height, above) in [("answered", good, 0.0), ("failed", bad, good)] {
            if height > 0.0 {
                put(
                    &mut svg,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                        TOP + HEIGHT - above - height,
                        (width * 0.9).max(0.5),
                    ),
                );
            }
        }
    }
    times(&mut svg, groups);
    end(svg)
}

/// Latencies of each second, as lines.
pub(super) fn latency(groups: &[Group]) -> String {
    let most = groups
        .iter()
        .map(|group| group.p99_ms)
        .fold(0.001, f64::max);
    let width = WIDTH / groups.len().max(1) as f64;
    let mut svg = begin(
        "Median and 99th percentile of the latency in each second",
        &time(Some(most / 1000.0)),
    );
    for (class, value) in [
        ("p50", (|group| group.p50_ms) as fn(&Group) -> f64),
        ("p99", |group| group.p99_ms),
    ] {
        put(
            &mut svg,
            format_args!("<polyline class=\"{class}\" points=\""),
        );
        for (place, group) in groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.answered > 0.0)
        {
            let x = LEFT + (place as f64 + 0.5) * width;
            let y = TOP + HEIGHT - value(group) / most * HEIGHT;
            put(&mut svg, format_args!("{x:.1},{y:.1} "));
        }
        svg.push_str("\"/>");
    }
    times(&mut svg, groups);
    end(svg)
}

/// Seconds that one place of a chart stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Group {
    /// The first second.
    pub(super) start: usize,
    /// How many seconds.
    pub(super) seconds: usize,
    /// Answers a second.
    pub(super) answered: f64,
    /// Failures a second.
    pub(super) failed: f64,
    /// Exchanges under way at the end.
    pub(super) under_way: u64,
    /// The highest of the seconds' medians.
    pub(super) p50_ms: f64,
    /// The highest of the seconds' 99th percentiles.
    pub(super) p99_ms: f64,
    /// The longest latency.
    pub(super) max_ms: f64,
}

/// At most [`MOST_GROUPS`] groups of equal length, but for the last.
pub(super) fn groups(seconds: &[Second]) -> Vec<Group> {
    let each = seconds.len().div_ceil(MOST_GROUPS).max(1);
    let groups = seconds.chunks(each).enumerate();
    groups
        .map(|(place, chunk)| {
            let per_second = |of: fn(&Second) -> u64| {
                chunk.iter().map(of).sum::<u64>() as f64 / chunk.len().max(1) as f64
            };
            let highest = |of: fn(&Second) -> f64| chunk.iter().map(of).fold(0.0, f64::max);
            Group {
                start: place * each,
                seconds: chunk.len(),
                answered: per_second(|second| second.done),
                failed: per_second(|second| second.failed),
                under_way: chunk.last().map_or(0, |second| second.under_way),
                p50_ms: highest(|second| second.p50_ms),
                p99_ms: highest(|second| second.p99_ms),
                max_ms: highest(|second| second.max_ms),
            }
        })
        .collect()
}

/// The frame of a chart with the highest value at its axis. `title` is for readers that see no
/// chart.
fn begin(title: &str, highest: &str) -> String {
    let (full, tall) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let (right, floor) = (LEFT + WIDTH, TOP + HEIGHT);
    let mut svg = String::new();
    put(
        &mut svg,
        format_args!(
            "<svg viewBox=\"0 0 {full} {tall}\" role=\"img\"><title>{title}</title>\
         <line class=\"axis\" x1=\"{LEFT}\" y1=\"{TOP}\" x2=\"{right}\" y2=\"{TOP}\"/>\
         <line class=\"axis\" x1=\"{LEFT}\" y1=\"{floor}\" x2=\"{right}\" y2=\"{floor}\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{highest}</text>\
         <text x=\"{}\" y=\"{floor}\" text-anchor=\"end\">0</text>",
            LEFT - 6.0,
            TOP + 4.0,
            LEFT - 6.0,
        ),
    );
    svg
}

fn end(mut svg: String) -> String {
    svg.push_str("</svg>");
    svg
}

/// The times at the beginning, the middle and the end.
fn times(svg: &mut String, groups: &[Group]) {
    let seconds = groups.last().map_or(0, |group| group.start + group.seconds);
    label(svg, LEFT, "start", "0 s");
    label(
        svg,
        LEFT + WIDTH / 2.0,
        "middle",
        &format!("{} s", seconds as f64 / 2.0),
    );
    label(svg, LEFT + WIDTH, "end", &format!("{seconds} s"));
}

fn label(svg: &mut String, x: f64, anchor: &str, words: &str) {
    let y = TOP + HEIGHT + BOTTOM - 6.0;
    put(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>"),
    );
}

fn put(svg: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = svg.write_fmt(words);
}

fn number(value: u64) -> String {
    count(Some(value as f64))
}

/// Places of a time line.
const MOST_GROUPS: usize = 300;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 22.0;
const WIDTH: f64 = 824.0;
const HEIGHT: f64 = 170.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Vec<Second> {
        let second = |place: u64| Second {
            done: place,
            failed: 1,
            under_way: place,
            p50_ms: 1.0,
            p99_ms: place as f64,
            max_ms: 9.0,
        };
        (0..count).map(second).collect()
    }

    #[test]
    fn a_long_run_has_as_many_places_as_fit() {
        let whole = groups(&seconds(300));
        assert_eq!((whole.len(), whole[7].seconds), (300, 1));
        let long = groups(&seconds(1_000));
        assert_eq!(
            (long.len(), long[0].seconds, long[249].seconds),
            (250, 4, 4)
        );
        assert_eq!((long[1].start, long[1].under_way), (4, 7));
        assert!((long[1].answered - 5.5).abs() < 1e-9 && (long[1].p99_ms - 7.0).abs() < 1e-9);
        assert_eq!(groups(&[]), []);
    }

    #[test]
    fn charts_without_values_are_charts() {
        for svg in [histogram(&[]), rate(&[]), latency(&[])] {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn the_highest_bar_is_as_high_as_the_chart() {
        let bars = [
            (Duration::from_millis(1), 5),
            (Duration::from_millis(2), 10),
        ];
        let svg = histogram(&bars);
        assert!(
            svg.contains("height=\"170.0\"><title>up to 2.00 ms: 10"),
            "{svg}"
        );
        assert!(
            svg.contains("height=\"85.0\"><title>up to 1.00 ms: 5"),
            "{svg}"
        );
    }
}
