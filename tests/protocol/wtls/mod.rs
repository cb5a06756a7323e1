//! WTLS: whole conversations of the client and the server, and the items of static conformance.

mod conformance;
mod conversation;
mod handshakes;
mod limits;
pub(crate) mod push;
mod states;

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use wapbridge::wtls::{Credentials, KeyExchange, PrivateKey, Statement, Stored};

use crate::suite::Suite;

/// The key that the vectors were made with: 1024 bits.
fn key() -> PrivateKey {
    let pem = include_bytes!("../../../fixtures/wtls/key.pem");
    let der = PrivateKeyDer::from_pem_slice(pem).unwrap();
    PrivateKey::from_der(der.secret_der()).unwrap()
}

/// A key of so many bits, for the exchanges with limits, and a certificate that the other key signed.
fn short_credentials(bits: usize) -> Arc<Credentials> {
    let pem: &[u8] = match bits {
        512 => include_bytes!("../../../fixtures/wtls/key-512.pem"),
        _ => include_bytes!("../../../fixtures/wtls/key-768.pem"),
    };
    let der = PrivateKeyDer::from_pem_slice(pem).unwrap();
    let short = PrivateKey::from_der(der.secret_der()).unwrap();
    assert_eq!(short.bits(), bits);
    let certificate = Statement {
        issuer: "Root; Test; FI",
        subject: "Gateway; Test; FI; gw.example",
        not_before: 0,
        not_after: u32::MAX,
        key: short.public(),
    };
    let certificate = Stored::new(&certificate.sign(&key()).unwrap()).unwrap();
    Arc::new(Credentials::new(short, vec![certificate]).unwrap())
}

/// The key, and a WTLS certificate for it which it signed itself as authority.
fn credentials() -> (Arc<Credentials>, Arc<[Stored]>) {
    let root = statement("Root; Test; FI", "Root; Test; FI");
    let root = Stored::new(&root).unwrap();
    let own = Stored::new(&statement(
        "Root; Test; FI",
        "Gateway; Test; FI; gw.example",
    ))
    .unwrap();
    let credentials = Credentials::new(key(), vec![own, root.clone()]).unwrap();
    (Arc::new(credentials), Arc::new([root]))
}

/// The same with certificates of X.509, made by OpenSSL.
fn x509() -> (Arc<Credentials>, Arc<[Stored]>) {
    let pem = include_bytes!("../../../fixtures/wtls/x509.pem");
    let chain: Vec<Stored> = CertificateDer::pem_slice_iter(pem)
        .map(|der| Stored::new(&der.unwrap()).unwrap())
        .collect();
    let root = chain[1].clone();
    let credentials = Credentials::new(key(), chain).unwrap();
    (Arc::new(credentials), Arc::new([root]))
}

fn statement(issuer: &str, subject: &str) -> Vec<u8> {
    let key = key();
    Statement {
        issuer,
        subject,
        not_before: 0,
        not_after: u32::MAX,
        key: key.public(),
    }
    .sign(&key)
    .unwrap()
}

