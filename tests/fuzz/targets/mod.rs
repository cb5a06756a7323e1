//! One target per decoder, and one for the core: any octets in, what must hold for all of them checked.

mod obex;
mod push;
pub(crate) mod sms;
pub(crate) mod wbxml;
#[cfg(feature = "wtls")]
pub(crate) mod wtls;
pub(crate) mod wtp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway::fetch::Reply;
use wapbridge::gateway::{Config, Event, Gateway, Limits};
use wapbridge::handset::{self, Handset, Request};
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::syncml::{header as sync_header, summary};
use wapbridge::time::Instant;
use wapbridge::wbxml::{Decoder, Options, xml};
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wsp::capability::{Capabilities, Offer};
use wapbridge::wsp::header;
use wapbridge::wsp::multipart;
use wapbridge::wsp::pdu::Method;
use wapbridge::wtp::Config as WtpConfig;
use wapbridge::{explain, wsp};

/// A target: takes any octets, and panics if something does not hold.
pub(crate) type Target = fn(&[u8]);

/// Targets that make a handshake with public keys for each input.
pub(crate) const COSTLY: &[&str] = &["wtls_endpoint", "wtls_client", "wtls_conversation"];

/// Every target by name.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("wtp_pdu", wtp::pdu),
    ("wtp_datagram", wtp::datagram),
    ("wtp_endpoint", wtp::endpoint),
    ("wtp_reassembly", wtp::reassembly),
    ("wsp_pdu", wsp_pdu),
    ("wsp_headers", wsp_headers),
    ("wsp_capabilities", wsp_capabilities),
    ("wsp_multipart", wsp_multipart),
    ("wbxml_decoder", wbxml::decoder),
    ("wbxml_translation", wbxml::to_text),
    ("xml_translation", |octets| wbxml::text(octets, false)),
    ("syncml_content", wbxml::syncml),
    ("wbxml_to_xml", wbxml_to_xml),
    ("xml_to_wbxml", xml_to_wbxml),
    ("syncml_peek", syncml_peek),
    ("explain", explain_anything),
    ("push_message", push::message),
    ("push_document", push::document),
    ("push_address", push::address),
    ("san", sms::notification),
    ("wdp_sms", sms::user_data),
    ("smpp", sms::session),
    ("obex_headers", obex::headers),
    ("obex_session", obex::session),
    ("route", route),
    ("gateway", gateway),
    #[cfg(feature = "wtls")]
    ("wtls_record", wtls::record),
    #[cfg(feature = "wtls")]
    ("wtls_handshake", wtls::handshake),
    #[cfg(feature = "wtls")]
    ("wtls_endpoint", wtls::endpoint),
    #[cfg(feature = "wtls")]
    ("wtls_client", wtls::handset),
    #[cfg(feature = "wtls")]
    ("wtls_conversation", wtls::conversation),
];

/// A PDU that decodes encodes to octets that decode to the same.
fn wsp_pdu(octets: &[u8]) {
    let Ok(pdu) = wsp::Pdu::decode(octets) else {
        return;
    };
    let mut written = Vec::new();
    pdu.encode(&mut written);
    assert_eq!(wsp::Pdu::decode(&written).as_ref(), Ok(&pdu));
}

/// Whatever comes out of a block is safe to put into an HTTP header, and the reading ends.
fn wsp_headers(octets: &[u8]) {
    let mut fields = 0;
    for field in header::fields(octets, &[]) {
        fields += 1;
        let Ok(field) = field else { continue };
        assert!(
            http::HeaderName::from_bytes(field.name.as_bytes()).is_ok(),
            "{field:?}"
        );
        assert!(
            http::HeaderValue::from_bytes(&field.value).is_ok(),
            "{field:?}"
        );
    }
    assert!(fields <= octets.len());
    if let Ok((content_type, rest)) = header::decode_content_type(octets) {
        assert!(rest.len() <= octets.len());
        assert!(!content_type.contains(['\r', '\n', '\0']));
    }
}

fn wsp_capabilities(octets: &[u8]) {
    let Ok(offer) = Offer::decode(octets) else {
        return;
    };
    let limits = wsp::capability::ServerLimits {
        client_sdu: 1 << 20,
        server_sdu: 1 << 20,
        client_message: 1 << 20,
        server_message: 1 << 20,
        options: wsp::capability::ProtocolOptions::SESSION_RESUME,
        method_mor: 8,
        push_mor: 1,
        extended_methods: vec!["PROPFIND".into()],
        code_pages: true,
        aliases: Vec::new(),
    };
    let agreed = wsp::capability::negotiate(&offer, &limits);
    assert!(agreed.method_mor <= 8 && agreed.client_sdu <= 1 << 20 && agreed.client_sdu > 0);
    let mut reply = Vec::new();
    wsp::capability::encode_reply(&offer, &agreed, &limits, &mut reply);
    assert!(Offer::decode(&reply).is_ok());
}

