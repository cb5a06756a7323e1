//! Submissions to SMS centres on loopback.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use wapbridge::identity::Private;
use wapbridge::push::{self, AttemptId, Bearer, Deliver, Recipient};
use wapbridge::server::SmsBearer;
use wapbridge::smpp::Password;
use wapbridge::sms::Ports;
use wapbridge::smsc::{Centres, Outcome, Outcomes, Settings, Submission};

use crate::support::certificate::{Certificate, acceptor, tls};
use crate::support::smsc::{Reply, Smsc};

fn settings(name: &str, smsc: &Smsc) -> Settings {
    let mut settings = Settings {
        name: name.into(),
        host: "localhost".to_owned(),
        port: smsc.address.port(),
        reconnect_min: Duration::from_millis(50),
        ..Settings::default()
    };
    settings.session.system_id = "wapbridge".to_owned();
    settings.session.password = Password::new("secret");
    settings
}

fn start(settings: Vec<Settings>) -> (Centres, Outcomes) {
    let (centres, outcomes, mut tasks) =
        Centres::start(settings, &Arc::new(tls().client_config()), 0);
    tasks.detach_all();
    (centres, outcomes)
}

async fn bound(centres: &Centres, count: usize) {
    let all = async {
        while centres
            .status()
            .iter()
            .filter(|status| status.bound)
            .count()
            < count
        {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("the centres are bound");
}

async fn outcome(outcomes: &mut Outcomes) -> (u64, Outcome) {
    let next = timeout(PATIENCE, outcomes.recv()).await;
    next.expect("an outcome in time").expect("an outcome")
}

fn submission(id: u64, number: &str, octets: usize) -> Submission {
    Submission {
        id,
        number: Private::new(number),
        ports: Ports {
            destination: 2948,
            source: 9200,
        },
        datagram: (0..octets)
            .map(|octet| (octet % 251).to_le_bytes()[0])
            .collect(),
        lifetime: Duration::from_secs(3600),
    }
}

#[tokio::test]
async fn a_long_datagram_arrives_in_parts_and_receipts_tell_that_it_did() {
    let smsc = Smsc::start().await;
    let (centres, mut outcomes) = start(vec![settings("a", &smsc)]);
    bound(&centres, 1).await;
    let sent = submission(7, "491701234567", 2_000);
    centres.submit(&sent).unwrap();
    assert_eq!(outcome(&mut outcomes).await, (7, Outcome::Delivered));
    assert_eq!(smsc.datagrams(), [sent.datagram]);
    let received = smsc.received();
    assert_eq!(received.len(), 16);
    assert_eq!(received[0].destination_addr.to_string(), "491701234567");
    assert_eq!(
        smsc.binds(),
        [("wapbridge".to_owned(), "secret".to_owned())]
    );
    let counts = centres.status()[0].counts;
    assert_eq!(
        (counts.submitted, counts.accepted, counts.delivered),
        (16, 16, 16)
    );
}

/// An attempt that comes before the first bind, as after a restart, waits for the bind.
#[tokio::test]
async fn an_attempt_before_the_first_bind_waits_for_it() {
    let smsc = Smsc::start().await;
    let tls = Arc::new(tls().client_config());
    let bearer = SmsBearer::start(Centres::start(vec![settings("a", &smsc)], &tls, 0));
    assert!(!bearer.centres().are_bound());
    let deliver = Deliver {
        attempt: AttemptId(1),
        recipient: Recipient::parse("WAPPUSH=+491701234567/TYPE=PLMN@gw").unwrap(),
        bearer: Bearer::Sms,
        message: Arc::default(),
        port: 2948,
        expires: u64::MAX,
    };
    let messages = bearer.messages();
    let sent = timeout(PATIENCE, messages.deliver("491701234567", &deliver)).await;
    assert_eq!(sent.unwrap(), push::Outcome::Confirmed);
    assert_eq!(smsc.received().len(), 1);
    bearer.stop().await;
    let late = messages.deliver("491701234567", &deliver).await;
    assert!(
        matches!(late, push::Outcome::Unreachable | push::Outcome::Busy),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_centre_that_throttles_gets_the_message_again() {
    let smsc = Smsc::with(None, 0, |number, _| match number {
        0 => Reply::Refuse(0x58),
        _ => Reply::Accept(Some("DELIVRD")),
    })
    .await;
    let (centres, mut outcomes) = start(vec![settings("a", &smsc)]);
    bound(&centres, 1).await;
    centres.submit(&submission(7, "491701234567", 50)).unwrap();
    assert_eq!(outcome(&mut outcomes).await, (7, Outcome::Delivered));
    assert_eq!(smsc.received().len(), 2);
    assert_eq!(centres.status()[0].counts.throttled, 1);
}

#[tokio::test]
async fn refusals_and_receipts_of_failure_are_told() {
    let smsc = Smsc::with(None, 0, |number, _| match number {
        0 => Reply::Refuse(0x0B),
        1 => Reply::Refuse(0x08),
        _ => Reply::Accept(Some("UNDELIV")),
    })
    .await;
    let (centres, mut outcomes) = start(vec![settings("a", &smsc)]);
    bound(&centres, 1).await;
    for (id, permanent, reason) in [
        (1, true, "ESME_RINVDSTADR"),
        (2, false, "ESME_RSYSERR"),
        (3, true, "UNDELIV"),
    ] {
        centres.submit(&submission(id, "491701234567", 50)).unwrap();
        let reason = reason.to_owned();
        let expected = Outcome::Refused { permanent, reason };
        assert_eq!(outcome(&mut outcomes).await, (id, expected));
    }
}

#[tokio::test]
async fn numbers_go_to_the_centre_with_the_longest_prefix_and_to_another_when_it_is_down() {
    let (north, all) = (Smsc::start().await, Smsc::start().await);
    let mut first = settings("north", &north);
    first.prefixes = vec!["49".into()];
    let (centres, mut outcomes) = start(vec![settings("all", &all), first.clone()]);
    bound(&centres, 2).await;
    centres.submit(&submission(1, "491701234567", 50)).unwrap();
    centres.submit(&submission(2, "431701234567", 50)).unwrap();
    outcome(&mut outcomes).await;
    outcome(&mut outcomes).await;
    assert_eq!((north.received().len(), all.received().len()), (1, 1));
    // Nobody listens there.
    first.port = 1;
    let (centres, mut outcomes) = start(vec![settings("all", &all), first.clone()]);
    bound(&centres, 1).await;
    centres.submit(&submission(3, "491701234567", 50)).unwrap();
    assert_eq!(outcome(&mut outcomes).await, (3, Outcome::Delivered));
    assert_eq!(all.received().len(), 2);
    // Alone it takes no other numbers, and none while it is down.
    let (centres, _) = start(vec![first]);
    assert_eq!(
        centres.submit(&submission(4, "491701234567", 50)),
        Err(Outcome::Unreachable)
    );
    let refused = centres.submit(&submission(5, "431701234567", 50));
    assert!(
        matches!(
            refused,
            Err(Outcome::Refused {
                permanent: true,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_connection_that_ends_is_made_again() {
    let smsc = Smsc::with(None, 0, |number, _| match number {
        0 => Reply::Close,
        _ => Reply::Accept(None),
    })
    .await;
    let mut settings = settings("a", &smsc);
    settings.session.receipts = false;
    let (centres, mut outcomes) = start(vec![settings]);
    bound(&centres, 1).await;
    centres.submit(&submission(1, "491701234567", 50)).unwrap();
    assert_eq!(outcome(&mut outcomes).await, (1, Outcome::Unreachable));
    timeout(PATIENCE, async {
        while centres.submit(&submission(2, "491701234567", 50)).is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is bound again");
    assert_eq!(outcome(&mut outcomes).await, (2, Outcome::Sent));
    assert_eq!(centres.status()[0].counts.binds, 2);
}

#[tokio::test]
async fn a_refused_bind_is_counted_and_nothing_is_submitted() {
    let smsc = Smsc::with(None, 0x0E, |_, _| Reply::Accept(None)).await;
    let (centres, _outcomes) = start(vec![settings("a", &smsc)]);
    timeout(PATIENCE, async {
        while centres.status()[0].counts.connect_failures == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the failure is counted");
    assert_eq!(
        centres.submit(&submission(1, "491701234567", 50)),
        Err(Outcome::Unreachable)
    );
    assert!(smsc.received().is_empty());
}

#[tokio::test]
async fn tls_verifies_the_centre() {
    for (certificate, is_good) in [(Certificate::Good, true), (Certificate::WrongName, false)] {
        let tls = Some(acceptor(certificate, &[]));
        let smsc = Smsc::with(tls, 0, |_, _| Reply::Accept(Some("DELIVRD"))).await;
        let mut settings = settings("a", &smsc);
        settings.tls = true;
        let (centres, mut outcomes) = start(vec![settings]);
        if is_good {
            bound(&centres, 1).await;
            centres.submit(&submission(1, "491701234567", 50)).unwrap();
            assert_eq!(outcome(&mut outcomes).await, (1, Outcome::Delivered));
            continue;
        }
        timeout(PATIENCE, async {
            while centres.status()[0].counts.connect_failures == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the handshake fails");
        assert!(smsc.binds().is_empty(), "the password went to a stranger");
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
