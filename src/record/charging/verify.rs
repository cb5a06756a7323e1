//! Checks files of records: every number once, and no incomplete line.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Results of the check.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Records in all.
    pub records: u64,
    /// By node the first and the last sequence number, and the numbers missing in between.
    pub nodes: BTreeMap<String, Sequence>,
    /// Ids that stand in more than one record.
    pub doubled: Vec<String>,
    /// Places of lines that are no records: `FILE:LINE: why`.
    pub damaged: Vec<String>,
    /// Totals by cause of the end.
    pub causes: BTreeMap<String, Totals>,
}

/// The sequence numbers of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
    /// First and last of every gap.
    pub gaps: Vec<(u64, u64)>,
    /// Numbers that were given more than once.
    pub doubled: Vec<u64>,
}

/// Totals of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of records.
    pub records: u64,
    /// Octets of request bodies.
    pub request_octets: u64,
    /// Octets of reply bodies.
    pub reply_octets: u64,
    /// Octets on the air towards us.
    pub air_in_octets: u64,
    /// Octets on the air from us.
    pub air_out_octets: u64,
}

impl Verification {
    /// Whether no record is missing, doubled or damaged.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let sequence = |it: &Sequence| it.gaps.is_empty() && it.doubled.is_empty();
        self.doubled.is_empty() && self.damaged.is_empty() && self.nodes.values().all(sequence)
    }
}

/// Reads the files, in any order, as one. In a file that is still open (`.open`) the last line may
/// be torn.
///
/// # Errors
/// A file cannot be read.
pub fn verify(files: &[PathBuf]) -> io::Result<Verification> {
    let mut verification = Verification::default();
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut ids = HashSet::new();
    for file in files {
        read(file, &mut verification, &mut numbers, &mut ids)?;
    }
    for (node, numbers) in numbers {
        verification.nodes.insert(node, sequence(numbers));
    }
    Ok(verification)
}

fn read(
    path: &Path,
    verification: &mut Verification,
    numbers: &mut BTreeMap<String, Vec<u64>>,
    ids: &mut HashSet<String>,
) -> io::Result<()> {
    let with_path =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(with_path)?);
    let is_open = path.extension().is_some_and(|it| it == "open");
    let mut columns = None;
    let mut line = Vec::new();
    let mut number = 0_u64;
    while reader.read_until(b'\n', &mut line).map_err(with_path)? > 0 {
        number += 1;
        let mut damaged = |why: &str| {
            verification
                .damaged
                .push(format!("{}:{number}: {why}", path.display()));
        };
        if line.last() != Some(&b'\n') {
            if !is_open {
                damaged("the line is torn");
            }
            break;
        }
        if line.starts_with(b"v,seq,id") {
            columns = split(&line);
        } else if let Some(record) = parse(&line, columns.as_deref()) {
            count(&record, verification, numbers, ids);
        } else {
            damaged("this is no record");
        }
        line.clear();
    }
    Ok(())
}

fn count(
    record: &Map<String, Value>,
    verification: &mut Verification,
    numbers: &mut BTreeMap<String, Vec<u64>>,
    ids: &mut HashSet<String>,
) {
    let text = |name: &str| {
        record
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let value = |name: &str| match record.get(name) {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    verification.records += 1;
    numbers
        .entry(text("node"))
        .or_default()
        .push(value("seq").unwrap_or_default());
    let id = text("id");
    if ids.contains(&id) {
        verification.doubled.push(id);
    } else {
        ids.insert(id);
    }
    let totals = verification.causes.entry(text("cause")).or_default();
    totals.records += 1;
    for (sum, name) in [
        (&mut totals.request_octets, "request_octets"),
        (&mut totals.reply_octets, "reply_octets"),
        (&mut totals.air_in_octets, "air_in_octets"),
        (&mut totals.air_out_octets, "air_out_octets"),
    ] {
        *sum = sum.saturating_add(value(name).unwrap_or_default());
    }
}

/// A record by the names of its fields; `None` if the line is no record.
fn parse(line: &[u8], columns: Option<&[String]>) -> Option<Map<String, Value>> {
    let record = match columns {
        None => serde_json::from_slice::<Map<String, Value>>(line).ok()?,
        Some(columns) => {
            let values = split(line)?;
            if values.len() != columns.len() {
                return None;
            }
            let values = values.into_iter().map(Value::String);
            columns.iter().cloned().zip(values).collect()
        }
    };
    let has = |name: &str| record.contains_key(name);
    (has("seq") && has("id") && has("node") && has("cause")).then_some(record)
}

fn split(line: &[u8]) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(line);
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

fn sequence(mut numbers: Vec<u64>) -> Sequence {
    numbers.sort_unstable();
    let mut found = Sequence {
        first: numbers.first().copied().unwrap_or_default(),
        last: numbers.last().copied().unwrap_or_default(),
        ..Sequence::default()
    };
    for (number, next) in numbers.iter().zip(numbers.iter().skip(1)) {
        if next == number {
            found.doubled.push(*number);
        } else if *next > number + 1 {
            found.gaps.push((number + 1, next - 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(name: &str, text: &str) -> Verification {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        verify(&[path]).unwrap()
    }

    fn line(sequence: u64, id: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":{sequence},\"id\":\"{id}\",\"node\":\"n\",\"cause\":\"sent\",\"reply_octets\":5}}\n"
        )
    }

    #[test]
    fn whole_files_are_summed() {
        let verification = judge("r.jsonl", &(line(7, "a") + &line(8, "b")));
        assert!(verification.is_whole(), "{verification:?}");
        assert_eq!(verification.causes["sent"].reply_octets, 10);
        assert_eq!(
            (verification.nodes["n"].first, verification.nodes["n"].last),
            (7, 8)
        );
        let csv = "v,seq,id,node,cause,reply_octets\n1,1,a,n,sent,4\n1,2,b,n,aborted,\n";
        let verification = judge("r.csv", csv);
        assert!(verification.is_whole(), "{verification:?}");
        assert_eq!(verification.causes["sent"].reply_octets, 4);
    }

    #[test]
    fn what_is_wrong_is_found() {
        let verification = judge("r.jsonl", &(line(1, "a") + &line(4, "b")));
        assert_eq!(verification.nodes["n"].gaps, [(2, 3)]);
        let verification = judge("r.jsonl", &(line(1, "a") + &line(2, "a")));
        assert_eq!(verification.doubled, ["a"]);
        let verification = judge("r.jsonl", &(line(1, "a") + &line(1, "b")));
        assert_eq!(verification.nodes["n"].doubled, [1]);
        let verification = judge("r.jsonl", &(line(1, "a") + "{}\n"));
        assert_eq!(verification.damaged.len(), 1);
        let torn = line(1, "a") + line(2, "b").trim_end();
        assert!(judge("r.jsonl", &torn).damaged[0].ends_with("r.jsonl:2: the line is torn"));
        assert!(judge("r.jsonl.open", &torn).is_whole());
        assert!(!judge("r.csv", "v,seq,id,node,cause\n1,2,x\n").is_whole());
    }
}
