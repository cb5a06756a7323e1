//! The head of a request, checked before hyper reads the request (RFC 9112 2, 3, 5, 6).
//!
//! Every way in which two recipients could disagree about the end of a head or of a body is
//! refused here: request smuggling needs such a disagreement.

/// A head that hyper may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// Octets of the head, the empty line included.
    pub(super) len: usize,
    pub(super) body: BodyLength,
}

/// The framing of the body behind a head (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// So many octets; 0 for a request without a body.
    Octets(u64),
    /// The chunked coding.
    Chunked,
    /// The octets of a tunnel, to the end of the connection (CONNECT).
    Tunnel,
}

/// Why a head is refused: closed set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadRefusal {
    /// A line does not end with CR LF, or has CR, LF or NUL elsewhere.
    LineEnd,
    /// The request line is not a method, a target and a version with one space between.
    RequestLine,
    /// The version is neither 1.0 nor 1.1.
    Version,
    /// A field line is folded, has no colon, or its name is no token.
    FieldLine,
    /// `Host` is missing where it must be, comes twice, or is no authority.
    Host,
    /// Content-Length is no number, comes twice, or comes with Transfer-Encoding.
    Length,
    /// Transfer-Encoding is other than `chunked`, or comes with HTTP/1.0.
    TransferEncoding,
    /// A POST or PUT of HTTP/1.0 without Content-Length: its body has no end.
    LengthRequired,
    /// Expect asks for something other than `100-continue`.
    Expectation,
    /// The body is larger than a message may be.
    BodyTooLarge,
    /// The request line is longer than 8 KiB.
    TargetTooLong,
    /// The head has more than 16 KiB or 100 fields.
    HeadTooLarge,
}

impl HeadRefusal {
    /// The stable name used as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LineEnd => "line_end",
            Self::RequestLine => "request_line",
            Self::Version => "version",
            Self::FieldLine => "field_line",
            Self::Host => "host",
            Self::Length => "length",
            Self::TransferEncoding => "transfer_encoding",
            Self::LengthRequired => "length_required",
            Self::Expectation => "expectation",
            Self::BodyTooLarge => "body_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
        }
    }

    /// The status line's status and the text for the handset's user.
    pub(super) const fn status(self) -> (&'static str, &'static str) {
        match self {
            Self::Version => (
                "505 HTTP Version Not Supported",
                "The version must be HTTP/1.0 or HTTP/1.1.",
            ),
            Self::TransferEncoding => (
                "501 Not Implemented",
                "The transfer coding is not supported.",
            ),
            Self::LengthRequired => ("411 Length Required", "The request needs Content-Length."),
            Self::Expectation => (
                "417 Expectation Failed",
                "The expectation is not supported.",
            ),
            Self::BodyTooLarge => ("413 Content Too Large", "The message is too large."),
            Self::TargetTooLong => ("414 URI Too Long", "The address is too long."),
            Self::HeadTooLarge => (
                "431 Request Header Fields Too Large",
                "The header fields are too large.",
            ),
            Self::LineEnd | Self::RequestLine | Self::FieldLine | Self::Host | Self::Length => {
                ("400 Bad Request", "The gateway could not read the request.")
            }
        }
    }
}

/// Checks the head at the beginning of `octets`. `None`: more octets are needed.
///
/// # Errors
/// The first rule that the head breaks.
pub(super) fn check(octets: &[u8], max_body: u64) -> Result<Option<Checked>, HeadRefusal> {
    let mut rest = octets;
    // An empty line may come before a request line (RFC 9112 2.2).
    for _ in 0..MOST_EMPTY_LINES {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    let request_line = match line(&mut rest)? {
        Some(line) => line,
        None if rest.len() > MAX_REQUEST_LINE => return Err(HeadRefusal::TargetTooLong),
        None => return Ok(None),
    };
    let (method, is_10) = read_request_line(request_line)?;
    let mut fields = Fields::default();
    loop {
        let Some(line) = line(&mut rest)? else {
            return match octets.len() > MAX_HEAD {
                true => Err(HeadRefusal::HeadTooLarge),
                false => Ok(None),
            };
        };
        if line.is_empty() {
            break;
        }
        fields.read(line)?;
    }
    let len = octets.len() - rest.len();
    if len > MAX_HEAD || fields.count > MAX_FIELDS {
        return Err(HeadRefusal::HeadTooLarge);
    }
    let body = fields.body(method, is_10, max_body)?;
    Ok(Some(Checked { len, body }))
}

/// Takes one line, without its end. `None`: the line is not whole yet.
fn line<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, HeadRefusal> {
    let special = |octet: &u8| matches!(octet, b'\r' | b'\n' | 0);
    let Some(end) = rest.iter().position(special) else {
        return Ok(None);
    };
    let (line, after) = rest.split_at(end);
    match after {
        [b'\r', b'\n', after @ ..] => {
            *rest = after;
            Ok(Some(line))
        }
        [b'\r'] => Ok(None),
        _ => Err(HeadRefusal::LineEnd),
    }
}

/// The method, and whether the version is 1.0.
fn read_request_line(line: &[u8]) -> Result<(&[u8], bool), HeadRefusal> {
    if line.len() > MAX_REQUEST_LINE {
        return Err(HeadRefusal::TargetTooLong);
    }
    let mut parts = line.split(|octet| *octet == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadRefusal::RequestLine);
    };
    let is_plain = !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    if !is_token(method) || !is_plain {
        return Err(HeadRefusal::RequestLine);
    }
    match version {
        b"HTTP/1.1" => Ok((method, false)),
        b"HTTP/1.0" => Ok((method, true)),
        _ => Err(HeadRefusal::Version),
    }
}

