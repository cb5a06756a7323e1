//! Protocol data units: one WTP message or one connectionless datagram (WSP 8.2).
//!
//! Decoding only splits a PDU. Capability and header blocks remain octets, which
//! [`super::capability`] and [`super::header`] decode on demand. The TID octet of connectionless
//! mode is not part of a [`Pdu`]; the caller removes and adds it.

pub use super::address::{BearerAddress, addresses};
use nom::Parser;
use nom::combinator::{rest, verify};

use crate::codec::{
    DecodeError, Parsed, assigned_numbers, fail, located, octets, put_uintvar, uint8, uintvar,
    uintvar_of,
};

/// The version of the protocol, 1.0, as Connect carries it (WSP 8.2.2.1).
pub const VERSION: u8 = 0x10;

/// One protocol data unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pdu<'a> {
    /// A client asks for a session.
    Connect(Connect<'a>),
    /// The server grants it.
    ConnectReply(ConnectReply<'a>),
    /// The server sends the client elsewhere.
    Redirect(Redirect<'a>),
    /// The answer to a method, to a refused Connect, or to a Resume.
    Reply(Reply<'a>),
    /// Either side ends the session.
    Disconnect {
        /// The id the server gave in its ConnectReply.
        session_id: u32,
    },
    /// The client puts the session to sleep.
    Suspend {
        /// The id the server gave in its ConnectReply.
        session_id: u32,
    },
    /// The client wakes it, perhaps from a new address.
    Resume(Resume<'a>),
    /// Unsolicited content, not confirmed.
    Push(Push<'a>),
    /// Unsolicited content that the client confirms.
    ConfirmedPush(Push<'a>),
    /// A method without a body.
    Get(Get<'a>),
    /// A method with a body.
    Post(Post<'a>),
    /// The last part of a long message, with the fields that follow it.
    DataFragment(DataFragment<'a>),
}

/// Asks for a session (WSP 8.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Major version in the high nibble; [`VERSION`] is the only one there is.
    pub version: u8,
    /// The capabilities the client asks for.
    pub capabilities: &'a [u8],
    /// Fields that hold for the whole session.
    pub headers: &'a [u8],
}

/// Grants a session (WSP 8.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectReply<'a> {
    /// Names the session from now on.
    pub session_id: u32,
    /// The capabilities as agreed.
    pub capabilities: &'a [u8],
    /// Fields that hold for the whole session.
    pub headers: &'a [u8],
}

/// Sends a client to other addresses (WSP 8.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'a> {
    /// [`Redirect::PERMANENT`] and [`Redirect::REUSE_SECURITY`]; a receiver ignores the others.
    pub flags: u8,
    /// The addresses; see [`addresses`].
    pub addresses: &'a [u8],
}

impl Redirect<'_> {
    /// The client should remember the new addresses.
    pub const PERMANENT: u8 = 0x80;
    /// The client may take its security session along.
    pub const REUSE_SECURITY: u8 = 0x40;
}

/// Answers a method (WSP 8.2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// See [`super::status`].
    pub status: u8,
    /// The content type first, then fields. Some servers leave it empty; we never do.
    pub headers: &'a [u8],
    /// The body.
    pub data: &'a [u8],
}

/// Wakes a session (WSP 8.2.5.2). The capabilities reserved in it are skipped, and sent empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume<'a> {
    /// The session to wake.
    pub session_id: u32,
    /// Fields that replace the session's fields of the same name.
    pub headers: &'a [u8],
}

/// Content the client did not ask for (WSP 8.2.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push<'a> {
    /// The content type first, then fields.
    pub headers: &'a [u8],
    /// The body.
    pub data: &'a [u8],
}

/// A method without a body (WSP 8.2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// GET and its kin, 0x40 to 0x5F.
    pub method: Method,
    /// The request URI, without the NUL that some handsets append.
    pub uri: &'a [u8],
    /// The request's fields.
    pub headers: &'a [u8],
}

/// A method with a body (WSP 8.2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post<'a> {
    /// POST and its kin, 0x60 to 0x7F.
    pub method: Method,
    /// The request URI, without the NUL that some handsets append.
    pub uri: &'a [u8],
    /// The content type first, then fields.
    pub headers: &'a [u8],
    /// The body, to the octet.
    pub data: &'a [u8],
}

