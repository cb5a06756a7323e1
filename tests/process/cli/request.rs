//! `post` and `get`, the operator's curl for WAP.

use std::net::UdpSocket;
use std::path::Path;

use super::process::{Gateway, configuration, recorded, run, run_in, spawn};
use crate::support::origin::Origin;

const SYNC: &str = "http://sync.example.com/syncml/s12-wbxml-mid-01-slow/02";
const REQUEST: &str = "s12-wbxml-mid-01-slow/02-req.wbxml";
const ANSWER: &str = "s12-wbxml-mid-01-slow/02-resp.wbxml";

#[tokio::test]
async fn the_body_goes_out_and_comes_back_to_the_octet() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let option = gateway.option();
    let request = recorded(REQUEST);
    let file = request.to_str().unwrap();
    let answer = std::fs::read(recorded(ANSWER)).unwrap();

    let output = run(&["post", &option, "--data", file, SYNC])
        .await
        .succeeds();
    assert!(output.stdout == answer, "standard output is the body alone");
    let output = output.says(&["200 OK", "Content-Type: application/vnd.syncml+wbxml"]);
    assert!(!output.stderr.contains('\x1b'));

    // From standard input, into a file, in silence.
    let body = std::fs::read(&request).unwrap();
    let arguments = [
        "post",
        &option,
        "-q",
        "--data",
        "-",
        "-o",
        "answer.wbxml",
        SYNC,
    ];
    let directory = gateway.directory.path();
    let output = spawn(directory, &arguments, &body)
        .await
        .unwrap()
        .succeeds();
    assert_eq!((output.stdout.len(), output.stderr.as_str()), (0, ""));
    assert!(std::fs::read(directory.join("answer.wbxml")).unwrap() == answer);
}

#[tokio::test]
async fn figures_are_written_as_asked() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let option = gateway.option();
    let uri = "http://sync.example.com/bytes/20000";
    let format = "%{http_code} %{size_download} %{time_connect} %{time_starttransfer} %{time_total} \
                  %{retransmissions}\\n";
    let output = run(&["get", &option, "-s", "-o", "/dev/null", "-w", format, uri])
        .await
        .succeeds();
    let text = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = text
        .trim_end()
        .split(' ')
        .map(|figure| figure.parse().unwrap())
        .collect();
    let [status, octets, connected, first, whole, again] = figures[..] else {
        panic!("{text}");
    };
    assert_eq!((status, octets), (200.0, 20_000.0), "{text}");
    assert!(0.0 < connected && connected < first, "{text}");
    // The reply needs several groups, so its first packet comes before the last.
    assert!(first < whole && again < 5.0, "{text}");

    let output = run(&["get", &option, "--json", uri]).await.succeeds();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let time = |name: &str| json[name].as_f64().unwrap();
    assert!(time("connect_ms") < time("first_packet_ms"));
    assert!(time("first_packet_ms") < time("total_ms"));

    let output = run(&["get", &option, "-w", "%{time}", uri]).await;
    output.says(&["no variable `time`; there are response_code"]);
}

#[tokio::test]
async fn types_and_fields_are_sent_as_asked() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let option = gateway.option();
    let arguments = [
        "post",
        &option,
        "--type",
        "text/x-vCard; charset=utf-8",
        "-H",
        "Accept-Language: de",
        "--bare",
        "--data",
        "-",
        "http://sync.example.com/echo",
    ];
    let output = spawn(Path::new("."), &arguments, b"BEGIN:VCARD")
        .await
        .unwrap();
    assert_eq!(output.succeeds().text(), "BEGIN:VCARD");
    let heard = origin.heard("/echo").remove(0);
    assert_eq!(heard.headers["content-type"], "text/x-vCard; charset=utf-8");
    assert_eq!(heard.headers["accept-language"], "de");
}

#[tokio::test]
async fn the_exit_status_tells_success() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let option = gateway.option();
    let refused = run(&["get", &option, "http://elsewhere.example/"])
        .await
        .fails();
    refused.says(&["403 Forbidden", "no route", "wapbridge route"]);
    let origins = run(&["get", &option, "http://sync.example.com/status/413"]).await;
    origins.fails().says(&["the answer was 413"]);
    let moved = run(&["get", &option, "http://sync.example.com/status/302"]).await;
    moved
        .succeeds()
        .says(&["302 Found", "location: https://other.example/x?y=1"]);
    let head = run(&["get", &option, "--head", "http://sync.example.com/hello"]).await;
    let head = head.succeeds().says(&["200 OK", "content-length: 5"]);
    assert!(head.stdout.is_empty());
    let usage = run(&["get", "http://sync.example.com/"]).await;
    assert_eq!(usage.status, Some(2), "{}", usage.stderr);
    usage.says(&["--gateway"]);
}

