//! The tap for traces: while one is armed, what its subscriber says and hears is copied into a bounded channel.
//!
//! Nothing waits for whoever reads it: what does not fit is counted and lost. While none is armed, a datagram costs
//! one comparison.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::codec::uintvar;
use crate::gateway::Gateway;
use crate::gateway::fetch::{FetchError, Reply, Request, RequestId};
use crate::gateway::record::ExchangeRecord;
use crate::identity::Identity;
use crate::route::Network;
use crate::server::clock::Clock;
use crate::server::shard::Order;
use crate::server::shards::Shards;
use crate::trace::Seen;
use crate::wdp::{Address, Datagram, Peer, Service};
use crate::wsp::pdu::Type;
use crate::wtp::concat::separate;
use crate::wtp::pdu::Pdu;

/// Whom a trace is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Whoever has an address of this network.
    Network(Network),
    /// Whoever has an address that is known to be this subscriber's: by number or by alias.
    Number(String),
}

/// What a tap is told.
#[derive(Clone, Debug)]
pub(super) enum TapOrder {
    Arm(Watch),
    Disarm(u64),
    /// The subscriber has this session.
    Session(u64, u32),
    /// The subscriber has this address, too.
    Moved(u64, Address),
}

/// A trace, as the taps know it.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Its number.
    pub id: u64,
    /// Whom it is about.
    pub subject: Subject,
    /// Where what is caught goes.
    pub caught: mpsc::Sender<Caught>,
    /// How much did not fit.
    pub lost: Arc<AtomicU64>,
}

/// What a tap catches.
#[derive(Debug)]
pub enum Caught {
    /// Something that was seen, and when, since 1970.
    Seen(Duration, Seen),
    /// The subscriber has this session.
    Session(u32),
    /// The subscriber's session was resumed from there.
    Moved(Address),
}

impl Shards {
    /// Begins to catch.
    pub async fn arm(&self, watch: &Watch) {
        self.tap(TapOrder::Arm(watch.clone())).await;
    }

    /// Catches nothing any more for the trace of this number.
    pub async fn disarm(&self, id: u64) {
        self.tap(TapOrder::Disarm(id)).await;
    }

    /// Tells every tap that the subscriber has this session, so that its Resume is known wherever it arrives.
    pub async fn follow_session(&self, id: u64, session: u32) {
        self.tap(TapOrder::Session(id, session)).await;
    }

    /// Tells every tap that the subscriber has this address as well.
    pub async fn follow_address(&self, id: u64, address: Address) {
        self.tap(TapOrder::Moved(id, address)).await;
    }

    async fn tap(&self, order: TapOrder) {
        self.order(|| Order::Tap(order.clone())).await;
    }
}

/// The tap of one shard.
#[derive(Debug)]
pub(super) struct Tap {
    clock: Clock,
    watches: Vec<Watching>,
}

#[derive(Debug)]
struct Watching {
    watch: Watch,
    sessions: Vec<u32>,
    moved: Vec<Address>,
    /// Requests under way that this trace has seen leave.
    requests: BTreeMap<RequestId, Peer>,
}

impl Tap {
    pub(super) const fn new(clock: Clock) -> Self {
        Self {
            clock,
            watches: Vec::new(),
        }
    }

    pub(super) fn obey(&mut self, order: TapOrder) {
        let watching = |watches: &mut Vec<Watching>, id, then: &dyn Fn(&mut Watching)| {
            let found = watches.iter_mut().find(|found| found.watch.id == id);
            found.into_iter().for_each(then);
        };
        match order {
            TapOrder::Arm(watch) => self.watches.push(Watching {
                watch,
                sessions: Vec::new(),
                moved: Vec::new(),
                requests: BTreeMap::new(),
            }),
            TapOrder::Disarm(id) => self.watches.retain(|found| found.watch.id != id),
            TapOrder::Session(id, session) => watching(&mut self.watches, id, &|found| {
                remember(&mut found.sessions, session);
            }),
            TapOrder::Moved(id, address) => watching(&mut self.watches, id, &|found| {
                remember(&mut found.moved, address);
            }),
        }
    }

