//! The server's side: connections by address quadruplet, handshakes, alerts, limits (7.2).
//!
//! Inputs are `handle_*` and [`seal`](Endpoint::seal); outputs are drained: [`poll_datagram`](Endpoint::poll_datagram)
//! gives what was inside records, [`poll_transmit`](Endpoint::poll_transmit) what the handshakes have to say.

mod client_flight;
mod handshake;
mod limits;
mod pending;
mod receive;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use crate::limit::{RateLimiter, SweptMap};
use crate::random::{Keyed, Random};
use crate::table::{ExpiringMap, HasKey, Linked, Links, Lookup, Queue, Shares, Slab};
use crate::time::{Instant, Timers};
use crate::wdp::{Peer, Service, Transmit};
use crate::wtls::alert::{Alert, Description, Level};
use crate::wtls::config::Config;
use crate::wtls::connection::Secure;
pub(in crate::wtls) use crate::wtls::endpoint::client_flight::description_of;
use crate::wtls::endpoint::limits::Credit;
use crate::wtls::endpoint::pending::{Pending, Stage};
use crate::wtls::keys::MasterSecret;
use crate::wtls::record::ContentType;
use crate::wtls::secret_random::SecretRandom;
use crate::wtls::session_cache::{Session, SessionCache, SessionChange, SessionId};
use crate::wtls::stats::Stats;

/// The server of WTLS on the secure ports of one shard.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Endpoint {
    config: Arc<Config>,
    random: SecretRandom,
    /// Seconds since 1970 at [`Instant::ZERO`], if they are known.
    epoch: Option<u64>,
    connections: Slab<Connection>,
    by_peer: Lookup<Peer, Keyed>,
    /// Connections whose keys are kept, in the order of use.
    active: Queue,
    /// The others, likewise.
    idle: Queue,
    /// Deadlines of handshakes.
    deadlines: Timers,
    established: usize,
    handshakes: usize,
    /// Handshakes of strangers in the order of their ClientHellos: when each began, its slot, and the
    /// digest of its ClientHello. Some have ended.
    waiting: VecDeque<(Instant, u32, u64)>,
    /// Handshakes under way of each address, network and region.
    handshakes_of: Shares<Keyed>,
    sessions: SessionCache,
    /// ClientHellos of the last minutes, by digest.
    hellos: ExpiringMap<u64, Known, Instant, Keyed>,
    digests: Keyed,
    credits: SweptMap<u128, Credit>,
    /// When the key operations so far are worked off.
    key_operations: Instant,
    /// The same for each address.
    key_operations_of: RateLimiter<u128>,
    datagrams: VecDeque<Opened>,
    transmits: VecDeque<(Peer, Vec<u8>)>,
    changes: VecDeque<SessionChange>,
    secrets: Option<VecDeque<Secrets>>,
    stats: Stats,
}

/// A datagram that came in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whose it is.
    pub peer: Peer,
    /// What the port it came to carries inside records.
    pub service: Service,
    /// Its octets.
    pub payload: Vec<u8>,
}

/// What reads a conversation afterwards. Given only when somebody asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// The client's random, which names the handshake.
    pub client_random: [u8; 16],
    /// The master secret.
    pub master: MasterSecret,
}

impl Secrets {
    /// The line of a key log: `WTLS`, the client's random, the master secret.
    #[must_use]
    pub fn line(&self) -> String {
        let hex = |octets: &[u8]| -> String {
            octets.iter().map(|octet| format!("{octet:02x}")).collect()
        };
        format!(
            "WTLS {} {}\n",
            hex(&self.client_random),
            hex(self.master.reveal())
        )
    }
}

/// One quadruplet.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Connection {
    peer: Peer,
    service: Service,
    links: Links,
    used: Instant,
    is_active: bool,
    established: Option<Established>,
    pending: Option<Box<Pending>>,
}

/// A connection that has keys.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Established {
    secure: Secure,
    session: Option<SessionId>,
    /// The end of the client's Finished record, to know it when it comes again.
    finished: [u8; 16],
    /// Our flight that answers it, until user data shows that it was received. The state table's OPENING.
    answer: Option<Box<Answer>>,
    /// Records left when the client was last asked for a new handshake.
    asked_at: u32,
    /// When the client is asked next for a new handshake because of the connection's age.
    renew_at: Instant,
    /// When a record that did not decrypt, or a Finished that came again, was last answered with an alert.
    complained: Instant,
    /// When the ClientHellos in clear text that were answered are worked off.
    hellos: Instant,
}

/// Our flight that answers the client's Finished.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Answer {
    flight: Vec<u8>,
    /// When the repetitions are worked off.
    repeated: Instant,
}

