//! `push`: what is built, and a push initiator's side of PAP.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::process::{run, run_in};

fn file(name: &str) -> PathBuf {
    let name = format!("push-{}-{name}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The notification that libsynthesis builds of the same.
#[tokio::test]
async fn a_notification_is_built_and_its_digest_is_judged() {
    let (password, san) = (file("password"), file("san.bin"));
    std::fs::write(&password, "secret\n").unwrap();
    run(&[
        "push",
        "notify-sync",
        "--server",
        "srv.example",
        "--session",
        "258",
        "--ui-mode",
        "informative",
        "--store",
        "./contacts:text/x-vcard",
        "--store",
        "./calendar:text/x-vcalendar",
        "--password-file",
        text(&password),
        "--nonce",
        "nonce-1",
        "-o",
        text(&san),
    ])
    .await
    .succeeds();
    let octets = std::fs::read(&san).unwrap();
    let trigger = b"\x03\x28\x00\x00\x00\x01\x02\x0bsrv.example\x20\
        \x60\x00\x00\x07\x0a./contacts\x60\x00\x00\x06\x0a./calendar";
    assert_eq!(octets[16..], trigger[..]);
    let fits = [
        "decode",
        "--password-file",
        text(&password),
        "--nonce",
        "nonce-1",
        text(&san),
    ];
    let output = run(&fits).await.succeeds();
    for words in [
        "session 102",
        "Alert 206",
        "store: ./calendar",
        "the digest fits",
    ] {
        assert!(
            output.text().contains(words),
            "{words} in {}",
            output.text()
        );
    }
    let wrong = [
        "decode",
        "--password-file",
        text(&password),
        "--nonce",
        "nonce-2",
        text(&san),
    ];
    run(&wrong).await.fails().says(&["the digest does not fit"]);
    // The same in a push, and that in a short message.
    let message = format!("hex:0605040b8423f0010603ceaf85{}", hex(&octets));
    let sms = [
        "decode",
        "--password-file",
        text(&password),
        "--nonce",
        "nonce-1",
        &message,
    ];
    let output = run(&sms).await.succeeds();
    for words in [
        "to port 2948 (push)",
        "WSP Push",
        "store: ./contacts",
        "the digest fits",
    ] {
        assert!(
            output.text().contains(words),
            "{words} in {}",
            output.text()
        );
    }
}

#[tokio::test]
async fn provisioning_is_encoded_and_signed() {
    let (document, body) = (file("cp.xml"), file("cp.wbxml"));
    std::fs::write(
        &document,
        "<?xml version=\"1.0\"?><!DOCTYPE wap-provisioningdoc PUBLIC \"-//WAPFORUM//DTD PROV 1.0//EN\" \
         \"http://www.wapforum.org/DTD/prov.dtd\"><wap-provisioningdoc><characteristic type=\"APPLICATION\">\
         <parm name=\"APPID\" value=\"w5\"/></characteristic></wap-provisioningdoc>",
    )
    .unwrap();
    run(&[
        "push",
        "provision",
        "--document",
        text(&document),
        "-o",
        text(&body),
    ])
    .await
    .succeeds();
    // WBXML 1.3, public id 0x0B.
    assert_eq!(std::fs::read(&body).unwrap()[1], 0x0B);
}

/// A gateway that answers one request with this document; the request it had.
async fn gateway(answer: &'static str) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pap", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !is_whole(&request) {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let reply = format!(
            "HTTP/1.1 202 Accepted\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(reply.as_bytes()).await.unwrap();
        request
    });
    (url, asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1).unwrap_or("0");
    let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
    body.len() >= length
}

