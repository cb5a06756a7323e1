//! libwbxml and we translate the same messages, in both directions, and differ only where we know why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::corpus;
use crate::support::corpus::Sample;
use crate::support::infoset;
use crate::support::peer;
use wapbridge::wbxml::xml::{WbxmlOptions, XmlOptions, from_xml, to_xml};
use wapbridge::wbxml::{Decoder, Options};

/// Counts of differences by reason, and what nobody can explain.
#[derive(Default)]
struct Report {
    same: usize,
    different: BTreeMap<String, Vec<String>>,
    unexplained: Vec<String>,
}

impl Report {
    /// Compares two documents as lists of lines. What differs has to vanish with what is known to differ.
    fn compare(&mut self, name: &str, mut ours: Vec<String>, mut theirs: Vec<String>) {
        let mut reasons = Vec::new();
        for (reason, applies, without) in KNOWN {
            if ours == theirs {
                break;
            }
            let plain = (without(&ours), without(&theirs));
            if name.starts_with(applies) && plain != (ours.clone(), theirs.clone()) {
                (ours, theirs) = plain;
                reasons.push(reason);
            }
        }
        if ours != theirs {
            let at = ours
                .iter()
                .zip(&theirs)
                .take_while(|(ours, theirs)| ours == theirs)
                .count();
            let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
            let difference = first_difference(&line(&ours), &line(&theirs));
            self.unexplained.push(format!("{name}: {difference}"));
        } else if reasons.is_empty() {
            self.same += 1;
        } else {
            self.different(&reasons.join("; "), name);
        }
    }

    fn different(&mut self, reason: &str, name: &str) {
        self.different
            .entry(reason.to_owned())
            .or_default()
            .push(name.to_owned());
    }

    fn print(&self, what: &str) {
        println!("{what}: {} the same", self.same);
        for (reason, names) in &self.different {
            println!("  {} differ: {reason}", names.len());
            for name in names {
                println!("      {name}");
            }
        }
        assert!(
            self.unexplained.is_empty(),
            "{what}: {:#?}",
            self.unexplained
        );
    }
}

/// A document without something.
type Without = fn(&[String]) -> Vec<String>;

/// What is known to differ, in which documents, and the document without it.
const KNOWN: [(&str, &str, Without); 4] = [
    (
        "libwbxml puts a CR before every LF of a vCard, also where there is one; we keep every octet",
        "",
        |lines| lines.iter().map(|line| line.replace('\r', "")).collect(),
    ),
    (
        "libwbxml drops white space around text; we keep every octet",
        "",
        |lines| {
            let trimmed = lines.iter().map(|line| match line.strip_prefix('\'') {
                Some(text) => format!("'{}", text.trim()),
                None => line.clone(),
            });
            trimmed.collect()
        },
    ),
    (
        "libwbxml writes white space after an embedded document as text of its own; we leave it out",
        "ddf/",
        |lines| {
            let is_text = |line: &&String| {
                line.strip_prefix('\'')
                    .is_none_or(|text| !text.trim().is_empty())
            };
            lines.iter().filter(is_text).cloned().collect()
        },
    ),
    (
        "libwbxml leaves a digest of SyncML 1.0 in base64; its clients send it raw",
        "s10-",
        without_digest,
    ),
];

/// Without a Format that says base64, and with any digest the same.
fn without_digest(lines: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for line in lines {
        let digest = line.len() == 25 && line.ends_with("==") || line.starts_with("'[");
        kept.push(if digest {
            "'digest".to_owned()
        } else {
            line.clone()
        });
        if kept.ends_with(&["<1:Format".to_owned(), "'b64".to_owned(), ">".to_owned()]) {
            kept.truncate(kept.len() - 3);
        }
    }
    kept
}

