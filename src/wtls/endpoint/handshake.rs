//! A ClientHello, and the flight that answers it: full and abbreviated handshakes (10.3, 10.4).
//!
//! Nothing that a client says about a new handshake touches the connection it has, until its
//! Finished is verified (B.4). A flight that cannot be right costs only itself, for it may be a copy
//! of an old one: the handshake stays, until its deadline.

use std::time::Duration;

use crate::time::Instant;
use crate::wdp::Peer;
use crate::wtls::alert::{Description, Level, checksum};
use crate::wtls::connection::Secure;
use crate::wtls::defects;
use crate::wtls::endpoint::limits::FLIGHTS;
use crate::wtls::endpoint::pending::{MOST_HELLOS, Pending, Stage, Transcript};
use crate::wtls::endpoint::receive::{ALERT_RECORD, Incoming};
use crate::wtls::endpoint::{Endpoint, Known};
use crate::wtls::exchange::ServerExchange;
use crate::wtls::flight::{Flight, finished};
use crate::wtls::hash::{Hash, Running};
use crate::wtls::hello::{self, Choice, Chosen};
use crate::wtls::keys::{Security, Side};
use crate::wtls::message::{
    ClientHello, Identifier, KeyExchangeId, MessageType, Parameters, ServerHello, VERSION,
    client_hello, message, put_key_exchange_ids, put_message, put_vector16,
};
use crate::wtls::record::Record;
use crate::wtls::session_cache::{Session, SessionId};
use crate::wtls::suite::{CipherSuite, KeyExchange};

impl Endpoint {
    /// A ClientHello came, in clear text or under the cipher spec of a connection.
    pub(super) fn on_client_hello(
        &mut self,
        now: Instant,
        incoming: &mut Incoming<'_>,
        record: &Record<'_>,
        is_secured: bool,
    ) {
        if std::mem::replace(&mut incoming.heard_hello, true) {
            self.stats.unexpected += 1;
            return;
        }
        let peer = incoming.datagram.peer;
        let Ok((_, message)) = message(record.fragment) else {
            self.stats.malformed += 1;
            return;
        };
        let slot = self.by_peer.find(&self.connections, &peer);
        let connection = slot.and_then(|slot| self.connections.get(slot));
        let established = connection.and_then(|connection| connection.established.as_ref());
        let known_random = established.map(|known| known.secure.security.client_random);
        let pending = connection.and_then(|connection| connection.pending.as_deref());
        let has_pending = pending.is_some();
        let repeated = pending
            .filter(|pending| pending.hello == message.octets)
            .filter(|_| !defects::HELLO_FORGOTTEN.is_planted())
            .map(|pending| pending.flight.clone());
        // EXCHANGE, COMMIT / ClientHello, identical to the previous one
        if let Some(flight) = repeated {
            let is_heard = is_secured || self.hears_hello(now, peer);
            if is_heard && self.may_answer(now, incoming, flight.len()) {
                self.stats.repeated += 1;
                self.transmit(peer, flight);
            }
            return;
        }
        let Ok((_, hello)) = client_hello(message.body) else {
            self.stats.malformed += 1;
            return self.refuse(now, incoming, record, Description::DECODE_ERROR);
        };
        let digest = self.digest(peer, message.octets);
        self.hellos.expire(now);
        let is_old = match self.hellos.get(&digest) {
            Some(Known::Begun) => !defects::HELLO_FORGOTTEN.is_planted(),
            Some(Known::Forgotten) => has_pending,
            None => false,
        };
        if is_old || known_random == Some(hello.random) {
            self.stats.replayed += 1;
            return;
        }
        // What the client sealed is its own wish, whatever others send in its name.
        if !is_secured && !self.hears_hello(now, peer) {
            return;
        }
        if let Err(description) = hello::check(&hello) {
            self.stats.failed += 1;
            return self.refuse(now, incoming, record, description);
        }
        // An alert would end the handshake. Without an answer the client repeats its ClientHello,
        // and there may be room then.
        if !self.admit(now, peer, is_secured) {
            return;
        }
        // EXCHANGE, COMMIT, OPENING, OPEN / ClientHello, another one
        match self.begin(now, incoming, &hello, message.octets, record, is_secured) {
            Ok(pending) => {
                let flight = pending.flight.clone();
                let until = now + HELLO_REMEMBERED;
                self.hellos.insert(until, digest, Known::Begun, MOST_HELLOS);
                self.install(now, incoming, pending);
                if self.may_answer(now, incoming, flight.len()) {
                    self.transmit(peer, flight);
                }
            }
            Err(description) => {
                self.stats.failed += 1;
                self.refuse(now, incoming, record, description);
            }
        }
    }

