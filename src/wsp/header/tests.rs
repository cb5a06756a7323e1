//! Whole blocks: the specification's examples, malformed input of real handsets, pages, and
//! properties.

use proptest::collection::vec;
use proptest::prelude::*;

use super::value::{Decoded, Value};
use super::*;

fn read(block: &[u8]) -> Vec<(String, String)> {
    fields(block, &[])
        .map(|field| field.unwrap())
        .map(|field| {
            let value = String::from_utf8_lossy(&field.value).into_owned();
            (field.name.into_owned(), value)
        })
        .collect()
}

/// The text of a value, unless `decode` refuses the value.
pub(super) fn read_value(
    wire: &[u8],
    decode: impl for<'a> Fn(Value<'a>) -> Decoded<'a>,
) -> Option<String> {
    let (_, raw) = wire::raw(wire).unwrap();
    let text = decode(Value { raw, whole: wire }).ok()?;
    Some(String::from_utf8(text.into_owned()).unwrap())
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    fields.iter().map(owned).collect()
}

fn encoded(version: EncodingVersion, name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_field(version, name, value.as_bytes(), &mut out);
    out
}

#[test]
fn examples_of_appendix_b() {
    use EncodingVersion as V;
    for (name, value, wire, elements) in [
        (
            "accept",
            "application/vnd.wap.wmlc",
            &b"\x80\x94"[..],
            &["application/vnd.wap.wmlc"][..],
        ),
        (
            "accept-language",
            "en;q=0.7",
            b"\x83\x02\x99\x47",
            &["en; q=0.7"],
        ),
        (
            "accept-language",
            "en, sv",
            b"\x83\x99\x83\xF0",
            &["en", "sv"],
        ),
        (
            "date",
            "Thu, 23 Apr 1998 13:41:37 GMT",
            b"\x92\x04\x35\x3F\x45\x11",
            &["Thu, 23 Apr 1998 13:41:37 GMT"],
        ),
        (
            "content-range",
            "bytes 0-499/1025",
            b"\x90\x03\x00\x88\x01",
            &["bytes 0-499/1025"],
        ),
        (
            "accept-ranges",
            "new-range-unit",
            b"\x84new-range-unit\0",
            &["new-range-unit"],
        ),
        ("X-New-header", "foo", b"X-New-header\0foo\0", &["foo"]),
        (
            "X-New-header",
            "foo, bar",
            b"X-New-header\0foo, bar\0",
            &["foo, bar"],
        ),
    ] {
        assert_eq!(encoded(V::V1_2, name, value), wire, "{name}: {value}");
        let expected: Vec<_> = elements.iter().map(|element| (name, *element)).collect();
        let read: Vec<_> = fields(wire, &[])
            .with_body(500)
            .map(|field| field.unwrap())
            .map(|field| {
                (
                    field.name.into_owned(),
                    String::from_utf8(field.value.into_owned()).unwrap(),
                )
            })
            .collect();
        assert_eq!(read, pairs(&expected));
    }
}

#[test]
fn newer_fields_go_as_text() {
    assert_eq!(
        encoded(EncodingVersion::V1_2, "Cookie", "a=b"),
        b"Cookie\0a=b\0"
    );
    assert_eq!(
        encoded(EncodingVersion::V1_3, "Cookie", "a=b"),
        b"\xC2\x070\0\x04a\0b\0"
    );
    // Numbers up to 1.2 are sent to every peer (8.4.1.1).
    assert_eq!(
        encoded(EncodingVersion::V1_1, "Push-Flag", "4"),
        b"\xB4\x84"
    );
}

#[test]
fn the_old_number_of_accept_encoding_takes_quality_factors_and_any() {
    // WSP 8.4.2.9: gzip with q=0.50 (the Q-value is 51), and any encoding.
    let block = b"\x82\x02\x80\x33\x82\x01\x83\x82\x80";
    let values: Vec<_> = read(block).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["gzip; q=0.5", "*", "gzip"]);
}

#[test]
fn what_does_not_fit_its_form_goes_as_text() {
    assert_eq!(
        encoded(EncodingVersion::V1_2, "Date", "soon"),
        b"Date\0soon\0"
    );
    assert_eq!(encoded(EncodingVersion::V1_2, "age", "-1"), b"age\0-1\0");
    assert_eq!(
        encoded(EncodingVersion::V1_2, "accept-encoding", ""),
        b"accept-encoding\0\0"
    );
    assert_eq!(encoded(EncodingVersion::V1_2, "bad name", "x"), b"");
    assert_eq!(
        encoded(EncodingVersion::V1_2, "x-a", "b\0c\r\nd"),
        b"x-a\0b c  d\0"
    );
}

