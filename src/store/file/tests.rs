//! Stores in files of their own: state after a restart, and changes of the file from outside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::worker::{CHECK_INTERVAL, StoreWorker};
use super::*;
use crate::store::handle::MAX_PENDING;
use crate::store::{OpenError, Place, Settings, Stats, Store, StoreHandle, clock};
use crate::worker::{self, Received};
use crate::wsp::log_id::KEY_LEN;

/// A file of its own in the build's directory, removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("wapbridge-{name}-{}.redb", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn open(&self) -> Result<Store, OpenError> {
        Store::open(&Settings {
            place: Place::File(self.0.clone()),
            limits: LIMITS,
        })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const LIMITS: Limits = Limits {
    max_age: Duration::from_secs(100),
    max_sessions: 100,
};
const NAMES: Table = Table("names");

#[test]
fn what_is_written_is_there_after_the_next_start() {
    let file = File::new("written");
    let store = file.open().unwrap();
    let handle = store.handle();
    let changes = (0..1_000u32).map(|n| Change::put(NAMES, n.to_be_bytes(), n.to_string()));
    assert!(handle.write(changes.collect()));
    assert!(handle.write(vec![Change::delete(NAMES, 7u32.to_be_bytes())]));
    assert_eq!(handle.entries(NAMES).len(), 999, "what is queued counts");
    assert!(handle.write(vec![Change::put(NAMES, 8u32.to_be_bytes(), "eight")]));
    drop(handle);
    store.close();

    let store = file.open().unwrap();
    let entries = store.handle().entries(NAMES);
    assert_eq!(entries.len(), 999);
    assert_eq!(entries[7], (8u32.to_be_bytes().to_vec(), b"eight".to_vec()));
    assert!(store.handle().entries(Table("others")).is_empty());
}

#[test]
fn sessions_keep_their_names_as_long_as_there_is_the_file() {
    let name = |file: &File| {
        let store = file.open().unwrap();
        let name = store.names().of(7);
        store.close();
        name
    };
    let file = File::new("named");
    assert_eq!(name(&file), name(&file));
    assert_ne!(name(&file), name(&File::new("named-otherwise")));
}

#[test]
fn changes_are_committed_together_and_soon() {
    let file = File::new("together");
    let store = file.open().unwrap();
    let handle = store.handle();
    for n in 0..500u32 {
        assert!(handle.write(vec![Change::put(NAMES, n.to_be_bytes(), "x")]));
    }
    let begun = clock();
    while handle.stats().commits == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    handle.flush();
    let stats = handle.stats();
    assert_eq!((stats.writes, stats.refused, stats.errors), (500, 0, 0));
    assert!(stats.commits < 10, "{stats:?}");
}

/// A change that was accepted is not dropped, because its handle would not send it again.
#[test]
fn changes_are_refused_when_they_come_or_kept() {
    let file = File::new("kept");
    let mut opened = open(&file.0, LIMITS).unwrap();
    for n in 0..u32::try_from(MAX_PENDING).unwrap() {
        opened
            .tables
            .change(Change::put(NAMES, n.to_be_bytes(), []));
    }
    let (queue, inbox) = worker::queue(1);
    let handle = StoreHandle {
        queue,
        counts: Arc::default(),
    };
    assert!(handle.write(vec![Change::delete(NAMES, *b"late")]));
    let mut worker = StoreWorker::new(
        file.0.clone(),
        LIMITS,
        [0; KEY_LEN],
        opened,
        Arc::clone(&handle.counts),
    );
    worker.failing = true;
    worker.publish();
    let before = worker.tables.pending();
    let Received::Message(message, _) = inbox.recv() else {
        panic!("nothing was sent");
    };
    worker.handle(message);
    assert_eq!(worker.tables.pending(), before + 1);
    assert!(!handle.write(vec![Change::delete(NAMES, *b"later")]));
    assert!(matches!(inbox.try_recv(), Received::Idle));
    assert_eq!(handle.stats().refused, 1);
}

fn refusal(file: &File) -> String {
    file.open().unwrap_err().to_string()
}

