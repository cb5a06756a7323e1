//! Hostile requests of initiators: each is bounded, is answered in PAP, and costs others nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use socket2::{Domain, Socket, Type};
use wapbridge::push::pap::{self, MessageState, Response, Status};

use super::now;
use super::push::{PHONE, Stage, code, read_message, stage, submission};

const RELATED: &str = "multipart/related; boundary=x";
/// The fields of content that the telephone hears.
const FIELDS: &str = "Content-Type: a/b\r\nX-Wap-Application-Id: x-wap-application:push.syncml\r\n";

/// The document and the content, each as its initiator wrote it.
fn message(control: &[u8], fields: &str, content: &[u8]) -> Vec<u8> {
    let mut body = b"--x\r\nContent-Type: application/xml\r\n\r\n".to_vec();
    body.extend_from_slice(control);
    body.extend_from_slice(b"\r\n--x\r\n");
    body.extend_from_slice(fields.as_bytes());
    body.extend_from_slice(b"\r\n");
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--x--\r\n");
    body
}

fn push(id: &str, addresses: &[String]) -> String {
    let addresses = addresses.iter();
    let addresses: String = addresses
        .map(|address| format!("<address address-value=\"{address}\"/>"))
        .collect();
    format!("<pap><push-message push-id=\"{id}\">{addresses}</push-message></pap>")
}