/// The end of a long message when fields follow its body (WSP 8.2.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFragment<'a> {
    /// The trailing fields; no content type.
    pub headers: &'a [u8],
    /// The rest of the body.
    pub data: &'a [u8],
}

assigned_numbers! {
    /// A method, by the type of its PDU (WSP table 34).
    ///
    /// The session's extended methods define 0x50-0x5F and 0x70-0x7F.
    pub struct Method(u8) {
        /// GET.
        GET = 0x40 => "GET",
        /// OPTIONS.
        OPTIONS = 0x41 => "OPTIONS",
        /// HEAD.
        HEAD = 0x42 => "HEAD",
        /// DELETE.
        DELETE = 0x43 => "DELETE",
        /// TRACE.
        TRACE = 0x44 => "TRACE",
        /// POST.
        POST = 0x60 => "POST",
        /// PUT.
        PUT = 0x61 => "PUT",
    }
}

impl Method {
    /// Whether its meaning is negotiated per session.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        matches!(self.0, 0x50..=0x5F | 0x70..=0x7F)
    }

    /// Whether its PDU has a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        self.0 >= 0x60
    }
}

assigned_numbers! {
    /// The first octet of a PDU (WSP table 34).
    pub struct Type(u8) {
        /// Connect.
        CONNECT = 0x01 => "Connect",
        /// ConnectReply.
        CONNECT_REPLY = 0x02 => "ConnectReply",
        /// Redirect.
        REDIRECT = 0x03 => "Redirect",
        /// Reply.
        REPLY = 0x04 => "Reply",
        /// Disconnect.
        DISCONNECT = 0x05 => "Disconnect",
        /// Push.
        PUSH = 0x06 => "Push",
        /// ConfirmedPush.
        CONFIRMED_PUSH = 0x07 => "ConfirmedPush",
        /// Suspend.
        SUSPEND = 0x08 => "Suspend",
        /// Resume.
        RESUME = 0x09 => "Resume",
        /// Data Fragment.
        DATA_FRAGMENT = 0x80 => "DataFragment",
    }
}

assigned_numbers! {
    /// Why a session or a method was aborted; travels in WTP's Abort as a user reason (WSP table
    /// 35).
    pub struct AbortReason(u8) {
        /// The rules of the protocol were broken.
        PROTOERR = 0xE0 => "PROTOERR",
        /// There is no such session.
        DISCONNECT = 0xE1 => "DISCONNECT",
        /// The session sleeps.
        SUSPEND = 0xE2 => "SUSPEND",
        /// The session was woken elsewhere.
        RESUME = 0xE3 => "RESUME",
        /// The peer cannot process it now.
        CONGESTION = 0xE4 => "CONGESTION",
        /// The session could not be made.
        CONNECTERR = 0xE5 => "CONNECTERR",
        /// The message is larger than agreed.
        MRUEXCEEDED = 0xE6 => "MRUEXCEEDED",
        /// More requests are outstanding than agreed.
        MOREXCEEDED = 0xE7 => "MOREXCEEDED",
        /// The peer asked for it.
        PEERREQ = 0xE8 => "PEERREQ",
        /// The network failed.
        NETERR = 0xE9 => "NETERR",
        /// The user asked for it; a push may be tried again.
        USERREQ = 0xEA => "USERREQ",
        /// Push refused; do not try again.
        USERRFS = 0xEB => "USERRFS",
        /// Push cannot be delivered to its application.
        USERPND = 0xEC => "USERPND",
        /// Push discarded for want of resources.
        USERDCR = 0xED => "USERDCR",
        /// Push's content type cannot be processed.
        USERDCU = 0xEE => "USERDCU",
    }
}

