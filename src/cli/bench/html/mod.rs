//! `--html`: the report as one page, which needs nothing beside it: no script, no network.

mod chart;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use crate::cli::bench::report::{Latency, Report};
use crate::cli::bench::timeline::Second;
use crate::printable::Printable;
use chart::{Group, groups};

/// What the page shows.
pub(super) struct Page<'a> {
    pub(super) report: &'a Report,
    /// The URI that handsets requested.
    pub(super) uri: &'a str,
    /// The end of the run (RFC 3339).
    pub(super) at: &'a str,
    pub(super) bars: &'a [(Duration, u64)],
    pub(super) seconds: &'a [Second],
}

/// Text between tags. Whatever could end the text, begin a tag or deceive a reader is escaped.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in Printable(self.0).to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let groups = groups(self.seconds);
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>wapbridge bench: {gateway}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>wapbridge bench: {gateway}</h1>\n<p>{uri}</p>\n<p class=\"faint\">{at}, {mode} mode, {plan}</p>\n",
            gateway = Text(&report.gateway),
            uri = Text(self.uri),
            at = Text(self.at),
            mode = report.mode,
            plan = Text(&plan(report)),
        )?;
        if report.interrupted {
            let unfinished = report.load.unfinished;
            writeln!(
                f,
                "<p class=\"bad\">The run was interrupted, with {unfinished} requests under way.</p>"
            )?;
        }
        self.tiles(f)?;
        writeln!(
            f,
            "<h2>Latency</h2>\n<figure>{}<figcaption>Answers by latency; each label is the upper bound of its bar.\
             </figcaption></figure>",
            chart::histogram(self.bars)
        )?;
        percentiles(f, &report.load.latency_ms)?;
        writeln!(
            f,
            "<h2>Over time</h2>\n<figure>{}<figcaption>Answers (green) and failures (red) a second.</figcaption></figure>\n\
             <figure>{}<figcaption>Latency: median, and dashed the 99th percentile.</figcaption></figure>",
            chart::rate(&groups),
            chart::latency(&groups)
        )?;
        self.stages(f)?;
        counts(
            f,
            "Answers by status",
            "status",
            report.load.statuses.iter(),
        )?;
        failures(f, "Failures", &report.load.errors)?;
        self.connects(f)?;
        self.processes(f)?;
        by_second(f, &groups)?;
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

impl Page<'_> {
    fn tiles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = &self.report.load;
        let failed: u64 = load.errors.values().sum();
        f.write_str("<dl class=\"tiles\">\n")?;
        tile(f, "answered", &load.transactions)?;
        tile(f, "failed", &failed)?;
        tile(f, "not begun", &load.not_begun)?;
        tile(f, "a second", &format!("{:.1}", load.per_second))?;
        tile(f, "median", &format!("{:.1} ms", load.latency_ms.p50))?;
        tile(
            f,
            "99th percentile",
            &format!("{:.1} ms", load.latency_ms.p99),
        )?;
        tile(f, "measured", &format!("{:.1} s", load.seconds))?;
        tile(f, "packets sent again", &load.retransmissions)?;
        tile(f, "heard again", &load.repeats)?;
        f.write_str("</dl>\n")
    }

    fn stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ramp) = &self.report.stages else {
            return Ok(());
        };
        let titles = [
            "stage", ramp.unit, "time", "answered", "a second", "failed", "p50", "p99", "max",
        ];
        table(f, "Stages", &titles)?;
        for (number, stage) in (1..).zip(&ramp.stages) {
            let Latency { p50, p99, max, .. } = stage.latency_ms;
            writeln!(
                f,
                "<tr><td>{number}</td><td>{} to {}</td><td>{} s</td><td>{}</td><td>{:.1}</td><td>{}</td>\
                 <td>{p50:.1} ms</td><td>{p99:.1} ms</td><td>{max:.1} ms</td></tr>",
                stage.from,
                stage.to,
                stage.seconds,
                stage.transactions,
                stage.per_second,
                stage.failed
            )?;
        }
        f.write_str(TABLE_END)
    }

    fn connects(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(handshakes) = &self.report.handshakes {
            writeln!(
                f,
                "<h2>Handshakes of WTLS</h2>\n<p>{} done.</p>",
                handshakes.done
            )?;
            failures(f, "Handshakes that failed", &handshakes.errors)?;
        }
        let connect = &self.report.connect;
        if connect.done > 0 {
            writeln!(
                f,
                "<h2>Connects</h2>\n<p>{} in {} s, {:.1} a second; median {:.1} ms, 99th percentile {:.1} ms.</p>",
                connect.done,
                connect.seconds,
                connect.per_second,
                connect.latency_ms.p50,
                connect.latency_ms.p99
            )?;
        }
        failures(f, "Connects that failed", &connect.errors)
    }

    fn processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.report.processes.is_empty() {
            let titles = [
                "process",
                "CPU for an exchange",
                "for a Connect",
                "memory before",
                "loaded",
                "released",
            ];
            table(f, "Processes", &titles)?;
            for process in &self.report.processes {
                let mib = |octets: u64| octets as f64 / 1_048_576.0;
                writeln!(
                    f,
                    "<tr><td>{} {}</td><td>{:.1} µs</td><td>{:.1} µs</td><td>{:.1} MiB</td><td>{:.1} MiB</td>\
                     <td>{:.1} MiB</td></tr>",
                    Text(&process.name),
                    process.pid,
                    process.cpu_us_per_transaction,
                    process.cpu_us_per_connect,
                    mib(process.resident.before),
                    mib(process.resident.loaded),
                    mib(process.resident.released)
                )?;
            }
            f.write_str(TABLE_END)?;
        }
        match self.report.origin {
            Some(origin) => writeln!(
                f,
                "<p>The origin saw {} requests over {} connections.</p>",
                origin.requests, origin.connections
            ),
            None => Ok(()),
        }
    }
}