/// The answer is PAP that can be read, with this code.
fn expect(stage: &Stage, kind: &str, body: &[u8], expected: &str) {
    let begun = now();
    let (status, answer) = stage.post(kind, body);
    assert_eq!(status, 202, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{answer}");
    assert!(answer.len() < 4_096, "{} octets of answer", answer.len());
    pap::read_response(answer.as_bytes()).unwrap_or_else(|_| panic!("{answer}"));
    let shown: String = String::from_utf8_lossy(body).chars().take(200).collect();
    assert_eq!(code(&answer), expected, "{shown}\n{answer}");
}

/// A push still arrives.
fn is_served(stage: &Stage, id: &str) {
    assert_eq!(stage.submit(id, ""), "1001");
    let text = format!("hello {id}");
    assert!(stage.hear().ends_with(text.as_bytes()));
}

#[test]
fn bombs_are_answered_and_bounded() {
    let stage = stage("push-bombs", "");
    let to = [PHONE.to_owned()];
    // Entities: exponential, quadratic, parameter entities, files, in the document and in content.
    let levels: String = (1..20)
        .map(|n| format!("<!ENTITY e{n} \"&e{0};&e{0};\">", n - 1))
        .collect();
    let exponential = format!("<!DOCTYPE pap [<!ENTITY e0 \"ha\">{levels}]>");
    let quadratic = format!("<!DOCTYPE pap [<!ENTITY e19 \"{}\">]>", "a".repeat(50_000));
    let parameter = "<!DOCTYPE pap [<!ENTITY % e19 SYSTEM \"file:///etc/passwd\">%e19;]>";
    for prolog in [exponential.as_str(), &quadratic, parameter] {
        let many = push(&"&e19;".repeat(100), &to);
        let control = format!("{prolog}{many}");
        expect(
            &stage,
            RELATED,
            &message(control.as_bytes(), FIELDS, b"x"),
            "2000",
        );
        let si = format!(
            "{prolog}<si><indication href=\"http://a/\">{}</indication></si>",
            "&e19;".repeat(100)
        );
        let control = push("bomb", &to);
        let kind = "Content-Type: text/vnd.wap.si\r\n";
        let body = message(control.as_bytes(), kind, si.as_bytes());
        expect(&stage, RELATED, &body, "2000");
    }
    // A document type outside is never fetched.
    let outside = format!(
        "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://127.0.0.1:1/pap.dtd\">{}",
        push("outside", &to)
    );
    expect(
        &stage,
        RELATED,
        &message(outside.as_bytes(), FIELDS, b"x"),
        "1001",
    );
    stage.hear_any();
    // Depth, attributes, one attribute, one name.
    let deep = "<a>".repeat(100_000);
    let many: String = (0..30_000).map(|n| format!(" a{n}=\"\"")).collect();
    let same = " a=\"\"".repeat(30_000);
    let huge = "a".repeat(900_000);
    for control in [
        format!("<pap>{deep}"),
        format!("<pap><push-message{many}/></pap>"),
        format!("<pap><push-message{same}/></pap>"),
        format!("<pap><{huge}/></pap>"),
        format!("<pap><push-message push-id=\"1\" {huge}=\"1\"/></pap>"),
        format!("<pap><cancel-message push-id=\"1\">{huge}</cancel-message></pap>"),
        format!("<!--{huge}--><pap/>"),
        format!("<?{huge}?><pap/>"),
    ] {
        expect(&stage, "application/xml", control.as_bytes(), "2000");
    }
    let address = push(
        "long",
        &[format!("WAPPUSH=+{}/TYPE=PLMN@ppg", "1".repeat(500_000))],
    );
    expect(
        &stage,
        RELATED,
        &message(address.as_bytes(), FIELDS, b"x"),
        "2002",
    );
    // Parts: many, with many fields, with one huge field, inside each other, in no coding.
    expect(
        &stage,
        RELATED,
        "--x\r\n\r\nA\r\n".repeat(50_000).as_bytes(),
        "2000",
    );
    let control = push("parts", &to);
    let body = message(control.as_bytes(), &"A: b\r\n".repeat(50_000), b"x");
    expect(&stage, RELATED, &body, "2000");
    let coded = format!("{FIELDS}Content-Transfer-Encoding: base64\r\n");
    let body = message(control.as_bytes(), &coded, b"***");
    expect(&stage, RELATED, &body, "2000");
    let mut nested = b"hello".to_vec();
    for level in 0..500 {
        let head = format!(
            "--n{level}\r\nContent-Type: multipart/mixed; boundary=n{}\r\n\r\n",
            level - 1
        );
        nested = [
            head.as_bytes(),
            &nested,
            format!("\r\n--n{level}--\r\n").as_bytes(),
        ]
        .concat();
    }
    let kind = "Content-Type: multipart/mixed; boundary=n499\r\n";
    let body = message(push("nested", &to).as_bytes(), kind, &nested);
    let (status, answer) = stage.post(RELATED, &body);
    assert_eq!(status, 202, "{answer}");
    pap::read_response(answer.as_bytes()).unwrap();
    is_served(&stage, "after");
}

#[test]
fn charsets_are_read_or_refused() {
    let stage = stage("push-charsets", "");
    let to = [PHONE.to_owned()];
    let document = |encoding: &str, id: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"{encoding}\"?>{}",
            push(id, &to)
        )
    };
    let latin: Vec<u8> = document("ISO-8859-1", "caf\u{e9}")
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let (_, answer) = stage.post(RELATED, &message(&latin, FIELDS, b"x"));
    assert!(
        answer.contains("push-id=\"caf\u{e9}\"") && code(&answer) == "1001",
        "{answer}"
    );
    stage.hear_any();
    let text = document("UTF-16", "sixteen");
    let mut sixteen = vec![0xFF, 0xFE];
    sixteen.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    expect(&stage, RELATED, &message(&sixteen, FIELDS, b"x"), "1001");
    stage.hear_any();
    for control in [
        document("x-none", "1").into_bytes(),
        // Another charset than the one named, and no text at all.
        latin.iter().map(|octet| octet ^ 0x80).collect(),
        push("\u{0}", &to).into_bytes(),
        [
            b"<pap><push-message push-id=\"\xFF\xFE\"/></pap>".to_vec(),
            vec![0xC3],
        ]
        .concat(),
        b"\xFF\xFE<\0p".to_vec(),
        vec![0; 10_000],
        vec![0xFF; 10_000],
    ] {
        expect(&stage, RELATED, &message(&control, FIELDS, b"x"), "2000");
    }
    is_served(&stage, "after");
}

