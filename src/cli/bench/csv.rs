//! `--csv`: one row for each exchange, as other load generators write it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::record::csv_text;

/// The file. An error of writing is kept until the end of the run, which goes on without the file.
pub(super) struct CsvFile {
    path: PathBuf,
    out: BufWriter<File>,
    row: Vec<u8>,
    error: Option<io::Error>,
}

/// One exchange. The order of the fields is that of the columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// Its start after that of the clock; in an open loop the intended one.
    pub(super) start: Duration,
    /// The stage in which it started, from 1.
    pub(super) stage: usize,
    /// The number of the handset, from 0.
    pub(super) handset: u32,
    /// From the start to the whole answer, or to the failure.
    pub(super) duration: Duration,
    /// The answer's status, if there was an answer.
    pub(super) status: Option<u16>,
    /// Octets of the answer's body.
    pub(super) octets: usize,
    /// The cause, if the exchange failed.
    pub(super) error: Option<&'a str>,
}

impl CsvFile {
    /// Creates the file, and writes the names of the columns.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut csv = Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
            row: Vec::new(),
            error: None,
        };
        csv.row.extend_from_slice(COLUMNS);
        csv.put();
        Ok(csv)
    }

    pub(super) fn write(&mut self, row: &Row<'_>) {
        row.append(&mut self.row);
        self.put();
    }

    /// Writes what is left, and tells the first error.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let flushed = self.out.flush();
        let written = self.error.take().map_or(flushed, Err);
        written.with_context(|| format!("--csv {}", self.path.display()))
    }

    fn put(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.out.write_all(&self.row)
        {
            self.error = Some(error);
        }
        self.row.clear();
    }
}

impl Row<'_> {
    fn append(&self, out: &mut Vec<u8>) {
        let seconds = self.start.as_secs_f64();
        let millis = self.duration.as_secs_f64() * 1000.0;
        let (stage, handset) = (self.stage, self.handset);
        let status = self
            .status
            .map_or_else(String::new, |status| status.to_string());
        let cells = format!(
            "{seconds:.6},{stage},{handset},{millis:.3},{status},{},",
            self.octets
        );
        out.extend_from_slice(cells.as_bytes());
        csv_text(self.error.unwrap_or_default(), out);
        out.push(b'\n');
    }
}

const COLUMNS: &[u8] = b"start_s,stage,handset,duration_ms,status,octets,error\n";

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row<'_> = Row {
        start: Duration::from_millis(1_500),
        stage: 2,
        handset: 7,
        duration: Duration::from_micros(12_345),
        status: Some(200),
        octets: 500,
        error: None,
    };

    fn text(row: Row<'_>) -> String {
        let mut out = Vec::new();
        row.append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_has_the_columns_of_the_header() {
        let columns = COLUMNS.iter().filter(|octet| **octet == b',').count();
        assert_eq!(text(ROW), "1.500000,2,7,12.345,200,500,\n");
        assert_eq!(text(ROW).matches(',').count(), columns);
    }

    #[test]
    fn no_cell_begins_like_a_formula_or_breaks_its_row() {
        let failed = |error| Row {
            status: None,
            error: Some(error),
            ..ROW
        };
        assert_eq!(
            text(failed("=HYPERLINK(\"http://x\",\"y\")\n2")),
            "1.500000,2,7,12.345,,500,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\\n2\"\n"
        );
        assert_eq!(
            text(failed("no answer, at all")),
            "1.500000,2,7,12.345,,500,\"no answer, at all\"\n"
        );
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let path = Path::new("/dev/full");
        let mut csv = CsvFile::create(path).unwrap();
        for _ in 0..1_000 {
            csv.write(&ROW);
        }
        let error = format!("{:#}", csv.finish().unwrap_err());
        assert!(error.contains("/dev/full: No space"), "{error}");
    }
}
