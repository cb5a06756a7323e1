//! Content codings: what reaches the handset is what it can read, whatever the origin does.

use wapbridge::route::RouteSettings;
use wapbridge::syncml::Encoding;
use wapbridge::syncml::content::Policy;
use wapbridge::wsp::pdu::Method;

use super::{Bridge, route};
use crate::support::origin::Origin;
use crate::support::phone::{Phone, roomy};
use crate::support::sessions;

/// A route to `upstream` that translates SyncML for an origin that speaks XML.
fn translating(upstream: &str) -> RouteSettings {
    let mut route = route(upstream);
    // The sizes that the handset announces stay as they are.
    route.content.share = 1;
    route.content.policy = Policy::To(Encoding::Xml);
    route
}

#[tokio::test]
async fn a_translating_route_reads_an_origin_that_compresses() {
    let origin = Origin::start().await;
    let bridge = Bridge::with(&["127.0.0.1:0"], translating(&origin.uri()));
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let all = sessions::all();
    let is_wbxml = |media_type: &str| media_type.ends_with("+wbxml");
    let exchange = all
        .iter()
        .flatten()
        .find(|exchange| is_wbxml(exchange.media_type))
        .expect("a session in WBXML");
    for (path, accept) in [
        ("asked", None),
        ("asked", Some("gzip")),
        ("asked", Some("identity")),
        ("always", None),
        ("always", Some("gzip")),
        ("always", Some("gzip;q=0, *;q=0.5")),
    ] {
        let uri = format!("http://sync.example.com/gzip/{path}");
        let mut fields = vec![("Content-Type", exchange.media_type)];
        fields.extend(accept.map(|codings| ("Accept-Encoding", codings)));
        let reply = phone
            .ask(Method::POST, &uri, &fields, &exchange.request)
            .await;
        let why = format!("{path}, {accept:?}");
        assert_eq!(reply.status, 200, "{why}");
        assert_eq!(reply.content_type, exchange.media_type, "{why}");
        assert_eq!(reply.body, exchange.request, "{why}");
        let coded = reply
            .headers
            .iter()
            .any(|(name, _)| name == "content-encoding");
        assert!(!coded, "{why}: {:?}", reply.headers);
        let heard = origin.heard(&format!("/gzip/{path}"));
        let last = heard.last().unwrap();
        assert!(last.body.starts_with(b"<?xml"), "{why}");
        assert_eq!(last.headers["accept-encoding"], "gzip, deflate", "{why}");
    }
    let stats = bridge.stats(|stats| stats.acknowledged == 6).await;
    assert_eq!((stats.codings.decoded, stats.codings.refused), (6, 0));
}

#[tokio::test]
async fn elsewhere_a_handset_gets_a_coding_only_if_it_named_it() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    for (path, accept, is_coded, asked) in [
        ("asked", None, false, "identity"),
        ("asked", Some("gzip"), true, "gzip"),
        ("asked", Some("gzip;q=0"), false, "gzip; q=0"),
        ("always", None, false, "identity"),
        ("always", Some("gzip"), true, "gzip"),
        ("always", Some("deflate"), false, "deflate"),
    ] {
        let uri = format!("http://sync.example.com/gzip/{path}");
        let mut fields = vec![("Content-Type", "text/plain")];
        fields.extend(accept.map(|codings| ("Accept-Encoding", codings)));
        let reply = phone.ask(Method::POST, &uri, &fields, b"hello").await;
        let why = format!("{path}, {accept:?}");
        assert_eq!(reply.status, 200, "{why}");
        let coded = reply
            .headers
            .iter()
            .any(|(name, _)| name == "content-encoding");
        assert_eq!(coded, is_coded, "{why}: {:?}", reply.headers);
        assert_eq!(&*reply.body == b"hello", !is_coded, "{why}");
        let heard = origin.heard(&format!("/gzip/{path}"));
        assert_eq!(
            heard.last().unwrap().headers["accept-encoding"],
            asked,
            "{why}"
        );
    }
    let stats = bridge.stats(|stats| stats.acknowledged == 6).await;
    assert_eq!((stats.codings.decoded, stats.codings.refused), (2, 0));
}
