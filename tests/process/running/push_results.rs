//! Results that initiators are told by HTTPS, and initiators that come by TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, StreamOwned};

use super::push::{PHONE, Stage, code, read_message, stage_of, submission};
use crate::support::certificate::{Authority, acceptor_of, issue, new_authority};

/// An initiator's HTTPS server: its URL, and the heads and bodies it got. It answers the first
/// requests with these statuses, and all others with 202.
fn results_server(
    authority: &Authority,
    statuses: &'static [&'static str],
) -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::clone(acceptor_of(authority).config());
    let (tell, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.iter();
        for tcp in listener.incoming() {
            let server = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(server, tcp.unwrap());
            // A client that does not trust the certificate sends no request.
            let Some((head, body)) = read_message(&mut stream) else {
                let _ = tell.send((String::new(), String::new()));
                continue;
            };
            let _ = tell.send((head, String::from_utf8(body).unwrap()));
            let status = statuses.next().unwrap_or(&"202 Accepted");
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (format!("https://localhost:{port}/results"), heard)
}

/// A stage that trusts this authority, may tell results in these networks, and tries again after
/// this time.
fn telling(name: &str, authority: &Authority, networks: &str, retry: &str) -> Stage {
    stage_of(
        name,
        &format!("retry = \"{retry}\"\nretry_most = \"{retry}\"\n"),
        "",
        &[("trusted.pem", &authority.pem())],
        |text| {
            text.replace("\"ca.pem\"", "\"trusted.pem\"")
                .replace("[\"127.0.0.0/8\"]\nnotify_plaintext = true", networks)
        },
    )
}

const LOOPBACK: &str = "[\"127.0.0.0/8\", \"::1/128\"]";

fn asks_for_results(url: &str) -> String {
    format!("ppg-notify-requested-to=\"{url}\"")
}

#[test]
fn a_result_is_told_by_https_and_again_after_an_error() {
    let authority = new_authority("results");
    let stage = telling("push-results", &authority, LOOPBACK, "1s");
    let (url, heard) = results_server(&authority, &["503 Service Unavailable"]);
    assert_eq!(stage.submit("1", &asks_for_results(&url)), "1001");
    let mut told = (0..2).map(|_| heard.recv_timeout(Duration::from_secs(30)).unwrap());
    let (first, second) = (told.next().unwrap(), told.next().unwrap());
    assert!(
        first.0.starts_with("POST /results HTTP/1.1\r\n"),
        "{first:?}"
    );
    let head = first.0.to_ascii_lowercase();
    assert!(head.contains("content-type: application/xml\r\n"), "{head}");
    assert!(first.1.contains("<resultnotification-message"), "{first:?}");
    assert!(first.1.contains("message-state=\"delivered\""), "{first:?}");
    assert_eq!(first.1, second.1);
    stage.counts("wapbridge_push_notifications_total{outcome=\"retried\"} 1");
    stage.counts("wapbridge_push_notifications_total{outcome=\"told\"} 1");
    stage.counts("wapbridge_push_notifications_pending 0");
    assert!(heard.try_recv().is_err());
}

#[test]
fn a_result_is_not_told_to_who_cannot_prove_its_name() {
    let authority = new_authority("results");
    let stage = telling("push-strangers", &new_authority("other"), LOOPBACK, "1h");
    let (url, heard) = results_server(&authority, &[]);
    assert_eq!(stage.submit("1", &asks_for_results(&url)), "1001");
    stage.counts("wapbridge_push_notifications_total{outcome=\"retried\"} 1");
    let (head, body) = heard.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!((&*head, &*body), ("", ""));
    stage.counts("wapbridge_push_notifications_total{outcome=\"told\"} 0");
}

#[test]
fn a_result_goes_to_no_private_address_that_no_setting_allows() {
    let authority = new_authority("results");
    let stage = telling("push-private", &authority, "[\"10.0.0.0/8\"]", "1h");
    let (url, heard) = results_server(&authority, &[]);
    let by_address = url.replace("localhost", "127.0.0.1");
    for (id, url) in [("1", &url), ("2", &by_address)] {
        assert_eq!(stage.submit(id, &asks_for_results(url)), "1001");
    }
    // The pushes themselves are delivered. Both results wait, after a try each.
    stage.counts("wapbridge_push_finished_total{state=\"delivered\"} 2");
    stage.counts("wapbridge_push_notifications_total{outcome=\"retried\"} 2");
    stage.counts("wapbridge_push_notifications_pending 2");
    assert!(heard.try_recv().is_err());
}

/// A submission of this client; the status of HTTP and the code of PAP.
fn submit_by_tls(
    stage: &Stage,
    client: &ClientConfig,
    id: &str,
) -> std::io::Result<(String, String)> {
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    let tcp = TcpStream::connect(stage.gateway.pushes.as_ref().unwrap())?;
    tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(client, tcp);
    let body = submission(id, "", PHONE);
    let head = format!(
        "POST /pap HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/related; boundary=x\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok((answer[9..12].to_owned(), code(&answer)))
}

#[test]
fn initiators_prove_who_they_are_by_tls() {
    let (authority, own) = (new_authority("push"), new_authority("own"));
    let (server, server_key) = issue("localhost", &own);
    let (client, client_key) = issue("sync.example", &authority);
    let (other, other_key) = issue("other.example", &authority);
    let (stranger, stranger_key) = issue("sync.example", &new_authority("push"));
    let pem = format!("{}{}", server.pem(), server_key.serialize_pem());
    let stage = stage_of(
        "push-tls",
        "certificate = \"push.pem\"\nclient_ca_file = \"clients.pem\"\n",
        "",
        &[
            ("push.pem", &pem),
            ("clients.pem", &authority.pem()),
            ("sync.pem", &client.pem()),
        ],
        |text| {
            text.replace(
                "user = \"sync\"\npassword = \"open sesame 12345\"",
                "client_certificate = \"sync.pem\"\nuri = \"https://sync.example/\"",
            )
        },
    );
    let mut roots = RootCertStore::empty();
    roots.add(own.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let shows = |shown: &rcgen::Certificate, key: &rcgen::KeyPair| {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let chain = vec![CertificateDer::clone(shown.der())];
        config.clone().with_client_auth_cert(chain, key).unwrap()
    };
    let submitted = |client: &ClientConfig, id| submit_by_tls(&stage, client, id).unwrap();
    let is = |status: &str, code: &str| (status.to_owned(), code.to_owned());
    assert_eq!(
        submitted(&shows(&client, &client_key), "1"),
        is("202", "1001")
    );
    // X-Wap-Initiator-URI, and the flag of an initiator that was authenticated.
    let heard = String::from_utf8_lossy(&stage.hear()).into_owned();
    assert!(heard.contains("https://sync.example/"), "{heard}");
    let nobody = config.clone().with_no_client_auth();
    assert_eq!(submitted(&nobody, "2"), is("401", "2001"));
    assert_eq!(
        submitted(&shows(&other, &other_key), "3"),
        is("401", "2001")
    );
    // Of another authority: no handshake. And no request in clear.
    assert!(submit_by_tls(&stage, &shows(&stranger, &stranger_key), "4").is_err());
    let mut tcp = stage.connect();
    tcp.write_all(b"POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    stage.counts("wapbridge_push_submissions_total{outcome=\"accepted\"} 1");
}
