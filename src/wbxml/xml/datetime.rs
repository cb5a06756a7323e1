//! Dates in attributes: ISO 8601 text in XML, opaque digits in WBXML (WAP-167 8.2.2).

/// `1999-04-30T06:40:00Z` from `19 99 04 30 06 40`: four bits a digit, zeros at the end left out in
/// pairs.
pub(super) fn to_text(octets: &[u8]) -> Option<String> {
    let digits =
        |octet: &u8| (octet >> 4 <= 9 && octet & 0x0F <= 9).then(|| format!("{octet:02x}"));
    if octets.len() > 7 {
        return None;
    }
    let mut parts = octets.iter().map(digits).collect::<Option<Vec<_>>>()?;
    parts.resize(7, "00".to_owned());
    match parts.as_slice() {
        [century, year, month, day, hour, minute, second] => Some(format!(
            "{century}{year}-{month}-{day}T{hour}:{minute}:{second}Z"
        )),
        _ => None,
    }
}

/// The digits of `YYYY-MM-DDThh:mm:ssZ`; `None` for any other text, which then travels as text.
pub(super) fn from_text(text: &str) -> Option<Vec<u8>> {
    let shape = text
        .bytes()
        .map(|octet| if octet.is_ascii_digit() { b'0' } else { octet });
    if !shape.eq(*b"0000-00-00T00:00:00Z") {
        return None;
    }
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|octet| octet - b'0')
        .collect();
    let mut octets: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |value, digit| value << 4 | digit))
        .collect();
    while octets.last() == Some(&0) {
        octets.pop();
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_wap_167() {
        for (text, octets) in [
            (
                "1999-04-30T06:40:00Z",
                &[0x19, 0x99, 0x04, 0x30, 0x06, 0x40][..],
            ),
            (
                "1999-06-25T15:23:15Z",
                &[0x19, 0x99, 0x06, 0x25, 0x15, 0x23, 0x15],
            ),
            ("1999-06-30T00:00:00Z", &[0x19, 0x99, 0x06, 0x30]),
        ] {
            assert_eq!(from_text(text).as_deref(), Some(octets));
            assert_eq!(to_text(octets).as_deref(), Some(text));
        }
        assert_eq!(from_text("1999-04-30"), None);
        assert_eq!(to_text(&[0x1A]), None);
        assert_eq!(to_text(&[0; 8]), None);
    }
}
