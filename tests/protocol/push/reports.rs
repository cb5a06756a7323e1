//! What initiators are told: outcomes of several recipients, delivery methods, versions.

use bytes::Bytes;
use wapbridge::push::pap::multipart::Entity;
use wapbridge::push::pap::{
    MessageState, Method, Operation, Quality, Query, Response, ResultNotification, Status,
    StatusResult, Submission, Version, Versions, read,
};
use wapbridge::push::ppg::{Config, Event, Notice, Ppg};
use wapbridge::push::{Bearer, Outcome, Recipient};

use super::bench::{ALICE, Bench, PHONE, bench, push};

const OTHER: &str = "WAPPUSH=192.0.2.8/TYPE=IPv4@ppg";

fn result(notice: &Notice) -> ResultNotification {
    let (_, operation) = read(notice.document.as_bytes(), 10).unwrap();
    let Operation::Notification(result) = operation else {
        panic!("{operation:?}")
    };
    *result
}

fn query(push_id: &str, addresses: &[&str]) -> Query {
    Query {
        push_id: push_id.to_owned(),
        addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
    }
}

fn status(bench: &Bench, query: &Query) -> Vec<StatusResult> {
    match bench.ppg.status(&bench.initiator.name, query) {
        Response::Status { results, .. } => results,
        other => panic!("{other:?}"),
    }
}

pub(super) fn several_addresses_have_an_outcome_each() {
    let mut bench = bench();
    let mut several = push("1", PHONE, Method::Unconfirmed);
    several.addresses.push(ALICE.to_owned());
    several.addresses.push(OTHER.to_owned());
    // The same client, written in another way.
    several
        .addresses
        .push("wappush=192.0.2.8/type=IPV4@other".to_owned());
    several.deliver_after = Some(bench.now + 1_000);
    assert_eq!(bench.submit(&several), Status::ACCEPTED);
    let states = |bench: &Bench, query: &Query| -> Vec<(String, MessageState, Status)> {
        status(bench, query)
            .into_iter()
            .map(|it| (it.addresses.concat(), it.state, it.code))
            .collect()
    };
    let pending = |address: &str| (address.to_owned(), MessageState::Pending, Status::OK);
    assert_eq!(
        states(&bench, &query("1", &[])),
        [pending(PHONE), pending(ALICE), pending(OTHER)]
    );
    let unknown = |address: &str, code| (address.to_owned(), MessageState::Unknown, code);
    let stranger = "WAPPUSH=192.0.2.99/TYPE=IPv4@ppg";
    assert_eq!(
        states(&bench, &query("1", &[OTHER, stranger, "nobody", PHONE])),
        [
            pending(OTHER),
            unknown(stranger, Status::ADDRESS_NOT_FOUND),
            unknown("nobody", Status::ADDRESS_ERROR),
            pending(PHONE),
        ]
    );
    let name = bench.initiator.name.clone();
    let asked = query("1", &[stranger, OTHER, "nobody"]);
    let Response::Cancel { results, .. } = bench.ppg.cancel(bench.now, &name, &asked) else {
        panic!("a cancellation is answered as such")
    };
    let results: Vec<_> = results
        .into_iter()
        .map(|it| (it.addresses.concat(), it.code))
        .collect();
    assert_eq!(
        results,
        [
            (stranger.to_owned(), Status::ADDRESS_NOT_FOUND),
            (OTHER.to_owned(), Status::OK),
            ("nobody".to_owned(), Status::ADDRESS_ERROR),
        ]
    );
    assert_eq!(result(&bench.notices()[0]).state, MessageState::Cancelled);
    // The two others are delivered, one notification for each.
    bench.pass(1_000);
    let delivers = bench.delivers();
    let to: Vec<&str> = delivers.iter().map(|it| it.recipient.text()).collect();
    assert_eq!(to, [PHONE, ALICE]);
    for deliver in &delivers {
        bench.ends(deliver, Outcome::Sent);
    }
    let told: Vec<_> = bench.notices().iter().map(result).collect();
    let told: Vec<_> = told.iter().map(|it| (&*it.address, it.state)).collect();
    let delivered = MessageState::Delivered;
    assert_eq!(told, [(PHONE, delivered), (ALICE, delivered)]);
    let Response::Cancel { results, .. } = bench.ppg.cancel(bench.now, &name, &query("1", &[]))
    else {
        panic!("a cancellation is answered as such")
    };
    assert_eq!(results.len(), 1);
    assert_eq!(
        (results[0].code, results[0].addresses.len()),
        (Status::NOT_POSSIBLE, 3)
    );
}

