//! What initiators write and what becomes of their content.

use bytes::Bytes;
use wapbridge::push::content::{self, ContentError, Initiator};
use wapbridge::push::pap::multipart::{Entity, entities};
use wapbridge::push::pap::{Method, Operation, Response, Status, read, write_response};
use wapbridge::push::{Address, AddressError, PushMessage, Recipient};

use super::bench::{PHONE, bench, push};

fn document(version: &str, instruction: &str, inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP {version}//EN\" \
         \"http://www.wapforum.org/DTD/pap_{version}.dtd\"{instruction}>\n<pap>{inner}</pap>"
    )
}

const PI: &str = " [<?wap-pap-ver supported-versions=\"2.0,1.*\"?>]";

fn refusal(text: &str) -> (Status, String) {
    let rejection = read(text.as_bytes(), 10).unwrap_err();
    let code = rejection.code;
    let versions = rejection.versions.clone();
    (code, write_response(&versions, &rejection.response()))
}

fn made(fields: &[(&str, &str)], body: &[u8]) -> Result<PushMessage, ContentError> {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let entity = Entity {
        fields: fields.collect(),
        body: Bytes::copy_from_slice(body),
    };
    content::message(&entity, &Initiator::default())
}

pub(super) fn a_submission_is_taken_apart_and_accepted() {
    let control = document(
        "2.0",
        PI,
        &format!(
            "<push-message push-id=\"9fjeo39jf084@pi.com\"><address address-value=\"{PHONE}\"></address></push-message>"
        ),
    );
    let body = format!(
        "\r\n--x\r\nContent-Type: application/xml\r\n\r\n{control}\r\n--x\r\nContent-Type: text/vnd.wap.si\r\n\r\n{SI}\
         \r\n--x\r\nContent-Type: application/xml\r\n\r\n<rdf/>\r\n--x--\r\n"
    );
    let related = "multipart/related; boundary=\"x\"; type=\"application/xml\"";
    let parts = entities(related, &Bytes::from(body)).unwrap();
    assert!(parts.capabilities.is_some());
    let (versions, operation) = read(&parts.control, 10).unwrap();
    let Operation::Push(submission) = operation else {
        panic!("{operation:?}")
    };
    let mut bench = bench();
    let may = (|_: &Recipient| true, |_: &str| true);
    let response = bench.ppg.submit(
        bench.now,
        &bench.initiator,
        &versions,
        &submission,
        parts.content.as_ref(),
        may,
    );
    let answer = write_response(&versions, &response);
    assert!(
        answer.contains("push-id=\"9fjeo39jf084@pi.com\"") && answer.contains("code=\"1001\""),
        "{answer}"
    );
    assert_eq!(
        bench.deliver().message.content_type(),
        "application/vnd.wap.sic"
    );
}

pub(super) fn a_document_that_is_not_valid_is_refused() {
    for inner in [
        "<push-message push-id='1'/>",
        "<push-message push-id='1' colour='red'><address address-value='x'/></push-message>",
        "<push-message push-id='1'><quality-of-service/><address address-value='x'/></push-message>",
    ] {
        let (code, answer) = refusal(&document("2.0", PI, inner));
        assert_eq!(code, Status::BAD_REQUEST);
        assert!(
            answer.contains("<push-response push-id=\"1\"") && answer.contains("2000"),
            "{answer}"
        );
    }
    for text in [
        "GET / HTTP/1.0",
        "<html></html>",
        "<pap/>",
        "<pap><nonsense/></pap>",
    ] {
        let (code, answer) = refusal(text);
        assert_eq!(code, Status::BAD_REQUEST, "{text}");
        assert!(
            answer.contains("badmessage-response") && !answer.contains("3002"),
            "{answer}"
        );
    }
}

/// WAP-247 9.1 to 9.5.
pub(super) fn versions_are_found_answered_and_kept() {
    let push = "<push-message push-id='1'><address address-value='x'/></push-message>";
    for (version, instruction, answered, named) in [
        ("1.0", "", "DTD PAP 1.0", false),
        ("1.0", PI, "DTD PAP 1.0", true),
        ("2.0", PI, "DTD PAP 2.0", true),
        ("2.0", "", "DTD PAP 2.0", true),
    ] {
        let (versions, _) = read(document(version, instruction, push).as_bytes(), 10).unwrap();
        let response = Response::BadMessage {
            code: Status::BAD_REQUEST,
            desc: None,
            fragment: None,
        };
        let answer = write_response(&versions, &response);
        assert!(answer.contains(answered), "{answer}");
        assert_eq!(
            answer.contains("<?wap-pap-ver supported-versions=\"2.0,1.0\"?>"),
            named,
            "{answer}"
        );
    }
    for (version, instruction, answered, named) in [
        ("9.9", "", "DTD PAP 1.0", true),
        ("2.10", PI, "DTD PAP 2.0", true),
        (
            "9.9",
            " [<?wap-pap-ver supported-versions=\"9.9,1.0\"?>]",
            "DTD PAP 1.0",
            true,
        ),
    ] {
        let (code, answer) = refusal(&document(version, instruction, push));
        assert_eq!(code, Status::VERSION_NOT_SUPPORTED);
        assert!(
            answer.contains("badmessage-response code=\"3002\"") && answer.contains(answered),
            "{answer}"
        );
        assert_eq!(answer.contains("wap-pap-ver"), named);
    }
}

