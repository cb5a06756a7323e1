//! Content on its way to a client: validation, binary form, header fields
//! (WAP-249 5.1.2.1, WAP-251 5 and 6).

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};

use crate::push::PushMessage;
use crate::push::pap::multipart::Entity;
use crate::push::xml::{self, Element, Prolog};
use crate::wbxml::Vocabulary;
use crate::wbxml::tables;
use crate::wbxml::xml::{WbxmlOptions, from_xml};
use crate::wsp::header::{EncodingVersion, application_number};
use crate::wsp::multipart;

/// The initiator of content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initiator {
    /// The configured URI of the initiator; only for an authenticated initiator.
    pub authenticated_uri: Option<String>,
}

/// Why content cannot go to a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The entity has no content type, which every push needs (WAP-251 5.2.1.10).
    #[error("the content has no Content-Type")]
    NoContentType,
    /// A field is none that HTTP allows.
    #[error("the field {0} has no valid value")]
    Field(String),
    /// A document is not valid against its DTD.
    #[error("{0}")]
    Invalid(&'static str),
    /// A document cannot be written in binary form.
    #[error("the content cannot be translated to {0}")]
    Transformation(&'static str),
}

impl ContentError {
    /// Whether the initiator's message is wrong, and not its translation.
    #[must_use]
    pub const fn is_bad_request(&self) -> bool {
        !matches!(self, Self::Transformation(_))
    }
}

/// A type of content with a binary form.
struct Translation {
    text: &'static str,
    binary: &'static str,
    vocabulary: &'static Vocabulary,
    /// The rules of the DTD beyond well-formedness.
    validate: fn(&Element) -> Result<(), &'static str>,
}

static TRANSLATIONS: [Translation; 6] = [
    Translation {
        text: "text/vnd.wap.si",
        binary: "application/vnd.wap.sic",
        vocabulary: &tables::SI,
        validate: service_indication,
    },
    Translation {
        text: "text/vnd.wap.sl",
        binary: "application/vnd.wap.slc",
        vocabulary: &tables::SL,
        validate: service_loading,
    },
    Translation {
        text: "text/vnd.wap.co",
        binary: "application/vnd.wap.coc",
        vocabulary: &tables::CO,
        validate: anything,
    },
    Translation {
        text: "text/vnd.wap.emn+xml",
        binary: "application/vnd.wap.emn+wbxml",
        vocabulary: &tables::EMN,
        validate: anything,
    },
    Translation {
        text: "text/vnd.wap.connectivity-xml",
        binary: "application/vnd.wap.connectivity-wbxml",
        vocabulary: &tables::PROV,
        validate: anything,
    },
    Translation {
        text: "text/vnd.wap.wml",
        binary: "application/vnd.wap.wmlc",
        vocabulary: &tables::WML_1_3,
        validate: anything,
    },
];

/// Makes a message for clients of an initiator's content entity.
///
/// # Errors
///
/// A [`ContentError`] for content that no client is to get.
pub fn message(entity: &Entity, initiator: &Initiator) -> Result<PushMessage, ContentError> {
    let content_type = entity
        .field("content-type")
        .filter(|value| !value.is_empty())
        .ok_or(ContentError::NoContentType)?;
    let mut headers = fields(entity)?;
    put(&mut headers, CONTENT_TYPE, content_type)?;
    applications(&mut headers)?;
    originator(&mut headers, initiator)?;
    let mut message = PushMessage {
        headers,
        body: entity.body.clone(),
    };
    translate(&mut message)?;
    Ok(message)
}

/// The fields that go to a client. Fields of the transport and credentials of the
/// initiator end here.
fn fields(entity: &Entity) -> Result<HeaderMap, ContentError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &entity.fields {
        if WITHHELD.contains(&name.as_str()) || name == "content-type" {
            continue;
        }
        let wrong = || ContentError::Field(name.chars().take(LONGEST_NAME).collect());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), ContentError> {
    let field = HeaderValue::from_str(value).map_err(|_| ContentError::Field(name.to_string()))?;
    headers.insert(name, field);
    Ok(())
}

/// X-Wap-Application-Id (WAP-249 5.1.2.1.2): a registered URI goes as its number, which the header
/// encoding sees to; an unregistered one as the code that comes with it; without the field the
/// message is for the WML user agent.
fn applications(headers: &mut HeaderMap) -> Result<(), ContentError> {
    let Some(value) = headers.get(APPLICATION_ID).cloned() else {
        return put(headers, APPLICATION_ID, WML_UA);
    };
    let wrong = || ContentError::Field(APPLICATION_ID.to_string());
    let value = value.to_str().map_err(|_| wrong())?;
    let (id, code) = match value.split_once(';') {
        Some((id, parameter)) => {
            let (name, code) = parameter.split_once('=').ok_or_else(wrong)?;
            let is_code = name.trim().eq_ignore_ascii_case("app-encoding");
            (id.trim(), is_code.then(|| code.trim()))
        }
        None => (value.trim(), None),
    };
    // `app-assigned-code` is hexadecimal; the header encoding takes decimal numbers.
    let number = |code: &str| {
        let is_code =
            (1..=8).contains(&code.len()) && code.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_code
            .then(|| u32::from_str_radix(code, 16).ok())
            .flatten()
    };
    // Some initiators leave out the scheme of the registered URIs.
    let short = format!("x-wap-application:{id}");
    let registered = application_number(id).or_else(|| application_number(&short));
    let is_uri = id.contains(':') && !id.contains(char::is_whitespace);
    let sent = match (registered, code) {
        (Some(registered), _) => registered.to_string(),
        (None, Some(code)) => number(code).ok_or_else(wrong)?.to_string(),
        (None, None) => match number(id) {
            Some(code) => code.to_string(),
            None if is_uri => id.to_owned(),
            None => return Err(wrong()),
        },
    };
    put(headers, APPLICATION_ID, &sent)
}

/// X-Wap-Initiator-URI and the flag that it is true (WAP-235 6.2.4). A field of the initiator
/// itself is passed on without the flag.
fn originator(headers: &mut HeaderMap, initiator: &Initiator) -> Result<(), ContentError> {
    let Some(uri) = &initiator.authenticated_uri else {
        return Ok(());
    };
    put(headers, INITIATOR_URI, uri)?;
    put(headers, PUSH_FLAG, "1")
}

fn translate(message: &mut PushMessage) -> Result<(), ContentError> {
    let content_type = message.content_type().to_owned();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_encoded = message.headers.contains_key(CONTENT_ENCODING);
    let found = TRANSLATIONS
        .iter()
        .find(|it| it.text.eq_ignore_ascii_case(essence));
    if let Some(translation) = found.filter(|_| !is_encoded) {
        let document = xml::read(&message.body, MAX_ELEMENTS, &mut Prolog::default())
            .map_err(|_| ContentError::Invalid("the content is not well-formed XML"))?;
        (translation.validate)(&document.root).map_err(ContentError::Invalid)?;
        if is_fixed(&message.headers) {
            return Ok(());
        }
        let options = WbxmlOptions {
            vocabulary: Some(translation.vocabulary),
            ..WbxmlOptions::default()
        };
        let mut wbxml = Vec::new();
        from_xml(&message.body, &options, &mut wbxml)
            .map_err(|_| ContentError::Transformation(translation.binary))?;
        if document.root.children.is_empty() && !document.root.has_text {
            without_content(&mut wbxml);
        }
        return replace(message, translation.binary, wbxml);
    }
    if multipart::is_mime(essence) && !is_encoded && !is_fixed(&message.headers) {
        let version = EncodingVersion::default();
        let (content_type, body) = multipart::from_mime(version, &content_type, &message.body)
            .map_err(|_| ContentError::Transformation("binary multipart"))?;
        return replace(message, &content_type, body);
    }
    Ok(())
}

/// Marks an empty document element as one without content, as the example of WAP-168 9.3.3 has it:
/// `<sl></sl>` is `<sl/>`.
fn without_content(wbxml: &mut Vec<u8>) {
    // Version, public identifier, charset and string table take an octet each; then comes the
    // element.
    if wbxml.get(4).is_some_and(|tag| tag & CONTENT != 0) && wbxml.ends_with(&[END, END]) {
        if let Some(tag) = wbxml.get_mut(4) {
            *tag &= !CONTENT;
        }
        wbxml.pop();
    }
}

/// `Cache-Control: no-transform`.
fn is_fixed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
        let mut directives = value.split(',');
        directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
    })
}