/// The bearers that are tried when none reaches the client, and the method that is reported.
pub(super) fn each_delivery_method_goes_its_way() {
    let confirmed = Bearer::Session { confirmed: true };
    let unconfirmed = Bearer::Session { confirmed: false };
    let all = [confirmed, unconfirmed, Bearer::UdpConnectionless];
    for (method, ways) in [
        (Method::Confirmed, &all[..1]),
        (Method::Unconfirmed, &all[1..]),
        (Method::PreferConfirmed, &all[..]),
        (Method::NotSpecified, &all[..]),
    ] {
        for (place, last) in ways.iter().enumerate() {
            let mut bench = bench();
            assert_eq!(bench.submit(&push("1", PHONE, method)), Status::ACCEPTED);
            for way in &ways[..place] {
                let deliver = bench.deliver();
                assert_eq!(deliver.bearer, *way, "{method:?}");
                // Without agreement on this kind of push the next one is tried, as without a session.
                let refused = [Outcome::Unreachable, Outcome::NotAgreed];
                bench.ends(&deliver, refused[place % 2].clone());
            }
            let deliver = bench.deliver();
            assert_eq!(deliver.bearer, *last, "{method:?}");
            let (outcome, reported) = match last {
                Bearer::Session { confirmed: true } => (Outcome::Confirmed, Method::Confirmed),
                _ => (Outcome::Sent, Method::Unconfirmed),
            };
            bench.ends(&deliver, outcome);
            // Nothing goes out twice.
            assert!(bench.delivers().is_empty());
            let result = status(&bench, &query("1", &[])).remove(0);
            assert_eq!(result.state, MessageState::Delivered);
            assert_eq!(result.quality.unwrap().method, reported, "{method:?}");
            assert_eq!(result.event_time, Some(bench.now));
        }
    }
}

pub(super) fn results_are_told_where_asked_in_the_version_of_the_submission() {
    for (version, named) in [
        (Version::V1_0, "DTD PAP 1.0"),
        (Version::V2_0, "DTD PAP 2.0"),
    ] {
        let mut bench = bench();
        let entity = Entity {
            fields: vec![("content-type".to_owned(), "a/b".to_owned())],
            body: Bytes::from_static(b"hello"),
        };
        let submit = |bench: &mut Bench, submission: &Submission| {
            let may = (|_: &Recipient| true, |url: &str| url.starts_with("https:"));
            let response = bench.ppg.submit(
                bench.now,
                &bench.initiator,
                &Versions::only(version),
                submission,
                Some(&entity),
                may,
            );
            match response {
                Response::Push { code, .. } => code,
                other => panic!("{other:?}"),
            }
        };
        let asked = push("asked", PHONE, Method::Unconfirmed);
        let not_asked = Submission {
            notify_to: None,
            ..push("not asked", PHONE, Method::Unconfirmed)
        };
        let mut refused = push("refused", PHONE, Method::Unconfirmed);
        refused.deliver_before = Some(1);
        let without_quality = Submission {
            quality: None,
            ..push("plain", PHONE, Method::Unconfirmed)
        };
        assert_eq!(submit(&mut bench, &asked), Status::ACCEPTED);
        assert_eq!(submit(&mut bench, &not_asked), Status::ACCEPTED);
        assert_eq!(submit(&mut bench, &refused), Status::BAD_REQUEST);
        assert_eq!(submit(&mut bench, &without_quality), Status::ACCEPTED);
        for deliver in bench.delivers() {
            bench.ends(&deliver, Outcome::Sent);
        }
        let notices = bench.notices();
        let results: Vec<_> = notices.iter().map(result).collect();
        let told: Vec<_> = results
            .iter()
            .map(|it| (&*it.push_id, it.quality.is_some()))
            .collect();
        assert_eq!(told, [("asked", true), ("plain", false)]);
        for notice in &notices {
            assert_eq!(notice.url, "https://pi.example/notify");
            assert!(notice.document.contains(named), "{}", notice.document);
        }
    }
}

/// WAP-249 5.1.2.2.2: the bearer was there when the push was accepted.
pub(super) fn a_required_bearer_that_is_gone_makes_a_push_undeliverable() {
    let config = |sms| Config {
        sms,
        ..Config::default()
    };
    let mut bench = Bench::new(config(true));
    let mut submission = push("1", ALICE, Method::Unconfirmed);
    submission.deliver_after = Some(bench.now + 1_000);
    submission.quality = Some(Quality {
        method: Method::Unconfirmed,
        bearer: Some("SMS".to_owned()),
        bearer_required: true,
        ..Quality::default()
    });
    assert_eq!(bench.submit(&submission), Status::ACCEPTED);
    bench.ppg.set_config(config(false));
    bench.pass(1_000);
    let result = result(&bench.notices()[0]);
    assert_eq!(
        (result.state, result.code),
        (MessageState::Undeliverable, Status::BEARER_NOT_AVAILABLE)
    );
    assert!(result.desc.is_some() && result.event_time == Some(bench.now));
}

