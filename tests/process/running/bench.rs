//! `wapbridge bench` in a terminal, and its end before its time.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::gateway::{Gateway, PROGRAM, configuration};
use super::terminal::{Terminal, signal};
use crate::support::certificate::new_authority;
use crate::support::origin::echo;

fn gateway(name: &str) -> Gateway {
    let authority = new_authority(name);
    let port = echo(&authority, "hello");
    Gateway::start(name, &configuration("127.0.0.1:0", port), &authority.pem())
}

/// A run of ten minutes.
fn bench(gateway: &Gateway) -> Vec<String> {
    [
        "bench",
        "--gateway",
        &gateway.address,
        "--handsets=4",
        "--think=20",
        "--duration=600",
        "--warm-up=0",
        "http://sync.example/",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn report(mut child: Child) -> Value {
    let mut text = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_screen_shows_the_run_and_every_end_gives_the_terminal_back_and_reports() {
    let gateway = gateway("bench_terminal");
    for end in ["q", "\x03", "TERM"] {
        let (rows, columns) = (24, 80);
        let mut terminal = Terminal::open(rows, columns);
        let child = Command::new("setsid")
            .args(["--ctty", PROGRAM])
            .args(bench(&gateway))
            .arg("--json")
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(terminal.end())
            .stdout(Stdio::piped())
            .stderr(terminal.end())
            .spawn()
            .unwrap();
        terminal.until("wapbridge bench");
        let shown = &terminal.shown;
        assert!(shown.starts_with("\x1b[?1049h"), "{shown:?}");
        assert!(terminal.is_raw());
        for words in ["answered", "LATENCY", "status 200", "RATE", "█"] {
            terminal.until(words);
        }
        if end == "q" {
            // Ctrl-Z gives the terminal back until the process goes on.
            terminal.press("\x1a");
            terminal.until("\x1b[?1049l");
            let stat = format!("/proc/{}/stat", child.id());
            while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            assert!(terminal.is_given_back());
            terminal.shown.clear();
            signal(child.id(), "CONT");
            terminal.until("LATENCY");
        }
        match end {
            "TERM" => signal(child.id(), end),
            key => terminal.press(key),
        }
        terminal.until("\x1b[?1049l");
        let report = report(child);
        assert!(terminal.is_given_back());
        assert_eq!(report["interrupted"], true);
        assert!(
            report["load"]["transactions"].as_u64() > Some(0),
            "{report}"
        );
        assert_eq!(report["load"]["errors"], serde_json::json!({}));
        let (lowest, shown) = (terminal.lowest_row(), &terminal.shown);
        assert!((15..=rows).contains(&lowest), "{lowest} {shown:?}");
    }
}

#[test]
fn without_a_terminal_there_are_lines_and_a_signal_ends_the_run() {
    let gateway = gateway("bench_lines");
    // The quiet one first: the gateway's log has nothing of an earlier run.
    for (option, says) in [("--quiet", false), ("--json", true)] {
        let mut child = Command::new(PROGRAM)
            .args(bench(&gateway))
            .args(["--json", option].iter().take(if says { 1 } else { 2 }))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        match says {
            true => {
                while !line.contains("transactions, 0 failed") {
                    line.clear();
                    assert!(stderr.read_line(&mut line).unwrap() > 0);
                }
            }
            // Nothing tells how far it is but the gateway.
            false => drop(gateway.says("uri=")),
        }
        assert!(!line.contains('\x1b'), "{line:?}");
        signal(child.id(), "INT");
        let report = report(child);
        assert_eq!(report["interrupted"], true);
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert!(says || rest.is_empty(), "{rest}");
    }
}
