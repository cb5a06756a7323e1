//! `wapbridge post` and `wapbridge get`: one request over the air, as a handset would send it.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::bindings::BindingArgs;
use crate::cli::client::{Client, PacketObserver, Wait};
use crate::cli::gateway_address::resolve;
use crate::cli::impairment::Direction;
use crate::cli::outcome::Outcome;
use crate::cli::packet;
use crate::cli::secure::{SecureArgs, SecureClient};
use crate::cli::write_out::Format;
use crate::explain;
use crate::handset::{Config, Reply, Request};
use crate::printable::{self, Printable};
use crate::server::clock::Clock;
use crate::time::Instant;
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
    /// The body: a file (@FILE works too), or - for standard input. Default: no body.
    #[arg(long, short, value_name = "FILE|-")]
    data: Option<PathBuf>,
    /// The body itself.
    #[arg(long, value_name = "TEXT", conflicts_with = "data")]
    text: Option<String>,
    /// The method: POST or PUT.
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "POST", value_parser = method_with_body)]
    request: Method,
}

/// Send a GET as a handset would, and print the answer
#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub(super) struct Get {
    #[command(flatten)]
    common: Common,
    /// Ask with HEAD: for the status and the headers alone.
    #[arg(long, short = 'I', conflicts_with_all = ["request", "obex"])]
    head: bool,
    /// The method: GET, HEAD, OPTIONS, DELETE or TRACE.
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "GET", value_parser = method_without_body)]
    request: Method,
}

#[derive(Debug, Args)]
struct Common {
    /// The gateway's connection-mode address. Without a port: 9201, or 9203 with --secure.
    #[arg(long, value_name = "HOST[:PORT]", env = "WAPBRIDGE_GATEWAY",
        required_unless_present_any = ["http_proxy", "obex"])]
    gateway: Option<String>,
    #[command(flatten)]
    secure: SecureArgs,
    #[command(flatten)]
    binding: BindingArgs,
    /// A header, as `Name: value`. May be given more than once.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// File for the body of the reply. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Seconds to wait for each step; over HTTP and OBEX, for the whole answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 130)]
    timeout: u64,
    /// Largest reply that the handset accepts, in octets; 0 means no limit.
    #[arg(long, value_name = "OCTETS", default_value_t = 0)]
    client_sdu: u32,
    /// Negotiate no capabilities, as the simplest handsets do.
    #[arg(long, conflicts_with = "client_sdu")]
    bare: bool,
    /// Seconds for all steps together. Default: no limit but that of each step.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    max_time: Option<u64>,
    /// Number of repetitions if no session could be set up. The request itself is sent once.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    retry: u8,
    /// Write status and headers to standard output too, before the body.
    #[arg(long, short, conflicts_with = "quiet")]
    include: bool,
    /// Print the answer as JSON, with the time of each step. The body is in base64.
    #[arg(long, conflicts_with_all = ["include", "output"])]
    json: bool,
    /// Text for standard output after the body, with curl's variables: %{http_code},
    /// %{content_type}, %{size_download}, and in seconds from the start %{time_connect},
    /// %{time_starttransfer} (the first packet), %{time_total}; and %{retransmissions}.
    #[arg(long, short, value_name = "FORMAT", conflicts_with = "json")]
    write_out: Option<Format>,
    /// Print only the body: no status, no headers.
    #[arg(long, short, visible_short_alias = 's', visible_alias = "silent")]
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
        let body = match (&self.text, &self.data) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, None) => Vec::new(),
            (None, Some(path)) => read_body(path)?,
        };
        let media_type = match (&self.media_type, &self.text) {
            (Some(media_type), _) => media_type.clone(),
            (None, Some(_)) => "text/plain".to_owned(),
            (None, None) => guess(self.data.as_deref()).to_owned(),
        };
        // Of several types the first counts: one that is named in either way comes before a guess.
        let mut headers = self.common.headers.clone();
        let at = match self.media_type {
            Some(_) => 0,
            None => headers.len(),
        };
        headers.insert(at, ("Content-Type".to_owned(), media_type));
        run(&self.common, self.request, &headers, &body)
    }
}

impl Get {
    /// Runs it. An answer of 400 and above is an error.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let method = if self.head {
            Method::HEAD
        } else {
            self.request
        };
        run(&self.common, method, &self.common.headers, &[])
    }
}

fn read_body(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.to_str().unwrap_or_default();
    let path = name.strip_prefix('@').map_or(path, Path::new);
    if path == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin()
            .read_to_end(&mut body)
            .context("standard input")?;
        return Ok(body);
    }
    std::fs::read(path).with_context(|| {
        format!(
            "--data {}: cannot read this file; a body given in words goes after --text",
            path.display()
        )
    })
}

