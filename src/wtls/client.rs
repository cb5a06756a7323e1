//! The client's side: what handsets do, for the tools (7.1).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Instant;
use crate::wtls::alert::{self, Alert, Description, Level, checksum};
use crate::wtls::certificate::{
    Certificate, CertificateError, Facts, Stored, certificates, verify,
};
use crate::wtls::config::Credentials;
use crate::wtls::connection::Secure;
use crate::wtls::endpoint::description_of;
use crate::wtls::exchange::{self, PreMaster};
use crate::wtls::flight::{Flight, Under, finished};
use crate::wtls::hash::{Running, same};
use crate::wtls::keys::{MasterSecret, Security, Side};
use crate::wtls::message::{
    ClientHello, Identifier, KeyExchangeId, Message, MessageType, Parameters, VERSION, message,
    put_message, put_vector16, server_hello,
};
use crate::wtls::record::{ContentType, Record, put_plain, records};
use crate::wtls::secret_random::SecretRandom;
use crate::wtls::suite::{CipherSuite, KeyExchange, Method};

/// What a client wants.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Key exchanges with their parameters (0: the gateway chooses), the preferred one first.
    pub key_exchanges: Vec<(KeyExchange, u8)>,
    /// Suites, the preferred one first.
    pub suites: Vec<CipherSuite>,
    /// Keys change every two to this power records.
    pub key_refresh: u8,
    /// Whoever may certify the gateway.
    pub authorities: Arc<[Stored]>,
    /// The gateway's name, which its certificate must have.
    pub host: Option<String>,
    /// Seconds since 1970 at [`Instant::ZERO`], if they are known.
    pub epoch: Option<u64>,
    /// Our key and certificates, for a gateway that asks.
    pub credentials: Option<Arc<Credentials>>,
    /// Pause before a flight is repeated.
    pub retry_interval: Duration,
    /// How often it is.
    pub max_retries: u32,
}

/// What became of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The connection is secure.
    Open {
        /// The suite that was chosen.
        suite: CipherSuite,
        /// Whether a session was resumed.
        is_resumed: bool,
    },
    /// There is no connection.
    Failed(Problem),
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The gateway said no.
    #[error("the gateway refused the handshake: {name}", name = .0.name())]
    Refused(Description),
    /// The gateway said nothing.
    #[error("the gateway did not answer the handshake")]
    Silence,
    /// The gateway's certificate is not accepted.
    #[error("the gateway's certificate is not accepted: {0}")]
    Certificate(#[from] CertificateError),
    /// The gateway's messages make no sense.
    #[error("the gateway's handshake makes no sense: {name}", name = .0.name())]
    Protocol(Description),
}

/// A client.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Client {
    config: ClientConfig,
    random: SecretRandom,
    handshake: Option<Handshake>,
    connection: Option<Connection>,
    session: Option<(Vec<u8>, CipherSuite, MasterSecret)>,
    /// Datagrams of the layers above that wait for a connection.
    waiting: VecDeque<Vec<u8>>,
    datagrams: VecDeque<Vec<u8>>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<ClientEvent>,
    revealed: Option<([u8; 16], MasterSecret)>,
}

/// A handshake under way: the state table's CREATING, or COMMIT2 if there are keys.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Handshake {
    random: [u8; 16],
    hello: Vec<u8>,
    /// The datagram that is repeated.
    flight: Vec<u8>,
    sequence: u16,
    resend_at: Instant,
    retries: u32,
    commit: Option<Commit>,
}

/// What waits for the gateway's Finished.
#[cfg_attr(test, derive(Clone))]
struct Commit {
    secure: Secure,
    transcript: Running,
    session: Vec<u8>,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Commit {:?}", self.secure)
    }
}

/// The state table's OPENING, or OPEN if nothing is put in front of user data.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Connection {
    secure: Secure,
    prepended: Option<Vec<u8>>,
}

impl Connection {
    /// Whether a checksum in an alert is that of a record sent lately, or of the flight that is repeated.
    fn has_sent(&self, sum: [u8; 4]) -> bool {
        let (flight, _) = records(self.prepended.as_deref().unwrap_or_default());
        self.secure.has_sent(sum) || flight.iter().any(|it| checksum(it.octets) == sum)
    }
}

