//! Handshake messages (10.5). Decoders borrow, encoders append.

use crate::codec::{Parsed, fail, octets, uint8, uint16};

/// The protocol version of WAP-261.
pub(super) const VERSION: u8 = 1;

/// The type of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType(pub u8);

impl MessageType {
    /// The server asks for a handshake.
    pub const HELLO_REQUEST: Self = Self(0);
    /// The client begins one.
    pub const CLIENT_HELLO: Self = Self(1);
    /// The server chose.
    pub const SERVER_HELLO: Self = Self(2);
    /// Certificates of either side.
    pub const CERTIFICATE: Self = Self(11);
    /// The server's key, where no certificate has it.
    pub const SERVER_KEY_EXCHANGE: Self = Self(12);
    /// The server asks for the client's certificate.
    pub const CERTIFICATE_REQUEST: Self = Self(13);
    /// The server waits for the client.
    pub const SERVER_HELLO_DONE: Self = Self(14);
    /// The client's signature.
    pub const CERTIFICATE_VERIFY: Self = Self(15);
    /// The client's part of the key exchange.
    pub const CLIENT_KEY_EXCHANGE: Self = Self(16);
    /// The first message under the new cipher spec.
    pub const FINISHED: Self = Self(20);
}

/// A handshake message: its type, its body, and all its octets, which the handshake's hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The type.
    pub message_type: MessageType,
    /// What follows the length.
    pub body: &'a [u8],
    /// Everything.
    pub octets: &'a [u8],
}

/// The first handshake message of some octets.
pub fn message(input: &[u8]) -> Parsed<'_, Message<'_>> {
    let (rest, message_type) = uint8(input)?;
    let (rest, body) = vector16(rest)?;
    let (octets, _) = input
        .split_at_checked(input.len() - rest.len())
        .unwrap_or_default();
    let message_type = MessageType(message_type);
    Ok((
        rest,
        Message {
            message_type,
            body,
            octets,
        },
    ))
}

/// Appends a message; `body` appends what follows the length.
pub(super) fn put_message(
    out: &mut Vec<u8>,
    message_type: MessageType,
    body: impl FnOnce(&mut Vec<u8>),
) {
    out.push(message_type.0);
    put_vector16(out, body);
}

/// Who is identified, and how (10.5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifier<'a> {
    /// Nobody.
    Null,
    /// A name in a character set.
    Text(u16, &'a [u8]),
    /// Octets.
    Binary(&'a [u8]),
    /// The SHA-1 of a public key.
    KeyHash(&'a [u8]),
    /// The distinguished name of X.509.
    X509Name(&'a [u8]),
}

pub(super) fn identifier(input: &[u8]) -> Parsed<'_, Identifier<'_>> {
    let (rest, identifier_type) = uint8(input)?;
    match identifier_type {
        0 => Ok((rest, Identifier::Null)),
        1 => {
            let (rest, charset) = uint16(rest)?;
            let (rest, name) = vector8(rest)?;
            Ok((rest, Identifier::Text(charset, name)))
        }
        2 => vector8(rest).map(|(rest, id)| (rest, Identifier::Binary(id))),
        254 => octets(20)(rest).map(|(rest, hash)| (rest, Identifier::KeyHash(hash))),
        255 => vector8(rest).map(|(rest, name)| (rest, Identifier::X509Name(name))),
        _ => Err(fail(input, "an identifier type")),
    }
}

pub(super) fn put_identifier(out: &mut Vec<u8>, identifier: Identifier<'_>) {
    match identifier {
        Identifier::Null => out.push(0),
        Identifier::Text(charset, name) => {
            out.push(1);
            out.extend_from_slice(&charset.to_be_bytes());
            put_vector8(out, name);
        }
        Identifier::Binary(id) => {
            out.push(2);
            put_vector8(out, id);
        }
        Identifier::KeyHash(hash) => {
            out.push(254);
            out.extend_from_slice(hash);
        }
        Identifier::X509Name(name) => {
            out.push(255);
            put_vector8(out, name);
        }
    }
}

/// The parameters of a key exchange: 0 for none or those said elsewhere, an assigned number, or 255 with the
/// parameters themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// The index.
    pub index: u8,
    /// The parameters of index 255.
    pub explicit: &'a [u8],
}

impl Parameters<'_> {
    /// Those of an assigned number, or none.
    #[must_use]
    pub const fn index(index: u8) -> Self {
        Self {
            index,
            explicit: &[],
        }
    }
}

pub(super) fn parameters(input: &[u8]) -> Parsed<'_, Parameters<'_>> {
    let (rest, index) = uint8(input)?;
    match index {
        255 => vector16(rest).map(|(rest, explicit)| (rest, Parameters { index, explicit })),
        _ => Ok((rest, Parameters::index(index))),
    }
}

pub(super) fn put_parameters(out: &mut Vec<u8>, parameters: Parameters<'_>) {
    out.push(parameters.index);
    if parameters.index == 255 {
        put_vector16(out, |out| out.extend_from_slice(parameters.explicit));
    }
}

/// A key exchange suite with its parameters, and whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyExchangeId<'a> {
    /// The assigned number of the suite.
    pub suite: u8,
    /// Its parameters.
    pub parameters: Parameters<'a>,
    /// Whom it is for.
    pub identifier: Identifier<'a>,
}