fn run(
    common: &Common,
    method: Method,
    headers: &[(String, String)],
    body: &[u8],
) -> anyhow::Result<()> {
    let request = Request {
        method,
        uri: &common.uri,
        headers,
        body,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if common.binding.is_chosen() {
        let seconds = common.max_time.unwrap_or(common.timeout).max(1);
        let asking = async {
            let limit = Duration::from_secs(seconds);
            let clock = Clock::start();
            let reply = tokio::time::timeout(limit, common.binding.ask(&request)).await;
            let reply = reply.with_context(|| format!("no whole answer within {seconds} s"))?;
            anyhow::Ok((reply?, clock.now() - Instant::ZERO))
        };
        if let (Some(reply), replied) = runtime.block_on(asking)? {
            let outcome = Outcome {
                reply,
                connected: Duration::ZERO,
                first_packet: None,
                replied,
                retransmissions: 0,
            };
            return show(common, &outcome);
        }
    }
    let gateway = common.gateway.as_deref().unwrap_or_default();
    let gateway = resolve(gateway, common.secure.default_port())?;
    let outcome = runtime.block_on(async {
        match common.max_time {
            None => ask(common, gateway, &request).await,
            Some(seconds) => {
                let limit = Duration::from_secs(seconds);
                tokio::time::timeout(limit, ask(common, gateway, &request))
                    .await
                    .unwrap_or_else(|_| bail!("no whole answer within --max-time {seconds}"))
            }
        }
    });
    let outcome = outcome.with_context(|| format!("asking {gateway} for {}", common.uri))?;
    show(common, &outcome)
}

/// Prints an answer. One of 400 and above is an error.
fn show(common: &Common, outcome: &Outcome) -> anyhow::Result<()> {
    if common.json {
        let json = serde_json::to_string_pretty(&outcome.json())?;
        println!("{}", printable::json(&json));
    } else {
        print(common, &outcome.reply)?;
    }
    if let Some(format) = &common.write_out {
        print!("{}", format.text(outcome));
    }
    check_status(&outcome.reply)
}

/// Sets up a session, with up to `--retry` repetitions, and sends the request once.
async fn ask(
    common: &Common,
    gateway: SocketAddr,
    request: &Request<'_>,
) -> anyhow::Result<Outcome> {
    let timeout = Duration::from_secs(common.timeout.max(1));
    let clock = Clock::start();
    let mut tries = 0..=common.retry;
    let (mut client, connected) = loop {
        let mut client = open(common, gateway).await?;
        let connecting = tokio::select! {
            connecting = client.connect(timeout) => Some(connecting),
            _ = tokio::signal::ctrl_c() => None,
        };
        match connecting {
            Some(Ok(())) => break (client, clock.now()),
            Some(Err(error)) => {
                tries.next();
                if tries.is_empty() {
                    return Err(error.into());
                }
                if !common.quiet {
                    eprintln!("({error}; trying again)");
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            None => return interrupted(client).await,
        }
    };
    let reply = tokio::select! {
        reply = client.request(request, timeout) => Some(reply),
        _ = tokio::signal::ctrl_c() => None,
    };
    let Some(reply) = reply else {
        return interrupted(client).await;
    };
    let replied = clock.now();
    // A lost Disconnect does not change the result.
    let _ = client.disconnect().await;
    Ok(Outcome {
        reply: reply?,
        connected: connected - Instant::ZERO,
        first_packet: client.first_result().map(|at| at - Instant::ZERO),
        replied: replied - Instant::ZERO,
        retransmissions: client.stats().retransmissions,
    })
}

async fn open(common: &Common, gateway: SocketAddr) -> anyhow::Result<Client> {
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
    let secure = common
        .secure
        .settings(common.gateway.as_deref().unwrap_or_default())?;
    let secure = secure.map(SecureClient::new).transpose()?;
    let client = Client::open(gateway, config).await?.secured_by(secure);
    let client = client.observe_packets(observer(common.verbose));
    if common.quiet {
        return Ok(client);
    }
    Ok(client.observe_waits(Box::new(|waited, wait| {
        let what = match wait {
            Wait::Gateway => "no datagram from the gateway yet; asking again",
            Wait::Server => "the gateway has the request and waits for the server",
        };
        eprintln!("({} s: {what})", waited.as_secs());
    })))
}

async fn interrupted(mut client: Client) -> anyhow::Result<Outcome> {
    client.give_up().await?;
    bail!("interrupted; the request was aborted at the gateway")
}

/// Shows datagrams: not at all, one line per PDU, or everything in them.
fn observer(verbose: u8) -> PacketObserver {
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
    let mut head = String::new();
    let reason = reason(reply.status);
    head.push_str(&format!("{} {reason}\n", reply.status));
    let content_type = ("Content-Type", Cow::from(reply.content_type.as_str()));
    let fields = reply.headers.iter();
    let fields = fields.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value)));
    for (name, value) in std::iter::once(content_type).chain(fields) {
        // An origin chooses both, and a terminal shows them.
        head.push_str(&format!("{}: {}\n", Printable(name), Printable(&value)));
    }
    // Status and headers go to standard error, so that standard output is the body to the octet.
    if !common.quiet {
        eprintln!("{head}");
    }
    let mut body = Vec::new();
    if common.include {
        body.extend_from_slice(head.as_bytes());
        body.push(b'\n');
    }
    body.extend_from_slice(&reply.body);
    match &common.output {
        Some(path) => std::fs::write(path, &body).with_context(|| path.display().to_string()),
        None => Ok(std::io::stdout().write_all(&body)?),
    }
}

