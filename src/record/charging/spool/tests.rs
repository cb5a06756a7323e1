//! Spool directories after restarts, torn writes and faults.

use super::*;
use std::time::Duration;

fn settings(directory: &Path) -> Settings {
    Settings {
        path: directory.join("records.jsonl"),
        format: Format::Json,
        rotate_size: 1_000_000,
        rotate_every: Duration::from_secs(900),
        sync: Sync::Closed,
        node: "n".to_owned(),
    }
}

fn record(id: &str) -> Vec<u8> {
    format!("\"{id}\",\"node\":\"n\"}}\n").into_bytes()
}

/// Numbers and ids of all files, the closed ones in their order.
fn written(directory: &Path) -> Vec<(u64, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".jsonl"))
        .collect();
    files.sort();
    files.push(directory.join("records.jsonl.open"));
    let lines: Vec<u8> = files
        .iter()
        .flat_map(|file| std::fs::read(file).unwrap())
        .collect();
    lines
        .split_inclusive(|octet| *octet == b'\n')
        .map(|line| head(line).unwrap())
        .map(|(_, sequence, id)| (sequence, id.to_owned()))
        .collect()
}

#[test]
fn numbers_go_on_after_a_restart_though_files_were_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, made) = Spool::recover(settings(directory.path()), 0).unwrap();
    assert_eq!((spool.next, made), (1, 0));
    let mut out = Vec::new();
    spool.number(Format::Json, &record("a"), &mut out);
    spool.number(Format::Json, &record("b"), &mut out);
    spool.append(&out, 0).unwrap();
    let closed = spool.close(1_000_000).unwrap().unwrap();
    let name = closed.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        name,
        "records-19700101T000001Z-000000000001-000000000002.jsonl"
    );
    drop(spool);
    std::fs::remove_file(&closed).unwrap();
    let (spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
    assert_eq!(spool.next, 3);
    drop(spool);
    std::fs::remove_file(directory.path().join("records.jsonl.journal")).unwrap();
    std::fs::write(&closed, "").unwrap();
    let (spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
    assert_eq!(spool.next, 3, "the name of the closed file tells");
}

/// Runs in a process of its own, so that its descriptors can be used up without harm to other
/// tests.
#[test]
fn a_file_that_cannot_be_begun_is_begun_with_the_next_record() {
    if std::env::var_os(ALONE).is_none() {
        let run = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(std::thread::current().name().unwrap())
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for sync in [Sync::Never, Sync::Closed] {
        let settings = Settings {
            sync,
            ..settings(directory.path())
        };
        let (mut spool, _) = Spool::recover(settings, 0).unwrap();
        let write = |spool: &mut Spool, id| {
            let (mut out, next) = (Vec::new(), spool.next);
            spool.number(Format::Json, &record(id), &mut out);
            let outcome = spool.append(&out, 0);
            if outcome.is_err() {
                spool.next = next;
            }
            outcome
        };
        write(&mut spool, "a").unwrap();
        let mut used = Vec::new();
        let mut use_up = || used.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
        use_up();
        assert_eq!(spool.close(1_000_000).is_ok(), sync == Sync::Never);
        // That of the closed file is free now.
        use_up();
        let outcome = write(&mut spool, "b");
        assert_eq!(outcome.is_ok(), sync == Sync::Closed, "{outcome:?}");
        drop(used);
        write(&mut spool, "c").unwrap();
        spool.close(2_000_000).unwrap().unwrap();
    }
    let expected = ["a", "c", "a", "b", "c"].map(str::to_owned);
    let expected: Vec<(u64, String)> = (1..).zip(expected).collect();
    assert_eq!(written(directory.path()), expected);
}

const ALONE: &str = "WAPBRIDGE_TEST_ALONE";

#[test]
fn what_was_answered_and_is_not_over_is_recorded_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
    let mut journal = Vec::new();
    for id in ["a", "b", "c"] {
        answered_line(id, &record(id), &mut journal);
    }
    finished_line("a", &mut journal);
    spool.note(&journal).unwrap();
    let mut out = Vec::new();
    // The process dies between the record of b and its line in the journal.
    spool.number(Format::Json, &record("a"), &mut out);
    spool.number(Format::Json, &record("b"), &mut out);
    spool.append(&out, 0).unwrap();
    drop(spool);
    let expected: Vec<(u64, String)> = [(1, "a"), (2, "b"), (3, "c")]
        .map(|(sequence, id)| (sequence, id.to_owned()))
        .to_vec();
    for round in 0..3 {
        let (spool, made) = Spool::recover(settings(directory.path()), round).unwrap();
        assert_eq!(made, u64::from(round == 0));
        assert_eq!(spool.next, 4);
        assert_eq!(written(directory.path()), expected);
    }
}

/// At whichever octet the write stopped, no record is doubled, and no complete record is lost.
#[test]
fn a_torn_end_is_cut_off_at_any_octet() {
    let whole: Vec<u8> = [1_u64, 2]
        .iter()
        .flat_map(|sequence| {
            let mut out = Vec::new();
            begin(Format::Json, *sequence, &mut out);
            out.extend(record(&format!("r{sequence}")));
            out
        })
        .collect();
    let mut journal = Vec::new();
    answered_line("r2", &record("r2"), &mut journal);
    for cut in 0..=whole.len() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("records.jsonl.open"), &whole[..cut]).unwrap();
        std::fs::write(directory.path().join("records.jsonl.journal"), &journal).unwrap();
        let (_spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
        let written = written(directory.path());
        let ids: Vec<&str> = written.iter().map(|(_, id)| id.as_str()).collect();
        let first_is_whole = cut > whole.len() / 2 - 1;
        assert_eq!(
            ids,
            if first_is_whole {
                vec!["r1", "r2"]
            } else {
                vec!["r2"]
            },
            "{cut}"
        );
        let numbers: Vec<u64> = written.iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_second_writer_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
    let error = Spool::recover(settings(directory.path()), 0).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
}
