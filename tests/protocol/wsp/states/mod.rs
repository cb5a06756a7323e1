//! The server's state tables, written down a second time as text, walked row by row through real PDUs.

mod rig;

use self::rig::{Rig, wanted};
use wapbridge::wsp::AbortReason;
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::{self, Pdu};
use wapbridge::wtp::{Class, Fragment};

const SESSION: &str = include_str!("../../../../fixtures/wsp/session.states");
const METHOD: &str = include_str!("../../../../fixtures/wsp/method.states");
const PUSH: &str = include_str!("../../../../fixtures/wsp/push.states");

/// What a row came to: said, told, next state.
type Outcome = (String, String, String);

/// The rows of a fixture, cut into cells.
fn rows(fixture: &str) -> Vec<Vec<&str>> {
    fixture
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect()
}

fn expected(row: &[&str]) -> Outcome {
    let cell = |index: usize| row[row.len() - 3 + index].to_owned();
    (cell(0), cell(1), cell(2))
}

fn listed(items: &[String]) -> String {
    match items {
        [] => "-".to_owned(),
        items => items.join(", "),
    }
}

fn outcome(rig: &Rig, next: &str) -> Outcome {
    (listed(&rig.said), listed(&rig.told), next.to_owned())
}

/// Walks every row; fails unless each comes to what it says.
fn walk(fixture: &str, least: usize, step: impl Fn(&[&str]) -> Outcome) {
    let rows = rows(fixture);
    assert!(rows.len() >= least, "{} rows", rows.len());
    let mut wrong = 0;
    for row in &rows {
        let (expected, found) = (expected(row), step(row));
        if expected != found {
            wrong += 1;
            println!("{row:?}\n  found {found:?}");
        }
    }
    assert_eq!(wrong, 0, "rows do not hold");
}

fn reason(name: &str) -> AbortReason {
    (0xE0..=0xEE)
        .map(AbortReason)
        .find(|reason| reason.to_string() == name)
        .unwrap_or_else(|| panic!("{name} is no reason"))
}

fn accept(rig: &mut Rig) {
    rig.user(|sessions, now, key, _, wtp| sessions.accept(now, key, wtp));
}

/// A session in this state, with a method or a push open if asked for.
fn session_in(state: &str, resume: bool, open: &str) -> Rig {
    let mut rig = Rig::new();
    if state == "NULL" {
        return rig;
    }
    let mut wanted = wanted(resume);
    wanted.method_mor = 2;
    rig.connect(&wanted);
    let setting_up = matches!(state, "CONNECTING" | "TERMINATING");
    if !setting_up {
        accept(&mut rig);
    }
    if state == "TERMINATING" {
        rig.user(|sessions, now, key, _, wtp| sessions.refuse(now, key, 503, wtp));
    }
    if !setting_up && state != "CONNECTING_2" {
        rig.acknowledge("setup", &[]);
    }
    if matches!(state, "SUSPENDED" | "RESUMING" | "RESUMING_2") {
        let suspend = Pdu::Suspend {
            session_id: rig.id(),
        };
        rig.invoke("stray", Class::Zero, &suspend);
    }
    if state.starts_with("RESUMING") {
        rig.resume();
    }
    if state == "RESUMING_2" {
        rig.user(|sessions, now, key, _, wtp| sessions.resume(now, key, wtp));
    }
    if open.contains("method") {
        rig.post(b"", false);
    }
    if open.contains("push") {
        rig.push(true, b"x");
    }
    let id = rig.id();
    if state != "TERMINATING" {
        assert_eq!(rig.sessions.state_name(id), Some(state));
    }
    rig.forget();
    rig
}

