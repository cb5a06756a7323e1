//! `traceparent` to origins, and the trace id in the access log.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::http::{rest, start};
use crate::cli::process::{Gateway, configuration, run};
use crate::support::origin::Origin;

const FORGED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const FORGED_ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// The configuration with a setting of its route.
fn with_route(upstream: &str, setting: &str) -> String {
    configuration(upstream, "").replace("[tls]", &format!("{setting}\n[tls]"))
}

/// The trace id of a line of the access log.
fn trace_id(line: &str) -> String {
    let (_, id) = line.split_once(" trace_id=").unwrap();
    id.split(' ').next().unwrap().to_owned()
}

async fn ask(gateway: &Gateway, field: &str) {
    let uri = "http://sync.example.com/echo";
    let asked = run(&["get", &gateway.option(), "-H", field, uri]).await;
    asked.succeeds();
}

#[tokio::test]
async fn the_origin_gets_the_id_of_the_log_where_the_route_says_so() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_route(&origin.uri(), "trace_context = true")).await;
    ask(&gateway, &format!("traceparent: {FORGED}")).await;
    let heard = origin.heard("/echo").pop().unwrap();
    let told = heard.headers["traceparent"].to_str().unwrap();
    let id = trace_id(&gateway.line("access: exchange").await);
    assert!(told.starts_with(&format!("00-{id}-")), "{told} {id}");
    assert!(
        told.ends_with("-01") && told.len() == FORGED.len(),
        "{told}"
    );
    assert_ne!(id, FORGED_ID, "a handset chooses no id");
    assert_eq!(heard.headers.get_all("traceparent").iter().count(), 1);
}

#[tokio::test]
async fn no_origin_gets_a_trace_unasked() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_route(&origin.uri(), "")).await;
    ask(&gateway, &format!("traceparent: {FORGED}")).await;
    let heard = origin.heard("/echo").pop().unwrap();
    assert!(!heard.headers.contains_key("traceparent"), "{heard:?}");
    assert_ne!(trace_id(&gateway.line("access: exchange").await), FORGED_ID);
}

#[tokio::test]
async fn the_ratio_decides_the_flag() {
    let origin = Origin::start().await;
    let settings = with_route(&origin.uri(), "trace_context = true");
    let gateway = Gateway::start(&format!("{settings}[tracing]\nsample_ratio = 0\n")).await;
    ask(&gateway, "Accept: */*").await;
    let heard = origin.heard("/echo").pop().unwrap();
    let told = heard.headers["traceparent"].to_str().unwrap();
    assert!(told.ends_with("-00"), "{told}");
}

#[tokio::test]
async fn only_a_trusted_proxy_continues_its_trace() {
    let origin = Origin::start().await;
    let more = "[http]\ntrusted_proxies = [\"127.0.0.2\"]\n[tracing]\nsample_ratio = 0\n\
        [[route]]\nmatch = \"http://traced.example.com/\"\ntrace_context = true\n";
    let more = format!("{more}upstream = \"{}\"\n", origin.uri());
    let (gateway, address) = start(&origin.uri(), &more).await;
    let request = format!(
        "GET http://traced.example.com/echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\n\
         traceparent: {FORGED}\r\ntracestate: a=1\r\nConnection: close\r\n\r\n"
    );
    for (local, is_trusted) in [("127.0.0.2:0", true), ("127.0.0.1:0", false)] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(local.parse().unwrap()).unwrap();
        let mut tcp = socket.connect(address).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        assert!(rest(&mut tcp).await.starts_with(b"HTTP/1.1 200 "));
        let heard = origin.heard("/echo").pop().unwrap();
        let told = heard.headers["traceparent"].to_str().unwrap();
        assert_eq!(told.contains(FORGED_ID), is_trusted, "{local}: {told}");
        assert_eq!(told.ends_with("-01"), is_trusted, "{local}: {told}");
        assert_eq!(heard.headers.contains_key("tracestate"), is_trusted);
        assert!(
            !told.contains("b7ad6b7169203331"),
            "a span of our own: {told}"
        );
    }
    gateway.line(&format!("trace_id={FORGED_ID}")).await;
}
