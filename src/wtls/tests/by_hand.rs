//! A client that is put together record by record, for what our own client never does.

use std::sync::Arc;

use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Service};
use crate::wtls::alert::{Description, alert};
use crate::wtls::connection::Secure;
use crate::wtls::exchange;
use crate::wtls::flight::finished;
use crate::wtls::hash::{Hash, Running};
use crate::wtls::keys::{MasterSecret, Security, Side};
use crate::wtls::message::{
    ClientHello, Identifier, KeyExchangeId, MessageType, Parameters, VERSION, message, put_message,
    put_vector16, server_hello,
};
use crate::wtls::record::{ContentType, Record, put_plain, records};
use crate::wtls::secret_random::SecretRandom;
use crate::wtls::suite::Method;
use crate::wtls::tests::key;
use crate::wtls::{
    CipherSuite, Config, Credentials, Endpoint, KeyExchange, Statement, Stored, default_suites,
};

pub(super) struct Hand {
    pub(super) server: Endpoint,
    pub(super) now: Instant,
    pub(super) peer: Peer,
    random: SecretRandom,
    suite: CipherSuite,
    pub(super) exchange: KeyExchange,
    hello: Vec<u8>,
    client_random: [u8; 16],
    server_random: [u8; 16],
    pub(super) session: Vec<u8>,
    /// All messages so far.
    transcript: Running,
}

/// The quadruplet of a client at this address.
pub(super) fn peer_at(remote: &str) -> Peer {
    Peer::new(remote.parse().unwrap(), "192.0.2.1:9203".parse().unwrap())
}

/// A certificate for the key, signed by the key.
fn certificate(subject: &str) -> Stored {
    let key = key();
    let statement = Statement {
        issuer: "Root; T; FI",
        subject,
        not_before: 0,
        not_after: u32::MAX,
        key: key.public(),
    };
    Stored::new(&statement.sign(&key).unwrap()).unwrap()
}

impl Hand {
    pub(super) fn new(exchange: KeyExchange, wants_certificate: bool) -> Self {
        let config = Self::config(exchange, wants_certificate);
        Self {
            server: Endpoint::new(Arc::new(config), [5; 32], None),
            now: Instant::from_micros(1),
            peer: peer_at("10.0.0.7:40000"),
            random: SecretRandom::new([6; 32]),
            suite: CipherSuite::of(3, 3).unwrap(),
            exchange,
            hello: Vec::new(),
            client_random: [0; 16],
            server_random: [0; 16],
            session: Vec::new(),
            transcript: Running::new(Hash::Sha1),
        }
    }

    /// Settings of a server with the key, which takes one key exchange.
    pub(super) fn config(exchange: KeyExchange, wants_certificate: bool) -> Config {
        let root = certificate("Root; T; FI");
        let chain = vec![certificate("Gateway; T; FI; gw.example")];
        let authorities = wants_certificate.then_some(root);
        Config {
            credentials: Some(Arc::new(Credentials::new(key(), chain).unwrap())),
            key_exchanges: vec![exchange],
            suites: default_suites(0),
            client_authorities: authorities.into_iter().collect(),
            ..Config::default()
        }
    }

    /// A full handshake, and a datagram behind it.
    pub(super) fn connect(&mut self) -> Secure {
        self.begin();
        let (messages, mut secure) = self.flight(None);
        let mut flight = records_of(&[&messages[0]]);
        self.finish(&mut secure, &mut flight);
        let said = self.send(&flight);
        // The server's Finished took its number 0.
        let (parts, _) = records(&said[0]);
        secure.open(&parts[1]).unwrap();
        self.send(&data(&mut secure, b"before"));
        assert_eq!(self.state(), "OPEN");
        secure
    }

    /// A ClientHello under the cipher spec of the connection.
    pub(super) fn seal_hello(&mut self, secure: &mut Secure) -> Vec<u8> {
        self.say_hello();
        self.seal_hello_again(secure)
    }

    /// The same ClientHello in a new record.
    pub(super) fn seal_hello_again(&self, secure: &mut Secure) -> Vec<u8> {
        let mut sealed = Vec::new();
        secure.seal(&mut sealed, ContentType::Handshake, &self.hello, true);
        sealed
    }

    /// A ClientHello in clear text.
    pub(super) fn clear_hello(&mut self) -> Vec<u8> {
        let hello = self.say_hello();
        records_of(&[&hello])
    }