impl Client {
    /// A client without a connection.
    #[must_use]
    pub fn new(config: ClientConfig, seed: [u8; 32]) -> Self {
        Self {
            config,
            random: SecretRandom::new(seed),
            handshake: None,
            connection: None,
            session: None,
            waiting: VecDeque::new(),
            datagrams: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            revealed: None,
        }
    }

    /// The same with these random octets.
    #[cfg(test)]
    pub(super) fn with_random(mut self, random: SecretRandom) -> Self {
        self.random = random;
        self
    }

    /// Begins a handshake (SEC-Create.req): of the session there is, or of a new one. A connection there is stays
    /// until the new one is secure.
    pub fn connect(&mut self, now: Instant) {
        let mut random = [0; 16];
        self.random.fill(&mut random);
        let seconds = self.config.epoch.map(|it| it + now.as_micros() / 1_000_000);
        // Without a clock the first octet is zero.
        let time = seconds.map_or(0, |seconds| u32::try_from(seconds).unwrap_or(0));
        for (place, octet) in random.iter_mut().zip(time.to_be_bytes()) {
            *place = octet;
        }
        let ids = self.config.key_exchanges.iter();
        let session = self.session.as_ref().map(|(id, ..)| id.clone());
        let hello = ClientHello {
            version: VERSION,
            random,
            session_id: session.as_deref().unwrap_or_default(),
            client_key_ids: ids
                .map(|(suite, index)| KeyExchangeId {
                    suite: suite.0,
                    parameters: Parameters::index(*index),
                    identifier: Identifier::Null,
                })
                .collect(),
            trusted_key_ids: Vec::new(),
            cipher_suites: self
                .config
                .suites
                .iter()
                .map(|suite| (suite.bulk.number, suite.mac.number))
                .collect(),
            compression_methods: &[0],
            sequence_number_mode: 2,
            key_refresh: self.config.key_refresh,
        };
        let mut octets = Vec::new();
        hello.put(&mut octets);
        self.send_hello(now, random, octets);
    }

    fn send_hello(&mut self, now: Instant, random: [u8; 16], hello: Vec<u8>) {
        let mut flight = Vec::new();
        put_plain(&mut flight, ContentType::Handshake, 0, true, &hello);
        self.transmits.push_back(flight.clone());
        self.handshake = Some(Handshake {
            random,
            hello,
            flight,
            sequence: 1,
            resend_at: now + self.config.retry_interval,
            retries: 0,
            commit: None,
        });
    }

    /// Forgets the session, so that the next handshake is a full one.
    pub fn forget_session(&mut self) {
        self.session = None;
    }

    /// The client has another address, and no connection belongs to that: begins a handshake of the
    /// session there is. What waits for a connection goes on waiting.
    pub fn reconnect(&mut self, now: Instant) {
        self.connection = None;
        self.connect(now);
    }

