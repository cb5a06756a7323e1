//! `wapbridge decode` and `wapbridge encode`: octets in words, and XML as WBXML.

mod filter;
mod live;
mod selection;
mod watch;

use std::fs::File;
use std::io::{Cursor, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use self::filter::MOST_PORTS;
use self::live::Live;
use self::selection::Selection;
use self::watch::{Shown, Source, Watch};
use crate::explain::{self, Dissector, Kind};
use crate::printable;
use crate::route::Network;
use crate::syncml::notification::Secret;
use crate::wbxml::xml::{WbxmlOptions, from_xml};
use crate::wbxml::{self, Options};
#[cfg(feature = "wtls")]
use crate::wtls::{KeyLog, Observer};

/// Explain a datagram, a message, a WBXML document, a capture or a live interface, layer by layer
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
    /// Explain what this network interface sends and receives, or `any` of them, as it comes. Needs CAP_NET_RAW
    #[arg(long, short, value_name = "NAME", conflicts_with_all = ["input", "kind"])]
    interface: Option<String>,
    /// UDP and TCP ports of --interface; default: 9200 to 9203, 2948, 2949 and 650, and with --msisdn those of RADIUS
    #[arg(
        long,
        value_name = "PORT",
        value_delimiter = ',',
        conflicts_with = "input"
    )]
    port: Vec<u16>,
    /// Of a capture, show only packets from or to this address or network; may be given more than once
    #[arg(long, value_name = "ADDRESS[/BITS]")]
    peer: Vec<Network>,
    /// Of a capture, show only packets of this subscriber, whose addresses RADIUS accounting in the same capture tells. A
    /// running gateway follows a number with `wapbridge trace`
    #[arg(long, value_name = "NUMBER")]
    msisdn: Option<String>,
    /// Ports of RADIUS accounting in the capture
    #[arg(long, value_name = "PORT", value_delimiter = ',', default_values_t = [1813, 1646], requires = "msisdn")]
    radius_port: Vec<u16>,
    /// End after so many datagrams of a capture
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print JSON instead of text: of a capture an array, of an interface an object on each line
    #[arg(long)]
    json: bool,
    /// A file, - for standard input, or the octets themselves as hex:0a0b0c
    #[arg(
        value_name = "FILE|-|hex:OCTETS",
        required_unless_present = "interface"
    )]
    input: Option<String>,
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
        if let Some(interface) = &self.interface {
            return self.live(interface);
        }
        let mut input = open(self.name())?;
        let mut first = Vec::new();
        // A capture is read as it comes, and begins with a header of so many octets.
        let header = Read::by_ref(&mut input)
            .take(CAPTURE_HEADER)
            .read_to_end(&mut first);
        header.with_context(|| self.name().to_owned())?;
        if first.is_empty() {
            bail!("{}: the input is empty", self.name());
        }
        let kind = self.kind.map(Kind::from);
        if kind == Some(Kind::Capture) || kind.is_none() && explain::is_capture(&first) {
            return self.capture(Source::Stream { input, first });
        }
        let mut octets = first;
        input
            .read_to_end(&mut octets)
            .with_context(|| self.name().to_owned())?;
        if !self.peer.is_empty() || self.msisdn.is_some() || self.count.is_some() {
            bail!("--peer, --msisdn and --count are for captures");
        }
        match kind.or_else(|| explain::detect(&octets)) {
            #[cfg(feature = "wtls")]
            Some(_) if self.key_log.is_some() => {
                bail!("--key-log needs a capture with the handshake, which says whose the keys are")
            }
            Some(Kind::Wbxml) => self.document(&octets),
            Some(kind) => self.explained(kind, &octets),
            None => self.not_recognised(&octets),
        }
    }

    /// The name of the input.
    fn name(&self) -> &str {
        self.input.as_deref().unwrap_or_default()
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
            self.name()
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
            None => bail!("{}: there is no notification in it", self.name()),
        }
    }

    /// Explains a capture to its end. A fault is an error.
    fn capture(&self, source: Source) -> anyhow::Result<()> {
        let watch = self.watch()?;
        let (shown, selection) = watch.run(source).with_context(|| self.name().to_owned())?;
        let name = self.name();
        match (shown, selection.unheard()) {
            (Shown { datagrams: 0, .. }, Some(reason)) => bail!("{name}: {reason}"),
            (Shown { datagrams: 0, .. }, None) if !selection.is_everything() => {
                bail!("{name}: nothing in this capture is from or to these addresses")
            }
            (Shown { datagrams: 0, .. }, None) => {
                bail!("{name}: there is neither UDP nor OBEX (TCP port 650) in this capture")
            }
            (shown, _) => shown.judged(),
        }
    }

    /// Explains what comes at an interface until a signal ends it.
    fn live(&self, interface: &str) -> anyhow::Result<()> {
        let watch = self.watch()?;
        let mut ports = match self.port.as_slice() {
            [] => ASSIGNED_PORTS.to_vec(),
            ports => ports.to_vec(),
        };
        if self.msisdn.is_some() {
            ports.extend_from_slice(&self.radius_port);
        }
        if ports.len() > MOST_PORTS {
            bail!("--port: at most {MOST_PORTS} ports");
        }
        let live = Live::open(interface, &ports)?;
        let names: Vec<_> = ports.iter().map(u16::to_string).collect();
        eprintln!(
            "capturing at {interface}, ports {}; Ctrl-C ends it",
            names.join(" ")
        );
        let (shown, selection) = watch.run(Source::Live(live))?;
        let Shown {
            packets,
            datagrams,
            lost,
            ..
        } = shown;
        eprintln!("{datagrams} datagrams of {packets} packets, {lost} packets not caught");
        if let Some(reason) = selection.unheard() {
            eprintln!("{reason}");
        }
        shown.judged()
    }

    fn watch(&self) -> anyhow::Result<Watch> {
        let number = self.msisdn.as_deref();
        Ok(Watch {
            dissector: self.dissector()?,
            selection: Selection::new(self.peer.clone(), number, &self.radius_port),
            count: self.count,
            json: self.json,
        })
    }

    fn dissector(&self) -> anyhow::Result<Dissector> {
        #[cfg(feature = "wtls")]
        if let Some(path) = &self.key_log {
            let name = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(name)?;
            let log = KeyLog::read(&text).with_context(name)?;
            return Ok(Dissector::with_secrets(Observer::new(log)));
        }
        Ok(Dissector::default())
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

impl Shown {
    /// A fault is an error.
    fn judged(self) -> anyhow::Result<()> {
        match self {
            Self { faults: 0, .. } => Ok(()),
            Self {
                faults, datagrams, ..
            } => bail!("something is wrong in {faults} of {datagrams} datagrams"),
        }
    }
}

/// The octets of an argument: a file, standard input, or digits.
fn open(input: &str) -> anyhow::Result<Box<dyn Read + Send>> {
    if let Some(digits) = input.strip_prefix("hex:") {
        let octets =
            hex(digits).context("write octets as pairs of hexadecimal digits: hex:0a0b0c")?;
        return Ok(Box::new(Cursor::new(octets)));
    }
    if input == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(
        File::open(input).with_context(|| input.to_owned())?,
    ))
}