fn key_exchange_id(input: &[u8]) -> Parsed<'_, KeyExchangeId<'_>> {
    let (rest, suite) = uint8(input)?;
    let (rest, parameters) = parameters(rest)?;
    let (rest, identifier) = identifier(rest)?;
    Ok((
        rest,
        KeyExchangeId {
            suite,
            parameters,
            identifier,
        },
    ))
}

fn key_exchange_ids(input: &[u8]) -> Parsed<'_, Vec<KeyExchangeId<'_>>> {
    let (rest, list) = vector16(input)?;
    Ok((rest, all(list, key_exchange_id)?))
}

pub(super) fn put_key_exchange_ids(out: &mut Vec<u8>, ids: &[KeyExchangeId<'_>]) {
    put_vector16(out, |out| {
        for id in ids {
            out.push(id.suite);
            put_parameters(out, id.parameters);
            put_identifier(out, id.identifier);
        }
    });
}

/// The client begins a handshake (10.5.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The highest version the client has.
    pub version: u8,
    /// Its time and random octets.
    pub random: [u8; 16],
    /// The session to resume, or nothing.
    pub session_id: &'a [u8],
    /// Key exchanges, the preferred one first.
    pub client_key_ids: Vec<KeyExchangeId<'a>>,
    /// Authorities the client trusts; none said means any.
    pub trusted_key_ids: Vec<KeyExchangeId<'a>>,
    /// Bulk ciphers with MACs, the preferred pair first.
    pub cipher_suites: Vec<(u8, u8)>,
    /// Compression methods; 0 is among them.
    pub compression_methods: &'a [u8],
    /// 0 off, 1 implicit, 2 explicit.
    pub sequence_number_mode: u8,
    /// Keys change at multiples of two to this power.
    pub key_refresh: u8,
}

/// The body of a ClientHello. Octets that a later version may append are left out.
pub fn client_hello(input: &[u8]) -> Parsed<'_, ClientHello<'_>> {
    let (rest, version) = uint8(input)?;
    let (rest, random) = random(rest)?;
    let (rest, session_id) = session_id(rest)?;
    let (rest, client_key_ids) = key_exchange_ids(rest)?;
    let (rest, trusted_key_ids) = key_exchange_ids(rest)?;
    let (rest, suites) = vector8(rest)?;
    let pairs = suites.as_chunks::<2>();
    if pairs.0.is_empty() || !pairs.1.is_empty() {
        return Err(fail(suites, "pairs of a cipher and a MAC"));
    }
    let (rest, compression_methods) = vector8(rest)?;
    let (rest, sequence_number_mode) = uint8(rest)?;
    let (rest, key_refresh) = uint8(rest)?;
    let hello = ClientHello {
        version,
        random,
        session_id,
        client_key_ids,
        trusted_key_ids,
        cipher_suites: pairs.0.iter().map(|&[bulk, mac]| (bulk, mac)).collect(),
        compression_methods,
        sequence_number_mode,
        key_refresh,
    };
    Ok((rest, hello))
}

impl ClientHello<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_message(out, MessageType::CLIENT_HELLO, |out| {
            out.push(self.version);
            out.extend_from_slice(&self.random);
            put_vector8(out, self.session_id);
            put_key_exchange_ids(out, &self.client_key_ids);
            put_key_exchange_ids(out, &self.trusted_key_ids);
            let suites: Vec<u8> = self
                .cipher_suites
                .iter()
                .flat_map(|&(bulk, mac)| [bulk, mac])
                .collect();
            put_vector8(out, &suites);
            put_vector8(out, self.compression_methods);
            out.extend_from_slice(&[self.sequence_number_mode, self.key_refresh]);
        });
    }
}

/// The server chose (10.5.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// The lower of both sides' highest versions.
    pub version: u8,
    /// Its time and random octets.
    pub random: [u8; 16],
    /// The session; nothing if it cannot be resumed.
    pub session_id: &'a [u8],
    /// Which of the client's key exchanges, from 1 on.
    pub client_key_id: u8,
    /// The bulk cipher and the MAC.
    pub cipher_suite: (u8, u8),
    /// The compression method.
    pub compression_method: u8,
    /// As in ClientHello.
    pub sequence_number_mode: u8,
    /// As in ClientHello, and not larger than there.
    pub key_refresh: u8,
}

/// The body of a ServerHello.
pub fn server_hello(input: &[u8]) -> Parsed<'_, ServerHello<'_>> {
    let (rest, version) = uint8(input)?;
    let (rest, random) = random(rest)?;
    let (rest, session_id) = session_id(rest)?;
    let (rest, fields) = octets(6)(rest)?;
    let &[
        client_key_id,
        bulk,
        mac,
        compression_method,
        sequence_number_mode,
        key_refresh,
    ] = fields
    else {
        return Err(fail(rest, "the six octets of a server's choice"));
    };
    let hello = ServerHello {
        version,
        random,
        session_id,
        client_key_id,
        cipher_suite: (bulk, mac),
        compression_method,
        sequence_number_mode,
        key_refresh,
    };
    Ok((rest, hello))
}