/// WAP-249 6.
pub(super) fn addresses_are_read_and_echoed() {
    for (text, is_ip) in [
        (
            "WAPPUSH=john.doe%40wapforum.org/TYPE=USER@ppg.carrier.com",
            false,
        ),
        ("wappush=47397547589/type=user@Carrier.com", false),
        (
            "/WAPPUSH=+1-555.1999/EXT=1/TYPE=PLMN/@ppg.carrier.com",
            false,
        ),
        ("WAPPUSH=195.153.199.30/TYPE=IPv4@ppg.carrier.com", true),
        (
            "WAPPUSH=FEDC:BA98:7654:3210:FEDC:BA98:7654:3210/TYPE=IPv6@carrier.com",
            true,
        ),
    ] {
        let recipient = Recipient::parse(text).unwrap();
        assert_eq!(recipient.text(), text);
        assert_eq!(matches!(recipient.address(), Address::Ip(_)), is_ip);
    }
    assert_eq!(
        Recipient::parse("WAPPUSH=12345678/TYPE=MAN@c"),
        Err(AddressError::Type)
    );
    let mut bench = bench();
    let code = bench.submit(&push(
        "1",
        "WAPPUSH=12345678/TYPE=MAN@c",
        Method::NotSpecified,
    ));
    assert_eq!(code, Status::ADDRESS_ERROR);
}

const SI: &str = "<?xml version=\"1.0\"?><!DOCTYPE si PUBLIC \"-//WAPFORUM//DTD SI 1.0//EN\" \
    \"http://www.wapforum.org/DTD/si.dtd\"><si><indication href=\"http://www.xyz.com/email/123/abc.wml\" \
    created=\"1999-06-25T15:23:15Z\" si-expires=\"1999-06-30T00:00:00Z\">You have 4 new emails</indication></si>";

/// WAP-167 8.3.3.
const SIC: &[u8] = b"\x02\x05\x6A\x00\x45\xC6\x0D\x03xyz\x00\x85\x03email/123/abc.wml\x00\
    \x0A\xC3\x07\x19\x99\x06\x25\x15\x23\x15\x10\xC3\x04\x19\x99\x06\x30\x01\x03You have 4 new emails\x00\x01\x01";

pub(super) fn a_service_indication_becomes_binary() {
    let fields = [
        ("content-type", "text/vnd.wap.si"),
        ("content-md5", "x"),
        ("content-length", "9"),
    ];
    let message = made(&fields, SI.as_bytes()).unwrap();
    assert_eq!(message.content_type(), "application/vnd.wap.sic");
    assert_eq!(&message.body[..], SIC);
    assert!(
        !message.headers.contains_key("content-md5")
            && !message.headers.contains_key("content-length")
    );
    let passed = made(&[("content-type", "application/vnd.wap.sic")], SIC).unwrap();
    assert_eq!(&passed.body[..], SIC);
    let fixed = [
        ("content-type", "text/vnd.wap.si"),
        ("cache-control", "no-transform"),
    ];
    assert_eq!(made(&fixed, SI.as_bytes()).unwrap().body, SI);
}

pub(super) fn a_service_indication_is_validated() {
    for body in [
        "<si>",
        "<si/>",
        "<si><indication colour='red'/></si>",
        "<si><indication action='delete'/></si>",
        "<si><indication created='1999-06-25'/></si>",
        "<si><indication si-expires='1999-13-25T00:00:00Z'/></si>",
    ] {
        let error = made(&[("content-type", "text/vnd.wap.si")], body.as_bytes()).unwrap_err();
        assert!(error.is_bad_request(), "{body}");
    }
    let deletes = "<si><indication action='delete' si-id='1'/></si>";
    assert!(made(&[("content-type", "text/vnd.wap.si")], deletes.as_bytes()).is_ok());
}