    /// The client's flight of an abbreviated handshake under the cipher spec of the connection, with
    /// a datagram behind it. `flight`: the server's.
    pub(super) fn answer_resumed(&mut self, secure: &mut Secure, flight: &[u8]) -> Vec<u8> {
        let (parts, _) = records(flight);
        let answer = secure.open(&parts[0]).unwrap();
        self.hear_flight(&answer);
        assert_eq!(secure.open(&parts[1]).unwrap(), [1]);
        let mut new = self.connection(secure.security.master.clone());
        let theirs = new.open(&parts[2]).unwrap();
        let hash = self.transcript.clone().finish();
        assert_eq!(
            theirs,
            finished(&new.security.verify_data(Side::Server, &hash))
        );
        self.transcript.update(&theirs);
        let mut flight = Vec::new();
        secure.seal(&mut flight, ContentType::ChangeCipherSpec, &[1], false);
        let hash = self.transcript.clone().finish();
        let mine = finished(&new.security.verify_data(Side::Client, &hash));
        new.seal(&mut flight, ContentType::Handshake, &mine, false);
        new.seal(&mut flight, ContentType::ApplicationData, b"after", true);
        flight
    }

    /// What the server heard inside records.
    pub(super) fn heard(&mut self) -> Vec<Vec<u8>> {
        let heard = std::iter::from_fn(|| self.server.poll_datagram());
        heard.map(|opened| opened.payload).collect()
    }

    /// A ClientHello as a message.
    fn say_hello(&mut self) -> Vec<u8> {
        self.random.fill(&mut self.client_random);
        let hello = ClientHello {
            version: VERSION,
            random: self.client_random,
            session_id: &self.session,
            client_key_ids: vec![KeyExchangeId {
                suite: self.exchange.0,
                parameters: Parameters::index(0),
                identifier: Identifier::Null,
            }],
            trusted_key_ids: Vec::new(),
            cipher_suites: vec![(self.suite.bulk.number, self.suite.mac.number)],
            compression_methods: &[0],
            sequence_number_mode: 2,
            key_refresh: 2,
        };
        let mut octets = Vec::new();
        hello.put(&mut octets);
        self.hello.clone_from(&octets);
        octets
    }

    pub(super) fn send(&mut self, payload: &[u8]) -> Vec<Vec<u8>> {
        self.send_as(self.peer, payload)
    }

    /// The same from another address.
    pub(super) fn send_as(&mut self, peer: Peer, payload: &[u8]) -> Vec<Vec<u8>> {
        let datagram = Datagram {
            peer,
            service: Service::SecureConnectionMode,
            payload,
        };
        self.server.handle_datagram(self.now, datagram);
        let (mut said, mut buf) = (Vec::new(), Vec::new());
        while self.server.poll_transmit(&mut buf).is_some() {
            said.push(std::mem::take(&mut buf));
        }
        said
    }

    /// Takes the messages of the server's flight in.
    fn hear_flight(&mut self, messages: &[u8]) {
        let (_, first) = message(messages).unwrap();
        let (_, hello) = server_hello(first.body).unwrap();
        self.server_random = hello.random;
        self.session = hello.session_id.to_vec();
        self.transcript = Running::new(Hash::Sha1);
        self.transcript.update(&self.hello);
        self.transcript.update(messages);
    }

    /// ClientHello there, as often as a public address has to send it, the server's flight back.
    pub(super) fn begin(&mut self) {
        let hello = self.clear_hello();
        let said = (0..9).find_map(|_| self.send(&hello).pop());
        self.hear(&said.unwrap());
    }

    /// Takes the server's flight in clear text in.
    pub(super) fn hear(&mut self, flight: &[u8]) {
        let (parts, _) = records(flight);
        let messages: Vec<u8> = parts.iter().flat_map(|it| it.fragment).copied().collect();
        self.hear_flight(&messages);
    }

    /// The messages of the client's flight, and the connection that they make. `chain`: the body of
    /// a Certificate.
    pub(super) fn flight(&mut self, chain: Option<&[u8]>) -> (Vec<Vec<u8>>, Secure) {
        let key = key();
        let mut messages = Vec::new();
        if let Some(chain) = chain {
            let mut octets = Vec::new();
            put_message(&mut octets, MessageType::CERTIFICATE, |out| {
                put_vector16(out, |out| out.extend_from_slice(chain));
            });
            messages.push(octets);
        }
        let (method, _) = self.exchange.method().unwrap();
        let mut body = vec![0];
        key.public().put(&mut body);
        let server = match method {
            Method::Rsa => Err(key.public()),
            _ => Ok(&body[..]),
        };
        let (pre_master, key_exchange) =
            exchange::answer(method, server, 0, VERSION, &mut self.random).unwrap();
        messages.push(key_exchange);
        for message in &messages {
            self.transcript.update(message);
        }
        if chain.is_some() {
            let signature = key.sign(&self.transcript.clone().finish()).unwrap();
            let mut octets = Vec::new();
            put_message(&mut octets, MessageType::CERTIFICATE_VERIFY, |out| {
                put_vector16(out, |out| out.extend_from_slice(&signature));
            });
            self.transcript.update(&octets);
            messages.push(octets);
        }
        let randoms = (self.client_random, self.server_random);
        let master = MasterSecret::derive(self.suite, &pre_master, &randoms.0, &randoms.1);
        (messages, self.connection(master))
    }

