//! `wapbridge records`: what an operator does with charging records.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::record::charging::{Verdict, verify};

/// Look after charging records
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Records {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check that no record is missing, doubled or damaged, and sum them up
    #[command(after_help = EXAMPLES)]
    Verify {
        /// The files, in any order: closed ones, and the open one if it is to be looked at too.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

impl Records {
    /// Runs it. Records that are not whole are an error.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Task::Verify { files } = self.task;
        let verdict = verify(&files).context("cannot read records")?;
        print(&verdict);
        if !verdict.is_whole() {
            bail!("the records are not whole");
        }
        Ok(())
    }
}

fn print(verdict: &Verdict) {
    println!("{} records", verdict.records);
    for (node, sequence) in &verdict.nodes {
        let (first, last) = (sequence.first, sequence.last);
        println!("node {node}: numbers {first} to {last}");
        for (from, to) in &sequence.gaps {
            println!("  MISSING {from} to {to}");
        }
        for number in &sequence.doubled {
            println!("  DOUBLED {number}");
        }
    }
    for id in &verdict.doubled {
        println!("DOUBLED id {id}");
    }
    for place in &verdict.damaged {
        println!("DAMAGED {place}");
    }
    for (cause, sums) in &verdict.causes {
        println!(
            "{cause}: {} records, bodies {} octets in and {} out, on the air {} in and {} out",
            sums.records,
            sums.request_octets,
            sums.reply_octets,
            sums.air_in_octets,
            sums.air_out_octets
        );
    }
}

const EXAMPLES: &str = "\
Files are JSON lines or CSV, as [records] wrote them; give all files of a time, or gaps are the files that were left out.
In a file that is still open (its name ends in .open) the last line may be half written.

Exit status:
  0  no number is missing, nothing is doubled, every line is a record
  1  something is, or a file cannot be read; what it is stands on standard output

Examples:
  wapbridge records verify /var/lib/wapbridge/records/records-*.jsonl";
