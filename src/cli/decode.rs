//! `wapbridge decode` and `wapbridge encode`: octets in words, and XML as WBXML.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::explain::{self, Captured, Kind};
use crate::wbxml::xml::{WbxmlOptions, from_xml};
use crate::wbxml::{self, Header, Options};

/// Explain a datagram, a message, a WBXML document or a capture, layer by layer
#[derive(Debug, Args)]
#[command(after_help = DECODE_EXAMPLES)]
pub(super) struct Decode {
    /// What the octets are [default: found out from the octets]
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<Layer>,
    /// For machines: JSON instead of text
    #[arg(long)]
    json: bool,
    /// A file, - for standard input, or the octets themselves as hex:0a0b0c
    #[arg(value_name = "FILE|-|hex:OCTETS")]
    input: String,
}

/// What octets can be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layer {
    /// A UDP datagram of port 9201: WTP and the WSP in it.
    Wtp,
    /// A WSP message, as WTP carries it.
    Wsp,
    /// A UDP datagram of port 9200: WSP without WTP.
    WspConnectionless,
    /// A WBXML document.
    Wbxml,
    /// A capture file, pcap or pcapng.
    Pcap,
}

impl Decode {
    /// Runs it. An error if something is wrong with the octets.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let octets = octets(&self.input)?;
        if octets.is_empty() {
            bail!("{}: there is nothing in it", self.input);
        }
        match self.kind.unwrap_or_else(|| detect(&octets)) {
            Layer::Wtp => self.explained(Kind::Wtp, &octets),
            Layer::Wsp => self.explained(Kind::Wsp, &octets),
            Layer::WspConnectionless => self.explained(Kind::WspConnectionless, &octets),
            Layer::Pcap => self.capture(&octets),
            Layer::Wbxml => self.document(&octets),
        }
    }

    fn explained(&self, kind: Kind, octets: &[u8]) -> anyhow::Result<()> {
        let explanation = explain::explain(kind, octets);
        let text = match self.json {
            true => json(&explanation)?,
            false => explanation.to_string(),
        };
        print(text.as_bytes())?;
        match explanation.fault() {
            Some(fault) => bail!("at octet {}: {}", fault.offset, fault.meaning),
            None => Ok(()),
        }
    }

    fn capture(&self, file: &[u8]) -> anyhow::Result<()> {
        let captured: Vec<Captured> = explain::captured(file)
            .with_context(|| self.input.clone())?
            .collect();
        if self.json {
            print(json(&captured)?.as_bytes())?;
        }
        let mut faults = 0;
        for packet in &captured {
            if !self.json {
                print(format!("{packet}\n").as_bytes())?;
            }
            faults += usize::from(packet.explanation.fault().is_some());
        }
        match (captured.len(), faults) {
            (0, _) => bail!("{}: there is no UDP in this capture", self.input),
            (_, 0) => Ok(()),
            (all, faults) => bail!("something is wrong in {faults} of {all} datagrams"),
        }
    }

    fn document(&self, octets: &[u8]) -> anyhow::Result<()> {
        let options = Options::default();
        let colour = std::io::stdout().is_terminal() && no_colour_unset();
        let text = match self.json {
            true => wbxml::explain::json(octets, &options),
            false => wbxml::explain::xml(octets, &options, colour),
        };
        match text {
            Ok(text) => print(text.as_bytes()),
            Err(error) => bail!("{}", wbxml::explain::error(&error, octets).trim_end()),
        }
    }
}

/// Turn an XML document into WBXML
#[derive(Debug, Args)]
#[command(after_help = ENCODE_EXAMPLES)]
pub(super) struct Encode {
    /// Where the WBXML goes [default: standard output, unless that is a terminal]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A file, or - for standard input
    #[arg(value_name = "FILE|-")]
    input: String,
}

impl Encode {
    /// Runs it. An error if the document is not well-formed, or of no type we know.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let xml = octets(&self.input)?;
        let mut out = Vec::new();
        if let Err(error) = from_xml(&xml, &WbxmlOptions::default(), &mut out) {
            let before = xml.get(..error.offset).unwrap_or(&xml);
            let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
            let column = before
                .iter()
                .rev()
                .take_while(|octet| **octet != b'\n')
                .count()
                + 1;
            bail!("{}:{line}:{column}: {error}", self.input);
        }
        match &self.output {
            Some(path) => std::fs::write(path, &out).with_context(|| path.display().to_string()),
            None if std::io::stdout().is_terminal() => {
                bail!("WBXML would upset the terminal; name a file with -o, or use a pipe")
            }
            None => print(&out),
        }
    }
}

/// What the octets most likely are. WBXML announces itself less clearly than a capture, so it has to have a
/// document type we know.
fn detect(octets: &[u8]) -> Layer {
    let document = matches!(octets.first(), Some(0..=3))
        && Header::parse(octets).is_ok_and(|(body, header)| header.vocabulary(body).is_some());
    match explain::detect(octets) {
        Kind::Capture => Layer::Pcap,
        _ if document => Layer::Wbxml,
        Kind::Wtp => Layer::Wtp,
        Kind::Wsp => Layer::Wsp,
        Kind::WspConnectionless => Layer::WspConnectionless,
    }
}

fn octets(input: &str) -> anyhow::Result<Vec<u8>> {
    if let Some(digits) = input.strip_prefix("hex:") {
        return hex(digits).context("write octets as pairs of hexadecimal digits: hex:0a0b0c");
    }
    if input == "-" {
        let mut octets = Vec::new();
        std::io::stdin()
            .read_to_end(&mut octets)
            .context("standard input")?;
        return Ok(octets);
    }
    std::fs::read(Path::new(input)).with_context(|| input.to_owned())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|octet| !matches!(octet, b' ' | b':' | b'-' | b'\n'))
        .collect();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes to standard output; whoever reads only the beginning is no error.
fn print(octets: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(octets) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn no_colour_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

const DECODE_EXAMPLES: &str = "\
Each line has the offset, the octets and their meaning; what is wrong is marked with ! where it is wrong.

Exit status:
  0  everything could be explained
  1  something is wrong with the octets; what and where is on standard error

Examples:
  wapbridge decode hex:0a12340240022f61
  wapbridge decode --as wsp message.bin
  wapbridge decode sync.pcap
  wapbridge decode answer.wbxml
  wapbridge post --quiet --gateway localhost --data m.wbxml http://sync.example.com/ | wapbridge decode -";

const ENCODE_EXAMPLES: &str = "\
The document's type is found by its DOCTYPE or its document element.

Examples:
  wapbridge encode message.xml -o message.wbxml
  wapbridge decode message.wbxml | wapbridge encode - | wapbridge decode -";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_written_as_people_write_them() {
        assert_eq!(hex("0a0B 0c:0d"), Some(vec![10, 11, 12, 13]));
        assert_eq!(hex("0a0"), None);
        assert_eq!(hex("0g"), None);
        assert_eq!(octets("hex:01").unwrap(), [1]);
        assert!(octets("hex:1").is_err());
    }

    #[test]
    fn kinds_are_told_apart() {
        // An Invoke that carries a Get; the Get alone; SyncML 1.2 by its public id.
        assert_eq!(detect(b"\x0a\x12\x34\x02\x40\x02/a"), Layer::Wtp);
        assert_eq!(detect(b"\x40\x02/a\x80\x94"), Layer::Wsp);
        assert_eq!(
            detect(b"\x02\xa4\x01\x6a\x00\x6d\x6c\x01\x01"),
            Layer::Wbxml
        );
        assert_eq!(detect(b"\xd4\xc3\xb2\xa1\0\0\0\0"), Layer::Pcap);
    }
}
