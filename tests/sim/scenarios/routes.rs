//! Routes: their choice, their refusals, and their changes of headers.

use wapbridge::gateway;
use wapbridge::gateway::answer::Problem;
use wapbridge::gateway::fetch::Reply;
use wapbridge::handset::{self, Request};
use wapbridge::route::{Condition, HeaderPolicy, Pattern, RouteSettings, Routes};
use wapbridge::sim::World;
use wapbridge::syncml::Protocol;
use wapbridge::wsp::pdu::Method;

use super::new_world;
use crate::{gateway_config, phone_config};

fn route(upstream: &str) -> RouteSettings {
    RouteSettings::from_prefix("http://sync.example/", upstream).unwrap()
}

fn world(routes: Vec<RouteSettings>) -> World {
    let config = gateway::Config {
        routes: Routes::new(routes).into(),
        ..gateway_config()
    };
    new_world(1, config)
}

fn ask(world: &mut World, method: Method, headers: &[(&str, &str)], body: &[u8]) -> handset::Reply {
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    world.request(
        phone,
        &Request {
            method,
            uri: "http://sync.example/x",
            headers: &headers,
            body,
        },
    );
    world.run_until_idle();
    world.outcomes(phone)[0].1.clone().unwrap()
}

fn host(world: &World) -> &str {
    world.origin.requests.last().unwrap().uri.host().unwrap()
}

/// TS 27.103 5.8: Release 99 objects and the versions of SyncML have servers of their own.
#[test]
fn a_message_goes_to_the_server_for_its_type_and_version() {
    let mut irmc = route("https://irmc.example/");
    irmc.condition.media_types = vec![Pattern::new("text/x-vcard"), Pattern::new("text/x-irmc")];
    let mut ds10 = route("https://ds10.example/");
    ds10.condition.protocols = vec![Protocol::Ds10];
    let mut dm = route("https://dm.example/");
    dm.condition.protocols = vec![Protocol::Dm];
    let mut world = world(vec![irmc, ds10, dm, route("https://ds.example/")]);
    for (session, host_wanted) in [
        ("s10-wbxml-md5-01-slow/01-req.wbxml", "ds10.example"),
        ("s11-wbxml-basic-01-slow/01-req.wbxml", "ds.example"),
    ] {
        let path = format!(
            "{}/fixtures/syncml-sessions/{session}",
            env!("CARGO_MANIFEST_DIR")
        );
        let wbxml = [("Content-Type", "application/vnd.syncml+wbxml")];
        ask(
            &mut world,
            Method::POST,
            &wbxml,
            &std::fs::read(path).unwrap(),
        );
        assert_eq!(host(&world), host_wanted);
    }
    let dm_message = b"<SyncML><SyncHdr><VerProto>DM/1.2</VerProto></SyncHdr></SyncML>";
    let xml = [("Content-Type", "application/vnd.syncml.dm+xml")];
    ask(&mut world, Method::POST, &xml, dm_message);
    assert_eq!(host(&world), "dm.example");
    for (method, body) in [
        (Method::PUT, b"BEGIN:VCARD".as_slice()),
        (Method::POST, b"x"),
    ] {
        let vcard = [("Content-Type", "text/x-vcard")];
        ask(&mut world, method, &vcard, body);
        assert_eq!(host(&world), "irmc.example");
    }
    ask(&mut world, Method::GET, &[], b"");
    assert_eq!(host(&world), "ds.example");
}

#[test]
fn a_method_the_route_does_not_allow_is_405_and_never_fetched() {
    let mut posts = route("https://ds.example/");
    posts.allowed_methods = vec![http::Method::POST, http::Method::PUT];
    let mut world = world(vec![posts]);
    let refused = ask(&mut world, Method::DELETE, &[], b"");
    assert_eq!(refused.status, 405);
    let mut allow: Vec<String> = refused
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("allow"))
        .map(|(_, value)| String::from_utf8(value.clone()).unwrap())
        .collect();
    allow.sort();
    assert_eq!(allow.join(", "), "POST, PUT");
    assert!(world.origin.requests.is_empty());
    let problem = world.records[0].problem;
    assert_eq!(problem, Some(Problem::MethodNotAllowed));
    assert_eq!(ask(&mut world, Method::POST, &[], b"x").status, 200);
}

