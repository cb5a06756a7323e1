//! `decode` and `encode`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use super::process::{command, recorded, run, spawn};

#[tokio::test]
async fn a_datagram_is_explained_down_to_its_fields() {
    let output = run(&["decode", "hex:0a12340240022f618094"])
        .await
        .succeeds();
    let text = output.text();
    for words in [
        "WTP Invoke",
        "WSP Get",
        "URI: /a",
        "accept: application/vnd.wap.wmlc",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let output = run(&["decode", "--json", "hex:0a12340240022f618094"])
        .await
        .succeeds();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["kind"], "wtp");
    let wsp = run(&["decode", "--as", "wsp", "hex:40022f61"])
        .await
        .succeeds();
    assert!(wsp.text().contains("URI: /a"));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let output = run(&["decode", "--as", "wtp", "hex:0a12340240022f6180"])
        .await
        .fails();
    assert!(output.text().contains("! "), "{}", output.text());
    output.says(&["at octet 9", "expected"]);
    run(&["decode", "hex:0a1"]).await.fails().says(&["pairs"]);
    run(&["decode", "--as", "pcap", "hex:00"]).await.fails();
    let cut = run(&["decode", "--as", "wbxml", "hex:02a4016a006d6c"])
        .await
        .fails();
    cut.says(&["02 a4 01 6a", "^^"]);
}

#[tokio::test]
async fn octets_are_taken_for_what_parses_to_its_end() {
    // A service indication, pushed without a session.
    let push = "hex:01060403ae81ea02056a0045c60c03682e6578616d706c652f0001034869000101";
    let push = run(&["decode", push]).await.succeeds();
    for words in [
        "WSP Push",
        "application/vnd.wap.sic; charset=utf-8",
        "<indication href=\"http://h.example/\">Hi</indication>",
    ] {
        assert!(push.text().contains(words), "{words} in {}", push.text());
    }
    // WBXML 1.3 of a type that has no number, on code page 13; without the 00 that switches the
    // page, there are octets after the root.
    let whole = "hex:03016a00000d454803323430000101";
    let whole = run(&["decode", whole]).await.succeeds();
    assert!(
        whole.text().contains("<wbxml-tag-13-08>240<"),
        "{}",
        whole.text()
    );
    let broken = "hex:03016a000d454803323430000101";
    let broken = run(&["decode", broken]).await.fails();
    for words in [
        "WBXML 1.3 document",
        "<wbxml-tag-0-0D/>",
        "0005  45 48 03 32 34 30 00 01 …   ! malformed: expected the end of the document, found 0x45; 9 octets are left",
    ] {
        assert!(
            broken.text().contains(words),
            "{words} in {}",
            broken.text()
        );
    }
    assert!(!broken.text().contains("Connect"), "{}", broken.text());
    broken.says(&["wbxml: at octet 5"]);
}

#[tokio::test]
async fn what_xml_cannot_say_hides_nothing_else() {
    // Binary data, an extension that Wireless Village has no value for, and one that it has.
    let wire = "hex:03116a00494dc302ff00016580811001 658012 0101";
    let shown = run(&["decode", "--as", "wbxml", wire]).await.succeeds();
    for words in [
        "<ContentData><!-- 2 octets: ff 00 --></ContentData>",
        "<Property><!-- EXT_T_0 144 --></Property>",
        "<Property>IM</Property>",
    ] {
        assert!(shown.text().contains(words), "{words} in {}", shown.text());
    }
    // A document that breaks off is shown up to there.
    let cut = run(&[
        "decode",
        "--as",
        "wbxml",
        "hex:02056a0045c60c03682e00010348",
    ]);
    let cut = cut.await.fails();
    assert!(
        cut.text().contains("<indication href=\"http://h.\">"),
        "{}",
        cut.text()
    );
    cut.says(&["a string that ends with NUL at offset 13"]);
}

#[tokio::test]
async fn a_message_becomes_xml_and_wbxml_again() {
    let file = recorded("s12-wbxml-mid-01-slow/01-req.wbxml");
    let file = file.to_str().unwrap();
    let xml = run(&["decode", file]).await.succeeds();
    assert!(xml.text().contains("<SyncML"), "{}", xml.text());
    assert!(
        xml.text().contains("<DevInf"),
        "documents inside are unfolded"
    );
    assert!(!xml.text().contains('\x1b'));
    let json = run(&["decode", "--json", file]).await.succeeds();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["version"], "1.2");

    let wbxml = spawn(Path::new("."), &["encode", "-"], &xml.stdout)
        .await
        .unwrap();
    let wbxml = wbxml.succeeds().stdout;
    let again = spawn(Path::new("."), &["decode", "-"], &wbxml)
        .await
        .unwrap();
    assert_eq!(again.succeeds().text(), xml.text());

    let bad = spawn(
        Path::new("."),
        &["encode", "-"],
        b"<SyncML>\n<Oops</SyncML>",
    );
    bad.await.unwrap().fails().says(&["-:2:"]);
}

