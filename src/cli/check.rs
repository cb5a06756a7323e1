//! `wapbridge check`: tells whether a configuration is right, and every way in which it is not.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use super::load;
use crate::config::Settings;

/// Check a configuration file, and the certificates it names, without serving
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
  0  the configuration is right; a summary of it is printed
  1  it is not; every error is shown with its place and what to do about it

Examples:
  wapbridge check deploy/wapbridge.toml
  wapbridge check && systemctl reload wapbridge")]
pub(super) struct Check {
    /// The file to check [default: wapbridge.toml in the working directory]
    file: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let (path, settings) = load(self.file.as_deref())?;
        println!("{}: ok", path.display());
        summarise(&settings);
        Ok(())
    }
}

fn summarise(settings: &Settings) {
    let line = |what: &str, value: &str| println!("  {what:<20} {value}");
    line("WSP over WTP", &list(&settings.listen.connection_mode));
    line("connectionless WSP", &list(&settings.listen.connectionless));
    line("admin", &list(&settings.admin.listen));
    for route in settings.routes.iter() {
        line(&format!("route {}", route.name), &route.to_string());
    }
}

fn list(items: &[impl Display]) -> String {
    if items.is_empty() {
        return "off".to_owned();
    }
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
