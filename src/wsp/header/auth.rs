//! Credentials and challenges (WSP 8.4.2.5).
//!
//! Basic credentials have a binary form, and decoding restores every octet. Values that decoding
//! would change are sent as text.

use std::borrow::Cow;

use super::parameter::{self, Scope};
use super::value::{Decoded, Value};
use super::wire::{self, Raw, text_string};
use super::{EncodingVersion, text};
use crate::codec::{Malformed, decode_base64, fail, put_base64, uint8};

const BASIC: u8 = 0x80;

/// Reads credentials.
pub(crate) fn credentials(value: Value<'_>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.refuse("credentials");
    };
    let Some(basic) = data.strip_prefix(&[BASIC]) else {
        let mut out = Vec::with_capacity(2 * data.len());
        let rest = scheme(data, &mut out)?;
        parameter::parameters(rest, Scope::Auth, &mut out)?;
        return Ok(Cow::Owned(out));
    };
    let (rest, user) = text_string(basic)?;
    let (_, password) = text_string(rest)?;
    let mut out = b"Basic ".to_vec();
    put_base64(&mut out, &[user, b":", password].concat());
    Ok(Cow::Owned(out))
}

/// Reads a challenge.
pub(crate) fn challenge(value: Value<'_>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.refuse("a challenge");
    };
    let mut out = Vec::with_capacity(2 * data.len());
    let rest = match uint8(data)? {
        (rest, BASIC) => {
            out.extend_from_slice(b"Basic");
            rest
        }
        _ => scheme(data, &mut out)?,
    };
    let (rest, realm) = text_string(rest)?;
    out.extend_from_slice(b" realm=");
    // Some stacks keep the marks that the encoding leaves out.
    match text::quoted(realm) {
        Some(_) => out.extend_from_slice(realm),
        None => text::put_requoted(&mut out, realm),
    }
    if !rest.is_empty() {
        out.push(b',');
    }
    parameter::parameters(rest, Scope::Auth, &mut out)?;
    Ok(Cow::Owned(out))
}

fn scheme<'a>(data: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], nom::Err<Malformed<'a>>> {
    let (rest, scheme) = text_string(data)?;
    if !wire::is_token(scheme) {
        return Err(fail(data, "an authentication scheme"));
    }
    out.extend_from_slice(scheme);
    Ok(rest)
}

/// Appends credentials; `None` if decoding would change them.
pub(crate) fn put_credentials(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    value: &[u8],
) -> Option<()> {
    let (scheme, rest) = text::leading_token(value);
    let rest = text::trim(rest);
    let start = out.len();
    if scheme.eq_ignore_ascii_case(b"basic") {
        let bare = decode_base64(rest)?;
        let at = bare.iter().position(|&octet| octet == b':')?;
        let (user, password) = bare.split_at_checked(at)?;
        wire::put_with_length(out, |out| {
            out.push(BASIC);
            wire::put_text(out, user);
            wire::put_text(out, password.get(1..).unwrap_or_default());
        });
    } else {
        wire::put_with_length(out, |out| {
            wire::put_terminated(out, scheme);
            put_parameters(out, version, rest, None)
        })?;
    }
    comes_back(out.get(start..)?, credentials, value)
}

