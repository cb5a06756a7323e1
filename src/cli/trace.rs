//! `wapbridge trace`: shows the datagrams of one subscriber as they come and go.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use http_body_util::BodyExt;
use hyper::http::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::admin_client::{AdminArgs, write_private};
use crate::printable;

/// Show the datagrams of one subscriber, decoded layer by layer
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Trace {
    #[command(flatten)]
    gateway: AdminArgs,
    /// The handset's address, or a network of at most 256
    #[arg(
        long,
        value_name = "ADDRESS",
        required_unless_present = "msisdn",
        conflicts_with = "msisdn"
    )]
    ip: Option<String>,
    /// The subscriber's number or alias, as in [identity]
    #[arg(long, value_name = "NUMBER")]
    msisdn: Option<String>,
    /// Duration of the trace, at most 1h
    #[arg(long = "for", value_name = "TIME", default_value = "5m")]
    lasts: String,
    /// Write the datagrams to this file as well, as pcapng
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Show every layer of every datagram
    #[arg(long, short)]
    verbose: bool,
    /// Print JSON: one object a line
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    /// Show secrets: credentials, cookies and contents
    #[arg(long)]
    raw: bool,
}

impl Trace {
    /// Runs until its time is over or it is interrupted.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.watch())
    }

    async fn watch(&self) -> anyhow::Result<()> {
        let admin = self.gateway.client()?;
        // Once only: a signal between two registrations would be lost.
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut wanted = json!({ "for": self.lasts, "raw": self.raw });
        if let (Some(ip), Some(fields)) = (&self.ip, wanted.as_object_mut()) {
            fields.insert("ip".to_owned(), json!(ip));
        }
        if let (Some(number), Some(fields)) = (&self.msisdn, wanted.as_object_mut()) {
            fields.insert("msisdn".to_owned(), json!(number));
        }
        let begun = admin
            .request_all(Method::POST, "/trace", Some(wanted.to_string()))
            .await?;
        let begun: Value = serde_json::from_slice(&begun)?;
        let id = field(&begun, "id")
            .as_u64()
            .context("the gateway named no trace")?;
        eprintln!(
            "trace {id} of {} for {}; Ctrl-C ends it",
            printable::line(text(field(&begun, "subject"))),
            self.lasts
        );
        let path = format!("/trace/{id}");
        let mut events = admin
            .request(Method::GET, &format!("{path}/events"), None)
            .await?
            .into_body();
        let mut rest = Vec::new();
        let mut last = Value::Null;
        let mut interrupted = false;
        loop {
            let frame = tokio::select! {
                frame = events.frame() => frame,
                _ = interrupts.recv(), if !interrupted => {
                    // The events after this were recorded before.
                    interrupted = true;
                    admin.request_all(Method::DELETE, &path, None).await?;
                    continue;
                }
            };
            let Some(frame) = frame else { break };
            let frame = frame.context("the gateway is gone")?;
            rest.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
            while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                last = serde_json::from_slice(&line)?;
                if field(&last, "kind").is_string() && !self.show(&line, &last)? {
                    // The reader has closed the pipe.
                    admin.request_all(Method::DELETE, &path, None).await?;
                    return Ok(());
                }
            }
        }
        if let Some(file) = &self.pcap {
            let octets = admin
                .request_all(Method::GET, &format!("{path}.pcapng"), None)
                .await?;
            write_private(file, &octets)?;
            eprintln!("{}: {} octets", file.display(), octets.len());
        }
        if field(&last, "ended").is_null() {
            bail!("the gateway ended the conversation before the trace was over");
        }
        eprintln!(
            "{}: {} datagrams, {} not caught",
            printable::line(text(field(&last, "ended"))).replace('_', " "),
            field(&last, "datagrams"),
            field(&last, "lost")
        );
        Ok(())
    }

    /// Prints one entry; returns false if the reader has closed the pipe.
    fn show(&self, line: &[u8], entry: &Value) -> anyhow::Result<bool> {
        let mut out = Vec::new();
        if self.json {
            let line = String::from_utf8_lossy(line);
            out.extend_from_slice(printable::json(&line).as_bytes());
        } else {
            one(entry, &mut out);
            if self.verbose {
                for layer in list(field(entry, "layers")) {
                    nodes(field(layer, "nodes"), 1, &mut out);
                }
            }
        }
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(&out).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }
}

