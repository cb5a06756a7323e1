//! `wapbridge check`: checks a configuration, shows all errors at once, and shows what a reload
//! would change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use hyper::http::Method;
use serde::Serialize;
use serde_json::json;
use toml::{Table, Value};

use super::admin_client::AdminArgs;
use super::load;
use crate::config::{Entry, Report, Settings, needs_restart};
use crate::route::{Affinity, Balance, HealthCheck, RetryBudget, RouteSettings};

/// Check a configuration file, and the certificates it names, without serving
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
  0  the configuration is right; a summary and the warnings are printed
  1  it has errors, or with --strict warnings; each is shown with its place and a remedy; or with
     --online the store does not answer

Examples:
  wapbridge check deploy/wapbridge.toml
  wapbridge check --strict -c /etc/wapbridge/wapbridge.toml && systemctl reload wapbridge
  wapbridge check --diff /etc/wapbridge/wapbridge.toml   what a reload of the running gateway would change
  wapbridge check --online /etc/wapbridge/wapbridge.toml   whether the store answers, too
  generate | wapbridge check --json -")]
pub(super) struct Check {
    /// The file to check, - for standard input [default: wapbridge.toml in the working directory]
    file: Option<PathBuf>,
    /// The same file, in the notation of `wapbridge serve`
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Fail when there are warnings
    #[arg(long)]
    strict: bool,
    /// Print one JSON object: ok, errors, warnings, with --diff changes, with --online store
    #[arg(long)]
    json: bool,
    /// Show what a reload of the gateway at --admin would change, and what needs a restart
    #[arg(long)]
    diff: bool,
    /// Ask the store in [store] redis whether it answers
    #[arg(long)]
    online: bool,
    #[command(flatten)]
    gateway: AdminArgs,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let file = self.file.as_deref().or(self.config.as_deref());
        let (path, settings) = match load(file) {
            Ok(loaded) => loaded,
            Err(report) if self.json => {
                let errors: Vec<Entry> = report.entries().collect();
                let shown = json!({ "ok": false, "errors": errors, "warnings": [] });
                println!("{shown}");
                bail!("the configuration has {} errors", errors.len());
            }
            Err(report) => return Err(report.into()),
        };
        let warnings = settings.warnings();
        let changes = match self.diff {
            true => Some(changes(&self.running()?, &Table::try_from(&settings)?)),
            false => None,
        };
        let answered = self
            .online
            .then(|| settings.store.as_ref()?.ping())
            .flatten();
        if self.json {
            let mut shown = json!({
                "ok": true,
                "errors": [],
                "warnings": warnings.entries().collect::<Vec<_>>(),
            });
            if let (Some(changes), Some(shown)) = (&changes, shown.as_object_mut()) {
                shown.insert("changes".to_owned(), json!(changes));
            }
            if let (Some(answered), Some(shown)) = (&answered, shown.as_object_mut()) {
                let (is_ok, said) = match answered {
                    Ok(said) => (true, said),
                    Err(why) => (false, why),
                };
                let store = json!({ "answers": is_ok, "message": said });
                shown.insert("store".to_owned(), store);
            }
            println!("{shown}");
        } else {
            println!("{}: ok", path.display());
            summarise(&settings);
            if let Some(changes) = &changes {
                show(changes);
            }
            warn(&warnings);
            if let Some(Ok(said)) = &answered {
                println!("the store: {said}");
            }
        }
        if let Some(Err(why)) = answered {
            bail!("the store does not answer: {why}");
        }
        let count = warnings.problems().len();
        if self.strict && count > 0 {
            bail!("there are {count} warnings, and --strict allows none");
        }
        Ok(())
    }

    /// The settings in force at the running gateway.
    fn running(&self) -> anyhow::Result<Table> {
        let client = self.gateway.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let text = runtime.block_on(client.request_all(Method::GET, "/config", None))?;
        let text = String::from_utf8_lossy(&text);
        text.parse().with_context(|| {
            format!(
                "{}: /config is no configuration of wapbridge",
                client.name()
            )
        })
    }
}

fn warn(warnings: &Report) {
    if !warnings.is_empty() {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = std::io::stderr().is_terminal() && !no_colour;
        eprintln!("{}", warnings.render(colours));
    }
}

/// The checks of a route's hosts in words.
fn health_check(check: &HealthCheck) -> String {
    let HealthCheck {
        path,
        interval,
        timeout,
        ..
    } = check;
    let expected = list(&check.expect);
    format!("each host: GET {path} every {interval:?}, {expected} within {timeout:?}")
}

