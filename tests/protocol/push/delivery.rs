//! Submissions and their deliveries, through the whole of [`Ppg`].

use std::collections::BTreeMap;

use wapbridge::push::pap::{
    MessageState, Method, Operation, Priority, Quality, Replace, Status, Submission, read,
};
use wapbridge::push::ppg::{Config, Event, Listing, Page, Ppg};
use wapbridge::push::{Bearer, Outcome};

use super::bench::{ALICE, Bench, PHONE, T0, bench, push};

pub(super) fn an_unconfirmed_push_goes_by_session_else_by_udp_and_is_told() {
    let mut bench = bench();
    assert_eq!(
        bench.submit(&push("1", PHONE, Method::Unconfirmed)),
        Status::ACCEPTED
    );
    assert_eq!(
        bench.submit(&push("1", PHONE, Method::Unconfirmed)),
        Status::DUPLICATE_PUSH_ID
    );
    let first = bench.deliver();
    assert_eq!(first.bearer, Bearer::Session { confirmed: false });
    assert_eq!(bench.states("1"), [(MessageState::Pending, Status::OK)]);
    bench.ends(&first, Outcome::Unreachable);
    let second = bench.deliver();
    assert_eq!(
        (second.bearer, second.port),
        (Bearer::UdpConnectionless, 2948)
    );
    bench.ends(&second, Outcome::Sent);
    assert_eq!(bench.states("1"), [(MessageState::Delivered, Status::OK)]);
    let notices = bench.notices();
    assert_eq!(notices.len(), 1);
    let (_, operation) = read(notices[0].document.as_bytes(), 10).unwrap();
    let Operation::Notification(result) = operation else {
        panic!("{operation:?}")
    };
    assert_eq!(result.address, PHONE);
    assert_eq!(result.quality.unwrap().method, Method::Unconfirmed);
    // The initiator does not answer: told again.
    bench
        .ppg
        .handle_notified(bench.now, notices[0].place, false);
    bench.pass(60_000);
    let again = bench.notices();
    assert_eq!(again.len(), 1);
    bench.ppg.handle_notified(bench.now, again[0].place, true);
    bench.pass(3_600_000);
    assert!(bench.notices().is_empty());
    // Results are forgotten in the end, and their push-ids with them.
    bench.pass(25 * 3_600_000);
    assert_eq!(
        bench.states("1"),
        [(MessageState::Unknown, Status::PUSH_ID_NOT_FOUND)]
    );
    assert_eq!(bench.ppg.stats().pushes, 0);
    assert_eq!(bench.ppg.stats().octets, 0);
}

