//! The content of a push: a file, an indication, a loading, a provisioning document.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use quick_xml::escape::escape;
use ring::hmac;

use super::Delivery;
use crate::wbxml::xml::{WbxmlOptions, from_xml};

/// A content entity.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) media: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Content {
    pub(super) fn new(media: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            media: media.into(),
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn application(&mut self, id: &str) {
        self.header("X-Wap-Application-Id", id);
    }
}

/// Service Indication.
#[derive(Debug, Args)]
pub(super) struct Si {
    #[command(flatten)]
    delivery: Delivery,
    /// The link
    #[arg(long, value_name = "URL")]
    href: Option<String>,
    /// What the user reads
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    /// The indication's name: a later one with the same name replaces it [default: its link]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How much it disturbs
    #[arg(long, value_enum, default_value_t = Signal::Medium)]
    signal: Signal,
    /// When the indication is no longer shown: 2026-11-29T14:20:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Signal {
    None,
    Low,
    Medium,
    High,
    Delete,
}

impl Si {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let action = match self.signal {
            Signal::None => "signal-none",
            Signal::Low => "signal-low",
            Signal::Medium => "signal-medium",
            Signal::High => "signal-high",
            Signal::Delete if self.id.is_none() => bail!("--signal delete needs --id"),
            Signal::Delete => "delete",
        };
        let mut attributes = format!(" action=\"{action}\"");
        for (name, value) in [
            ("href", &self.href),
            ("si-id", &self.id),
            ("si-expires", &self.expires),
        ] {
            if let Some(value) = value {
                attributes.push_str(&format!(" {name}=\"{}\"", escape(value)));
            }
        }
        let text = escape(&self.text);
        let xml = format!(
            "<?xml version=\"1.0\"?><!DOCTYPE si PUBLIC \"-//WAPFORUM//DTD SI 1.0//EN\" \
             \"http://www.wapforum.org/DTD/si.dtd\"><si><indication{attributes}>{text}</indication></si>"
        );
        self.delivery
            .submit(&application(xml, "text/vnd.wap.si", "2"))
    }
}

/// Service Loading.
#[derive(Debug, Args)]
pub(super) struct Sl {
    #[command(flatten)]
    delivery: Delivery,
    /// The link
    #[arg(long, value_name = "URL")]
    href: String,
    /// What the client does with it
    #[arg(long, value_enum, default_value_t = Action::ExecuteLow)]
    action: Action,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    ExecuteLow,
    ExecuteHigh,
    Cache,
}

impl Sl {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let action = match self.action {
            Action::ExecuteLow => "execute-low",
            Action::ExecuteHigh => "execute-high",
            Action::Cache => "cache",
        };
        let href = escape(&self.href);
        let xml = format!(
            "<?xml version=\"1.0\"?><!DOCTYPE sl PUBLIC \"-//WAPFORUM//DTD SL 1.0//EN\" \
             \"http://www.wapforum.org/DTD/sl.dtd\"><sl href=\"{href}\" action=\"{action}\"/>"
        );
        self.delivery
            .submit(&application(xml, "text/vnd.wap.sl", "2"))
    }
}

/// A provisioning document.
#[derive(Debug, Args)]
pub(super) struct Provision {
    #[command(flatten)]
    delivery: Delivery,
    /// The document in XML (wap-provisioningdoc), or - for standard input
    #[arg(long, value_name = "FILE|-")]
    document: PathBuf,
    /// A file with the PIN that the user is asked for, or the IMSI of the client
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// What the PIN is
    #[arg(long, value_enum, default_value_t = Security::UserPin, requires = "pin_file")]
    security: Security,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Security {
    /// The user is asked for it.
    UserPin,
    /// The IMSI of the SIM, in digits.
    NetworkPin,
}

impl Provision {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let xml = read(&self.document)?;
        let mut body = Vec::new();
        from_xml(&xml, &WbxmlOptions::default(), &mut body)
            .with_context(|| self.document.display().to_string())?;
        let mut media = "application/vnd.wap.connectivity-wbxml".to_owned();
        if let Some(file) = &self.pin_file {
            let pin = read(file)?;
            let (number, key) = match self.security {
                Security::UserPin => (1, pin.trim_ascii().to_vec()),
                Security::NetworkPin => (0, semi_octets(pin.trim_ascii())?),
            };
            media.push_str(&format!("; SEC={number}; MAC={}", mac(&key, &body)));
        }
        // No application id: clients know provisioning by its media type.
        self.delivery.submit(&Content::new(media, body))
    }
}

/// The MAC of OMA Provisioning Bootstrap 1.1, 4.2.1: HMAC-SHA1 over the document in upper-case
/// hexadecimal digits.
fn mac(key: &[u8], document: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, document);
    let digits = tag.as_ref().iter().map(|octet| format!("{octet:02X}"));
    digits.collect()
}

/// An IMSI as the key of NETWPIN has it: the parity in the first half octet, then digits, the lower
/// half first (TS 24.008, 10.5.1.4).
fn semi_octets(digits: &[u8]) -> anyhow::Result<Vec<u8>> {
    let values: Vec<u8> = digits
        .iter()
        .map(|digit| digit.wrapping_sub(b'0'))
        .collect();
    if values.is_empty() || values.len() > 15 || values.iter().any(|value| *value > 9) {
        bail!("an IMSI has up to 15 digits");
    }
    // Type of identity 1, and whether the number of digits is odd.
    let parity = if values.len() % 2 == 1 { 0x9 } else { 0x1 };
    let mut halves = vec![parity];
    halves.extend(&values);
    if halves.len() % 2 == 1 {
        halves.push(0xF);
    }
    let (pairs, _) = halves.as_chunks::<2>();
    Ok(pairs.iter().map(|[low, high]| high << 4 | low).collect())
}

fn application(xml: String, media: &str, id: &str) -> Content {
    let mut content = Content::new(media, xml.into_bytes());
    content.application(id);
    content
}

/// A file, or standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut octets = Vec::new();
    match path == Path::new("-") {
        true => std::io::stdin().read_to_end(&mut octets).map(|_| ()),
        false => std::fs::read(path).map(|read| octets = read),
    }
    .with_context(|| path.display().to_string())?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imsi_is_packed_as_a_key() {
        // Fifteen digits: odd, so nothing is filled up.
        assert_eq!(
            semi_octets(b"262011234567890").unwrap(),
            *b"\x29\x26\x10\x21\x43\x65\x87\x09"
        );
        assert_eq!(
            semi_octets(b"26201123456789").unwrap(),
            *b"\x21\x26\x10\x21\x43\x65\x87\xF9"
        );
        assert!(semi_octets(b"26201x").is_err());
    }

    /// RFC 2202, case 2.
    #[test]
    fn a_mac_is_hmac_sha1() {
        assert_eq!(
            mac(b"Jefe", b"what do ya want for nothing?"),
            "EFFCDF6AE5EB2FA2D27416D5F184DF9C259A7C79"
        );
    }
}
