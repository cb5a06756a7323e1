//! OTA-HTTP (WAP-235 7): registration and push, head by head, and over a connection.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use wapbridge::initiator::TerminalSettings;
use wapbridge::push::terminal::{Credentials, Exchange, Presentation};
use wapbridge::push::{Outcome, PushMessage};

fn message() -> PushMessage {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/vnd.wap.sic"),
        ("x-wap-application-id", "2"),
        ("push-flag", "1"),
        ("x-wap-initiator-uri", "https://sync.example/"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    PushMessage {
        headers,
        body: Bytes::from_static(b"\x02\x05"),
    }
}

fn exchange(presentation: Presentation) -> Exchange {
    let names = vec!["491701234567".to_owned(), "alice".to_owned()];
    Exchange::new(Arc::new(presentation), Arc::new(message()), names)
}

fn fields(text: &str) -> HeaderMap {
    let fields = text.lines().map(|line| {
        let (name, value) = line.trim().split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    fields.collect()
}

/// A registration that accepts everything.
const ACCEPTED: &str =
    "x-wap-push-status: 501 Accepted\nx-wap-cpitag: AAECAw==\nx-wap-push-accept: */*";

fn head<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let value = request.headers().get(name)?;
    Some(value.to_str().unwrap())
}

/// Registers, and returns the POST.
fn registered(exchange: &mut Exchange) -> Request<Bytes> {
    let options = exchange.request();
    assert_eq!(
        (options.method(), options.uri().path()),
        (&Method::OPTIONS, "/wappush")
    );
    assert_eq!(
        exchange.handle_response(StatusCode::NO_CONTENT, &fields(ACCEPTED)),
        None
    );
    exchange.request()
}

fn status(code: &str) -> HeaderMap {
    fields(&format!("x-wap-push-status: {code}"))
}

pub(super) fn a_terminal_registers_and_gets_the_push() {
    let mut exchange = exchange(Presentation {
        provisioning_url: Some(HeaderValue::from_static("http://operator.example/")),
        ..Presentation::default()
    });
    let options = exchange.request();
    for (name, value) in [
        ("host", Some("")),
        ("x-wap-push-ota-version", Some("1.0")),
        ("x-wap-push-provurl", Some("http://operator.example/")),
        ("x-wap-cpitag", None),
        ("authorization", None),
    ] {
        assert_eq!(head(&options, name), value, "{name}");
    }
    assert_eq!(
        exchange.handle_response(StatusCode::OK, &fields(ACCEPTED)),
        None
    );
    let post = exchange.request();
    assert_eq!(
        (post.method(), post.uri().path()),
        (&Method::POST, "/wappush")
    );
    for (name, value) in [
        ("host", Some("")),
        ("content-type", Some("application/http")),
        ("x-wap-cpitag", Some("AAECAw==")),
        ("x-wap-push-info", Some("authenticated")),
        // Only the first request of a connection needs them.
        ("x-wap-push-ota-version", None),
        ("x-wap-push-provurl", None),
    ] {
        assert_eq!(head(&post, name), value, "{name}");
    }
    let body = std::str::from_utf8(post.body()).unwrap();
    let (head, content) = body.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "HTTP/1.1 200 OK");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "content-length: 2",
            "content-type: application/vnd.wap.sic",
            "x-wap-application-id: x-wap-application:wml.ua",
            "x-wap-initiator-uri: https://sync.example/",
        ]
    );
    assert_eq!(content, "\x02\x05");
    let done = exchange.handle_response(StatusCode::NO_CONTENT, &status("400"));
    assert_eq!(done, Some(Outcome::Confirmed));
}