/// A capture of the datagrams of a WTLS conversation that others recorded, with every secret.
#[cfg(feature = "wtls")]
fn secure_capture(file: &serde_json::Value, port: u16) -> Vec<u8> {
    let mut capture = b"\xD4\xC3\xB2\xA1\x02\0\x04\0".to_vec();
    // No correction, no accuracy, the longest packet, link type RAW.
    for number in [0_u32, 0, 65_535, 101] {
        capture.extend(number.to_le_bytes());
    }
    for pair in file["datagrams"].as_array().unwrap() {
        let hex = pair[1].as_str().unwrap();
        let octets = (0..hex.len()).step_by(2);
        let payload: Vec<u8> = octets
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let (handset, gateway) = ([10, 0, 0, 7], [192, 0, 2, 1]);
        let ends = match pair[0] == "C>" {
            true => (handset, 40_000_u16, gateway, port),
            false => (gateway, port, handset, 40_000),
        };
        let len = u16::try_from(28 + payload.len()).unwrap();
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(ends.0);
        packet.extend(ends.2);
        for field in [ends.1, ends.3, len - 20, 0] {
            packet.extend(field.to_be_bytes());
        }
        packet.extend(payload);
        let len = u32::from(len);
        for number in [1, 0, len, len] {
            capture.extend(number.to_le_bytes());
        }
        capture.extend(packet);
    }
    capture
}

#[cfg(feature = "wtls")]
#[tokio::test]
async fn a_key_log_shows_what_is_in_the_records_of_a_capture() {
    let file = include_str!("../../../fixtures/wtls/rsa_anon-3-3.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (capture, log) = (
        directory.path().join("c.pcap"),
        directory.path().join("keys"),
    );
    std::fs::write(&capture, secure_capture(&file, 9203)).unwrap();
    let text = |name: &str| file[name].as_str().unwrap();
    let line = format!("WTLS {} {}\n", text("client_random"), text("master_secret"));
    std::fs::write(&log, &line).unwrap();
    let (capture, log) = (capture.to_str().unwrap(), log.to_str().unwrap());

    let closed = run(&["decode", capture]).await.succeeds().text();
    assert!(
        closed.contains("ClientHello") && !closed.contains("plaintext"),
        "{closed}"
    );
    // What the conversation carries is text, not WTP, which decode says.
    let open = run(&["decode", "--key-log", log, capture]).await.fails();
    let shown = open.text();
    assert!(
        shown.contains("plaintext of record 0") && shown.contains("Finished"),
        "{shown}"
    );
    let first = text("client_random");
    assert!(!shown.contains(first), "the key log is not shown");
    let json = run(&["decode", "--json", "--key-log", log, capture])
        .await
        .fails();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let plaintexts = json
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|packet| packet.get("plaintexts"));
    let exchanges = file["app"].as_array().unwrap().len();
    // Both Finished, and a record each way for each exchange.
    assert_eq!(plaintexts.count(), 2 + 2 * exchanges);

    std::fs::write(directory.path().join("wrong"), "CLIENT_RANDOM 00 00\n").unwrap();
    let wrong = directory.path().join("wrong");
    let wrong = run(&["decode", "--key-log", wrong.to_str().unwrap(), capture]).await;
    wrong.fails().says(&["line 1", "expected WTLS"]);
    let alone = run(&["decode", "--key-log", log, "hex:0a12340240022f618094"]).await;
    alone.fails().says(&["needs a capture"]);
}