#[test]
fn what_a_handset_claims_of_its_identity_never_arrives() {
    let mut world = world(vec![route("https://ds.example/")]);
    let claims = [
        ("X-MSISDN", "4917012345"),
        ("x-up-calling-line-id", "4917012345"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Mine", "kept"),
    ];
    ask(&mut world, Method::GET, &claims, b"");
    let headers = &world.origin.requests[0].headers;
    assert!(!headers.contains_key("x-msisdn"));
    assert!(!headers.contains_key("x-up-calling-line-id"));
    assert_eq!(headers["x-mine"], "kept");
    let peer = world.records[0].peer.remote.ip().to_string();
    assert_eq!(headers["x-forwarded-for"], peer.as_str());
    assert_eq!(headers["forwarded"], format!("for={peer}").as_str());
    assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
}

#[test]
fn header_rules_change_requests_and_replies() {
    let rules = |rules: &[&str]| rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let mut ruled = RouteSettings::new(
        Condition::default(),
        route("https://ds.example/").hosts().next().unwrap().clone(),
    );
    ruled.headers = HeaderPolicy {
        request: rules(&["set X-Carrier: example", "remove Accept-Language"]),
        reply: rules(&["set X-Gateway: 1", "set Content-Type: text/x-changed"]),
        ..HeaderPolicy::default()
    }
    .into();
    let mut world = world(vec![ruled]);
    let reply = ask(&mut world, Method::GET, &[("Accept-Language", "de")], b"");
    let headers = &world.origin.requests[0].headers;
    assert_eq!(headers["x-carrier"], "example");
    assert!(!headers.contains_key("accept-language"));
    assert_eq!(reply.content_type, "text/x-changed");
    let said = reply
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("x-gateway"));
    assert_eq!(said.unwrap().1, b"1");
}

/// A world whose origin answers with `reply`, over a route that replaces addresses.
fn rewriting(reply: Reply) -> World {
    let mut route =
        RouteSettings::from_prefix("http://sync.example/", "https://in.example:8443/app/").unwrap();
    route.rewrite_resp_uri = true;
    let mut world = world(vec![route]);
    world.origin.script = Some(Box::new(move |_| Ok(reply.clone())));
    world
}

fn reply(status: u16, fields: &[(&'static str, &'static str)], body: Vec<u8>) -> Reply {
    let mut headers = http::HeaderMap::new();
    for (name, value) in fields {
        headers.insert(*name, http::HeaderValue::from_static(value));
    }
    Reply {
        status: http::StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.into(),
        trailers: None,
    }
}

const XML: &str = "application/vnd.syncml+xml";
const WBXML: &str = "application/vnd.syncml+wbxml";

fn message(resp_uri: &str) -> String {
    format!(
        "<SyncML xmlns='SYNCML:SYNCML1.1'><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto>\
         <SessionID>1</SessionID><MsgID>1</MsgID><RespURI>{resp_uri}</RespURI></SyncHdr>\
         <SyncBody><Final/></SyncBody></SyncML>"
    )
}

#[test]
fn the_servers_own_address_leads_back_through_the_route() {
    let inside = message("https://in.example:8443/app/ds?sid=1&amp;x=2");
    let outside = message("http://sync.example/ds?sid=1&amp;x=2");
    let binary = |text: &str| {
        let mut out = Vec::new();
        wapbridge::wbxml::xml::from_xml(text.as_bytes(), &Default::default(), &mut out).unwrap();
        out
    };
    for (content_type, sent, expected) in [
        (
            XML,
            inside.clone().into_bytes(),
            outside.clone().into_bytes(),
        ),
        (WBXML, binary(&inside), binary(&outside)),
    ] {
        let mut world = rewriting(reply(200, &[("content-type", content_type)], sent));
        let answer = ask(
            &mut world,
            Method::POST,
            &[("Content-Type", content_type)],
            b"x",
        );
        assert_eq!(&*answer.body, expected);
    }
    let location = [
        ("location", "https://in.example:8443/app/other?a"),
        ("content-location", "/app/here"),
    ];
    let mut world = rewriting(reply(302, &location, Vec::new()));
    let answer = ask(&mut world, Method::GET, &[], b"");
    let field = |wanted: &str| {
        let found = answer
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    };
    assert_eq!(field("location"), "http://sync.example/other?a");
    assert_eq!(field("content-location"), "http://sync.example/here");
}

#[test]
fn an_exchange_with_a_digest_and_an_address_elsewhere_are_left_alone() {
    let inside = message("https://in.example:8443/app/ds").into_bytes();
    let sealed = [("content-type", XML), ("x-syncml-hmac", "mac=x")];
    let mut world = rewriting(reply(200, &sealed, inside.clone()));
    let answer = ask(&mut world, Method::POST, &[("Content-Type", XML)], b"x");
    assert_eq!(&*answer.body, inside);

    let mut world = rewriting(reply(200, &[("content-type", XML)], inside.clone()));
    let asked = [("Content-Type", XML), ("x-syncml-hmac", "mac=x")];
    assert_eq!(&*ask(&mut world, Method::POST, &asked, b"x").body, inside);

    let elsewhere = message("https://else.example/ds").into_bytes();
    let mut world = rewriting(reply(200, &[("content-type", XML)], elsewhere.clone()));
    let answer = ask(&mut world, Method::POST, &[("Content-Type", XML)], b"x");
    assert_eq!(&*answer.body, elsewhere);
}

fn field<'r>(reply: &'r handset::Reply, name: &str) -> Option<&'r [u8]> {
    let mut fields = reply.headers.iter();
    let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
    Some(&found.1)
}