impl<'a> Pdu<'a> {
    /// Decodes one SDU.
    ///
    /// # Errors
    ///
    /// An unassigned type, or a length beyond the SDU's end. The contents of blocks are not
    /// checked.
    pub fn decode(sdu: &'a [u8]) -> Result<Self, DecodeError> {
        located(sdu, pdu).map(|(_, pdu)| pdu)
    }

    /// Appends the SDU.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Connect(connect) => {
                out.extend([Type::CONNECT.0, connect.version]);
                put_lengths(out, connect.capabilities, connect.headers);
            }
            Self::ConnectReply(reply) => {
                out.push(Type::CONNECT_REPLY.0);
                put_uintvar(out, reply.session_id);
                put_lengths(out, reply.capabilities, reply.headers);
            }
            Self::Redirect(redirect) => {
                out.extend([Type::REDIRECT.0, redirect.flags]);
                out.extend_from_slice(redirect.addresses);
            }
            Self::Reply(reply) => {
                out.extend([Type::REPLY.0, reply.status]);
                put_with_length(out, reply.headers);
                out.extend_from_slice(reply.data);
            }
            Self::Disconnect { session_id } => put_session(out, Type::DISCONNECT, session_id),
            Self::Suspend { session_id } => put_session(out, Type::SUSPEND, session_id),
            Self::Resume(resume) => {
                put_session(out, Type::RESUME, resume.session_id);
                put_uintvar(out, 0);
                out.extend_from_slice(resume.headers);
            }
            Self::Push(push) => put_push(out, Type::PUSH, &push),
            Self::ConfirmedPush(push) => put_push(out, Type::CONFIRMED_PUSH, &push),
            Self::Get(get) => {
                out.push(get.method.0);
                put_with_length(out, get.uri);
                out.extend_from_slice(get.headers);
            }
            Self::Post(post) => {
                out.push(post.method.0);
                put_lengths(out, post.uri, post.headers);
                out.extend_from_slice(post.data);
            }
            Self::DataFragment(fragment) => {
                out.push(Type::DATA_FRAGMENT.0);
                put_with_length(out, fragment.headers);
                out.extend_from_slice(fragment.data);
            }
        }
    }
}

fn pdu(sdu: &[u8]) -> Parsed<'_, Pdu<'_>> {
    let (input, kind) = uint8(sdu)?;
    match Type(kind) {
        Type::CONNECT => connect.map(Pdu::Connect).parse(input),
        Type::CONNECT_REPLY => connect_reply.map(Pdu::ConnectReply).parse(input),
        Type::REDIRECT => redirect.map(Pdu::Redirect).parse(input),
        Type::REPLY => reply.map(Pdu::Reply).parse(input),
        Type::DISCONNECT => uintvar
            .map(|session_id| Pdu::Disconnect { session_id })
            .parse(input),
        Type::SUSPEND => uintvar
            .map(|session_id| Pdu::Suspend { session_id })
            .parse(input),
        Type::RESUME => resume.map(Pdu::Resume).parse(input),
        Type::PUSH => push.map(Pdu::Push).parse(input),
        Type::CONFIRMED_PUSH => push.map(Pdu::ConfirmedPush).parse(input),
        Type(0x40..=0x5F) => get(Method(kind)).map(Pdu::Get).parse(input),
        Type(0x60..=0x7F) => post(Method(kind)).map(Pdu::Post).parse(input),
        Type::DATA_FRAGMENT => data_fragment.map(Pdu::DataFragment).parse(input),
        _ => Err(fail(sdu, "an assigned PDU type")),
    }
}

fn connect(input: &[u8]) -> Parsed<'_, Connect<'_>> {
    // Only 1.0 was ever made. A client with another minor version is answered as 1.0.
    let (input, version) = verify(uint8, |version| version >> 4 == VERSION >> 4)
        .parse(input)
        .map_err(|_: nom::Err<_>| fail(input, "version 1.x of WSP"))?;
    let (input, (capabilities, headers)) = two_blocks(input)?;
    let connect = Connect {
        version,
        capabilities,
        headers,
    };
    Ok((input, connect))
}