#[test]
fn sessions() {
    walk(SESSION, 75, |row| {
        let (state, resume, open, event) = (row[0], row[1] == "on", row[2], row[3]);
        let mut rig = session_in(state, resume, open);
        let session_id = rig.id();
        let (name, argument) = event.split_once(' ').unwrap_or((event, ""));
        match name {
            "RcvConnect" => rig.connect(&wanted(true)),
            "RcvResume" => rig.resume(),
            "RcvSuspend" => rig.invoke("stray", Class::Zero, &Pdu::Suspend { session_id }),
            "RcvDisconnect" => rig.invoke("stray", Class::Zero, &Pdu::Disconnect { session_id }),
            "RcvMethod" => rig.post(b"", false),
            "RcvConfirmedPush" => {
                let push = Pdu::ConfirmedPush(pdu::Push {
                    headers: &[0x83],
                    data: &[],
                });
                rig.invoke("stray", Class::One, &push);
            }
            "RcvGarbage" => {
                rig.invoke_octets("stray", Class::Two, vec![0x7E, 0xFF], Fragment::WHOLE);
            }
            "RcvAck" => rig.acknowledge("setup", &[]),
            "RcvAbort" => rig.abort("setup", reason(argument)),
            // The pseudo-events, as a client that aborts a method causes them.
            "Disconnect" => rig.abort("method", AbortReason::DISCONNECT),
            "Suspend" => rig.abort("method", AbortReason::SUSPEND),
            "S-Connect.res" => accept(&mut rig),
            "S-Resume.res" => {
                rig.user(|sessions, now, key, _, wtp| sessions.resume(now, key, wtp));
            }
            "S-Disconnect.req" if argument == "MOVED" => {
                rig.user(|sessions, now, key, _, wtp| {
                    sessions.redirect(now, key, 0, &[4, 192, 0, 2, 9], wtp);
                });
            }
            "S-Disconnect.req" => {
                rig.user(|sessions, now, key, _, wtp| {
                    sessions.disconnect(now, key, wtp);
                });
            }
            "S-Push.req" => rig.push(false, b"x"),
            "S-ConfirmedPush.req" => rig.push(true, b"x"),
            other => panic!("{other} is no event"),
        }
        let next = rig.sessions.state_name(rig.id()).unwrap_or("NULL");
        if next == "NULL" {
            assert_eq!(rig.sessions.len(), 0, "{row:?} left a session");
            assert_eq!(rig.sessions.methods(), 0, "{row:?} left a method");
        }
        outcome(&rig, next)
    });
}

/// A method in this state, in a session that does one at a time.
/// What was connected is held, or counted among what ended, whichever way it did.
#[test]
fn every_end_of_a_session_is_counted() {
    for (state, disconnect, unconfirmed, disconnected) in [
        ("CONNECTING_2", false, 1, 0),
        ("CONNECTING_2", true, 0, 1),
        ("CONNECTED", true, 0, 1),
        ("RESUMING_2", false, 0, 1),
    ] {
        let mut rig = session_in(state, true, "");
        if disconnect {
            let session_id = rig.id();
            rig.invoke("stray", Class::Zero, &Pdu::Disconnect { session_id });
        } else {
            rig.abort("setup", AbortReason::DISCONNECT);
        }
        let stats = rig.sessions.stats();
        assert_eq!(
            (stats.unconfirmed, stats.disconnected),
            (unconfirmed, disconnected),
            "{state}"
        );
        assert_eq!(rig.sessions.len(), 0, "{state}");
        assert_eq!(stats.connected, 1, "{state}");
    }
}

fn method_in(state: &str) -> Rig {
    let mut rig = Rig::new();
    rig.connect(&wanted(true));
    if !state.starts_with("HOLDING") {
        accept(&mut rig);
        rig.acknowledge("setup", &[]);
    }
    match state {
        "HOLDING" => rig.post(b"", false),
        "HOLDING MORE" | "REQUESTING" => rig.post(b"ab", true),
        "PROCESSING" => rig.post(b"", false),
        "REPLYING" => {
            rig.post(b"", false);
            reply(&mut rig, 10, &[]);
        }
        _ => {}
    }
    rig.forget();
    rig
}

/// S-MethodResult.req with a body of so many octets.
fn reply(rig: &mut Rig, body: usize, trailers: &[u8]) {
    rig.user(|sessions, now, _, method, wtp| {
        let mut sdu = Vec::new();
        Pdu::Reply(pdu::Reply {
            status: 0x20,
            headers: &[0x83],
            data: &vec![b'r'; body],
        })
        .encode(&mut sdu);
        sessions.reply(now, method.unwrap(), sdu.into(), trailers, wtp);
    });
}

