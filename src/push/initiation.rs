//! Session initiation requests: content that asks a client to connect (WAP-235 8).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::codec::put_uintvar;
use crate::push::PushMessage;
use crate::wsp::header::{EncodingVersion, encode_field};
use crate::wsp::pdu::BearerAddress;

/// A request that a client connects to one of `contacts` for applications of these ids, as
/// X-Wap-Application-Id has them (8.4). Fields behind the contact points of WSP are cut off, as 8.4
/// allows.
#[must_use]
pub fn request(applications: &[&str], contacts: &[SocketAddr]) -> PushMessage {
    let mut ids = Vec::new();
    for application in applications {
        encode_field(
            EncodingVersion::default(),
            "accept-application",
            application.as_bytes(),
            &mut ids,
        );
    }
    let mut points = Vec::new();
    for contact in contacts {
        put_contact(*contact, &mut points);
    }
    let mut body = vec![VERSION];
    for field in [ids, points] {
        put_uintvar(&mut body, u32::try_from(field.len()).unwrap_or(u32::MAX));
        body.extend_from_slice(&field);
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/vnd.wap.sia"),
    );
    headers.insert("x-wap-application-id", HeaderValue::from_static(SIA));
    PushMessage {
        headers,
        body: Bytes::from(body),
    }
}

/// An address as WSP 8.2.2.5 writes it, with a port and without a bearer type.
fn put_contact(contact: SocketAddr, out: &mut Vec<u8>) {
    let octets = match contact.ip().to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    BearerAddress {
        bearer: None,
        port: Some(contact.port()),
        address: &octets,
    }
    .encode(out);
}

/// The version of the content type.
const VERSION: u8 = 1;
/// The number of `x-wap-application:push.sia`.
const SIA: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_section_8_4_writes_it() {
        let request = request(&["5"], &["192.0.2.1:9201".parse().unwrap()]);
        // Version 1; two octets: Accept-Application, 5; seven octets: flags, 9201, 192.0.2.1.
        let expected = b"\x01\x02\xB2\x85\x07\x44\x23\xF1\xC0\x00\x02\x01";
        assert_eq!(&request.body[..], expected);
        let sent = request.unit_push(1);
        // Push; headers of three octets: application/vnd.wap.sia, X-Wap-Application-Id 1.
        assert_eq!(&sent[..6], b"\x01\x06\x03\xB4\xAF\x81");
    }
}