#[test]
fn sloppy_handsets_are_understood() {
    // An empty value, a closing quotation mark, X-Wap-Tod in binary under a text name or as 0x80.
    assert_eq!(
        read(b"\x80\0\x81\xEA"),
        pairs(&[("accept", ""), ("accept-charset", "utf-8")])
    );
    assert_eq!(read(b"\xC0\"<a@b>\"\0"), pairs(&[("content-id", "<a@b>")]));
    assert_eq!(
        read(b"X-WAP.TOD\0\x04\x35\x3F\x45\x11"),
        pairs(&[("X-WAP.TOD", "Thu, 23 Apr 1998 13:41:37 GMT")])
    );
    assert_eq!(read(b"X-Wap-Tod\0\x80"), pairs(&[("X-Wap-Tod", "")]));
    assert_eq!(read(b"\xBF\x80"), pairs(&[("x-wap-tod", "")]));
    assert_eq!(read(b"\xA9\x7FNokia\0"), pairs(&[("user-agent", "Nokia")]));
}

#[test]
fn a_bad_value_costs_only_its_field() {
    let mut fields = fields(b"\x92\x85\xFE\x81\x81\xFF\x80\x94", &[]);
    assert_eq!(
        fields.next().unwrap().unwrap().value.as_ref(),
        b"Thu, 01 Jan 1970 00:00:05 GMT"
    );
    let error = fields.next().unwrap().unwrap_err();
    assert!(matches!(error, FieldError::Unassigned(_)));
    assert_eq!(error.offset(), 2);
    let error = fields.next().unwrap().unwrap_err();
    assert!(matches!(error, FieldError::Unassigned(_)));
    assert_eq!(error.offset(), 5);
    assert!(fields.next().unwrap().is_ok());
    assert!(fields.next().is_none());
}

#[test]
fn a_block_that_ends_early_is_malformed() {
    let mut fields = fields(b"\x80\x94\x92\x04\x35", &[]);
    assert!(fields.next().unwrap().is_ok());
    let error = fields.next().unwrap().unwrap_err();
    assert!(error.is_fatal());
    assert_eq!(error.offset(), 4);
    assert!(fields.next().is_none());
}

#[test]
fn pages_shift_and_one_that_was_not_agreed_is_told_apart() {
    let pages = [CodePage {
        code: 0x10,
        page: &X_UP_1,
    }];
    let mut encoder = Encoder::new(EncodingVersion::V1_3).with_pages(&pages);
    let mut block = Vec::new();
    encoder.field("accept", b"*/*", &mut block);
    encoder.field("x-up-devcap-softkey-size", b"12", &mut block);
    encoder.field("x-up-proxy-home-page", b"http://a/", &mut block);
    encoder.field("x-own", b"y", &mut block);
    encoder.field("date", b"soon", &mut block);
    encoder.field("accept", b"text/html", &mut block);
    assert_eq!(
        block,
        b"\x80\x80\x10\x88\x8C\x85http://a/\0x-own\0y\0date\0soon\0\x01\x80\x82"
    );
    assert!(fields(&block, &pages).all(|field| field.is_ok()));
    assert_eq!(fields(&block, &pages).count(), 6);
    let refused: Vec<_> = fields(&block, &[]).collect();
    assert_eq!(
        refused[1],
        Err(FieldError::Page {
            page: 0x10,
            offset: 2
        })
    );
    // The numbers of the unknown page are left out, names and the pages after it are not.
    assert_eq!(refused.len(), 5);
    block.clear();
    encoder.refuse_page(0x10, &mut block);
    assert_eq!(block, b"\xC3\x01\x90");
    // B.2.1: the long form.
    assert!(matches!(
        fields(b"\x7F\x40\x80\x94", &[]).next(),
        Some(Err(FieldError::Page { page: 0x40, .. }))
    ));
}

#[test]
fn a_content_type_leaves_the_fields() {
    let (text, rest) = decode_content_type(b"\x03\x83\x81\xEA\x80\x94").unwrap();
    assert_eq!(
        (&*text, rest),
        ("text/plain; charset=utf-8", &b"\x80\x94"[..])
    );
    assert_eq!(decode_content_type(b"").unwrap().0, "");
    assert_eq!(
        decode_content_type(b"\x08\x83\x85\xE4.gif\0\x80\x80")
            .unwrap()
            .0,
        "text/plain; name=\"ä.gif\""
    );
    assert!(is_registered_number(b"\x03\x02\x03\x03"));
    assert!(!is_registered_number(b"\x03\x83\x81\xEA"));
}

