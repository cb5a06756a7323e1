//! Spans for a collector of OpenTelemetry, which is a small HTTP server here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cli::process::{Gateway, configuration, run};
use crate::support::origin::{Origin, http_get};

/// The requests of a gateway.
#[derive(Clone, Debug, Default)]
struct Received {
    exports: Vec<ExportTraceServiceRequest>,
    paths: Vec<String>,
    keys: Vec<String>,
}

impl Received {
    fn spans(&self) -> Vec<Span> {
        let resources = self.exports.iter().flat_map(|it| &it.resource_spans);
        let scopes = resources.flat_map(|it| &it.scope_spans);
        scopes.flat_map(|it| it.spans.clone()).collect()
    }
}

struct Collector {
    address: SocketAddr,
    received: watch::Sender<Received>,
}

impl Collector {
    async fn start(status: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = watch::Sender::new(Received::default());
        let shared = received.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let received = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let received = received.clone();
                        async move { Ok::<_, Infallible>(take(request, &received, status).await) }
                    });
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(tcp), service)
                        .await;
                });
            }
        });
        Self { address, received }
    }

    /// Waits for so many spans.
    async fn spans(&self, count: usize) -> Vec<Span> {
        let mut received = self.received.subscribe();
        let there = received.wait_for(|received| received.spans().len() >= count);
        let there = tokio::time::timeout(Duration::from_secs(30), there).await;
        there.expect("spans").unwrap().spans()
    }
}

async fn take(
    request: Request<Incoming>,
    received: &watch::Sender<Received>,
    status: StatusCode,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let key = request.headers().get("x-key");
    let key = key.map_or("", |key| key.to_str().unwrap()).to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let export = ExportTraceServiceRequest::decode(body).unwrap();
    received.send_modify(|received| {
        received.exports.push(export);
        received.paths.push(path);
        received.keys.push(key);
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|it| it.key == name)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn traced(upstream: &str, tracing: &str) -> String {
    let settings = configuration(upstream, &format!("[tracing]\n{tracing}\n"));
    settings.replace("[tls]", "trace_context = true\n[tls]")
}

async fn get(gateway: &Gateway, path: &str) {
    let uri = format!("http://sync.example.com/{path}");
    let asked = run(&["get", &gateway.option(), &uri]).await;
    asked.succeeds();
}

#[tokio::test]
async fn an_exchange_becomes_spans_with_the_ids_that_the_origin_got() {
    let origin = Origin::start().await;
    let collector = Collector::start(StatusCode::OK).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# of the collector\nX-Key: abc\n").unwrap();
    let tracing = format!(
        "endpoint = \"http://{}/\"\nheaders_file = \"{}\"",
        collector.address,
        file.path().display()
    );
    let gateway = Gateway::start(&traced(&origin.uri(), &tracing)).await;
    get(&gateway, "echo?password=secret").await;
    let spans = collector.spans(3).await;
    let of_kind = |kind: i32| spans.iter().find(|span| span.kind == kind).unwrap();
    // Server and client, by their numbers in the protocol.
    let (whole, upstream) = (of_kind(2), of_kind(3));
    let heard = origin.heard("/echo?password=secret").pop().unwrap();
    let told = heard.headers["traceparent"].to_str().unwrap();
    let wanted = format!(
        "00-{}-{}-01",
        hex(&upstream.trace_id),
        hex(&upstream.span_id)
    );
    assert_eq!(told, wanted);
    assert_eq!(upstream.parent_span_id, whole.span_id);
    assert_eq!(upstream.trace_id, whole.trace_id);
    let line = gateway.line("access: exchange").await;
    assert!(line.contains(&hex(&whole.trace_id)), "{line}");
    assert!(whole.parent_span_id.is_empty());
    let of = |span: &Span, name| attribute(&span.attributes, name).unwrap();
    assert_eq!(of(whole, "http.request.method"), "GET");
    assert_eq!(of(whole, "http.response.status_code"), "200");
    assert_eq!(of(whole, "url.full"), "http://sync.example.com/echo?…");
    assert_eq!(of(whole, "wapbridge.ending"), "acknowledged");
    assert_eq!(of(upstream, "server.address"), "localhost");
    let times = |span: &Span| (span.start_time_unix_nano, span.end_time_unix_nano);
    let (from, to) = times(whole);
    let (fetched, replied) = times(upstream);
    assert!(from <= fetched && fetched <= replied && replied <= to);
    let received = collector.received.borrow().clone();
    let text = format!("{received:?}");
    assert!(
        !text.contains("secret") && !text.contains("127.0.0.1"),
        "{text}"
    );
    assert_eq!(
        (&*received.paths[0], &*received.keys[0]),
        ("/v1/traces", "abc")
    );
    let resource = received.exports[0].resource_spans[0]
        .resource
        .clone()
        .unwrap();
    let name = attribute(&resource.attributes, "service.name");
    assert_eq!(name.as_deref(), Some("wapbridge"));
    drop(gateway);
}

#[tokio::test]
async fn the_environment_names_the_collector_and_the_service() {
    let origin = Origin::start().await;
    let collector = Collector::start(StatusCode::OK).await;
    let url = format!("http://{}", collector.address);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", Path::new(&url)),
        ("OTEL_SERVICE_NAME", Path::new("wap-north")),
    ];
    let settings = configuration(&origin.uri(), "");
    let gateway = Gateway::start_with(&settings, &environment).await;
    get(&gateway, "echo").await;
    collector.spans(3).await;
    let received = collector.received.borrow().clone();
    let resource = received.exports[0].resource_spans[0]
        .resource
        .clone()
        .unwrap();
    let name = attribute(&resource.attributes, "service.name");
    assert_eq!(name.as_deref(), Some("wap-north"));
    drop(gateway);
}

#[tokio::test]
async fn spans_that_wait_are_sent_at_a_stop_and_none_without_the_flag() {
    let origin = Origin::start().await;
    let collector = Collector::start(StatusCode::OK).await;
    let endpoint = format!("endpoint = \"http://{}\"", collector.address);
    let mut gateway = Gateway::start(&traced(&origin.uri(), &endpoint)).await;
    get(&gateway, "echo").await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(collector.received.borrow().spans().len(), 3);

    let none = format!("{endpoint}\nsample_ratio = 0.0");
    let mut gateway = Gateway::start(&traced(&origin.uri(), &none)).await;
    get(&gateway, "echo").await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(collector.received.borrow().spans().len(), 3);
}

#[tokio::test]
async fn a_collector_that_is_down_costs_a_counter_and_one_line() {
    let origin = Origin::start().await;
    let refuses = Collector::start(StatusCode::FORBIDDEN).await;
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    for (collector, why) in [(address, "efused"), (refuses.address, "403")] {
        let tracing = format!("endpoint = \"http://{collector}\"\ntimeout = \"2s\"");
        let mut gateway = Gateway::start(&traced(&origin.uri(), &tracing)).await;
        for dropped in 1..=2 {
            get(&gateway, "echo").await;
            let counted = format!("wapbridge_spans_dropped_total{{reason=\"export\"}} {dropped}\n");
            let counting = async {
                while !http_get(gateway.admin, "/metrics").await.contains(&counted) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let counting = tokio::time::timeout(Duration::from_secs(30), counting);
            counting.await.expect("counted");
        }
        let line = gateway.line("spans cannot be exported").await;
        assert!(line.contains(why), "{line}");
        gateway.signal("TERM");
        assert!(gateway.ended().await.success());
        let said = gateway.log().matches("spans cannot be exported").count();
        assert_eq!(said, 1, "{}", gateway.log());
    }
}
