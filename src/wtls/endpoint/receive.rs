//! A datagram of a secure port: its records, one after the other.

use crate::time::Instant;
use crate::wdp::Datagram;
use crate::wtls::alert::{self, Description, Level, checksum};
use crate::wtls::connection::Rejected;
use crate::wtls::defects;
use crate::wtls::endpoint::limits::FLIGHTS;
use crate::wtls::endpoint::{Endpoint, Opened};
use crate::wtls::message::{MessageType, message};
use crate::wtls::record::{ContentType, Record, records};

/// What is known of a datagram while its records are looked at.
pub(super) struct Incoming<'a> {
    pub(super) datagram: Datagram<'a>,
    /// Octets of handshake messages that belong to the handshake under way.
    pub(super) messages: Vec<u8>,
    /// The beginning of a ClientHello in clear text whose other octets are in the next records.
    hello: Vec<u8>,
    /// A ChangeCipherSpec came.
    changed: bool,
    /// It has the Finished of a handshake that is over: a flight that was answered, or of a handshake that was
    /// forgotten.
    is_old: bool,
    /// The checksum of its last record, which alerts about the datagram name.
    checksum: [u8; 4],
    /// A ClientHello came. A client sends one in a datagram.
    pub(super) heard_hello: bool,
    /// A Finished behind a ChangeCipherSpec came. A client sends one in a datagram.
    heard_finished: bool,
    /// The answer to the datagram was sent, or withheld. There is one, however many records came.
    is_answered: bool,
    /// It earned what it may be answered with.
    has_earned: bool,
    /// A record of it was sealed by the peer, and was not seen before.
    pub(super) is_genuine: bool,
}

impl Incoming<'_> {
    /// Whether this is the first answer to the datagram.
    pub(super) const fn may_be_answered(&mut self) -> bool {
        !std::mem::replace(&mut self.is_answered, true)
    }
}

