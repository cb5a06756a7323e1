//! Pushes to clients over the air: in their sessions, after a request to connect, and to a number.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use wapbridge::handset::{Config, Event, Pushed, Pushes};
use wapbridge::push::pap::{Method, Status};
use wapbridge::radius::Secret;
use wapbridge::wsp::AbortReason;

use super::identity::RADIUS;
use super::push::{PHONE, Stage, code, stage, stage_of, stage_with, submission};
use super::trace::{TOKEN, ask};
use crate::support::nas::Nas;
use crate::support::phone::{Phone, taking};

const NUMBER: &str = "WAPPUSH=+491701234567/TYPE=PLMN@gw";

/// A client at this address, with a session.
async fn connected(stage: &Stage, own: IpAddr, config: Config) -> Phone {
    let gateway = stage.gateway.address.parse().unwrap();
    let mut phone = Phone::switched_on_at(own, gateway, config).await;
    phone.connect_again().await;
    phone
}

async fn pushed(phone: &mut Phone) -> Pushed {
    match phone.event().await {
        Event::Pushed(pushed) => pushed,
        other => panic!("{other:?}"),
    }
}

fn has(pushed: &Pushed, field: &str) -> bool {
    let mut fields = pushed.headers.iter();
    fields.any(|(name, _)| name.eq_ignore_ascii_case(field))
}