fn wsp_multipart(octets: &[u8]) {
    let mut total = 0;
    for part in multipart::parts(octets).flatten() {
        total += part.data.len();
    }
    assert!(total <= octets.len());
}

/// A binary document makes bounded text.
fn wbxml_to_xml(octets: &[u8]) {
    if let Ok(mut decoder) = Decoder::new(octets, &Options::default()) {
        let mut events = 0;
        while let Ok(Some(_)) = decoder.next() {
            events += 1;
        }
        assert!(
            events <= 16 * octets.len() + 16,
            "{events} events from {} octets",
            octets.len()
        );
    }
    let mut out = Vec::new();
    if xml::to_xml(octets, &xml::XmlOptions::default(), &mut out).is_ok() {
        assert!(out.len() <= 64 << 20);
    }
}

fn xml_to_wbxml(octets: &[u8]) {
    let mut out = Vec::new();
    if xml::from_xml(octets, &xml::WbxmlOptions::default(), &mut out).is_ok() {
        let mut back = Vec::new();
        xml::to_xml(&out, &xml::XmlOptions::default(), &mut back).unwrap();
    }
}

fn syncml_peek(octets: &[u8]) {
    if let Some(found) = sync_header::peek(octets) {
        assert!(!format!("{found:?}").contains("secret"));
    }
    let _ = summary::summarize(octets);
}

fn explain_anything(octets: &[u8]) {
    for candidate in explain::candidates(octets) {
        let _ = explain::explain(candidate.kind, octets).to_string();
    }
    let _ = (explain::detect(octets), explain::nearest(octets));
}

/// No octets lead anywhere but below the route's own upstream.
fn route(octets: &[u8]) {
    let Ok(uri) = std::str::from_utf8(octets) else {
        return;
    };
    let routes = Routes::new(vec![
        RouteSettings::from_prefix("http://sync.example/a/", "https://origin.example/b/").unwrap(),
    ]);
    for uri in [
        uri.to_owned(),
        format!("http://sync.example/a/{uri}"),
        format!("http://sync.example{uri}"),
    ] {
        let view = wapbridge::route::RequestView {
            uri: &uri,
            method: &http::Method::GET,
            local_port: 9201,
            secured: false,
            binding: wapbridge::route::Binding::Wsp,
            obex_target: None,
            content_type: None,
            user_agent: None,
            message: wapbridge::route::Message::Body(&[]),
        };
        if let Ok(target) = routes.lookup(&view) {
            assert_eq!(target.uri.host(), Some("origin.example"));
            assert!(
                target.uri.path().starts_with("/b/") && !target.uri.path().contains("/../"),
                "{}",
                target.uri
            );
        }
    }
}

/// The core under a script: the octets are cut into datagrams, answers and pauses from a few peers.
fn gateway(octets: &[u8]) {
    let config = Config {
        wtp: WtpConfig {
            max_transactions: 8,
            max_transactions_per_peer: 3,
            max_message: 20_000,
            max_reassembly: 30_000,
            tid_cache_capacity: 2,
            ..WtpConfig::ip()
        },
        wsp: wsp::session::Config {
            max_sessions: 3,
            ..wsp::session::Config::default()
        },
        limits: Limits {
            max_exchanges: 2,
            ..Limits::default()
        },
        ..Config::new(routes())
    };
    let mut now = Instant::ZERO;
    let mut gateway = Gateway::new(Arc::new(config), 7, now);
    let mut pending = Vec::new();
    let mut sent = Vec::new();
    let said = said_by_a_handset();
    let mut script = octets;
    let mut steps = 0;
    while let Some((&step, rest)) = script.split_first() {
        steps += 1;
        if steps > 200 {
            break;
        }
        script = rest;
        let peer = Peer::new(
            SocketAddr::from(([10, 0, 0, step & 3], 4_000)),
            SocketAddr::from(([192, 0, 2, 1], 9201)),
        );
        match step >> 4 {
            // What a handset really says, so that the states behind it are reached.
            0..=5 => {
                let payload = &said[usize::from(step) % said.len()];
                gateway.handle_datagram(now, datagram(peer, payload));
            }
            6..=10 => {
                let len = usize::from(step & 0x3F).min(script.len());
                let (payload, rest) = script.split_at(len);
                script = rest;
                let service = if step & 0x40 == 0 {
                    Service::Connectionless
                } else {
                    Service::ConnectionMode
                };
                gateway.handle_datagram(
                    now,
                    Datagram {
                        service,
                        ..datagram(peer, payload)
                    },
                );
            }
            11 | 12 => {
                if let Some(id) = pending.pop() {
                    let reply = Reply {
                        status: http::StatusCode::OK,
                        headers: http::HeaderMap::new(),
                        body: octets.to_vec().into(),
                        trailers: None,
                    };
                    gateway.handle_reply(now, id, Ok(reply));
                }
            }
            _ => {
                now += Duration::from_millis(u64::from(step) * 100);
                gateway.handle_timeout(now);
            }
        }
        drain(&mut gateway, &mut pending, &mut sent);
        let stats = gateway.stats();
        assert!(
            stats.transactions <= 8,
            "{} transactions",
            stats.transactions
        );
        assert!(stats.sessions <= 3, "{} sessions", stats.sessions);
        assert!(stats.in_flight <= 2, "{} in flight", stats.in_flight);
        assert_eq!(
            stats.in_flight,
            pending.len() as u64,
            "a fetch has not exactly one end"
        );
    }
    // Left alone, everything under way ends by itself.
    for _ in 0..2_000 {
        let Some(at) = gateway.poll_timeout().filter(|_| !gateway.is_idle()) else {
            break;
        };
        now = now.max(at);
        gateway.handle_timeout(now);
        drain(&mut gateway, &mut pending, &mut sent);
    }
    assert!(
        gateway.is_idle(),
        "something is left over: {:?}",
        gateway.stats()
    );
    assert!(pending.is_empty(), "a fetch was left over");
}

