//! `wapbridge manual` and `wapbridge completions`: files that packages install beside the program,
//! made from the command line's own description.

use std::io::{self, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use serde_json::Value;

use super::Cli;
use crate::config;

/// Write the manual pages: one for each command, and wapbridge.toml(5)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wapbridge manual man && man ./man/wapbridge-serve.1
  man ./man/wapbridge.toml.5")]
pub(super) struct Manual {
    /// The directory for the pages; created if it is missing
    directory: PathBuf,
}

impl Manual {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let directory = &self.directory;
        let mut command = whole();
        command.build();
        std::fs::create_dir_all(directory)
            .and_then(|()| write_pages(&command, directory))
            .and_then(|()| std::fs::write(directory.join(SETTINGS_PAGE), settings_page()))
            .with_context(|| format!("cannot write to {}", directory.display()))
    }
}

/// Print the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wapbridge completions bash > ~/.local/share/bash-completion/completions/wapbridge
  wapbridge completions zsh > /usr/local/share/zsh/site-functions/_wapbridge
  wapbridge completions fish > ~/.config/fish/completions/wapbridge.fish")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) {
        clap_complete::generate(self.shell, &mut whole(), "wapbridge", &mut stdout());
    }
}

/// The command line without the `help` commands, of which each would be a page.
fn whole() -> Command {
    Cli::command().disable_help_subcommand(true)
}

/// Writes the page of a command and the pages of its subcommands.
fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_pages(subcommand, directory)?;
    }
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(surroundings(command).to_roff().into_bytes());
    std::fs::write(directory.join(man.get_filename()), page)
}

/// The sections that clap does not write: ENVIRONMENT, FILES, SEE ALSO.
fn surroundings(command: &Command) -> Roff {
    let mut page = Roff::new();
    let name = command.get_name();
    let variables = command.get_arguments().filter_map(|argument| {
        let variable = argument.get_env()?.to_string_lossy().into_owned();
        let long = argument.get_long()?;
        Some((
            variable,
            format!("Value of --{long} if the option is not given."),
        ))
    });
    let more = ENVIRONMENT.iter().filter(|(owner, ..)| *owner == name);
    let more = more.map(|(_, variable, text)| ((*variable).to_owned(), (*text).to_owned()));
    section(&mut page, "ENVIRONMENT", variables.chain(more));
    let files = FILES.iter().filter(|(owner, ..)| owner.contains(&name));
    let files = files.map(|(_, path, text)| ((*path).to_owned(), (*text).to_owned()));
    section(&mut page, "FILES", files);
    page.control("SH", ["SEE ALSO"]);
    page.text([
        bold("wapbridge"),
        roman("(1), "),
        bold("wapbridge.toml"),
        roman("(5)"),
    ]);
    page
}

/// A section of named entries; no section without entries.
fn section(page: &mut Roff, title: &str, entries: impl Iterator<Item = (String, String)>) {
    let mut entries = entries.peekable();
    if entries.peek().is_some() {
        page.control("SH", [title]);
    }
    for (name, text) in entries {
        page.control("TP", []);
        page.text([bold(name)]);
        page.text([roman(text)]);
    }
}

/// wapbridge.toml(5): every setting of the schema, with its meaning and its default.
fn settings_page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["wapbridge.toml", "5"]);
    page.control("SH", ["NAME"]);
    page.text([roman(
        "wapbridge.toml - configuration of the WAP gateway wapbridge",
    )]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([
        roman("The file is TOML. Times are written "),
        bold("\"500ms\""),
        roman(", "),
        bold("\"10s\""),
        roman(", "),
        bold("\"2m\""),
        roman(" or "),
        bold("\"12h\""),
        roman("; sizes "),
        bold("1400"),
        roman(", "),
        bold("\"64KiB\""),
        roman(" or "),
        bold("\"1MiB\""),
        roman(". In any text ${NAME} is the environment variable of that name. Relative paths "),
        roman("start at the directory of the file. "),
        bold("wapbridge check"),
        roman(" shows every error of a file, and SIGHUP loads the file again."),
    ]);
    table(&mut page, "", &config::schema());
    page.control("SH", ["FILES"]);
    page.control("TP", []);
    page.text([bold("/etc/wapbridge/wapbridge.toml")]);
    page.text([roman("Configuration of the packaged service.")]);
    page.control("SH", ["SEE ALSO"]);
    page.text([
        bold("wapbridge-serve"),
        roman("(1), "),
        bold("wapbridge-check"),
        roman("(1)"),
    ]);
    page.render()
}

