//! `demo`: it holds, and it notices when something is broken.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::process::run;

#[tokio::test]
async fn the_demo_holds_and_shows_it() {
    let output = run(&["demo", "--handsets", "5"]).await.succeeds();
    let text = output.text();
    for row in [
        "messages synced",
        "reached the origin exactly once",
        "retransmissions by handsets, gateway",
        "duplicates suppressed by handsets, gateway",
        "bytes over the air",
        "median",
        "99th percentile",
        "✓",
    ] {
        assert!(text.contains(row), "{row} in {text}");
    }
    assert!(text.ends_with(".\n"));
    // In a pipe no line is redrawn and no line is repeated.
    assert!(!text.contains(['\r', '\x1b']), "{text:?}");
    let progress = |line: &&str| line.contains("messages synced, ");
    let mut shown: Vec<&str> = text
        .lines()
        .filter(progress)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    let all = shown.len();
    shown.dedup();
    assert_eq!(shown.len(), all, "{text}");
}

#[tokio::test]
async fn a_gateway_that_forgets_duplicates_is_found_out() {
    let output = run(&["demo", "--break", "duplicate", "--loss", "0"]).await;
    let output = output.fails();
    // A second POST, or a second Connect that takes the session away.
    assert!(output.text().contains("✗"), "{}", output.text());
    output.says(&["not hold"]);
}

#[tokio::test]
async fn the_demo_stays_and_the_commands_it_prints_work() {
    let program = env!("CARGO_BIN_EXE_wapbridge");
    let mut demo = std::process::Command::new(program)
        .args(["demo", "--stay", "--handsets", "3", "--loss", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let commands: Vec<Vec<String>> = lines
        .by_ref()
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("Sample files"))
        .filter_map(|line| line.strip_prefix("  wapbridge ").map(str::to_owned))
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    let arguments = |number: usize, more: &[&'static str]| -> Vec<String> {
        let words = commands[number].iter().cloned();
        words
            .chain(more.iter().map(|word| (*word).to_owned()))
            .collect()
    };
    for (number, more, words) in [
        (0, &[][..], "Hello from the origin"),
        (1, &["--once"][..], "running"),
        (2, &["--for", "3s"][..], "WSP"),
    ] {
        let arguments = arguments(number, more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run(&arguments).await.succeeds();
        assert!(
            output.text().contains(words),
            "{words} in {}",
            output.text()
        );
    }
    let pid = demo.id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(kill.unwrap().success());
    assert!(demo.wait().unwrap().success());
}