    /// The state in the specification's table; with a handshake on a connection, that of the
    /// handshake. EXCHANGE, COMMIT1 and CREATED are left as soon as they are entered.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match (&self.handshake, &self.connection) {
            (Some(handshake), _) if handshake.commit.is_some() => "COMMIT2",
            (Some(_), _) => "CREATING",
            (None, Some(connection)) if connection.prepended.is_some() => "OPENING",
            (None, Some(_)) => "OPEN",
            (None, None) => "NULL",
        }
    }

    /// Whether user data can be sent.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// The client's random and the master secret of the connection, for a key log.
    #[must_use]
    pub const fn secrets(&self) -> Option<&([u8; 16], MasterSecret)> {
        self.revealed.as_ref()
    }

    /// Sends a datagram of the layers above, now or when there is a connection. Of those that wait, the oldest are
    /// discarded: the layers above repeat what is not answered.
    pub fn send(&mut self, plain: Vec<u8>) {
        // Behind our ChangeCipherSpec the gateway may have left the keys that we still have.
        let is_changing = self
            .handshake
            .as_ref()
            .is_some_and(|handshake| handshake.commit.is_some());
        if self.connection.is_none() || is_changing {
            if self.waiting.len() >= MOST_WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back(plain);
            return;
        }
        if let Some(out) = self.seal(&plain) {
            self.transmits.push_back(out);
        }
    }

    fn seal(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let connection = self.connection.as_mut()?;
        let mut out = connection.prepended.clone().unwrap_or_default();
        let secure = &mut connection.secure;
        secure
            .seal(&mut out, ContentType::ApplicationData, plain, true)
            .then_some(out)
    }

    /// Ends the connection; its session may be resumed.
    pub fn close(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let description = Description::CONNECTION_CLOSE_NOTIFY;
            let alert = connection.secure.alert(Level::Critical, description);
            self.transmits.extend(alert);
        }
    }

    /// Ends the connection and its session.
    pub fn close_session(&mut self) {
        self.session = None;
        if let Some(mut connection) = self.connection.take() {
            let description = Description::SESSION_CLOSE_NOTIFY;
            let alert = connection.secure.alert(Level::Fatal, description);
            self.transmits.extend(alert);
        }
    }

    /// A datagram came from the gateway.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let (records, _) = records(datagram);
        let plain_handshake = |record: &Record<'_>| {
            !record.is_ciphered() && record.content_type != ContentType::Alert
        };
        let is_flight = records.first().is_some_and(plain_handshake);
        if is_flight {
            return self.on_flight(now, &records);
        }
        for record in &records {
            match (record.is_ciphered(), record.content_type) {
                (false, ContentType::Alert) => self.on_plain_alert(now, record),
                (true, _) => self.on_ciphered(now, record),
                (false, _) => {}
            }
        }
    }

    /// The next datagram that came in a record.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.datagrams.pop_front()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(handshake) = self.handshake.as_mut().filter(|it| it.resend_at <= now) else {
            return;
        };
        // CREATING, COMMIT2 / Retransmission counter exceeds the maximum value
        if handshake.retries >= self.config.max_retries {
            return self.fail(Problem::Silence);
        }
        // CREATING, COMMIT2 / Retransmission timer expires
        handshake.retries += 1;
        handshake.resend_at = now + self.config.retry_interval;
        let flight = handshake.flight.clone();
        self.transmits.push_back(flight);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.handshake.as_ref().map(|handshake| handshake.resend_at)
    }

    fn fail(&mut self, problem: Problem) {
        self.handshake = None;
        self.session = None;
        match self.connection {
            Some(_) => self.send_waiting(),
            None => self.waiting.clear(),
        }
        self.events.push_back(ClientEvent::Failed(problem));
    }

    /// A flight of the gateway, which begins in clear text.
    fn on_flight(&mut self, now: Instant, records: &[Record<'_>]) {
        let Some(mut handshake) = self.handshake.take() else {
            return self.on_late_flight(now, records);
        };
        let done = match &mut handshake.commit {
            Some(commit) => Ok(self.read_finished(commit, records)),
            None => self.on_server_flight(now, &mut handshake, records),
        };
        match done {
            Ok(true) => {}
            // Nothing that belongs to this handshake: perhaps an old copy.
            Ok(false) => self.handshake = Some(handshake),
            Err(problem) => {
                let last = records
                    .last()
                    .map_or([0; 4], |record| checksum(record.octets));
                self.say_plain(handshake.sequence, problem, last);
                self.fail(problem);
            }
        }
    }

    /// A flight that was answered: of an abbreviated handshake, it is answered with the next user data.
    fn on_late_flight(&mut self, now: Instant, records: &[Record<'_>]) {
        let is_hello_request = records.iter().any(|record| {
            record.content_type == ContentType::Handshake && record.fragment == [0, 0, 0]
        });
        if is_hello_request {
            return self.connect(now);
        }
        if let Some(prepended) = self.connection.as_ref().and_then(|it| it.prepended.clone()) {
            self.transmits.push_back(prepended);
        }
    }

    /// CREATING / ServerHello and what follows it.
    fn on_server_flight(
        &mut self,
        now: Instant,
        handshake: &mut Handshake,
        records: &[Record<'_>],
    ) -> Result<bool, Problem> {
        let wrong = |description| Err(Problem::Protocol(description));
        let mut octets = Vec::new();
        let mut changed = false;
        let mut theirs = None;
        for record in records {
            match (record.is_ciphered(), record.content_type) {
                (false, ContentType::Handshake) => octets.extend_from_slice(record.fragment),
                (false, ContentType::ChangeCipherSpec) => changed = true,
                (true, ContentType::Handshake) if changed => theirs = Some(record),
                _ => {}
            }
        }
        let mut messages = Vec::new();
        let mut rest = &octets[..];
        while !rest.is_empty() {
            let Ok((after, found)) = message(rest) else {
                return wrong(Description::DECODE_ERROR);
            };
            messages.push(found);
            rest = after;
        }
        let Some(first) = messages
            .first()
            .filter(|it| it.message_type == MessageType::SERVER_HELLO)
        else {
            return Ok(false);
        };
        let Ok((_, hello)) = server_hello(first.body) else {
            return wrong(Description::DECODE_ERROR);
        };
        let (bulk, mac) = hello.cipher_suite;
        let offered = |suite: &CipherSuite| self.config.suites.contains(suite);
        let suite = CipherSuite::of(bulk, mac).filter(offered);
        let Some(suite) = suite.filter(|_| hello.version == VERSION) else {
            return wrong(Description::ILLEGAL_PARAMETER);
        };
        if hello.key_refresh > self.config.key_refresh || hello.compression_method != 0 {
            return wrong(Description::ILLEGAL_PARAMETER);
        }
        let mut transcript = Running::new(suite.mac.hash);
        transcript.update(&handshake.hello);
        transcript.update(&octets);
        if let Some(theirs) = theirs {
            let known = self.session.clone();
            let Some((id, known_suite, master)) = known else {
                return wrong(Description::UNEXPECTED_MESSAGE);
            };
            if id != hello.session_id || known_suite != suite || messages.len() != 1 {
                return wrong(Description::ILLEGAL_PARAMETER);
            }
            let security = Security::new(
                suite,
                master,
                handshake.random,
                hello.random,
                hello.key_refresh,
            );
            return self.resume(handshake, security, transcript, theirs);
        }
        let Some(last) = messages
            .pop()
            .filter(|it| it.message_type == MessageType::SERVER_HELLO_DONE && it.body.is_empty())
        else {
            return wrong(Description::UNEXPECTED_MESSAGE);
        };
        let _ = last;
        let chosen = usize::from(hello.client_key_id).checked_sub(1);
        let chosen = chosen.and_then(|at| self.config.key_exchanges.get(at).copied());
        let Some(((method, _), index)) =
            chosen.and_then(|(suite, index)| Some((suite.method()?, index)))
        else {
            return wrong(Description::ILLEGAL_PARAMETER);
        };
        let server = ServerMessages::read(messages.get(1..).unwrap_or_default())?;
        let certified = self.certified_key(now, method, &server)?;
        let source = match (&certified, server.key_exchange) {
            (Some(facts), None) => Err(facts.key()),
            (None, Some(body)) => Ok(body),
            _ => return wrong(Description::UNEXPECTED_MESSAGE),
        };
        let (pre_master, key_exchange) =
            exchange::answer(method, source, index, VERSION, &mut self.random)
                .map_err(Problem::Protocol)?;
        let randoms = (handshake.random, hello.random);
        let commit = self.commit(
            now,
            handshake,
            suite,
            randoms,
            (hello.session_id, hello.key_refresh),
            (&pre_master, &key_exchange, server.wants_certificate),
            transcript,
        );
        handshake.commit = Some(commit);
        Ok(false)
    }

    /// The key of the gateway's certificate, for a method that needs one.
    fn certified_key(
        &self,
        now: Instant,
        method: Method,
        server: &ServerMessages<'_>,
    ) -> Result<Option<Facts>, Problem> {
        match (method, &server.certificates) {
            (Method::Rsa, Some(chain)) => {
                let seconds = self.config.epoch.map(|it| it + now.as_micros() / 1_000_000);
                let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
                let host = self.config.host.as_deref();
                Ok(Some(verify(
                    chain,
                    &self.config.authorities,
                    seconds,
                    host,
                )?))
            }
            (Method::Rsa, None) | (_, Some(_)) => {
                Err(Problem::Protocol(Description::UNEXPECTED_MESSAGE))
            }
            (_, None) => Ok(None),
        }
    }

    /// EXCHANGE, COMMIT1: Certificate*, ClientKeyExchange, CertificateVerify*, ChangeCipherSpec, Finished.
    #[expect(clippy::too_many_arguments, reason = "all of them are of one flight")]
    fn commit(
        &mut self,
        now: Instant,
        handshake: &mut Handshake,
        suite: CipherSuite,
        (client_random, server_random): ([u8; 16], [u8; 16]),
        (session, refresh): (&[u8], u8),
        (pre_master, key_exchange, wants_certificate): (&PreMaster, &[u8], bool),
        mut transcript: Running,
    ) -> Commit {
        let master = MasterSecret::derive(suite, pre_master, &client_random, &server_random);
        let security = Security::new(suite, master, client_random, server_random, refresh);
        let mut secure = Secure::new(security, Side::Client, true);
        let mut flight = Flight::new(Under::Clear(&mut handshake.sequence));
        if wants_certificate {
            let chain = self.config.credentials.as_ref().map(|it| &it.chain[..]);
            let mut octets = Vec::new();
            put_message(&mut octets, MessageType::CERTIFICATE, |out| {
                put_vector16(out, |out| {
                    for certificate in chain.unwrap_or_default() {
                        certificate.put(out);
                    }
                });
            });
            flight.message(Some(&mut transcript), &octets);
        }
        flight.message(Some(&mut transcript), key_exchange);
        let credentials = self.config.credentials.as_ref();
        if let Some(credentials) = credentials.filter(|_| wants_certificate) {
            let signature = credentials.key.sign(&transcript.clone().finish());
            let mut octets = Vec::new();
            put_message(&mut octets, MessageType::CERTIFICATE_VERIFY, |out| {
                put_vector16(out, |out| out.extend(signature.unwrap_or_default()));
            });
            flight.message(Some(&mut transcript), &octets);
        }
        let verify_data = secure
            .security
            .verify_data(Side::Client, &transcript.clone().finish());
        handshake.flight = flight.finished(&mut secure, &verify_data);
        transcript.update(&finished(&verify_data));
        handshake.retries = 0;
        handshake.resend_at = now + self.config.retry_interval;
        self.transmits.push_back(handshake.flight.clone());
        Commit {
            secure,
            transcript,
            session: session.to_vec(),
        }
    }

    /// CREATING / ServerHello, ChangeCipherSpec, Finished; CREATED.
    fn resume(
        &mut self,
        handshake: &mut Handshake,
        security: Security,
        mut transcript: Running,
        theirs: &Record<'_>,
    ) -> Result<bool, Problem> {
        let mut secure = Secure::new(security, Side::Client, true);
        let hash = transcript.clone().finish();
        if !opens_finished(&mut secure, theirs, &hash) {
            return Ok(false);
        }
        let expected = secure.security.verify_data(Side::Server, &hash);
        transcript.update(&finished(&expected));
        let verify_data = secure
            .security
            .verify_data(Side::Client, &transcript.finish());
        let flight = Flight::new(Under::Clear(&mut handshake.sequence));
        let prepended = flight.finished(&mut secure, &verify_data);
        let is_empty = self.waiting.is_empty();
        self.open(secure, Some(prepended.clone()));
        if is_empty {
            self.transmits.push_back(prepended);
        }
        Ok(true)
    }

    /// COMMIT2 / ChangeCipherSpec, Finished.
    fn read_finished(&mut self, commit: &mut Commit, records: &[Record<'_>]) -> bool {
        let theirs = records
            .iter()
            .skip_while(|record| record.content_type != ContentType::ChangeCipherSpec)
            .find(|record| record.is_ciphered());
        let hash = commit.transcript.clone().finish();
        let Some(theirs) = theirs.filter(|it| opens_finished(&mut commit.secure, it, &hash)) else {
            return false;
        };
        let _ = theirs;
        let security = commit.secure.security.clone();
        let fresh = Secure::new(security.clone(), Side::Client, true);
        let secure = std::mem::replace(&mut commit.secure, fresh);
        let session = std::mem::take(&mut commit.session);
        self.session = (!session.is_empty()).then_some((session, security.suite, security.master));
        self.open(secure, None);
        true
    }

    fn open(&mut self, secure: Secure, prepended: Option<Vec<u8>>) {
        let suite = secure.security.suite;
        let random = secure.security.client_random;
        self.revealed = Some((random, secure.security.master.clone()));
        let is_resumed = prepended.is_some();
        self.connection = Some(Connection { secure, prepended });
        self.events
            .push_back(ClientEvent::Open { suite, is_resumed });
        self.send_waiting();
    }

    fn send_waiting(&mut self) {
        for plain in std::mem::take(&mut self.waiting) {
            self.send(plain);
        }
    }

    /// A record under the cipher spec of the connection.
    fn on_ciphered(&mut self, now: Instant, record: &Record<'_>) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Ok(content) = connection.secure.open(record) else {
            return;
        };
        match record.content_type {
            // OPENING / User data is received
            ContentType::ApplicationData => {
                connection.prepended = None;
                self.datagrams.push_back(content);
            }
            ContentType::Alert => {
                let Ok((_, alert)) = alert::alert(&content) else {
                    return;
                };
                if connection.has_sent(alert.checksum) {
                    self.on_alert(now, alert);
                }
            }
            // A HelloRequest is ignored while a handshake is under way.
            ContentType::Handshake if content == [0, 0, 0] && self.handshake.is_none() => {
                self.connect(now);
            }
            ContentType::Handshake | ContentType::ChangeCipherSpec => {}
        }
    }

    /// An alert of the gateway itself.
    fn on_alert(&mut self, now: Instant, alert: Alert) {
        match (alert.level, alert.description) {
            // OPENING / Alert (duplicate_finished_received)
            (Level::Warning, Description::DUPLICATE_FINISHED_RECEIVED) => {
                if let Some(connection) = &mut self.connection {
                    connection.prepended = None;
                }
            }
            (Level::Warning, _) => {}
            (Level::Critical, _) => {
                self.connection = None;
                if self.handshake.is_none() {
                    self.connect(now);
                }
            }
            (Level::Fatal, _) => {
                self.connection = None;
                self.session = None;
                if self.handshake.is_none() {
                    self.connect(now);
                }
            }
        }
    }

    /// An alert in clear text: of a handshake under way, or that the gateway knows no connection.
    fn on_plain_alert(&mut self, now: Instant, record: &Record<'_>) {
        let Ok((_, alert)) = alert::alert(record.fragment) else {
            return;
        };
        if let Some(handshake) = &mut self.handshake {
            let (sent, _) = records(&handshake.flight);
            if !sent.iter().any(|it| checksum(it.octets) == alert.checksum) {
                return;
            }
            match (alert.level, alert.description) {
                (Level::Warning, Description::TIME_REQUIRED) => {
                    handshake.resend_at = now + self.config.retry_interval * MORE_TIME;
                }
                (Level::Warning, _) => {}
                (_, description) => self.fail(Problem::Refused(description)),
            }
            return;
        }
        let known = self.connection.as_ref();
        let is_known = known.is_some_and(|it| it.has_sent(alert.checksum));
        if is_known && alert.description == Description::NO_CONNECTION {
            self.connection = None;
            self.connect(now);
        }
    }

    fn say_plain(&mut self, sequence: u16, problem: Problem, checksum: [u8; 4]) {
        let description = match problem {
            Problem::Protocol(description) => description,
            Problem::Certificate(error) => description_of(error),
            Problem::Refused(_) | Problem::Silence => return,
        };
        let alert = Alert {
            level: Level::Fatal,
            description,
            checksum,
        };
        self.transmits.push_back(alert.in_clear(sequence));
    }
}

/// Whether a record is the gateway's Finished.
fn opens_finished(secure: &mut Secure, record: &Record<'_>, hash: &[u8]) -> bool {
    let Ok(content) = secure.open(record) else {
        return false;
    };
    let expected = finished(&secure.security.verify_data(Side::Server, hash));
    same(&content, &expected)
}

/// What follows a ServerHello.
struct ServerMessages<'a> {
    certificates: Option<Vec<Certificate<'a>>>,
    key_exchange: Option<&'a [u8]>,
    wants_certificate: bool,
}

impl<'a> ServerMessages<'a> {
    fn read(messages: &[Message<'a>]) -> Result<Self, Problem> {
        let mut read = Self {
            certificates: None,
            key_exchange: None,
            wants_certificate: false,
        };
        let mut last = 0;
        for found in messages {
            if found.message_type.0 <= last {
                return Err(Problem::Protocol(Description::UNEXPECTED_MESSAGE));
            }
            last = found.message_type.0;
            match found.message_type {
                MessageType::CERTIFICATE => {
                    let (_, chain) = certificates(found.body)
                        .map_err(|_| Problem::Protocol(Description::DECODE_ERROR))?;
                    read.certificates = Some(chain);
                }
                MessageType::SERVER_KEY_EXCHANGE => read.key_exchange = Some(found.body),
                MessageType::CERTIFICATE_REQUEST => read.wants_certificate = true,
                _ => return Err(Problem::Protocol(Description::UNEXPECTED_MESSAGE)),
            }
        }
        Ok(read)
    }
}

/// Datagrams that wait for a connection.
const MOST_WAITING: usize = 64;
/// How many intervals the gateway gets that needs more time.
const MORE_TIME: u32 = 10;
