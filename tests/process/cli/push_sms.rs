//! A push from an initiator's document to an SMS centre, through the running program.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use wapbridge::handset::Event;
use wapbridge::radius::Secret;
use wapbridge::sms::{Ports, UserDataHeader};

use super::process::{Gateway, configuration, run};
use crate::support::nas::Nas;
use crate::support::origin::http_get;
use crate::support::phone::{Phone, taking};
use crate::support::smsc::{Reply, Smsc};

/// A gateway in front of this centre, and the URL of its initiators.
async fn gateway(smsc: &Smsc) -> (Gateway, String) {
    gateway_with(smsc, "", ["", ""]).await
}

/// The same with a store, and more settings of `[push]` and of the centre.
async fn gateway_with(smsc: &Smsc, store: &str, [push, centre]: [&str; 2]) -> (Gateway, String) {
    let more = format!(
        "{store}[push]\nlisten = \"127.0.0.1:0\"\nretry = \"1s\"\n{push}\
         [[push.initiator]]\nname = \"tester\"\nnetworks = [\"127.0.0.0/8\"]\ntargets = [\"+49170\"]\n\
         [[smsc]]\nname = \"here\"\naddress = \"{}\"\nsystem_id = \"wapbridge\"\npassword = \"secret\"\n\
         prefixes = [\"49\"]\n{centre}",
        smsc.address
    );
    let gateway = Gateway::start(&configuration("https://localhost:1/", &more)).await;
    let line = gateway.line("listening for push initiators").await;
    let address = line.split("address=").nth(1).unwrap().trim().to_owned();
    gateway.line("bound to the SMS centre").await;
    (gateway, format!("http://{address}/pap"))
}

/// Asks for the status of a push until it has this state.
async fn becomes(url: &str, push_id: &str, state: &str) {
    all_become(url, push_id, state, 1).await;
}

