//! The record of a session, with which another shard or process can continue it: in memory and as
//! octets.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::codec::{
    DecodeError, Parsed, fail, located, octets, put_uintvar, uint8, uint16, uintvar, uintvar_of,
};
use crate::wdp::{Address, Peer};
use crate::wsp::capability::{Capabilities, ExtendedMethod, ProtocolOptions};
use crate::wsp::header::{CodePage, EncodingVersion, Page};
use crate::wsp::id_key::Subscriber;

/// A session without its outstanding transactions, which are aborted when a session moves (WSP
/// 7.1.6.4, Resume).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The id its client knows.
    pub id: u32,
    /// The conversation it was last bound to.
    pub peer: Peer,
    /// Whether it sleeps until it is resumed.
    pub suspended: bool,
    /// The agreed capabilities.
    pub agreed: Capabilities,
    /// The newest header encoding that the client named.
    pub encoding: Option<EncodingVersion>,
    /// The client's session headers, as it encoded them.
    pub headers: Bytes,
    /// The subscriber that had the session, if that is known.
    pub subscriber: Option<Subscriber>,
}

impl SessionRecord {
    /// Whether its client may resume it, from wherever it is.
    #[must_use]
    pub const fn may_resume(&self) -> bool {
        self.agreed.options.has(ProtocolOptions::SESSION_RESUME)
    }

    /// Appends the record as octets.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.id.to_be_bytes());
        for address in [self.peer.remote, self.peer.local] {
            encode_address(address, out);
        }
        let agreed = &self.agreed;
        let mut flags = 0;
        if self.suspended {
            flags |= SUSPENDED;
        }
        if agreed.server_mru().is_some() {
            flags |= SERVER_SDU_NAMED;
        }
        if self.subscriber.is_some() {
            flags |= SUBSCRIBER_KNOWN;
        }
        out.extend([
            flags,
            self.encoding.map_or(0, EncodingVersion::octet),
            agreed.options.0,
            agreed.method_mor,
            agreed.push_mor,
        ]);
        for size in [
            agreed.client_sdu,
            agreed.server_sdu,
            agreed.client_message,
            agreed.server_message,
        ] {
            put_uintvar(out, size);
        }
        put_uintvar(out, uintvar_of(agreed.extended_methods().len()));
        for method in agreed.extended_methods() {
            out.push(method.code);
            put_octets(out, method.name.as_bytes());
        }
        put_uintvar(out, uintvar_of(agreed.code_pages().len()));
        for page in agreed.code_pages() {
            out.push(page.code);
            put_octets(out, page.page.name.as_bytes());
        }
        put_octets(out, agreed.aliases());
        put_octets(out, &self.headers);
        // The subscriber comes last: a version that does not know the flag ignores octets behind
        // the headers.
        out.extend(self.subscriber.into_iter().flat_map(Subscriber::octets));
    }

    /// Decodes the octets of [`encode`](Self::encode).
    ///
    /// # Errors
    /// Octets that are no record, or a record of a later format.
    pub fn decode(input: &[u8]) -> Result<Self, DecodeError> {
        let (_, record) = located(input, record)?;
        Ok(record)
    }
}

fn record(input: &[u8]) -> Parsed<'_, SessionRecord> {
    let (rest, format) = uint8(input)?;
    if format != FORMAT {
        return Err(fail(input, "a session record of this version"));
    }
    let (rest, id) = octets(4)(rest)?;
    let (rest, remote) = address(rest)?;
    let (rest, local) = address(rest)?;
    let (rest, flags) = uint8(rest)?;
    let (rest, encoding) = uint8(rest)?;
    let (rest, options) = uint8(rest)?;
    let (rest, method_mor) = uint8(rest)?;
    let (rest, push_mor) = uint8(rest)?;
    let (rest, client_sdu) = uintvar(rest)?;
    let (rest, server_sdu) = uintvar(rest)?;
    let (rest, client_message) = uintvar(rest)?;
    let (rest, server_message) = uintvar(rest)?;
    let (rest, methods) = list(rest)?;
    let (rest, pages) = list(rest)?;
    let (rest, aliases) = counted(rest)?;
    let (mut rest, headers) = counted(rest)?;
    let mut subscriber = None;
    if flags & SUBSCRIBER_KNOWN != 0 {
        let (after, digest) = octets(4)(rest)?;
        let digest = digest.try_into().map_err(|_| fail(rest, "four octets"))?;
        subscriber = Subscriber::from_octets(digest);
        rest = after;
    }
    let mut agreed = Capabilities::default();
    agreed.client_sdu = client_sdu;
    agreed.server_sdu = server_sdu;
    agreed.client_message = client_message;
    agreed.server_message = server_message;
    agreed.options = ProtocolOptions(options);
    agreed.method_mor = method_mor;
    agreed.push_mor = push_mor;
    if flags & SERVER_SDU_NAMED != 0 {
        agreed = agreed.with_server_sdu(server_sdu);
    }
    let methods: Vec<_> = methods
        .into_iter()
        .map(|(code, name)| ExtendedMethod {
            code,
            name: String::from_utf8_lossy(name).into(),
        })
        .collect();
    if !methods.is_empty() {
        agreed = agreed.with_extended_methods(methods);
    }
    // A page that this version does not know any more is one that was not agreed.
    let pages: Vec<_> = pages
        .into_iter()
        .filter_map(|(code, name)| {
            Some(CodePage {
                code,
                page: Page::find(name)?,
            })
        })
        .collect();
    if !pages.is_empty() {
        agreed = agreed.with_code_pages(pages);
    }
    if !aliases.is_empty() {
        agreed = agreed.with_aliases(aliases);
    }
    let record = SessionRecord {
        id: id.iter().fold(0, |id, octet| (id << 8) | u32::from(*octet)),
        peer: Peer { remote, local },
        suspended: flags & SUSPENDED != 0,
        agreed,
        encoding: (encoding != 0).then(|| EncodingVersion::from_octet(encoding)),
        headers: Bytes::copy_from_slice(headers),
        subscriber,
    };
    Ok((rest, record))
}

