//! The client's flight: its part of the key exchange, its certificate, its Finished.

use std::net::IpAddr;

use crate::time::Instant;
use crate::wtls::alert::Description;
use crate::wtls::certificate::{self, Certificate, CertificateError, Facts, certificates};
use crate::wtls::connection::{Rejected, Secure};
use crate::wtls::endpoint::pending::{Pending, Stage};
use crate::wtls::endpoint::receive::{ALERT_RECORD, Incoming, finished_end};
use crate::wtls::endpoint::{Answer, Endpoint, Established, Secrets};
use crate::wtls::flight::{Flight, Under, finished};
use crate::wtls::hash::same;
use crate::wtls::keys::{MasterSecret, Security, Side};
use crate::wtls::message::{MessageType, message, vector16};
use crate::wtls::record::Record;
use crate::wtls::session_cache::{Session, SessionChange};

impl Endpoint {
    /// A Finished behind a ChangeCipherSpec.
    pub(super) fn on_finished(
        &mut self,
        now: Instant,
        slot: u32,
        incoming: &mut Incoming<'_>,
        record: &Record<'_>,
    ) {
        let messages = std::mem::take(&mut incoming.messages);
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let Some(mut pending) = connection.pending.take() else {
            return;
        };
        let address = connection.peer.remote.ip();
        let mut established = connection.established.take();
        let accepted = self.accept(
            now,
            address,
            &mut pending,
            established.as_mut(),
            &messages,
            record,
        );
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        connection.established = established;
        match accepted {
            Ok(accepted) => self.establish(now, slot, *pending, accepted, incoming, record),
            Err(description) => {
                connection.pending = Some(pending);
                self.refuse_flight(now, incoming, description, record);
            }
        }
    }

    /// Verifies the client's flight.
    fn accept(
        &mut self,
        now: Instant,
        address: IpAddr,
        pending: &mut Pending,
        established: Option<&mut Established>,
        messages: &[u8],
        record: &Record<'_>,
    ) -> Result<Accepted, Description> {
        match &mut pending.stage {
            // COMMIT / ChangeCipherSpec, Finished
            Stage::Commit {
                secure,
                is_authenticated,
            } => {
                if !messages.is_empty() {
                    return Err(Description::UNEXPECTED_MESSAGE);
                }
                let hash = pending.transcript.0.clone().finish();
                read_finished(secure, record, &hash)?;
                let fresh = Secure::new(secure.security.clone(), Side::Server, true);
                Ok(Accepted {
                    secure: std::mem::replace(secure, fresh),
                    answer: None,
                    is_authenticated: *is_authenticated,
                })
            }
            // EXCHANGE / Certificate*, ClientKeyExchange*, CertificateVerify*, ChangeCipherSpec, Finished
            Stage::Exchange {
                exchange,
                suite,
                client_random,
                server_random,
                refresh,
                wants_certificate,
            } => {
                let mut transcript = pending.transcript.0.clone();
                let flight = ClientFlight::read(messages)?;
                if *wants_certificate != flight.certificates.is_some() {
                    return Err(Description::UNEXPECTED_MESSAGE);
                }
                // A flight that turns out to be wrong costs as much as a right one.
                self.take_key_operation(now, address, pending.is_secured)?;
                let client = match &flight.certificates {
                    Some(chain) => Some(self.verify_client(now, chain)?),
                    None => None,
                };
                let credentials = self.config.credentials.as_deref();
                let pre_master = exchange.finish(
                    flight.key_exchange,
                    pending.version,
                    credentials,
                    &mut self.random,
                )?;
                transcript.update(flight.before_verify);
                match (&client, flight.signature) {
                    (Some(client), Some(signature)) => {
                        let hash = transcript.clone().finish();
                        if !client.key().verifies(&hash, signature) {
                            return Err(Description::DECRYPT_ERROR);
                        }
                    }
                    (None, None) => {}
                    _ => return Err(Description::UNEXPECTED_MESSAGE),
                }
                transcript.update(flight.verify);
                let master =
                    MasterSecret::derive(*suite, &pre_master, client_random, server_random);
                let security =
                    Security::new(*suite, master, *client_random, *server_random, *refresh);
                let mut secure = Secure::new(security, Side::Server, pending.with_length);
                let hash = transcript.clone().finish();
                let theirs = read_finished(&mut secure, record, &hash)?;
                transcript.update(&finished(&theirs));
                let verify_data = secure
                    .security
                    .verify_data(Side::Server, &transcript.finish());
                let under = match (pending.is_secured, established) {
                    (false, _) => Under::Clear(&mut pending.sequence),
                    (true, Some(established)) => Under::Cipher(&mut established.secure),
                    (true, None) => return Err(Description::UNEXPECTED_MESSAGE),
                };
                let answer = Flight::new(under).finished(&mut secure, &verify_data);
                Ok(Accepted {
                    secure,
                    answer: Some(answer),
                    is_authenticated: client.is_some(),
                })
            }
        }
    }