fn replace(
    message: &mut PushMessage,
    content_type: &str,
    body: Vec<u8>,
) -> Result<(), ContentError> {
    put(&mut message.headers, CONTENT_TYPE, content_type)?;
    message.headers.remove("content-md5");
    message.body = Bytes::from(body);
    Ok(())
}

/// WAP-167 8.2.1.1 and 9: `si` holds one `indication` and perhaps `info`.
fn service_indication(root: &Element) -> Result<(), &'static str> {
    let wrong = Err("the content is not valid against the DTD of SI");
    let (indication, info) = match root.children.as_slice() {
        [indication] => (indication, None),
        [indication, info] => (indication, Some(info)),
        _ => return wrong,
    };
    let known = ["href", "si-id", "created", "si-expires", "action"];
    let actions = [
        "signal-none",
        "signal-low",
        "signal-medium",
        "signal-high",
        "delete",
    ];
    if root.name != "si"
        || root.has_text
        || !root
            .attributes
            .iter()
            .all(|(name, _)| name.starts_with("xmlns"))
        || indication.name != "indication"
        || !indication.children.is_empty()
        || !has_only(indication, &known)
        || info.is_some_and(|info| info.name != "info" || !is_info(info))
    {
        return wrong;
    }
    let action = indication.attribute("action").unwrap_or("signal-medium");
    if !actions.contains(&action) {
        return wrong;
    }
    let mut moments = ["created", "si-expires"].into_iter();
    let is_moment = |name| indication.attribute(name).is_none_or(is_datetime);
    if !moments.all(is_moment) {
        return Err("a date in the SI is not YYYY-MM-DDThh:mm:ssZ");
    }
    if action == "delete" && indication.attribute("si-id").is_none() {
        return Err("an SI that deletes needs an si-id");
    }
    Ok(())
}