    /// A datagram arrived.
    #[inline]
    pub(super) fn heard(&mut self, gateway: &Gateway, datagram: Datagram<'_>) {
        if !self.watches.is_empty() {
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
    pub(super) fn said(&mut self, gateway: &Gateway, peer: Peer, service: Service, payload: &[u8]) {
        if !self.watches.is_empty() {
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
            Service::ConnectionMode => session_of(payload),
            Service::Connectionless => None,
        };
        for watching in &mut self.watches {
            let known = watching.knows(gateway, peer);
            // Its session, resumed from an address that nobody told us of.
            let resumed = !known
                && !sent
                && matches!(named, Some((Type::RESUME, session)) if watching.sessions.contains(&session));
            if resumed && remember(&mut watching.moved, peer.remote) {
                let note = format!(
                    "the session was resumed from {}, which is followed from here on",
                    peer.remote
                );
                watching.catch(Caught::Seen(at, Seen::Note(note)));
                watching.catch(Caught::Moved(peer.remote));
            }
            if !known && !resumed {
                continue;
            }
            // Our word counts, and the handset's own on its session; it could claim any with a Resume.
            if let Some((Type::CONNECT_REPLY, session)) = named
                && sent
                && remember(&mut watching.sessions, session)
            {
                watching.catch(Caught::Session(session));
            }
            let octets = payload.to_vec();
            let seen = Seen::Datagram {
                peer,
                service,
                sent,
                octets,
            };
            watching.catch(Caught::Seen(at, seen));
        }
    }

    /// A request goes upstream.
    pub(super) fn asked(&mut self, gateway: &Gateway, id: RequestId, request: &Request) {
        if self.watches.is_empty() {
            return;
        }
        let at = Duration::from_micros(self.clock.wall());
        let Some(peer) = gateway.asker(id) else {
            return;
        };
        for watching in &mut self.watches {
            if watching.knows(gateway, peer) {
                watching.requests.insert(id, peer);
                let seen = Seen::Asked {
                    peer,
                    request: id.to_string(),
                    method: request.method.to_string(),
                    uri: request.uri.to_string(),
                    octets: request.body.len(),
                };
                watching.catch(Caught::Seen(at, seen));
            }
        }
    }

    /// Its answer is here, or will never be.
    pub(super) fn answered(&mut self, id: RequestId, answer: &Result<Reply, FetchError>) {
        self.ended(id, |peer| Seen::Answered {
            peer,
            request: id.to_string(),
            answer: match answer {
                Ok(reply) => Ok((reply.status.as_u16(), reply.body.len())),
                Err(error) => Err(error.to_string()),
            },
        });
    }

    /// Nobody waits for it any more.
    pub(super) fn cancelled(&mut self, id: RequestId) {
        self.ended(id, |peer| Seen::Cancelled {
            peer,
            request: id.to_string(),
        });
    }

    fn ended(&mut self, id: RequestId, seen: impl Fn(Peer) -> Seen) {
        for watching in &mut self.watches {
            if let Some(peer) = watching.requests.remove(&id) {
                let at = Duration::from_micros(self.clock.wall());
                watching.catch(Caught::Seen(at, seen(peer)));
            }
        }
    }

    /// An exchange is over.
    pub(super) fn finished(&mut self, gateway: &Gateway, record: &ExchangeRecord) {
        for watching in &mut self.watches {
            if !watching.knows(gateway, record.peer) {
                continue;
            }
            if let Some(session) = record.session
                && remember(&mut watching.sessions, session)
            {
                watching.catch(Caught::Session(session));
            }
            let at = Duration::from_micros(self.clock.wall());
            let seen = Seen::Finished(Box::new(record.clone()));
            watching.catch(Caught::Seen(at, seen));
        }
    }
}

impl Watching {
    fn knows(&self, gateway: &Gateway, peer: Peer) -> bool {
        let address = peer.remote.ip();
        let is_subject = match &self.watch.subject {
            Subject::Network(network) => network.contains(address),
            Subject::Number(number) => {
                let identity = gateway.identity(address);
                identity.is_some_and(|identity| is_called(identity, number))
            }
        };
        is_subject || self.moved.contains(&peer.remote)
    }

    fn catch(&self, caught: Caught) {
        if self.watch.caught.try_send(caught).is_err() {
            self.watch.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the subscriber has this number or alias; a sign before a number says nothing.
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

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Number(number) => f.write_str(number),
        }
    }
}

/// Of a number that may be read in the log; none of one that is not longer than twice that.
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
