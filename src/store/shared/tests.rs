//! A store that does not answer, and one that answers as the test wants.

use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;

use super::fake::{Fake, bulk};
use super::*;
use crate::store::{Change, Place, Stats, Store, StoreHandle, Table, clock};
use crate::wdp::Peer;
use crate::wsp::capability::{Capabilities, ProtocolOptions};
use crate::wsp::claim::ClaimKey;
use crate::wsp::saved::SessionRecord;

fn settings(port: u16) -> crate::store::Settings {
    let shared = Settings {
        servers: vec![format!("redis://127.0.0.1:{port}/").parse().unwrap()],
        sentinel: None,
        user: None,
        password: None,
        authorities: None,
        prefix: "test".to_owned(),
        // A slow machine must not look like a slow store.
        latency: Duration::from_secs(20),
        required: false,
        node: "here".to_owned(),
    };
    let limits = Limits {
        max_age: Duration::from_secs(100),
        max_sessions: 3,
    };
    crate::store::Settings {
        place: Place::Shared(shared),
        limits,
    }
}

/// A port where nothing listens.
fn closed() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn session(id: u32) -> SessionRecord {
    let mut agreed = Capabilities::default();
    agreed.options = ProtocolOptions::SESSION_RESUME;
    let address = |port| ([127, 0, 0, 1], port).into();
    SessionRecord {
        id,
        peer: Peer::new(address(1), address(2)),
        suspended: false,
        agreed,
        encoding: None,
        headers: Bytes::new(),
        subscriber: None,
    }
}