/// All that the values say: their signs without blanks, marks, separators and factors of one.
fn meaning(fields: &[Field<'_>]) -> String {
    let values = fields.iter().map(|field| {
        let value = String::from_utf8_lossy(&field.value).to_ascii_lowercase();
        let value = value.replace("q=1.0", "").replace("q=1", "");
        match &*field.name {
            // A number in text and the application's URI are one.
            "accept-application" | "x-wap-application-id" => String::new(),
            // An empty content type equals one of any type.
            "content-type" => value.replace("*/*", ""),
            _ => value,
        }
    });
    // In a text, `name`, `name=` and `name=""` are one parameter without a value: the equals sign
    // has a meaning in well-formed fields only, whose texts the fixtures hold.
    let signs = values.collect::<String>();
    signs
        .chars()
        .filter(|sign| !"\t ,;=\"\\".contains(*sign))
        .collect()
}

#[test]
fn an_expectation_without_a_value_goes_as_text() {
    for (value, is_text) in [("a", true), ("a=b", false), ("a; b=c", true)] {
        let wire = encoded(EncodingVersion::V1_3, "Expect", value);
        assert_eq!(wire.starts_with(b"Expect\0"), is_text, "{wire:x?}");
        assert_eq!(read(&wire)[0].1, value);
    }
}

fn any_block() -> impl Strategy<Value = Vec<u8>> {
    // Octets that mean something in a block stand more often than others.
    let octet = prop_oneof![
        3 => any::<u8>(),
        2 => 0x80..=0xCAu8,
        2 => 0u8..=8,
        2 => prop::sample::select(b"ab=\";, \x7F\x1F\x22\0".to_vec()),
    ];
    // An example with some octets changed goes deeper into the forms than chance does.
    let example = prop::sample::select(fixtures::wires());
    let changes = vec((any::<prop::sample::Index>(), octet.clone()), 0..3);
    let changed = (example, changes).prop_map(|(mut block, changes)| {
        for (place, octet) in changes {
            let at = place.index(block.len());
            block[at] = octet;
        }
        block
    });
    prop_oneof![vec(octet, 0..60), changed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_block_is_read_into_valid_http(block in any_block()) {
        let pages = [CodePage { code: 0x10, page: &X_UP_1 }];
        for field in fields(&block, &pages).with_body(7).flatten() {
            prop_assert!(http::HeaderName::from_bytes(field.name.as_bytes()).is_ok(), "{field:?}");
            prop_assert!(http::HeaderValue::from_bytes(&field.value).is_ok(), "{field:?}");
        }
        for error in fields(&block, &pages).filter_map(Result::err) {
            prop_assert!(error.offset() <= block.len());
        }
        if let Ok((text, _)) = decode_content_type(&block) {
            prop_assert!(http::HeaderValue::from_str(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_was_read_and_written_keeps_its_meaning(block in any_block(), minor in 1..=5u8) {
        let version = EncodingVersion::new(1, minor).unwrap();
        let once: Vec<_> = fields(&block, &[]).with_body(7).flatten().collect();
        let mut wire = Vec::new();
        for field in &once {
            encode_field(version, &field.name, &field.value, &mut wire);
        }
        // Decoding our own encoding never fails and loses no field.
        let twice: Result<Vec<_>, _> = fields(&wire, &[]).with_body(7).collect();
        let twice = match twice {
            Ok(twice) => twice,
            Err(error) => return Err(TestCaseError::fail(format!("{error}: {once:?}"))),
        };
        prop_assert_eq!(meaning(&once), meaning(&twice), "{:?}", once);
    }

    #[test]
    fn any_text_can_be_written(
        name in prop::sample::select(NAMES.to_vec()), value in "\\PC{0,40}|[ -~]{0,40}", minor in 1..=5u8,
    ) {
        let version = EncodingVersion::new(1, minor).unwrap();
        let mut wire = Vec::new();
        encode_field(version, name, value.as_bytes(), &mut wire);
        for field in fields(&wire, &[]) {
            let field = field.map_err(|error| TestCaseError::fail(format!("{error}: {wire:02x?}")))?;
            prop_assert!(field.name.eq_ignore_ascii_case(name));
        }
    }
}

const NAMES: [&str; 30] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-id",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "encoding-version",
    "expect",
    "if-range",
    "pragma",
    "profile-warning",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-wap-application-id",
    "x-wap-tod",
    "profile-diff",
    "x-own",
];
