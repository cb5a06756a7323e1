//! The peek and the summary against what the captures say about themselves: `README.tsv` of every session was
//! written by another program.

use std::collections::HashMap;

use crate::support::corpus;
use crate::support::corpus::Sample;
use wapbridge::syncml::Encoding;
use wapbridge::syncml::content::{Config, Message, translate};
use wapbridge::syncml::header::{Credentials, Purpose, SyncHdr, peek};
use wapbridge::syncml::summary::{Codes, summarize};

/// The row of a message, by column name.
fn row(sample: &Sample) -> HashMap<String, String> {
    let readme = std::fs::read_to_string(sample.path.with_file_name("README.tsv")).unwrap();
    let mut lines = readme
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t'));
    let names: Vec<&str> = lines.next().unwrap().collect();
    let file = sample.path.file_name().unwrap().to_str().unwrap();
    let row = lines
        .find(|row| row.clone().any(|cell| cell == file))
        .unwrap();
    names
        .iter()
        .map(ToString::to_string)
        .zip(row.map(ToOwned::to_owned))
        .collect()
}

/// `200:5 212:1`, in the order of the codes.
fn counts(codes: &Codes) -> String {
    let mut counts = codes.counts.clone();
    counts.sort_unstable();
    let words: Vec<String> = counts
        .iter()
        .map(|(code, count)| format!("{code}:{count}"))
        .collect();
    words.join(" ")
}

/// `201,201,203` counted.
fn counted(alerts: &str) -> String {
    let mut codes = Codes::default();
    for code in alerts.split(',').filter(|code| !code.is_empty()) {
        let code = code.parse().unwrap();
        match codes.counts.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => codes.counts.push((code, 1)),
        }
    }
    counts(&codes)
}

fn check(sample: &Sample) {
    let name = sample.name();
    let row = row(sample);
    let header = peek(&sample.octets).unwrap_or_else(|| panic!("{name}: no header"));
    let flag = |flag: &str| row["flags"].split(',').any(|found| found == flag);
    assert_eq!(header.ver_proto, row["syncml"], "{name}");
    assert_eq!(header.session_id, row["session_id"], "{name}");
    assert_eq!(header.msg_id, row["msg_id"], "{name}");
    assert_eq!(
        header
            .max_msg_size
            .map(|size| size.to_string())
            .unwrap_or_default(),
        row["max_msg_size"],
        "{name}"
    );
    assert_eq!(header.is_final, flag("Final"), "{name}: Final");
    assert_eq!(
        header.credentials != Credentials::None,
        flag("Cred"),
        "{name}: Cred"
    );
    assert_eq!(
        !header.resp_uri.is_empty(),
        flag("RespURI"),
        "{name}: RespURI"
    );
    assert_eq!(header.purpose(), Purpose::Data);
    let summary = summarize(&sample.octets);
    let mut statuses: Vec<&str> = row["statuses"].split(' ').collect();
    statuses.sort_unstable();
    assert_eq!(
        counts(&summary.statuses),
        statuses.join(" "),
        "{name}: statuses"
    );
    assert_eq!(
        counts(&summary.alerts),
        counted(&row["alerts"]),
        "{name}: alerts"
    );
    let commands: u32 = row["commands"]
        .split(' ')
        .filter_map(|word| word.split_once(':'))
        .filter(|(command, _)| !matches!(*command, "Alert" | "Status"))
        .map(|(_, count)| count.parse::<u32>().unwrap())
        .sum();
    assert_eq!(summary.commands, commands, "{name}: commands");

    // Translated, it has the same header, but for the size that is announced to whoever will send more.
    let (content_type, wanted) = match header.encoding {
        Encoding::Xml => ("application/vnd.syncml+xml", Encoding::Wbxml),
        Encoding::Wbxml => ("application/vnd.syncml+wbxml", Encoding::Xml),
    };
    let message = Message {
        content_type,
        body: &sample.octets,
        integrity: false,
    };
    let translated = translate(&Config::default(), &message, wanted).unwrap();
    let share = if wanted == Encoding::Wbxml { 4 } else { 1 };
    let expected = SyncHdr {
        encoding: wanted,
        max_msg_size: header.max_msg_size.map(|size| size / share),
        max_obj_size: header.max_obj_size.map(|size| size / share),
        ..header
    };
    let found = peek(&translated).unwrap();
    assert!(
        found == expected,
        "{name}: {found:?}, expected {expected:?}"
    );
    assert_eq!(summarize(&translated), summary, "{name}");
}

#[test]
fn every_message_of_the_fixtures_equals_its_capture() {
    let samples = corpus::fixtures();
    samples.iter().for_each(check);
    println!(
        "{} messages of fixtures/syncml-sessions read",
        samples.len()
    );
    assert_eq!(samples.len(), 153);
}

#[test]
fn every_message_of_the_corpus_equals_its_capture() {
    let samples = corpus::shared("syncml-sessions");
    samples.iter().for_each(check);
    println!("{} messages of corpus/syncml-sessions read", samples.len());
    if !samples.is_empty() {
        assert_eq!(samples.len(), 604);
    }
}