fn connect_reply(input: &[u8]) -> Parsed<'_, ConnectReply<'_>> {
    let (input, session_id) = uintvar(input)?;
    let (input, (capabilities, headers)) = two_blocks(input)?;
    let reply = ConnectReply {
        session_id,
        capabilities,
        headers,
    };
    Ok((input, reply))
}

fn redirect(input: &[u8]) -> Parsed<'_, Redirect<'_>> {
    (uint8, rest)
        .map(|(flags, addresses)| Redirect { flags, addresses })
        .parse(input)
}

fn reply(input: &[u8]) -> Parsed<'_, Reply<'_>> {
    (uint8, block, rest)
        .map(|(status, headers, data)| Reply {
            status,
            headers,
            data,
        })
        .parse(input)
}

fn resume(input: &[u8]) -> Parsed<'_, Resume<'_>> {
    (uintvar, block, rest)
        .map(|(session_id, _reserved, headers)| Resume {
            session_id,
            headers,
        })
        .parse(input)
}

fn push(input: &[u8]) -> Parsed<'_, Push<'_>> {
    (block, rest)
        .map(|(headers, data)| Push { headers, data })
        .parse(input)
}

fn get<'a>(method: Method) -> impl Parser<&'a [u8], Output = Get<'a>, Error = Failure<'a>> {
    (block, rest).map(move |(uri, headers)| Get {
        method,
        uri: without_nul(uri),
        headers,
    })
}

fn post<'a>(method: Method) -> impl Parser<&'a [u8], Output = Post<'a>, Error = Failure<'a>> {
    (two_blocks, rest).map(move |((uri, headers), data)| Post {
        method,
        uri: without_nul(uri),
        headers,
        data,
    })
}

fn data_fragment(input: &[u8]) -> Parsed<'_, DataFragment<'_>> {
    (block, rest)
        .map(|(headers, data)| DataFragment { headers, data })
        .parse(input)
}

type Failure<'a> = crate::codec::Malformed<'a>;

/// A length and as many octets.
fn block(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, len) = uintvar(input)?;
    octets(usize::try_from(len).unwrap_or(usize::MAX))(input)
}

/// Two lengths, then as many octets for each.
fn two_blocks(input: &[u8]) -> Parsed<'_, (&[u8], &[u8])> {
    let (input, (first, second)) = (uintvar, uintvar).parse(input)?;
    let len = |len| usize::try_from(len).unwrap_or(usize::MAX);
    (octets(len(first)), octets(len(second))).parse(input)
}

/// Some handsets send the NUL of a C string at the end of a URI, although WSP 8.2.3.1 forbids it. A
/// URI contains no NUL, so all of them at the end are removed.
fn without_nul(mut uri: &[u8]) -> &[u8] {
    while let Some(shorter) = uri.strip_suffix(b"\0") {
        uri = shorter;
    }
    uri
}

fn put_session(out: &mut Vec<u8>, kind: Type, session_id: u32) {
    out.push(kind.0);
    put_uintvar(out, session_id);
}

fn put_push(out: &mut Vec<u8>, kind: Type, push: &Push<'_>) {
    out.push(kind.0);
    put_with_length(out, push.headers);
    out.extend_from_slice(push.data);
}

fn put_with_length(out: &mut Vec<u8>, block: &[u8]) {
    put_uintvar(out, uintvar_of(block.len()));
    out.extend_from_slice(block);
}