#[test]
fn every_item_is_held() {
    let mut suite = Suite::new(include_str!("../../../fixtures/conformance/wtls.tsv"));
    let exchange =
        |exchange, index| move || conformance::an_exchange_makes_a_connection(exchange, index);
    let limited = |exchange, bits| {
        move || conformance::a_short_key_serves_exchanges_of_its_limit_only(exchange, bits)
    };
    let carries = |bulk, mac| move || conformance::a_suite_carries_records(bulk, mac);
    suite.held(
        &["WTLS-S-001", "WTLS-S-030", "WTLS-S-034"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::RSA_ANON, 0),
    );
    suite.held(
        &["WTLS-S-031", "WTLS-S-151"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::DH_ANON, 1),
    );
    suite.held(
        &["WTLS-S-032", "WTLS-S-152"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::DH_ANON_768, 2),
    );
    suite.held(
        &["WTLS-S-033"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::DH_ANON_512, 0),
    );
    suite.held(
        &["WTLS-S-037", "WTLS-S-167", "WTLS-S-180"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::ECDH_ANON, 7),
    );
    suite.held(
        &["WTLS-S-038", "WTLS-S-168"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::ECDH_ANON_131, 8),
    );
    suite.held(
        &["WTLS-S-049", "WTLS-S-166"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::ECDH_ANON_113, 6),
    );
    suite.held(
        &["WTLS-S-169"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::ECDH_ANON, 9),
    );
    suite.held(
        &["WTLS-S-172"],
        "every_key_exchange_makes_a_connection",
        exchange(KeyExchange::ECDH_ANON, 12),
    );
    suite.held(
        &["WTLS-S-035"],
        "a_short_key_serves_exchanges_of_its_limit_only",
        limited(KeyExchange::RSA_ANON_768, 768),
    );
    suite.held(
        &["WTLS-S-036"],
        "a_short_key_serves_exchanges_of_its_limit_only",
        limited(KeyExchange::RSA_ANON_512, 512),
    );
    suite.held(
        &["WTLS-S-062"],
        "a_short_key_serves_exchanges_of_its_limit_only",
        limited(KeyExchange::RSA_768, 768),
    );
    suite.held(
        &["WTLS-S-063"],
        "a_short_key_serves_exchanges_of_its_limit_only",
        limited(KeyExchange::RSA_512, 512),
    );
    suite.held(
        &["WTLS-S-002"],
        "a_session_is_resumed_with_new_keys_and_in_one_datagram",
        handshakes::a_session_is_resumed_with_new_keys_and_in_one_datagram,
    );
    suite.held(
        &["WTLS-S-004"],
        "two_quadruplets_share_a_session",
        conformance::two_quadruplets_share_a_session,
    );
    suite.held(
        &["WTLS-S-005", "WTLS-S-141", "WTLS-S-200"],
        "a_flight_is_one_datagram_of_records_and_begins_with_the_time",
        conformance::a_flight_is_one_datagram_of_records_and_begins_with_the_time,
    );
    suite.held(
        &["WTLS-S-006"],
        "a_repeated_finished_is_answered",
        handshakes::a_repeated_finished_is_answered,
    );
    suite.held(
        &["WTLS-S-007"],
        "a_request_for_a_handshake_is_followed",
        handshakes::a_request_for_a_handshake_is_followed,
    );
    suite.held(
        &["WTLS-S-010"],
        "numbers_rise_and_begin_anew_behind_a_change_cipher_spec",
        conformance::numbers_rise_and_begin_anew_behind_a_change_cipher_spec,
    );
    suite.held(
        &["WTLS-S-010"],
        "a_connection_outlives_its_sequence_numbers",
        handshakes::a_connection_outlives_its_sequence_numbers,
    );
    suite.held(
        &["WTLS-S-012", "WTLS-S-013", "WTLS-S-026"],
        "records_around_a_refresh_come_in_any_order_and_once",
        conformance::records_around_a_refresh_come_in_any_order_and_once,
    );
    suite.held(
        &["WTLS-S-020"],
        "closing_is_answered_in_kind",
        handshakes::closing_is_answered_in_kind,
    );
    suite.held(
        &["WTLS-S-021"],
        "a_fatal_alert_ends_the_session_and_one_in_clear_text_does_not",
        conformance::a_fatal_alert_ends_the_session_and_one_in_clear_text_does_not,
    );
    suite.held(
        &["WTLS-S-022"],
        "an_alert_with_another_checksum_is_ignored",
        conformance::an_alert_with_another_checksum_is_ignored,
    );
    suite.held(
        &["WTLS-S-025"],
        "a_finished_without_a_change_cipher_spec_is_unexpected",
        conformance::a_finished_without_a_change_cipher_spec_is_unexpected,
    );
    suite.held(
        &["WTLS-S-060", "WTLS-S-061"],
        "the_gateway_shows_its_certificate_and_the_client_verifies_it",
        conformance::the_gateway_shows_its_certificate_and_the_client_verifies_it,
    );
    suite.held(
        &["WTLS-S-070", "WTLS-S-071", "WTLS-S-191", "WTLS-S-192"],
        "a_client_shows_a_certificate_of_either_form",
        conformance::a_client_shows_a_certificate_of_either_form,
    );
    suite.held(
        &["WTLS-S-210"],
        "an_authority_below_the_root_says_that_it_is_one",
        conformance::an_authority_below_the_root_says_that_it_is_one,
    );
    suite.held(
        &["WTLS-S-100", "WTLS-S-101", "WTLS-S-130", "WTLS-S-131"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(3, 3),
    );
    suite.held(
        &["WTLS-S-102", "WTLS-S-132"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(2, 2),
    );
    suite.held(
        &["WTLS-S-103", "WTLS-S-133"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(5, 1),
    );
    suite.held(
        &["WTLS-S-104", "WTLS-S-135"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(6, 7),
    );
    suite.held(
        &["WTLS-S-105", "WTLS-S-136"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(9, 6),
    );
    suite.held(
        &["WTLS-S-106", "WTLS-S-137"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(8, 5),
    );
    suite.held(
        &["WTLS-S-107"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(10, 3),
    );
    suite.held(
        &["WTLS-S-108"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(11, 3),
    );
    suite.held(
        &["WTLS-S-120"],
        "every_cipher_with_every_mac_carries_records_across_key_refreshes",
        carries(0, 3),
    );
    suite.conclude("WTLS");
}