    fn verify_client(&self, now: Instant, chain: &[Certificate<'_>]) -> Result<Facts, Description> {
        let seconds = self.epoch.map(|epoch| epoch + now.as_micros() / 1_000_000);
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        if chain.is_empty() {
            return Err(Description::HANDSHAKE_FAILURE);
        }
        certificate::verify(chain, &self.config.client_authorities, seconds, None)
            .map_err(description_of)
    }

    /// A handshake is complete: its connection takes the place of the one there was.
    fn establish(
        &mut self,
        now: Instant,
        slot: u32,
        pending: Pending,
        accepted: Accepted,
        incoming: &mut Incoming<'_>,
        record: &Record<'_>,
    ) {
        self.count_handshake_end(slot);
        let is_new = self
            .connections
            .get(slot)
            .is_some_and(|it| it.established.is_none());
        if is_new {
            self.make_room();
            self.established += 1;
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let peer = connection.peer;
        let security = &accepted.secure.security;
        if let Some(kept) = &mut self.secrets {
            kept.truncate(MOST_SECRETS);
            kept.push_back(Secrets {
                client_random: security.client_random,
                master: security.master.clone(),
            });
        }
        let session = pending.session.map(|id| Session {
            id,
            suite: security.suite,
            master: security.master.clone(),
            is_authenticated: accepted.is_authenticated,
        });
        connection.established = Some(Established {
            secure: accepted.secure,
            session: pending.session,
            finished: finished_end(record),
            answer: accepted.answer.clone().map(Answer::new).map(Box::new),
            asked_at: u32::MAX,
            renew_at: now + self.config.session_lifetime,
            complained: Instant::ZERO,
            hellos: Instant::ZERO,
        });
        if is_new {
            connection.used = now;
            connection.is_active = true;
            self.active.push(&mut self.connections, slot);
        } else {
            self.use_connection(now, slot);
        }
        incoming.is_genuine = true;
        self.prove(now, peer.remote.ip());
        match accepted.answer {
            Some(answer) => {
                self.stats.full += 1;
                // The client repeats a flight that is not answered, and so asks for the answer again.
                if self.may_answer(now, incoming, answer.len()) {
                    self.transmit(peer, answer);
                }
                if let Some(session) = session {
                    self.keep_session(now, session.clone());
                    self.tell(SessionChange::Begun(session));
                }
            }
            None => self.stats.abbreviated += 1,
        }
    }

    /// A flight cannot be right: its sender is told, and the handshake stays as it was.
    pub(super) fn refuse_flight(
        &mut self,
        now: Instant,
        incoming: &mut Incoming<'_>,
        description: Description,
        record: &Record<'_>,
    ) {
        self.stats.failed += 1;
        if !self.may_answer(now, incoming, ALERT_RECORD) {
            return;
        }
        let peer = incoming.datagram.peer;
        let slot = self.by_peer.find(&self.connections, &peer);
        let pending = slot.and_then(|slot| self.connections.get_mut(slot)?.pending.as_mut());
        let sequence = pending.map_or(0, |pending| {
            let sequence = pending.sequence;
            pending.sequence = sequence.wrapping_add(1);
            sequence
        });
        self.alert_refusal(peer, sequence, record, description);
    }
}

/// A flight that was accepted.
struct Accepted {
    secure: Secure,
    /// Our CCS and Finished, if they are still to be sent.
    answer: Option<Vec<u8>>,
    is_authenticated: bool,
}

/// Opens a record that has to be the client's Finished, and returns what it says.
fn read_finished(
    secure: &mut Secure,
    record: &Record<'_>,
    hash: &[u8],
) -> Result<[u8; 12], Description> {
    let content = secure.open(record).map_err(|rejected| match rejected {
        Rejected::Replayed => Description::UNEXPECTED_MESSAGE,
        // A wrong secret, a wrong MAC, a wrong Finished: one answer.
        Rejected::Bad => Description::DECRYPT_ERROR,
    })?;
    let (rest, message) = message(&content).map_err(|_| Description::DECODE_ERROR)?;
    if message.message_type != MessageType::FINISHED || !rest.is_empty() {
        return Err(Description::UNEXPECTED_MESSAGE);
    }
    let verify_data = message
        .body
        .try_into()
        .map_err(|_| Description::DECODE_ERROR)?;
    match same(
        &secure.security.verify_data(Side::Client, hash),
        message.body,
    ) {
        true => Ok(verify_data),
        false => Err(Description::DECRYPT_ERROR),
    }
}

/// The messages of the client's flight in a full handshake, before its ChangeCipherSpec.
struct ClientFlight<'a> {
    certificates: Option<Vec<Certificate<'a>>>,
    key_exchange: &'a [u8],
    signature: Option<&'a [u8]>,
    /// All octets before the CertificateVerify, which that signs.
    before_verify: &'a [u8],
    /// Those of the CertificateVerify.
    verify: &'a [u8],
}

impl<'a> ClientFlight<'a> {
    fn read(messages: &'a [u8]) -> Result<Self, Description> {
        const MALFORMED: Description = Description::DECODE_ERROR;
        let mut rest = messages;
        let mut next = |wanted: MessageType| {
            if rest.first() != Some(&wanted.0) {
                return Ok(None);
            }
            let (after, found) = message(rest).map_err(|_| MALFORMED)?;
            rest = after;
            Ok(Some(found))
        };
        let chain = next(MessageType::CERTIFICATE)?
            .map(|found| certificates(found.body).map(|(_, chain)| chain))
            .transpose()
            .map_err(|_| MALFORMED)?;
        let key_exchange =
            next(MessageType::CLIENT_KEY_EXCHANGE)?.ok_or(Description::UNEXPECTED_MESSAGE)?;
        let verify = next(MessageType::CERTIFICATE_VERIFY)?;
        if !rest.is_empty() {
            return Err(Description::UNEXPECTED_MESSAGE);
        }
        let signature = match verify {
            Some(found) => Some(vector16(found.body).map_err(|_| MALFORMED)?.1),
            None => None,
        };
        let verify = verify.map_or(&[][..], |found| found.octets);
        let (before_verify, _) = messages
            .split_at_checked(messages.len() - verify.len())
            .unwrap_or_default();
        Ok(Self {
            certificates: chain,
            key_exchange: key_exchange.body,
            signature,
            before_verify,
            verify,
        })
    }
}

/// The alert for a certificate that is not accepted.
pub(in crate::wtls) const fn description_of(error: CertificateError) -> Description {
    match error {
        CertificateError::Bad => Description::BAD_CERTIFICATE,
        CertificateError::Unsupported => Description::UNSUPPORTED_CERTIFICATE,
        CertificateError::Expired => Description::CERTIFICATE_EXPIRED,
        CertificateError::UnknownAuthority => Description::UNKNOWN_CA,
        CertificateError::WrongName => Description::CERTIFICATE_UNKNOWN,
    }
}

/// Secrets that wait to be written.
const MOST_SECRETS: usize = 1_024;
