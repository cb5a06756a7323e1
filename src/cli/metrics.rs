//! `wapbridge metrics`: prints the list of metrics.

use clap::Args;

use crate::admin::families;

/// Print the list of metrics, as a table in Markdown
#[derive(Debug, Args)]
#[command(after_help = "\
Their values are at /metrics on the admin port of a running gateway.

Examples:
  wapbridge metrics | grep target")]
pub(super) struct Metrics {}

impl Metrics {
    #[expect(clippy::unused_self, reason = "commands are run this way")]
    pub(super) fn run(&self) {
        print!("{}", families::markdown());
    }
}