/// What is told after a restart names the bearer that was used (WAP-247 8.6).
pub(super) fn the_bearer_that_was_used_outlives_a_restart() {
    let config = Config {
        sms: true,
        ..Config::default()
    };
    let mut bench = Bench::new(config.clone());
    let mut submission = push("1", ALICE, Method::Unconfirmed);
    submission.quality = Some(Quality {
        method: Method::Unconfirmed,
        bearer: Some("GPRS".to_owned()),
        ..Quality::default()
    });
    assert_eq!(bench.submit(&submission), Status::ACCEPTED);
    for _ in 0..2 {
        let deliver = bench.deliver();
        bench.ends(&deliver, Outcome::Unreachable);
    }
    let deliver = bench.deliver();
    assert_eq!(deliver.bearer, Bearer::Sms);
    bench.ends(&deliver, Outcome::Confirmed);
    let entries = bench.ppg.take_changes().into_iter();
    let entries = entries.map(|(key, value)| (key, value.unwrap())).collect();
    bench.ppg = Ppg::new(config, 8, true);
    assert!(bench.ppg.restore(bench.now, entries).is_empty());
    let told = result(&bench.notices()[0]);
    assert_eq!(told.quality.unwrap().bearer.as_deref(), Some("SMS"));

    let config = Config {
        http: true,
        ..Config::default()
    };
    let mut bench = Bench::new(config.clone());
    bench.submit(&push("1", ALICE, Method::Confirmed));
    let deliver = bench.deliver();
    bench.ends(&deliver, Outcome::Unreachable);
    let deliver = bench.deliver();
    assert_eq!(deliver.bearer, Bearer::Http);
    bench.ends(&deliver, Outcome::Confirmed);
    let entries = bench.ppg.take_changes().into_iter();
    let entries = entries.map(|(key, value)| (key, value.unwrap())).collect();
    bench.ppg = Ppg::new(config, 8, true);
    assert!(bench.ppg.restore(bench.now, entries).is_empty());
    let notice = bench.notices().remove(0);
    bench.ppg.handle_notified(bench.now, notice.place, true);
    let entries = bench.ppg.take_changes();
    let is_kept = |entry: &[u8]| String::from_utf8_lossy(entry).contains("\"http\"");
    let mut values = entries.iter().filter_map(|(_, value)| value.as_deref());
    assert!(values.any(is_kept), "{entries:?}");
}

/// An initiator whose server does not answer keeps no other initiator's results waiting.
pub(super) fn a_silent_initiator_delays_no_other() {
    let mut bench = bench();
    bench.initiator.max_pushes = 100;
    let submit = |bench: &mut Bench, name: &str, count: u32| {
        bench.initiator.name = name.into();
        for number in 0..count {
            let address = format!("WAPPUSH=192.0.2.{number}/TYPE=IPv4@ppg");
            let submission = push(&format!("{name} {number}"), &address, Method::Unconfirmed);
            assert_eq!(bench.submit(&submission), Status::ACCEPTED);
        }
        let mut notices = Vec::new();
        while let Some(event) = bench.ppg.poll_event() {
            match event {
                Event::Deliver(deliver) => bench.ends(&deliver, Outcome::Sent),
                Event::Notify(notice) => notices.push(notice),
                Event::Finished(_) => {}
            }
        }
        notices
    };
    let silent = submit(&mut bench, "silent", 100);
    assert_eq!(silent.len(), 8);
    let mut told = 0;
    let mut notices = submit(&mut bench, "other", 100);
    while let Some(notice) = notices.pop() {
        assert!(result(&notice).push_id.starts_with("other"));
        bench.ppg.handle_notified(bench.now, notice.place, true);
        told += 1;
        notices.extend(bench.notices());
    }
    assert_eq!(told, 100);
    // The silent one's go on when its server answers.
    let mut waiting = silent;
    let mut late = 0;
    while let Some(notice) = waiting.pop() {
        bench.ppg.handle_notified(bench.now, notice.place, true);
        late += 1;
        waiting.extend(bench.notices());
    }
    assert_eq!(late, 100);
    assert_eq!(bench.ppg.stats().notifications, 0);
}