/// An address as 18 octets: the IPv6 or IPv4-mapped address and the port.
pub fn encode_address(address: Address, out: &mut Vec<u8>) {
    let ip = match address.ip() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        std::net::IpAddr::V6(v6) => v6,
    };
    out.extend_from_slice(&ip.octets());
    out.extend_from_slice(&address.port().to_be_bytes());
}

fn address(input: &[u8]) -> Parsed<'_, Address> {
    let (rest, ip) = octets(16)(input)?;
    let (rest, port) = uint16(rest)?;
    let ip: [u8; 16] = ip.try_into().map_err(|_| fail(input, "an address"))?;
    Ok((rest, SocketAddr::from((ip, port)).into()))
}

/// Items of an octet and a counted string each.
fn list(input: &[u8]) -> Parsed<'_, Vec<(u8, &[u8])>> {
    let (mut rest, count) = uintvar(input)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let (after, code) = uint8(rest)?;
        let (after, name) = counted(after)?;
        items.push((code, name));
        rest = after;
    }
    Ok((rest, items))
}

fn counted(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = uintvar(input)?;
    octets(len as usize)(rest)
}

fn put_octets(out: &mut Vec<u8>, octets: &[u8]) {
    put_uintvar(out, uintvar_of(octets.len()));
    out.extend_from_slice(octets);
}

/// The first octet of every record.
const FORMAT: u8 = 1;
const SUSPENDED: u8 = 0x01;
const SERVER_SDU_NAMED: u8 = 0x02;
const SUBSCRIBER_KNOWN: u8 = 0x04;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wsp::header::X_UP_1;

    fn records() -> impl Strategy<Value = SessionRecord> {
        let sizes = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
        let rest = (
            any::<u8>(),
            any::<u8>(),
            any::<bool>(),
            any::<bool>(),
            proptest::collection::vec(any::<u8>(), 0..300),
            proptest::collection::vec(("[A-Z]{1,12}", 0x50u8..0x80), 0..4),
            any::<(u32, [u8; 4], u16)>(),
        );
        (sizes, rest).prop_map(
            |(sizes, (options, mor, named, pages, headers, methods, at))| {
                let mut agreed = Capabilities::default();
                agreed.client_sdu = sizes.0;
                agreed.server_sdu = sizes.1.max(1);
                agreed.client_message = sizes.2;
                agreed.server_message = sizes.3;
                agreed.options = ProtocolOptions(options);
                agreed.method_mor = mor;
                agreed.push_mor = mor;
                if named {
                    agreed = agreed.with_server_sdu(sizes.1.max(1));
                }
                if !methods.is_empty() {
                    let method = |(name, code): (String, u8)| ExtendedMethod {
                        code,
                        name: name.into(),
                    };
                    agreed =
                        agreed.with_extended_methods(methods.into_iter().map(method).collect());
                }
                if pages {
                    agreed = agreed.with_code_pages(vec![CodePage {
                        code: 2,
                        page: &X_UP_1,
                    }]);
                    agreed = agreed.with_aliases(&headers);
                }
                let remote = SocketAddr::from((at.1, at.2));
                SessionRecord {
                    id: at.0,
                    peer: Peer::new(remote, "[2001:db8::1]:9201".parse().unwrap()),
                    suspended: named,
                    agreed,
                    encoding: pages.then_some(EncodingVersion::V1_3),
                    headers: headers.into(),
                    subscriber: Subscriber::from_octets(at.1),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_survives_as_octets(record in records()) {
            let mut octets = Vec::new();
            record.encode(&mut octets);
            prop_assert_eq!(SessionRecord::decode(&octets), Ok(record));
            for len in 0..octets.len() {
                prop_assert!(SessionRecord::decode(&octets[..len]).is_err());
            }
        }

        #[test]
        fn any_octets_are_a_record_or_an_error(octets: Vec<u8>) {
            let _ = SessionRecord::decode(&octets);
        }
    }
}
