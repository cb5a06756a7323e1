//! Recorded conversations in plaintext, with the secrets of a key log.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::wtls::keys::{Keys, MasterSecret, Security, Side};
use crate::wtls::message::{MessageType, client_hello, message, server_hello};
use crate::wtls::record::{ContentType, Record, open};
use crate::wtls::suite::CipherSuite;

/// The master secrets of a key log, by the client's random.
#[derive(Clone, Debug, Default)]
pub struct KeyLog(BTreeMap<[u8; 16], MasterSecret>);

/// A line of a key log is not `WTLS`, 32 hexadecimal digits of the client's random, 40 of the
/// master secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected WTLS, the client's random and the master secret in hexadecimal")]
pub struct KeyLogError {
    /// The number of the line, from one.
    pub line: usize,
}

impl KeyLog {
    /// Reads the lines that [`Secrets::line`](crate::wtls::Secrets::line) writes. Empty lines and lines after `#` are
    /// passed over.
    ///
    /// # Errors
    /// The first line that is something else.
    pub fn read(text: &str) -> Result<Self, KeyLogError> {
        let mut secrets = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (random, master) = entry(line).ok_or(KeyLogError { line: number })?;
            secrets.insert(random, MasterSecret::new(master));
        }
        Ok(Self(secrets))
    }
}

fn entry(line: &str) -> Option<([u8; 16], [u8; 20])> {
    let mut words = line.split_ascii_whitespace();
    let label = words.next()?;
    let (random, master) = (octets(words.next()?)?, octets(words.next()?)?);
    (label == "WTLS" && words.next().is_none()).then_some((random, master))
}

fn octets<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut octets = [0; N];
    if hex.len() != 2 * N {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(octets)
}

/// Follows the conversations of a capture. A record is opened if the capture has the handshake
/// before the record, and the key log has the handshake's secret.
#[derive(Debug, Default)]
pub struct Observer {
    log: KeyLog,
    conversations: BTreeMap<(SocketAddr, SocketAddr), Conversation>,
}

#[derive(Debug, Default)]
struct Conversation {
    /// The end that sends ClientHellos.
    client: Option<SocketAddr>,
    /// The randoms of the last ClientHellos, the newest first.
    randoms: Vec<[u8; 16]>,
    /// The handshakes whose secret is known, the newest first.
    handshakes: Vec<Handshake>,
}

#[derive(Debug)]
struct Handshake {
    security: Security,
    from_client: Keys,
    from_server: Keys,
}

impl Observer {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new(log: KeyLog) -> Self {
        Self {
            log,
            conversations: BTreeMap::new(),
        }
    }

    /// Whether the records of a datagram belong to a conversation that was followed before, or begin
    /// one with a ClientHello whose secret the key log has.
    #[must_use]
    pub fn knows(
        &self,
        source: SocketAddr,
        destination: SocketAddr,
        records: &[Record<'_>],
    ) -> bool {
        let is_logged = |record: &Record<'_>| {
            let is_clear = !record.is_ciphered() && record.content_type == ContentType::Handshake;
            let hello = is_clear.then(|| message(record.fragment).ok()).flatten();
            let hello = hello.filter(|(_, it)| it.message_type == MessageType::CLIENT_HELLO);
            hello
                .and_then(|(_, it)| client_hello(it.body).ok())
                .is_some_and(|(_, hello)| self.log.0.contains_key(&hello.random))
        };
        self.conversations.contains_key(&ends(source, destination)) || records.iter().any(is_logged)
    }

    /// The plaintext of the next record of a capture, if the record is under a cipher spec whose
    /// secret is known.
    pub fn open(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        record: &Record<'_>,
    ) -> Option<Vec<u8>> {
        let ends = ends(source, destination);
        // A capture may go on without end; the records of any other conversation stay closed.
        if self.conversations.len() >= CONVERSATIONS && !self.conversations.contains_key(&ends) {
            self.conversations.pop_first();
        }
        let conversation = self.conversations.entry(ends).or_default();
        let plaintext = match record.is_ciphered() {
            true => Some(conversation.open(source, record)?),
            false => None,
        };
        if record.content_type == ContentType::Handshake {
            let messages = plaintext.as_deref().unwrap_or(record.fragment);
            conversation.see_messages(&self.log, source, messages);
        }
        plaintext
    }
}

/// The ends of a conversation, whoever speaks.
fn ends(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    (one.min(other), one.max(other))
}

impl Conversation {
    /// The MAC tells which handshake's keys a record is under.
    fn open(&mut self, source: SocketAddr, record: &Record<'_>) -> Option<Vec<u8>> {
        let is_client = self.client == Some(source);
        self.handshakes.iter_mut().find_map(|handshake| {
            let (keys, side) = match is_client {
                true => (&mut handshake.from_client, Side::Client),
                false => (&mut handshake.from_server, Side::Server),
            };
            let security = &handshake.security;
            let block = keys.of(security, side, record.sequence);
            open(block, security.suite, record)
        })
    }