fn address_of(own: IpAddr) -> String {
    format!("WAPPUSH={own}/TYPE=IPv4@gw")
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_session_takes_a_confirmed_push_and_an_unconfirmed_one() {
    let stage = stage("push-session", "");
    let mut phone = connected(&stage, LOCALHOST, taking(&[])).await;
    for (id, method, expected) in [
        ("1", "confirmed", Method::Confirmed),
        ("2", "unconfirmed", Method::Unconfirmed),
    ] {
        stage.submit_to(id, PHONE, method);
        let pushed = pushed(&mut phone).await;
        assert_eq!(pushed.confirmed, expected == Method::Confirmed);
        assert_eq!(pushed.content_type, "application/vnd.syncml.notification");
        assert_eq!(pushed.body, format!("hello {id}"));
        let result = stage.results.next();
        assert_eq!(
            (&*result.push_id, result.state.name(), result.code),
            (id, "delivered", Status::OK)
        );
        assert_eq!(result.quality.unwrap().method, expected);
    }
    stage.counts("wapbridge_wsp_pushes_total 2");
    stage.counts("wapbridge_wsp_pushes_confirmed_total 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_refuses_a_confirmed_push_aborts_it() {
    let stage = stage("push-refused", "");
    let config = Config {
        pushes: Pushes::Refuse(AbortReason::USERDCR),
        ..taking(&[])
    };
    let mut phone = connected(&stage, LOCALHOST, config).await;
    // A push that is refused is no event.
    let refusing = tokio::spawn(async move { phone.event().await });
    stage.submit_to("1", PHONE, "confirmed");
    let result = stage.results.next();
    refusing.abort();
    assert_eq!(
        (result.state.name(), result.code),
        ("aborted", Status::aborted(AbortReason::USERDCR.0))
    );
}

/// A socket at the port of connectionless pushes, of an address that no other test has.
fn push_port() -> (UdpSocket, IpAddr) {
    let [.., first, second] = std::process::id().to_be_bytes();
    for third in 1..=254 {
        let own = Ipv4Addr::new(127, first | 0x80, second, third);
        if let Ok(socket) = UdpSocket::bind((own, 2948)) {
            return (socket, own.into());
        }
    }
    panic!("port 2948 is taken everywhere");
}

#[tokio::test]
async fn a_client_without_a_session_is_asked_to_connect_and_gets_its_push() {
    let stage = stage("push-sir", "contacts = [\"192.0.2.1:9201\"]\n");
    let (socket, own) = push_port();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stage.submit_to("1", &address_of(own), "confirmed");
    let mut datagram = [0; 2_000];
    let length = socket.recv(&mut datagram).unwrap();
    // Push; application/vnd.wap.sia, X-Wap-Application-Id 1; version 1; Accept-Application 5; the
    // contact point with its port.
    assert_eq!(
        datagram[1..length],
        *b"\x06\x03\xB4\xAF\x81\x01\x02\xB2\x85\x07\x44\x23\xF1\xC0\x00\x02\x01"
    );
    let mut phone = connected(&stage, own, taking(&[])).await;
    let pushed = pushed(&mut phone).await;
    assert!(pushed.confirmed);
    assert_eq!(pushed.body, "hello 1");
    let result = stage.results.next();
    assert_eq!(
        (result.state.name(), result.quality.unwrap().method),
        ("delivered", Method::Confirmed)
    );
    stage.counts("wapbridge_push_attempts_total{bearer=\"initiation\"} 1");
}

#[test]
fn a_number_is_reached_at_the_address_that_accounting_tells() {
    let stage = stage("push-radius", &format!("retry = \"1s\"\n{RADIUS}"));
    stage.submit_to("1", NUMBER, "unconfirmed");
    let list = stage.admin("/pushes");
    assert!(list.contains("\"state\":\"pending\""), "{list}");
    let secret = Secret::new(*b"testing123");
    let mut nas = Nas::of(stage.gateway.accounting.as_ref().unwrap());
    let start = nas.reports(1, "+491701234567", &secret);
    nas.hears_the_answer_to(&start, &secret);
    assert!(stage.hear().ends_with(b"hello 1"));
    let result = stage.results.next();
    assert_eq!(
        (&*result.address, result.state.name()),
        (NUMBER, "delivered")
    );
}

/// A datagram in clear leaves by no secure port.
#[cfg(feature = "wtls")]
#[test]
fn with_secure_ports_only_a_push_without_a_session_is_not_delivered() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wtls/key.pem");
    let more = format!("max_attempts = 1\n[wtls]\nkey = \"{key}\"\n");
    let stage = stage_of("push-secure", &more, "", &[], |text| {
        let plain = "connection_mode = \"127.0.0.1:0\"\nconnectionless = \"127.0.0.1:0\"";
        text.replace(plain, "secure_connection_mode = \"127.0.0.1:0\"")
    });
    stage.submit_to("1", PHONE, "unconfirmed");
    assert_eq!(stage.results.next().state.name(), "undeliverable");
}

/// A subscriber of IPv4 and IPv6 has two addresses. The client is reached at the one it uses.
#[tokio::test]
async fn a_number_with_addresses_of_both_kinds_is_reached_at_the_one_in_use() {
    let stage = stage("push-dual", &format!("retry = \"1s\"\n{RADIUS}"));
    let secret = Secret::new(*b"testing123");
    let mut nas = Nas::of(stage.gateway.accounting.as_ref().unwrap());
    // Framed-IPv6-Prefix: 2001:db8:0:1::/64.
    let prefix = (97, &b"\x00\x40\x20\x01\x0D\xB8\x00\x00\x00\x01"[..]);
    let start = nas.reports_with(1, "+491701234567", &secret, &[prefix]);
    nas.hears_the_answer_to(&start, &secret);
    // By UDP.
    stage.submit_to("1", NUMBER, "unconfirmed");
    assert!(stage.hear().ends_with(b"hello 1"));
    assert_eq!(stage.results.next().state.name(), "delivered");
    // In a session.
    let mut phone = connected(&stage, LOCALHOST, taking(&[])).await;
    stage.submit_to("2", NUMBER, "confirmed");
    assert_eq!(pushed(&mut phone).await.body, "hello 2");
    let query =
        format!("<pap><ccq-message><address address-value=\"{NUMBER}\"/></ccq-message></pap>");
    let (_, answer) = stage.post("application/xml", query.as_bytes());
    assert_eq!(code(&answer), "1000", "{answer}");
}

#[tokio::test]
async fn the_capabilities_of_a_client_are_those_of_its_connect() {
    let stage = stage("push-ccq", "");
    let fields = [
        ("accept", "application/vnd.syncml.notification, text/plain"),
        ("accept-language", "de"),
    ];
    let _phone = connected(&stage, LOCALHOST, taking(&fields)).await;
    let query = format!(
        "<pap><ccq-message query-id=\"q1\"><address address-value=\"{PHONE}\"/></ccq-message></pap>"
    );
    let (status, answer) = stage.post("application/xml", query.as_bytes());
    assert_eq!((status, &*code(&answer)), (202, "1000"), "{answer}");
    for part in [
        "query-id=\"q1\"",
        "<rdf:li>application/vnd.syncml.notification</rdf:li>",
        "<rdf:li>text/plain</rdf:li>",
        "<rdf:li>de</rdf:li>",
        "<prf:Push-MsgSize>1400</prf:Push-MsgSize>",
        "<prf:Push-MaxPushReq>2</prf:Push-MaxPushReq>",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
}

#[tokio::test]
async fn clients_of_a_model_do_not_get_its_fields() {
    let rule = "[[push.user_agent]]\nmatch = [\"Phone*\"]\ndrop = [\"X-Wap-Content-URI\"]\n";
    let stage = stage("push-model", rule);
    for (number, model, is_kept) in [(1, "Phone9/1.0", false), (2, "Other/1.0", true)] {
        let own = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number));
        let mut phone = connected(&stage, own, taking(&[("user-agent", model)])).await;
        let field = "X-Wap-Content-URI: http://sync.example/1\r\nX-Wap-Application-Id";
        let body = submission(&number.to_string(), "", &address_of(own))
            .replace("X-Wap-Application-Id", field);
        let (_, answer) = stage.post("multipart/related; boundary=x", body.as_bytes());
        assert_eq!(code(&answer), "1001", "{answer}");
        let pushed = pushed(&mut phone).await;
        assert!(has(&pushed, "x-wap-application-id"), "{pushed:?}");
        assert_eq!(has(&pushed, "x-wap-content-uri"), is_kept, "{pushed:?}");
    }
}

