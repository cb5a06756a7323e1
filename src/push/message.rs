//! A push message (WAP-251): header fields and a body, and their form over the air.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::wsp::header::{Encoder, EncodingVersion, encode_content_type};
use crate::wsp::pdu::{self, Pdu};

/// A message for a client: fields as text, the content type among them, and a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushMessage {
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl PushMessage {
    /// The content type; `application/octet-stream` if no field has it.
    #[must_use]
    pub fn content_type(&self) -> &str {
        content_type(&self.headers)
    }

    /// The datagram of a connectionless push: the transaction id, then Push (WSP 8.2.4.1), its
    /// headers in encoding version 1.2.
    #[must_use]
    pub fn unit_push(&self, transaction: u8) -> Vec<u8> {
        let version = EncodingVersion::default();
        let headers = encode_headers(&self.headers, version, Encoder::new(version));
        let mut datagram = vec![transaction];
        let data = &self.body[..];
        Pdu::Push(pdu::Push {
            headers: &headers,
            data,
        })
        .encode(&mut datagram);
        datagram
    }
}

/// The block of a push: the content type first (WSP 8.2.4.1).
#[must_use]
pub fn encode_headers(
    headers: &HeaderMap,
    version: EncodingVersion,
    mut encoder: Encoder<'_>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let content_type = content_type(headers);
    // A client that takes notifications of SyncML knows the numbers of their types, whatever
    // version of the encoding it names: servers have never sent them as text.
    let media_version = match content_type.starts_with("application/vnd.syncml.") {
        true => EncodingVersion::V1_5,
        false => version,
    };
    encode_content_type(media_version, content_type, &mut out);
    for (name, value) in headers {
        if name != CONTENT_TYPE {
            encoder.field(name.as_str(), value.as_bytes(), &mut out);
        }
    }
    out
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream")
}
