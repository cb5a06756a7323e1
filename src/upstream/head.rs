//! The heads of HTTP/1.1 replies, made readable before hyper reads them.
//!
//! hyper refuses a whole reply for what RFC 9112 lets a recipient read, after the origin has obeyed
//! the request:
//!
//! - a field value with NUL or with CR that no LF follows: the octet becomes SP (RFC 9110 5.5);
//! - a version in lower case, or a minor version above 1 (RFC 9110 2.5);
//! - more white space than one SP before the status (RFC 9112 4).
//!
//! A line that names the transfer coding `identity`, which HTTP has had no more since RFC 7230, is
//! left out: hyper would wait for the end of the connection, whatever Content-Length says.
//!
//! A status of other than three digits stays an error: its class, and so the meaning of the reply
//! and the length of its body, are unknown.

/// Follows the replies of one connection octet by octet, as far as their heads go.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Not in a head: in a body, or in what does not begin as a head of HTTP/1.1 does.
    in_body: bool,
    /// Octets of the status line so far, of which the first [`DIGIT`] count.
    len: usize,
    /// The reply is an interim one, after which another head comes.
    is_interim: bool,
    /// The line at hand.
    line: Line,
    /// Lines that hyper skips, since the last call of `take_skipped`.
    skipped: u64,
}

/// How far one line of a head has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// Nothing of it but CR.
    #[default]
    Empty,
    /// The status line, or the continuation of a field.
    Other,
    /// In the name of a field.
    Name,
    /// After white space that follows the name.
    AfterName,
    Value,
    /// It is no field.
    Unreadable,
}

impl Line {
    /// The line after one octet more.
    fn after(self, octet: u8) -> Self {
        let is_space = matches!(octet, b' ' | b'\t');
        match (self, octet) {
            (line, b'\r') => line,
            (Self::Empty, _) if is_space => Self::Other,
            (Self::Name | Self::AfterName, b':') => Self::Value,
            (Self::Name | Self::AfterName, _) if is_space => Self::AfterName,
            (Self::Empty | Self::Name, _) if is_token(octet) => Self::Name,
            (Self::Value, _) if octet.is_ascii_control() && !is_space => Self::Unreadable,
            (Self::Other | Self::Value, _) => self,
            _ => Self::Unreadable,
        }
    }

    /// Whether its end makes it a line that is skipped.
    const fn is_skipped(self) -> bool {
        matches!(self, Self::Name | Self::AfterName | Self::Unreadable)
    }
}

impl Heads {
    /// Something of a request has been sent. The next octets are a head, unless the origin answers
    /// before it has the whole request: then the body of its reply goes on.
    pub(super) fn begin(&mut self) {
        *self = Self {
            skipped: self.skipped,
            ..Self::default()
        };
    }

    /// Lines that hyper skips, since the last call.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    /// Replaces what cannot stand in a head, and moves the octets that are left to the front; their
    /// number is returned. A CR at the end of `octets` is left alone, as LF may follow.
    pub(super) fn clean(&mut self, octets: &mut [u8]) -> usize {
        let (mut at, mut left) = (0, 0);
        // Where a line of the head begins that has come in this part.
        let mut line = None;
        while !self.in_body {
            let (Some(&octet), next) = (octets.get(at), octets.get(at + 1).copied()) else {
                return left;
            };
            // The beginning of a body could look the same octet by octet, but hardly as a whole.
            let begins = self.len == 0
                && (octets.get(at..at + BEGINNING.len()))
                    .is_some_and(|octets| octets.eq_ignore_ascii_case(BEGINNING));
            if begins && let Some(octets) = octets.get_mut(at..at + BEGINNING.len()) {
                octets.make_ascii_uppercase();
            }
            let octet = if begins {
                octet.to_ascii_uppercase()
            } else {
                octet
            };
            if let Some(octet) = self.clean_octet(octet, next) {
                if let Some(place) = octets.get_mut(left) {
                    *place = octet;
                }
                left += 1;
                if octet == b'\n' {
                    let whole = line.and_then(|line| octets.get(line..left));
                    if whole.is_some_and(names_identity) {
                        left = line.unwrap_or(left);
                    }
                    line = Some(left);
                }
            }
            at += 1;
        }
        if left < at {
            octets.copy_within(at.., left);
        }
        octets.len() - (at - left)
    }

    /// What becomes of one octet.
    fn clean_octet(&mut self, octet: u8, next: Option<u8>) -> Option<u8> {
        let is_space = matches!(octet, b' ' | b'\t');
        match (self.len, BEGINNING.get(self.len)) {
            (_, Some(expected)) if octet == *expected => {
                self.len += 1;
                self.line = Line::Other;
                return Some(octet);
            }
            // Empty lines may come before a head (RFC 9112 2.2).
            (0, _) if matches!(octet, b'\r' | b'\n') => return Some(octet),
            (_, Some(_)) => {
                self.in_body = true;
                return Some(octet);
            }
            (MINOR, None) => {
                self.len += 1;
                return Some(if (b'2'..=b'9').contains(&octet) {
                    b'1'
                } else {
                    octet
                });
            }
            (SPACE, None) if is_space => {
                self.len += 1;
                return Some(b' ');
            }
            (DIGIT, None) if is_space => return None,
            _ => {}
        }
        let is_bare = octet == b'\r' && next.is_some_and(|next| next != b'\n');
        let octet = if octet == 0 || is_bare { b' ' } else { octet };
        if self.len <= DIGIT {
            self.is_interim = self.len == DIGIT && octet == b'1';
            self.len += 1;
        }
        if octet != b'\n' {
            self.line = self.line.after(octet);
            return Some(octet);
        }
        // An empty line ends the head.
        if self.line == Line::Empty {
            let is_interim = self.is_interim;
            self.begin();
            self.in_body = !is_interim;
        }
        self.skipped += u64::from(self.line.is_skipped());
        self.line = Line::Empty;
        Some(octet)
    }
}

