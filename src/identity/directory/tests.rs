//! Reports in time, and the subscribers of addresses afterwards.

use super::*;
use crate::identity::{Private, Source};

fn at(seconds: u64) -> Moment {
    Moment {
        now: Instant::ZERO + Duration::from_secs(seconds),
        unix: 1_700_000_000 + seconds,
    }
}

fn reporter() -> Reporter {
    Reporter {
        name: "ggsn".into(),
        max_sessions: 1_000,
    }
}

fn report(status: Status, session: &str, address: &str, msisdn: &str) -> Report {
    Report {
        from: [10, 9, 0, 1].into(),
        status,
        nas: "ggsn-1".into(),
        session: session.into(),
        prefixes: address
            .parse()
            .ok()
            .map(Prefix::address)
            .into_iter()
            .collect(),
        identity: Identity {
            msisdn: (!msisdn.is_empty()).then(|| Private::new(msisdn)),
            source: Source::Radius,
            ..Identity::default()
        },
        delay: 0,
        stamp: None,
    }
}

type Store = std::collections::BTreeMap<Vec<u8>, Vec<u8>>;

struct Rig {
    directory: AddressDirectory,
    table: super::super::Table,
}

impl Rig {
    fn new() -> Self {
        Self {
            directory: AddressDirectory::new(Limits::default(), 1),
            table: super::super::Table::new(Random::new(2).hasher()),
        }
    }

    fn hears(&mut self, seconds: u64, report: Report) -> Outcome {
        let outcome = self.directory.account(at(seconds), &reporter(), report);
        self.table.apply(&self.directory.take_changes());
        outcome
    }

    fn restore(&mut self, seconds: u64, store: &Store) -> Vec<Vec<u8>> {
        let useless = self.directory.restore(at(seconds), store.clone());
        self.table.apply(&self.directory.take_changes());
        useless
    }

    /// How much there was to save.
    fn save(&mut self, seconds: u64, store: &mut Store) -> usize {
        let mut count = 0;
        while let Some((name, octets)) = self.directory.unsaved(at(seconds), 1).pop() {
            match octets {
                Some(octets) => store.insert(name, octets),
                None => store.remove(&name),
            };
            self.directory.saved(1);
            count += 1;
        }
        count
    }

    fn who(&self, address: &str) -> Option<&str> {
        let identity = self.table.find(address.parse().unwrap())?;
        identity.msisdn.as_ref().map(Private::reveal)
    }
}

#[test]
fn an_address_is_the_subscribers_from_start_to_stop() {
    let mut rig = Rig::new();
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    assert_eq!(rig.who("10.0.0.1"), Some("491"));
    assert_eq!(rig.who("10.0.0.2"), None);
    rig.hears(5, report(Status::Stop, "1", "10.0.0.1", "491"));
    assert_eq!(rig.who("10.0.0.1"), None);
    assert_eq!(rig.directory.sessions(), 0);
}

#[test]
fn a_stale_stop_does_not_take_the_address_from_its_new_owner() {
    let mut rig = Rig::new();
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    rig.hears(5, report(Status::Start, "2", "10.0.0.1", "492"));
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
    rig.hears(6, report(Status::Stop, "1", "10.0.0.1", "491"));
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
    rig.hears(7, report(Status::Stop, "2", "10.0.0.1", "492"));
    assert_eq!(rig.who("10.0.0.1"), None);
    assert_eq!(rig.directory.stats().taken_over, 1);
}

/// Clients of one network share a secret, so a name alone is no proof.
#[test]
fn accounting_on_from_another_address_ends_no_sessions() {
    let on = |from: [u8; 4]| Report {
        from: from.into(),
        ..report(Status::On, "", "", "")
    };
    let mut rig = Rig::new();
    let mut store = Store::new();
    let _ = rig.restore(0, &store);
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    // An update from another client does not transfer the session.
    let update = Report {
        from: [10, 9, 0, 66].into(),
        ..report(Status::Interim, "1", "10.0.0.1", "491")
    };
    rig.hears(1, update);
    rig.hears(2, on([10, 9, 0, 66]));
    assert_eq!(rig.who("10.0.0.1"), Some("491"));
    // The same after a restart.
    rig.save(2, &mut store);
    let mut rig = Rig::new();
    let _ = rig.restore(3, &store);
    rig.hears(4, on([10, 9, 0, 66]));
    assert_eq!(rig.who("10.0.0.1"), Some("491"));
    rig.hears(5, on([10, 9, 0, 1]));
    assert_eq!(rig.who("10.0.0.1"), None);
    assert_eq!(rig.directory.stats().cleared, 1);
}

