//! Messages of handsets: a Connect like that of real models, and a POST of a given size.

use bytes::Bytes;

use crate::wsp::capability::{self, Capabilities};
use crate::wsp::header::{self, EncodingVersion};
use crate::wsp::pdu::{self, Method, Pdu};

/// The octets all handsets share.
#[derive(Debug)]
pub(super) struct Messages {
    /// One Connect per model.
    connects: Vec<Bytes>,
    /// A POST up to the serial number that ends its body.
    post: Vec<u8>,
    /// Octets of the serial number; fewer than 8 in the smallest bodies.
    serial: usize,
}

impl Messages {
    /// Posts of `size` octets to `uri`. Without a session, each post has the headers of a Connect.
    pub(super) fn new(uri: &str, size: usize, connectionless: bool) -> Self {
        let serial = size.min(8);
        let mut headers = Vec::new();
        header::encode_content_type(ENCODING, MEDIA_TYPE, &mut headers);
        if connectionless {
            header::encode_field(ENCODING, "Accept", b"*/*", &mut headers);
        }
        let mut post = Vec::new();
        Pdu::Post(pdu::Post {
            method: Method::POST,
            uri: uri.as_bytes(),
            headers: &headers,
            data: &body(MESSAGE, size.saturating_sub(serial)),
        })
        .encode(&mut post);
        Self {
            connects: MODELS.iter().map(|model| connect(model)).collect(),
            post,
            serial,
        }
    }

    /// The Connect of a handset: every model has its own, and all of one model say the same.
    pub(super) fn connect(&self, who: u32) -> Bytes {
        let models = self.connects.len().max(1);
        self.connects
            .get(who as usize % models)
            .cloned()
            .unwrap_or_default()
    }

    /// Appends a POST that no other one equals.
    pub(super) fn post(&self, serial: u64, out: &mut Vec<u8>) {
        let octets = serial.to_be_bytes();
        out.extend_from_slice(&self.post);
        out.extend_from_slice(octets.get(8 - self.serial..).unwrap_or_default());
    }
}

/// A body of `size` octets that begins as `message` does.
pub(super) fn body(message: &[u8], size: usize) -> Vec<u8> {
    let mut body = message.get(..size).unwrap_or(message).to_vec();
    body.resize(size, 0);
    body
}

fn connect(model: &[(&str, &str)]) -> Bytes {
    let mut capabilities = Vec::new();
    let wanted = Capabilities::default()
        .with_client_sdu(0)
        .with_server_sdu(0);
    capability::encode_request(&wanted, &mut capabilities);
    let mut headers = Vec::new();
    for (name, value) in model {
        header::encode_field(ENCODING, name, value.as_bytes(), &mut headers);
    }
    let mut sdu = Vec::new();
    Pdu::Connect(pdu::Connect {
        version: pdu::VERSION,
        capabilities: &capabilities,
        headers: &headers,
    })
    .encode(&mut sdu);
    sdu.into()
}

/// Headers of phones of 2002 to 2005: some 200 octets in WSP's encoding.
const MODELS: [&[(&str, &str)]; 3] = [
    &[
        (
            "Accept",
            "application/vnd.syncml+wbxml, application/vnd.syncml+xml, text/x-vcard, text/x-vcalendar, \
             application/vnd.wap.wmlc, image/gif, image/vnd.wap.wbmp",
        ),
        ("Accept-Charset", "utf-8, iso-8859-1, us-ascii"),
        ("Accept-Language", "en, de"),
        (
            "User-Agent",
            "SonyEricssonT610/R201 Profile/MIDP-1.0 Configuration/CLDC-1.0",
        ),
        (
            "X-Wap-Profile",
            "\"http://wap.example/uaprof/T610R201.xml\"",
        ),
    ],
    &[
        (
            "Accept",
            "application/vnd.syncml+wbxml, application/vnd.syncml+xml, text/x-vcard, text/x-vcalendar, \
             application/vnd.wap.xhtml+xml, image/jpeg, */*",
        ),
        ("Accept-Charset", "utf-8, iso-8859-1"),
        ("Accept-Language", "en"),
        (
            "User-Agent",
            "Nokia6600/1.0 (4.09.1) SymbianOS/7.0s Series60/2.0",
        ),
        ("X-Wap-Profile", "\"http://uaprof.example/N6600r100.xml\""),
    ],
    &[
        (
            "Accept",
            "application/vnd.syncml+wbxml, application/vnd.syncml+xml, text/x-vcard, \
             application/vnd.wap.wmlc, application/vnd.wap.wmlscriptc, image/vnd.wap.wbmp, */*",
        ),
        ("Accept-Charset", "utf-8, iso-8859-1, iso-10646-ucs-2"),
        ("Accept-Language", "en, fr, it"),
        (
            "User-Agent",
            "SIE-S65/12 UP.Browser/7.0.2.2.d.3(GUI) MMP/2.0",
        ),
        (
            "X-Wap-Profile",
            "\"http://communication.example/UAProf/S65_00.xml\"",
        ),
    ],
];

/// The media type of requests and replies.
pub(super) const MEDIA_TYPE: &str = "application/vnd.syncml+wbxml";

/// A small message of a recorded session, as most are.
const MESSAGE: &[u8] =
    include_bytes!("../../../fixtures/syncml-sessions/s12-wbxml-large-01-slow/14-req.wbxml");

/// The encoding version of a handset that names none.
const ENCODING: EncodingVersion = EncodingVersion::V1_2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_has_some_200_octets_of_headers() {
        let messages = Messages::new("http://h/", 500, false);
        for who in 0..3 {
            let sdu = messages.connect(who);
            let Ok(Pdu::Connect(connect)) = Pdu::decode(&sdu) else {
                panic!("not a Connect");
            };
            assert!(
                (180..=220).contains(&connect.headers.len()),
                "{who}: {}",
                connect.headers.len()
            );
        }
        assert_eq!(messages.connect(0), messages.connect(3));
    }

    #[test]
    fn a_post_has_the_size_asked_for_and_no_two_are_equal() {
        for size in [0, 1, 8, 500, 20_000] {
            let messages = Messages::new("http://h/", size, false);
            let post = |serial| {
                let mut sdu = Vec::new();
                messages.post(serial, &mut sdu);
                sdu
            };
            let sdu = post(1);
            let Ok(Pdu::Post(decoded)) = Pdu::decode(&sdu) else {
                panic!("not a Post");
            };
            assert_eq!(decoded.data.len(), size);
            assert_eq!(post(1) == post(2), size == 0);
        }
    }
}