fn is_info(info: &Element) -> bool {
    let is_item = |item: &Element| {
        item.name == "item" && item.attribute("class").is_some() && has_only(item, &["class"])
    };
    !info.children.is_empty() && !info.has_text && info.children.iter().all(is_item)
}

/// WAP-168 9: `sl` has `href` and perhaps `action`.
fn service_loading(root: &Element) -> Result<(), &'static str> {
    let action = root.attribute("action").unwrap_or("execute-low");
    let is_valid = root.name == "sl"
        && root.attribute("href").is_some()
        && root.children.is_empty()
        && !root.has_text
        && has_only(root, &["href", "action"])
        && ["execute-low", "execute-high", "cache"].contains(&action);
    match is_valid {
        true => Ok(()),
        false => Err("the content is not valid against the DTD of SL"),
    }
}

const fn anything(_: &Element) -> Result<(), &'static str> {
    Ok(())
}

fn has_only(element: &Element, names: &[&str]) -> bool {
    let mut attributes = element.attributes.iter();
    attributes.all(|(name, _)| names.contains(&name.as_str()) || name.starts_with("xmlns"))
}

/// Moments before 1970 are moments, too, for content.
fn is_datetime(text: &str) -> bool {
    let from_1970 = text.get(4..).map(|rest| format!("2000{rest}"));
    let has_year = text.bytes().take(4).all(|digit| digit.is_ascii_digit());
    has_year && from_1970.is_some_and(|text| super::datetime::parse(&text).is_some())
}

/// Fields that no client gets: of the transport, of the multipart, and secrets of the initiator.
const WITHHELD: [&str; 16] = [
    "authorization",
    "connection",
    "content-id",
    "content-length",
    "content-transfer-encoding",
    "cookie",
    "host",
    "keep-alive",
    "mime-version",
    "proxy-authorization",
    "proxy-connection",
    "push-flag",
    "set-cookie",
    "te",
    "trailer",
    "upgrade",
];

