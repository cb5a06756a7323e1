//! `wapbridge decode` and `wapbridge encode`: octets in words, and XML as WBXML.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::explain::{self, CapturedDatagram, Kind};
use crate::printable;
use crate::syncml::notification::Secret;
use crate::wbxml::xml::{WbxmlOptions, from_xml};
use crate::wbxml::{self, Options};
#[cfg(feature = "wtls")]
use crate::wtls::{KeyLog, Observer};

/// Explain a datagram, a message, a WBXML document or a capture, layer by layer
#[derive(Debug, Args)]
#[command(after_help = DECODE_EXAMPLES)]
pub(super) struct Decode {
    /// The kind of the octets [default: detected]
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<Layer>,
    /// Tell whether a notification's digest fits the server's password in this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The nonce that the client gave to the server, for the digest
    #[arg(
        long,
        value_name = "NONCE",
        default_value = "",
        requires = "password_file"
    )]
    nonce: String,
    /// Show the plaintext of WTLS records in a capture with the secrets in this file, which `wapbridge serve` wrote
    /// where WAPBRIDGE_KEYLOG said. The capture needs the handshake. A conversation whose secret is in the file is
    /// recognised at any port, others at 9202, 9203 and 2949 only
    #[cfg(feature = "wtls")]
    #[arg(long, value_name = "FILE")]
    key_log: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// A file, - for standard input, or the octets themselves as hex:0a0b0c
    #[arg(value_name = "FILE|-|hex:OCTETS")]
    input: String,
}

/// The kinds of octets that `--as` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layer {
    /// A UDP datagram of port 9201: WTP and the WSP in it.
    Wtp,
    /// A WSP message, as WTP carries it.
    Wsp,
    /// A UDP datagram of port 9200 or 2948: WSP without WTP.
    WspConnectionless,
    /// A UDP datagram of port 9202, 9203 or 2949: WTLS records.
    #[cfg(feature = "wtls")]
    Wtls,
    /// A WBXML document.
    Wbxml,
    /// A server-alerted notification of OMA DS or DM.
    Notification,
    /// The user data of a short message, with its header.
    Sms,
    /// OBEX packets, as they stand in one direction of a connection.
    Obex,
    /// A capture file, pcap or pcapng.
    Pcap,
}

impl From<Layer> for Kind {
    fn from(layer: Layer) -> Self {
        match layer {
            Layer::Wtp => Self::Wtp,
            Layer::Wsp => Self::Wsp,
            Layer::WspConnectionless => Self::WspConnectionless,
            #[cfg(feature = "wtls")]
            Layer::Wtls => Self::Wtls,
            Layer::Wbxml => Self::Wbxml,
            Layer::Notification => Self::Notification,
            Layer::Sms => Self::Sms,
            Layer::Obex => Self::Obex,
            Layer::Pcap => Self::Capture,
        }
    }
}

