//! Subscribers' identities: RADIUS accounting and lists give them to the gateway, and the gateway
//! gives them to trusted origins.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use wapbridge::radius::Secret;

use super::gateway::Gateway;
use crate::support::certificate::new_authority;
use crate::support::nas::Nas;

/// A plain HTTP origin that replies with the head of the request; returns its port.
fn mirror() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap_or(0) > 0 {}
            let head = head.to_ascii_lowercase();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{head}",
                head.len()
            );
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    port
}

fn configuration(port: u16, identity: &str) -> String {
    format!(
        "[listen]\nconnection_mode = \"127.0.0.1:0\"\nconnectionless = []\nshards = 2\n\
         [admin]\nlisten = []\n[tls]\nca_file = \"ca.pem\"\n\
         [[route]]\nname = \"trusted\"\nmatch = \"http://trusted.example/\"\n\
         upstream = \"http://127.0.0.1:{port}/\"\nallow_plaintext = true\n\
         allow_plaintext_identity = true\n\
         insert_identity = {{ X-MSISDN = \"msisdn\", X-Who = \"alias\" }}\n\
         [[route]]\nname = \"other\"\nmatch = \"http://other.example/\"\n\
         upstream = \"http://127.0.0.1:{port}/\"\nallow_plaintext = true\n\
         [identity]\n{identity}"
    )
}

pub(super) const RADIUS: &str = "[identity.radius]\nlisten = \"127.0.0.1:0\"\n\
     [[identity.radius.client]]\nnetwork = \"127.0.0.0/8\"\nsecret = \"testing123\"\n";

#[test]
fn accounting_identifies_subscribers_and_only_trusted_origins_get_identities() {
    let port = mirror();
    let key = "alias_key_file = \"alias.key\"\n";
    let identity = format!("{key}file = \"list.csv\"\n{RADIUS}");
    // The files it names must be there when it starts.
    let gateway = Gateway::start_with(
        "identity",
        &configuration(port, &identity),
        &new_authority("a").pem(),
        &[("alias.key", &"k".repeat(32)), ("list.csv", "# nobody\n")],
    );
    let (right, wrong) = (Secret::new(*b"testing123"), Secret::new(*b"guess"));
    let trusted = || gateway.get_from("http://trusted.example/", &["X-MSISDN: 4966600660066"]);
    let before = trusted();
    assert!(
        before.contains("get / http") && !before.contains("x-msisdn"),
        "{before}"
    );

    let mut nas = Nas::of(gateway.accounting.as_ref().unwrap());
    nas.reports(1, "4917666", &wrong);
    let start = nas.reports(1, "+491701234567", &right);
    nas.hears_the_answer_to(&start, &right);
    let told = trusted();
    assert!(told.contains("x-msisdn: 491701234567\r\n"), "{told}");
    assert!(
        told.contains("x-who: ") && !told.contains("4966600660066") && !told.contains("4917666"),
        "{told}"
    );
    let other = gateway.get_from("http://other.example/", &["X-Who: 4966600660066"]);
    assert!(other.contains("get / http"), "{other}");
    assert!(
        !other.contains("491701234567") && !other.contains("x-who"),
        "{other}"
    );

    // A list that was read again takes effect once accounting has no session for the address.
    gateway.write("list.csv", "address,msisdn,alias\n127.0.0.0/8,4900,anna\n");
    gateway.hang_up();
    gateway.says("reloaded");
    assert!(trusted().contains("x-msisdn: 491701234567\r\n"));
    let stop = nas.reports(2, "", &right);
    nas.hears_the_answer_to(&stop, &right);
    let told = trusted();
    assert!(
        told.contains("x-msisdn: 4900\r\n") && told.contains("x-who: anna\r\n"),
        "{told}"
    );

    // A list with an error changes nothing.
    gateway.write("list.csv", "127.0.0.1\n");
    gateway.hang_up();
    let complaint = gateway.says("list.csv:1");
    assert!(complaint.contains("address,msisdn"), "{complaint}");
    assert!(trusted().contains("x-msisdn: 4900\r\n"));
}
