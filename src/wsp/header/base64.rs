//! Base64 with padding (RFC 4648), for credentials and digests, which WSP carries bare.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the octets in base64.
pub(crate) fn put(out: &mut Vec<u8>, octets: &[u8]) {
    for group in octets.chunks(3) {
        let bits = group
            .iter()
            .fold(0u32, |bits, &octet| bits << 8 | u32::from(octet));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place) & 0x3F) as usize;
            let letter = ALPHABET.get(sextet).filter(|_| place <= group.len());
            out.push(letter.copied().unwrap_or(b'='));
        }
    }
}

/// The octets; `None` unless the text is exactly what [`put`] makes of them.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for &letter in group {
            bits = bits << 6 | if letter == b'=' { 0 } else { sextet(letter)? };
        }
        let padding = group.iter().filter(|&&letter| letter == b'=').count();
        octets.extend(
            bits.to_be_bytes()
                .iter()
                .skip(1)
                .take(3usize.checked_sub(padding)?),
        );
    }
    let mut again = Vec::with_capacity(text.len());
    put(&mut again, &octets);
    (again == text).then_some(octets)
}

fn sextet(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_rfc_4648_and_rfc_7617() {
        for (octets, text) in [
            (&b""[..], &b""[..]),
            (b"f", b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"Aladdin:open sesame", b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            let mut out = Vec::new();
            put(&mut out, octets);
            assert_eq!(out, text);
            assert_eq!(decode(text).as_deref(), Some(octets));
        }
        for bad in [&b"Zg"[..], b"Zh==", b"====", b"Zm9v=", b"Z=9v", b"Zm9 "] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn octets_round_trip(octets: Vec<u8>) {
            let mut text = Vec::new();
            put(&mut text, &octets);
            prop_assert_eq!(decode(&text), Some(octets));
        }

        #[test]
        fn any_text_is_read_or_refused(text: Vec<u8>) {
            let _ = decode(&text);
        }
    }
}
