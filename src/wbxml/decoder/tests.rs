//! The specification's examples, code pages, errors with their offsets, and limits.

use proptest::prelude::*;

use super::*;
use crate::wbxml::encoder::{Encoder, EncoderConfig};
use crate::wbxml::tables::{SI, SYNCML_1_1};

/// A readable transcript: one word per event.
fn transcript(wire: &[u8], options: &Options) -> Result<String, Error> {
    let mut decoder = Decoder::new(wire, options)?;
    let mut words = Vec::new();
    let name = |name: Name<'_>, token: u8| match name {
        Name::Assigned(name) => name.to_owned(),
        Name::Literal(name) => String::from_utf8_lossy(name).into_owned(),
        Name::Unassigned => format!("?{token:02x}"),
    };
    while let Some(event) = decoder.next()? {
        words.push(match event {
            Event::Start { tag, content, .. } => {
                format!(
                    "<{}{}",
                    name(tag.name, tag.token),
                    if content { "" } else { "/" }
                )
            }
            Event::End(tag) => format!("/{}>", name(tag.name, tag.token)),
            Event::Attribute(a) => format!("@{}={}", name(a.name, a.token), a.prefix),
            Event::EndAttributes => ">".to_owned(),
            Event::Pi(a) => format!("<?{}", name(a.name, a.token)),
            Event::EndPi => "?>".to_owned(),
            Event::Value(token, text) => {
                text.map_or_else(|| format!("?{token:02x}"), ToOwned::to_owned)
            }
            Event::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
            Event::Entity(c) => format!("&{:x};", u32::from(c)),
            Event::Opaque(octets) => format!("[{}]", octets.len()),
            Event::Extension(e) => format!("{e:?}"),
        });
    }
    Ok(words.join(" "))
}

fn error(wire: &[u8]) -> Error {
    transcript(wire, &Options::default()).unwrap_err()
}

#[test]
fn the_example_of_wbxml_8_1() {
    let wire = b"\x03\x01\x03\x00\x47\x46\x03 X & Y\0\x05\x03 X\0\x02\x81\x20\x03=\0\x02\x81\x20\x031 \0\x01\x01";
    assert_eq!(
        transcript(wire, &Options::default()).unwrap(),
        "<?07 <?06 ' X & Y' <?05/ ' X' &a0; '=' &a0; '1 ' /?06> /?07>"
    );
}

#[test]
fn the_example_of_wbxml_8_2() {
    let wire = b"\x03\x01\x6A\x12abc\0 Enter name: \0\x47\xC5\x09\x83\x00\x05\x01\x88\x06\x86\x08\x03xyz\0\x85\x03/s\0\x01\x83\x04\x86\x07\x0A\x03N\0\x01\x01\x01";
    assert_eq!(
        transcript(wire, &Options::default()).unwrap(),
        "<?07 <?05 @?09= 'abc' @?05= > <?08/ @?06= ?86 @?08= 'xyz' ?85 '/s' > ' Enter name: ' \
         <?06/ @?07= @?0a= 'N' > /?05> /?07>"
    );
}

#[test]
fn the_example_of_service_indication() {
    // WAP-167 9
    let wire = b"\x02\x05\x6A\x00\x45\xC6\x0D\x03xyz\0\x85\x03email/123/abc.wml\0\x0A\xC3\x07\x19\x99\x06\x25\x15\x23\x15\x10\xC3\x04\x19\x99\x06\x30\x01\x03You have 4 new e-mails\0\x01\x01";
    assert_eq!(
        transcript(wire, &Options::default()).unwrap(),
        "<si <indication @href=http://www. 'xyz' .com/ 'email/123/abc.wml' @created= [7] @si-expires= [4] > \
         'You have 4 new e-mails' /indication> /si>"
    );
}

#[test]
fn each_state_has_its_own_code_page() {
    let wire = [
        2, 0x0B, 0x6A, 0, 0xC5, 0x00, 0x01, 0x55, 0x01, 0x00, 0x01, 0x86, 0x36, 0x00, 0x00, 0x46,
        0x01, 0x01,
    ];
    assert_eq!(
        transcript(&wire, &Options::default()).unwrap(),
        "<wap-provisioningdoc @type=APPLICATION > <characteristic/ @name=APPID @version=1.0 > /wap-provisioningdoc>"
    );
}

#[test]
fn processing_instructions_stand_around_and_inside_the_root() {
    let wire =
        b"\x03\x01\x6A\x04abc\0\x43\x04\x00\x03v\0\x01\x45\x43\x04\x01\x01\x01\x43\x04\x02\x01";
    assert_eq!(
        transcript(wire, &Options::default()).unwrap(),
        "<?abc 'v' ?> <?05 <?bc ?> /?05> <?c ?>"
    );
}

#[test]
fn a_media_type_helps_where_the_public_id_is_unknown() {
    let options = Options {
        vocabulary: Some(&SI),
        ..Options::default()
    };
    assert_eq!(
        transcript(&[3, 1, 0x6A, 0, 0x05], &options).unwrap(),
        "<si/"
    );
}