const APPLICATION_ID: HeaderName = HeaderName::from_static("x-wap-application-id");
const INITIATOR_URI: HeaderName = HeaderName::from_static("x-wap-initiator-uri");
const PUSH_FLAG: HeaderName = HeaderName::from_static("push-flag");
/// The number of `x-wap-application:wml.ua`.
const WML_UA: &str = "2";
/// The flag of a WBXML tag that has content, and the token that ends content and attributes.
const CONTENT: u8 = 0x40;
const END: u8 = 0x01;
/// Elements of content that is validated.
const MAX_ELEMENTS: usize = 10_000;
/// Characters of a field's name that are told back.
const LONGEST_NAME: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(fields: &[(&str, &str)], body: &str) -> Entity {
        Entity {
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn made(fields: &[(&str, &str)], body: &str) -> Result<PushMessage, ContentError> {
        message(&entity(fields, body), &Initiator::default())
    }

    const SI: &str = "<?xml version=\"1.0\"?><!DOCTYPE si PUBLIC \"-//WAPFORUM//DTD SI 1.0//EN\" \
        \"http://www.wapforum.org/DTD/si.dtd\"><si><indication href=\"http://www.xyz.com/email/123/abc.wml\" \
        created=\"1999-06-25T15:23:15Z\" si-expires=\"1999-06-30T00:00:00Z\">You have 4 new emails</indication></si>";

    /// WAP-167 8.3.3, the example.
    #[test]
    fn a_service_indication_becomes_the_octets_of_the_specification() {
        let message = made(
            &[("content-type", "text/vnd.wap.si"), ("content-md5", "x")],
            SI,
        )
        .unwrap();
        assert_eq!(message.content_type(), "application/vnd.wap.sic");
        assert!(!message.headers.contains_key("content-md5"));
        let expected = b"\x02\x05\x6A\x00\x45\xC6\x0D\x03xyz\x00\x85\x03email/123/abc.wml\x00\
            \x0A\xC3\x07\x19\x99\x06\x25\x15\x23\x15\x10\xC3\x04\x19\x99\x06\x30\x01\x03You have 4 new emails\x00\x01\x01";
        assert_eq!(&message.body[..], &expected[..]);
    }

    #[test]
    fn no_transform_leaves_every_octet() {
        let fields = [
            ("content-type", "text/vnd.wap.si"),
            ("cache-control", "private, No-Transform"),
        ];
        let message = made(&fields, SI).unwrap();
        assert_eq!(message.content_type(), "text/vnd.wap.si");
        assert_eq!(message.body, SI);
        assert!(message.headers.contains_key("cache-control"));
    }

    #[test]
    fn content_that_is_not_valid_is_refused() {
        for (kind, body) in [
            ("text/vnd.wap.si", "<si>"),
            ("text/vnd.wap.si", "<sl href='x'/>"),
            ("text/vnd.wap.si", "<si/>"),
            ("text/vnd.wap.si", "<si><indication colour='red'/></si>"),
            ("text/vnd.wap.si", "<si><indication action='delete'/></si>"),
            (
                "text/vnd.wap.si",
                "<si><indication created='1999-06-25'/></si>",
            ),
            ("text/vnd.wap.si", "<si><indication/><info/></si>"),
            ("text/vnd.wap.sl", "<sl/>"),
            ("text/vnd.wap.sl", "<sl href='x' action='now'/>"),
            ("text/vnd.wap.sl", "<sl href='x'>text</sl>"),
            (
                "text/vnd.wap.si",
                "<!DOCTYPE si [<!ENTITY a 'b'>]><si><indication/></si>",
            ),
        ] {
            let error = made(&[("content-type", kind)], body).unwrap_err();
            assert!(error.is_bad_request(), "{body}: {error}");
        }
        assert_eq!(made(&[], "x"), Err(ContentError::NoContentType));
    }

    #[test]
    fn secrets_of_the_initiator_stay_here() {
        let fields = [
            ("content-type", "a/b"),
            ("authorization", "Basic x"),
            ("push-flag", "7"),
            ("x-mine", "y"),
            ("x-wap-initiator-uri", "http://claimed"),
        ];
        let message = made(&fields, "z").unwrap();
        assert!(!message.headers.contains_key("authorization"));
        assert!(!message.headers.contains_key("push-flag"));
        assert_eq!(message.headers["x-mine"], "y");
        let known = Initiator {
            authenticated_uri: Some("http://pi".to_owned()),
        };
        let message = super::message(&entity(&fields, "z"), &known).unwrap();
        assert_eq!(message.headers["push-flag"], "1");
        assert_eq!(message.headers["x-wap-initiator-uri"], "http://pi");
    }

    /// WAP-249 5.1.2.1.2, rule by rule; the number goes as 0xAF and a short integer.
    #[test]
    fn application_ids_go_as_numbers() {
        for (written, sent) in [
            (Some("x-wap-application:push.syncml"), "5"),
            (
                Some("x-wap-application:push.syncml; app-encoding=0007"),
                "5",
            ),
            (Some("http://mine/app; app-encoding=1F"), "31"),
            (Some("http://mine/app"), "http://mine/app"),
            (Some("1f"), "31"),
            (None, "2"),
        ] {
            let mut fields = vec![("content-type", "a/b")];
            fields.extend(written.map(|value| ("x-wap-application-id", value)));
            let message = made(&fields, "z").unwrap();
            assert_eq!(message.headers[APPLICATION_ID], sent, "{written:?}");
        }
        let fields = [
            ("content-type", "a/b"),
            ("x-wap-application-id", "x-wap-application:push.syncml"),
        ];
        let sent = made(&fields, "z").unwrap().unit_push(9);
        assert_eq!(&sent[..3], b"\x09\x06\x06");
        assert!(
            sent.windows(2).any(|octets| octets == b"\xAF\x85"),
            "{sent:x?}"
        );
    }

    #[test]
    fn multiparts_become_binary() {
        let body = "--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x--\r\n";
        let message = made(&[("content-type", "multipart/mixed; boundary=x")], body).unwrap();
        assert_eq!(
            message.content_type(),
            "application/vnd.wap.multipart.mixed"
        );
        assert_eq!(&message.body[..1], b"\x01");
    }
}