/// An answer of 400 and above is an error.
fn check_status(reply: &Reply) -> anyhow::Result<()> {
    if reply.status < 400 {
        return Ok(());
    }
    let hint = match reply.status {
        403 if from_gateway(reply) => {
            "; no route of the gateway takes this URI: see `wapbridge route`"
        }
        502 | 504 if from_gateway(reply) => "; the gateway's log names the cause and the remedy",
        _ => "",
    };
    bail!(
        "the answer was {} {}{hint}",
        reply.status,
        reason(reply.status)
    );
}

fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

/// Whether an answer has the look of the gateway's own: an origin's has fields.
fn from_gateway(reply: &Reply) -> bool {
    reply.headers.is_empty() && reply.content_type == "text/plain"
}

fn method_with_body(text: &str) -> Result<Method, String> {
    match method(text) {
        Some(method) if method.has_body() => Ok(method),
        _ => Err("POST and PUT have a body; `wapbridge get` takes the other methods".to_owned()),
    }
}

fn method_without_body(text: &str) -> Result<Method, String> {
    match method(text) {
        Some(method) if !method.has_body() => Ok(method),
        _ => Err(
            "write GET, HEAD, OPTIONS, DELETE or TRACE; `wapbridge post` takes POST and PUT"
                .to_owned(),
        ),
    }
}

fn method(text: &str) -> Option<Method> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::DELETE,
        Method::TRACE,
        Method::POST,
        Method::PUT,
    ];
    let is_named = |method: &Method| {
        let name = method.name();
        name.is_some_and(|name| name.eq_ignore_ascii_case(text))
    };
    known.into_iter().find(is_named)
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

/// The pause between two attempts to set up a session.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

const POST_EXAMPLES: &str = "\
The body of the answer goes to standard output unchanged, status and headers to standard error.

Exit status:
  0  the answer's status is below 400
  1  the status is 400 or above, or no answer came
  2  the command line is wrong

Examples:
  wapbridge post --gateway 192.0.2.1 --data message.wbxml http://sync.example.com/
  wapbridge post --gateway localhost:9201 --type text/x-vcard --data - http://sync.example.com/card < me.vcf
  wapbridge post --gateway localhost:9201 --text 'a=b' --type application/x-www-form-urlencoded http://sync.example.com/
  wapbridge post --gateway localhost:9201 -v --data first.wbxml -o answer.wbxml http://sync.example.com/";

const GET_EXAMPLES: &str = "\
The body of the answer goes to standard output unchanged, status and headers to standard error.

Exit status:
  0  the answer's status is below 400
  1  the status is 400 or above, or no answer came
  2  the command line is wrong

Examples:
  wapbridge get --gateway 192.0.2.1 http://sync.example.com/status
  wapbridge get --gateway localhost -s -o /dev/null -w '%{http_code} %{time_total} s\n' http://sync.example.com/
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
        assert_eq!(resolve("[::1]", 9201).unwrap().to_string(), "[::1]:9201");
        assert!(resolve("no such host", 9201).is_err());
        for (text, words) in [
            ("localhost:99999", "a port from 1 to 65535"),
            ("localhost:", "a port from 1 to 65535"),
            ("localhost:0", "a port from 1 to 65535"),
            ("::1:9201:x", "a port from 1 to 65535"),
            ("[::1", "IPv6 as [ADDRESS]:PORT"),
            (":9201", "write HOST or HOST:PORT"),
        ] {
            let error = resolve(text, 9201).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn methods_are_those_of_wsp() {
        assert_eq!(method_with_body("put"), Ok(Method::PUT));
        assert_eq!(method_without_body("DELETE"), Ok(Method::DELETE));
        assert!(method_with_body("GET").is_err() && method_without_body("PATCH").is_err());
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        assert_eq!(header("X-A: b:c").unwrap(), ("X-A".into(), "b:c".into()));
        assert!(header("nonsense").is_err());
        assert!(header(": x").is_err());
    }
}