/// Appends a challenge; `None` if it has no realm, or decoding would change it.
pub(crate) fn put_challenge(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    value: &[u8],
) -> Option<()> {
    let (scheme, rest) = text::leading_token(value);
    let mut parts = text::split(rest, b',', false).map(text::parameter);
    let realm = parts
        .find(|(name, _)| name.eq_ignore_ascii_case(b"realm"))?
        .1?;
    let realm = text::quoted(realm).or_else(|| wire::is_token(realm).then_some(realm))?;
    let is_basic = scheme.eq_ignore_ascii_case(b"basic");
    // The charset parameter is younger than all handsets. The form has no place for other
    // parameters of a Basic challenge.
    let known = |name: &[u8]| {
        [&b"realm"[..], b"charset"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    if is_basic && !text::split(rest, b',', false).all(|part| known(text::parameter(part).0)) {
        return None;
    }
    wire::put_with_length(out, |out| {
        if is_basic {
            out.push(BASIC);
            wire::put_text(out, realm);
            Some(())
        } else {
            wire::is_token(scheme).then(|| wire::put_terminated(out, scheme))?;
            wire::put_text(out, realm);
            put_parameters(out, version, rest, Some(b"realm"))
        }
    })
}

fn put_parameters(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    parameters: &[u8],
    except: Option<&[u8]>,
) -> Option<()> {
    for part in text::split(parameters, b',', false) {
        let (name, value) = text::parameter(part);
        if except.is_none_or(|except| !name.eq_ignore_ascii_case(except)) {
            parameter::put(out, version, Scope::Auth, name, Some(value?))?;
        }
    }
    Some(())
}

/// Decodes the encoded octets and compares, apart from white space and the scheme's case.
fn comes_back(
    wire: &[u8],
    decode: impl for<'a> Fn(Value<'a>) -> Decoded<'a>,
    value: &[u8],
) -> Option<()> {
    let (_, raw) = wire::raw(wire).ok()?;
    let again = decode(Value { raw, whole: wire }).ok()?;
    let squeezed = |text: &[u8]| -> Vec<u8> {
        let (scheme, rest) = text::leading_token(text);
        let rest = rest.iter().filter(|octet| !matches!(octet, b' ' | b'\t'));
        scheme
            .to_ascii_lowercase()
            .iter()
            .chain(rest)
            .copied()
            .collect()
    };
    (squeezed(&again) == squeezed(value)).then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(wire: &[u8]) -> Value<'_> {
        let (_, raw) = wire::raw(wire).unwrap();
        Value { raw, whole: wire }
    }

    fn put(value: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        put_credentials(&mut out, EncodingVersion::V1_2, value.as_bytes()).map(|()| out)
    }

    #[test]
    fn basic_credentials_travel_bare() {
        let text = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        let wire = put(text).unwrap();
        assert_eq!(wire, b"\x15\x80Aladdin\0open sesame\0");
        assert_eq!(&*credentials(value(&wire)).unwrap(), text.as_bytes());
        // A colon belongs to the password.
        let wire = put("Basic YTpiOmM=").unwrap();
        assert_eq!(wire, b"\x07\x80a\0b:c\0");
        // Without a colon, or with a NUL, or not in base64, it is text.
        assert_eq!(put("Basic YWJj"), None);
        assert_eq!(put("Basic YToAYg=="), None);
        assert_eq!(put("Basic a:b"), None);
        assert_eq!(put("Bearer abc.def=="), None);
    }

    #[test]
    fn digest_credentials_keep_every_sign() {
        let text = r#"Digest username="Mufasa", realm="a \"b\"", nonce="dcd98b", uri="/x?a=1,2", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629", opaque="""#;
        let wire = put(text).unwrap();
        assert_eq!(
            std::str::from_utf8(&credentials(value(&wire)).unwrap()),
            Ok(text)
        );
    }

    #[test]
    fn challenges_go_both_ways() {
        let mut out = Vec::new();
        put_challenge(
            &mut out,
            EncodingVersion::V1_2,
            b"Basic realm=\"my \xE4\", charset=\"UTF-8\"",
        )
        .unwrap();
        assert_eq!(out, b"\x06\x80my \xE4\0");
        assert_eq!(
            &*challenge(value(&out)).unwrap(),
            b"Basic realm=\"my \xE4\""
        );
        let text = &br#"Digest realm="a", nonce="b", stale=FALSE, domain="/x /y""#[..];
        out.clear();
        put_challenge(&mut out, EncodingVersion::V1_4, text).unwrap();
        assert_eq!(&*challenge(value(&out)).unwrap(), text);
        out.clear();
        assert_eq!(
            put_challenge(&mut out, EncodingVersion::V1_4, b"Negotiate"),
            None
        );
    }

    proptest! {
        #[test]
        fn basic_credentials_are_unharmed(user in "[^:\u{0}]{0,20}", password in "[^\u{0}]{0,20}") {
            let mut text = b"Basic ".to_vec();
            put_base64(&mut text, format!("{user}:{password}").as_bytes());
            let mut wire = Vec::new();
            if put_credentials(&mut wire, EncodingVersion::V1_2, &text).is_some() {
                let read = credentials(value(&wire)).unwrap();
                prop_assert_eq!(&*read, &text[..]);
            } else {
                let odd = |text: &str| text.bytes().any(wire::is_forbidden);
                prop_assert!(odd(&user) || odd(&password));
            }
        }
    }
}