/// The same for so many recipients.
async fn all_become(url: &str, push_id: &str, state: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = run(&["push", "status", "--ppg", url, push_id]).await;
        let told = output.succeeds().text();
        if told.matches(state).count() == count {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{push_id} never became {state}: {told}"
        );
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_push_to_a_number_without_an_address_goes_by_sms() {
    let smsc = Smsc::start().await;
    let (gateway, url) = gateway(&smsc).await;
    run(&[
        "push",
        "notify-sync",
        "--ppg",
        &url,
        "--push-id",
        "san",
        "--server",
        "srv.example",
        "--session",
        "258",
        "--store",
        "./contacts:text/x-vcard",
        "+491701234567",
    ])
    .await
    .succeeds();
    becomes(&url, "san", "delivered").await;
    let received = smsc.received();
    assert_eq!(received[0].destination_addr.to_string(), "491701234567");
    let octets: &[u8] = received[0].short_message().as_ref();
    let (header, datagram) = UserDataHeader::decode(octets).unwrap();
    let (destination, source) = (2948, 9200);
    assert_eq!(
        header.ports,
        Some(Ports {
            destination,
            source
        })
    );
    // A transaction id; Push; the content type as a number, the application as one.
    let [_, push @ ..] = datagram else {
        panic!("an empty datagram")
    };
    assert_eq!(push[..5], *b"\x06\x03\xCE\xAF\x85");
    // The notification as it was built, untouched.
    assert_eq!(
        push[5 + 16..],
        *b"\x03\x08\x00\x00\x00\x01\x02\x0bsrv.example\x10\x60\x00\x00\x07\x0a./contacts"
    );
    // Text becomes WBXML, and parts are joined to it.
    let text = "You have mail. ".repeat(30);
    run(&[
        "push",
        "si",
        "--ppg",
        &url,
        "--push-id",
        "si",
        "--href",
        "http://mail.example/",
        "--text",
        &text,
        "+491701234567",
    ])
    .await
    .succeeds();
    becomes(&url, "si", "delivered").await;
    let datagrams = smsc.datagrams();
    assert!(smsc.received().len() >= 5, "{}", smsc.received().len());
    assert!(
        datagrams[1]
            .windows(6)
            .any(|octets| octets == b"\x02\x05\x6A\x00\x45\xC6")
    );
    // Only its own targets; and no number is in the log.
    run(&[
        "push",
        "sl",
        "--ppg",
        &url,
        "--href",
        "http://a.example/",
        "+431701234567",
    ])
    .await
    .fails();
    assert!(!gateway.log().contains("1701234567"), "{}", gateway.log());
}

#[tokio::test]
async fn a_centre_that_cannot_take_a_push_gets_it_again() {
    let smsc = Smsc::with(None, 0, |number, _| match number {
        0 => Reply::Refuse(0x08),
        1 => Reply::Close,
        2 => Reply::Accept(Some("DELIVRD")),
        _ => Reply::Refuse(0x0B),
    })
    .await;
    let (_gateway, url) = gateway(&smsc).await;
    let push = |id| {
        let url = url.clone();
        async move {
            let push = [
                "push",
                "sl",
                "--ppg",
                &url,
                "--push-id",
                id,
                "--href",
                "http://a.example/",
                "+491701",
            ];
            run(&push).await.succeeds();
        }
    };
    push("again").await;
    becomes(&url, "again", "delivered").await;
    assert_eq!(smsc.received().len(), 3);
    push("refused").await;
    becomes(&url, "refused", "undeliverable").await;
}

#[tokio::test]
async fn pushes_still_go_by_sms_after_a_reload() {
    let smsc = Smsc::start().await;
    let (gateway, url) = gateway(&smsc).await;
    // A push that nobody submitted is a failed query.
    run(&["push", "status", "--ppg", &url, "never"])
        .await
        .fails()
        .says(&["unknown", "2004"]);
    gateway.signal("HUP");
    gateway
        .line("routes, limits and certificates reloaded")
        .await;
    run(&[
        "push",
        "sl",
        "--ppg",
        &url,
        "--push-id",
        "after",
        "--bearer",
        "SMS",
        "--href",
        "http://a.example/",
        "+491701234567",
    ])
    .await
    .succeeds();
    becomes(&url, "after", "delivered").await;
}

#[tokio::test]
async fn an_orderly_stop_keeps_what_became_of_short_messages() {
    // The receipt never comes.
    let smsc = Smsc::with(None, 0, |_, _| Reply::Accept(None)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = format!("[store]\npath = \"{}\"\n", path.display());
    let (mut first, url) = gateway_with(&smsc, &store, ["", ""]).await;
    for id in ["a", "b"] {
        run(&[
            "push",
            "sl",
            "--ppg",
            &url,
            "--push-id",
            id,
            "--bearer",
            "SMS",
            "--href",
            "http://a.example/",
            "+491701",
        ])
        .await
        .succeeds();
    }
    let sent = async {
        while smsc.received().len() < 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), sent).await.unwrap();
    becomes(&url, "a", "pending").await;
    first.signal("TERM");
    assert!(first.ended().await.success());
    let log = first.log();
    assert_eq!(log.matches("state=\"delivered\"").count(), 2, "{log}");
    // The next process neither sends them again nor forgets them.
    let (_second, url) = gateway_with(&smsc, &store, ["", ""]).await;
    becomes(&url, "a", "delivered").await;
    becomes(&url, "b", "delivered").await;
    assert_eq!(smsc.received().len(), 2);
}

#[tokio::test]
async fn short_messages_that_no_centre_took_before_a_stop_go_after_it() {
    let smsc = Smsc::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = format!("[store]\npath = \"{}\"\n", path.display());
    // The stop is no attempt that failed: the first failure would be the last. The next process
    // may try before its centre is bound.
    let [once, often] = [1, 9].map(|count| format!("max_attempts = {count}\n"));
    let (mut first, url) = gateway_with(&smsc, &store, [&once, "rate = 1\n"]).await;
    run(&[
        "push",
        "sl",
        "--ppg",
        &url,
        "--push-id",
        "a",
        "--bearer",
        "SMS",
        "--href",
        "http://a.example/",
        "+491701",
        "+491702",
        "+491703",
    ])
    .await
    .succeeds();
    first.signal("TERM");
    assert!(first.ended().await.success());
    assert!(smsc.received().len() < 3);
    let (_second, url) = gateway_with(&smsc, &store, [&often, "rate = 1\n"]).await;
    all_become(&url, "a", "delivered", 3).await;
}

/// Submits a push that the client is to confirm, which has neither a session nor an address.
async fn needs_a_session(url: &str, id: &str) {
    let push = [
        "push",
        "sl",
        "--ppg",
        url,
        "--push-id",
        id,
        "--href",
        "http://a.example/",
    ];
    let push = [&push[..], &["--delivery", "confirmed", "+491701234567"]].concat();
    run(&push).await.succeeds();
}

/// Waits for the short message that asks the client to connect.
async fn asked_by_sms(smsc: &Smsc) {
    let asked = async {
        while smsc.received().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), asked).await.unwrap();
    // Push; application/vnd.wap.sia.
    assert_eq!(smsc.datagrams()[0][1..5], *b"\x06\x03\xB4\xAF");
}