fn drain(
    gateway: &mut Gateway,
    pending: &mut Vec<wapbridge::gateway::fetch::RequestId>,
    sent: &mut Vec<u8>,
) {
    loop {
        sent.clear();
        if gateway.poll_transmit(sent).is_none() {
            break;
        }
        assert!(!sent.is_empty());
    }
    while let Some(event) = gateway.poll_event() {
        match event {
            Event::Fetch(id, request) => {
                assert_eq!(request.uri.host(), Some("origin.example"));
                pending.push(id);
            }
            Event::Cancel(id) => {
                let at = pending
                    .iter()
                    .position(|other| *other == id)
                    .expect("cancelled what was not there");
                pending.swap_remove(at);
            }
            Event::Answered(_)
            | Event::HttpReply(..)
            | Event::Finished(_)
            | Event::PushDone(..)
            | Event::Claim(..)
            | Event::Released(..)
            | Event::Save(_)
            | Event::Forget(_) => {}
        }
    }
}

pub(crate) fn routes() -> Arc<Routes> {
    Arc::new(Routes::new(vec![
        RouteSettings::from_prefix("http://sync.example/", "https://origin.example/").unwrap(),
    ]))
}

fn datagram(peer: Peer, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        peer,
        service: Service::ConnectionMode,
        payload,
    }
}

/// Datagrams of a real handset: connect, small and segmented requests, acknowledgements, a disconnect.
pub(crate) fn said_by_a_handset() -> Vec<Vec<u8>> {
    let ours = SocketAddr::from(([10, 0, 0, 1], 4_000));
    let theirs = SocketAddr::from(([192, 0, 2, 1], 9201));
    let config = handset::Config {
        capabilities: Some(
            Capabilities::default()
                .with_client_sdu(0)
                .with_server_sdu(0),
        ),
        headers: vec![("Accept".into(), "text/html, */*;q=0.5".into())],
        ..handset::Config::default()
    };
    let gateway_config = Config::new(routes());
    let mut now = Instant::ZERO;
    let mut phone = Handset::new(config, Peer::new(theirs, ours), 1, now);
    let mut gateway = Gateway::new(Arc::new(gateway_config), 1, now);
    let mut said = Vec::new();
    let large = vec![7; 4_000];
    for step in 0..5 {
        match step {
            0 => phone.connect(now),
            4 => phone.disconnect(now),
            _ => {
                let body = if step == 2 { &large[..] } else { b"small" };
                let method = if step == 3 { Method::GET } else { Method::POST };
                phone.request(
                    now,
                    &Request {
                        method,
                        uri: "http://sync.example/",
                        headers: &[],
                        body,
                    },
                );
            }
        }
        // The network between them is perfect and quick.
        for _ in 0..40 {
            now += Duration::from_millis(100);
            let mut out = Vec::new();
            while phone.poll_transmit(&mut out).is_some() {
                said.push(out.clone());
                gateway.handle_datagram(now, datagram(Peer::new(ours, theirs), &out));
                out.clear();
            }
            while gateway.poll_transmit(&mut out).is_some() {
                phone.handle_datagram(now, Peer::new(theirs, ours), &out);
                out.clear();
            }
            while let Some(event) = gateway.poll_event() {
                if let Event::Fetch(id, _) = event {
                    let reply = Reply {
                        status: http::StatusCode::OK,
                        headers: http::HeaderMap::new(),
                        body: large.clone().into(),
                        trailers: None,
                    };
                    gateway.handle_reply(now, id, Ok(reply));
                }
            }
            phone.handle_timeout(now);
            gateway.handle_timeout(now);
        }
    }
    assert!(
        said.len() > 10,
        "the handset said only {} things",
        said.len()
    );
    said
}