/// WAP-168 9.3.3, the example.
pub(super) fn a_service_loading_becomes_binary() {
    let text = "<?xml version=\"1.0\"?><!DOCTYPE sl PUBLIC \"-//WAPFORUM//DTD SL 1.0//EN\" \
        \"http://www.wapforum.org/DTD/sl.dtd\"><sl href=\"http://www.xyz.com/ppaid/123/abc.wml\"></sl>";
    let message = made(&[("content-type", "text/vnd.wap.sl")], text.as_bytes()).unwrap();
    assert_eq!(message.content_type(), "application/vnd.wap.slc");
    let expected = b"\x02\x06\x6A\x00\x85\x0A\x03xyz\x00\x85\x03ppaid/123/abc.wml\x00\x01";
    assert_eq!(&message.body[..], expected);
    for body in [
        "<sl",
        "<sl/>",
        "<sl href='x' action='now'/>",
        "<sl href='x'><a/></sl>",
    ] {
        assert!(
            made(&[("content-type", "text/vnd.wap.sl")], body.as_bytes()).is_err(),
            "{body}"
        );
    }
}

/// WAP-251 5.2.
pub(super) fn header_fields_reach_the_client() {
    let fields = [
        ("content-type", "a/b"),
        ("age", "1"),
        ("cache-control", "max-age=5"),
        ("content-language", "en"),
        ("date", "Sun, 16 May 1999 18:13:23 GMT"),
        ("etag", "\"e\""),
        ("expires", "Sun, 16 May 1999 18:13:23 GMT"),
        ("last-modified", "Sun, 16 May 1999 18:13:23 GMT"),
        ("x-wap-application-id", "x-wap-application:push.syncml"),
        ("x-wap-content-uri", "http://c"),
        ("x-wap-initiator-uri", "http://i"),
        ("x-mine", "y"),
        ("authorization", "Basic x"),
    ];
    let message = made(&fields, b"\x00\xFF body").unwrap();
    assert_eq!(&message.body[..], b"\x00\xFF body");
    for (name, _) in fields.iter().filter(|(name, _)| *name != "authorization") {
        assert!(message.headers.contains_key(*name), "{name}");
    }
    assert!(!message.headers.contains_key("authorization"));
    let sent = message.unit_push(1);
    let has = |octets: &[u8]| sent.windows(octets.len()).any(|window| window == octets);
    // Push; the content type comes first.
    assert_eq!(sent[1], 0x06);
    assert_eq!(&sent[3..7], b"a/b\0");
    // Age, the application's number, the two URIs, an extension.
    for octets in [
        &b"\x85\x81"[..],
        b"\xAF\x85",
        b"\xB0http://c\0",
        b"\xB1http://i\0",
        b"x-mine\0y\0",
    ] {
        assert!(has(octets), "{octets:x?} in {sent:x?}");
    }
    assert!(!has(b"x-wap-application"));
    assert_eq!(made(&[], b"x"), Err(ContentError::NoContentType));
}

/// WAP-249 5.1.2.1.2.
pub(super) fn applications_are_numbers() {
    for (written, sent) in [
        (Some("x-wap-application:push.syncml"), "5"),
        (
            Some("x-wap-application:push.syncml; app-encoding=0007"),
            "5",
        ),
        (Some("http://mine/app; app-encoding=1F"), "31"),
        (Some("http://mine/app"), "http://mine/app"),
        (Some("1f"), "31"),
        (Some("mms.ua"), "4"),
        (None, "2"),
    ] {
        let mut fields = vec![("content-type", "a/b")];
        fields.extend(written.map(|value| ("x-wap-application-id", value)));
        assert_eq!(
            made(&fields, b"z").unwrap().headers["x-wap-application-id"],
            sent
        );
    }
    let nonsense = [
        ("content-type", "a/b"),
        ("x-wap-application-id", "no appid at all"),
    ];
    assert!(made(&nonsense, b"z").unwrap_err().is_bad_request());
}

pub(super) fn multiparts_become_binary_inside_each_other() {
    let body = b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Type: text/plain\r\n\r\nhi\
        \r\n--y--\r\n\r\n--x--\r\n";
    let message = made(&[("content-type", "multipart/related; boundary=x")], body).unwrap();
    assert_eq!(
        message.content_type(),
        "application/vnd.wap.multipart.related"
    );
    // One entry of one entry: nothing of MIME is left.
    assert_eq!(message.body[0], 1);
    assert!(!message.body.windows(3).any(|window| window == b"--y"));
}

/// WAP-235 6.2.4.
pub(super) fn only_who_is_authenticated_is_flagged() {
    let fields = [
        ("content-type", "a/b"),
        ("push-flag", "7"),
        ("x-wap-initiator-uri", "http://claimed"),
    ];
    assert!(
        !made(&fields, b"z")
            .unwrap()
            .headers
            .contains_key("push-flag")
    );
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let entity = Entity {
        fields: fields.collect(),
        body: Bytes::new(),
    };
    let known = Initiator {
        authenticated_uri: Some("http://pi".to_owned()),
    };
    let message = content::message(&entity, &known).unwrap();
    assert_eq!(message.headers["push-flag"], "1");
    assert_eq!(message.headers["x-wap-initiator-uri"], "http://pi");
}
