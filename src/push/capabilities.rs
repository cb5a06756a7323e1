//! The capabilities of a client as initiators ask for them (WAP-247 5.5 and 7.3): a user agent
//! profile (UAProf) in RDF.

use std::fmt::Write;

use crate::push::pap::{self, Response, Status};

/// A client by the Connect of its session: the session headers as text, and the bounds of pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Names in lower case, and values.
    pub fields: Vec<(String, String)>,
    /// Octets of the largest push; `None` if there is no limit.
    pub max_message: Option<u32>,
    /// Confirmed pushes at a time.
    pub max_pushes: u8,
}

impl Capabilities {
    /// The profile: the component PushCharacteristics, and the address of the maker's profile as
    /// its default.
    #[must_use]
    pub fn profile(&self) -> String {
        let mut out = String::from(BEGIN);
        let own = self.values("profile");
        if let Some(url) = own.first() {
            let url = pap::escaped(url);
            let _ = writeln!(out, "<prf:defaults rdf:resource=\"{url}\"/>");
        }
        for (name, field, kind) in LISTS {
            let values = self.values(field);
            if values.is_empty() {
                continue;
            }
            let _ = write!(out, "<prf:{name}><rdf:{kind}>");
            for value in values {
                let _ = write!(out, "<rdf:li>{}</rdf:li>", pap::escaped(value));
            }
            let _ = writeln!(out, "</rdf:{kind}></prf:{name}>");
        }
        if let Some(size) = self.max_message {
            let _ = writeln!(out, "<prf:Push-MsgSize>{size}</prf:Push-MsgSize>");
        }
        let most = self.max_pushes;
        let _ = writeln!(out, "<prf:Push-MaxPushReq>{most}</prf:Push-MaxPushReq>");
        out.push_str(END);
        out
    }

    /// The values of all fields of a name, one for each element of a list.
    fn values(&self, field: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(name, _)| name == field);
        let values = fields.flat_map(|(_, value)| match field {
            "profile" => vec![value.as_str()],
            _ => value.split(',').collect(),
        });
        let values = values.map(str::trim);
        values.filter(|value| !value.is_empty()).collect()
    }
}

/// The answer to `ccq-message`, and the profile that is its second entity: of the client at an
/// address, if it has a session.
#[must_use]
pub fn answer(
    query_id: Option<String>,
    address: String,
    found: Result<Option<Capabilities>, Status>,
) -> (Response, Option<String>) {
    let (code, profile) = match found {
        Ok(Some(capabilities)) => (Status::OK, Some(capabilities.profile())),
        Ok(None) => (Status::CAPABILITIES_NOT_AVAILABLE, None),
        Err(code) => (code, None),
    };
    let response = Response::Capabilities {
        query_id,
        address,
        code,
        desc: None,
    };
    (response, profile)
}

/// A response whose second entity is a profile: the content type and the body.
#[must_use]
pub fn entities(response: &str, profile: &str) -> (String, String) {
    let mut number = 0_u32;
    let mut boundary = "wapbridge-0".to_owned();
    // A client chose some of the text.
    while response.contains(&boundary) || profile.contains(&boundary) {
        number += 1;
        boundary = format!("wapbridge-{number}");
    }
    let content_type =
        format!("multipart/related; boundary=\"{boundary}\"; type=\"application/xml\"");
    let part = "Content-Type: application/xml\r\n\r\n";
    let body = format!(
        "--{boundary}\r\n{part}{response}\r\n--{boundary}\r\n{part}{profile}\r\n--{boundary}--\r\n"
    );
    (content_type, body)
}

/// The attributes of PushCharacteristics that are lists, and the fields they come from.
const LISTS: [(&str, &str, &str); 5] = [
    ("Push-Accept", "accept", "Bag"),
    ("Push-Accept-Charset", "accept-charset", "Bag"),
    ("Push-Accept-Encoding", "accept-encoding", "Bag"),
    ("Push-Accept-Language", "accept-language", "Seq"),
    ("Push-Accept-AppID", "accept-application", "Bag"),
];

const BEGIN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" \
    xmlns:prf=\"http://www.wapforum.org/profiles/UAPROF/ccppschema-20010430#\">\n\
    <rdf:Description rdf:ID=\"Profile\">\n<prf:component>\n\
    <rdf:Description rdf:ID=\"PushCharacteristics\">\n\
    <rdf:type rdf:resource=\"http://www.wapforum.org/profiles/UAPROF/ccppschema-20010430#PushCharacteristics\"/>\n";
const END: &str = "</rdf:Description>\n</prf:component>\n</rdf:Description>\n</rdf:RDF>\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities() -> Capabilities {
        let field = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Capabilities {
            fields: [
                ("accept", "text/vnd.wap.si, image/gif"),
                ("accept", "image/png"),
                ("accept-language", "en"),
                ("accept-application", "x-wap-application:wml.ua"),
                ("profile", "http://maker.example/p?a=1&b=\"<wapbridge-0>\""),
                ("user-agent", "<phone>"),
            ]
            .map(field)
            .to_vec(),
            max_message: Some(1_400),
            max_pushes: 2,
        }
    }

    #[test]
    fn a_profile_has_what_the_client_told() {
        let profile = capabilities().profile();
        for part in [
            "<prf:Push-Accept><rdf:Bag><rdf:li>text/vnd.wap.si</rdf:li><rdf:li>image/gif</rdf:li>\
             <rdf:li>image/png</rdf:li></rdf:Bag></prf:Push-Accept>",
            "<prf:Push-Accept-Language><rdf:Seq><rdf:li>en</rdf:li></rdf:Seq>",
            "<rdf:li>x-wap-application:wml.ua</rdf:li>",
            "<prf:Push-MsgSize>1400</prf:Push-MsgSize>",
            "<prf:Push-MaxPushReq>2</prf:Push-MaxPushReq>",
            "rdf:resource=\"http://maker.example/p?a=1&amp;b=&quot;&lt;wapbridge-0&gt;&quot;\"",
        ] {
            assert!(profile.contains(part), "{part} in {profile}");
        }
        assert!(!profile.contains("Push-Accept-Charset"), "{profile}");
    }

    #[test]
    fn a_boundary_is_in_no_entity() {
        let profile = capabilities().profile();
        let (content_type, body) = entities("<pap/>", &profile);
        assert!(content_type.contains("\"wapbridge-1\""), "{content_type}");
        assert_eq!(body.matches("--wapbridge-1\r\n").count(), 2);
        let entities = pap::multipart::entities(&content_type, &body.into()).unwrap();
        assert_eq!(entities.control, "<pap/>".as_bytes());
        assert_eq!(entities.content.unwrap().body, profile.as_bytes());
    }
}