/// An entry in one line.
fn one(entry: &Value, out: &mut Vec<u8>) {
    let micros = field(entry, "unix_us").as_u64().unwrap_or(0);
    let second = micros / 1_000_000 % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let arrow = match (text(field(entry, "kind")), text(field(entry, "direction"))) {
        ("upstream", "out") => "=>",
        ("upstream", _) => "<=",
        (_, "in") => "->",
        (_, "out") => "<-",
        _ => "--",
    };
    let peer = printable::line(text(field(entry, "peer")));
    let octets = field(entry, "octets")
        .as_u64()
        .map_or_else(String::new, |octets| octets.to_string());
    let micros = micros % 1_000_000;
    let summary = printable::line(text(field(entry, "summary")));
    let line = format!(
        "{hour:02}:{minute:02}:{second:02}.{micros:06} {arrow} {peer:<21} {octets:>6}  {summary}\n"
    );
    out.extend_from_slice(line.as_bytes());
}

fn nodes(tree: &Value, depth: usize, out: &mut Vec<u8>) {
    for node in list(tree) {
        let mark = if field(node, "fault").as_bool() == Some(true) {
            "! "
        } else {
            ""
        };
        let line = format!(
            "{:indent$}{mark}{}\n",
            "",
            printable::line(text(field(node, "meaning"))),
            indent = 16 + 2 * depth
        );
        out.extend_from_slice(line.as_bytes());
        nodes(field(node, "parts"), depth + 1, out);
    }
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

const EXAMPLES: &str = "\
Times are UTC. -> is from the handset, <- to it, => to the origin, <= from it. Credentials, the \
contents of items and every other value that may be secret are blank, in the file too; --raw \
shows them. A segmented message is shown with its last packet. The gateway logs the address \
that began the trace, and its subject.

Exit status:
  0  the trace is over
  1  it could not begin, or the gateway is gone; standard error has the reason

Examples:
  wapbridge trace --token-file /etc/wapbridge/token --ip 10.20.30.40
  wapbridge trace --token-file /etc/wapbridge/token --msisdn 491701234567 --for 30m --pcap handset.pcapng
  wapbridge trace --token-file /etc/wapbridge/token --ip 10.20.30.40 --verbose";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_cannot_forge_lines_or_escapes() {
        let entry = json!({
            "kind": "note", "unix_us": 0, "peer": "\u{1b}[2J", "summary": "a\nb\u{9b}\u{202e}",
            "layers": [{"nodes": [{"meaning": "x\r\u{1b}", "fault": false, "parts": []}]}],
        });
        let mut out = Vec::new();
        one(&entry, &mut out);
        nodes(&entry["layers"][0]["nodes"], 1, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.ends_with('\n') && printable::lines(&text) == text,
            "{text:?}"
        );
    }

    #[test]
    fn an_entry_is_one_line_with_its_layers_below() {
        let entry = json!({
            "kind": "datagram", "direction": "in", "unix_us": 3_661_000_007_u64, "peer": "10.0.0.1:49152", "octets": 12,
            "summary": "WTP Invoke", "layers": [{"nodes": [{"meaning": "WTP Invoke", "fault": false,
            "parts": [{"meaning": "wrong", "fault": true, "parts": []}]}]}],
        });
        let mut out = Vec::new();
        one(&entry, &mut out);
        nodes(&entry["layers"][0]["nodes"], 1, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "01:01:01.000007 -> 10.0.0.1:49152            12  WTP Invoke\n                  WTP Invoke\n                    ! wrong\n"
        );
    }
}