impl ServerHello<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_message(out, MessageType::SERVER_HELLO, |out| {
            out.push(self.version);
            out.extend_from_slice(&self.random);
            put_vector8(out, self.session_id);
            let (bulk, mac) = self.cipher_suite;
            out.extend_from_slice(&[
                self.client_key_id,
                bulk,
                mac,
                self.compression_method,
                self.sequence_number_mode,
                self.key_refresh,
            ]);
        });
    }
}

/// A public RSA key (10.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RsaPublicKey<'a> {
    /// The exponent, most significant octet first.
    pub exponent: &'a [u8],
    /// The modulus, likewise.
    pub modulus: &'a [u8],
}

pub(super) fn rsa_public_key(input: &[u8]) -> Parsed<'_, RsaPublicKey<'_>> {
    let (rest, exponent) = vector16(input)?;
    let (rest, modulus) = vector16(rest)?;
    if exponent.is_empty() || modulus.is_empty() {
        return Err(fail(input, "an exponent and a modulus"));
    }
    Ok((rest, RsaPublicKey { exponent, modulus }))
}

impl RsaPublicKey<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_vector16(out, |out| out.extend_from_slice(self.exponent));
        put_vector16(out, |out| out.extend_from_slice(self.modulus));
    }
}

/// The body of a CertificateRequest.
pub fn certificate_request(input: &[u8]) -> Parsed<'_, Vec<KeyExchangeId<'_>>> {
    key_exchange_ids(input)
}

fn random(input: &[u8]) -> Parsed<'_, [u8; 16]> {
    let (rest, random) = octets(16)(input)?;
    Ok((rest, random.try_into().unwrap_or_default()))
}

fn session_id(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, id) = vector8(input)?;
    match id.len() {
        0..=8 => Ok((rest, id)),
        _ => Err(fail(input, "a session id of at most 8 octets")),
    }
}

/// Octets with a length of one octet.
pub(super) fn vector8(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = uint8(input)?;
    octets(length.into())(rest)
}

/// Octets with a length of two octets.
pub(super) fn vector16(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, length) = uint16(input)?;
    octets(length.into())(rest)
}

/// One thing after the other, until nothing is left.
pub(super) fn all<'a, T>(
    mut list: &'a [u8],
    mut one: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
) -> Result<Vec<T>, nom::Err<crate::codec::Malformed<'a>>> {
    let mut found = Vec::new();
    while !list.is_empty() {
        let (rest, thing) = one(list)?;
        found.push(thing);
        list = rest;
    }
    Ok(found)
}

/// Appends octets of which there are less than 256.
pub(super) fn put_vector8(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(u8::try_from(octets.len()).unwrap_or(u8::MAX));
    out.extend(octets.iter().take(u8::MAX.into()));
}

/// Appends what `body` appends, which is less than 65,536 octets, behind its length.
pub(super) fn put_vector16(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; 2]);
    body(out);
    let length = u16::try_from(out.len() - begin - 2).unwrap_or(u16::MAX);
    for (place, octet) in out.iter_mut().skip(begin).zip(length.to_be_bytes()) {
        *place = octet;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellos_are_read_as_they_were_written() {
        let ids = vec![
            KeyExchangeId {
                suite: 5,
                parameters: Parameters::index(0),
                identifier: Identifier::Null,
            },
            KeyExchangeId {
                suite: 11,
                parameters: Parameters {
                    index: 255,
                    explicit: &[1, 2, 3],
                },
                identifier: Identifier::Text(106, b"name"),
            },
            KeyExchangeId {
                suite: 8,
                parameters: Parameters::index(7),
                identifier: Identifier::KeyHash(&[7; 20]),
            },
        ];
        let hello = ClientHello {
            version: VERSION,
            random: [3; 16],
            session_id: &[1, 2],
            client_key_ids: ids.clone(),
            trusted_key_ids: ids,
            cipher_suites: vec![(3, 3), (6, 2)],
            compression_methods: &[0],
            sequence_number_mode: 2,
            key_refresh: 4,
        };
        let mut out = Vec::new();
        hello.put(&mut out);
        let (rest, read) = message(&out).unwrap();
        assert!(rest.is_empty());
        assert_eq!(client_hello(read.body).unwrap().1, hello);
        let hello = ServerHello {
            version: VERSION,
            random: [4; 16],
            session_id: &[9; 8],
            client_key_id: 1,
            cipher_suite: (3, 3),
            compression_method: 0,
            sequence_number_mode: 2,
            key_refresh: 3,
        };
        let mut out = Vec::new();
        hello.put(&mut out);
        assert_eq!(
            server_hello(message(&out).unwrap().1.body).unwrap().1,
            hello
        );
    }

    #[test]
    fn a_session_id_has_no_more_than_eight_octets() {
        assert!(session_id(&[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