#[test]
fn what_comes_late_does_not_bring_a_session_back() {
    let mut rig = Rig::new();
    let late = |status, session| Report {
        delay: 20,
        ..report(status, session, "10.0.0.1", "491")
    };
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    rig.hears(5, report(Status::Stop, "1", "", ""));
    assert_eq!(
        rig.hears(6, report(Status::Interim, "1", "10.0.0.1", "491")),
        Outcome::Stale
    );
    assert_eq!(rig.hears(7, late(Status::Start, "1")), Outcome::Stale);
    assert_eq!(rig.who("10.0.0.1"), None);
    // The address has another subscriber meanwhile: an earlier Interim does not take it back.
    rig.hears(30, report(Status::Start, "2", "10.0.0.1", "492"));
    assert_eq!(rig.hears(31, late(Status::Interim, "3")), Outcome::Stale);
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
    // A Stop that overtakes its Start.
    rig.hears(40, report(Status::Stop, "4", "10.0.0.4", "494"));
    assert_eq!(
        rig.hears(
            41,
            Report {
                delay: 9,
                ..report(Status::Start, "4", "10.0.0.4", "494")
            }
        ),
        Outcome::Stale
    );
    // An id used again later is another session.
    rig.hears(60, report(Status::Start, "1", "10.0.0.9", "499"));
    assert_eq!(rig.who("10.0.0.9"), Some("499"));
}

#[test]
fn a_session_whose_id_was_used_again_is_remembered_as_over_for_as_long() {
    let mut rig = Rig::new();
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    rig.hears(1, report(Status::Stop, "1", "", ""));
    rig.hears(500, report(Status::Start, "1", "10.0.0.1", "492"));
    rig.hears(590, report(Status::Stop, "1", "", ""));
    // The time of the first Stop is over, that of the second is not.
    let late = report(Status::Interim, "1", "10.0.0.1", "492");
    assert_eq!(rig.hears(700, late), Outcome::Stale);
}

#[test]
fn of_two_stops_the_later_one_counts() {
    let mut rig = Rig::new();
    let told = |status, delay| Report {
        delay,
        ..report(status, "1", "10.0.0.1", "491")
    };
    rig.hears(100, told(Status::Stop, 0));
    rig.hears(101, told(Status::Stop, 90));
    assert_eq!(rig.hears(102, told(Status::Start, 50)), Outcome::Stale);
    assert_eq!(rig.who("10.0.0.1"), None);
}

#[test]
fn the_access_servers_clock_decides_among_its_own_reports() {
    let mut rig = Rig::new();
    let stamped = |stamp, msisdn| Report {
        stamp: Some(stamp),
        ..report(Status::Interim, "1", "10.0.0.1", msisdn)
    };
    rig.hears(0, stamped(1_000, "491"));
    rig.hears(1, stamped(1_010, "492"));
    assert_eq!(rig.hears(2, stamped(1_005, "493")), Outcome::Stale);
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
}

#[test]
fn a_stop_from_before_the_start_ends_nothing() {
    let mut rig = Rig::new();
    let stamped = |status, stamp, msisdn| Report {
        stamp: Some(stamp),
        ..report(status, "1", "10.0.0.1", msisdn)
    };
    rig.hears(0, stamped(Status::Start, 1_000, "491"));
    // Its id is given away again before its Stop comes.
    rig.hears(60, stamped(Status::Start, 1_060, "492"));
    assert_eq!(
        rig.hears(61, stamped(Status::Stop, 1_050, "491")),
        Outcome::Stale
    );
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
    // That session still goes on and ends, even when reports overtake each other.
    rig.hears(70, stamped(Status::Interim, 1_070, "492"));
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
    rig.hears(71, stamped(Status::Stop, 1_065, "492"));
    assert_eq!(rig.who("10.0.0.1"), None);
    let stats = rig.directory.stats();
    assert_eq!((stats.stopped, stats.stale), (1, 1));
}