#[test]
fn ten_thousand_recipients_have_ten_thousand_outcomes() {
    let stage = stage(
        "push-crowd",
        "max_recipients = 10000\nmax_request = \"4MiB\"",
    );
    let mut addresses: Vec<String> = (0..10_000)
        .map(|n| format!("WAPPUSH=127.1.{}.{}/TYPE=IPv4@ppg", n / 250, n % 250 + 1))
        .collect();
    let mut more = addresses.clone();
    more.push(PHONE.to_owned());
    let body = message(push("more", &more).as_bytes(), FIELDS, b"x");
    expect(&stage, RELATED, &body, "3005");
    addresses.pop();
    addresses.push(PHONE.to_owned());
    let body = message(push("crowd", &addresses).as_bytes(), FIELDS, b"x");
    expect(&stage, RELATED, &body, "1001");
    stage.hear_any();
    let all: String = addresses
        .iter()
        .map(|address| format!("<address address-value=\"{address}\"/>"))
        .collect();
    let query =
        format!("<pap><statusquery-message push-id=\"crowd\">{all}</statusquery-message></pap>");
    let begun = now();
    loop {
        let (status, answer) = stage.post("application/xml", query.as_bytes());
        assert_eq!(status, 202, "{answer}");
        let (_, response) = pap::read_response(answer.as_bytes()).unwrap();
        let Response::Status { results, .. } = response else {
            panic!("{response:?}")
        };
        assert_eq!(
            results.iter().map(|it| it.addresses.len()).sum::<usize>(),
            10_000
        );
        if results.iter().all(|it| it.state == MessageState::Delivered) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(100));
    }
    let cancel = query.replace("statusquery", "cancel");
    let (_, answer) = stage.post("application/xml", cancel.as_bytes());
    let (_, response) = pap::read_response(answer.as_bytes()).unwrap();
    let Response::Cancel { results, .. } = response else {
        panic!("{response:?}")
    };
    let told: Vec<_> = results
        .iter()
        .map(|it| (it.code, it.addresses.len()))
        .collect();
    assert_eq!(told, [(Status::NOT_POSSIBLE, 10_000)]);
    // The initiator's own limit is reached; the telephone of another push is not kept waiting.
    assert_eq!(stage.submit("after", ""), "4001");
}

#[test]
fn slow_initiators_keep_nobody_waiting() {
    let stage = stage("push-slow", "max_connections = 240");
    let credentials = STANDARD.encode("sync:open sesame 12345");
    let head = format!(
        "POST /pap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\nContent-Type: {RELATED}\r\n"
    );
    let mut slow: Vec<(TcpStream, bool)> = Vec::new();
    for number in 0..50 {
        let mut stream = stage.connect();
        // Bodies that come in drops, chunks that never end, heads that never end, nothing at all.
        let begun = match number % 4 {
            0 => format!("{head}Content-Length: 5000\r\n\r\n-"),
            1 => format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n-\r\n"),
            2 => head.clone(),
            _ => String::new(),
        };
        stream.write_all(begun.as_bytes()).unwrap();
        slow.push((stream, number % 4 < 2));
    }
    is_served(&stage, "meanwhile");
    // Drops keep coming for longer than a request may take.
    for _ in 0..30 {
        for (stream, _) in &mut slow {
            let _ = stream.write_all(b"-");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    for (number, (mut stream, has_head)) in slow.into_iter().enumerate() {
        if has_head {
            let (head, body) = read_message(&mut stream).unwrap_or_else(|| panic!("{number}"));
            let body = String::from_utf8(body).unwrap();
            // A drop is no size of a chunk.
            assert!(
                head.contains(" 408 ") || head.contains(" 400 "),
                "{number}: {head}"
            );
            assert!(body.contains("badmessage-response"), "{number}: {body}");
        } else {
            // No request, no answer of PAP: the connection ends.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
    }
    is_served(&stage, "after");
    // The whole of a request may come in any pieces.
    let body = submission("pieces", "", PHONE);
    let mut stream = stage.connect();
    let request = format!(
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    for piece in request.as_bytes().chunks(97) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let (_, answer) = read_message(&mut stream).unwrap();
    assert_eq!(code(&String::from_utf8(answer).unwrap()), "1001");
}

/// One address has a quarter of the connections; initiators at others are served.
#[test]
fn a_stranger_who_says_nothing_keeps_nobody_out() {
    let stage = stage(
        "push-silent",
        "max_connections = 8\nrequest_timeout = \"60s\"",
    );
    let silent: Vec<TcpStream> = (0..2).map(|_| stage.connect()).collect();
    // The gateway takes connections in their order.
    let request = b"POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let mut refused = stage.connect();
    let _ = refused.write_all(request);
    assert!(read_message(&mut refused).is_none());
    let address: SocketAddr = stage.gateway.pushes.as_ref().unwrap().parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let other: SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&other.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(request).unwrap();
    let (head, _) = read_message(&mut stream).unwrap();
    assert!(head.contains(" 401 "), "{head}");
    // Those who leave make room.
    drop(silent);
    let begun = now();
    loop {
        let mut stream = stage.connect();
        if stream.write_all(request).is_ok() && read_message(&mut stream).is_some() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(50));
    }
}