/// The choice among a route's hosts in words.
fn balance(route: &RouteSettings) -> String {
    let policy = &route.host_policy;
    let mut names = Balance::ALL.iter();
    let name = names.find(|(_, balance)| *balance == policy.balance);
    let mut text = format!("balance: {}", name.map_or("", |(name, _)| name));
    if !policy.weights.is_empty() {
        let _ = write!(text, ", weights {}", list(&policy.weights));
    }
    text += match policy.affinity {
        Affinity::Session => "; a session stays at its host",
        Affinity::Address => "; a handset stays at its host",
        Affinity::Off => "; no request stays at a host",
    };
    if !policy.slow_start.is_zero() {
        let _ = write!(text, "; slow start {:?}", policy.slow_start);
    }
    text
}

/// The bound of requests at another host in words.
fn retry_budget(budget: &RetryBudget) -> String {
    let RetryBudget {
        budget_percent,
        min_retry_concurrency,
    } = budget;
    format!(
        "retry budget: {budget_percent} % of the requests under way, at least {min_retry_concurrency}"
    )
}

fn summarise(settings: &Settings) {
    let line = |what: &str, value: &str| println!("  {what:<20} {value}");
    line("WSP over WTP", &list(&settings.listen.connection_mode));
    line("connectionless WSP", &list(&settings.listen.connectionless));
    let listen = &settings.listen;
    let others = [
        ("WSP over WTP, WTLS", &listen.secure_connection_mode),
        ("connectionless, WTLS", &listen.secure_connectionless),
        ("HTTP", &listen.http),
        ("HTTP, TLS", &listen.https),
        ("OBEX", &listen.obex),
    ];
    for (name, addresses) in others.into_iter().filter(|(_, them)| !them.is_empty()) {
        line(name, &list(addresses));
    }
    if !listen.connectionless.is_empty() || !listen.secure_connectionless.is_empty() {
        line("without session", &unproved_replies(settings));
    }
    line("admin", &list(&settings.admin.listen));
    for route in settings.routes.iter() {
        line(&format!("route {}", route.name), &route.to_string());
        if route.host_policy.balance != Balance::First {
            line("", &balance(route));
        }
        if let Some(check) = &route.host_policy.check {
            line("", &health_check(check));
        }
        if let Some(budget) = &route.host_policy.retry_budget {
            line("", &retry_budget(budget));
        }
    }
    line("push initiators", &pushes(settings));
    let centres = settings.smsc.iter();
    let centres =
        centres.map(|centre| format!("{} at {}:{}", centre.name, centre.host, centre.port));
    line("SMS centres", &list(&centres.collect::<Vec<_>>()));
    let path = |path: &std::path::Path| path.display().to_string();
    line(
        "charging records",
        &settings
            .records
            .as_ref()
            .map_or_else(|| "off".to_owned(), |records| path(&records.path)),
    );
    line(
        "store",
        &settings
            .store
            .as_ref()
            .map_or_else(|| "off".to_owned(), |store| store.place.to_string()),
    );
    let subscribers = settings.identity.entries.len();
    let radius = settings.identity.radius.as_ref();
    line(
        "RADIUS accounting",
        &radius.map_or_else(
            || "off".to_owned(),
            |radius| {
                let (clients, homes) = (radius.server.clients.len(), radius.server.homes.len());
                let forwarded = match homes {
                    0 => String::new(),
                    homes => format!(", forwarded to {homes}"),
                };
                format!("{} for {clients} clients{forwarded}", list(&radius.listen))
            },
        ),
    );
    if subscribers > 0 {
        line("subscribers", &format!("{subscribers} configured"));
    }
}

/// The replies to requests without session, whose senders the gateway cannot ask for a proof of their
/// addresses.
fn unproved_replies(settings: &Settings) -> String {
    let connectionless = &settings.connectionless;
    let most = connectionless.max_reply;
    let factor = connectionless.amplification;
    match settings.protection.allow.is_empty() {
        true => format!(
            "replies up to {most} octets to private addresses, since [protection] names no networks in \
             allow; elsewhere {factor} times the request"
        ),
        false => {
            format!("replies up to {most} octets to the networks in allow, and none elsewhere")
        }
    }
}

/// Where push initiators are listened to, and by which ways their pushes go besides sessions and
/// datagrams.
fn pushes(settings: &Settings) -> String {
    let Some(push) = &settings.push else {
        return "off".to_owned();
    };
    let scheme = if push.tls.is_some() { "HTTPS" } else { "HTTP" };
    let names: Vec<_> = push.initiators.iter().map(|it| &it.name).collect();
    let (listen, names) = (list(&push.listen), list(&names));
    let over_http = match push.terminals.as_ref().map(|it| list(&it.networks)) {
        Some(networks) => format!("; OTA-HTTP to {networks}"),
        None => String::new(),
    };
    format!("{names} by {scheme} at {listen}{over_http}")
}

fn list(items: &[impl Display]) -> String {
    if items.is_empty() {
        return "off".to_owned();
    }
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// A setting with different values in the running gateway and in the file.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    /// As the operator writes it: `[limits] max_sessions`.
    setting: String,
    /// The value in force. `None` if it is not set.
    running: Option<String>,
    /// The value in the file.
    file: Option<String>,
    /// Whether it takes effect with the next start only.
    needs_restart: bool,
}