fn put_lengths(out: &mut Vec<u8>, first: &[u8], second: &[u8]) {
    put_uintvar(out, uintvar_of(first.len()));
    put_uintvar(out, uintvar_of(second.len()));
    out.extend_from_slice(first);
    out.extend_from_slice(second);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn encoded(pdu: Pdu<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        pdu.encode(&mut out);
        out
    }

    #[test]
    fn a_connect_splits_into_its_blocks() {
        // 8.2.2.1: version 1.0, three octets of capabilities, two of headers.
        let wire = b"\x01\x10\x03\x02\x02\x82\xF0\x80\x94";
        let connect = Pdu::Connect(Connect {
            version: VERSION,
            capabilities: b"\x02\x82\xF0",
            headers: b"\x80\x94",
        });
        assert_eq!(Pdu::decode(wire), Ok(connect));
        assert_eq!(encoded(connect), wire);
    }

    #[test]
    fn a_get_has_headers_to_its_end() {
        // 8.2.3.1
        let wire = b"\x40\x09http://a/\x80\x94";
        let get = Pdu::Get(Get {
            method: Method::GET,
            uri: b"http://a/",
            headers: b"\x80\x94",
        });
        assert_eq!(Pdu::decode(wire), Ok(get));
        assert_eq!(encoded(get), wire);
    }

    #[test]
    fn a_nul_after_the_uri_is_forgiven_and_one_in_the_body_kept() {
        let Ok(Pdu::Post(post)) = Pdu::decode(b"\x60\x03\x01/a\0\xA9body\0") else {
            panic!("not a Post");
        };
        assert_eq!(post.uri, b"/a");
        assert_eq!(post.data, b"body\0");
    }

    #[test]
    fn a_reply_without_content_type_is_read() {
        let reply = Pdu::decode(b"\x04\x20\x00");
        assert_eq!(
            reply,
            Ok(Pdu::Reply(Reply {
                status: 0x20,
                headers: b"",
                data: b""
            }))
        );
    }

    #[test]
    fn a_resume_skips_the_reserved_capabilities() {
        let Ok(Pdu::Resume(resume)) = Pdu::decode(b"\x09\x81\x00\x02\x01\x83\x80\x94") else {
            panic!("not a Resume");
        };
        assert_eq!((resume.session_id, resume.headers), (128, &b"\x80\x94"[..]));
    }

    #[test]
    fn a_bad_pdu_says_where() {
        let error = |wire| Pdu::decode(wire).unwrap_err();
        assert_eq!(error(b"").offset, 0);
        assert_eq!(error(b"\x3F").expected, "an assigned PDU type");
        assert_eq!(error(b"\x01\x20\x00\x00").expected, "version 1.x of WSP");
        assert_eq!(error(b"\x60\x05\x00/a").offset, 3);
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding(
            kind in 0..12u8, id: u32, octet: u8,
            first in vec(any::<u8>(), 0..200), second in vec(1..=255u8, 0..200), data: Vec<u8>,
        ) {
            let pdu = match kind {
                0 => Pdu::Connect(Connect { version: 0x10 | octet & 0x0F, capabilities: &first, headers: &second }),
                1 => Pdu::ConnectReply(ConnectReply { session_id: id, capabilities: &first, headers: &second }),
                2 => Pdu::Redirect(Redirect { flags: octet, addresses: &data }),
                3 => Pdu::Reply(Reply { status: octet, headers: &first, data: &data }),
                4 => Pdu::Disconnect { session_id: id },
                5 => Pdu::Suspend { session_id: id },
                6 => Pdu::Resume(Resume { session_id: id, headers: &first }),
                7 => Pdu::Push(Push { headers: &first, data: &data }),
                8 => Pdu::ConfirmedPush(Push { headers: &first, data: &data }),
                9 => Pdu::Get(Get { method: Method(0x40 | octet & 0x1F), uri: &second, headers: &first }),
                10 => Pdu::Post(Post { method: Method(0x60 | octet & 0x1F), uri: &second, headers: &first, data: &data }),
                _ => Pdu::DataFragment(DataFragment { headers: &first, data: &data }),
            };
            let wire = encoded(pdu);
            prop_assert_eq!(Pdu::decode(&wire), Ok(pdu));
        }

        #[test]
        fn any_octets_are_read_or_refused_and_what_is_read_is_stable(wire: Vec<u8>) {
            if let Ok(pdu) = Pdu::decode(&wire) {
                let again = encoded(pdu);
                prop_assert_eq!(Pdu::decode(&again), Ok(pdu));
            }
        }
    }
}
