//! `demo`: it holds, and it notices when something is broken.

use crate::process::run;

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
    // In a pipe nothing is drawn over, and no line is said twice.
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
