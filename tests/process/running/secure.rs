//! The secure ports of the running program, and handsets that speak WTLS.

use std::path::Path;

use crate::cli::admin::ask;
use crate::cli::process::{Gateway, configuration, recorded, run, spawn};
use crate::support::origin::Origin;

const SYNC: &str = "http://sync.example.com/syncml/s12-wbxml-mid-01-slow/02";
const REQUEST: &str = "s12-wbxml-mid-01-slow/02-req.wbxml";
const ANSWER: &str = "s12-wbxml-mid-01-slow/02-resp.wbxml";

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wtls");
    path.join(name).display().to_string()
}

/// A gateway with a secure port, and `--gateway` with that port's address.
async fn start(upstream: &str, wtls: &str, route: &str) -> (Gateway, String) {
    start_with(upstream, wtls, route, &[]).await
}

/// The same with these variables in the gateway's environment.
async fn start_with(
    upstream: &str,
    wtls: &str,
    route: &str,
    environment: &[(&str, &Path)],
) -> (Gateway, String) {
    let secure = "connection_mode = \"127.0.0.1:0\"\nsecure_connection_mode = \"127.0.0.1:0\"";
    let configuration = configuration(upstream, "")
        .replace("connection_mode = \"127.0.0.1:0\"", secure)
        .replace("upstream =", &format!("{route}\nupstream ="));
    let more = format!("[wtls]\nkey = \"{}\"\n{wtls}", fixture("key.pem"));
    let gateway = Gateway::start_with(&format!("{configuration}{more}"), environment).await;
    let line = gateway.line("over WTLS").await;
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split(' ').next().unwrap().to_owned();
    (gateway, format!("--gateway={address}"))
}

#[tokio::test]
async fn a_post_over_wtls_comes_back_to_the_octet() {
    let origin = Origin::start().await;
    let (gateway, secure) = start(&origin.uri(), "min_security = 40", "").await;
    let request = recorded(REQUEST);
    let file = request.to_str().unwrap();
    let answer = std::fs::read(recorded(ANSWER)).unwrap();
    for suite in [
        "RC5_CBC/SHA",
        "RC5_CBC_40/SHA_80",
        "3DES_CBC_EDE/MD5",
        "IDEA_CBC/SHA_40",
    ] {
        let output = run(&[
            "post", &secure, "--secure", "--suite", suite, "--data", file, SYNC,
        ])
        .await
        .succeeds();
        assert!(output.stdout == answer, "{suite}");
    }
    let log = gateway.log();
    assert!(log.contains("secured=true"), "{log}");
    // The same port does not speak without.
    run(&["get", &secure, "--timeout", "1", SYNC]).await.fails();
}

#[tokio::test]
async fn a_route_may_require_wtls() {
    let origin = Origin::start().await;
    let (gateway, secure) = start(&origin.uri(), "", "secured = true").await;
    let request = recorded(REQUEST);
    let file = request.to_str().unwrap();
    run(&["post", &secure, "--secure", "--data", file, SYNC])
        .await
        .succeeds();
    let plain = gateway.option();
    let output = run(&["post", &plain, "--data", file, SYNC]).await.fails();
    assert!(output.stderr.contains("403"), "{}", output.stderr);
}

#[tokio::test]
async fn a_cipher_that_is_not_worth_enough_is_refused() {
    let origin = Origin::start().await;
    let (_gateway, secure) = start(&origin.uri(), "", "").await;
    let output = run(&[
        "get",
        &secure,
        "--secure",
        "--suite",
        "DES_CBC_40/SHA",
        SYNC,
    ])
    .await
    .fails();
    assert!(
        output.stderr.contains("insufficient_security"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn a_reload_changes_what_new_handshakes_may_choose() {
    let origin = Origin::start().await;
    let (gateway, secure) = start(&origin.uri(), "key_exchanges = [\"RSA_anon\"]", "").await;
    let request = recorded(REQUEST);
    let data = request.to_str().unwrap();
    let post = async |more: &[&str]| {
        let arguments = ["post", &secure, "--secure", "--data", data, SYNC];
        run(&[&arguments, more].concat()).await
    };
    post(&[]).await.succeeds();

    // No port changes, so nothing needs a restart.
    let file = gateway.directory.path().join("wapbridge.toml");
    let old = std::fs::read_to_string(&file).unwrap();
    let certificate = fixture("x509.pem");
    let new = old.replace(
        "key_exchanges = [\"RSA_anon\"]",
        &format!("key_exchanges = [\"RSA\"]\ncertificate = \"{certificate}\"\nmin_security = 40"),
    );
    assert_ne!(old, new);
    std::fs::write(&file, new).unwrap();
    gateway.signal("HUP");
    gateway.line("reloaded").await;
    post(&[]).await.fails().says(&["handshake_failure"]);
    // The new exchange and the weak cipher get as far as the certificate, which is for another
    // name.
    post(&["--suite", "DES_CBC_40/SHA", "--ca-file", &certificate])
        .await
        .fails()
        .says(&["names another host"]);
}

#[tokio::test]
async fn a_secure_port_shows_in_the_sessions_the_records_and_the_certificates() {
    let origin = Origin::start().await;
    let more = format!(
        "certificate = \"{}\"\n[records]\npath = \"records/r.jsonl\"\n",
        fixture("x509.pem")
    );
    let (mut gateway, secure) = start(&origin.uri(), &more, "").await;
    let held = ["get", &secure, "--secure", "http://sync.example.com/hold"];
    let held = spawn(Path::new("."), &held, b"");
    origin.wait(|state| state.heard.len() == 1).await;
    let (_, sessions) = ask(gateway.admin, "GET /sessions", "").await;
    let sessions: serde_json::Value = serde_json::from_str(&sessions).unwrap();
    assert_eq!(sessions["sessions"][0]["secured"], true, "{sessions}");

    let (_, status) = ask(gateway.admin, "GET /status", "").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let certificates = status["certificates"].as_array().unwrap();
    let ours = certificates.iter().find(|it| it["role"] == "wtls");
    let ours = ours.unwrap_or_else(|| panic!("{status}"));
    assert_eq!(ours["subject"], "O=Test, CN=gw.example");
    assert_eq!(ours["not_after"], "2126-11-05T15:26:12Z");
    let (_, metrics) = ask(gateway.admin, "GET /metrics", "").await;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("wapbridge_certificate_expiry") && line.contains("\"wtls\""));
    assert!(line.is_some(), "{metrics}");

    gateway.signal("TERM");
    gateway.signal("TERM");
    gateway.ended().await;
    held.await.unwrap();
    let files = std::fs::read_dir(gateway.directory.path().join("records")).unwrap();
    let records: String = files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(records.contains("\"secured\":true"), "{records}");
}

#[tokio::test]
async fn secrets_are_written_where_the_environment_says_and_the_log_warns() {
    use std::os::unix::fs::PermissionsExt;

    let origin = Origin::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    let environment = [("WAPBRIDGE_KEYLOG", file.as_path())];
    let (gateway, secure) = start_with(&origin.uri(), "", "", &environment).await;
    gateway.line("WAPBRIDGE_KEYLOG is set").await;
    let request = recorded(REQUEST);
    let data = request.to_str().unwrap();
    for _ in 0..2 {
        run(&["post", &secure, "--secure", "--data", data, SYNC])
            .await
            .succeeds();
    }
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "WTLS");
        assert_eq!((words[1].len(), words[2].len()), (32, 40));
        assert!(!gateway.log().contains(words[2]));
    }
}