#[tokio::test]
async fn the_trace_of_a_subscriber_shows_its_pushes() {
    let token = format!("[admin]\ntoken = \"{TOKEN}\"\n");
    let stage = stage_of("push-trace", "", "", &[], |text| {
        text.replace("[admin]\n", &token)
    });
    let body = "{\"ip\":\"127.0.0.1\",\"for\":\"1h\"}";
    assert_eq!(ask(&stage.gateway, "POST /trace", TOKEN, body).0, 201);
    // By UDP, then in a session.
    assert_eq!(stage.submit("1", ""), "1001");
    assert!(stage.hear().ends_with(b"hello 1"));
    let mut phone = connected(&stage, LOCALHOST, taking(&[])).await;
    stage.submit_to("2", PHONE, "confirmed");
    assert_eq!(pushed(&mut phone).await.body, "hello 2");
    stage.results.next();
    assert_eq!(ask(&stage.gateway, "DELETE /trace/1", TOKEN, "").0, 204);
    let events = ask(&stage.gateway, "GET /trace/1/events", TOKEN, "").1;
    for words in [
        "WSP Push",
        "WSP ConfirmedPush",
        "application/vnd.syncml.notification",
    ] {
        assert!(events.contains(words), "{words} in {events}");
    }
}

/// The places of the pushes on the pages of a list, each page of so many.
fn pages(stage: &Stage, query: &str, limit: usize) -> Vec<Vec<(String, String, String)>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = stage.admin(&format!("/pushes?limit={limit}{query}{cursor}"));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let page: serde_json::Value = serde_json::from_str(body).unwrap();
        let rows = page["pushes"].as_array().unwrap().iter();
        let text = |row: &serde_json::Value, name| row[name].as_str().unwrap().to_owned();
        let rows = rows.map(|row| {
            (
                text(row, "push_id"),
                text(row, "state"),
                text(row, "recipient"),
            )
        });
        pages.push(rows.collect());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[test]
fn the_list_of_pushes_has_pages_filters_and_no_numbers() {
    let other = "[[push.initiator]]\nname = \"other\"\nuser = \"other\"\n\
                 password = \"open sesame 12345\"\ntargets = [\"127.0.0.0/8\"]\n";
    let stage = stage_with("push-list", "", other);
    for id in ["1", "2"] {
        assert_eq!(stage.submit(id, ""), "1001");
        stage.hear_any();
    }
    stage.submit_to("3", NUMBER, "unconfirmed");
    let body = submission("4", "", PHONE);
    let (_, answer) = stage.post_as("other", "multipart/related; boundary=x", body.as_bytes());
    assert_eq!(code(&answer), "1001", "{answer}");
    stage.hear_any();
    // The last outcome is the shard's, and not the telephone's.
    stage.counts("wapbridge_push_finished_total{state=\"delivered\"} 3");

    let ids = |query| {
        let pages = pages(&stage, query, 2);
        let ids = pages
            .iter()
            .map(|page| page.iter().map(|(id, ..)| id.clone()));
        ids.map(Iterator::collect).collect::<Vec<Vec<_>>>()
    };
    assert_eq!(ids(""), [vec!["1", "2"], vec!["3", "4"]]);
    assert_eq!(ids("&state=delivered"), [vec!["1", "2"], vec!["4"]]);
    assert_eq!(ids("&state=pending"), [vec!["3"]]);
    assert_eq!(ids("&initiator=other"), [vec!["4"]]);
    assert_eq!(
        ids("&initiator=other&state=pending"),
        [Vec::<String>::new()]
    );
    let (_, state, recipient) = pages(&stage, "&state=pending", 1).remove(0).remove(0);
    assert_eq!((&*state, &*recipient), ("pending", "PLMN …67"));
    for (query, words) in [
        ("state=over", "state is one of"),
        ("cursor=x", "cursor must be"),
    ] {
        let answer = stage.admin(&format!("/pushes?{query}"));
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains(words),
            "{answer}"
        );
    }
}
