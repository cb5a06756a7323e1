//! `decode` and `encode`.

use std::path::Path;

use crate::process::{recorded, run, spawn};

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