    /// A record under the cipher spec of a connection comes again: if it is the ClientHello of the handshake under way,
    /// it is answered again.
    pub(super) fn on_repeated_record(
        &mut self,
        now: Instant,
        slot: u32,
        incoming: &mut Incoming<'_>,
        record: &Record<'_>,
    ) {
        self.stats.replayed += 1;
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let pending = connection.pending.as_deref_mut().filter(|pending| {
            pending.is_secured && pending.hello_checksum == checksum(record.octets)
        });
        let Some(pending) = pending else {
            return;
        };
        // The client sealed the first copy, so whoever repeats it brings the client flights.
        if let Ok(later) = FLIGHTS.take(now, pending.repeated, 1)
            && incoming.may_be_answered()
        {
            pending.repeated = later;
            let (peer, flight) = (connection.peer, pending.flight.clone());
            self.stats.repeated += 1;
            self.transmit(peer, flight);
        }
    }

    /// Answers a ClientHello.
    fn begin(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_>,
        hello: &ClientHello<'_>,
        octets: &[u8],
        record: &Record<'_>,
        is_secured: bool,
    ) -> Result<Box<Pending>, Description> {
        let mut random = [0; 16];
        self.random.fill(&mut random);
        if let Some(epoch) = self.epoch {
            let seconds = epoch + now.as_micros() / 1_000_000;
            let time = u32::try_from(seconds).unwrap_or(0).to_be_bytes();
            for (place, octet) in random.iter_mut().zip(time) {
                *place = octet;
            }
        }
        let peer = incoming.datagram.peer;
        let mut pending = Box::new(Pending {
            is_secured,
            hello: octets.to_vec(),
            hello_checksum: checksum(record.octets),
            digest: self.digest(peer, octets),
            flight: Vec::new(),
            repeated: Instant::ZERO,
            sequence: 0,
            version: hello.version,
            session: None,
            deadline: now + self.config.handshake_timeout,
            with_length: record.has_length(),
            transcript: Transcript(Running::new(Hash::Sha1)),
            stage: Stage::Exchange {
                exchange: ServerExchange::Rsa,
                suite: CipherSuite::of(0, 0).ok_or(Description::INTERNAL_ERROR)?,
                client_random: hello.random,
                server_random: random,
                refresh: hello.key_refresh.min(self.config.key_refresh),
                wants_certificate: false,
            },
        });
        match self.resumable(now, hello) {
            Some(session) => self.resume(peer, hello, random, session, &mut pending)?,
            None => {
                let choice = hello::choose(&self.config, hello)?;
                self.exchange(now, peer, hello, random, choice, &mut pending)?;
            }
        }
        Ok(pending)
    }

    /// The session that a ClientHello names, if it can be resumed as it was.
    fn resumable(&mut self, now: Instant, hello: &ClientHello<'_>) -> Option<Session> {
        if hello.session_id.is_empty() {
            return None;
        }
        let session = self.sessions.find(now, hello.session_id)?.clone();
        let numbers = (session.suite.bulk.number, session.suite.mac.number);
        let is_offered = hello.cipher_suites.contains(&numbers);
        let is_accepted = self.config.suites.contains(&session.suite);
        let is_known = session.is_authenticated || self.config.client_authorities.is_empty();
        (is_offered && is_accepted && is_known).then_some(session)
    }

    /// NULL / ClientHello of a session: ServerHello, ChangeCipherSpec, Finished.
    fn resume(
        &mut self,
        peer: Peer,
        hello: &ClientHello<'_>,
        random: [u8; 16],
        session: Session,
        pending: &mut Pending,
    ) -> Result<(), Description> {
        let refresh = hello.key_refresh.min(self.config.key_refresh);
        let security = Security::new(
            session.suite,
            session.master.clone(),
            hello.random,
            random,
            refresh,
        );
        let mut secure = Secure::new(security, Side::Server, pending.with_length);
        let mut transcript = Running::new(session.suite.mac.hash);
        transcript.update(&pending.hello);
        let answer = ServerHello {
            session_id: session.id.as_slice(),
            ..server_hello(hello, random, 0, session.suite, refresh)
        };
        let (under, mut sequence) = (pending.is_secured, pending.sequence);
        let mut flight = Flight::new(self.under(peer, under, &mut sequence)?);
        let mut octets = Vec::new();
        answer.put(&mut octets);
        flight.message(Some(&mut transcript), &octets);
        let hash = transcript.clone().finish();
        let verify_data = secure.security.verify_data(Side::Server, &hash);
        pending.flight = flight.finished(&mut secure, &verify_data);
        transcript.update(&finished(&verify_data));
        pending.sequence = sequence;
        pending.session = Some(session.id);
        pending.transcript = Transcript(transcript);
        pending.stage = Stage::Commit {
            secure: Box::new(secure),
            is_authenticated: session.is_authenticated,
        };
        Ok(())
    }