/// The fields that frame a request.
#[derive(Default)]
struct Fields<'a> {
    count: usize,
    hosts: usize,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, line: &'a [u8]) -> Result<(), HeadRefusal> {
        self.count += 1;
        let colon = line.iter().position(|octet| *octet == b':');
        let (name, value) = line.split_at(colon.ok_or(HeadRefusal::FieldLine)?);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // A space before the colon, or a fold at the beginning of the line, is no token either.
        if !is_token(name) {
            return Err(HeadRefusal::FieldLine);
        }
        if value
            .iter()
            .any(|octet| octet.is_ascii_control() && *octet != b'\t')
        {
            return Err(HeadRefusal::FieldLine);
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("host") {
            self.hosts += 1;
            if !is_authority(value) {
                return Err(HeadRefusal::Host);
            }
        } else if is("content-length") {
            if self.length.replace(value).is_some() {
                return Err(HeadRefusal::Length);
            }
        } else if is("transfer-encoding") {
            if self.coding.replace(value).is_some() {
                return Err(HeadRefusal::TransferEncoding);
            }
        } else if is("expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadRefusal::Expectation);
        }
        Ok(())
    }

    fn body(&self, method: &[u8], is_10: bool, max: u64) -> Result<BodyLength, HeadRefusal> {
        if self.hosts > 1 || self.hosts == 0 && !is_10 {
            return Err(HeadRefusal::Host);
        }
        match (self.length, self.coding) {
            (Some(_), Some(_)) => Err(HeadRefusal::Length),
            // A body has no meaning there (RFC 9110 9.3.6), and a recipient could take its octets
            // for those of the tunnel.
            (Some(_), None) if method == b"CONNECT" => Err(HeadRefusal::Length),
            (None, Some(_)) if method == b"CONNECT" => Err(HeadRefusal::TransferEncoding),
            (None, None) if method == b"CONNECT" => Ok(BodyLength::Tunnel),
            (None, Some(coding)) if !is_10 && coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(BodyLength::Chunked)
            }
            (None, Some(_)) => Err(HeadRefusal::TransferEncoding),
            (None, None) if is_10 && matches!(method, b"POST" | b"PUT") => {
                Err(HeadRefusal::LengthRequired)
            }
            (None, None) => Ok(BodyLength::Octets(0)),
            (Some(length), None) => {
                if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                    return Err(HeadRefusal::Length);
                }
                let length = std::str::from_utf8(length).ok();
                let length = length.and_then(|length| length.parse().ok());
                let length = length.filter(|length| *length <= max);
                length
                    .map(BodyLength::Octets)
                    .ok_or(HeadRefusal::BodyTooLarge)
            }
        }
    }
}

/// A token of RFC 9110 5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_octet = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet);
    !text.is_empty() && text.iter().all(is_octet)
}

/// What `Host` may have: a name or an address, and a port. It may be empty.
fn is_authority(text: &[u8]) -> bool {
    let is_octet =
        |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(octet);
    text.iter().all(is_octet)
}