fn until(handle: &StoreHandle, done: impl Fn(&Stats) -> bool) -> Stats {
    let begun = clock();
    loop {
        let stats = handle.stats();
        if done(&stats) {
            return stats;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{stats:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_node_whose_store_does_not_answer_goes_on_alone_and_keeps_its_changes() {
    let store = Store::open(&settings(closed())).unwrap();
    let handle = store.handle();
    assert!(handle.stats().failing);
    for id in [1, 2, 3, 4, 2] {
        assert!(handle.save(Box::new(session(id))));
    }
    assert!(handle.forget(1));
    assert!(handle.write(vec![
        Change::put(Table("names"), *b"a", "1"),
        Change::put(Table("names"), *b"a", "2"),
    ]));
    let (tell, told) = mpsc::channel();
    handle.look(ClaimKey::Id(9), move |found| tell.send(found).unwrap());
    assert_eq!(told.recv().unwrap(), None);
    // A flush must not wait for the store, and neither must the reading of a table.
    handle.flush();
    assert!(handle.entries(Table("names")).is_empty());
    let stats = until(&handle, |stats| stats.pending == 4);
    assert_eq!(
        (stats.sessions, stats.refused, stats.unanswered),
        (2, 1, 1),
        "two of three that were taken live, the fourth found no room"
    );
    assert!(stats.failing && stats.errors > 0);
    store.close();
}

/// A server that accepts connections and never says anything.
#[test]
fn a_store_that_is_silent_holds_up_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = Store::open(&settings(silent.local_addr().unwrap().port())).unwrap();
    let handle = store.handle();
    assert!(handle.stats().failing);
    let (tell, told) = mpsc::channel();
    handle.look(ClaimKey::Id(9), move |found| tell.send(found).unwrap());
    assert_eq!(told.recv().unwrap(), None);
    store.close();
}

#[test]
fn a_ping_says_why_there_is_no_answer() {
    let Place::Shared(shared) = settings(closed()).place else {
        panic!("a shared store");
    };
    let why = ping(&shared).unwrap_err();
    assert!(why.to_lowercase().contains("refused"), "{why}");
}

/// The answer of a claim, with this session.
fn claimed(epoch: u64, session: &SessionRecord) -> Vec<u8> {
    let mut record = Vec::new();
    session.encode(&mut record);
    let mut answer = format!("*2\r\n:{epoch}\r\n${}\r\n", record.len()).into_bytes();
    answer.extend(record);
    answer.extend(b"\r\n");
    answer
}

fn look(handle: &StoreHandle, key: ClaimKey) -> Option<u32> {
    let (tell, told) = mpsc::channel();
    handle.look(key, move |found| tell.send(found).unwrap());
    told.recv().unwrap().map(|session| session.id)
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_claimed_session_is_saved_with_the_epoch_of_the_claim() {
    let fake = Fake::start(listener(), |call| {
        (call.script == "claim").then(|| claimed(4, &session(9)))
    });
    let store = Store::open(&settings(fake.port)).unwrap();
    let handle = store.handle();
    assert_eq!(look(&handle, ClaimKey::Id(9)), Some(9));
    assert_eq!(
        look(&handle, ClaimKey::Id(9)),
        Some(9),
        "it did not come to a shard"
    );
    handle.save(Box::new(session(9)));
    handle.save(Box::new(session(5)));
    handle.flush();
    assert_eq!(look(&handle, ClaimKey::Id(9)), None, "a shard has it");
    assert_eq!(fake.calls("claim").len(), 2);
    let mut saved: Vec<_> = fake
        .calls("save")
        .into_iter()
        .map(|words| words[..3].join(" "))
        .collect();
    saved.sort_unstable();
    assert_eq!(
        saved,
        [
            "test:1:s:{00000005} here:7 1",
            "test:1:s:{00000009} here:7 4"
        ]
    );
    handle.forget(9);
    handle.flush();
    assert_eq!(fake.calls("forget").len(), 1);
    store.close();
    let released = fake.calls("unbind").pop().unwrap();
    assert_eq!(released, ["test:1:n:{here}", "7 a test"]);
}

/// More than one exchange takes, and more than one turn of the thread.
#[test]
fn of_many_changes_at_a_time_none_is_lost() {
    let fake = Fake::start(listener(), |_| None);
    let store = Store::open(&settings(fake.port)).unwrap();
    let handle = store.handle();
    for key in 0..3_000u32 {
        let change = Change::put(Table("names"), key.to_string(), "x");
        assert!(handle.write(vec![change]));
    }
    handle.flush();
    let mut put: Vec<_> = fake.calls("put");
    put.sort_unstable();
    put.dedup();
    assert_eq!(put.len(), 3_000);
    store.close();
}

#[test]
fn a_session_that_another_node_has_is_given_up() {
    let fake = Fake::start(listener(), |call| {
        let is_late = call.script == "save" && call.words[0].contains("00000009");
        is_late.then(|| b":0\r\n".to_vec())
    });
    let store = Store::open(&settings(fake.port)).unwrap();
    let handle = store.handle();
    let (tell, lost) = mpsc::channel();
    handle.on_lost(move |id| tell.send(id).unwrap());
    // Its next write is outdated.
    handle.save(Box::new(session(9)));
    assert_eq!(lost.recv_timeout(Duration::from_secs(60)).unwrap(), 9);
    assert_eq!(until(&handle, |stats| stats.stale == 1).sessions, 0);
    handle.forget(9);
    // The new owner is heard of; an older message changes nothing.
    handle.save(Box::new(session(5)));
    handle.save(Box::new(session(6)));
    handle.flush();
    fake.publish("test:1:c:here:7", "00000006 1");
    fake.publish("test:1:c:here:7", "00000005 2");
    assert_eq!(lost.recv_timeout(Duration::from_secs(60)).unwrap(), 5);
    handle.flush();
    assert!(fake.calls("forget").is_empty(), "it is not ours to end");
    assert_eq!(handle.stats().sessions, 1);
    store.close();
    assert!(lost.recv().is_err(), "no other session was lost");
}

#[test]
fn what_waited_is_written_when_the_store_is_back() {
    let port = closed();
    let store = Store::open(&settings(port)).unwrap();
    let handle = store.handle();
    handle.save(Box::new(session(1)));
    handle.save(Box::new(session(2)));
    handle.forget(2);
    handle.write(vec![Change::put(Table("names"), *b"a", "1")]);
    until(&handle, |stats| stats.failing && stats.pending == 3);
    let fake = Fake::start(TcpListener::bind(("127.0.0.1", port)).unwrap(), |_| None);
    let stats = until(&handle, |stats| !stats.failing && stats.pending == 0);
    assert_eq!((stats.sessions, stats.refused), (1, 0));
    let count = |script| fake.calls(script).len();
    assert_eq!(["save", "forget", "put"].map(count), [1, 1, 1]);
    store.close();
}

#[test]
fn a_change_that_is_refused_for_good_does_not_hold_up_the_others() {
    let fake = Fake::start(listener(), |call| match call.script {
        "put" => Some(b"-WRONGTYPE not a string\r\n".to_vec()),
        _ => None,
    });
    let store = Store::open(&settings(fake.port)).unwrap();
    let handle = store.handle();
    handle.write(vec![Change::put(Table("names"), *b"a", "1")]);
    handle.save(Box::new(session(1)));
    handle.flush();
    let stats = until(&handle, |stats| stats.errors == 1);
    assert_eq!((stats.pending, stats.failing), (0, false));
    store.close();
}

#[test]
fn the_name_of_a_living_node_is_refused_and_that_of_a_dead_one_is_not() {
    let taken = |lefts: &'static [i64]| {
        let mut lefts = lefts.iter();
        Fake::start(listener(), move |call| {
            let left = (call.script == "take").then(|| lefts.next())??;
            let holder = bulk("6 other, process 1");
            Some(format!("*3\r\n:0\r\n{holder}:{left}\r\n").into_bytes())
        })
    };
    let fake = taken(&[500, 6_000]);
    let error = Store::open(&settings(fake.port)).unwrap_err().to_string();
    assert!(
        error.contains("node here") && error.contains("other, process 1"),
        "{error}"
    );
    let fake = taken(&[500, 1]);
    Store::open(&settings(fake.port)).unwrap().close();
    assert_eq!(fake.calls("take").len(), 3);
}
