//! Numbers with their units, as people read them. An unknown number is a dash.

/// Things.
pub(in crate::cli) fn count(value: Option<f64>) -> String {
    let Some(value) = value else {
        return UNKNOWN.to_owned();
    };
    if value >= 1e7 {
        return format!("{:.1}M", value / 1e6);
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Things a second.
pub(in crate::cli) fn rate(value: Option<f64>) -> String {
    match value {
        Some(value) if value > 0.0 && value < 0.95 => format!("{value:.2}"),
        Some(value) if value < 99.95 => format!("{value:.1}"),
        value => count(value),
    }
}

/// Octets.
pub(in crate::cli) fn octets(value: Option<f64>) -> String {
    let Some(mut value) = value else {
        return UNKNOWN.to_owned();
    };
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    let digits = usize::from(unit != "B" && value < 100.0);
    format!("{value:.digits$} {unit}")
}

/// A duration in seconds, short ones in milliseconds.
pub(in crate::cli) fn time(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(value) if value < 0.01 => format!("{:.2} ms", value * 1e3),
        Some(value) if value < 0.1 => format!("{:.1} ms", value * 1e3),
        Some(value) if value < 1.0 => format!("{:.0} ms", value * 1e3),
        Some(value) => format!("{value:.2} s"),
    }
}

/// A duration in seconds, to its two largest units.
pub(in crate::cli) fn span(value: f64) -> String {
    let seconds = value.max(0.0).floor();
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let first = units.iter().position(|(unit, _)| seconds >= *unit);
    let shown = units.iter().skip(first.unwrap_or(3)).take(2);
    let mut rest = seconds;
    let words: Vec<String> = shown
        .map(|(unit, name)| {
            let times = (rest / unit).floor();
            rest -= times * unit;
            format!("{times} {name}")
        })
        .collect();
    words.join(" ")
}

/// A share of 1.
pub(in crate::cli) fn percent(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(value) if value > 0.0 && value < 0.0995 => format!("{:.1} %", value * 100.0),
        Some(value) => format!("{:.0} %", value * 100.0),
    }
}

const UNKNOWN: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let counts = [0.0, 999.0, 1_000.0, 1_234_567.0, 12_345_678.0];
        let shown = counts.map(|value| count(Some(value)));
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "12.3M"]);
        let shown = [0.0, 0.04, 0.96, 12.34, 812.5, 1234.5].map(|value| rate(Some(value)));
        assert_eq!(shown, ["0.0", "0.04", "1.0", "12.3", "812", "1,234"]);
        let shown = [0.0, 1023.0, 1536.0, 1e6, 5e9].map(|value| octets(Some(value)));
        assert_eq!(shown, ["0 B", "1023 B", "1.5 KiB", "977 KiB", "4.7 GiB"]);
        let shown = [0.0014, 0.012, 0.25, 12.0].map(|value| time(Some(value)));
        assert_eq!(shown, ["1.40 ms", "12.0 ms", "250 ms", "12.00 s"]);
        let shown = [0.9, 60.0, 8000.0, 90_061.0].map(span);
        assert_eq!(shown, ["0 s", "1 min 0 s", "2 h 13 min", "1 d 1 h"]);
        let shown = [0.0, 0.002, 0.85].map(|value| percent(Some(value)));
        assert_eq!(shown, ["0 %", "0.2 %", "85 %"]);
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        for shown in [count, rate, octets, time, percent].map(|show| show(None)) {
            assert_eq!(shown, "-");
        }
    }
}
