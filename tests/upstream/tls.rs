//! Origins that ask for more of TLS than being verified, and that we ask more of.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::Method;
use rustls::pki_types::CertificateDer;
use wapbridge::gateway::fetch::{Failure, FetchError, Reply};
use wapbridge::upstream::{ClientIdentity, KeyPin, OriginTls, TlsVersion};

use super::{OK, assert_fails};
use crate::support::certificate::{
    Certificate, acceptor, client_auth_acceptor, identity, tls, tls12_acceptor,
};
use crate::support::raw::{AfterReply, ROUTE, origin, origin_with, request, upstream_with};

/// Fetches from an origin that is spoken to in this way.
async fn fetch(address: SocketAddr, settings: &OriginTls) -> Result<Reply, FetchError> {
    let mut tls = tls();
    tls.set_route(ROUTE.into(), settings).unwrap();
    let upstream = upstream_with(&tls, |_| {});
    upstream.fetch(request(Method::POST, address, b"x")).await
}

fn pin(certificate: &CertificateDer<'_>) -> KeyPin {
    KeyPin::of(certificate).unwrap()
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_origin_it_is_for() {
    let (certificate, key) = identity("gateway");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("upstream-client-{}.pem", std::process::id()));
    std::fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
    let settings = OriginTls {
        client: Some(ClientIdentity {
            certificate: file.clone(),
            key: file.clone(),
        }),
        ..OriginTls::default()
    };
    let (address, _) = origin_with(client_auth_acceptor(), OK, AfterReply::KeepAlive).await;
    let reply = fetch(address, &settings).await;
    std::fs::remove_file(file).unwrap();
    assert_eq!(&*reply.unwrap().body, b"hello");
    let without = fetch(address, &OriginTls::default()).await;
    assert_fails(without, Failure::Tls, "wants a client certificate");
}

#[tokio::test]
async fn a_minimum_version_refuses_older_ones() {
    let (acceptor, _) = tls12_acceptor();
    let (address, _) = origin_with(acceptor, OK, AfterReply::KeepAlive).await;
    assert!(fetch(address, &OriginTls::default()).await.is_ok());
    let modern = OriginTls {
        min_version: TlsVersion::V1_3,
        ..OriginTls::default()
    };
    let result = fetch(address, &modern).await;
    assert_fails(result, Failure::Tls, "ProtocolVersion");
    let (modern_origin, _) = origin(OK, AfterReply::KeepAlive).await;
    assert!(fetch(modern_origin, &modern).await.is_ok());
}

#[tokio::test]
async fn a_pinned_origin_needs_one_of_the_keys_and_a_certificate_that_verifies() {
    let (old, certificate) = tls12_acceptor();
    let (address, _) = origin_with(old, OK, AfterReply::KeepAlive).await;
    let other = pin(identity("localhost").0.der());
    let pinned_to = |pins| OriginTls {
        pins,
        ..OriginTls::default()
    };
    let ours = pin(&certificate);
    assert!(fetch(address, &pinned_to(vec![other, ours])).await.is_ok());
    let result = fetch(address, &pinned_to(vec![other])).await;
    assert_fails(result, Failure::Tls, &format!("its pin is {ours}"));

    let (expired, _) = origin_with(
        acceptor(Certificate::Expired, &[]),
        OK,
        AfterReply::KeepAlive,
    )
    .await;
    let result = fetch(expired, &pinned_to(vec![ours])).await;
    assert_fails(result, Failure::Tls, "has expired");
}
