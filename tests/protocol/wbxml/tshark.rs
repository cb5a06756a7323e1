//! Wireshark's WBXML dissector reads every tag, attribute and value of our tables as we do, or we know why not.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::peer;
use wapbridge::wbxml::{Encoder, EncoderConfig, Vocabulary, tables};

/// Where the two differ, by document type and a part of the difference, and why.
const DIFFERENCES: [(&str, &str, &str); 13] = [
    (
        "WV-CSP 1.2",
        "start 0:0A xmlns",
        "tshark ends the name space with an apostrophe",
    ),
    (
        "DevInf",
        "tshark Tag_0x",
        "tshark has no table for device information",
    ),
    (
        "MetInf",
        "tshark Tag_0x",
        "tshark has no table for MetInf alone; as page 1 of SyncML it agrees",
    ),
    (
        "SyncML 1.0",
        "not defined",
        "of a later version; one table serves all, as real peers do not wait",
    ),
    (
        "SyncML 1.1",
        "not defined",
        "of a later version; one table serves all, as real peers do not wait",
    ),
    (
        "WML 1.1",
        "not defined",
        "of a later version, which only adds",
    ),
    (
        "WML 1.2",
        "not defined",
        "of a later version, which only adds",
    ),
    (
        "WV-CSP 1.1",
        "not defined",
        "of a later version; one table serves all, as real peers do not wait",
    ),
    ("DRMREL", "tshark", "tshark has no table for rights"),
    (
        "WML",
        "ordered=",
        "tshark has true and false the wrong way round",
    ),
    (
        "EMN 1.0",
        "value 0:8",
        "tshark adds a slash, as in other types; the mailboxes of this one have none",
    ),
    ("PROV 1.0", "CDMA2000", "tshark misprints 1X"),
    (
        "PROV 1.0",
        "not defined",
        "added by OMA later; tshark does not have it",
    ),
];

/// What a token is read as: kind, page, token, text.
type Reading = (String, u8, u8, String);

/// What our tables say of every token of a document type.
fn ours(vocabulary: &Vocabulary) -> BTreeSet<Reading> {
    let mut readings = BTreeSet::new();
    for page in vocabulary.pages {
        for token in 5..64 {
            if let Some(name) = page.tags.name(token) {
                readings.insert(("tag".to_owned(), page.number, token, name.to_owned()));
            }
        }
    }
    for page in vocabulary.attribute_pages {
        for token in 0..=255 {
            if let Some((name, prefix)) = page.attributes.start(token) {
                let text = if prefix.is_empty() {
                    format!("{name}=")
                } else {
                    format!("{name}='{prefix}'")
                };
                readings.insert(("start".to_owned(), page.number, token, text));
            }
            if let Some(value) = page.attributes.value(token) {
                readings.insert(("value".to_owned(), page.number, token, format!("'{value}'")));
            }
        }
    }
    readings
}

/// A document with every one of these tokens in it.
fn document(vocabulary: &'static Vocabulary, readings: &BTreeSet<Reading>) -> Vec<u8> {
    let mut out = Vec::new();
    let config = EncoderConfig {
        literal_public_id: false,
        ..EncoderConfig::new(vocabulary)
    };
    let mut encoder = Encoder::new(&mut out, &config);
    let root = readings.iter().find(|(kind, ..)| kind == "tag").unwrap();
    encoder.start(root.1, root.2);
    for (_, page, token, _) in readings.iter().filter(|(kind, ..)| kind == "tag") {
        encoder.start(*page, *token);
        encoder.end();
    }
    for (kind, page, token, _) in readings.iter().filter(|(kind, ..)| kind != "tag") {
        encoder.start(root.1, root.2);
        if kind == "start" {
            encoder.attribute(*page, *token);
        } else {
            let start = (5..128).find(|token| vocabulary.attributes(*page).start(*token).is_some());
            encoder.attribute(*page, start.unwrap());
            encoder.value(*page, *token);
        }
        encoder.end();
    }
    encoder.end();
    encoder.finish();
    out
}

/// What tshark reads in a document.
fn theirs(wbxml: &[u8]) -> BTreeSet<Reading> {
    let directory = std::env::temp_dir().join(format!("wapbridge-tshark-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (hex, pcap) = (directory.join("hex"), directory.join("pcap"));
    let mut packet = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.wap.wbxml\r\nContent-Length: {}\r\n\r\n",
        wbxml.len()
    )
    .into_bytes();
    packet.extend(wbxml);
    let words: Vec<String> = packet.iter().map(|octet| format!("{octet:02x}")).collect();
    std::fs::write(&hex, format!("000000 {}\n", words.join(" "))).unwrap();
    let made = Command::new("text2pcap")
        .args(["-q", "-T", "80,1234"])
        .args([&hex, &pcap])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let read = Command::new("tshark")
        .args(["-V", "-O", "wbxml", "-r"])
        .arg(&pcap)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(read.status.success(), "{read:?}");
    String::from_utf8(read.stdout)
        .unwrap()
        .lines()
        .filter_map(reading)
        .collect()
}

/// `2 |  Attr | A   0    |   Known attrStart 0x0D          |        href='http://www.'`
fn reading(line: &str) -> Option<Reading> {
    let cells: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
    let [_, _, page, token, text] = cells.as_slice() else {
        return None;
    };
    let page: u8 = page.split_whitespace().last()?.parse().ok()?;
    let words: Vec<&str> = token.split_whitespace().collect();
    let number = |text: &str| u8::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    match words.as_slice() {
        ["Known", "Tag", token, _] => {
            let name = text.trim_matches(['<', '>', '/', ' ']);
            Some(("tag".to_owned(), page, number(token)?, name.to_owned()))
        }
        ["Known", "attrStart", token] => {
            Some(("start".to_owned(), page, number(token)?, (*text).to_owned()))
        }
        ["Known", "attrValue", token] => Some((
            "value".to_owned(),
            page,
            number(token)? | 0x80,
            (*text).to_owned(),
        )),
        _ => None,
    }
}

#[test]
fn tshark_reads_every_token_as_we_do() {
    if !peer::is_there("tshark") || !peer::is_there("text2pcap") {
        return;
    }
    let mut tokens = 0;
    let mut differences = Vec::new();
    for vocabulary in tables::ALL
        .into_iter()
        .filter(|vocabulary| vocabulary.number > 1)
    {
        let ours = ours(vocabulary);
        tokens += ours.len();
        let theirs = theirs(&document(vocabulary, &ours));
        for (kind, page, token, text) in ours.difference(&theirs) {
            let other = theirs
                .iter()
                .find(|reading| (&reading.0, reading.1, reading.2) == (kind, *page, *token));
            let other = other.map_or("nothing", |reading| &reading.3);
            differences.push((
                vocabulary.name,
                format!("{kind} {page}:{token:02X} {text}, tshark {other}"),
            ));
        }
    }
    let mut unused: Vec<_> = DIFFERENCES.iter().collect();
    for (name, what) in &differences {
        let known = DIFFERENCES
            .iter()
            .find(|(begin, part, _)| name.starts_with(begin) && what.contains(part));
        match known {
            Some(known) => {
                unused.retain(|row| *row != known);
                println!("{name} {what}: {}", known.2);
            }
            None => panic!("{name} {what}: nobody knows why"),
        }
    }
    println!(
        "{tokens} tokens compared with tshark, {} differ for known reasons",
        differences.len()
    );
    assert!(unused.is_empty(), "no longer different: {unused:?}");
}
