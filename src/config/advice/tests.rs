//! One configuration for each warning, and none for the defaults.

use std::path::Path;

use super::*;

const ROUTE: &str = "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://b.example/\"\n";

/// Titles of the warnings, without those about this machine.
fn titles(source: &str) -> Vec<String> {
    let settings = Settings::parse(source, "test", Path::new("")).unwrap();
    let warnings = settings.warnings();
    warnings
        .problems()
        .iter()
        .map(|problem| problem.title.clone())
        .filter(|title| !title.contains("descriptors"))
        .collect()
}

#[test]
fn the_defaults_contradict_nothing() {
    assert_eq!(titles(ROUTE), Vec::<String>::new());
}

#[test]
fn every_contradiction_is_told() {
    for (source, warning) in [
        ("max_reply = \"500KiB\"", "extended segmentation only"),
        ("max_reply = \"2MiB\"", "above max_message"),
        (
            "timeout = \"5s\"\nconnect_timeout = \"10s\"",
            "connect_timeout is longer",
        ),
        (
            "timeout = \"5s\"\nfirst_byte_timeout = \"10s\"",
            "first_byte_timeout is longer",
        ),
        ("outlier = {}", "outlier has no effect"),
        ("retry_budget = {}", "retry_budget has no effect"),
        ("balance = \"round_robin\"", "balance has no effect"),
        ("affinity = \"address\"", "affinity has no effect"),
        ("slow_start = \"30s\"", "slow_start has no effect"),
        ("[wtp]\nsegment_size = 512", "extended segmentation only"),
        ("[wtp]\nsend_group = 1000", "send_group is smaller"),
        (
            "[wtp]\nunannounced_group = 100",
            "unannounced_group is smaller",
        ),
        ("[wtp]\nbase_ack = \"6s\"", "repeat every request"),
        ("[wsp]\nidle_timeout = \"60s\"", "session may be forgotten"),
        ("[server]\ndrain_timeout = \"1s\"", "a stop may cut"),
        ("[connectionless]\nmax_reply = 8000", "larger than a packet"),
        ("[connectionless]\namplification = 100", "forged addresses"),
        ("[protection]\namplification = 100", "forged addresses"),
        (
            "[limits]\nmemory = \"128MiB\"\nmax_octets = \"512MiB\"",
            "bodies alone",
        ),
        (
            "[limits]\nmemory = \"128MiB\"\nmax_sessions = 1000000",
            "sessions alone",
        ),
        (
            "[limits]\nmax_transactions = 100",
            "max_exchanges is never reached",
        ),
        (
            "[admin]\ntoken = \"change-me-before-use\"",
            "is from a public example",
        ),
        (
            "[store]\npath = \"/nonexistent/state.redb\"",
            "cannot be written",
        ),
        ("[store]\npath = \"/etc/hostname\"", "is no store"),
        (
            "[records]\npath = \"/etc/hostname/r.jsonl\"",
            "cannot be written",
        ),
        (
            "[log]\naccess = \"/nonexistent/access.log\"",
            "cannot be written",
        ),
        ("[log]\naccess = \"/tmp\"", "cannot be written"),
    ] {
        let titles = titles(&format!("{ROUTE}{source}"));
        assert!(
            titles.iter().any(|title| title.contains(warning)),
            "{source}: {titles:?}"
        );
    }
}

#[test]
fn weights_need_a_balance() {
    let hosts = "[{ url = \"https://b.example/\", weight = 2 }, \"https://c.example/\"]";
    let source = ROUTE.replace("\"https://b.example/\"", hosts);
    assert_eq!(titles(&source), ["route 1: weight has no effect"]);
    let balanced = format!("{source}balance = \"least_outstanding\"\nslow_start = \"5s\"\n");
    assert_eq!(titles(&balanced), Vec::<String>::new());
}

#[test]
fn amplification_concerns_allowed_networks() {
    let source = format!(
        "{ROUTE}[connectionless]\namplification = 100\n[protection]\nallow = \"10.0.0.0/8\"\n"
    );
    assert_eq!(titles(&source), Vec::<String>::new());
    let source = format!(
        "[listen]\nconnectionless = \"127.0.0.1:9200\"\n{ROUTE}[connectionless]\namplification = 100\n"
    );
    assert_eq!(titles(&source), Vec::<String>::new());
}

#[test]
fn secrets_of_examples_are_told_at_their_place_and_never_shown() {
    let source = format!(
        "{ROUTE}[[identity.radius.client]]\nnetwork = \"10.0.0.0/8\"\nsecret = \"Change-Me\"\n\
         [[identity.radius.forward]]\naddress = \"127.0.0.1:1813\"\nsecret = \"real\"\n"
    );
    let settings = Settings::parse(&source, "test", Path::new("")).unwrap();
    let report = settings.warnings().to_string();
    assert!(report.contains("test:6:"), "{report}");
    assert!(!report.contains("Change-Me"), "{report}");
    assert_eq!(titles(&source).len(), 1);
    let push = format!(
        "{ROUTE}[store]\npath = \"state.redb\"\n[push]\nlisten = \"127.0.0.1:8282\"\n\
         [[push.initiator]]\nname = \"a\"\nuser = \"a\"\npassword = \"change-me\"\ntargets = \"*\"\n\
         [[push.initiator]]\nname = \"b\"\ntoken = \"change-me-too\"\ntargets = \"*\"\n\
         [[smsc]]\naddress = \"127.0.0.1:2775\"\nsystem_id = \"a\"\npassword = \"changeme\"\n"
    );
    let settings = Settings::parse(&push, "test", Path::new("")).unwrap();
    let report = settings.warnings().to_string();
    for line in [11, 15, 20] {
        assert!(report.contains(&format!("test:{line}:")), "{report}");
    }
    assert!(!report.contains("change"), "{report}");
}

#[test]
fn pushes_without_a_store_or_tls_are_warned_of() {
    let push = |listen: &str, more: &str| {
        format!(
            "{ROUTE}[push]\nlisten = \"{listen}\"\n[[push.initiator]]\nname = \"a\"\nuser = \"a\"\n\
             password = \"b\"\ntargets = \"*\"\n{more}"
        )
    };
    assert_eq!(titles(&push("127.0.0.1:8282", "")).len(), 1);
    assert_eq!(titles(&push("0.0.0.0:8282", "")).len(), 2);
}
