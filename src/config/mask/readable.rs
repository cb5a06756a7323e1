//! Whether a text looks like a value that may be read by anybody: words, numbers, addresses, paths.
//!
//! Generated secrets mix letters and digits, or small letters and capitals, again and again. A
//! secret that is an ordinary word cannot be told from a name.

/// Whether a text has the look of names, numbers with their units, hosts, addresses or a URL.
pub(in crate::config) fn is_readable(text: &str) -> bool {
    let is_known = |octet: u8| octet.is_ascii_alphanumeric() || b"_-./:,*+[]~".contains(&octet);
    text.bytes().all(is_known)
        && has_a_port(text)
        && (is_v6(text)
            || text
                .split(|c: char| !c.is_ascii_alphanumeric())
                .all(is_word))
}

/// Whether only a port follows the host of a URL: else it is the password of a user whose host is
/// missing.
fn has_a_port(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("//") else {
        return true;
    };
    let host = rest.split('/').next().unwrap_or_default();
    let port = match host.rsplit_once(']') {
        Some((_, port)) => port,
        None => host,
    };
    port.split(':')
        .skip(1)
        .all(|port| port.len() <= 5 && port.bytes().all(|octet| octet.is_ascii_digit()))
}

/// Whether this is an address or a network of IPv6, with a port or without.
fn is_v6(text: &str) -> bool {
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => text.split('/').next().unwrap_or_default(),
    };
    address.parse::<std::net::Ipv6Addr>().is_ok()
        && (text.len() <= address.len() + "[]:65535".len())
}

/// A word, a number, or a number with its unit.
fn is_word(word: &str) -> bool {
    let octets = word.as_bytes();
    let is_number = octets.iter().all(u8::is_ascii_digit);
    if is_number {
        return word.len() <= MOST_DIGITS;
    }
    if let Some(digits) = word.strip_prefix("0x") {
        return digits.len() <= 8 && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    }
    let changes = |class: fn(&u8) -> bool| {
        let pairs = octets.iter().zip(octets.iter().skip(1));
        pairs
            .filter(|(one, next)| class(one) != class(next))
            .count()
    };
    word.len() <= MOST_LETTERS
        && changes(u8::is_ascii_digit) <= 1
        && changes(u8::is_ascii_uppercase) <= MOST_CAPITALS
}

/// Digits of a number, fewer than those of a subscriber.
const MOST_DIGITS: usize = 7;

const MOST_LETTERS: usize = 20;

/// Changes between capitals and other letters in one word.
const MOST_CAPITALS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_addresses_are_readable() {
        for text in [
            "",
            "12h",
            "1.5MiB",
            "0x43",
            "gw1.example.net:2775",
            "[2001:db8::8db1a]:9201",
            "[2001:db8::8b1a]:9201",
            "2001:db8::/32",
            "10.0.0.0/8",
            "3DES_CBC_EDE/SHA",
            "text/x-*",
            "https://host:8443/path",
            "https://[::1]:8443/",
            "x-wap-application:push.syncml",
            "X-Up-Calling-Line-ID",
            "+49170",
            "/var/lib/wapbridge/state.redb",
        ] {
            assert_eq!(is_readable(text), !text.contains("8db1a"), "{text}");
        }
    }

    #[test]
    fn secrets_are_not() {
        for text in [
            "S3CR3T",
            "9f86d081884c7d65",
            "Zm9vYmFyYmF6",
            "pass word",
            "a=b",
            "491701234567",
            "https://user:word",
            "https://user:word/x",
            "user%40host",
            "QmFzZQabXyZtUvW",
            "correcthorsebatterystaple",
        ] {
            assert!(!is_readable(text), "{text}");
        }
    }
}