pub(super) fn a_terminal_that_rejects_a_push_says_why() {
    let of = |code: StatusCode, push_status: &str| {
        let mut exchange = exchange(Presentation::default());
        registered(&mut exchange);
        exchange.handle_response(code, &status(push_status))
    };
    assert_eq!(of(StatusCode::OK, "401 Accepted"), Some(Outcome::Confirmed));
    for reason in 234..=238_u8 {
        let outcome = of(StatusCode::FORBIDDEN, &reason.to_string());
        assert_eq!(outcome, Some(Outcome::Aborted(reason)));
    }
    assert_eq!(of(StatusCode::FORBIDDEN, "257"), Some(Outcome::NotAgreed));
    for (code, push_status) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "999"),
        (StatusCode::INTERNAL_SERVER_ERROR, "400"),
        (StatusCode::NOT_FOUND, "nonsense"),
    ] {
        let outcome = of(code, push_status);
        assert!(
            matches!(
                outcome,
                Some(Outcome::Refused {
                    permanent: false,
                    ..
                })
            ),
            "{outcome:?}"
        );
    }
}

pub(super) fn another_version_stops_the_delivery() {
    let mut first = exchange(Presentation::default());
    assert_eq!(
        head(&first.request(), "x-wap-push-ota-version"),
        Some("1.0")
    );
    let refused = first.handle_response(StatusCode::BAD_REQUEST, &status("600 No"));
    assert_eq!(refused, Some(Outcome::NotAgreed));
    // A server of something else registers nothing.
    let mut other = exchange(Presentation::default());
    other.request();
    let refused = other.handle_response(StatusCode::OK, &HeaderMap::new());
    assert_eq!(refused, Some(Outcome::NotAgreed));
}

pub(super) fn a_terminal_tells_what_it_takes() {
    let of = |text: &str| {
        let mut exchange = exchange(Presentation::default());
        exchange.request();
        exchange.handle_response(StatusCode::OK, &fields(text))
    };
    let status = "x-wap-push-status: 500";
    let accept = "x-wap-push-accept: text/*, application/vnd.wap.sic;q=0.5";
    let applications = "x-wap-push-accept-appid";
    for (text, outcome) in [
        (format!("{status}\n{accept}"), None),
        // Without the field only SIA and the text form of SI are taken (7.2.5.5.1).
        (status.to_owned(), Some(Outcome::NotAgreed)),
        (
            format!("{status}\nx-wap-push-accept: text/*"),
            Some(Outcome::NotAgreed),
        ),
        (
            format!("{status}\n{accept}\n{applications}: x-wap-application:mms.ua"),
            Some(Outcome::NotAgreed),
        ),
        (
            format!("{status}\n{accept}\n{applications}: a:b, x-wap-application:wml.ua"),
            None,
        ),
        (
            format!("{status}\n{accept}\nx-wap-push-maxmsgsize: 1"),
            Some(Outcome::TooLarge),
        ),
        (
            format!("{status}\n{accept}\nx-wap-push-maxmsgsize: 2"),
            None,
        ),
        (
            "x-wap-push-status: 301".to_owned(),
            Some(Outcome::NotAgreed),
        ),
        (
            "x-wap-push-status: 302".to_owned(),
            Some(Outcome::NotAgreed),
        ),
    ] {
        assert_eq!(of(&text), outcome, "{text}");
    }
    let later = of("x-wap-push-status: 300");
    assert!(matches!(
        later,
        Some(Outcome::Refused {
            permanent: false,
            ..
        })
    ));
}

pub(super) fn a_change_of_preferences_leads_to_another_registration() {
    let mut exchange = exchange(Presentation::default());
    let post = registered(&mut exchange);
    assert_eq!(head(&post, "x-wap-cpitag"), Some("AAECAw=="));
    let changed = fields("x-wap-push-status: 256\nx-wap-cpitag: BBBBBB==");
    assert_eq!(
        exchange.handle_response(StatusCode::NO_CONTENT, &changed),
        None
    );
    let options = exchange.request();
    assert_eq!(options.method(), Method::OPTIONS);
    let accepted = ACCEPTED.replace("AAECAw==", "BBBBBB==");
    assert_eq!(
        exchange.handle_response(StatusCode::OK, &fields(&accepted)),
        None
    );
    let again = exchange.request();
    assert_eq!(head(&again, "x-wap-cpitag"), Some("BBBBBB=="));
    assert_eq!(again.body(), post.body());
    // A terminal cannot keep the gateway busy for ever.
    let outcome = exchange.handle_response(StatusCode::NO_CONTENT, &changed);
    assert!(matches!(
        outcome,
        Some(Outcome::Refused {
            permanent: false,
            ..
        })
    ));
}

