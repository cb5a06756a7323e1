//! Explains WTLS records and handshake messages (WAP-261, sections 9.2 and 10).

use super::annotator::{Annotator, shown};
use crate::wtls::{
    self, CipherSuite, ContentType, KeyExchange, Message, MessageType, Record, records,
};

/// Explains a datagram: its records.
pub(super) fn datagram(annotator: &mut Annotator<'_>) {
    let (found, malformed) = records(annotator.rest());
    for found in found {
        let len = found.octets.len();
        annotator.group(len, &name(&found), |annotator| record(annotator, &found));
    }
    let left = annotator.rest().len();
    if malformed {
        annotator.fault(left, "no WTLS record".to_owned());
    }
}

fn name(record: &Record<'_>) -> String {
    let content = match record.content_type {
        ContentType::ChangeCipherSpec => "change of cipher spec",
        ContentType::Alert => "alert",
        ContentType::Handshake => "handshake",
        ContentType::ApplicationData => "user data",
    };
    match record.is_ciphered() {
        true => format!("WTLS record, {content}, encrypted"),
        false => format!("WTLS record, {content}"),
    }
}

fn record(annotator: &mut Annotator<'_>, record: &Record<'_>) {
    annotator.octet(|octet| format!("record type {octet:02x}"));
    annotator.uint16(|sequence| format!("sequence number: {sequence}"));
    if record.has_length() {
        annotator.uint16(|length| format!("length: {length}"));
    }
    let len = record.fragment.len();
    match record.is_ciphered() {
        true => annotator.annotate(len, format!("{len} octets under the cipher spec")),
        false => content(annotator, record.content_type),
    }
}

/// Explains what is in a record: the plaintext, if the record is under a cipher spec.
pub(super) fn content(annotator: &mut Annotator<'_>, content_type: ContentType) {
    let octets = annotator.rest();
    let len = octets.len();
    match content_type {
        ContentType::Handshake => {
            while let Ok((_, found)) = wtls::message(annotator.rest()) {
                if annotator.rest().is_empty() {
                    return;
                }
                let name = message_name(found.message_type);
                annotator.group(found.octets.len(), name, |annotator| {
                    message(annotator, &found);
                });
            }
            let left = annotator.rest().len();
            if left > 0 {
                annotator.fault(left, "no handshake message".to_owned());
            }
        }
        ContentType::Alert => match wtls::alert(octets) {
            Ok((_, alert)) => {
                let meaning = format!("{:?} {}", alert.level, alert.description.name());
                annotator.annotate(2, meaning.to_lowercase());
                annotator.annotate(4, "checksum of the record received last".to_owned());
            }
            Err(_) => annotator.fault(len, "no alert".to_owned()),
        },
        ContentType::ChangeCipherSpec => {
            annotator.annotate(len, "the new cipher spec begins".to_owned());
        }
        ContentType::ApplicationData => {
            annotator.fault(len, "user data in clear text".to_owned());
        }
    }
}

const fn message_name(message_type: MessageType) -> &'static str {
    match message_type {
        MessageType::HELLO_REQUEST => "HelloRequest",
        MessageType::CLIENT_HELLO => "ClientHello",
        MessageType::SERVER_HELLO => "ServerHello",
        MessageType::CERTIFICATE => "Certificate",
        MessageType::SERVER_KEY_EXCHANGE => "ServerKeyExchange",
        MessageType::CERTIFICATE_REQUEST => "CertificateRequest",
        MessageType::SERVER_HELLO_DONE => "ServerHelloDone",
        MessageType::CERTIFICATE_VERIFY => "CertificateVerify",
        MessageType::CLIENT_KEY_EXCHANGE => "ClientKeyExchange",
        MessageType::FINISHED => "Finished",
        _ => "unknown handshake message",
    }
}

fn message(annotator: &mut Annotator<'_>, found: &Message<'_>) {
    annotator.octet(|number| format!("message type {number}"));
    annotator.uint16(|length| format!("length: {length}"));
    let meaning = match found.message_type {
        MessageType::CLIENT_HELLO => wtls::client_hello(found.body).ok().map(|(_, hello)| {
            let exchanges: Vec<String> = hello
                .client_key_ids
                .iter()
                .map(|id| format!("{}/{}", exchange(id.suite), id.parameters.index))
                .collect();
            let suites: Vec<String> = hello
                .cipher_suites
                .iter()
                .map(|&(bulk, mac)| suite(bulk, mac))
                .collect();
            format!(
                "version {}, session {}, key exchanges {}, suites {}, keys change every {} records",
                hello.version,
                shown(hello.session_id),
                exchanges.join(" "),
                suites.join(" "),
                period(hello.key_refresh)
            )
        }),
        MessageType::SERVER_HELLO => wtls::server_hello(found.body).ok().map(|(_, hello)| {
            let (bulk, mac) = hello.cipher_suite;
            format!(
                "version {}, session {}, key exchange number {}, suite {}, keys change every {} records",
                hello.version,
                shown(hello.session_id),
                hello.client_key_id,
                suite(bulk, mac),
                period(hello.key_refresh)
            )
        }),
        _ => Some(format!("{} octets", found.body.len())),
    };
    match (meaning, found.body.len()) {
        (_, 0) => {}
        (Some(meaning), len) => annotator.annotate(len, meaning),
        (None, len) => annotator.fault(len, "not as the specification says".to_owned()),
    }
}

fn suite(bulk: u8, mac: u8) -> String {
    CipherSuite::of(bulk, mac).map_or_else(|| format!("{bulk}/{mac}"), |suite| suite.to_string())
}

fn exchange(number: u8) -> String {
    let name = KeyExchange(number).name();
    name.map_or_else(|| format!("suite {number}"), str::to_owned)
}

fn period(refresh: u8) -> String {
    match 1_u32.checked_shl(refresh.into()) {
        Some(records) => records.to_string(),
        None => "65536".to_owned(),
    }
}