    /// NULL / ClientHello: ServerHello, Certificate*, ServerKeyExchange*, CertificateRequest*, ServerHelloDone.
    fn exchange(
        &mut self,
        now: Instant,
        peer: Peer,
        hello: &ClientHello<'_>,
        random: [u8; 16],
        choice: Choice,
        pending: &mut Pending,
    ) -> Result<(), Description> {
        let credentials = self.config.credentials.clone();
        let with_certificate = matches!(choice.exchange, Chosen::Rsa);
        let wants_certificate = with_certificate && !self.config.client_authorities.is_empty();
        // A key pair is made now; the agreement, or the private key, is needed with the client's flight.
        let (address, is_secured) = (peer.remote.ip(), pending.is_secured);
        match choice.exchange {
            Chosen::Ecdh(..) | Chosen::Dh(..) => {
                self.take_key_operation(now, address, is_secured)?;
            }
            Chosen::Rsa | Chosen::RsaAnonymous => {
                self.may_take_key_operation(now, address, is_secured)?;
            }
        }
        let (exchange, key_exchange) =
            ServerExchange::begin(choice.exchange, credentials.as_deref(), &mut self.random)?;
        let id = SessionId::new(&mut self.random, self.config.session_id_octets);
        let refresh = hello.key_refresh.min(self.config.key_refresh);
        let answer = ServerHello {
            session_id: id.as_ref().map(SessionId::as_slice).unwrap_or_default(),
            ..server_hello(hello, random, choice.client_key_id, choice.suite, refresh)
        };
        let mut transcript = Running::new(choice.suite.mac.hash);
        transcript.update(&pending.hello);
        let (under, mut sequence) = (pending.is_secured, pending.sequence);
        let mut flight = Flight::new(self.under(peer, under, &mut sequence)?);
        let mut octets = Vec::new();
        answer.put(&mut octets);
        flight.message(Some(&mut transcript), &octets);
        if let (true, Some(credentials)) = (with_certificate, &credentials) {
            octets.clear();
            put_message(&mut octets, MessageType::CERTIFICATE, |out| {
                put_vector16(out, |out| {
                    for certificate in &credentials.chain {
                        certificate.put(out);
                    }
                });
            });
            flight.message(Some(&mut transcript), &octets);
        }
        if let Some(key_exchange) = key_exchange {
            flight.message(Some(&mut transcript), &key_exchange);
        }
        if wants_certificate {
            // Any certificate for RSA: naming authorities would take more room than it saves.
            let any = KeyExchangeId {
                suite: KeyExchange::RSA.0,
                parameters: Parameters::index(0),
                identifier: Identifier::Null,
            };
            octets.clear();
            put_message(&mut octets, MessageType::CERTIFICATE_REQUEST, |out| {
                put_key_exchange_ids(out, &[any]);
            });
            flight.message(Some(&mut transcript), &octets);
        }
        octets.clear();
        put_message(&mut octets, MessageType::SERVER_HELLO_DONE, |_| {});
        flight.message(Some(&mut transcript), &octets);
        pending.flight = flight.end();
        pending.sequence = sequence;
        pending.session = id;
        pending.transcript = Transcript(transcript);
        pending.stage = Stage::Exchange {
            exchange,
            suite: choice.suite,
            client_random: hello.random,
            server_random: random,
            refresh,
            wants_certificate,
        };
        Ok(())
    }

    /// A ClientHello cannot be answered with a handshake.
    fn refuse(
        &mut self,
        now: Instant,
        incoming: &mut Incoming<'_>,
        record: &Record<'_>,
        description: Description,
    ) {
        if self.may_answer(now, incoming, ALERT_RECORD) {
            self.alert_refusal(incoming.datagram.peer, 0, record, description);
        }
    }

    /// Says in clear text why a handshake cannot be.
    pub(super) fn alert_refusal(
        &mut self,
        peer: Peer,
        sequence: u16,
        record: &Record<'_>,
        description: Description,
    ) {
        let level = match description {
            Description::INTERNAL_ERROR => Level::Critical,
            _ => Level::Fatal,
        };
        self.alert_plain(peer, sequence, level, description, checksum(record.octets));
    }
}

const fn server_hello<'a>(
    hello: &ClientHello<'_>,
    random: [u8; 16],
    client_key_id: u8,
    suite: CipherSuite,
    key_refresh: u8,
) -> ServerHello<'a> {
    ServerHello {
        version: if hello.version < VERSION {
            hello.version
        } else {
            VERSION
        },
        random,
        session_id: &[],
        client_key_id,
        cipher_suite: (suite.bulk.number, suite.mac.number),
        compression_method: 0,
        // On datagrams there is no other.
        sequence_number_mode: 2,
        key_refresh,
    }
}

/// How long a ClientHello is known when it comes again.
const HELLO_REMEMBERED: Duration = Duration::from_secs(600);