impl Endpoint {
    /// A datagram of a secure port arrived.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        let (records, malformed) = records(datagram.payload);
        self.stats.malformed += u64::from(malformed);
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return;
        };
        let slot = self.by_peer.find(&self.connections, &datagram.peer);
        if slot.is_none() && !is_hello(first) {
            return self.answer_stranger(now, &datagram, last);
        }
        // A datagram earns once, however many records it has; that of a connection only when it is to be answered.
        let is_of_stranger = !self.is_established(datagram.peer);
        if is_of_stranger {
            self.earn(now, datagram.peer.remote.ip(), datagram.payload.len());
        }
        let mut incoming = Incoming {
            datagram,
            messages: Vec::new(),
            hello: Vec::new(),
            changed: false,
            is_old: slot.is_some_and(|slot| self.has_known_finished(slot, &records)),
            checksum: checksum(last.octets),
            heard_hello: false,
            heard_finished: false,
            is_answered: false,
            has_earned: is_of_stranger,
            is_genuine: false,
        };
        for record in &records {
            match record.is_ciphered() {
                true => self.on_ciphered(now, &mut incoming, record),
                false => self.on_plain(now, &mut incoming, record),
            }
        }
        if !incoming.hello.is_empty() {
            self.stats.malformed += 1;
        }
    }

    /// A datagram of a peer that has no connection: an alert tells the peer so, in fewer octets than the peer sent.
    /// `record`: the last record of the datagram. The client may have forgotten the checksums of earlier records.
    fn answer_stranger(&mut self, now: Instant, datagram: &Datagram<'_>, record: &Record<'_>) {
        self.stats.unknown += 1;
        let is_alert = !record.is_ciphered() && record.content_type == ContentType::Alert;
        if is_alert || datagram.payload.len() < ALERT_RECORD {
            return;
        }
        let address = datagram.peer.remote.ip();
        self.earn(now, address, datagram.payload.len());
        if self.may_send(now, address, ALERT_RECORD, datagram.payload.len()) {
            self.alert_plain(
                datagram.peer,
                u16::MAX,
                Level::Fatal,
                Description::NO_CONNECTION,
                checksum(record.octets),
            );
        }
    }

    /// Whether the one answer to a datagram may be sent now: none was, and the peer sealed a record of it or sent
    /// enough. That the peer has a connection says nothing about who sent what is in clear.
    pub(super) fn may_answer(
        &mut self,
        now: Instant,
        incoming: &mut Incoming<'_>,
        octets: usize,
    ) -> bool {
        if !incoming.may_be_answered() {
            return false;
        }
        if incoming.is_genuine {
            return true;
        }
        let address = incoming.datagram.peer.remote.ip();
        let received = incoming.datagram.payload.len();
        if !std::mem::replace(&mut incoming.has_earned, true) {
            self.earn(now, address, received);
        }
        self.may_send(now, address, octets, received)
    }

    fn has_known_finished(&self, slot: u32, records: &[Record<'_>]) -> bool {
        let established = self
            .connections
            .get(slot)
            .and_then(|connection| connection.established.as_ref());
        established.is_some_and(|established| {
            let is_it = |record: &Record<'_>| is_finished(record, &established.finished);
            records.iter().any(is_it)
        })
    }

    /// A record in clear text: part of a handshake, or an alert that nobody vouches for.
    fn on_plain(&mut self, now: Instant, incoming: &mut Incoming<'_>, record: &Record<'_>) {
        match record.content_type {
            ContentType::Handshake
                if !incoming.hello.is_empty()
                    || is_hello(record) && !is_incomplete(&incoming.messages) =>
            {
                self.on_plain_hello(now, incoming, record);
            }
            // Part of a flight that was answered.
            ContentType::Handshake | ContentType::ChangeCipherSpec if incoming.is_old => {}
            ContentType::Handshake => match self.has_pending(incoming, false) {
                true => incoming.messages.extend_from_slice(record.fragment),
                false => self.stats.unexpected += 1,
            },
            ContentType::ChangeCipherSpec => match self.has_pending(incoming, false) {
                true => incoming.changed = record.fragment == [1],
                false => self.stats.unexpected += 1,
            },
            ContentType::Alert => self.on_plain_alert(incoming, record),
            ContentType::ApplicationData => self.stats.unexpected += 1,
        }
    }

    /// A ClientHello in clear text, or a part of one.
    fn on_plain_hello(&mut self, now: Instant, incoming: &mut Incoming<'_>, record: &Record<'_>) {
        let mut octets = std::mem::take(&mut incoming.hello);
        octets.extend_from_slice(record.fragment);
        if is_incomplete(&octets) {
            incoming.hello = octets;
            return;
        }
        let whole = Record {
            fragment: &octets,
            ..*record
        };
        self.on_client_hello(now, incoming, &whole, false);
    }

    /// A record under a cipher spec: the new one behind a ChangeCipherSpec, else that of the connection.
    fn on_ciphered(&mut self, now: Instant, incoming: &mut Incoming<'_>, record: &Record<'_>) {
        let peer = incoming.datagram.peer;
        let Some(slot) = self.by_peer.find(&self.connections, &peer) else {
            return;
        };
        if incoming.changed && record.content_type == ContentType::Handshake {
            incoming.changed = false;
            if std::mem::replace(&mut incoming.heard_finished, true) {
                self.stats.unexpected += 1;
                return;
            }
            return self.on_finished(now, slot, incoming, record);
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let has_pending = connection.pending.is_some();
        let Some(established) = &mut connection.established else {
            // User data may overtake a Finished. A Finished alone was not announced.
            self.stats.unexpected += 1;
            if record.content_type == ContentType::Handshake {
                self.refuse_flight(now, incoming, Description::UNEXPECTED_MESSAGE, record);
            }
            return;
        };
        if is_finished(record, &established.finished) {
            return self.on_repeated_finished(now, slot, incoming);
        }
        // Under the keys of the connection this number was the Finished.
        if record.content_type == ContentType::Handshake && record.sequence == 0 {
            incoming.is_old = true;
            self.stats.unexpected += 1;
            // The handshake under way decides which keys both ends have.
            if has_pending || now.since(established.complained) < COMPLAINED_EVERY {
                return;
            }
            // The client changed to keys of a handshake whose deadline has passed. Only a new handshake helps. An
            // old copy of a Finished gets the same answer, which the client ignores for its checksum.
            established.complained = now;
            if self.may_answer(now, incoming, ALERT_RECORD) {
                let (level, description) = (Level::Fatal, Description::NO_CONNECTION);
                self.alert_plain(peer, u16::MAX, level, description, incoming.checksum);
            }
            return;
        }
        match established.secure.open(record) {
            Ok(content) => {
                incoming.is_genuine = true;
                self.stats.opened += 1;
                self.use_connection(now, slot);
                self.on_content(now, slot, incoming, record, content);
            }
            Err(Rejected::Replayed) => self.on_repeated_record(now, slot, incoming, record),
            // Records of a flight that was answered may be under keys that are gone.
            Err(Rejected::Bad) if incoming.is_old => self.stats.replayed += 1,
            Err(Rejected::Bad) => {
                self.stats.bad += 1;
                if now.since(established.complained) < COMPLAINED_EVERY {
                    return;
                }
                established.complained = now;
                // One answer for everything that can be wrong, in clear text.
                if let Some(sequence) = established.secure.take_sequence()
                    && self.may_answer(now, incoming, ALERT_RECORD)
                {
                    let (level, bad) = (Level::Warning, Description::BAD_RECORD_MAC);
                    self.alert_plain(peer, sequence, level, bad, checksum(record.octets));
                }
            }
        }
    }

    /// What was inside a genuine record.
    fn on_content(
        &mut self,
        now: Instant,
        slot: u32,
        incoming: &mut Incoming<'_>,
        record: &Record<'_>,
        content: Vec<u8>,
    ) {
        match record.content_type {
            ContentType::ApplicationData => {
                let Some(connection) = self.connections.get_mut(slot) else {
                    return;
                };
                // OPENING becomes OPEN: our Finished was received.
                if let Some(established) = &mut connection.established {
                    established.answer = None;
                }
                self.datagrams.push_back(Opened {
                    peer: connection.peer,
                    service: connection.service,
                    payload: content,
                });
            }
            ContentType::Handshake => {
                let hello = message(&content).ok().map(|(_, message)| message);
                let hello = hello.filter(|it| it.message_type == MessageType::CLIENT_HELLO);
                if hello.is_some() && !is_incomplete(&incoming.messages) {
                    let inner = Record {
                        fragment: &content,
                        ..*record
                    };
                    self.on_client_hello(now, incoming, &inner, true);
                } else if self.has_pending(incoming, true) {
                    incoming.messages.extend_from_slice(&content);
                } else {
                    self.stats.unexpected += 1;
                }
            }
            ContentType::ChangeCipherSpec => match self.has_pending(incoming, true) {
                true => incoming.changed = content == [1],
                false => self.stats.unexpected += 1,
            },
            ContentType::Alert => self.on_genuine_alert(slot, &content),
        }
    }

    /// An alert of the client itself.
    fn on_genuine_alert(&mut self, slot: u32, content: &[u8]) {
        let Ok((_, alert)) = alert::alert(content) else {
            self.stats.unexpected += 1;
            return;
        };
        let Some(established) = self
            .connections
            .get_mut(slot)
            .and_then(|connection| connection.established.as_mut())
        else {
            return;
        };
        if !established.secure.has_sent(alert.checksum) {
            self.stats.alerts_ignored += 1;
            return;
        }
        self.stats.alerts_received += 1;
        let session = established.session;
        match (alert.level, alert.description) {
            (_, Description::CONNECTION_CLOSE_NOTIFY) => {
                self.close(slot, Level::Critical, Description::CONNECTION_CLOSE_NOTIFY);
            }
            (_, Description::SESSION_CLOSE_NOTIFY) => {
                self.close(slot, Level::Fatal, Description::SESSION_CLOSE_NOTIFY);
            }
            (Level::Warning, _) => {}
            (Level::Critical, _) => self.end_established(slot),
            (Level::Fatal, _) => {
                if let Some(session) = session {
                    self.forget_session(session);
                }
                self.end_established(slot);
            }
        }
    }

    /// An alert in clear text: anybody can have sent it, so it may end a handshake but no connection (B.4).
    fn on_plain_alert(&mut self, incoming: &Incoming<'_>, record: &Record<'_>) {
        let Ok((_, alert)) = alert::alert(record.fragment) else {
            self.stats.malformed += 1;
            return;
        };
        let peer = incoming.datagram.peer;
        let pending = self
            .by_peer
            .find(&self.connections, &peer)
            .and_then(|slot| Some((slot, self.connections.get(slot)?.pending.as_ref()?)));
        let Some((slot, pending)) = pending else {
            self.stats.alerts_ignored += 1;
            return;
        };
        if !pending.has_sent(alert.checksum) {
            self.stats.alerts_ignored += 1;
            return;
        }
        self.stats.alerts_received += 1;
        if alert.level > Level::Warning {
            self.stats.failed += 1;
            self.abandon(slot);
        }
    }

    /// A Finished that was answered comes again. In OPENING our flight is repeated; in OPEN the client is told, so that
    /// it stops (7.2). The alert names the last record of the datagram, for the client may have forgotten earlier ones.
    fn on_repeated_finished(&mut self, now: Instant, slot: u32, incoming: &mut Incoming<'_>) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let peer = connection.peer;
        let Some(established) = &mut connection.established else {
            return;
        };
        if defects::ANSWER_FORGOTTEN.is_planted() {
            return;
        }
        if let Some(answer) = &mut established.answer {
            let Ok(later) = FLIGHTS.take(now, answer.repeated, 1) else {
                self.stats.replayed += 1;
                return;
            };
            if incoming.may_be_answered() {
                let flight = answer.flight.clone();
                answer.repeated = later;
                self.stats.repeated += 1;
                self.transmit(peer, flight);
            }
            return;
        }
        // Whoever repeats an old datagram must not use up the sequence numbers.
        if now.since(established.complained) < COMPLAINED_EVERY || !incoming.may_be_answered() {
            return;
        }
        established.complained = now;
        let description = Description::DUPLICATE_FINISHED_RECEIVED;
        let secure = &mut established.secure;
        if let Some(alert) = secure.alert_about(Level::Warning, description, incoming.checksum) {
            self.stats.alerts_sent += 1;
            self.transmit(peer, alert);
        }
    }

    /// Whether a handshake is under way that is spoken in clear text, or under the cipher spec of the connection.
    fn has_pending(&self, incoming: &Incoming<'_>, is_secured: bool) -> bool {
        let peer = incoming.datagram.peer;
        let slot = self.by_peer.find(&self.connections, &peer);
        slot.and_then(|slot| self.connections.get(slot)?.pending.as_ref())
            .is_some_and(|pending| pending.is_secured == is_secured)
    }
}

/// Whether the last of some handshake messages lacks octets.
fn is_incomplete(messages: &[u8]) -> bool {
    let mut rest = messages;
    while !rest.is_empty() {
        match message(rest) {
            Ok((after, _)) => rest = after,
            Err(_) => return true,
        }
    }
    false
}

/// Whether a record begins with a ClientHello in clear text.
fn is_hello(record: &Record<'_>) -> bool {
    !record.is_ciphered()
        && record.content_type == ContentType::Handshake
        && record.fragment.first() == Some(&MessageType::CLIENT_HELLO.0)
}

/// Whether a record is this Finished: the last blocks of what was sent under its number.
fn is_finished(record: &Record<'_>, finished: &[u8; 16]) -> bool {
    record.is_ciphered()
        && record.content_type == ContentType::Handshake
        && record.sequence == 0
        && record.fragment.ends_with(finished)
}

/// The last octets of a Finished record.
pub(super) fn finished_end(record: &Record<'_>) -> [u8; 16] {
    record.fragment.last_chunk().copied().unwrap_or_default()
}

/// Octets of an alert's record in clear text.
pub(super) const ALERT_RECORD: usize = 11;

/// How often a record that does not decrypt, or a Finished that comes again, is answered with an alert.
const COMPLAINED_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