/// The differences between two configurations, in the order of their settings.
fn changes(running: &Table, file: &Table) -> Vec<Change> {
    let (running, file) = (flat(running), flat(file));
    let names: BTreeSet<&String> = running.keys().chain(file.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (before, after) = (running.get(name), file.get(name));
        let differs = before.map(|it| &it.value) != after.map(|it| &it.value);
        differs.then(|| Change {
            setting: name.clone(),
            running: before.map(|it| it.value.clone()),
            file: after.map(|it| it.value.clone()),
            needs_restart: before.or(after).is_some_and(|it| it.needs_restart),
        })
    });
    changed.collect()
}

/// A value in one of two configurations.
struct Flat {
    value: String,
    needs_restart: bool,
}

/// Every setting with its value.
fn flat(table: &Table) -> BTreeMap<String, Flat> {
    let mut flat = BTreeMap::new();
    flatten("", &mut Vec::new(), table, &mut flat);
    flat
}

/// Adds the settings of a table. `section` is its name for operators, `path` has its keys.
fn flatten<'t>(
    section: &str,
    path: &mut Vec<&'t str>,
    table: &'t Table,
    flat: &mut BTreeMap<String, Flat>,
) {
    let below = |key: &str| match section {
        "" => key.to_owned(),
        section => format!("{section}.{key}"),
    };
    for (key, value) in table {
        path.push(key);
        match value {
            Value::Table(table) => flatten(&below(key), path, table, flat),
            Value::Array(tables) if tables.iter().any(Value::is_table) => {
                for (nth, table) in (1..).zip(tables) {
                    let table = table.as_table();
                    // Routes keep their name when others go before them.
                    let name = table
                        .and_then(|table| table.get("name"))
                        .and_then(Value::as_str)
                        .map_or_else(|| nth.to_string(), str::to_owned);
                    if let Some(table) = table {
                        flatten(&format!("{} {name}", below(key)), path, table, flat);
                    }
                }
            }
            value => {
                let name = match section {
                    "" => key.clone(),
                    section => format!("[{section}] {key}"),
                };
                let value = Flat {
                    value: value.to_string(),
                    needs_restart: needs_restart(path),
                };
                flat.insert(name, value);
            }
        }
        path.pop();
    }
}

fn show(changes: &[Change]) {
    if changes.is_empty() {
        println!(
            "a reload changes nothing (secrets and the contents of named files are not compared)"
        );
        return;
    }
    println!("a reload changes (secrets and the contents of named files are not compared):");
    for change in changes {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        let restart = if change.needs_restart {
            "  needs a restart"
        } else {
            ""
        };
        println!(
            "  {}: {} -> {}{restart}",
            change.setting,
            value(&change.running),
            value(&change.file)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_with_those_that_need_a_restart() {
        let running = "[limits]\nmax_sessions = 5\n[log]\nlevel = \"info\"\n\
            [push]\nmax_request = 5\nmax_pushes = 5\n[[smsc]]\nname = \"x\"\nrate = 5\n\
            [[route]]\nname = \"a\"\ntimeout = \"5s\"\n[[route]]\nname = \"b\"\ntimeout = \"6s\"\n";
        let file = "[limits]\nmax_sessions = 6\n[log]\nlevel = \"debug\"\n\
            [push]\nmax_request = 6\nmax_pushes = 6\n[[smsc]]\nname = \"x\"\nrate = 6\n\
            [[route]]\nname = \"b\"\ntimeout = \"6s\"\nmax_reply = 7\n";
        let found = changes(&running.parse().unwrap(), &file.parse().unwrap());
        let said: Vec<_> = found
            .iter()
            .map(|it| (it.setting.as_str(), it.file.as_deref(), it.needs_restart))
            .collect();
        assert_eq!(
            said,
            [
                ("[limits] max_sessions", Some("6"), false),
                ("[log] level", Some("\"debug\""), true),
                ("[push] max_pushes", Some("6"), false),
                ("[push] max_request", Some("6"), true),
                ("[route a] name", None, false),
                ("[route a] timeout", None, false),
                ("[route b] max_reply", Some("7"), false),
                ("[smsc x] rate", Some("6"), true),
            ]
        );
        let same = running.parse().unwrap();
        assert_eq!(changes(&same, &same), []);
        let running = "[push]\nlisten = [\"a\"]\nrate = 1\n[[smsc]]\naddress = \"a\"\n";
        let file = running.replace("\"a\"", "\"b\"").replace('1', "2");
        let found = changes(&running.parse().unwrap(), &file.parse().unwrap());
        let restart: Vec<_> = found
            .iter()
            .map(|it| (it.setting.as_str(), it.needs_restart))
            .collect();
        assert_eq!(
            restart,
            [
                ("[push] listen", true),
                ("[push] rate", false),
                ("[smsc 1] address", true)
            ]
        );
    }
}