/// The calendar was set back while the process was away.
#[test]
fn what_was_restored_is_not_from_the_future() {
    let mut rig = Rig::new();
    let mut store = Store::new();
    assert!(rig.restore(3_600, &store).is_empty());
    rig.hears(3_600, report(Status::Start, "1", "10.0.0.1", "491"));
    rig.save(3_600, &mut store);
    let mut later = Rig::new();
    assert!(later.restore(0, &store).is_empty());
    assert_eq!(
        later.hears(1, report(Status::Interim, "1", "10.0.0.1", "492")),
        Outcome::Applied
    );
    assert_eq!(later.who("10.0.0.1"), Some("492"));
    let expires = at(24 * 3_600).now;
    assert_eq!(later.directory.poll_timeout(), Some(expires));
    later.hears(2, report(Status::Stop, "1", "", ""));
    assert_eq!(later.who("10.0.0.1"), None);
}

#[test]
fn an_interim_brings_more_and_keeps_what_it_leaves_out() {
    let mut rig = Rig::new();
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    let mut interim = report(Status::Interim, "1", "2001:db8::1", "");
    interim.identity.network = Some("26202".into());
    rig.hears(5, interim);
    for address in ["10.0.0.1", "2001:db8::1"] {
        assert_eq!(rig.who(address), Some("491"));
        let found = rig.table.find(address.parse().unwrap()).unwrap();
        assert_eq!(found.network.as_deref(), Some("26202"));
    }
    // A report without news makes no change.
    let again = report(Status::Interim, "1", "10.0.0.1", "491");
    rig.directory.account(at(6), &reporter(), again);
    assert!(rig.directory.take_changes().is_empty());
}

#[test]
fn an_access_server_that_begins_anew_has_no_sessions_from_before() {
    let mut rig = Rig::new();
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    rig.hears(20, report(Status::Start, "2", "10.0.0.2", "492"));
    let other = Report {
        nas: "ggsn-2".into(),
        ..report(Status::Start, "3", "10.0.0.3", "493")
    };
    rig.hears(0, other);
    // It took the On ten seconds to get here.
    let on = Report {
        delay: 10,
        ..report(Status::On, "", "", "")
    };
    rig.hears(20, on);
    assert_eq!(rig.who("10.0.0.1"), None);
    assert_eq!(rig.who("10.0.0.2"), Some("492"));
    assert_eq!(rig.who("10.0.0.3"), Some("493"));
}

#[test]
fn a_session_nobody_speaks_of_expires() {
    let mut rig = Rig::new();
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    rig.hears(0, report(Status::Start, "2", "10.0.0.2", "492"));
    rig.hears(3_600, report(Status::Interim, "2", "", ""));
    let day = 24 * 3_600;
    assert_eq!(rig.directory.poll_timeout(), Some(at(day).now));
    rig.directory.handle_timeout(at(day).now);
    rig.table.apply(&rig.directory.take_changes());
    assert_eq!(
        (rig.who("10.0.0.1"), rig.who("10.0.0.2")),
        (None, Some("492"))
    );
    rig.directory.handle_timeout(at(day + 3_600).now);
    assert_eq!(rig.directory.sessions(), 0);
}

#[test]
fn a_session_survives_a_restart_until_it_expires() {
    let mut rig = Rig::new();
    rig.restore(0, &Store::new());
    let mut start = report(Status::Start, "1", "10.0.0.1", "491");
    start.identity.sgsn = "192.0.2.7".parse().ok();
    rig.hears(0, start);
    rig.hears(0, report(Status::Start, "2", "10.0.0.2", "492"));
    let mut store = Store::new();
    let mut save = |rig: &mut Rig, seconds| (rig.save(seconds, &mut store), store.clone());
    assert_eq!(save(&mut rig, 1).0, 2);
    rig.hears(10, report(Status::Stop, "2", "", ""));
    // That it lives on is not saved each time.
    rig.hears(60, report(Status::Interim, "1", "10.0.0.1", "491"));
    let (count, kept) = save(&mut rig, 61);
    assert_eq!((count, kept.len()), (1, 1));
    rig.hears(4 * 3_600, report(Status::Interim, "1", "10.0.0.1", "491"));
    let (count, kept) = save(&mut rig, 4 * 3_600);
    assert_eq!((count, kept.len()), (1, 1));

    for (seconds, who) in [(28 * 3_600 - 1, Some("491")), (28 * 3_600, None)] {
        let mut later = Rig::new();
        later.restore(seconds, &kept);
        assert_eq!(later.who("10.0.0.1"), who);
        assert_eq!(later.directory.poll_timeout().is_some(), who.is_some());
        // Its Stop is known to be its.
        later.hears(seconds, report(Status::Stop, "1", "", ""));
        assert_eq!(later.who("10.0.0.1"), None);
    }
}