#[test]
fn errors_name_offset_token_and_expectation() {
    let at = |wire: &[u8]| {
        let error = error(wire);
        (error.offset, error.token, error.expected)
    };
    assert_eq!(at(&[]), (0, None, "an octet"));
    assert_eq!(
        at(&[4, 1, 0x6A, 0, 5]),
        (0, Some(4), "a WBXML version from 1.0 to 1.3")
    );
    assert_eq!(
        at(&[3, 1, 0x6A, 9, 5]),
        (4, Some(5), "as many octets as the length says")
    );
    assert_eq!(at(&[3, 1, 0x6A, 0]), (4, None, "an element"));
    assert_eq!(at(&[3, 1, 0x6A, 0, 0x45]), (5, None, "END"));
    assert_eq!(
        at(&[3, 1, 0x6A, 0, 0x05, 0x05]),
        (5, Some(5), "the end of the document")
    );
    assert_eq!(at(&[3, 1, 0x6A, 0, 0x01]), (4, Some(1), "an element"));
    assert_eq!(
        at(&[3, 1, 0x6A, 0, 0x45, 0x04, 0x00]),
        (6, Some(0), "an index into the string table")
    );
    assert_eq!(
        at(&[3, 1, 0x6A, 0, 0x45, 0x03, 0x41]),
        (6, Some(0x41), "a string that ends with NUL")
    );
    assert_eq!(
        at(&[3, 1, 0x6A, 0, 0x45, 0xC3, 0x05, 0x41]),
        (7, Some(0x41), "as many octets as the length says")
    );
    assert_eq!(
        at(&[3, 1, 0x6A, 0, 0x45, 0x02, 0x83, 0xB0, 0x00]),
        (6, Some(0x83), "the number of a character")
    );
    assert_eq!(
        at(&[3, 1, 0x6A, 0, 0x85, 0x85, 0x01]),
        (5, Some(0x85), "an attribute start")
    );
    assert_eq!(error(&[3, 1, 0x87, 0x67, 0, 5]).fault, Fault::Charset);
    assert_eq!(
        error(&[3, 1, 0x6A, 0, 0x45]).to_string(),
        "malformed: expected END at offset 5"
    );
}

#[test]
fn a_multi_byte_integer_has_five_octets_at_most() {
    let wire = [
        3, 1, 0x6A, 0, 0x45, 0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20,
    ];
    assert_eq!(error(&wire).expected, "a uintvar of at most five octets");
    assert_eq!(error(&[3, 0x81]).expected, "a uintvar");
}

#[test]
fn depth_is_bounded() {
    let mut wire = vec![3, 1, 0x6A, 0];
    wire.extend([0x45; 65]);
    let error = error(&wire);
    assert_eq!((error.fault, error.offset), (Fault::TooDeep, 4 + 64));
}

#[test]
fn references_to_the_string_table_are_bounded_by_the_input() {
    // 20 kB of table, referred to from 8,000 places: 160 MB.
    let mut wire = vec![3, 1, 0x6A, 0x81, 0x9C, 0x21];
    wire.extend([b'x'; 20_000]);
    wire.push(0);
    wire.push(0x45);
    for _ in 0..8_000 {
        wire.extend([0x83, 0x00]);
    }
    wire.push(0x01);
    assert_eq!(error(&wire).fault, Fault::Amplified);
}

fn reencoded(wire: &[u8]) -> Result<Vec<u8>, Error> {
    let mut decoder = Decoder::new(wire, &Options::default())?;
    let mut out = Vec::new();
    let config = EncoderConfig {
        version: decoder.header().version,
        ..EncoderConfig::new(decoder.vocabulary())
    };
    let charset = decoder.charset();
    let mut encoder = Encoder::new(&mut out, &config);
    while let Some(event) = decoder.next()? {
        encoder.event(&event, charset)?;
    }
    encoder.finish();
    Ok(out)
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(body: Vec<u8>, public_id in 0u8..20) {
        let mut wire = vec![3, public_id, 0x6A, 0];
        wire.extend(&body);
        let _ = transcript(&wire, &Options::default());
        let _ = transcript(&body, &Options::default());
    }

    #[test]
    fn decoding_encoding_and_decoding_again_is_stable(body: Vec<u8>, table in "[a-z\0]{0,8}") {
        let mut wire = vec![3, 5, 0x6A, u8::try_from(table.len()).unwrap()];
        wire.extend(table.as_bytes());
        wire.push(0x45);
        wire.extend(&body);
        if let Ok(once) = reencoded(&wire) {
            prop_assert_eq!(reencoded(&once), Ok(once));
        }
    }
}

#[test]
fn a_decoder_says_where_it_is() {
    let wire = b"\x02\x9F\x53\x6A\x00\x6D\x6C\x71\x031.1\0\x01\x01\x01";
    let mut decoder = Decoder::new(wire, &Options::default()).unwrap();
    assert_eq!(decoder.vocabulary().name, SYNCML_1_1.name);
    decoder.next().unwrap();
    decoder.next().unwrap();
    assert_eq!((decoder.offset(), decoder.depth()), (7, 2));
}