#[tokio::test]
async fn verbose_shows_each_datagram() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let uri = "http://sync.example.com/hello";
    let output = run(&["get", &gateway.option(), "-v", uri]).await.succeeds();
    assert_eq!(output.text(), "hello");
    let output = output.says(&[
        " → tid",
        " ← tid",
        "Invoke class 2 · Connect",
        "Result · Reply",
    ]);
    let first = output.stderr.lines().next().unwrap();
    let time = first.split_whitespace().next().unwrap();
    assert!(
        time.parse::<f64>().is_ok(),
        "each line begins with its time: {first}"
    );

    let output = run(&["get", &gateway.option(), "-vv", uri])
        .await
        .succeeds();
    output.says(&["WSP Get", "URI: http://sync.example.com/hello"]);
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_with_its_remedy() {
    let uri = "http://sync.example.com/";
    // The port is open, and silent.
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let option = format!("--gateway={}", mute.local_addr().unwrap());
    let output = run(&["get", &option, "--timeout", "1", uri]).await.fails();
    output.says(&["no datagram came in 1 s", "firewall", "9201"]);
    // The test holds the port, so that no other test gets it. The socket receives only from an
    // address that never sends.
    mute.connect("127.0.0.1:9").unwrap();
    let output = run(&["get", &option, "--timeout", "20", uri]).await.fails();
    output.says(&["nobody listens", "wapbridge serve"]);
    let output = run(&["get", "--gateway", "no such host", uri])
        .await
        .fails();
    output.says(&["no such host", "does not resolve"]);
    let output = run(&["post", &option, "--data", "no-such-file", uri]).await;
    output.fails().says(&["no-such-file"]);
}

#[tokio::test]
async fn a_long_wait_is_explained_and_an_interrupt_ends_it_on_both_sides() {
    let origin = Origin::start().await;
    let timers = "[wtp]\nbase_ack = \"100ms\"\nlong_ack = \"100ms\"\nshort_ack = \"100ms\"\n";
    let gateway = Gateway::start(&configuration(&origin.uri(), timers)).await;
    // `sh` prints the number of the process, then becomes the program.
    let program = env!("CARGO_BIN_EXE_wapbridge");
    let script = format!(
        "exec {program} get {} http://sync.example.com/stall",
        gateway.option()
    );
    let child = std::process::Command::new("sh")
        .args(["-c", &script])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    origin.wait(|state| !state.heard.is_empty()).await;
    let pid = child.id();
    let output = tokio::task::spawn_blocking(move || {
        use std::io::{BufRead, BufReader, Read};
        let mut child = child;
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        stderr.read_line(&mut first).unwrap();
        let interrupt = format!("kill -INT {pid}");
        let sh = std::process::Command::new("sh")
            .args(["-c", &interrupt])
            .status();
        assert!(sh.unwrap().success());
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        (first, rest, child.wait().unwrap())
    });
    let (first, rest, status) = output.await.unwrap();
    assert!(first.contains("the gateway has the request"), "{first}");
    assert!(rest.contains("interrupted"), "{rest}");
    assert_eq!(status.code(), Some(1));
    origin.wait(|state| state.abandoned == 1).await;
    gateway.line("ending=\"aborted\"").await;
}

#[tokio::test]
async fn help_teaches_by_example() {
    for command in [
        "serve", "check", "post", "get", "demo", "route", "decode", "encode",
    ] {
        let output = run(&[command, "--help"]).await.succeeds();
        let text = output.text();
        assert!(text.contains("Examples:\n  "), "{command}: {text}");
        assert!(text.contains(&format!("wapbridge {command}")), "{text}");
    }
    let all = run_in(Path::new("."), &["--help"]).await.succeeds();
    assert!(all.text().contains("wapbridge demo"));
}

#[tokio::test]
async fn a_message_the_gateway_does_not_take_is_told_with_the_setting() {
    let origin = Origin::start().await;
    let limits = "[limits]\nmax_message = \"4KiB\"\n";
    let gateway = Gateway::start(&configuration(&origin.uri(), limits)).await;
    let file = recorded(REQUEST);
    let arguments = [
        "post",
        &gateway.option(),
        "--data",
        file.to_str().unwrap(),
        SYNC,
    ];
    let output = run(&arguments).await.fails();
    output.says(&["larger than the gateway takes", "max_message", "[limits]"]);
}
