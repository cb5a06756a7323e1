//! The notification of SyncML 1.1: an ordinary message with one Alert (SyncML Sync Protocol 1.1.1,
//! 9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;

use super::digest::{Secret, credentials, md5_of};
use crate::syncml::Encoding;
use crate::wbxml::xml::{WbxmlOptions, from_xml};

/// A message by which a server of SyncML 1.1 asks for a session.
#[derive(Clone, Copy, Debug)]
pub struct LegacyAlert<'a> {
    /// The server's identifier, as the client's profile has it.
    pub server: &'a str,
    /// SessionID.
    pub session_id: u16,
    /// 206 to 210: how the data stores are to be synchronized.
    pub alert: u16,
    /// The server's data stores, each with the media type of its items.
    pub stores: &'a [(&'a str, &'a str)],
    /// The secrets for the credentials of the server (syncml:auth-md5). Without them the message
    /// has no Cred.
    pub secret: Option<Secret<'a>>,
}

impl LegacyAlert<'_> {
    /// The media type of the message in a notation.
    #[must_use]
    pub const fn media_type(encoding: Encoding) -> &'static str {
        match encoding {
            Encoding::Xml => "application/vnd.syncml+xml",
            Encoding::Wbxml => "application/vnd.syncml+wbxml",
        }
    }

    /// The message.
    #[must_use]
    pub fn build(&self, encoding: Encoding) -> Vec<u8> {
        let xml = self.xml();
        if encoding == Encoding::Xml {
            return xml.into_bytes();
        }
        let mut out = Vec::new();
        from_xml(xml.as_bytes(), &WbxmlOptions::default(), &mut out)
            .expect("the document above is well-formed, its texts are escaped");
        out
    }

    fn xml(&self) -> String {
        let (server, session) = (escape(self.server), self.session_id);
        let items: String = self
            .stores
            .iter()
            .map(|(uri, media)| {
                let (uri, media) = (escape(*uri), escape(*media));
                let meta = match media.is_empty() {
                    true => String::new(),
                    false => {
                        format!("<Meta><Type xmlns=\"syncml:metinf\">{media}</Type></Meta>")
                    }
                };
                format!("<Item><Source><LocURI>{uri}</LocURI></Source>{meta}</Item>")
            })
            .collect();
        let cred = self.secret.map(|secret| self.cred(secret));
        let cred = cred.unwrap_or_default();
        let alert = self.alert;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <!DOCTYPE SyncML PUBLIC \"-//SYNCML//DTD SyncML 1.1//EN\" \
             \"http://www.openmobilealliance.org/tech/DTD/OMA-TS-SyncML_RepPro_DTD-V1_1.dtd\">\
             <SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto>\
             <SessionID>{session}</SessionID><MsgID>1</MsgID>\
             <Target><LocURI>/</LocURI></Target><Source><LocURI>{server}</LocURI></Source>{cred}\
             </SyncHdr><SyncBody><Alert><CmdID>1</CmdID><Data>{alert}</Data>{items}</Alert>\
             <Final/></SyncBody></SyncML>"
        )
    }

    /// B64(MD5(B64(MD5(server ":" password)) ":" nonce)).
    fn cred(&self, secret: Secret<'_>) -> String {
        let credentials = credentials(self.server, secret.password);
        let digest = STANDARD.encode(md5_of(&[&credentials, secret.nonce]));
        format!(
            "<Cred><Meta><Format xmlns=\"syncml:metinf\">b64</Format>\
             <Type xmlns=\"syncml:metinf\">syncml:auth-md5</Type></Meta><Data>{digest}</Data></Cred>"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syncml::header::{Credentials, peek};

    const STORES: [(&str, &str); 2] = [
        ("./contacts", "text/x-vcard"),
        ("./calendar", "text/x-vcalendar"),
    ];

    fn alert() -> LegacyAlert<'static> {
        LegacyAlert {
            server: "srv.example",
            session_id: 77,
            alert: 206,
            stores: &STORES,
            secret: None,
        }
    }

    /// Made by libwbxml's xml2wbxml, and read back by libsynthesis.
    #[test]
    fn the_message_is_the_one_that_others_make() {
        let made = b"\x02\x9f\x53\x6a\0\x6d\x6c\x71\x031.1\0\x01\x72\x03SyncML/1.1\0\x01\x65\x0377\0\x01\
            \x5b\x031\0\x01\x6e\x57\x03/\0\x01\x01\x67\x57\x03srv.example\0\x01\x01\x01\
            \x6b\x46\x4b\x031\0\x01\x4f\x03206\0\x01\
            \x54\x67\x57\x03./contacts\0\x01\x01\x5a\0\x01\x53\x03text/x-vcard\0\x01\x01\x01\
            \0\0\x54\x67\x57\x03./calendar\0\x01\x01\x5a\0\x01\x53\x03text/x-vcalendar\0\x01\x01\x01\
            \x01\0\0\x12\x01\x01";
        assert_eq!(alert().build(Encoding::Wbxml), made);
    }

    #[test]
    fn what_markup_would_end_is_escaped() {
        let alert = LegacyAlert {
            server: "a<b>&\"c\"",
            stores: &[("</Item>", "")],
            secret: Some(Secret {
                password: b"p",
                nonce: b"n",
            }),
            ..alert()
        };
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let message = alert.build(encoding);
            let header = peek(&message).unwrap();
            assert_eq!(header.source, "a<b>&\"c\"", "{encoding:?}");
            assert_eq!(header.credentials, Credentials::Md5, "{encoding:?}");
            assert!(header.is_final);
        }
    }
}