pub(super) fn a_confirmed_push_without_a_session_asks_the_client_to_connect() {
    let config = Config {
        contacts: vec!["192.0.2.1:9201".parse().unwrap()],
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    assert_eq!(
        bench.submit(&push("1", PHONE, Method::Confirmed)),
        Status::ACCEPTED
    );
    let first = bench.deliver();
    bench.ends(&first, Outcome::Unreachable);
    let request = bench.deliver();
    assert_eq!(request.bearer, Bearer::Sir);
    assert_eq!(request.message.content_type(), "application/vnd.wap.sia");
    bench.ends(&request, Outcome::Sent);
    // The session is looked for again and again; the request is not repeated at once.
    for _ in 0..3 {
        bench.pass(2_000);
        let again = bench.deliver();
        assert_eq!(again.bearer, Bearer::Session { confirmed: true });
        bench.ends(&again, Outcome::Unreachable);
        assert!(bench.delivers().is_empty());
    }
    bench.pass(2_000);
    let connected = bench.deliver();
    assert_eq!(connected.message.content_type(), "a/b");
    bench.ends(&connected, Outcome::Confirmed);
    assert_eq!(bench.states("1"), [(MessageState::Delivered, Status::OK)]);
    assert!(
        bench.notices()[0]
            .document
            .contains("delivery-method=\"confirmed\"")
    );
}

/// The session of a client that was asked to connect is looked for less and less often.
pub(super) fn a_client_that_does_not_connect_costs_little() {
    let config = Config {
        contacts: vec!["192.0.2.1:9201".parse().unwrap()],
        initiation_interval: std::time::Duration::from_secs(900),
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    bench.submit(&push("1", PHONE, Method::Confirmed));
    let first = bench.deliver();
    bench.ends(&first, Outcome::Unreachable);
    let request = bench.deliver();
    assert_eq!(request.bearer, Bearer::Sir);
    bench.ends(&request, Outcome::Sent);
    let mut looks = 0;
    let mut longest = 0;
    let mut last = bench.now;
    for _ in 0..880 {
        bench.pass(1_000);
        for deliver in bench.delivers() {
            assert_eq!(deliver.bearer, Bearer::Session { confirmed: true });
            bench.ends(&deliver, Outcome::Unreachable);
            (looks, longest) = (looks + 1, longest.max(bench.now - last));
            last = bench.now;
        }
    }
    assert!((10..60).contains(&looks), "{looks}");
    assert!((60_000..240_000).contains(&longest), "{longest}");
}

/// Pages of the list join to the whole list, and a filter shows its own.
pub(super) fn the_list_comes_in_pages() {
    let mut bench = bench();
    for id in ["1", "2", "3"] {
        assert_eq!(
            bench.submit(&push(id, PHONE, Method::Unconfirmed)),
            Status::ACCEPTED
        );
    }
    let first = bench.delivers().remove(0);
    bench.ends(&first, Outcome::Sent);
    let mut listing = Listing {
        limit: 2,
        ..Listing::default()
    };
    let page = bench.ppg.list(&listing);
    let ids = |page: &Page| -> Vec<String> {
        page.listed
            .iter()
            .map(|it| it.push_id.to_string())
            .collect()
    };
    assert_eq!(ids(&page), ["1", "2"]);
    listing.after = page.next;
    let page = bench.ppg.list(&listing);
    assert_eq!((ids(&page), page.next), (vec!["3".to_owned()], None));
    let delivered = bench.ppg.list(&Listing {
        limit: 2,
        state: Some(MessageState::Delivered),
        ..Listing::default()
    });
    assert_eq!(
        (ids(&delivered), delivered.next),
        (vec!["1".to_owned()], None)
    );
    let others = bench.ppg.list(&Listing {
        limit: 2,
        initiator: Some("other".to_owned()),
        ..Listing::default()
    });
    assert!(others.listed.is_empty() && others.next.is_none());
}

pub(super) fn aborts_of_the_client_end_a_push_and_those_of_its_session_do_not() {
    for reason in 0xEA..=0xEE {
        let mut bench = bench();
        bench.submit(&push("1", PHONE, Method::Confirmed));
        let first = bench.deliver();
        bench.ends(&first, Outcome::Aborted(0xE1));
        bench.pass(30_000);
        let again = bench.deliver();
        bench.ends(&again, Outcome::Aborted(reason));
        assert_eq!(
            bench.states("1"),
            [(MessageState::Aborted, Status::aborted(reason))]
        );
    }
}

pub(super) fn times_are_kept() {
    let mut bench = bench();
    let early = Submission {
        deliver_after: Some(T0 + 60_000),
        deliver_before: Some(T0 + 120_000),
        ..push("1", PHONE, Method::Confirmed)
    };
    assert_eq!(bench.submit(&early), Status::ACCEPTED);
    bench.pass(59_999);
    assert!(bench.delivers().is_empty());
    bench.pass(1);
    let first = bench.deliver();
    bench.ends(&first, Outcome::Unreachable);
    bench.pass(30_000);
    let second = bench.deliver();
    bench.ends(&second, Outcome::Unreachable);
    bench.pass(30_000);
    assert_eq!(
        bench.states("1"),
        [(MessageState::Expired, Status::SERVICE_FAILURE)]
    );
    assert!(bench.delivers().is_empty());
    let late = Submission {
        deliver_before: Some(T0),
        ..push("2", PHONE, Method::Confirmed)
    };
    assert_eq!(bench.submit(&late), Status::BAD_REQUEST);
}

pub(super) fn a_client_that_never_confirms_times_out() {
    let config = Config {
        max_attempts: 2,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    bench.submit(&push("1", PHONE, Method::Confirmed));
    bench.pass(3_600_000);
    assert_eq!(
        bench.states("1"),
        [(MessageState::Timeout, Status::SERVICE_FAILURE)]
    );
}

pub(super) fn what_waits_can_be_cancelled_and_what_is_under_way_cannot() {
    let mut bench = bench();
    let later = Submission {
        deliver_after: Some(T0 + 60_000),
        ..push("1", PHONE, Method::Unconfirmed)
    };
    bench.submit(&later);
    bench.submit(&push("2", PHONE, Method::Unconfirmed));
    assert_eq!(bench.cancel("1"), [Status::OK]);
    assert_eq!(bench.cancel("1"), [Status::NOT_POSSIBLE]);
    assert_eq!(bench.cancel("2"), [Status::CANCELLATION_NOT_POSSIBLE]);
    assert_eq!(bench.cancel("3"), [Status::PUSH_ID_NOT_FOUND]);
    assert_eq!(bench.states("1"), [(MessageState::Cancelled, Status::OK)]);
    assert!(
        bench.notices()[0]
            .document
            .contains("message-state=\"cancelled\"")
    );
}

pub(super) fn a_push_takes_the_place_of_another() {
    let mut bench = bench();
    let of = |id: &str, replaced: &str, pending_only| Submission {
        replace: Some(Replace {
            push_id: replaced.to_owned(),
            pending_only,
        }),
        deliver_after: Some(T0 + 60_000),
        ..push(id, PHONE, Method::Unconfirmed)
    };
    assert_eq!(bench.submit(&of("1", "0", true)), Status::PUSH_ID_NOT_FOUND);
    assert_eq!(bench.submit(&of("1", "0", false)), Status::ACCEPTED);
    assert_eq!(bench.submit(&of("2", "1", true)), Status::ACCEPTED);
    assert_eq!(bench.states("1"), [(MessageState::Cancelled, Status::OK)]);
    assert_eq!(
        bench.submit(&of("3", "1", true)),
        Status::CANCELLATION_NOT_POSSIBLE
    );
    assert_eq!(bench.submit(&of("4", "1", false)), Status::ACCEPTED);
}

pub(super) fn quality_that_cannot_be_had_is_refused_by_name() {
    let mut bench = bench();
    let of = |bearer: &str, network: &str, method| {
        let mut submission = push("1", ALICE, method);
        submission.quality = Some(Quality {
            method,
            bearer: Some(bearer.to_owned()),
            bearer_required: true,
            network: Some(network.to_owned()),
            network_required: true,
            ..Quality::default()
        });
        submission
    };
    assert_eq!(
        bench.submit(&of("SMS", "GSM", Method::Unconfirmed)),
        Status::BEARER_NOT_AVAILABLE
    );
    assert_eq!(
        bench.submit(&of("GPRS", "PHS", Method::Unconfirmed)),
        Status::NETWORK_NOT_AVAILABLE
    );
    assert_eq!(
        bench.submit(&of("gprs", "gsm", Method::Unconfirmed)),
        Status::ACCEPTED
    );
    let config = Config {
        sms: true,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    assert_eq!(
        bench.submit(&of("SMS", "GSM", Method::Confirmed)),
        Status::DELIVERY_METHOD
    );
    assert_eq!(
        bench.submit(&of("SMS", "GSM", Method::Unconfirmed)),
        Status::ACCEPTED
    );
    assert_eq!(bench.deliver().bearer, Bearer::Sms);
}

pub(super) fn limits_are_answered() {
    let config = Config {
        max_pushes: 3,
        max_per_recipient: 2,
        max_recipients: 2,
        // Content, header fields and names: 98 for "hello", which is five of them.
        max_octets: 3 * 98 - 1,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    let to = |id: &str, address: &str| push(id, address, Method::Confirmed);
    let other = "WAPPUSH=192.0.2.8/TYPE=IPv4@ppg";
    assert_eq!(bench.submit(&to("1", PHONE)), Status::ACCEPTED);
    assert_eq!(bench.submit(&to("2", PHONE)), Status::ACCEPTED);
    assert_eq!(bench.submit(&to("3", PHONE)), Status::SERVICE_UNAVAILABLE);
    assert_eq!(bench.submit(&to("3", other)), Status::SERVICE_UNAVAILABLE);
    bench.initiator.max_pushes = 2;
    assert_eq!(
        bench.submit_content(&to("3", other), "a/b", ""),
        Status::SERVICE_UNAVAILABLE
    );
    bench.initiator.max_pushes = 9;
    assert_eq!(
        bench.submit_content(&to("3", other), "a/b", ""),
        Status::ACCEPTED
    );
    assert_eq!(
        bench.submit_content(&to("4", ALICE), "a/b", ""),
        Status::SERVICE_UNAVAILABLE
    );
    let mut many = to("5", PHONE);
    many.addresses = vec![PHONE.to_owned(), ALICE.to_owned(), other.to_owned()];
    assert_eq!(bench.submit(&many), Status::MULTIPLE_ADDRESSES);
    assert_eq!(bench.ppg.stats().limited, 5);
    let foreign = Submission {
        notify_to: Some("file:///etc/passwd".to_owned()),
        ..to("6", ALICE)
    };
    assert_eq!(bench.submit(&foreign), Status::FORBIDDEN);
    assert_eq!(
        bench.submit(&to("6", "WAPPUSH=x/TYPE=MAN@ppg")),
        Status::ADDRESS_ERROR
    );
}

pub(super) fn what_waits_goes_in_the_order_of_its_priority() {
    let config = Config {
        max_in_flight: 1,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    for (id, priority) in [
        ("1", Priority::Low),
        ("2", Priority::Low),
        ("3", Priority::High),
    ] {
        let address = format!("WAPPUSH=192.0.2.{id}/TYPE=IPv4@ppg");
        let mut submission = push(id, &address, Method::Confirmed);
        submission.quality = Some(Quality {
            priority,
            method: Method::Confirmed,
            ..Quality::default()
        });
        assert_eq!(bench.submit(&submission), Status::ACCEPTED);
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        let deliver = bench.deliver();
        order.push(deliver.recipient.text().to_owned());
        bench.ends(&deliver, Outcome::Confirmed);
    }
    let last = order
        .iter()
        .map(|text| text.as_bytes()[16])
        .collect::<Vec<_>>();
    assert_eq!(last, b"132");
}

pub(super) fn a_translation_that_fails_is_told_to_who_asks() {
    let mut bench = bench();
    let body = "<wml><unknown-element/></wml>";
    let code = bench.submit_content(
        &push("1", PHONE, Method::Confirmed),
        "text/vnd.wap.si",
        "<si/>",
    );
    assert_eq!(code, Status::BAD_REQUEST);
    let code = bench.submit_content(
        &push("1", PHONE, Method::Confirmed),
        "multipart/mixed",
        body,
    );
    assert_eq!(code, Status::TRANSFORMATION_FAILURE);
    let expected = [(MessageState::Undeliverable, Status::TRANSFORMATION_FAILURE)];
    assert_eq!(bench.states("1"), expected);
    // Nothing was sent or told, and the push-id is free.
    assert!(bench.delivers().is_empty());
    assert_eq!(
        bench.submit(&push("1", PHONE, Method::Confirmed)),
        Status::ACCEPTED
    );
}

/// What was accepted comes back from the store, whatever had become of it, and ends once.
pub(super) fn pushes_outlive_a_restart() {
    let mut bench = bench();
    let mut stored: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut store = |ppg: &mut Ppg| {
        for (key, value) in ppg.take_changes() {
            match value {
                Some(value) => stored.insert(key, value),
                None => stored.remove(&key),
            };
        }
        stored.clone()
    };
    let mut two = push("1", PHONE, Method::Unconfirmed);
    two.addresses.push(ALICE.to_owned());
    assert_eq!(bench.submit(&two), Status::ACCEPTED);
    let later = Submission {
        deliver_after: Some(T0 + 60_000),
        ..push("2", PHONE, Method::Confirmed)
    };
    assert_eq!(bench.submit(&later), Status::ACCEPTED);
    let under_way = bench.delivers();
    bench.ends(&under_way[0], Outcome::Sent);
    let entries = store(&mut bench.ppg).into_iter().collect();
    // Another process.
    bench.ppg = Ppg::new(Config::default(), 8, true);
    assert!(bench.ppg.restore(bench.now, entries).is_empty());
    let first = bench.states("1");
    assert_eq!(first[0].0, MessageState::Delivered);
    assert_eq!(first[1].0, MessageState::Pending);
    assert_eq!(bench.submit(&two), Status::DUPLICATE_PUSH_ID);
    let mut delivers = Vec::new();
    let mut notices = Vec::new();
    while let Some(event) = bench.ppg.poll_event() {
        match event {
            Event::Deliver(deliver) => delivers.push(deliver),
            Event::Notify(notice) => notices.push(notice),
            Event::Finished(_) => {}
        }
    }
    // The one that was under way is made again, the one that was over is told.
    assert_eq!(delivers.len(), 1);
    assert_eq!(delivers[0].recipient.text(), ALICE);
    assert_eq!(&delivers[0].message.body[..], b"hello");
    assert_eq!(notices.len(), 1);
    assert_eq!(bench.cancel("2"), [Status::OK]);
    // In the end nothing is left in the store.
    bench.ends(&delivers[0], Outcome::Sent);
    let mut told = notices;
    told.extend(bench.notices());
    for notice in told {
        bench.ppg.handle_notified(bench.now, notice.place, true);
    }
    bench.pass(48 * 3_600_000);
    assert_eq!(store(&mut bench.ppg).len(), 0);
    assert_eq!(bench.ppg.stats().pending, 0);
    assert_eq!(bench.ppg.stats().notifications, 0);
}

pub(super) fn progress_is_noted_for_who_asks() {
    let mut bench = bench();
    let asked = Submission {
        progress_notes: true,
        ..push("1", PHONE, Method::Unconfirmed)
    };
    assert_eq!(bench.submit(&asked), Status::ACCEPTED);
    assert_eq!(
        bench.notes,
        [
            "control entity validated",
            "content validated and translated",
            "accepted"
        ]
    );
    assert_eq!(
        bench.submit(&push("2", PHONE, Method::Unconfirmed)),
        Status::ACCEPTED
    );
    assert!(bench.notes.is_empty());
}

pub(super) fn a_client_that_is_never_reached_is_undeliverable() {
    let config = Config {
        max_attempts: 3,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    bench.submit(&push("1", ALICE, Method::Confirmed));
    for pause in [30_000, 60_000, 0] {
        let deliver = bench.deliver();
        bench.ends(&deliver, Outcome::Unreachable);
        if pause > 0 {
            bench.pass(pause);
        }
    }
    assert_eq!(
        bench.states("1"),
        [(MessageState::Undeliverable, Status::SERVICE_FAILURE)]
    );
    assert!(bench.notices()[0].document.contains("event-time"));
}

pub(super) fn a_client_that_never_connects_is_asked_ever_more_rarely_and_given_up() {
    let config = Config {
        contacts: vec!["192.0.2.1:9201".parse().unwrap()],
        max_attempts: 4,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    bench.submit(&push("1", PHONE, Method::Confirmed));
    let mut asked = Vec::new();
    let mut stored = 0;
    while bench.states("1")[0].0 == MessageState::Pending {
        assert!(bench.now < T0 + 3_600_000, "asked at {asked:?}");
        for deliver in bench.delivers() {
            match deliver.bearer {
                Bearer::Sir => {
                    asked.push(bench.now - T0);
                    bench.ends(&deliver, Outcome::Sent);
                }
                _ => bench.ends(&deliver, Outcome::Unreachable),
            }
        }
        stored += bench.ppg.take_changes().len();
        bench.pass(1_000);
    }
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let is_near = |(pause, expected): (&u64, u64)| (expected..expected + 4_000).contains(pause);
    assert!(
        pauses.len() == 3 && pauses.iter().zip([60_000, 120_000, 240_000]).all(is_near),
        "{pauses:?}"
    );
    assert_eq!(bench.states("1")[0].0, MessageState::Undeliverable);
    // The last request has its time, too.
    assert!(bench.now - T0 >= asked[3] + 480_000);
    // Looks for the session change nothing that a store has to keep.
    assert!(stored < 20, "{stored}");
}

pub(super) fn many_attempts_that_time_out_at_once_need_no_stack() {
    let config = Config {
        sms: true,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    bench.initiator.max_pushes = 100_000;
    for batch in 0..50 {
        let mut submission = push(&batch.to_string(), ALICE, Method::Unconfirmed);
        let number = |n: u32| format!("WAPPUSH=+1555{:07}/TYPE=PLMN@ppg", batch * 1_000 + n);
        submission.addresses = (0..1_000).map(number).collect();
        submission.quality = submission.quality.map(|quality| Quality {
            bearer: Some("SMS".to_owned()),
            bearer_required: true,
            ..quality
        });
        assert_eq!(bench.submit(&submission), Status::ACCEPTED);
    }
    assert_eq!(bench.delivers().len(), 50_000);
    bench.now += 4 * 24 * 3_600_000;
    bench.ppg.handle_timeout(bench.now);
    assert_eq!(bench.ppg.stats().pending, 0);
    assert_eq!(bench.ppg.stats().in_flight, 0);
    assert_eq!(bench.states("0")[0].0, MessageState::Timeout);
}

pub(super) fn each_recipient_of_a_push_counts_against_the_limits() {
    let config = Config {
        max_pushes: 12,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    let to = |id: &str, count: usize| {
        let address = |n: usize| format!("WAPPUSH=192.0.2.{n}/TYPE=IPv4@ppg");
        Submission {
            addresses: (1..=count).map(address).collect(),
            ..push(id, PHONE, Method::Unconfirmed)
        }
    };
    // The initiator's limit is 10.
    assert_eq!(bench.submit(&to("1", 11)), Status::SERVICE_UNAVAILABLE);
    assert_eq!(bench.submit(&to("1", 6)), Status::ACCEPTED);
    assert_eq!(bench.submit(&to("2", 5)), Status::SERVICE_UNAVAILABLE);
    assert_eq!(bench.submit(&to("2", 4)), Status::ACCEPTED);
    bench.initiator.name = "other".into();
    assert_eq!(bench.submit(&to("3", 3)), Status::SERVICE_UNAVAILABLE);
    assert_eq!(bench.submit(&to("3", 2)), Status::ACCEPTED);
    assert_eq!(bench.ppg.stats().recipients, 12);
    // Results that are forgotten make room.
    for deliver in bench.delivers() {
        bench.ends(&deliver, Outcome::Sent);
    }
    // Some at a time.
    let mut notices = bench.notices();
    while let Some(notice) = notices.pop() {
        bench.ppg.handle_notified(bench.now, notice.place, true);
        notices.extend(bench.notices());
    }
    bench.pass(25 * 3_600_000);
    assert_eq!(bench.ppg.stats().recipients, 0);
    assert_eq!(bench.submit(&to("4", 10)), Status::ACCEPTED);
}

/// A client that was asked to connect an hour ago hardly connects this second.
pub(super) fn a_session_is_looked_for_ever_more_rarely() {
    let config = Config {
        contacts: vec!["192.0.2.1:9201".parse().unwrap()],
        initiation_interval: std::time::Duration::from_secs(3_600),
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    bench.submit(&push("1", PHONE, Method::Confirmed));
    let mut looks = Vec::new();
    while bench.now < T0 + 3_590_000 {
        for deliver in bench.delivers() {
            match deliver.bearer {
                Bearer::Sir => bench.ends(&deliver, Outcome::Sent),
                _ => {
                    looks.push(bench.now - T0);
                    bench.ends(&deliver, Outcome::Unreachable);
                }
            }
        }
        bench.pass(500);
    }
    let soon = looks.iter().filter(|at| **at <= 16_000).count();
    assert!(soon >= 8, "{looks:?}");
    assert!(looks.len() < 80, "{} looks", looks.len());
    // And still often enough for a client that takes its time.
    let mut pauses = looks.windows(2);
    let is_soon = |pair: &[u64]| pair[1] - pair[0] <= 2_500 + pair[1] / 7;
    assert!(pauses.all(is_soon), "{looks:?}");
}