    fn connection(&self, master: MasterSecret) -> Secure {
        let randoms = (self.client_random, self.server_random);
        let security = Security::new(self.suite, master, randoms.0, randoms.1, 2);
        Secure::new(security, Side::Client, true)
    }

    /// A ChangeCipherSpec in clear text, and a Finished.
    pub(super) fn finish(&self, secure: &mut Secure, out: &mut Vec<u8>) {
        put_plain(out, ContentType::ChangeCipherSpec, 9, true, &[1]);
        let hash = self.transcript.clone().finish();
        let verify_data = secure.security.verify_data(Side::Client, &hash);
        let message = finished(&verify_data);
        secure.seal(out, ContentType::Handshake, &message, false);
    }

    pub(super) fn state(&self) -> &'static str {
        self.server.state_name(self.peer)
    }
}

/// A datagram under the cipher spec of a connection.
pub(super) fn data(secure: &mut Secure, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    secure.seal(&mut out, ContentType::ApplicationData, plain, true);
    out
}

/// Handshake records in clear text.
pub(super) fn records_of(fragments: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, fragment) in (0..).zip(fragments) {
        put_plain(&mut out, ContentType::Handshake, number, true, fragment);
    }
    out
}

#[test]
fn a_hello_may_come_in_two_records() {
    let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
    let hello = hand.say_hello();
    for at in 1..hello.len() {
        let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
        let (first, second) = hello.split_at(at);
        let said = hand.send(&records_of(&[first, second]));
        assert_eq!((said.len(), hand.state()), (1, "EXCHANGE"), "{at}");
    }
    // Half of a ClientHello is none.
    let said = hand.send(&records_of(&[&hello[..20]]));
    assert_eq!((said.len(), hand.server.stats().malformed), (0, 1));
}

/// The second part begins with the octet that would be the type of a ClientHello.
#[test]
fn a_message_may_come_in_two_records_wherever_it_is_cut() {
    let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
    loop {
        hand.begin();
        let (messages, mut secure) = hand.flight(None);
        let exchange = &messages[0];
        let Some(at) = exchange.iter().skip(1).position(|octet| *octet == 1) else {
            // Another secret has other octets.
            let other = Hand::new(KeyExchange::RSA_ANON, false);
            hand.server = other.server;
            continue;
        };
        let (first, second) = exchange.split_at(at + 1);
        let mut flight = records_of(&[first, second]);
        hand.finish(&mut secure, &mut flight);
        hand.send(&flight);
        assert_eq!(hand.state(), "OPENING");
        return;
    }
}

#[test]
fn several_messages_may_come_in_one_record() {
    let mut hand = Hand::new(KeyExchange::RSA, true);
    hand.begin();
    let mut chain = Vec::new();
    certificate("Phone; T; FI; phone").put(&mut chain);
    let (messages, mut secure) = hand.flight(Some(&chain));
    assert_eq!(messages.len(), 3);
    let mut flight = records_of(&[&messages.concat()]);
    hand.finish(&mut secure, &mut flight);
    hand.send(&flight);
    assert_eq!(hand.state(), "OPENING");
}

#[test]
fn the_address_of_a_certificate_is_refused_and_nothing_is_fetched() {
    let mut hand = Hand::new(KeyExchange::RSA, true);
    hand.begin();
    let url = b"http://certificates.example/1";
    let mut chain = vec![4, u8::try_from(url.len()).unwrap()];
    chain.extend_from_slice(url);
    let (messages, mut secure) = hand.flight(Some(&chain));
    let parts: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut flight = records_of(&parts);
    hand.finish(&mut secure, &mut flight);
    let said = hand.send(&flight);
    let (_, alert) = alert(records(&said[0]).0[0].fragment).unwrap();
    assert_eq!(alert.description, Description::UNSUPPORTED_CERTIFICATE);
    assert_eq!(hand.state(), "EXCHANGE");
}

/// A client of the specification speaks a new handshake under the cipher spec that it has.
#[test]
fn a_handshake_under_the_cipher_spec_goes_on_with_its_numbers() {
    let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
    let mut secure = hand.connect();
    let sealed = hand.seal_hello(&mut secure);
    let said = hand.send(&sealed);
    assert_eq!(hand.state(), "OPEN, COMMIT");
    // The same record again is answered again.
    assert_eq!(hand.send(&sealed), said);
    let (parts, _) = records(&said[0]);
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(Record::is_ciphered));
    assert_eq!(
        [parts[0].sequence, parts[1].sequence, parts[2].sequence],
        [1, 2, 0]
    );
    let flight = hand.answer_resumed(&mut secure, &said[0]);
    hand.send(&flight);
    assert_eq!(hand.state(), "OPEN");
    assert_eq!(hand.heard(), [b"before".to_vec(), b"after".to_vec()]);
    // A record of the old keys is none of the new ones.
    hand.send(&data(&mut secure, b"late"));
    assert!(hand.heard().is_empty());
}
