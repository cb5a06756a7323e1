//! `wapbridge records`: checks charging records.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::printable::Printable;
use crate::record::charging::{Verification, verify};

/// Check charging records
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Records {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check that no record is missing, doubled or damaged, and print totals
    #[command(after_help = EXAMPLES)]
    Verify {
        /// The files, in any order: closed ones, and the open one if it is to be checked too.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

impl Records {
    /// Runs the command. Missing, doubled or damaged records are an error.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Task::Verify { files } = self.task;
        let verification = verify(&files).context("cannot read records")?;
        print(&verification);
        if !verification.is_whole() {
            bail!("the records are not whole");
        }
        Ok(())
    }
}

fn print(verification: &Verification) {
    println!("{} records", verification.records);
    for (node, sequence) in &verification.nodes {
        let (first, last) = (sequence.first, sequence.last);
        println!(
            "node {}: numbers {first} to {last}",
            Printable(&node.to_string())
        );
        for (from, to) in &sequence.gaps {
            println!("  MISSING {from} to {to}");
        }
        for number in &sequence.doubled {
            println!("  DOUBLED {number}");
        }
    }
    for id in &verification.doubled {
        println!("DOUBLED id {}", Printable(&id.to_string()));
    }
    for place in &verification.damaged {
        println!("DAMAGED {}", Printable(&place.to_string()));
    }
    for (cause, totals) in &verification.causes {
        println!(
            "{}: {} records, bodies {} octets in and {} out, on the air {} in and {} out",
            Printable(&cause.to_string()),
            totals.records,
            totals.request_octets,
            totals.reply_octets,
            totals.air_in_octets,
            totals.air_out_octets
        );
    }
}

const EXAMPLES: &str = "\
Files are JSON lines or CSV, as written by [records]. Give all files of a period: a missing \
file shows as a gap in the numbers. In an open file (its name ends in .open) the last line may \
be incomplete.

Exit status:
  0  no number is missing, no record is doubled, every line is a record
  1  a record is missing, doubled or damaged, or a file cannot be read; see standard output

Examples:
  wapbridge records verify /var/lib/wapbridge/records/records-*.jsonl";