/// The settings of the load in words.
fn plan(report: &Report) -> String {
    let mut words = match (&report.stages, report.rate) {
        (Some(ramp), _) => format!("{} stages of {}", ramp.stages.len(), ramp.unit),
        (None, Some(rate)) => format!("{rate} requests a second of {} handsets", report.handsets),
        (None, None) => format!("{} handsets", report.handsets),
    };
    words += &format!(", {} octets a request", report.post_size);
    if report.sessions > 0 {
        words += &format!(", {} idle sessions", report.sessions);
    }
    if report.loss > 0.0 {
        words += &format!(", {} % lost each way", report.loss);
    }
    if report.delay_ms > 0 {
        words += &format!(", {} ms delay each way", report.delay_ms);
    }
    words
}

fn tile(f: &mut fmt::Formatter<'_>, name: &str, value: &dyn Display) -> fmt::Result {
    writeln!(f, "<div><dt>{name}</dt><dd>{value}</dd></div>")
}

fn percentiles(f: &mut fmt::Formatter<'_>, latency: &Latency) -> fmt::Result {
    table(f, "", &["mean", "p50", "p90", "p99", "p99.9", "max"])?;
    f.write_str("<tr>")?;
    let Latency {
        mean,
        p50,
        p90,
        p99,
        p999,
        max,
    } = latency;
    for value in [mean, p50, p90, p99, p999, max] {
        write!(f, "<td>{value:.2} ms</td>")?;
    }
    f.write_str("</tr>\n")?;
    f.write_str(TABLE_END)
}

fn failures(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    errors: &BTreeMap<String, u64>,
) -> fmt::Result {
    counts(f, title, "cause", errors.iter())
}

fn counts<'a, N: Display + 'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    name: &str,
    counts: impl ExactSizeIterator<Item = (N, &'a u64)>,
) -> fmt::Result {
    if counts.len() == 0 {
        return Ok(());
    }
    table(f, title, &[name, "number"])?;
    for (name, count) in counts {
        writeln!(
            f,
            "<tr><td>{}</td><td>{count}</td></tr>",
            Text(&name.to_string())
        )?;
    }
    f.write_str(TABLE_END)
}