/// Records at a port that is not assigned look like random octets to whoever has no secret of theirs.
#[cfg(feature = "wtls")]
#[tokio::test]
async fn a_key_log_makes_a_conversation_at_another_port_one_of_wtls() {
    let file = include_str!("../../../fixtures/wtls/rsa_anon-3-3.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (capture, log, other) = (path("c.pcap"), path("keys"), path("others"));
    std::fs::write(&capture, secure_capture(&file, 4_443)).unwrap();
    let text = |name: &str| file[name].as_str().unwrap();
    let line = format!("WTLS {} {}\n", text("client_random"), text("master_secret"));
    std::fs::write(&log, &line).unwrap();
    std::fs::write(
        &other,
        line.replace(text("client_random"), &"00".repeat(16)),
    )
    .unwrap();

    let open = run(&["decode", "--key-log", &log, &capture])
        .await
        .succeeds();
    let shown = open.text();
    assert!(
        shown.contains("ClientHello") && shown.contains("plaintext of record 0"),
        "{shown}"
    );
    let exchanges = file["app"].as_array().unwrap().len();
    assert_eq!(
        shown.matches("plaintext of record").count(),
        2 + 2 * exchanges
    );
    let closed = run(&["decode", "--key-log", &other, &capture]).await;
    assert!(!closed.succeeds().text().contains("ClientHello"));
}

/// The header of a capture in microseconds, with link type RAW.
fn capture_header() -> Vec<u8> {
    let mut header = b"\xD4\xC3\xB2\xA1\x02\0\x04\0".to_vec();
    for number in [0_u32, 0, 65_535, 101] {
        header.extend(number.to_le_bytes());
    }
    header
}

/// A datagram of a capture, between these addresses of 10/8 and ports.
fn captured((from, from_port): (u8, u16), (to, to_port): (u8, u16), payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(28 + payload.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    for field in [from_port, to_port, len - 20, 0] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend(payload);
    let mut frame = Vec::new();
    for number in [1, 0, u32::from(len), u32::from(len)] {
        frame.extend(number.to_le_bytes());
    }
    frame.extend(packet);
    frame
}

/// An Invoke with a Get of this path.
fn get(path: &str) -> Vec<u8> {
    let len = u8::try_from(path.len()).unwrap();
    [b"\x0A\x12\x34\x02\x40", &[len][..], path.as_bytes()].concat()
}

/// Another program captures, and its packets are shown while it goes on.
#[tokio::test]
async fn a_capture_in_a_pipe_is_explained_as_it_comes() {
    let mut child = command()
        .args(["decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    pipe.write_all(&capture_header()).unwrap();
    for (number, path) in [(1, "/one"), (2, "/two")] {
        let frame = captured((1, 7), (2, 9201), &get(path));
        // A packet in two pieces.
        for piece in frame.chunks(30) {
            pipe.write_all(piece).unwrap();
            pipe.flush().unwrap();
        }
        let mut shown = lines.by_ref().map(Result::unwrap);
        assert!(shown.any(|line| line.starts_with(&format!("packet {number} at 1.000000"))));
        assert!(shown.any(|line| line.ends_with(&format!("URI: {path}"))));
    }
    drop(pipe);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_capture_is_shown_for_some_peers_or_for_one_subscriber() {
    let report = |status: u8, number: &[u8], address: u8| {
        let attribute = |kind: u8, value: &[u8]| {
            let len = u8::try_from(value.len() + 2).unwrap();
            [&[kind, len], value].concat()
        };
        let attributes = [
            attribute(40, &[0, 0, 0, status]),
            attribute(44, number),
            attribute(31, number),
            attribute(8, &[10, 0, 0, address]),
        ]
        .concat();
        let len = u16::try_from(20 + attributes.len()).unwrap();
        [&[4, 1][..], &len.to_be_bytes(), &[0; 16], &attributes].concat()
    };
    let frames = [
        capture_header(),
        captured((3, 7), (2, 9201), &get("/before")),
        captured((8, 7), (9, 1813), &report(1, b"491701", 3)),
        captured((3, 7), (2, 9201), &get("/during")),
        captured((4, 7), (2, 9201), &get("/other")),
        captured((8, 7), (9, 1813), &report(2, b"491701", 3)),
        captured((3, 7), (2, 9201), &get("/after")),
    ];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.pcap");
    std::fs::write(&file, frames.concat()).unwrap();
    let file = file.to_str().unwrap();
    let paths = async |options: &[&str]| {
        let arguments = [&["decode"], options, &[file]].concat();
        let text = run(&arguments).await.succeeds().text();
        let uris = text.lines().filter_map(|line| line.split_once("URI: "));
        uris.map(|(_, uri)| uri.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&["--peer=10.0.0.4"]).await, ["/other"]);
    assert_eq!(
        paths(&["--peer=10.0.0.4", "--peer=10.0.0.3/32", "--count=2"]).await,
        ["/before", "/during"]
    );
    assert_eq!(paths(&["--msisdn=+491701"]).await, ["/during"]);

    let arguments = ["decode", "--json", "--msisdn=491701", file];
    let json = run(&arguments).await.succeeds();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        json[0]["number"], 3,
        "packets have the numbers of the capture"
    );
    assert_eq!(json.as_array().unwrap().len(), 1);

    let nobody = run(&["decode", "--msisdn=4999", file]).await.fails();
    nobody.says(&["names the number", "wapbridge trace --msisdn"]);
    let nobody = run(&["decode", "--json", "--peer=10.9.9.9", file])
        .await
        .fails();
    assert_eq!(nobody.text(), "[]\n");
    let elsewhere = ["decode", "--msisdn=491701", "--radius-port=1900", file];
    run(&elsewhere).await.fails().says(&["UDP port 1900"]);
    let octets = ["decode", "--peer=10.0.0.4", "hex:0a12340240022f61"];
    run(&octets).await.fails().says(&["are for captures"]);
    for wrong in [
        &["decode"][..],
        &["decode", "--port=9301", file],
        &["decode", "--interface=lo", file],
        &["decode", "--peer=10.0.0.4/8", file],
        &["decode", "--count=0", file],
    ] {
        assert_eq!(run(wrong).await.status, Some(2), "{wrong:?}");
    }
}