#[test]
fn methods() {
    let frame = Fragment {
        more: false,
        frame_boundary: true,
    };
    let more = Fragment {
        more: true,
        frame_boundary: false,
    };
    walk(METHOD, 30, |row| {
        let mut rig = method_in(row[0]);
        let session_id = rig.id();
        let (name, argument) = row[1].split_once(' ').unwrap_or((row[1], ""));
        match (name, argument) {
            ("RcvMethod", "") => rig.post(b"", false),
            ("RcvMethod", "MORE") => rig.post(b"ab", true),
            ("RcvMethod", "LARGE") => rig.post(&[0; 2_000], false),
            ("RcvMethod", "MOR") => {
                rig.post(b"", false);
                rig.forget();
                rig.post(b"", false);
            }
            ("Release", _) => accept(&mut rig),
            ("RcvMore", _) => rig.more(b"c", more),
            ("RcvLast", "") => rig.more(b"c", Fragment::WHOLE),
            // Data Fragment: two octets of headers (Age: 1), then the data.
            ("RcvLast", "TRAILERS") => rig.more(&[0x80, 2, 0x85, 0x81, b'c'], frame),
            ("RcvLast", "GARBAGE") => rig.more(b"c", frame),
            ("RcvAck", "") => rig.acknowledge("method", &[]),
            ("RcvAck", _) => rig.acknowledge("method", &[0x85, 0x81]),
            ("RcvAbort", why) => rig.abort("method", reason(why)),
            // The session comes to nothing: its client aborts the Connect.
            ("Abort", _) if row[0] == "HOLDING" => rig.abort("setup", AbortReason::PEERREQ),
            ("Abort", _) => rig.invoke("stray", Class::Zero, &Pdu::Disconnect { session_id }),
            ("S-MethodResult.req", "") => reply(&mut rig, 10, &[]),
            ("S-MethodResult.req", "LONG") => reply(&mut rig, 150, &[]),
            ("S-MethodResult.req", "TRAILERS") => reply(&mut rig, 10, &[0x85, 0x81]),
            ("S-MethodAbort.req", _) => rig.user(|sessions, now, _, method, wtp| {
                sessions.abort(now, method.unwrap(), AbortReason::PEERREQ, wtp);
            }),
            other => panic!("{other:?} is no event"),
        }
        let states = rig.sessions.method_states(rig.id());
        let next = match (row[1], &states[..]) {
            // The one that fills the session is still there.
            ("RcvMethod MOR", ["PROCESSING"]) | (_, []) => "NULL",
            (_, [state]) => state,
            (_, states) => panic!("{states:?}"),
        };
        outcome(&rig, next)
    });
}

#[test]
fn pushes() {
    walk(PUSH, 16, |row| {
        let (name, argument) = row[1].split_once(' ').unwrap_or((row[1], ""));
        let mut rig = Rig::new();
        let mut wanted = wanted(true);
        if argument == "REFUSED" {
            wanted.options = ProtocolOptions::SESSION_RESUME;
        }
        rig.connect(&wanted);
        accept(&mut rig);
        rig.acknowledge("setup", &[]);
        if row[0] == "PUSHING" || argument == "MOR" {
            rig.push(true, b"x");
        }
        rig.forget();
        let session_id = rig.id();
        match (name, argument) {
            ("S-ConfirmedPush.req", _) => rig.push(true, b"y"),
            ("S-Push.req", "LARGE") => rig.push(false, &[0; 100]),
            ("S-Push.req", _) => rig.push(false, b"y"),
            ("Abort", _) => rig.invoke("stray", Class::Zero, &Pdu::Disconnect { session_id }),
            ("RcvAck", "") => rig.acknowledge("push", &[]),
            ("RcvAck", _) => rig.acknowledge("push", &[0x85, 0x81]),
            ("RcvAbort", why) => rig.abort("push", reason(why)),
            other => panic!("{other:?} is no event"),
        }
        let before = usize::from(argument == "MOR");
        let next =
            match rig.sessions.pushing(session_id) - before.min(rig.sessions.pushing(session_id)) {
                0 => "NULL",
                _ => "PUSHING",
            };
        outcome(&rig, next)
    });
}

/// A walk that cannot fail proves nothing: a row spoilt anywhere must be noticed.
#[test]
#[should_panic(expected = "rows do not hold")]
fn a_spoilt_row_is_noticed() {
    let row = "CONNECTED | on | - | RcvDisconnect | - | Disconnect DISCONNECT | CONNECTED";
    walk(row, 1, |_| {
        let mut rig = session_in("CONNECTED", true, "-");
        let session_id = rig.id();
        rig.invoke("stray", Class::Zero, &Pdu::Disconnect { session_id });
        outcome(&rig, rig.sessions.state_name(session_id).unwrap_or("NULL"))
    });
}