#[test]
fn what_is_not_restored_is_named_so_that_it_can_be_deleted() {
    let mut rig = Rig::new();
    let mut store = Store::new();
    assert!(rig.restore(0, &store).is_empty());
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    rig.hears(9, report(Status::Start, "2", "10.0.0.2", "492"));
    rig.hears(9, report(Status::Start, "3", "10.0.0.3", "493"));
    rig.save(9, &mut store);
    let names: Vec<_> = store.keys().cloned().collect();
    store.insert(b"torn".to_vec(), b"nonsense".to_vec());
    let mut later = Rig::new();
    later.directory.set_limits(Limits {
        max_sessions: 1,
        ..Limits::default()
    });
    // The first has expired, for the third there is no room.
    let useless = later.restore(24 * 3_600, &store);
    assert_eq!(later.who("10.0.0.2"), Some("492"));
    let expected = [&names[0], &names[2], &b"torn".to_vec()].map(Clone::clone);
    assert_eq!(useless, expected);
}

#[test]
fn what_the_store_does_not_take_is_told_again() {
    let mut rig = Rig::new();
    let mut store = Store::new();
    let _ = rig.restore(0, &store);
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    assert_eq!(rig.save(1, &mut store), 1);
    // From here on it is full.
    rig.hears(2, report(Status::Stop, "1", "", ""));
    for session in 2..50 {
        let session = session.to_string();
        rig.hears(3, report(Status::Start, &session, "10.0.0.2", "492"));
        rig.hears(4, report(Status::Stop, &session, "", ""));
    }
    // The store need not know a session that began and ended meanwhile.
    let unsaved = rig.directory.unsaved(at(5), 100);
    let [(name, None)] = &unsaved[..] else {
        panic!("{unsaved:?}");
    };
    assert!(store.contains_key(name));
    assert_eq!(rig.directory.unsaved(at(5), 100), unsaved);
    // Its id is given away again, and that session is over too.
    rig.hears(20, report(Status::Start, "1", "10.0.0.1", "493"));
    assert!(matches!(
        &rig.directory.unsaved(at(20), 100)[..],
        [(_, Some(_))]
    ));
    rig.hears(30, report(Status::Stop, "1", "", ""));
    assert_eq!(rig.save(31, &mut store), 1);
    assert!(store.is_empty());
    assert_eq!(rig.save(31, &mut store), 0);
}

#[test]
fn there_is_room_for_so_many_and_no_more() {
    let mut rig = Rig::new();
    let small = Reporter {
        name: "small".into(),
        max_sessions: 1,
    };
    for (session, outcome) in [("1", Outcome::Applied), ("2", Outcome::Full)] {
        let start = report(Status::Start, session, "10.0.0.1", "491");
        assert_eq!(rig.directory.account(at(0), &small, start), outcome);
    }
    let stop = report(Status::Stop, "1", "", "");
    rig.directory.account(at(1), &small, stop);
    let start = report(Status::Start, "2", "10.0.0.1", "491");
    assert_eq!(
        rig.directory.account(at(1), &small, start),
        Outcome::Applied
    );
    // Another client's sessions of the same name are others.
    assert_eq!(
        rig.hears(2, report(Status::Stop, "2", "", "")),
        Outcome::Applied
    );
    assert_eq!(rig.directory.sessions(), 1);
}

#[test]
fn what_is_configured_is_there_when_accounting_says_nothing() {
    let mut rig = Rig::new();
    let entry = |address: &str, msisdn: &str| {
        let identity = Identity {
            msisdn: Some(Private::new(msisdn)),
            ..Identity::default()
        };
        (
            Prefix::address(address.parse().unwrap()),
            Arc::new(identity),
        )
    };
    rig.directory
        .configure(&[entry("10.0.0.1", "1"), entry("10.0.0.2", "2")]);
    rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
    assert_eq!(rig.who("10.0.0.1"), Some("491"));
    rig.directory.configure(&[entry("10.0.0.1", "3")]);
    rig.hears(1, report(Status::Other(15), "", "", ""));
    assert_eq!(
        (rig.who("10.0.0.1"), rig.who("10.0.0.2")),
        (Some("491"), None)
    );
    rig.hears(2, report(Status::Stop, "1", "", ""));
    assert_eq!(rig.who("10.0.0.1"), Some("3"));
}