impl Answer {
    const fn new(flight: Vec<u8>) -> Self {
        Self {
            flight,
            repeated: Instant::ZERO,
        }
    }
}

/// What became of a ClientHello, which decides what a copy means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// A handshake was begun. A copy that comes after the handshake is old.
    Begun,
    /// The handshake was forgotten. The client may still repeat its ClientHello, unless it has begun another handshake.
    Forgotten,
}

impl HasKey<Peer> for Connection {
    fn key(&self) -> Peer {
        self.peer
    }
}

impl Linked for Connection {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl Endpoint {
    /// An endpoint that has heard nothing. All that is secret or random comes from the seed. `epoch`: seconds since
    /// 1970 at [`Instant::ZERO`], if they are known; the server's random begins with the time.
    #[must_use]
    pub fn new(config: Arc<Config>, seed: [u8; 32], epoch: Option<u64>) -> Self {
        let mut random = SecretRandom::new(seed);
        let mut octets = [0; 8];
        random.fill(&mut octets);
        let mut hashers = Random::new(u64::from_be_bytes(octets));
        Self {
            config,
            random,
            epoch,
            connections: Slab::new(),
            by_peer: Lookup::new(hashers.hasher()),
            active: Queue::new(),
            idle: Queue::new(),
            deadlines: Timers::new(),
            established: 0,
            handshakes: 0,
            waiting: VecDeque::new(),
            handshakes_of: Shares::new(hashers.hasher()),
            sessions: SessionCache::new(hashers.hasher()),
            hellos: ExpiringMap::new(hashers.hasher()),
            digests: hashers.hasher(),
            credits: SweptMap::new(hashers.hasher()),
            key_operations: Instant::ZERO,
            key_operations_of: RateLimiter::new(hashers.hasher()),
            datagrams: VecDeque::new(),
            transmits: VecDeque::new(),
            changes: VecDeque::new(),
            secrets: None,
            stats: Stats::default(),
        }
    }

    /// The same with these random octets.
    #[cfg(test)]
    pub(super) fn with_random(mut self, random: SecretRandom) -> Self {
        self.random = random;
        self
    }

    /// The same, which gives the secrets of its connections away ([`poll_secrets`](Self::poll_secrets)).
    #[must_use]
    pub fn revealing_secrets(mut self) -> Self {
        self.secrets = Some(VecDeque::new());
        self
    }

    /// Uses these settings for handshakes from now on. Other authorities of clients end all sessions, for these prove
    /// only what the authorities of their time vouched for. Connections stay.
    pub fn set_config(&mut self, config: Arc<Config>) {
        if config.client_authorities != self.config.client_authorities {
            self.sessions.clear();
        }
        self.config = config;
    }

    /// The next datagram that came in a record.
    pub fn poll_datagram(&mut self) -> Option<Opened> {
        self.datagrams.pop_front()
    }

    /// Appends the next datagram of the handshakes and alerts to `buf`.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let (peer, octets) = self.transmits.pop_front()?;
        buf.extend_from_slice(&octets);
        Some(Transmit {
            peer,
            len: octets.len(),
        })
    }

    /// Seals a datagram of the layers above: appends the record to `buf`. Nothing if there is no connection.
    pub fn seal(
        &mut self,
        now: Instant,
        peer: Peer,
        plain: &[u8],
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let begin = buf.len();
        let slot = self.by_peer.find(&self.connections, &peer);
        let sealed = slot.and_then(|slot| {
            let connection = self.connections.get_mut(slot)?;
            let established = connection.established.as_mut()?;
            let secure = &mut established.secure;
            secure
                .seal(buf, ContentType::ApplicationData, plain, true)
                .then(|| (slot, secure.left(), now >= established.renew_at))
        });
        let Some((slot, left, is_old)) = sealed else {
            self.stats.unsent += 1;
            // Alerts and requests for handshakes took the last numbers.
            if let Some(slot) = slot.filter(|_| self.is_established(peer)) {
                self.stats.exhausted += 1;
                self.close(slot, Level::Critical, Description::CONNECTION_CLOSE_NOTIFY);
            }
            return None;
        };
        self.stats.sealed += 1;
        self.use_connection(now, slot);
        match left {
            ..=1 => {
                self.stats.exhausted += 1;
                self.close(slot, Level::Critical, Description::CONNECTION_CLOSE_NOTIFY);
            }
            2..=ASKED_FROM => self.ask_for_handshake(slot, left),
            _ if is_old => self.renew(now, slot),
            _ => {}
        }
        Some(Transmit {
            peer,
            len: buf.len() - begin,
        })
    }