/// The settings of one table, then its inner tables as sections of their own.
fn table(page: &mut Roff, title: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let inner = |setting: &Value| {
        let items = setting.get("items");
        [items, Some(setting)]
            .into_iter()
            .flatten()
            .find(|table| table.get("properties").is_some_and(Value::is_object))
            .cloned()
    };
    page.control("SH", [if title.is_empty() { "SETTINGS" } else { title }]);
    for (key, setting) in properties.iter().filter(|(_, it)| inner(it).is_none()) {
        page.control("TP", []);
        let value = match &setting["default"] {
            Value::Null => String::new(),
            default => format!(" = {default}"),
        };
        page.text([bold(key.as_str()), italic(value)]);
        page.text([roman(setting["description"].as_str().unwrap_or_default())]);
    }
    for (key, setting) in properties {
        let Some(fields) = inner(setting) else {
            continue;
        };
        let outer = title.trim_matches(['[', ']']);
        let path = match outer {
            "" => key.clone(),
            outer => format!("{outer}.{key}"),
        };
        let title = match setting["items"].is_object() {
            true => format!("[[{path}]]"),
            false => format!("[{path}]"),
        };
        table(page, &title, &fields);
    }
}

/// The file name of the page about settings.
const SETTINGS_PAGE: &str = "wapbridge.toml.5";

/// Variables besides those of options: command, name, effect.
const ENVIRONMENT: &[(&str, &str, &str)] = &[
    (
        "serve",
        "RUST_LOG",
        "Level of the log in the notation of tracing, such as debug or wapbridge=trace. \
         It overrides the level in the configuration.",
    ),
    #[cfg(feature = "wtls")]
    (
        "serve",
        "WAPBRIDGE_KEYLOG",
        "File to which the secret of every WTLS connection is appended, for decode --key-log, which \
         needs the handshake in the capture. Whoever has the file reads all; the log warns at the start.",
    ),
    #[cfg(feature = "otlp")]
    (
        "serve",
        "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME",
        "Collector of OpenTelemetry where [tracing] names none, fields of requests to it, and the name of this \
         service there.",
    ),
    (
        "serve",
        "LISTEN_FDS, LISTEN_PID",
        "Sockets of the service manager (sd_listen_fds(3)).",
    ),
    (
        "serve",
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "The service manager to report to (sd_notify(3)).",
    ),
    ("wapbridge", "NO_COLOR", "Any value switches colours off."),
    ("check", "NO_COLOR", "Any value switches colours off."),
    ("decode", "NO_COLOR", "Any value switches colours off."),
    ("top", "NO_COLOR", "Any value switches colours off."),
    (
        "top",
        "COLUMNS",
        "Width of frames when the output is no terminal.",
    ),
];

/// Files of commands: commands, path, meaning.
const FILES: &[(&[&str], &str, &str)] = &[
    (
        &["serve", "check", "route"],
        "wapbridge.toml",
        "Configuration in the working directory, read if no file is named.",
    ),
    (
        &["wapbridge", "serve", "check"],
        "/etc/wapbridge/wapbridge.toml",
        "Configuration of the packaged service; see wapbridge.toml(5).",
    ),
    (
        &["wapbridge", "serve"],
        "/var/lib/wapbridge",
        "State of the packaged service: charging records, sessions and subscribers, \
         where [records] and [store] name a file there.",
    ),
    (
        &["wapbridge", "serve"],
        "/usr/share/doc/wapbridge/OPERATIONS.md",
        "The operator's handbook.",
    ),
    (
        &["bench"],
        "bench-ca.pem",
        "Certificate authority of the origin that --origin serves, for ca_file of [tls].",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_files_and_environment_and_settings_a_page_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let manual = Manual {
            directory: directory.path().join("man"),
        };
        manual.run().unwrap();
        let page = |name: &str| std::fs::read_to_string(manual.directory.join(name)).unwrap();
        let serve = page("wapbridge-serve.1");
        for part in [
            ".SH ENVIRONMENT",
            "WAPBRIDGE_CONFIG",
            "RUST_LOG",
            #[cfg(feature = "wtls")]
            "WAPBRIDGE_KEYLOG",
            ".SH FILES",
            "/etc/wapbridge/wapbridge.toml",
            ".SH \"SEE ALSO\"",
        ] {
            assert!(serve.contains(part), "{part} is missing in {serve}");
        }
        assert!(page("wapbridge-get.1").contains("WAPBRIDGE_GATEWAY"));
        assert!(page("wapbridge-records-verify.1").contains(".SH \"SEE ALSO\""));
        let settings = page(SETTINGS_PAGE);
        let schema = config::schema();
        for (name, table) in schema["properties"].as_object().unwrap() {
            let table = match table["items"]["properties"].is_object() {
                true => &table["items"],
                false => table,
            };
            for key in table["properties"].as_object().into_iter().flatten() {
                let shown = key.0.replace('-', "\\-");
                assert!(settings.contains(&shown), "{name}: {shown} is missing");
            }
        }
        assert!(settings.contains("[[identity.radius.client]]"));
    }

    /// A terminal wraps each paragraph of help, so a paragraph is one line of text.
    #[test]
    fn help_is_wrapped_once() {
        fn check(command: &Command) {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let lines: Vec<&str> = help.lines().collect();
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            for pair in lines.windows(2) {
                let twice = is_prose(pair[0]) && is_prose(pair[1]);
                assert!(!twice, "{}: {:?}", command.get_name(), pair);
            }
            command.get_subcommands().for_each(check);
        }
        check(&whole());
    }
}
