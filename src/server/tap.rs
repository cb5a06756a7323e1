//! The tap for traces: copies the datagrams of one subscriber into a bounded channel while a trace
//! is armed.
//!
//! No shard waits for the reader: events that find the channel full are counted and lost. Without a
//! trace, a datagram costs one comparison.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::codec::uintvar;
use crate::gateway::Gateway;
use crate::gateway::fetch::{FetchError, Reply, Request, RequestId};
use crate::gateway::record::ExchangeRecord;
use crate::identity::Identity;
use crate::server::clock::Clock;
use crate::server::subscription::{Subject, TapCommand, TapEvent, TraceSubscription};
use crate::trace::Observation;
use crate::wdp::{Address, Datagram, Peer, Service};
use crate::wsp::pdu::Type;
use crate::wtp::concat::separate;
use crate::wtp::pdu::Pdu;

/// The tap of one shard.
#[derive(Debug)]
pub(super) struct Tap {
    clock: Clock,
    traces: Vec<ActiveTrace>,
}

#[derive(Debug)]
struct ActiveTrace {
    subscription: TraceSubscription,
    sessions: Vec<u32>,
    moved: Vec<Address>,
    /// Requests under way that this trace has seen leave.
    requests: BTreeMap<RequestId, Peer>,
}

impl Tap {
    pub(super) const fn new(clock: Clock) -> Self {
        Self {
            clock,
            traces: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, order: TapCommand) {
        let trace = |traces: &mut Vec<ActiveTrace>, id, then: &dyn Fn(&mut ActiveTrace)| {
            let found = traces.iter_mut().find(|found| found.subscription.id == id);
            found.into_iter().for_each(then);
        };
        match order {
            TapCommand::Arm(subscription) => self.traces.push(ActiveTrace {
                subscription,
                sessions: Vec::new(),
                moved: Vec::new(),
                requests: BTreeMap::new(),
            }),
            TapCommand::Disarm(id) => self.traces.retain(|found| found.subscription.id != id),
            TapCommand::Session(id, session) => trace(&mut self.traces, id, &|found| {
                remember(&mut found.sessions, session);
            }),
            TapCommand::Moved(id, address) => trace(&mut self.traces, id, &|found| {
                remember(&mut found.moved, address);
            }),
        }
    }

    /// A datagram arrived.
    #[inline]
    pub(super) fn on_received(&mut self, gateway: &Gateway, datagram: Datagram<'_>) {
        if !self.traces.is_empty() {
            let Datagram {
                peer,
                service,
                payload,
            } = datagram;
            self.datagram(gateway, peer, service, false, payload);
        }
    }

    /// A datagram left.
    #[inline]
    pub(super) fn on_sent(
        &mut self,
        gateway: &Gateway,
        peer: Peer,
        service: Service,
        payload: &[u8],
    ) {
        if !self.traces.is_empty() {
            self.datagram(gateway, peer, service, true, payload);
        }
    }

    fn datagram(
        &mut self,
        gateway: &Gateway,
        peer: Peer,
        service: Service,
        sent: bool,
        payload: &[u8],
    ) {
        let at = Duration::from_micros(self.clock.wall());
        let named = match service {
            Service::ConnectionMode | Service::SecureConnectionMode => session_of(payload),
            Service::Connectionless | Service::SecureConnectionless => None,
        };
        for trace in &mut self.traces {
            let known = trace.knows(gateway, peer);
            // The subscriber's session, resumed from an unknown address.
            let resumed = !known
                && !sent
                && matches!(named, Some((Type::RESUME, session)) if trace.sessions.contains(&session));
            if resumed && remember(&mut trace.moved, peer.remote) {
                let note = format!(
                    "the session was resumed from {}, which is followed from here on",
                    peer.remote
                );
                trace.deliver(TapEvent::Observed(at, Observation::Note(note)));
                trace.deliver(TapEvent::Moved(peer.remote));
            }
            if !known && !resumed {
                continue;
            }
            // Our word counts, and the handset's own on its session; it could claim any with a
            // Resume.
            if let Some((Type::CONNECT_REPLY, session)) = named
                && sent
                && remember(&mut trace.sessions, session)
            {
                trace.deliver(TapEvent::Session(session));
            }
            let octets = payload.to_vec();
            let seen = Observation::Datagram {
                peer,
                service,
                sent,
                octets,
            };
            trace.deliver(TapEvent::Observed(at, seen));
        }
    }

    /// A request goes upstream.
    pub(super) fn on_request(&mut self, gateway: &Gateway, id: RequestId, request: &Request) {
        if self.traces.is_empty() {
            return;
        }
        let at = Duration::from_micros(self.clock.wall());
        let Some(peer) = gateway.requester(id) else {
            return;
        };
        for trace in &mut self.traces {
            if trace.knows(gateway, peer) {
                trace.requests.insert(id, peer);
                let seen = Observation::Request {
                    peer,
                    request: id.to_string(),
                    trace: request.trace,
                    method: request.method.to_string(),
                    uri: request.uri.to_string(),
                    octets: request.body.len(),
                };
                trace.deliver(TapEvent::Observed(at, seen));
            }
        }
    }

    /// Its answer is here, or will never be.
    pub(super) fn on_response(&mut self, id: RequestId, answer: &Result<Reply, FetchError>) {
        self.ended(id, |peer| Observation::Response {
            peer,
            request: id.to_string(),
            answer: match answer {
                Ok(reply) => Ok((reply.status.as_u16(), reply.body.len())),
                Err(error) => Err(error.to_string()),
            },
        });
    }

    /// The exchange no longer waits for the reply.
    pub(super) fn on_cancelled(&mut self, id: RequestId) {
        self.ended(id, |peer| Observation::Cancelled {
            peer,
            request: id.to_string(),
        });
    }

    fn ended(&mut self, id: RequestId, seen: impl Fn(Peer) -> Observation) {
        for trace in &mut self.traces {
            if let Some(peer) = trace.requests.remove(&id) {
                let at = Duration::from_micros(self.clock.wall());
                trace.deliver(TapEvent::Observed(at, seen(peer)));
            }
        }
    }

    /// An exchange is over.
    pub(super) fn on_exchange_end(&mut self, gateway: &Gateway, record: &ExchangeRecord) {
        for trace in &mut self.traces {
            if !trace.knows(gateway, record.peer) {
                continue;
            }
            if let Some(session) = record.session
                && remember(&mut trace.sessions, session)
            {
                trace.deliver(TapEvent::Session(session));
            }
            let at = Duration::from_micros(self.clock.wall());
            let seen = Observation::ExchangeEnded(Box::new(record.clone()));
            trace.deliver(TapEvent::Observed(at, seen));
        }
    }
}

impl ActiveTrace {
    fn knows(&self, gateway: &Gateway, peer: Peer) -> bool {
        let address = peer.remote.ip();
        let is_subject = match &self.subscription.subject {
            Subject::Network(network) => network.contains(address),
            Subject::Number(number) => {
                let identity = gateway.identity(address);
                identity.is_some_and(|identity| is_called(identity, number))
            }
        };
        is_subject || self.moved.contains(&peer.remote)
    }