    /// Asks the client of a connection for a new handshake (SEC-Create-Request.req); false if there is none.
    pub fn request_handshake(&mut self, peer: Peer) -> bool {
        let slot = self.by_peer.find(&self.connections, &peer);
        slot.is_some_and(|slot| self.send_hello_request(slot))
    }

    /// Another shard made or ended a session.
    pub fn handle_session_change(&mut self, now: Instant, change: SessionChange) {
        match change {
            SessionChange::Begun(session) => self.keep_session(now, session),
            SessionChange::Ended(id) => self.sessions.remove(id),
        }
    }

    /// What other shards are to be told.
    pub fn poll_session_change(&mut self) -> Option<SessionChange> {
        self.changes.pop_front()
    }

    /// The next secrets, if they are given away.
    pub fn poll_secrets(&mut self) -> Option<Secrets> {
        self.secrets.as_mut()?.pop_front()
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(slot) = self.deadlines.pop_due(now) {
            self.end_late_handshake(now, slot);
        }
        while let Some(slot) = self.first_unused(&self.active, KEYS_KEPT, now) {
            self.active.take(&mut self.connections, slot);
            self.idle.push(&mut self.connections, slot);
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.is_active = false;
                if let Some(established) = &mut connection.established {
                    established.secure.forget_keys();
                }
            }
        }
        let timeout = self.config.idle_timeout;
        while let Some(slot) = self.first_unused(&self.idle, timeout, now) {
            self.stats.idle += 1;
            self.end(slot);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |queue: &Queue, after: Duration| {
            let first = self.connections.get(queue.first()?)?;
            Some(first.used + after)
        };
        [
            self.deadlines.next(),
            due(&self.active, KEYS_KEPT),
            due(&self.idle, self.config.idle_timeout),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.established as u64,
            handshakes: self.handshakes as u64,
            sessions: self.sessions.len() as u64,
            ..self.stats
        }
    }

    /// Whether a peer has a connection with keys.
    #[must_use]
    pub fn is_established(&self, peer: Peer) -> bool {
        let slot = self.by_peer.find(&self.connections, &peer);
        slot.and_then(|slot| self.connections.get(slot))
            .is_some_and(|connection| connection.established.is_some())
    }