fn octets(input: &str) -> anyhow::Result<Vec<u8>> {
    let mut octets = Vec::new();
    open(input)?
        .read_to_end(&mut octets)
        .with_context(|| input.to_owned())?;
    Ok(octets)
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

/// Octets of the longer of the captures' headers.
const CAPTURE_HEADER: u64 = 24;
/// The ports of WSP, WTP and WTLS, of pushes, and of OBEX over TCP.
const ASSIGNED_PORTS: [u16; 7] = [9200, 9201, 9202, 9203, 2948, 2949, 650];

const DECODE_EXAMPLES: &str = "\
Each line has the offset, the octets and their meaning. A fault is marked with ! at its own \
octet. Without --as, every kind but OBEX and WTLS is tried: the octets are of the kind in which they parse to \
their end with the most plausible content (assigned numbers, URIs, media types, a known \
document type).

A capture is explained as it comes, from a file, a pipe or an interface. Its datagrams at the assigned ports are of the \
port's kind; at other ports the kind is recognised. First fragments of IP packets show what they have, later ones are \
skipped. What the gateway's own host sends in one piece and the interface cuts (UDP segmentation offload, loopback) is \
one long datagram here: see OPERATIONS, Sizing. --interface shows plaintexts and personal data to whoever reads the \
output, as tcpdump does; it takes the link layer and one VLAN tag off, and does not make an interface promiscuous. With \
any, a packet that passes a VLAN, a bridge and a port is there more than once.

--msisdn believes the accounting in the capture: signatures cannot be checked there. It knows a subscriber from the \
first Start or Interim-Update on. An alias is known to the gateway alone.

Exit status:
  0  the octets were recognised, and all of them were explained
  1  a fault was found, or the octets were not recognised; standard error has the octet and the
     cause, or the kinds that were tried

Examples:
  wapbridge decode hex:0a12340240022f61
  wapbridge decode --as wsp message.bin
  wapbridge decode sync.pcap
  wapbridge decode --peer 10.1.2.3 --peer fd00:1::/64 sync.pcap
  wapbridge decode --msisdn 491701234567 sync.pcap           by RADIUS accounting in the capture
  sudo wapbridge decode --interface eth0                     until Ctrl-C
  sudo wapbridge decode -i any --port 9301 --peer 10.1.2.0/24 --count 20
  sudo wapbridge decode -i eth0 --json | jq -r '[.source, .explanation.nodes[0].meaning] | @tsv'
  ssh gateway sudo tcpdump -U -i any -w - udp portrange 9200-9203 | wapbridge decode -
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