    fn deliver(&self, events: TapEvent) {
        if self.subscription.events.try_send(events).is_err() {
            self.subscription.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the subscriber has this number or alias. A sign before a number is ignored.
fn is_called(identity: &Identity, name: &str) -> bool {
    let names = [&identity.msisdn, &identity.alias].into_iter().flatten();
    let bare = |name: &str| name.trim_start_matches('+').to_owned();
    names
        .map(|known| bare(known.reveal()))
        .any(|known| known == bare(name))
}

/// Keeps one more, if there is room; whether it is new.
fn remember<T: PartialEq>(known: &mut Vec<T>, one: T) -> bool {
    let is_new = known.len() < MAX_KNOWN && !known.contains(&one);
    if is_new {
        known.push(one);
    }
    is_new
}

/// Which session a datagram speaks of by its id: one that begins or is resumed.
fn session_of(datagram: &[u8]) -> Option<(Type, u32)> {
    separate(datagram).find_map(|octets| {
        let packet = match Pdu::decode(octets).ok()? {
            Pdu::Invoke(invoke) => invoke.packet,
            Pdu::Result(packet) => packet,
            _ => return None,
        };
        let (kind, rest) = packet.data.split_first()?;
        let kind = Type(*kind);
        if !matches!(kind, Type::CONNECT_REPLY | Type::RESUME) {
            return None;
        }
        let (_, session) = uintvar(rest).ok()?;
        Some((kind, session))
    })
}

impl Subject {
    /// How it is called in the log, where no subscriber's number may be: by the end of it.
    #[must_use]
    pub fn logged(&self) -> String {
        match self {
            Self::Network(network) => network.to_string(),
            Self::Number(number) => {
                let all = number.chars().count();
                let shown = number.chars().skip(all.saturating_sub(SHOWN));
                let end: String = shown.filter(|_| all > 2 * SHOWN).collect();
                format!("number …{end}")
            }
        }
    }
}

/// Digits of a number that may appear in the log. A number of at most twice that length shows no
/// digit.
const SHOWN: usize = 3;
/// Sessions, and addresses, of one subscriber that are followed.
const MAX_KNOWN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Private;

    #[test]
    fn sessions_are_known_by_the_words_that_name_them() {
        // A Result with a Connect Reply, behind an Ack; an Invoke with a Resume; a Post.
        let reply = b"\x00\x03\x18\x92\x34\x06\x12\x92\x34\x02\x81\x05";
        assert_eq!(session_of(reply), Some((Type::CONNECT_REPLY, 0x85)));
        assert_eq!(
            session_of(b"\x0A\x12\x34\x02\x09\x07\x00"),
            Some((Type::RESUME, 7))
        );
        assert_eq!(session_of(b"\x0A\x12\x34\x02\x60\x02/a\x80\x94"), None);
        assert_eq!(session_of(b"\x0A"), None);
    }

    #[test]
    fn a_subscriber_is_known_by_number_with_and_without_a_sign_and_by_alias() {
        let identity = Identity {
            msisdn: Some(Private::new("491701234567")),
            alias: Some(Private::new("test-phone")),
            ..Identity::default()
        };
        for (name, known) in [
            ("+491701234567", true),
            ("491701234567", true),
            ("test-phone", true),
            ("49170", false),
        ] {
            assert_eq!(is_called(&identity, name), known, "{name}");
        }
    }

    #[test]
    fn the_log_has_no_number() {
        for (number, logged) in [
            ("+491701234567", "number …567"),
            ("test-phöne", "number …öne"),
            ("491701", "number …"),
        ] {
            assert_eq!(Subject::Number(number.to_owned()).logged(), logged);
        }
    }

    #[test]
    fn what_is_followed_is_bounded() {
        let mut known = Vec::new();
        assert!((0..64).all(|one| remember(&mut known, one)));
        assert!(!remember(&mut known, 64) && !remember(&mut known, 3));
    }
}