#[test]
fn trace_is_refused_unless_the_route_names_it() {
    let mut world = world(vec![route("https://ds.example/")]);
    let refused = ask(&mut world, Method::TRACE, &[], b"");
    assert_eq!(refused.status, 405);
    assert!(world.origin.requests.is_empty());
    let mut traced = route("https://ds.example/");
    traced.allowed_methods = vec![http::Method::TRACE];
    let mut world = self::world(vec![traced]);
    ask(&mut world, Method::TRACE, &[("Max-Forwards", "3")], b"");
    assert_eq!(world.origin.requests[0].headers["max-forwards"], "2");
}

#[test]
fn a_request_that_may_not_go_further_ends_at_the_gateway() {
    let mut world = world(vec![route("https://ds.example/")]);
    let own = ask(&mut world, Method::OPTIONS, &[("Max-Forwards", "0")], b"");
    assert_eq!(own.status, 200);
    assert!(field(&own, "allow").is_some());
    assert!(world.origin.requests.is_empty());
    ask(&mut world, Method::GET, &[("Max-Forwards", "0")], b"");
    assert_eq!(world.origin.requests.len(), 1);
}

#[test]
fn a_path_that_leaves_its_prefix_once_decoded_twice_is_never_fetched() {
    let mut route =
        RouteSettings::from_prefix("http://sync.example/sync/", "https://o.example/").unwrap();
    route.limits.max_reply = 1_000;
    let mut world = world(vec![route]);
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    for path in [
        "..%%32fadmin",
        "..%2%66admin",
        "..%%35cadmin",
        "..%252fadmin",
        "..%00/x",
    ] {
        let uri = format!("http://sync.example/sync/{path}");
        let request = Request {
            method: Method::GET,
            uri: &uri,
            headers: &[],
            body: b"",
        };
        world.request(phone, &request);
        world.run_until_idle();
    }
    let statuses: Vec<u16> = world
        .outcomes(phone)
        .iter()
        .map(|(_, outcome)| outcome.clone().unwrap().status)
        .collect();
    assert_eq!(statuses, [403; 5]);
    assert!(world.origin.requests.is_empty());
}

#[test]
fn the_home_page_has_a_route_of_its_own() {
    let home = RouteSettings::from_prefix("DEVICE:home", "https://portal.example/start").unwrap();
    let mut world = world(vec![home, route("https://ds.example/")]);
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    let request = Request {
        method: Method::GET,
        uri: "DEVICE:home",
        headers: &[],
        body: b"",
    };
    world.request(phone, &request);
    world.run_until_idle();
    assert_eq!(world.outcomes(phone)[0].1.clone().unwrap().status, 200);
    assert_eq!(world.origin.requests[0].uri, "https://portal.example/start");
}

#[test]
fn profiles_reach_the_origin_and_a_login_to_the_proxy_does_not() {
    let mut world = world(vec![route("https://ds.example/")]);
    let said = [
        ("Profile", "http://wap.example/7110.rdf"),
        ("Proxy-Authorization", "Basic dTpw"),
        ("Content_Length", "5"),
        ("X.MSISDN", "491701234567"),
    ];
    ask(&mut world, Method::GET, &said, b"");
    let headers = &world.origin.requests[0].headers;
    assert_eq!(headers["x-wap-profile"], "\"http://wap.example/7110.rdf\"");
    for name in [
        "profile",
        "proxy-authorization",
        "content_length",
        "x.msisdn",
    ] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[test]
fn a_handset_that_asks_for_the_time_is_told() {
    let mut world = world(vec![route("https://ds.example/")]);
    let reply = ask(&mut world, Method::GET, &[("X-Wap-Tod", "")], b"");
    let time = String::from_utf8(field(&reply, "x-wap-tod").unwrap().to_vec()).unwrap();
    assert!(time.starts_with("Sun, 09 Sep 2001 01:4"), "{time}");
    assert!(!world.origin.requests[0].headers.contains_key("x-wap-tod"));
    let reply = ask(&mut world, Method::GET, &[], b"");
    assert!(field(&reply, "x-wap-tod").is_none());
}

#[test]
fn a_page_with_a_long_policy_for_browsers_fits() {
    let mut world = world(vec![route("https://ds.example/")]);
    world.origin.script = Some(Box::new(|_| {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().unwrap());
        let policy = "default-src 'self'; ".repeat(80);
        headers.insert("content-security-policy", policy.parse().unwrap());
        headers.insert("x-trace-id", "t".repeat(1_300).parse().unwrap());
        Ok(Reply {
            status: http::StatusCode::OK,
            headers,
            body: vec![b'x'; 300].into(),
            trailers: None,
        })
    }));
    // A handset without capabilities accepts 1,400 octets.
    let phone = world.handset(handset::Config {
        capabilities: None,
        ..phone_config()
    });
    world.connect(phone);
    world.run_until_idle();
    let request = Request {
        method: Method::GET,
        uri: "http://sync.example/x",
        headers: &[],
        body: b"",
    };
    world.request(phone, &request);
    world.run_until_idle();
    let reply = world.outcomes(phone)[0].1.clone().unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 300));
}
