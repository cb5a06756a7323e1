//! `wapbridge post` and `wapbridge get`: one request over the air, as a handset would send it.

use std::io::{Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::air::{Air, Direction, Wait, Watcher};
use crate::cli::packet;
use crate::explain;
use crate::handset::{Config, Reply, Request};
use crate::wsp::capability::Capabilities;
use crate::wsp::pdu::Method;

/// Send a POST as a handset would, and print the answer
#[derive(Debug, Args)]
#[command(after_help = POST_EXAMPLES)]
pub(super) struct Post {
    #[command(flatten)]
    common: Common,
    /// The body's media type. Default: by the file's ending, else application/vnd.syncml+wbxml.
    #[arg(long = "type", value_name = "TYPE")]
    media_type: Option<String>,
    /// The body: a file, or - for standard input. Default: no body.
    #[arg(long, value_name = "FILE|-")]
    data: Option<PathBuf>,
}

/// Fetch something as a handset would, and print it
#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub(super) struct Get {
    #[command(flatten)]
    common: Common,
    /// Ask with HEAD: for the status and the headers alone.
    #[arg(long, short = 'I')]
    head: bool,
}

#[derive(Debug, Args)]
struct Common {
    /// The gateway's connection-mode address. Without a port: 9201.
    #[arg(long, value_name = "HOST[:PORT]", env = "WAPBRIDGE_GATEWAY")]
    gateway: String,
    /// A header, as `Name: value`. May be given more than once.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Where the body of the answer goes. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Seconds to wait for each step.
    #[arg(long, value_name = "SECONDS", default_value_t = 130)]
    timeout: u64,
    /// Largest answer the handset says it can take, in octets; 0 means no limit.
    #[arg(long, value_name = "OCTETS", default_value_t = 0)]
    client_sdu: u32,
    /// Negotiate nothing, as the simplest handsets do.
    #[arg(long, conflicts_with = "client_sdu")]
    bare: bool,
    /// Print only the body: no status, no headers.
    #[arg(long, short)]
    quiet: bool,
    /// Show each PDU with its time, on standard error; twice: explain each datagram whole.
    #[arg(long, short, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The absolute URI to ask the gateway for.
    uri: String,
}

impl Post {
    /// Runs it. An answer of 400 and above is an error.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let body = match &self.data {
            None => Vec::new(),
            Some(path) if path == Path::new("-") => {
                let mut body = Vec::new();
                std::io::stdin()
                    .read_to_end(&mut body)
                    .context("standard input")?;
                body
            }
            Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?,
        };
        let media_type = self
            .media_type
            .unwrap_or_else(|| guess(self.data.as_deref()).to_owned());
        let mut headers = vec![("Content-Type".to_owned(), media_type)];
        headers.extend(self.common.headers.clone());
        run(&self.common, Method::POST, &headers, &body)
    }
}

impl Get {
    /// Runs it. An answer of 400 and above is an error.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let method = if self.head { Method::HEAD } else { Method::GET };
        run(&self.common, method, &self.common.headers, &[])
    }
}