/// A little of each around the first character that differs.
fn first_difference(ours: &str, theirs: &str) -> String {
    let same = ours
        .chars()
        .zip(theirs.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let around = |text: &str| {
        text.chars()
            .skip(same.saturating_sub(30))
            .take(60)
            .collect::<String>()
    };
    format!("ours {:?}, libwbxml {:?}", around(ours), around(theirs))
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(purpose: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("wapbridge-{purpose}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// Runs a translator over a file; what it wrote, or `None` if it refused.
    fn run(&self, program: &str, arguments: &[&str], input: &Path) -> Option<Vec<u8>> {
        let output = self.0.join("out");
        let _ = std::fs::remove_file(&output);
        Command::new(program)
            .args(arguments)
            .arg("-o")
            .arg(&output)
            .arg(input)
            .output()
            .unwrap();
        std::fs::read(&output)
            .ok()
            .filter(|octets| !octets.is_empty())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn samples() -> Vec<Sample> {
    let mut samples = corpus::shared("syncml-sessions");
    if samples.is_empty() {
        samples = corpus::fixtures();
    }
    samples.extend(corpus::shared("libwbxml-tests"));
    samples
}

/// Namespaces that code pages imply are written at different elements; the text is what counts. White space around
/// it is lost by libwbxml.
fn plain(xml: &[u8]) -> Vec<String> {
    infoset::of_xml(xml, false)
        .into_iter()
        .filter(|line| !line.starts_with("@xmlns"))
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn wbxml_to_xml_equals_wbxml2xml() {
    if !peer::is_there("wbxml2xml") {
        return;
    }
    let scratch = Scratch::new("wbxml2xml");
    let mut report = Report::default();
    for sample in samples().iter().filter(|sample| sample.is("wbxml")) {
        let name = sample.name();
        let mut ours = Vec::new();
        let translated = to_xml(&sample.octets, &XmlOptions::default(), &mut ours);
        // Such documents do not name their type, which libwbxml has to be told.
        let named: &[&str] = match name.starts_with("ota/") {
            true => &["-m", "0", "-k", "-l", "OTA"],
            false => &["-m", "0", "-k"],
        };
        let theirs = scratch.run("wbxml2xml", named, &sample.path);
        match (translated, theirs) {
            (Err(error), _) => {
                report.different(&format!("we refuse it: {}", error.expected), &name);
            }
            (Ok(()), None) => report.different("libwbxml refuses it", &name),
            (Ok(()), Some(theirs)) => match well_formed(&theirs) {
                false => report.different("libwbxml writes ]]> into a section: no XML", &name),
                true => report.compare(&name, plain(&ours), plain(&theirs)),
            },
        }
    }
    report.print("WBXML to XML");
}

/// Whether it is XML, by a parser that is not ours.
fn well_formed(xml: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(xml) else {
        return false;
    };
    // The only fault libwbxml has here: text between the end of a section and the next tag, with markup in it.
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return true,
            Ok(quick_xml::events::Event::Text(text)) if text.contains("]]>") => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[test]
fn xml_to_wbxml_equals_xml2wbxml() {
    if !peer::is_there("xml2wbxml") {
        return;
    }
    let scratch = Scratch::new("xml2wbxml");
    let mut report = Report::default();
    for sample in &samples() {
        let name = sample.name();
        // Of a WBXML message, what we made of it.
        let mut xml = Vec::new();
        if sample.is("xml") {
            xml.extend(&sample.octets);
        } else if to_xml(&sample.octets, &XmlOptions::default(), &mut xml).is_err() {
            continue; // the other test says why
        }
        let mut ours = Vec::new();
        from_xml(&xml, &WbxmlOptions::default(), &mut ours).unwrap();
        let input = scratch.0.join("in.xml");
        std::fs::write(&input, &xml).unwrap();
        let Some(theirs) = scratch.run("xml2wbxml", &["-n", "-v", "1.2"], &input) else {
            report.different("libwbxml refuses it", &name);
            continue;
        };
        if !is_wbxml(&theirs) {
            report.different("libwbxml writes no WBXML", &name);
            continue;
        }
        let lines = |wbxml: &[u8]| infoset::of_wbxml(wbxml, &Options::default());
        report.compare(&name, lines(&ours), lines(&theirs));
    }
    report.print("XML to WBXML");
}

fn is_wbxml(octets: &[u8]) -> bool {
    let Ok(mut decoder) = Decoder::new(octets, &Options::default()) else {
        return false;
    };
    loop {
        match decoder.next() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
