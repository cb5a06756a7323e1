//! The command line.

mod admin_client;
mod bench;
mod bindings;
mod check;
mod client;
mod decode;
mod demo;
mod gateway_address;
mod impairment;
pub mod log;
mod log_filter;
mod manual;
mod metrics;
mod outcome;
mod packet;
mod proxy;
mod push;
mod records;
mod relay;
mod request;
mod route;
mod schema;
mod screen;
#[cfg(feature = "wtls")]
mod secure;
#[cfg(not(feature = "wtls"))]
#[path = "secure_absent.rs"]
mod secure;
mod serve;
mod top;
mod trace;
mod write_out;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

use crate::config::{DEFAULT_FILE, Report, Settings};
use crate::printable;

/// A WAP gateway: WSP over WTP over UDP from legacy handsets, HTTPS to the sync server.
#[derive(Debug, Parser)]
#[command(name = "wapbridge", version = VERSION.as_str(), arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Check(check::Check),
    Post(request::Post),
    Get(request::Get),
    Demo(demo::Demo),
    Route(route::Route),
    Decode(decode::Decode),
    Encode(decode::Encode),
    Top(top::Top),
    Trace(trace::Trace),
    Proxy(proxy::Proxy),
    Push(push::Push),
    Records(records::Records),
    Bench(bench::Bench),
    Metrics(metrics::Metrics),
    Schema(schema::Schema),
    Manual(manual::Manual),
    Completions(manual::Completions),
}

/// Runs the command line. The exit status is 0 if all went well, 1 if it did not, 2 if the command
/// line itself was wrong.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Post(post) => post.run(),
        Command::Get(get) => get.run(),
        Command::Demo(demo) => demo.run(),
        Command::Route(route) => route.run(),
        Command::Decode(decode) => decode.run(),
        Command::Encode(encode) => encode.run(),
        Command::Top(top) => top.run(),
        Command::Trace(trace) => trace.run(),
        Command::Proxy(proxy) => proxy.run(),
        Command::Push(push) => push.run(),
        Command::Records(records) => records.run(),
        Command::Bench(bench) => bench.run(),
        Command::Metrics(metrics) => {
            metrics.run();
            Ok(())
        }
        Command::Schema(schema) => schema.run(),
        Command::Manual(manual) => manual.run(),
        Command::Completions(completions) => {
            completions.run();
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Loads the configuration that the operator named, or the one in the working directory.
fn load(file: Option<&Path>) -> Result<(PathBuf, Settings), Report> {
    let path = file.unwrap_or_else(|| Path::new(DEFAULT_FILE));
    if file.is_none() && !path.exists() {
        return Err(Report::unreadable(
            DEFAULT_FILE,
            "there is none in the working directory",
            "name the configuration file, or start one with:\n\n\
             [[route]]\n\
             match    = \"http://sync.example.com/\"            # the URIs that handsets request\n\
             upstream = \"https://sync.internal.example:8443/\" # the server that answers",
        ));
    }
    Settings::load(path).map(|settings| (path.to_owned(), settings))
}

fn complain(error: &anyhow::Error) {
    match error.downcast_ref::<Report>() {
        Some(report) => {
            let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colours = std::io::stderr().is_terminal() && !no_colour;
            eprintln!("{}", report.render(colours));
        }
        // A cause may quote a peer.
        None => eprintln!("error: {}", printable::lines(&format!("{error:#}"))),
    }
}

/// What `--version` says. `deploy/release` and the container file tell commit and date; a plain build says neither, since
/// each commit would build everything anew.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    let source: Vec<&str> = [
        option_env!("WAPBRIDGE_COMMIT"),
        option_env!("WAPBRIDGE_DATE"),
    ]
    .into_iter()
    .flatten()
    .filter(|word| !word.is_empty())
    .collect();
    match source.is_empty() {
        true => version.to_owned(),
        false => format!("{version} ({})", source.join(" ")),
    }
});

const EXAMPLES: &str = "\
Examples:
  wapbridge demo                                 run the whole chain on this machine
  wapbridge check /etc/wapbridge.toml            check a configuration
  wapbridge serve --config /etc/wapbridge.toml   run the gateway
  wapbridge post --gateway localhost --data message.wbxml http://sync.example.com/
  wapbridge route http://sync.example.com/       show the route of a request
  wapbridge top                                  show the figures of a running gateway
  wapbridge proxy --gateway localhost            let any HTTP program use WSP
  wapbridge decode capture.pcap                  explain a capture
  wapbridge decode --interface any               explain live traffic
  wapbridge push si --text 'Mail' +491701234567  push to a phone
  wapbridge bench --gateway localhost            measure a gateway's capacity";