impl Decode {
    /// Runs the command. Malformed octets are an error, and octets that are not recognised.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let octets = octets(&self.input)?;
        if octets.is_empty() {
            bail!("{}: the input is empty", self.input);
        }
        match self
            .kind
            .map(Kind::from)
            .or_else(|| explain::detect(&octets))
        {
            Some(Kind::Capture) => self.capture(&octets),
            #[cfg(feature = "wtls")]
            Some(_) if self.key_log.is_some() => {
                bail!("--key-log needs a capture with the handshake, which says whose the keys are")
            }
            Some(Kind::Wbxml) => self.document(&octets),
            Some(kind) => self.explained(kind, &octets),
            None => self.not_recognised(&octets),
        }
    }

    /// Lists the layers that were tried. Shows the octets in the layer that explains most of them,
    /// if there is one: damaged and shortened datagrams are common.
    fn not_recognised(&self, octets: &[u8]) -> anyhow::Result<()> {
        let candidates = explain::candidates(octets);
        let nearest = explain::nearest(octets);
        if self.json {
            let kind = Kind::Unknown;
            print(
                json(&serde_json::json!({
                    "kind": kind, "len": octets.len(), "nearest": nearest, "candidates": candidates,
                }))?
                .as_bytes(),
            )?;
        } else if let Some(kind) = nearest {
            print(explain::explain(kind, octets).to_string().as_bytes())?;
        }
        let hint = match (explain::is_text(octets), octets.first()) {
            (true, Some(b'<')) => {
                "\n  it looks like XML, which `wapbridge encode` turns into WBXML"
            }
            (true, _) => "\n  it is text; write octets as hex:0a0b0c",
            (false, _) => "",
        };
        let tried: String = candidates
            .iter()
            .map(|candidate| format!("\n  {candidate}"))
            .collect();
        bail!(
            "{}: not recognised; name the kind with --as to see it explained{hint}{tried}",
            self.input
        );
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
            None => self.digest(kind, octets),
        }
    }

    /// Checks the digest of a notification. A wrong digest is an error.
    fn digest(&self, kind: Kind, octets: &[u8]) -> anyhow::Result<()> {
        let Some(file) = &self.password_file else {
            return Ok(());
        };
        let password = std::fs::read(file).with_context(|| file.display().to_string())?;
        let secret = Secret {
            password: password.trim_ascii_end(),
            nonce: self.nonce.as_bytes(),
        };
        match explain::digest_fits(kind, octets, secret) {
            Some(true) if self.json => Ok(()),
            Some(true) => print(b"the digest fits this password and nonce\n"),
            Some(false) => bail!("the digest does not fit this password and nonce"),
            None => bail!("{}: there is no notification in it", self.input),
        }
    }

    fn capture(&self, file: &[u8]) -> anyhow::Result<()> {
        let captured = self.captured(file)?;
        if self.json {
            print(json(&captured)?.as_bytes())?;
        }
        let mut faults = 0;
        for packet in &captured {
            if !self.json {
                print(format!("{packet}\n").as_bytes())?;
            }
            faults += usize::from(packet.fault().is_some());
        }
        match (captured.len(), faults) {
            (0, _) => bail!(
                "{}: there is neither UDP nor OBEX (TCP port 650) in this capture",
                self.input
            ),
            (_, 0) => Ok(()),
            (all, faults) => bail!("something is wrong in {faults} of {all} datagrams"),
        }
    }

    fn captured(&self, file: &[u8]) -> anyhow::Result<Vec<CapturedDatagram>> {
        #[cfg(feature = "wtls")]
        if let Some(path) = &self.key_log {
            let name = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(name)?;
            let log = KeyLog::read(&text).with_context(name)?;
            let captured = explain::captured_with_secrets(file, Observer::new(log))
                .with_context(|| self.input.clone())?;
            return Ok(captured.collect());
        }
        let captured = explain::captured(file).with_context(|| self.input.clone())?;
        Ok(captured.collect())
    }

    fn document(&self, octets: &[u8]) -> anyhow::Result<()> {
        let options = Options::default();
        let colour = std::io::stdout().is_terminal() && no_colour_unset();
        let error = match self.json {
            true => match wbxml::explain::json(octets, &options) {
                Ok(text) => return print(printable::json(&text).as_bytes()),
                Err(error) => Some(error),
            },
            false => {
                let (text, error) = wbxml::explain::xml(octets, &options, colour);
                match colour {
                    true => print(text.as_bytes())?,
                    false => print(printable::lines(&text).as_bytes())?,
                }
                error
            }
        };
        match error {
            Some(error) => bail!("{}", wbxml::explain::error(&error, octets).trim_end()),
            None => Ok(()),
        }
    }
}

/// Turn an XML document into WBXML
#[derive(Debug, Args)]
#[command(after_help = ENCODE_EXAMPLES)]
pub(super) struct Encode {
    /// The file for the WBXML [default: standard output, unless that is a terminal]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A file, or - for standard input
    #[arg(value_name = "FILE|-")]
    input: String,
}

impl Encode {
    /// Runs the command. A document that is not well-formed, or of an unknown type, is an error.
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
    let json = serde_json::to_string_pretty(value)?;
    Ok(printable::json(&json).into_owned() + "\n")
}

/// Writes to standard output. A reader that closes the pipe early is no error.
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
Each line has the offset, the octets and their meaning. A fault is marked with ! at its own \
octet. Without --as, every kind but OBEX and WTLS is tried: the octets are of the kind in which they parse to \
their end with the most plausible content (assigned numbers, URIs, media types, a known \
document type).

Exit status:
  0  the octets were recognised, and all of them were explained
  1  a fault was found, or the octets were not recognised; standard error has the octet and the
     cause, or the kinds that were tried

Examples:
  wapbridge decode hex:0a12340240022f61
  wapbridge decode --as wsp message.bin
  wapbridge decode sync.pcap
  wapbridge decode --key-log wtls.keys secure.pcap
  wapbridge decode answer.wbxml
  wapbridge decode --password-file sync.password --nonce abc notification.bin
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
}