const CONTACTS: &str = "contacts = [\"192.0.2.1:9201\"]\n";

#[tokio::test]
async fn a_client_that_is_asked_by_sms_gets_its_push_before_the_receipt() {
    // The receipt never comes.
    let smsc = Smsc::with(None, 0, |_, _| Reply::Accept(None)).await;
    let identity = "[identity.radius]\nlisten = \"127.0.0.1:0\"\n[[identity.radius.client]]\n\
                    network = \"127.0.0.0/8\"\nsecret = \"testing123\"\n";
    let (gateway, url) = gateway_with(&smsc, identity, [CONTACTS, ""]).await;
    needs_a_session(&url, "a").await;
    asked_by_sms(&smsc).await;
    let line = gateway.line("listening for RADIUS accounting").await;
    let secret = Secret::new(*b"testing123");
    let mut nas = Nas::of(line.split("address=").nth(1).unwrap().trim());
    let start = nas.reports(1, "+491701234567", &secret);
    nas.hears_the_answer_to(&start, &secret);
    let mut phone = Phone::connect_with(gateway.air, taking(&[])).await;
    match phone.event().await {
        Event::Pushed(pushed) => assert!(pushed.confirmed),
        other => panic!("{other:?}"),
    }
    let line = gateway.line("access: push").await;
    let words = ["state=\"delivered\"", "bearer=\"session_confirmed\""];
    assert!(words.iter().all(|words| line.contains(words)), "{line}");
    assert_eq!(smsc.received().len(), 1);
}

#[tokio::test]
async fn a_request_by_sms_is_not_repeated_before_its_receipt_and_can_be_cancelled() {
    let smsc = Smsc::with(None, 0, |_, _| Reply::Accept(None)).await;
    let often = format!("{CONTACTS}initiation_interval = \"1s\"\n");
    let (gateway, url) = gateway_with(&smsc, "", [&often, ""]).await;
    needs_a_session(&url, "a").await;
    asked_by_sms(&smsc).await;
    // The session is looked for: with the third look the request's interval is over.
    let looked = async {
        let name = "wapbridge_push_attempts_total{bearer=\"session_confirmed\"} ";
        loop {
            let metrics = http_get(gateway.admin, "/metrics").await;
            let looks = metrics.lines().find_map(|line| line.strip_prefix(name));
            if looks.is_some_and(|looks| looks.parse::<u32>().unwrap() >= 3) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), looked).await.unwrap();
    assert_eq!(smsc.received().len(), 1);
    run(&["push", "cancel", "--ppg", &url, "a"])
        .await
        .succeeds();
    let line = gateway.line("access: push").await;
    assert!(line.contains("state=\"cancelled\""), "{line}");
}

#[tokio::test]
async fn a_request_by_sms_that_is_not_delivered_ends_the_push() {
    let smsc = Smsc::with(None, 0, |_, _| Reply::Accept(Some("UNDELIV"))).await;
    let (gateway, url) = gateway_with(&smsc, "", [CONTACTS, ""]).await;
    needs_a_session(&url, "a").await;
    becomes(&url, "a", "undeliverable").await;
    let line = gateway.line("access: push").await;
    assert!(line.contains("bearer=\"sir_sms\""), "{line}");
    assert_eq!(smsc.received().len(), 1);
}
