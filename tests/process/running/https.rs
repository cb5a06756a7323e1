//! The HTTP port over TLS, towards handsets that speak TLS 1.2 or 1.3.

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;

use super::http::{connect, rest};
use crate::cli::process::{Gateway, configuration};
use crate::support::certificate::{connector, identity};
use crate::support::origin::Origin;

#[tokio::test]
async fn a_handset_that_speaks_tls_is_secured() {
    let origin = Origin::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = identity("sync.example.com");
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let more = format!(
        "[[route]]\nname = \"tls\"\nmatch = \"https://sync.example.com/\"\nsecured = true\n\
         upstream = \"{}\"\n[http]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        origin.uri(),
        file("http.pem", certificate.pem()),
        file("http.key", key.serialize_pem()),
    );
    let both = "connection_mode = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"";
    let text =
        configuration(&origin.uri(), &more).replace("connection_mode = \"127.0.0.1:0\"", both);
    let gateway = Gateway::start(&text).await;
    let line = gateway.line("listening for HTTPS").await;
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split(' ').next().unwrap().parse().unwrap();

    let name = ServerName::try_from("sync.example.com").unwrap();
    let tls = connector().connect(name, connect(address).await).await;
    let mut tls = tls.unwrap();
    // In origin form the scheme is that of the connection (RFC 9112 3.3).
    let request = "GET /bytes/9 HTTP/1.1\r\nHost: sync.example.com\r\nConnection: close\r\n\r\n";
    tls.write_all(request.as_bytes()).await.unwrap();
    let got = String::from_utf8_lossy(&rest(&mut tls).await).into_owned();
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    assert_eq!(origin.heard("/bytes/9").len(), 1);
    let line = gateway.line("access: exchange").await;
    for words in [
        "binding=http",
        "secured=true",
        "route=\"tls\"",
        "https://sync.example.com/bytes/9",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }

    // Plain text gets no answer in plain text.
    let mut plain = connect(address).await;
    plain.write_all(request.as_bytes()).await.unwrap();
    let got = rest(&mut plain).await;
    assert!(
        !got.starts_with(b"HTTP/"),
        "{}",
        String::from_utf8_lossy(&got)
    );
    assert_eq!(origin.heard_in_all(), 1);
}
