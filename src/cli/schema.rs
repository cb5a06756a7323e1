//! `wapbridge schema`: the JSON Schema of a configuration file.

use clap::Args;

use crate::config;

/// Print the JSON Schema of the configuration file, for editors that complete and check
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wapbridge schema > wapbridge.schema.json
  and as the first line of wapbridge.toml, for taplo and the editors that use it:
  #:schema ./wapbridge.schema.json")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string_pretty(&config::schema())?);
        Ok(())
    }
}
