//! Base64, as SyncML's `b64` format uses it (RFC 4648, with padding, without line breaks).

/// Appends `octets` in base64.
pub(super) fn encode(octets: &[u8], out: &mut Vec<u8>) {
    out.reserve(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let octet = |index: usize| group.get(index).copied().unwrap_or(0);
        let word = u32::from(octet(0)) << 16 | u32::from(octet(1)) << 8 | u32::from(octet(2));
        let digit = |shift: u32| {
            ALPHABET
                .get((word >> shift & 0x3F) as usize)
                .copied()
                .unwrap_or(b'=')
        };
        out.extend_from_slice(&[
            digit(18),
            digit(12),
            if group.len() > 1 { digit(6) } else { b'=' },
            if group.len() > 2 { digit(0) } else { b'=' },
        ]);
    }
}

/// The octets of base64 text, white space aside; `None` if it is not that.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut digits, mut padding) = (0u32, 0, 0);
    for &octet in text.iter().filter(|octet| !octet.is_ascii_whitespace()) {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        word = word << 6 | u32::from(value);
        digits += 1;
        if digits == 4 {
            out.extend(word.to_be_bytes().into_iter().skip(1));
            (word, digits) = (0, 0);
        }
    }
    match (digits, padding) {
        (0, 0) => {}
        (2, 2) => out.extend((word << 12).to_be_bytes().into_iter().skip(1).take(1)),
        (3, 1) => out.extend((word << 6).to_be_bytes().into_iter().skip(1).take(2)),
        _ => return None,
    }
    Some(out)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_4648() {
        for (octets, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            encode(octets.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(decode(text.as_bytes()), Some(octets.as_bytes().to_vec()));
        }
        assert_eq!(decode(b"Zm9v\r\n Yg=="), Some(b"foob".to_vec()));
        for wrong in ["Z", "Zg", "Zg=", "Zg==Zg==", "Zm9=v", "Z$==", "===="] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(octets: Vec<u8>) {
            let mut text = Vec::new();
            encode(&octets, &mut text);
            prop_assert_eq!(decode(&text), Some(octets));
        }
    }
}
