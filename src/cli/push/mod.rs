//! `wapbridge push`: submits pushes to a push proxy gateway, and builds what they carry.

mod client;
mod content;
mod notify;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};

use self::client::PpgArgs;
use self::content::Content;
use crate::config::duration;
use crate::push::pap::{self, MessageState, Operation, Query, Response, Status};
use crate::push::{Recipient, pap::Method, pap::Priority, pap::Quality};
use crate::{printable, server};

/// Push content to handsets, through the push proxy gateway of this or another host
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Push {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Submit a file
    Submit(Submit),
    /// Cancel a push that is not delivered yet
    Cancel(About),
    /// Ask what became of a push
    Status(About),
    /// Ask a client to begin a SyncML session: a server-alerted notification
    NotifySync(notify::NotifySync),
    /// Submit a Service Indication: a text and a link
    Si(content::Si),
    /// Submit a Service Loading: a link that the client follows
    Sl(content::Sl),
    /// Submit a provisioning document (OMA Client Provisioning)
    Provision(content::Provision),
}

impl Push {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.task {
            Task::Submit(submit) => submit.run(),
            Task::Cancel(about) => about.run(Operation::Cancel),
            Task::Status(about) => about.run(Operation::Status),
            Task::NotifySync(notify) => notify.run(),
            Task::Si(si) => si.run(),
            Task::Sl(sl) => sl.run(),
            Task::Provision(provision) => provision.run(),
        }
    }
}

/// The file of `submit`.
#[derive(Debug, Args)]
struct Submit {
    #[command(flatten)]
    delivery: Delivery,
    /// The content: a file, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    content: PathBuf,
    /// Its media type, with parameters if it has any
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "application/octet-stream"
    )]
    media: String,
    /// The application in the client, a number or a URI such as x-wap-application:wml.ua
    #[arg(long, value_name = "ID")]
    app_id: Option<String>,
    /// Another field of the content
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

impl Submit {
    fn run(self) -> anyhow::Result<()> {
        let body = content::read(&self.content)?;
        let mut content = Content::new(self.media, body);
        if let Some(id) = self.app_id {
            content.application(&id);
        }
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .with_context(|| format!("--header {header}: write it as NAME: VALUE"))?;
            content.header(name.trim(), value.trim());
        }
        self.delivery.submit(&content)
    }
}

/// The recipients, and the way of delivery.
#[derive(Debug, Args)]
struct Delivery {
    #[command(flatten)]
    ppg: PpgArgs,
    /// The push's name [default: a new one]
    #[arg(long, value_name = "ID")]
    push_id: Option<String>,
    /// What the client, or the network, is to confirm
    #[arg(long, value_enum, default_value_t = Confirm::NotSpecified)]
    delivery: Confirm,
    /// What waits is delivered in this order
    #[arg(long, value_enum, default_value_t = Order::Medium)]
    priority: Order,
    /// Give up after this time, such as 10m or 24h [default: as the gateway likes]
    #[arg(long, value_name = "TIME", value_parser = time)]
    within: Option<Duration>,
    /// The URL that is told the result
    #[arg(long, value_name = "URL")]
    notify_to: Option<String>,
    /// The bearer that is wanted, by its name in PAP: SMS, or the number of another
    #[arg(long, value_name = "NAME")]
    bearer: Option<String>,
    /// Write the content to this file, and submit nothing
    #[arg(long, short, value_name = "FILE", conflicts_with_all = OF_SUBMISSIONS)]
    output: Option<PathBuf>,
    /// The clients: a number such as +491701234567, an IP address, or WAPPUSH=...
    #[arg(value_name = "CLIENT", required_unless_present = "output")]
    to: Vec<String>,
}

/// Options of submissions, of which a file has nothing.
const OF_SUBMISSIONS: [&str; 7] = [
    "to",
    "push_id",
    "delivery",
    "priority",
    "within",
    "notify_to",
    "bearer",
];

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Confirm {
    Confirmed,
    PreferConfirmed,
    Unconfirmed,
    NotSpecified,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    High,
    Medium,
    Low,
}

impl From<Confirm> for Method {
    fn from(confirm: Confirm) -> Self {
        match confirm {
            Confirm::Confirmed => Self::Confirmed,
            Confirm::PreferConfirmed => Self::PreferConfirmed,
            Confirm::Unconfirmed => Self::Unconfirmed,
            Confirm::NotSpecified => Self::NotSpecified,
        }
    }
}

impl From<Order> for Priority {
    fn from(order: Order) -> Self {
        match order {
            Order::High => Self::High,
            Order::Medium => Self::Medium,
            Order::Low => Self::Low,
        }
    }
}

impl Delivery {
    /// Submits the content, or writes it to the file of `--output`.
    fn submit(self, content: &Content) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            return std::fs::write(path, &content.body).with_context(|| path.display().to_string());
        }
        let push_id = match self.push_id {
            Some(id) => id,
            None => new_id()?,
        };
        let addresses = self.to.iter().map(|to| address(to, &self.ppg.host()));
        let now = server::clock::unix();
        let within = self.within.map(|within| (now + within.as_secs()) * 1_000);
        let submission = pap::Submission {
            push_id: push_id.clone(),
            deliver_before: within,
            notify_to: self.notify_to,
            addresses: addresses.collect::<Result<_, _>>()?,
            quality: Some(Quality {
                priority: self.priority.into(),
                method: self.delivery.into(),
                bearer_required: self.bearer.is_some(),
                bearer: self.bearer,
                ..Quality::default()
            }),
            ..pap::Submission::default()
        };
        let operation = Operation::Push(Box::new(submission));
        report(&self.ppg.ask(&operation, Some(content))?)?;
        println!("push-id {}", printable::line(&push_id));
        Ok(())
    }
}

