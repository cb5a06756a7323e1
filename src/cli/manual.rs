//! `wapbridge manual` and `wapbridge completions`: what packages install beside the program, from the one source of its
//! command line.

use std::io::stdout;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Write the manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wapbridge manual man1 && man ./man1/wapbridge-serve.1")]
pub(super) struct Manual {
    /// Where to write them; made if it is not there
    directory: PathBuf,
}

impl Manual {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let directory = &self.directory;
        std::fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(whole(), directory))
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
    /// Whose
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