    /// The state of a peer in the specification's table. With a handshake on a connection, that of
    /// the handshake comes last. CREATING and CREATED are left as soon as they are entered.
    #[must_use]
    pub fn state_name(&self, peer: Peer) -> &'static str {
        let slot = self.by_peer.find(&self.connections, &peer);
        let Some(connection) = slot.and_then(|slot| self.connections.get(slot)) else {
            return "NULL";
        };
        let stage = connection.pending.as_ref().map(|pending| &pending.stage);
        let answer = connection
            .established
            .as_ref()
            .map(|established| &established.answer);
        match (answer, stage) {
            (None, None) => "NULL",
            (None, Some(Stage::Exchange { .. })) => "EXCHANGE",
            (None, Some(Stage::Commit { .. })) => "COMMIT",
            (Some(Some(_)), None) => "OPENING",
            (Some(None), None) => "OPEN",
            (Some(Some(_)), Some(Stage::Exchange { .. })) => "OPENING, EXCHANGE",
            (Some(Some(_)), Some(Stage::Commit { .. })) => "OPENING, COMMIT",
            (Some(None), Some(Stage::Exchange { .. })) => "OPEN, EXCHANGE",
            (Some(None), Some(Stage::Commit { .. })) => "OPEN, COMMIT",
        }
    }

    /// When the handshake of a peer ends if nothing more is heard, if one is under way.
    #[must_use]
    pub fn handshake_deadline(&self, peer: Peer) -> Option<Instant> {
        let slot = self.by_peer.find(&self.connections, &peer)?;
        let pending = self.connections.get(slot)?.pending.as_ref()?;
        Some(pending.deadline)
    }

    fn first_unused(&self, queue: &Queue, after: Duration, now: Instant) -> Option<u32> {
        let slot = queue.first()?;
        let used = self.connections.get(slot)?.used;
        (used + after <= now).then_some(slot)
    }

    /// A connection is used: it goes last in the order, though not with every record.
    fn use_connection(&mut self, now: Instant, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if connection.is_active && now.since(connection.used) < ORDERED_EVERY {
            return;
        }
        let was_active = std::mem::replace(&mut connection.is_active, true);
        connection.used = now;
        let queue = if was_active {
            &mut self.active
        } else {
            &mut self.idle
        };
        queue.take(&mut self.connections, slot);
        self.active.push(&mut self.connections, slot);
    }

    /// Forgets a quadruplet and what is under way with it.
    fn end(&mut self, slot: u32) {
        self.forget_pending(slot);
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if connection.established.is_some() {
            let queue = match connection.is_active {
                true => &mut self.active,
                false => &mut self.idle,
            };
            queue.take(&mut self.connections, slot);
            self.established = self.established.saturating_sub(1);
        }
        self.by_peer.remove(&self.connections, slot);
        self.connections.remove(slot);
    }

    /// Ends the connection of a slot; a handshake on it goes on.
    fn end_established(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if connection.pending.is_none() {
            return self.end(slot);
        }
        if connection.established.take().is_some() {
            let queue = match connection.is_active {
                true => &mut self.active,
                false => &mut self.idle,
            };
            queue.take(&mut self.connections, slot);
            self.established = self.established.saturating_sub(1);
        }
    }

    /// Says an alert under the cipher spec of a connection, and ends it.
    fn close(&mut self, slot: u32, level: Level, description: Description) {
        let alert = self.connections.get_mut(slot).and_then(|connection| {
            let established = connection.established.as_mut()?;
            let alert = established.secure.alert(level, description)?;
            Some((connection.peer, alert, established.session))
        });
        if let Some((peer, alert, session)) = alert {
            self.stats.alerts_sent += 1;
            self.transmit(peer, alert);
            if let (Level::Fatal, Some(session)) = (level, session) {
                self.forget_session(session);
            }
        }
        self.end_established(slot);
    }

    /// Says an alert in clear text.
    fn alert_plain(
        &mut self,
        peer: Peer,
        sequence: u16,
        level: Level,
        description: Description,
        checksum: [u8; 4],
    ) {
        let alert = Alert {
            level,
            description,
            checksum,
        };
        self.stats.alerts_sent += 1;
        self.transmit(peer, alert.in_clear(sequence));
    }

    fn transmit(&mut self, peer: Peer, octets: Vec<u8>) {
        if self.transmits.len() >= MOST_TRANSMITS {
            self.transmits.pop_front();
            self.stats.overflowed += 1;
        }
        self.transmits.push_back((peer, octets));
    }

    fn ask_for_handshake(&mut self, slot: u32, left: u32) {
        let asked_at = self
            .connections
            .get(slot)
            .and_then(|connection| connection.established.as_ref())
            .map_or(0, |established| established.asked_at);
        if left + ASKED_AGAIN_AFTER <= asked_at {
            self.send_hello_request(slot);
        }
    }

    /// Asks the client of an old connection for a new handshake (SEC-Create-Request.req). The session
    /// is as old and cannot be resumed, so the handshake is a full one, and no master secret is used
    /// for ever.
    fn renew(&mut self, now: Instant, slot: u32) {
        let connection = self.connections.get_mut(slot);
        if let Some(established) = connection.and_then(|it| it.established.as_mut()) {
            established.renew_at = now + RENEWAL_ASKED_EVERY;
            self.send_hello_request(slot);
        }
    }

    fn send_hello_request(&mut self, slot: u32) -> bool {
        let request = self.connections.get_mut(slot).and_then(|connection| {
            let established = connection.established.as_mut()?;
            let mut out = Vec::new();
            let secure = &mut established.secure;
            let request = [0, 0, 0];
            secure
                .seal(&mut out, ContentType::Handshake, &request, true)
                .then_some(())?;
            established.asked_at = established.secure.left();
            Some((connection.peer, out))
        });
        let Some((peer, out)) = request else {
            return false;
        };
        self.transmit(peer, out);
        true
    }

    fn keep_session(&mut self, now: Instant, session: Session) {
        let until = now + self.config.session_lifetime;
        self.sessions
            .insert(until, session, self.config.max_sessions);
    }

    fn forget_session(&mut self, id: SessionId) {
        self.sessions.remove(id);
        self.tell(SessionChange::Ended(id));
    }

    fn tell(&mut self, change: SessionChange) {
        if self.changes.len() >= MOST_TRANSMITS {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    fn digest(&self, peer: Peer, octets: &[u8]) -> u64 {
        self.digests.hash_one((peer, octets))
    }
}

/// How long a connection keeps its keys unused; they can be made anew.
const KEYS_KEPT: Duration = Duration::from_secs(30);
/// How exact the order of use is.
const ORDERED_EVERY: Duration = Duration::from_secs(1);
/// Records left when the client is asked for a new handshake, and how many more until it is asked again.
const ASKED_FROM: u32 = 16_384;
const ASKED_AGAIN_AFTER: u32 = 4_096;
/// Datagrams that wait to be sent. Every datagram handled makes two at most, its answer and the alert that closes its
/// connection, and is followed by a drain.
const MOST_TRANSMITS: usize = 4_096;
/// How often the client of an old connection is asked for a new handshake.
const RENEWAL_ASKED_EVERY: Duration = Duration::from_secs(600);