/// Which push.
#[derive(Debug, Args)]
struct About {
    #[command(flatten)]
    ppg: PpgArgs,
    /// The push
    #[arg(value_name = "PUSH-ID")]
    push_id: String,
    /// These clients of it only
    #[arg(value_name = "CLIENT")]
    to: Vec<String>,
}

impl About {
    fn run(self, operation: fn(Query) -> Operation) -> anyhow::Result<()> {
        let addresses = self.to.iter().map(|to| address(to, &self.ppg.host()));
        let query = Query {
            push_id: self.push_id,
            addresses: addresses.collect::<Result<_, _>>()?,
        };
        report(&self.ppg.ask(&operation(query), None)?)
    }
}

/// Prints an answer. One that is no success is an error.
fn report(response: &Response) -> anyhow::Result<()> {
    let said = |code: Status, desc: &Option<String>| {
        let desc = desc.as_deref().unwrap_or_default();
        let text = match desc.is_empty() {
            true => format!("{code} {}", code.text()),
            false => format!("{code} {}: {desc}", code.text()),
        };
        printable::line(&text).into_owned()
    };
    let all = |addresses: &[String]| match addresses {
        [] => "all clients".to_owned(),
        addresses => printable::line(&addresses.join(", ")).into_owned(),
    };
    let mut failed = None;
    let mut judge = |code: Status, said: String| match code.class() {
        1 => println!("{said}"),
        _ => failed = Some(said),
    };
    match response {
        Response::Push {
            code, desc, notes, ..
        } => {
            for note in notes {
                let note_text = note.note.as_deref().unwrap_or_default();
                println!(
                    "{}",
                    printable::line(&format!("{}: {note_text}", note.stage))
                );
            }
            judge(*code, said(*code, desc));
        }
        Response::Cancel { results, .. } => {
            for result in results {
                let clients = all(&result.addresses);
                judge(
                    result.code,
                    format!("{clients}: {}", said(result.code, &result.desc)),
                );
            }
        }
        Response::Status { results, .. } => {
            for result in results {
                let (clients, state) = (all(&result.addresses), result.state.name());
                let text = format!("{clients}: {state}, {}", said(result.code, &result.desc));
                // Other states have the code of the delivery, and not of this query.
                match result.state {
                    MessageState::Unknown => judge(result.code, text),
                    _ => println!("{text}"),
                }
            }
        }
        Response::Capabilities { code, desc, .. }
        | Response::Notification { code, desc, .. }
        | Response::BadMessage { code, desc, .. } => judge(*code, said(*code, desc)),
    }
    match failed {
        None => Ok(()),
        Some(said) => bail!("{said}"),
    }
}

/// A client as PAP writes it.
fn address(to: &str, host: &str) -> anyhow::Result<String> {
    let is_number = |text: &str| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit())
    };
    let written = match to.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => format!("WAPPUSH={v4}/TYPE=IPv4@{host}"),
        Ok(IpAddr::V6(v6)) => {
            let groups = v6.segments().map(|group| format!("{group:X}"));
            format!("WAPPUSH={}/TYPE=IPv6@{host}", groups.join(":"))
        }
        Err(_) if is_number(to) => {
            format!("WAPPUSH=+{}/TYPE=PLMN@{host}", to.trim_start_matches('+'))
        }
        Err(_) => to.to_owned(),
    };
    Recipient::parse(&written).with_context(|| format!("{to}: not a client"))?;
    Ok(written)
}

/// A name that no other push has.
fn new_id() -> anyhow::Result<String> {
    let (now, seed) = (server::clock::unix(), server::clock::seed()?);
    Ok(format!("{now}.{seed:016x}@wapbridge"))
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "write it as 30s, 10m or 24h".to_owned())
}

const EXAMPLES: &str = "\
Exit status:
  0  the gateway has accepted what was asked
  1  it has not; standard error has its status code

Examples:
  wapbridge push notify-sync --server sync.example --session 7 --store contacts:text/x-vcard \\
      --password-file sync.password +491701234567
  wapbridge push si --href http://mail.example/ --text 'You have mail' +491701234567
  wapbridge push submit --content message.wbxml --type application/vnd.syncml+wbxml 10.1.2.3
  wapbridge push status 1764421200.0123456789abcdef@wapbridge
  wapbridge push notify-sync --server sync.example --session 7 -o san.bin && wapbridge decode san.bin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_written_as_people_write_them() {
        let of = |to: &str| address(to, "ppg.example.com").ok();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            of("+491701"),
            some("WAPPUSH=+491701/TYPE=PLMN@ppg.example.com")
        );
        assert_eq!(
            of("491701"),
            some("WAPPUSH=+491701/TYPE=PLMN@ppg.example.com")
        );
        assert_eq!(
            of("10.1.2.3"),
            some("WAPPUSH=10.1.2.3/TYPE=IPv4@ppg.example.com")
        );
        assert_eq!(
            of("2001:db8::1"),
            some("WAPPUSH=2001:DB8:0:0:0:0:0:1/TYPE=IPv6@ppg.example.com")
        );
        assert_eq!(
            of("WAPPUSH=me/TYPE=USER@a.example"),
            some("WAPPUSH=me/TYPE=USER@a.example")
        );
        assert_eq!(of("somebody"), None);
    }
}