#[tokio::test]
async fn an_indication_is_submitted_with_its_credentials() {
    let password = file("ppg-password");
    std::fs::write(&password, "open sesame\n").unwrap();
    let (url, asked) = gateway(
        "<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 1.0//EN\" \
         \"http://www.wapforum.org/DTD/pap_1.0.dtd\"><pap><push-response push-id=\"id-1\">\
         <response-result code=\"1001\" desc=\"accepted\"/></push-response></pap>",
    )
    .await;
    let output = run(&[
        "push",
        "si",
        "--ppg",
        &url,
        "--ppg-user",
        "pi",
        "--ppg-password-file",
        text(&password),
        "--push-id",
        "id-1",
        "--href",
        "http://mail.example/?a=1&b=2",
        "--text",
        "You have <mail>",
        "--delivery",
        "confirmed",
        "+491701234567",
        "10.1.2.3",
    ])
    .await
    .succeeds();
    assert!(output.text().contains("1001"), "{}", output.text());
    let request = String::from_utf8(asked.await.unwrap()).unwrap();
    for words in [
        "POST /pap ",
        "Basic cGk6b3BlbiBzZXNhbWU=",
        "multipart/related; boundary=",
        "push-id=\"id-1\"",
        "WAPPUSH=+491701234567/TYPE=PLMN@127.0.0.1",
        "WAPPUSH=10.1.2.3/TYPE=IPv4@127.0.0.1",
        "delivery-method=\"confirmed\"",
        "Content-Type: text/vnd.wap.si\r\n",
        "X-Wap-Application-Id: 2\r\n",
        "href=\"http://mail.example/?a=1&amp;b=2\"",
        "You have &lt;mail&gt;",
    ] {
        let found = request
            .to_ascii_lowercase()
            .contains(&words.to_ascii_lowercase());
        assert!(found, "{words} in {request}");
    }
}

#[tokio::test]
async fn what_the_gateway_refuses_is_an_error_with_its_code() {
    let (url, _) = gateway(
        "<?xml version=\"1.0\"?><pap><badmessage-response code=\"2000\" desc=\"Bad Request\" \
         bad-message-fragment=\"x\"/></pap>",
    )
    .await;
    let failed = run(&["push", "status", "--ppg", &url, "id-1"])
        .await
        .fails();
    failed.says(&["2000", "Bad Request"]);
    let (url, _) = gateway("<html/>").await;
    let failed = run(&["push", "cancel", "--ppg", &url, "id-1"])
        .await
        .fails();
    failed.says(&["no document of PAP"]);
}

#[tokio::test]
async fn credentials_do_not_go_in_clear() {
    let token = file("token");
    std::fs::write(&token, "secret-token").unwrap();
    let failed = run(&[
        "push",
        "status",
        "--ppg",
        "http://ppg.example/pap",
        "--ppg-token-file",
        text(&token),
        "id-1",
    ])
    .await
    .fails();
    failed.says(&["https:// only"]);
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Each error names the file, the line and the key, and says what to write instead.
#[tokio::test]
async fn what_is_wrong_in_the_sections_of_pushes_has_its_place_and_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let head = "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://b.example/\"\n\
                [push]\nlisten = \"127.0.0.1:0\"\n[[push.initiator]]\nname = \"a\"\n\
                networks = [\"127.0.0.0/8\"]\ntargets = [\"*\"]\n";
    for (keys, words) in [
        (
            "[push.http]\nnetworks = [\"10.0.0.0/8\"]\nconect_timeout = \"5s\"\n",
            &["wrong.toml:12:", "conect_timeout", "connect_timeout"][..],
        ),
        (
            "[push.http]\nnetworks = [\"10.0.0.0/33\"]\n",
            &["wrong.toml:11:", "networks", "10.0.0.0/33", "help"],
        ),
        (
            "[push.http]\nnetworks = [\"10.0.0.0/8\"]\nport = 0\n",
            &["wrong.toml:12:", "port", "65535"],
        ),
        (
            "[push.http]\nnetworks = [\"10.0.0.0/8\"]\ntimeout = \"3m\"\n",
            &["wrong.toml:12:", "timeout", "120s"],
        ),
        (
            "[push.http]\nnetworks = [\"10.0.0.0/8\"]\nuser = \"ppg\"\n",
            &["wrong.toml:10:", "push.http", "password_file"],
        ),
        (
            "[push.http]\nport = 4035\n",
            &[
                "wrong.toml:10:",
                "networks",
                "name the networks of terminals",
            ],
        ),
        (
            "[push.http]\nnetworks = [\"10.0.0.0/8\"]\nprovisioning_url = \"ftp://a\\u0001\"\n",
            &["wrong.toml:12:", "provisioning_url"],
        ),
        (
            "[[push.initiator]]\nname = \"b\"\ntoken = \"0123456789\"\ntargets = [\"10.0.0.0/33\"]\n",
            &["wrong.toml:13:", "targets", "10.0.0.0/33"],
        ),
    ] {
        std::fs::write(directory.path().join("wrong.toml"), format!("{head}{keys}")).unwrap();
        let check = ["check", "wrong.toml"];
        let output = run_in(directory.path(), &check).await;
        // Nothing else is wrong.
        output.fails().says(words).says(&["wrong.toml: 1 error"]);
    }
}