/// Octets of a head.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// Empty lines before a request line.
const MOST_EMPTY_LINES: usize = 4;
/// Octets of a request line.
const MAX_REQUEST_LINE: usize = 8 * 1024;
/// Fields of a head.
pub(super) const MAX_FIELDS: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(head: &str) -> Result<Option<BodyLength>, HeadRefusal> {
        check(head.as_bytes(), 1_000).map(|checked| {
            checked.map(|checked| {
                assert_eq!(checked.len, head.len());
                checked.body
            })
        })
    }

    #[test]
    fn heads_of_phones_are_read() {
        for (head, body) in [
            ("GET http://h/p HTTP/1.0\r\n\r\n", BodyLength::Octets(0)),
            (
                "\r\nGET /p HTTP/1.1\r\nHost: h:80\r\n\r\n",
                BodyLength::Octets(0),
            ),
            (
                "POST /p HTTP/1.1\r\nhost:h\r\nContent-Length: 12 \r\nX-Empty:\r\n\r\n",
                BodyLength::Octets(12),
            ),
            (
                "POST /p HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\nTransfer-Encoding: Chunked\r\n\r\n",
                BodyLength::Chunked,
            ),
            (
                "POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
                BodyLength::Octets(0),
            ),
        ] {
            assert_eq!(checked(head), Ok(Some(body)), "{head:?}");
        }
    }

    #[test]
    fn whatever_can_be_read_in_two_ways_is_refused() {
        use HeadRefusal::*;
        let with = |fields: &str| format!("POST http://h/ HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        for (head, refusal) in [
            ("GET / HTTP/1.1\nHost: h\n\n".to_owned(), LineEnd),
            ("GET / HTTP/1.1\r\nHost: h\n\r\n".to_owned(), LineEnd),
            (with("X: a\rb"), LineEnd),
            (with("X: a\0b"), LineEnd),
            ("GET  / HTTP/1.1\r\n\r\n".to_owned(), RequestLine),
            ("\r\n".repeat(MOST_EMPTY_LINES + 1), RequestLine),
            ("GET / x HTTP/1.1\r\n\r\n".to_owned(), RequestLine),
            ("GET /\u{e9} HTTP/1.1\r\n\r\n".to_owned(), RequestLine),
            ("G(T / HTTP/1.1\r\n\r\n".to_owned(), RequestLine),
            ("GET /\r\n".to_owned(), RequestLine),
            ("GET / http/1.1\r\n\r\n".to_owned(), Version),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), Version),
            (with("X : 1"), FieldLine),
            (with(" folded"), FieldLine),
            (with("X: 1\r\n\tfolded"), FieldLine),
            (with("no colon"), FieldLine),
            (with(": nameless"), FieldLine),
            (with("X: \u{1b}[31m"), FieldLine),
            (with("Host: h"), Host),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), Host),
            ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned(), Host),
            ("GET / HTTP/1.1\r\nHost: user@h\r\n\r\n".to_owned(), Host),
            (with("Content-Length: 1\r\nContent-Length: 1"), Length),
            (with("Content-Length: 1, 1"), Length),
            (with("Content-Length: +1"), Length),
            (with("Content-Length: 0x1"), Length),
            (with("Content-Length:"), Length),
            (
                with("Content-Length: 1\r\nTransfer-Encoding: chunked"),
                Length,
            ),
            (
                with("Transfer-Encoding: chunked\r\nContent-Length: 1"),
                Length,
            ),
            (with("Transfer-Encoding: gzip, chunked"), TransferEncoding),
            (
                with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
                TransferEncoding,
            ),
            (with("Transfer-Encoding: xchunked"), TransferEncoding),
            (with("Transfer-Encoding:\x0bchunked"), FieldLine),
            (
                "POST http://h/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                TransferEncoding,
            ),
            ("POST http://h/ HTTP/1.0\r\n\r\n".to_owned(), LengthRequired),
            (with("Expect: 200-maybe"), Expectation),
            (with("Content-Length: 1001"), BodyTooLarge),
            (
                with("Content-Length: 99999999999999999999999"),
                BodyTooLarge,
            ),
            (
                format!("GET /{} HTTP/1.1\r\n", "x".repeat(MAX_REQUEST_LINE)),
                TargetTooLong,
            ),
            ("x".repeat(MAX_REQUEST_LINE + 1), TargetTooLong),
            (with(&format!("X: {}", "x".repeat(MAX_HEAD))), HeadTooLarge),
            (with(&vec!["X: 1"; MAX_FIELDS].join("\r\n")), HeadTooLarge),
        ] {
            assert_eq!(checked(&head), Err(refusal), "{head:?}");
        }
    }

    proptest! {
        /// A head is refused or accepted as soon as enough of it is there, and never changes its
        /// mind; more octets behind it make no difference.
        #[test]
        fn a_beginning_never_contradicts_the_whole(
            head in "(GET|POST) [ -~]{0,8} HTTP/1\\.[01]\r\n((Host|Content-Length|X|Transfer-Encoding)( ?: ?)(1|h|chunked|a b)\r\n){0,3}\r\n?\n?",
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = check(head.as_bytes(), 1_000);
            let part = check(&head.as_bytes()[..cut.index(head.len() + 1)], 1_000);
            match part {
                Ok(None) => {}
                decided => prop_assert_eq!(decided, whole),
            }
            if let Ok(Some(checked)) = whole {
                let mut longer = head.into_bytes();
                longer.extend_from_slice(b"GET \0");
                prop_assert_eq!(check(&longer, 1_000), Ok(Some(checked)));
            }
        }

        #[test]
        fn any_octets_are_decided(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&octets, 1_000);
        }
    }
}