/// Whether an octet may stand in the name of a field (RFC 9110 5.6.2).
fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// Whether a line names the transfer coding that changes nothing.
fn names_identity(line: &[u8]) -> bool {
    let mut parts = line.splitn(2, |octet| *octet == b':');
    let mut is = |expected: &[u8]| {
        let part = parts.next().map(<[u8]>::trim_ascii);
        part.is_some_and(|part| part.eq_ignore_ascii_case(expected))
    };
    is(b"transfer-encoding") && is(b"identity")
}

/// How a head begins.
const BEGINNING: &[u8; 7] = b"HTTP/1.";
/// The place of the minor version.
const MINOR: usize = BEGINNING.len();
/// The place of the space after the version.
const SPACE: usize = MINOR + 1;
/// The place of the first digit of the status, which is 1 in interim replies.
const DIGIT: usize = SPACE + 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` in parts of so many octets, and the lines that are skipped.
    fn cleaned(text: &[u8], part: usize) -> (Vec<u8>, u64) {
        let mut heads = Heads::default();
        let mut all = Vec::new();
        for part in text.chunks(part) {
            let mut part = part.to_vec();
            let left = heads.clean(&mut part);
            all.extend(&part[..left]);
        }
        (all, heads.take_skipped())
    }

    #[test]
    fn what_cannot_stand_in_a_head_becomes_a_space_and_bodies_are_left_alone() {
        for (text, expected) in [
            (
                &b"HTTP/1.1 200 OK\r\nA: b\0c\rd\r\n\r\na\0b\rc"[..],
                &b"HTTP/1.1 200 OK\r\nA: b c d\r\n\r\na\0b\rc"[..],
            ),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nA: \0\n\n\0",
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nA:  \n\n\0",
            ),
            (
                b"\r\nHTTP/1.1 200 OK\r\nA: \0\r\n\r\n\r\n\0",
                b"\r\nHTTP/1.1 200 OK\r\nA:  \r\n\r\n\r\n\0",
            ),
            // The rest of a body, whose origin has begun to answer before it had the whole request.
            (b"\0a\rb\r\n\r\n\0", b"\0a\rb\r\n\r\n\0"),
            (
                b"\r\n\0HTTP/1.1 200 OK\r\n\0",
                b"\r\n\0HTTP/1.1 200 OK\r\n\0",
            ),
            (b"http/2 is new", b"http/2 is new"),
        ] {
            assert_eq!(cleaned(text, text.len()).0, expected);
            // A CR that ends a part is left for hyper to judge.
            let byte_by_byte = cleaned(text, 1).0;
            let differ = byte_by_byte.iter().zip(expected).filter(|(a, b)| a != b);
            assert!(differ.into_iter().all(|(a, b)| (*a, *b) == (b'\r', b' ')));
        }
    }

    #[test]
    fn a_status_line_gets_its_usual_form() {
        for line in [
            "HTTP/1.1 \t  200 OK",
            "HTTP/1.1\t200 OK",
            "HTTP/1.9 200 OK",
            "http/1.1 200 OK",
            "hTTp/1.3  200 OK",
        ] {
            let text = format!("{line}\r\nA : \0\r\n\r\nHTTP/1.7  \0");
            let expected = "HTTP/1.1 200 OK\r\nA :  \r\n\r\nHTTP/1.7  \0";
            let (all, skipped) = cleaned(text.as_bytes(), text.len());
            assert_eq!((&*String::from_utf8(all).unwrap(), skipped), (expected, 0));
        }
        for (kept, part) in [
            ("HTTP/1.0 200 OK\r\n\r\n", 99),
            ("HTTP/1.1 20 OK\r\n\r\n", 99),
            ("HTTP/1.1 200\r\n\r\n", 1),
            ("HTTP/2.0 200 OK\r\n\r\n", 99),
        ] {
            assert_eq!(cleaned(kept.as_bytes(), part).0, kept.as_bytes());
        }
        let interim = b"HTTP/1.1  103 Hints\r\n\r\nHTTP/1.1  200 OK\r\n\r\n";
        for part in [1, 2, 3, 99] {
            let expected = b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
            assert_eq!(cleaned(interim, part).0, expected);
        }
    }

    #[test]
    fn the_transfer_coding_that_changes_nothing_is_left_out() {
        for line in [
            "Transfer-Encoding: identity\r\n",
            "transfer-encoding :IDENTITY \n",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{line}A: b\r\n\r\n{line}");
            let expected = format!("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{line}");
            assert_eq!(cleaned(text.as_bytes(), 999).0, expected.as_bytes());
        }
        let kept = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: identity\r\n\r\n";
        assert_eq!(cleaned(kept, 999).0, kept);
    }

    #[test]
    fn lines_that_are_no_fields_are_counted() {
        for (line, skipped) in [
            ("A: b", 0),
            ("A : b", 0),
            ("A:", 0),
            ("A: b\r\n c", 0),
            ("A: \u{e4}\t", 0),
            ("A B: c", 1),
            ("no colon", 1),
            (": c", 1),
            ("A: \x01", 1),
            ("\u{e4}: c", 1),
            ("one\r\ntwo\r\nA: b", 2),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{line}\r\nB: c\r\n\r\nbody\r\nbody");
            for part in [1, 1000] {
                let (all, counted) = cleaned(text.as_bytes(), part);
                assert_eq!((all.len(), counted), (text.len(), skipped), "{line:?}");
            }
        }
    }
}
