//! WML variables: `$(name:escape)` in XML, extension tokens in WBXML (WML 10.3, 14.3.3).

use crate::wbxml::encoder::Encoder;

/// The conversions, in the order of the tokens EXT_I_0 to EXT_I_2.
const CONVERSIONS: [&str; 3] = ["escape", "unesc", "noesc"];

/// The text for a variable whose name is `name`.
pub(in crate::wbxml) fn to_text(number: u8, name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"$(");
    out.extend_from_slice(name);
    // A variable without a conversion is substituted as its place demands. Token 2 has this meaning
    // in content.
    if let Some(conversion) = CONVERSIONS.get(usize::from(number)).filter(|_| number != 2) {
        out.push(b':');
        out.extend_from_slice(conversion.as_bytes());
    }
    out.push(b')');
}

/// Encodes text in which `$` begins a variable.
pub(super) fn encode(text: &str, encoder: &mut Encoder<'_>) {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        match variable(after) {
            Some((number, name, after)) => {
                encoder.text(&plain);
                plain.clear();
                encoder.extension_text(number, name);
                rest = after;
            }
            None => {
                plain.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
    }
    plain.push_str(rest);
    encoder.text(&plain);
}

/// A variable after its `$`: token number, name, and the text after the variable.
fn variable(after: &str) -> Option<(u8, &str, &str)> {
    let Some(inner) = after.strip_prefix('(') else {
        let end = after
            .bytes()
            .position(|octet| !is_word(octet))
            .unwrap_or(after.len());
        let (name, rest) = after.split_at_checked(end)?;
        return is_variable(name).then_some((2, name, rest));
    };
    // No name is longer; searching further for each `$(` would take time.
    let end = inner.bytes().take(256).position(|octet| octet == b')')?;
    let (inner, rest) = (inner.get(..end)?, inner.get(end + 1..)?);
    let (name, number) = match inner.split_once(':') {
        None => (inner, 2),
        Some((name, conversion)) => (name, number(conversion)?),
    };
    is_variable(name).then_some((number, name, rest))
}

fn number(conversion: &str) -> Option<u8> {
    match conversion.to_ascii_lowercase().as_str() {
        "e" | "escape" => Some(0),
        "u" | "unesc" => Some(1),
        "n" | "noesc" => Some(2),
        _ => None,
    }
}

fn is_variable(name: &str) -> bool {
    name.bytes()
        .next()
        .is_some_and(|octet| octet.is_ascii_alphabetic() || octet == b'_')
        && name.bytes().all(is_word)
}

fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}