    fn see_messages(&mut self, log: &KeyLog, source: SocketAddr, mut octets: &[u8]) {
        while let Ok((rest, found)) = message(octets) {
            match found.message_type {
                MessageType::CLIENT_HELLO => {
                    if let Ok((_, hello)) = client_hello(found.body) {
                        self.client = Some(source);
                        keep(&mut self.randoms, hello.random, |one, other| one == other);
                    }
                }
                MessageType::SERVER_HELLO => self.see_server_hello(log, found.body),
                _ => {}
            }
            octets = rest;
        }
    }

    /// A ServerHello does not name its ClientHello, so each of the last ClientHellos gets a
    /// handshake.
    fn see_server_hello(&mut self, log: &KeyLog, body: &[u8]) {
        let Ok((_, hello)) = server_hello(body) else {
            return;
        };
        let (bulk, mac) = hello.cipher_suite;
        let Some(suite) = CipherSuite::of(bulk, mac) else {
            return;
        };
        for random in self.randoms.iter().rev() {
            let Some(master) = log.0.get(random) else {
                continue;
            };
            let handshake = Handshake {
                security: Security::new(
                    suite,
                    master.clone(),
                    *random,
                    hello.random,
                    hello.key_refresh,
                ),
                from_client: Keys::default(),
                from_server: Keys::default(),
            };
            keep(&mut self.handshakes, handshake, |one, other| {
                let (one, other) = (&one.security, &other.security);
                (one.client_random, one.server_random) == (other.client_random, other.server_random)
            });
        }
    }
}

/// Puts an entry first, unless the list has the entry from an earlier copy of the datagram.
fn keep<T>(list: &mut Vec<T>, entry: T, is_same: impl Fn(&T, &T) -> bool) {
    if !list.iter().any(|known| is_same(known, &entry)) {
        list.insert(0, entry);
        list.truncate(HANDSHAKES);
    }
}

/// Handshakes of one conversation that records may be under.
const HANDSHAKES: usize = 4;
/// Conversations that are followed.
const CONVERSATIONS: usize = 65_536;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::wtls::record::records;

    const LINE: &str =
        "WTLS 000102030405060708090a0b0c0d0e0f 000102030405060708090a0b0c0d0e0f10111213\n";

    #[test]
    fn a_key_log_is_read_and_a_wrong_line_named() {
        let read = KeyLog::read(&format!("# a comment\n\n{LINE}")).unwrap();
        assert_eq!(read.0.len(), 1);
        for wrong in [
            "CLIENT_RANDOM 00 00",
            "WTLS 00 00",
            &LINE[..70],
            &LINE.replace("0a0b", "0a0x"),
            &LINE.replace('\n', " more"),
        ] {
            let text = format!("{LINE}{wrong}\n");
            assert_eq!(KeyLog::read(&text).unwrap_err().line, 2, "{wrong}");
        }
    }

    fn unhex(value: &Value) -> Vec<u8> {
        let pairs = value.as_str().unwrap().as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The plaintexts that an observer with this key log sees in the vectors' datagrams.
    fn plaintexts(file: &Value, log: &str) -> Vec<(ContentType, Vec<u8>)> {
        let client = "10.0.0.7:40000".parse().unwrap();
        let server = "192.0.2.1:9203".parse().unwrap();
        let mut observer = Observer::new(KeyLog::read(log).unwrap());
        let mut seen = Vec::new();
        for pair in file["datagrams"].as_array().unwrap() {
            let (source, destination) = match pair[0] == "C>" {
                true => (client, server),
                false => (server, client),
            };
            let datagram = unhex(&pair[1]);
            for record in records(&datagram).0 {
                let opened = observer.open(source, destination, &record);
                assert!(opened.is_none() || record.is_ciphered());
                seen.extend(opened.map(|plaintext| (record.content_type, plaintext)));
            }
        }
        seen
    }

    #[test]
    fn a_conversation_is_read_with_its_secret_and_not_with_another() {
        let file = include_str!("../../fixtures/wtls/rsa_anon-2-3.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let text = |name: &str| file[name].as_str().unwrap();
        let line = format!("WTLS {} {}", text("client_random"), text("master_secret"));
        let seen = plaintexts(&file, &line);
        let exchanges = file["app"].as_array().unwrap().iter();
        let sent = exchanges.flat_map(|it| [&it["client_plain"], &it["server_plain"]]);
        let sent: Vec<Vec<u8>> = sent.map(unhex).collect();
        let data = seen
            .iter()
            .filter(|(content_type, _)| *content_type == ContentType::ApplicationData);
        let data: Vec<Vec<u8>> = data.map(|(_, plaintext)| plaintext.clone()).collect();
        assert_eq!(data, sent);
        let wrong = line.replace(text("master_secret"), &"00".repeat(20));
        assert_eq!(plaintexts(&file, &wrong), []);
        assert_eq!(plaintexts(&file, ""), []);
    }
}