pub(super) fn another_terminal_at_the_address_gets_no_push() {
    for (id, outcome) in [
        ("\nx-wap-terminal-id: alice", None),
        ("\nx-wap-terminal-id: +491701234567", None),
        ("\nx-wap-terminal-id: bob", Some(Outcome::Unreachable)),
        ("", Some(Outcome::Unreachable)),
    ] {
        let mut exchange = exchange(Presentation {
            match_terminal: true,
            ..Presentation::default()
        });
        exchange.request();
        let head = fields(&format!("{ACCEPTED}{id}"));
        assert_eq!(
            exchange.handle_response(StatusCode::OK, &head),
            outcome,
            "{id}"
        );
    }
}

pub(super) fn the_gateway_proves_itself_once_if_it_is_asked_to() {
    let challenge = fields("x-wap-push-status: 300\nwww-authenticate: Basic realm=\"phone\"");
    let presentation = Presentation {
        credentials: Some(Credentials::new("ppg.example", "secret")),
        ..Presentation::default()
    };
    assert!(!format!("{presentation:?}").contains("secret"));
    let mut exchange = exchange(presentation);
    assert_eq!(head(&exchange.request(), "authorization"), None);
    assert_eq!(
        exchange.handle_response(StatusCode::UNAUTHORIZED, &challenge),
        None
    );
    let again = exchange.request();
    assert_eq!(again.method(), Method::OPTIONS);
    assert_eq!(
        head(&again, "authorization"),
        Some("Basic cHBnLmV4YW1wbGU6c2VjcmV0")
    );
    let refused = exchange.handle_response(StatusCode::UNAUTHORIZED, &challenge);
    assert_eq!(refused, Some(Outcome::NotAgreed));
    // Without credentials, or to another scheme, there is nothing to answer.
    let mut poor = self::exchange(Presentation::default());
    poor.request();
    let refused = poor.handle_response(StatusCode::UNAUTHORIZED, &challenge);
    assert_eq!(refused, Some(Outcome::NotAgreed));
}

/// The heads and bodies of two requests, each answered.
fn serve(listener: &TcpListener) -> Vec<String> {
    let (mut stream, _) = listener.accept().unwrap();
    let answers = [
        format!(
            "HTTP/1.1 200 OK\r\n{}\r\nContent-Length: 2\r\n\r\nok",
            ACCEPTED.replace('\n', "\r\n")
        ),
        "HTTP/1.1 204 No Content\r\nX-Wap-Push-Status: 400\r\n\r\n".to_owned(),
    ];
    let read = |answer: &String| {
        let request = read_request(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        request
    };
    answers.iter().map(read).collect()
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let mut octet = [0];
    while !octets.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).unwrap();
        octets.push(octet[0]);
    }
    let head = String::from_utf8(octets).unwrap();
    let length = head.to_ascii_lowercase();
    let length = length
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8_lossy(&body)
}

pub(super) fn the_gateway_connects_and_is_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = TerminalSettings {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        port: listener.local_addr().unwrap().port(),
        connect_timeout: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
        presentation: Arc::default(),
    };
    let push = |settings: &TerminalSettings| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let exchange = exchange(Presentation::default());
        let push = wapbridge::server::push_over_http(settings, loopback, exchange);
        runtime.unwrap().block_on(push)
    };
    let (outcome, requests) = std::thread::scope(|scope| {
        let served = scope.spawn(|| serve(&listener));
        (push(&settings), served.join().unwrap())
    });
    assert_eq!(outcome, Outcome::Confirmed);
    let [options, post] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert!(
        options.starts_with("OPTIONS /wappush HTTP/1.1\r\n"),
        "{options}"
    );
    assert!(options.contains("host: \r\n"), "{options}");
    assert!(post.starts_with("POST /wappush HTTP/1.1\r\n"), "{post}");
    assert!(post.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"), "{post}");
    drop(listener);
    assert_eq!(push(&settings), Outcome::Unreachable);
}