#[test]
fn a_file_in_use_or_not_ours_is_refused_with_the_remedy() {
    let file = File::new("refused");
    let store = file.open().unwrap();
    let told = refusal(&file);
    assert!(told.contains("another process"), "{told}");
    assert!(
        told.contains("[store]") && told.contains("wapbridge-refused"),
        "{told}"
    );
    store.close();

    // Every page of it in turn, and its end.
    let whole = std::fs::read(&file.0).unwrap();
    let mut refused = 0;
    for at in (0..whole.len()).step_by(4096) {
        let mut damaged = whole.clone();
        for octet in &mut damaged[at..(at + 512).min(whole.len())] {
            *octet ^= 0x5A;
        }
        std::fs::write(&file.0, &damaged).unwrap();
        match file.open() {
            Ok(store) => store.close(),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("move"), "{error}");
            }
        }
    }
    assert!(refused > 0);
    std::fs::write(&file.0, &whole[..whole.len() / 2]).unwrap();
    assert!(
        refusal(&file).contains("move it away"),
        "{}",
        refusal(&file)
    );

    std::fs::write(&file.0, "[store]\npath = \"this is another file\"\n").unwrap();
    assert!(
        refusal(&file).contains("no store of ours"),
        "{}",
        refusal(&file)
    );

    let nowhere = File(PathBuf::from("/nonexistent/state.redb"));
    assert!(
        refusal(&nowhere).contains("StateDirectory"),
        "{}",
        refusal(&nowhere)
    );
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let file = File::new("later");
    let store = file.open().unwrap();
    store.handle().write(vec![Change::put(META, FORMAT, [2])]);
    store.close();
    assert!(
        refusal(&file).contains("later version"),
        "{}",
        refusal(&file)
    );
}

/// Waits until the store's thread has done something.
fn until(handle: &StoreHandle, done: impl Fn(Stats) -> bool) -> Stats {
    let begun = clock();
    loop {
        let stats = handle.stats();
        if done(stats) {
            return stats;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{stats:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A store with one entry in its file.
fn with_one(file: &File) -> (Store, StoreHandle) {
    let store = file.open().unwrap();
    let handle = store.handle();
    handle.write(vec![Change::put(NAMES, *b"before", "1")]);
    handle.flush();
    (store, handle)
}

fn keys_after_a_restart(file: &File, store: Store, handle: StoreHandle) -> Vec<Vec<u8>> {
    handle.write(vec![Change::put(NAMES, *b"later", "2")]);
    drop(handle);
    let name = store.names().of(7);
    store.close();
    let store = file.open().unwrap();
    assert_eq!(store.names().of(7), name, "sessions keep their log ids");
    let entries = store.handle().entries(NAMES);
    entries.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_file_that_is_deleted_while_in_use_is_made_again_with_everything_in_it() {
    let file = File::new("deleted");
    let (store, handle) = with_one(&file);
    std::fs::remove_file(&file.0).unwrap();
    let stats = until(&handle, |stats| stats.recreated == 1);
    assert!(!stats.failing);
    assert_eq!(
        keys_after_a_restart(&file, store, handle),
        [b"before".to_vec(), b"later".to_vec()]
    );
}

#[test]
fn a_file_that_is_truncated_or_overwritten_while_in_use_is_begun_anew() {
    for (name, damage) in [
        (
            "truncated",
            (|path| drop(std::fs::File::create(path).unwrap())) as fn(&Path),
        ),
        ("halved", |path| {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            let len = file.metadata().unwrap().len();
            file.set_len(len / 2).unwrap();
        }),
        ("overwritten", |path| {
            use std::io::Write;
            let mut file = std::fs::File::options().write(true).open(path).unwrap();
            let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
            file.write_all(&vec![0x5A; len]).unwrap();
        }),
        ("replaced in place", |path| {
            std::fs::write(path, "[store]\npath = \"something else\"\n").unwrap();
        }),
    ] {
        let file = File::new(name);
        let (store, handle) = with_one(&file);
        damage(&file.0);
        let stats = until(&handle, |stats| stats.recreated >= 1);
        assert!(!stats.failing, "{name}");
        assert_eq!(
            keys_after_a_restart(&file, store, handle),
            [b"later".to_vec()],
            "{name}"
        );
        std::fs::remove_file(aside(&file.0)).unwrap();
    }
}

#[test]
fn another_file_of_its_name_is_left_alone_and_the_store_says_so() {
    let file = File::new("swapped");
    let (store, handle) = with_one(&file);
    let other = file.0.with_extension("other");
    std::fs::write(&other, "precious").unwrap();
    std::fs::rename(&file.0, file.0.with_extension("moved")).unwrap();
    std::fs::rename(&other, &file.0).unwrap();
    until(&handle, |stats| stats.failing);
    assert_eq!(std::fs::read_to_string(&file.0).unwrap(), "precious");
    std::fs::remove_file(&file.0).unwrap();
    until(&handle, |stats| stats.recreated == 1 && !stats.failing);
    assert_eq!(keys_after_a_restart(&file, store, handle).len(), 2);
    std::fs::remove_file(file.0.with_extension("moved")).unwrap();
}

/// A touched file is still the same file, and its contents stay.
#[test]
fn a_file_that_was_only_touched_is_kept() {
    let file = File::new("touched");
    let (store, handle) = with_one(&file);
    let open = std::fs::File::options().write(true).open(&file.0).unwrap();
    open.set_modified(UNIX_EPOCH).unwrap();
    handle.write(vec![Change::put(NAMES, *b"more", "3")]);
    std::thread::sleep(CHECK_INTERVAL * 2);
    handle.flush();
    assert_eq!(handle.stats().recreated, 0);
    assert_eq!(keys_after_a_restart(&file, store, handle).len(), 3);
}
