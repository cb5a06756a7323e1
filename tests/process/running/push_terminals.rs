//! Terminals with an HTTP server (OTA-HTTP): those that take a push, refuse it, or say nothing.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use wapbridge::push::pap::{Method, Status};

use super::push::{PHONE, Stage, read_message, stage};

/// A terminal's server, and a gateway that waits so long for it.
fn terminal(name: &str, timeout: &str) -> (TcpListener, Stage) {
    let terminal = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = terminal.local_addr().unwrap().port();
    let stage = stage(
        name,
        &format!(
            "retry = \"1s\"\n[push.http]\nnetworks = \"127.0.0.0/8\"\nport = {port}\ntimeout = \"{timeout}\"\n"
        ),
    );
    (terminal, stage)
}

/// The next connection of the gateway. Its first request registers.
fn registers(terminal: &TcpListener) -> TcpStream {
    let (mut stream, _) = terminal.accept().unwrap();
    let (head, _) = read_message(&mut stream).unwrap();
    assert!(head.starts_with("OPTIONS /wappush HTTP/1.1\r\n"), "{head}");
    stream
}

fn says(stream: &mut TcpStream, status: &str, fields: &str) {
    let length = match status.starts_with("204") {
        true => "",
        false => "Content-Length: 0\r\n",
    };
    let head = format!("HTTP/1.1 {status}\r\n{length}{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
}

/// The terminal accepts the registration; the push that follows.
fn is_pushed(stream: &mut TcpStream) -> String {
    says(
        stream,
        "200 OK",
        "X-Wap-Push-Status: 501\r\nX-Wap-Push-Accept: */*\r\n",
    );
    let (head, content) = read_message(stream).unwrap();
    assert!(head.starts_with("POST /wappush HTTP/1.1\r\n"), "{head}");
    String::from_utf8(content).unwrap()
}

#[test]
fn a_push_that_a_terminal_refuses_has_its_reason() {
    let (terminal, stage) = terminal("push-http-refused", "30s");
    stage.submit_to("1", PHONE, "confirmed");
    let mut stream = registers(&terminal);
    assert!(is_pushed(&mut stream).ends_with("hello 1"));
    says(&mut stream, "200 OK", "X-Wap-Push-Status: 237\r\n");
    let result = stage.results.next();
    assert_eq!(
        (result.state.name(), result.code),
        ("aborted", Status::aborted(237))
    );
    let line = stage.gateway.says("access: push");
    assert!(line.contains("bearer=\"http\""), "{line}");
}

#[test]
fn a_terminal_that_does_not_register_gets_the_push_another_way() {
    let (terminal, stage) = terminal("push-http-others", "1s");
    // An HTTP server that is none of OTA-HTTP.
    stage.submit_to("1", PHONE, "preferconfirmed");
    says(&mut registers(&terminal), "404 Not Found", "");
    assert!(stage.hear().ends_with(b"hello 1"));
    assert_eq!(
        stage.results.next().quality.unwrap().method,
        Method::Unconfirmed
    );
    // One that says nothing. The connection stays open until the push has gone by UDP.
    stage.submit_to("2", PHONE, "preferconfirmed");
    let silent = registers(&terminal);
    assert!(stage.hear().ends_with(b"hello 2"));
    drop(silent);
    assert_eq!(
        stage.results.next().quality.unwrap().method,
        Method::Unconfirmed
    );
    // None at all.
    drop(terminal);
    stage.submit_to("3", PHONE, "preferconfirmed");
    assert!(stage.hear().ends_with(b"hello 3"));
    assert_eq!(
        stage.results.next().quality.unwrap().method,
        Method::Unconfirmed
    );
    stage.counts("wapbridge_push_attempts_total{bearer=\"http\"} 3");
    stage.counts("wapbridge_push_attempts_total{bearer=\"udp\"} 3");
}

#[test]
fn a_terminal_that_does_not_confirm_gets_the_push_again() {
    let (terminal, stage) = terminal("push-http-silent", "10s");
    stage.submit_to("1", PHONE, "confirmed");
    let mut silent = registers(&terminal);
    assert!(is_pushed(&mut silent).ends_with("hello 1"));
    // The gateway gives up waiting and closes.
    assert!(read_message(&mut silent).is_none());
    let mut again = registers(&terminal);
    assert!(is_pushed(&mut again).ends_with("hello 1"));
    says(&mut again, "204 No Content", "X-Wap-Push-Status: 400\r\n");
    let result = stage.results.next();
    assert_eq!(
        (result.state.name(), result.quality.unwrap().method),
        ("delivered", Method::Confirmed)
    );
    stage.counts("wapbridge_push_retries_total 1");
}