/// The time line in figures.
fn by_second(f: &mut fmt::Formatter<'_>, groups: &[Group]) -> fmt::Result {
    f.write_str("<details><summary>The time line in figures</summary>\n")?;
    let titles = [
        "from",
        "answered a second",
        "failed a second",
        "under way",
        "p50",
        "p99",
        "max",
    ];
    table(f, "", &titles)?;
    for group in groups {
        writeln!(
            f,
            "<tr><td>{} s</td><td>{:.1}</td><td>{:.1}</td><td>{}</td><td>{:.1} ms</td><td>{:.1} ms</td>\
             <td>{:.1} ms</td></tr>",
            group.start,
            group.answered,
            group.failed,
            group.under_way,
            group.p50_ms,
            group.p99_ms,
            group.max_ms
        )?;
    }
    f.write_str(TABLE_END)?;
    f.write_str("</details>\n")
}

/// The beginning of a table.
fn table(f: &mut fmt::Formatter<'_>, title: &str, titles: &[&str]) -> fmt::Result {
    if !title.is_empty() {
        writeln!(f, "<h2>{title}</h2>")?;
    }
    f.write_str("<div class=\"wide\"><table>\n<tr>")?;
    for title in titles {
        write!(f, "<th scope=\"col\">{title}</th>")?;
    }
    f.write_str("</tr>\n")
}

const TABLE_END: &str = "</table></div>\n";
const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::report::{Load, Phase, Ramp, Stage};

    fn report() -> Report {
        let errors = BTreeMap::from([("</table><script>alert(1)</script>\u{202e}".to_owned(), 2)]);
        Report {
            gateway: "<b>gateway</b>".to_owned(),
            mode: "connection",
            handsets: 5,
            sessions: 0,
            post_size: 500,
            loss: 0.0,
            delay_ms: 0,
            rate: None,
            handshakes: None,
            connect: Phase {
                done: 5,
                seconds: 0.1,
                per_second: 50.0,
                latency_ms: Latency::default(),
                errors: BTreeMap::new(),
            },
            load: Load {
                seconds: 2.0,
                transactions: 30,
                per_second: 15.0,
                latency_ms: Latency::default(),
                retransmissions: 0,
                repeats: 0,
                not_begun: 0,
                unfinished: 4,
                statuses: BTreeMap::from([(200, 30), (500, 2)]),
                errors,
            },
            stages: Some(Ramp {
                unit: "handsets",
                stages: vec![Stage {
                    from: 0,
                    to: 5,
                    seconds: 2.0,
                    transactions: 30,
                    failed: 2,
                    per_second: 15.0,
                    latency_ms: Latency::default(),
                }],
            }),
            interrupted: true,
            processes: Vec::new(),
            origin: None,
        }
    }

    fn page() -> String {
        let seconds = [Second {
            done: 30,
            failed: 2,
            ..Second::default()
        }];
        Page {
            report: &report(),
            uri: "http://h/?a=1&b=\"2\"",
            at: "2026-11-30T20:00:00Z",
            bars: &[(Duration::from_millis(5), 30)],
            seconds: &seconds,
        }
        .to_string()
    }

    #[test]
    fn text_of_others_is_text() {
        let page = page();
        for words in [
            "&lt;b&gt;gateway&lt;/b&gt;",
            "<p>http://h/?a=1&amp;b=&quot;2&quot;</p>",
            "<td>&lt;/table&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}</td>",
        ] {
            assert!(page.contains(words), "{words} in {page}");
        }
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    }

    #[test]
    fn the_page_needs_nothing_beside_it() {
        let page = page();
        for resource in [" src=", " href=", "url(", "@import", "<link", "onload"] {
            assert!(!page.contains(resource), "{resource}");
        }
        assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme: dark"));
    }

    /// Every element that is opened is closed, in the order of a tree.
    #[test]
    fn the_page_is_a_tree() {
        const VOID: [&str; 1] = ["meta"];
        let page = page();
        let body = page.split_once("<html").unwrap().1;
        let mut open = vec!["html"];
        for tag in body.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn every_figure_has_its_place() {
        let page = page();
        for words in [
            "<dt>answered</dt><dd>30</dd>",
            "<dt>failed</dt><dd>2</dd>",
            "interrupted, with 4 requests under way",
            "<td>1</td><td>0 to 5</td><td>2 s</td><td>30</td>",
            "<td>500</td><td>2</td>",
            "<td>0 s</td><td>30.0</td><td>2.0</td>",
            "up to 5.00 ms: 30",
        ] {
            assert!(page.contains(words), "{words} in {page}");
        }
    }
}