fn run(
    common: &Common,
    method: Method,
    headers: &[(String, String)],
    body: &[u8],
) -> anyhow::Result<()> {
    let gateway = resolve(&common.gateway, 9201)?;
    let config = Config {
        capabilities: (!common.bare).then(|| {
            Capabilities::default()
                .with_client_sdu(common.client_sdu)
                .with_server_sdu(0)
        }),
        headers: vec![(
            "User-Agent".into(),
            concat!("wapbridge/", env!("CARGO_PKG_VERSION")).into(),
        )],
        ..Config::default()
    };
    let patience = Duration::from_secs(common.timeout.max(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let reply = runtime.block_on(async {
        let mut air = Air::open(gateway, config).await?;
        air = air.watched(watcher(common.verbose));
        if !common.quiet {
            air = air.explained(Box::new(|waited, wait| {
                let what = match wait {
                    Wait::Gateway => "no word from the gateway yet; asking again",
                    Wait::Server => "the gateway has the request and waits for the server",
                };
                eprintln!("({} s: {what})", waited.as_secs());
            }));
        }
        let request = Request {
            method,
            uri: &common.uri,
            headers,
            body,
        };
        let asking = async {
            air.connect(patience).await?;
            anyhow::Ok(air.request(&request, patience).await?)
        };
        let reply = tokio::select! {
            reply = asking => Some(reply),
            _ = tokio::signal::ctrl_c() => None,
        };
        match reply {
            Some(reply) => {
                // The answer is here or it is not; a Disconnect that is lost changes neither.
                let _ = air.disconnect().await;
                reply
            }
            None => {
                air.give_up().await?;
                bail!("interrupted; the gateway was told that nobody waits any more")
            }
        }
    });
    print(
        common,
        &reply.with_context(|| format!("asking {gateway} for {}", common.uri))?,
    )
}

/// Shows datagrams: not at all, one line per PDU, or everything in them.
fn watcher(verbose: u8) -> Watcher {
    Box::new(move |at, direction, octets| {
        let arrow = match direction {
            Direction::Out => "→",
            Direction::In => "←",
        };
        let time = at.as_micros() as f64 / 1e6;
        match verbose {
            0 => {}
            1 => {
                for line in packet::describe(octets) {
                    eprintln!("{time:>9.3} {arrow} {line}");
                }
            }
            _ => eprintln!(
                "{time:>9.3} {arrow} {} octets\n{}",
                octets.len(),
                explain::wtp(octets)
            ),
        }
    })
}

fn print(common: &Common, reply: &Reply) -> anyhow::Result<()> {
    if !common.quiet {
        let reason = http::StatusCode::from_u16(reply.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        // Status and headers go to standard error, so that standard output is the body to the octet.
        eprintln!("{} {reason}", reply.status);
        eprintln!("Content-Type: {}", reply.content_type);
        for (name, value) in &reply.headers {
            eprintln!("{name}: {}", String::from_utf8_lossy(value));
        }
        eprintln!();
    }
    match &common.output {
        Some(path) => {
            std::fs::write(path, &reply.body).with_context(|| path.display().to_string())?;
        }
        None => std::io::stdout().write_all(&reply.body)?,
    }
    if reply.status >= 400 {
        let hint = match reply.status {
            403 if from_gateway(reply) => {
                "; no route of the gateway takes this URI: see `wapbridge route`"
            }
            502 | 504 if from_gateway(reply) => {
                "; the gateway's log names the cause and the remedy"
            }
            _ => "",
        };
        bail!("the answer was {}{hint}", reply.status);
    }
    Ok(())
}

/// Whether an answer has the look of the gateway's own: an origin's has fields.
fn from_gateway(reply: &Reply) -> bool {
    reply.headers.is_empty() && reply.content_type == "text/plain"
}

/// A host and a port, as people write them.
pub(super) fn resolve(text: &str, default_port: u16) -> anyhow::Result<SocketAddr> {
    let found = match text.parse::<SocketAddr>() {
        Ok(address) => return Ok(address),
        Err(_) if text.parse::<std::net::Ipv6Addr>().is_ok() => {
            (text, default_port).to_socket_addrs()
        }
        Err(_) if text.contains(':') => text.to_socket_addrs(),
        Err(_) => (text, default_port).to_socket_addrs(),
    };
    found
        .with_context(|| {
            format!("--gateway {text}: the name does not resolve; write HOST or HOST:PORT, IPv6 as [ADDRESS]:PORT")
        })?
        .next()
        .with_context(|| format!("gateway {text}: the name has no address"))
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write it as `Name: value`".to_owned()),
    }
}

fn guess(path: Option<&Path>) -> &'static str {
    match path
        .and_then(Path::extension)
        .and_then(std::ffi::OsStr::to_str)
    {
        Some("xml") => "application/vnd.syncml+xml",
        Some("vcf") => "text/x-vcard",
        Some("vcs") => "text/x-vcalendar",
        Some("txt") => "text/plain",
        _ => "application/vnd.syncml+wbxml",
    }
}

const POST_EXAMPLES: &str = "\
The body of the answer is written to standard output untouched, status and headers to standard error.

Exit status:
  0  the answer's status is below 400
  1  it is not, or there was no answer
  2  the command line is wrong

Examples:
  wapbridge post --gateway 192.0.2.1 --data message.wbxml http://sync.example.com/
  wapbridge post --gateway localhost:9201 --type text/x-vcard --data - http://sync.example.com/card < me.vcf
  wapbridge post --gateway localhost:9201 -v --data first.wbxml -o answer.wbxml http://sync.example.com/";

const GET_EXAMPLES: &str = "\
The body of the answer is written to standard output untouched, status and headers to standard error.

Exit status:
  0  the answer's status is below 400
  1  it is not, or there was no answer
  2  the command line is wrong

Examples:
  wapbridge get --gateway 192.0.2.1 http://sync.example.com/status
  wapbridge get --gateway [2001:db8::1]:9201 -v -H 'Accept-Language: de' http://sync.example.com/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_written_as_people_write_them() {
        assert_eq!(resolve("127.0.0.1", 9201).unwrap().port(), 9201);
        assert_eq!(resolve("127.0.0.1:7", 9201).unwrap().port(), 7);
        assert_eq!(resolve("::1", 9201).unwrap().to_string(), "[::1]:9201");
        assert_eq!(resolve("[::1]:7", 9201).unwrap().port(), 7);
        assert!(resolve("no such host", 9201).is_err());
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        assert_eq!(header("X-A: b:c").unwrap(), ("X-A".into(), "b:c".into()));
        assert!(header("nonsense").is_err());
        assert!(header(": x").is_err());
    }
}
