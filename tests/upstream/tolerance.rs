//! Reply heads that are not quite HTTP/1.1, as origins in the field send them (RFC 9112 5.1, 5.2).

use http::Method;
use wapbridge::gateway::fetch::Failure;

use super::assert_fails;
use crate::support::raw::{AfterReply, get, origin, request, upstream};

#[tokio::test]
async fn unusual_field_lines_are_read_or_skipped() {
    for (line, name, value) in [
        ("X-A : one\r\n", "x-a", Some("one")),
        ("X-A\t: one\r\n", "x-a", Some("one")),
        ("X-A: one\r\n two\r\n", "x-a", Some("one two")),
        ("X-A: one\r\n\t two\r\n", "x-a", Some("one two")),
        ("X Space: 1\r\n", "x space", None),
        ("no colon\r\n", "no colon", None),
        (": nameless\r\n", "x-a", None),
        ("X-A: a\x01b\r\n", "x-a", None),
        ("X-\u{e4}: 1\r\n", "x-a", None),
        ("X-A: one\n", "x-a", Some("one")),
        ("X-A: one\0two\r\n", "x-a", Some("one two")),
        ("X-A: one\rtwo\r\n", "x-a", Some("one two")),
    ] {
        let head =
            format!("HTTP/1.1 200 OK\r\n{line}X-After: yes\r\nContent-Length : 5\r\n\r\nhello");
        let (address, log) = origin(head, AfterReply::KeepAlive).await;
        let reply = upstream().fetch(request(Method::POST, address, b"x")).await;
        let reply = reply.unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let found = reply
            .headers
            .iter()
            .find(|(field, _)| field.as_str() == name);
        let found = found.map(|(_, value)| value.to_str().unwrap());
        assert_eq!(found, value, "{line:?}");
        assert_eq!(reply.headers["x-after"], "yes", "{line:?}");
        assert_eq!(&*reply.body, b"hello", "{line:?}");
        assert_eq!(log.requests().len(), 1);
    }
}

#[tokio::test]
async fn more_than_a_hundred_fields_are_as_good_as_over_http_2() {
    for fields in [101, 2000] {
        let lines: String = (0..fields)
            .map(|nth| format!("X-{nth}: {nth}\r\n"))
            .collect();
        let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 5\r\n\r\nhello");
        let (address, _) = origin(head, AfterReply::KeepAlive).await;
        let reply = get(address).await.unwrap();
        assert_eq!(reply.headers.len(), fields + 1);
    }
}

#[tokio::test]
async fn a_limit_that_a_head_exceeds_is_the_one_that_is_named() {
    let many = "A: b\r\n".repeat(3000);
    let large = format!("X: {}\r\n", "x".repeat(300_000));
    for (lines, words) in [
        (many, "more than 2048 header fields"),
        (large, "exceeds 65536 octets"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 5\r\n\r\nhello");
        let (address, _) = origin(head, AfterReply::Stall).await;
        assert_fails(get(address).await, Failure::Malformed, words);
    }
}

#[tokio::test]
async fn status_lines_are_read_as_far_as_they_tell_a_status() {
    for line in [
        "http/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/1.1 200",
    ] {
        let head = format!("{line}\r\nContent-Length: 5\r\n\r\nhello");
        let (address, _) = origin(head, AfterReply::KeepAlive).await;
        let reply = get(address).await;
        let reply = reply.unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert_eq!((reply.status.as_u16(), &*reply.body), (200, &b"hello"[..]));
    }
    for (line, words) in [
        ("HTTP/1.1 20 OK", "not three digits"),
        ("HTTP/2.0 200 OK", "is not HTTP"),
        ("ICY 200 OK", "is not HTTP"),
    ] {
        let head = format!("{line}\r\nContent-Length: 5\r\n\r\nhello");
        let (address, _) = origin(head, AfterReply::Stall).await;
        assert_fails(get(address).await, Failure::Malformed, words);
    }
}

#[tokio::test]
async fn the_transfer_coding_identity_does_not_hide_the_length() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello";
    let (address, _) = origin(head, AfterReply::KeepAlive).await;
    let mut get = request(Method::GET, address, b"");
    get.timeout = std::time::Duration::from_secs(20);
    assert_eq!(&*upstream().fetch(get).await.unwrap().body, b"hello");
}

#[tokio::test]
async fn skipped_lines_are_counted() {
    let head = "HTTP/1.1 200 OK\r\nno colon\r\nX Y: z\r\nX : y\r\nContent-Length: 5\r\n\r\nhello";
    let (address, _) = origin(head, AfterReply::KeepAlive).await;
    let upstream = upstream();
    for times in 1..=3 {
        let reply = upstream.fetch(request(Method::GET, address, b"")).await;
        assert!(reply.is_ok());
        assert_eq!(upstream.stats().skipped_lines, 2 * times);
    }
}

#[tokio::test]
async fn an_empty_post_says_that_it_is_empty() {
    let ok = "HTTP/1.1 204 No Content\r\n\r\n";
    for (method, says) in [
        (Method::POST, true),
        (Method::PUT, true),
        (Method::GET, false),
        (Method::DELETE, false),
    ] {
        let (address, log) = origin(ok, AfterReply::KeepAlive).await;
        upstream()
            .fetch(request(method.clone(), address, b""))
            .await
            .unwrap();
        let head = String::from_utf8(log.requests().remove(0)).unwrap();
        let found = head.matches("content-length: 0\r\n").count();
        assert_eq!(found, usize::from(says), "{method}: {head}");
    }
}
