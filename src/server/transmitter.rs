//! Sends the core's datagrams through the sockets of a shard, several to one handset at a time
//! (GSO).

use std::future::pending;
use std::io;

use tracing::{debug, warn};

use crate::gateway::Gateway;
use crate::server::secure::SecureLayer;
use crate::server::socket::Socket;
use crate::server::socket_stats::SocketStats;
use crate::server::tap::Tap;
use crate::time::Instant;
use crate::wdp::{Peer, Transmit};

/// Sends datagrams. Its buffer begins with the batch being sent. Behind the batch may be one more
/// datagram, for another peer: the core had to be polled for it before the batch could end.
pub(super) struct Transmitter {
    buffer: Vec<u8>,
    /// Octets of a datagram, up to which the kernel is asked to segment a batch.
    largest_cut: usize,
    /// A batch that found the socket full, or of which a part is sent.
    left: Option<SendBatch>,
    ahead: Option<Transmit>,
    pub(super) stats: SocketStats,
}

/// Datagrams to one peer, all as long as the first; the last may be shorter.
#[derive(Clone, Copy, Debug)]
struct SendBatch {
    peer: Peer,
    each: usize,
    octets: usize,
    /// Whether the kernel segments it (GSO).
    whole: bool,
}

impl Default for Transmitter {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            largest_cut: LARGEST_CUT,
            left: None,
            ahead: None,
            stats: SocketStats::default(),
        }
    }
}

impl Transmitter {
    /// Whether a batch waits for a full socket.
    pub(super) const fn is_blocked(&self) -> bool {
        self.left.is_some()
    }

    /// Sends the core's datagrams until there are no more or a socket is full.
    pub(super) fn drain(
        &mut self,
        now: Instant,
        gateway: &mut Gateway,
        mut secure: Option<&mut SecureLayer>,
        sockets: &[Socket],
        tap: &mut Tap,
    ) {
        loop {
            let next = self.left.take();
            let poll = |buf: &mut Vec<u8>| match secure.as_deref_mut() {
                None => gateway.poll_transmit(buf),
                Some(secure) => poll_secure(now, gateway, secure, sockets, tap, buf),
            };
            let Some(mut batch) = next.or_else(|| self.next_batch(sockets, poll)) else {
                return;
            };
            let octets = match batch.whole {
                true => batch.octets,
                false => batch.octets.min(batch.each),
            };
            let sent = self.buffer.get(..octets).unwrap_or_default();
            let cut = (octets > batch.each).then_some(batch.each);
            let Some(socket) = serving(sockets, batch.peer) else {
                self.stats.send_errors += 1;
                self.forget(batch.octets);
                continue;
            };
            match socket.send(batch.peer, sent, cut) {
                Ok(()) => {
                    for datagram in sent.chunks(batch.each.max(1)) {
                        self.stats.sent += 1;
                        self.stats.sent_octets += datagram.len() as u64;
                        // What goes into records was shown before it did.
                        if !socket.service().is_secured() {
                            tap.on_sent(gateway, batch.peer, socket.service(), datagram);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stats.blocked += 1;
                    self.left = Some(batch);
                    return;
                }
                // Some drivers cannot segment, and none can when its MTU is smaller than the
                // datagrams.
                Err(error) if cut.is_some() => {
                    debug!(%error, peer = %batch.peer, "the kernel does not segment this batch");
                    if quinn_udp::is_msg_size_err(&error) {
                        self.largest_cut = batch.each - 1;
                    }
                    batch.whole = false;
                    self.left = Some(batch);
                    continue;
                }
                Err(error) if quinn_udp::is_msg_size_err(&error) => self.stats.too_large += 1,
                Err(error) => {
                    self.stats.send_errors += 1;
                    debug!(%error, peer = %batch.peer, "send failed");
                }
            }
            self.forget(octets);
            batch.octets -= octets;
            self.left = (batch.octets > 0).then_some(batch);
        }
    }

    /// Waits until the full socket is writable. Waits for ever when no socket is full.
    pub(super) async fn writable(&self, sockets: &[Socket]) {
        match self.left.and_then(|batch| serving(sockets, batch.peer)) {
            Some(socket) => {
                if let Err(error) = socket.writable().await {
                    warn!(%error, "a socket failed");
                    pending::<()>().await;
                }
            }
            None => pending().await,
        }
    }

    /// The next datagram, with those after it that go to the same peer and fit into one batch.
    fn next_batch(
        &mut self,
        sockets: &[Socket],
        mut poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>,
    ) -> Option<SendBatch> {
        let first = match self.ahead.take() {
            Some(ahead) => ahead,
            None => {
                self.buffer.clear();
                poll(&mut self.buffer)?
            }
        };
        let mut batch = SendBatch {
            peer: first.peer,
            each: first.len,
            octets: first.len,
            whole: true,
        };
        let most = match batch.each <= self.largest_cut {
            true => serving(sockets, batch.peer).map_or(1, Socket::most_at_once),
            false => 1,
        };
        for _ in 1..most {
            let Some(next) = poll(&mut self.buffer) else {
                break;
            };
            let fits = next.peer == batch.peer
                && next.len <= batch.each
                && batch.octets + next.len <= MOST_AT_ONCE;
            if !fits {
                self.ahead = Some(next);
                break;
            }
            batch.octets += next.len;
            if next.len < batch.each {
                break;
            }
        }
        Some(batch)
    }

    /// Removes octets from the beginning of the buffer.
    fn forget(&mut self, octets: usize) {
        self.buffer.drain(..octets.min(self.buffer.len()));
    }
}

/// The next datagram where there are secure ports: what WTLS has to say itself, or one of the core, in a record if it
/// goes through a secure port.
fn poll_secure(
    now: Instant,
    gateway: &mut Gateway,
    secure: &mut SecureLayer,
    sockets: &[Socket],
    tap: &mut Tap,
    buf: &mut Vec<u8>,
) -> Option<Transmit> {
    loop {
        if let Some(transmit) = secure.poll_transmit(buf) {
            return Some(transmit);
        }
        let begin = buf.len();
        let transmit = gateway.poll_transmit(buf)?;
        let service = serving(sockets, transmit.peer).map(Socket::service);
        let Some(service) = service.filter(|service| service.is_secured()) else {
            return Some(transmit);
        };
        let plain = buf.get(begin..).unwrap_or_default();
        tap.on_sent(gateway, transmit.peer, service.inside(), plain);
        // Without a connection there is nobody to send to.
        if let Some(transmit) = secure.seal(now, transmit.peer, begin, buf) {
            return Some(transmit);
        }
    }
}

fn serving(sockets: &[Socket], peer: Peer) -> Option<&Socket> {
    sockets.iter().find(|socket| socket.serves(peer))
}

/// Octets of a datagram that IP does not fragment on Ethernet; the kernel segments no larger ones.
const LARGEST_CUT: usize = 1452;
/// Octets of a batch: the largest payload of one datagram over IPv4.
const MOST_AT_ONCE: usize = 65_507;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::server::socket::bind_group;
    use crate::wdp::Service;

    fn socket() -> Socket {
        let group = bind_group("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let bound = group.into_iter().next().unwrap();
        Socket::new(bound, Service::ConnectionMode).unwrap()
    }

    /// The batches of datagrams to the peers of these ports: port, octets in all, octets of each.
    fn batches(socket: Socket, datagrams: &[(u16, usize)]) -> Vec<(u16, usize, usize)> {
        let local = socket.local();
        let mut datagrams = datagrams.iter();
        let mut transmitter = Transmitter::default();
        let sockets = [socket];
        let mut batches = Vec::new();
        let mut poll = |buf: &mut Vec<u8>| {
            let (port, len) = *datagrams.next()?;
            buf.resize(buf.len() + len, 0);
            let peer = Peer::new(SocketAddr::from(([192, 0, 2, 1], port)), local);
            Some(Transmit { peer, len })
        };
        while let Some(batch) = transmitter.next_batch(&sockets, &mut poll) {
            transmitter.forget(batch.octets);
            batches.push((batch.peer.remote.port(), batch.octets, batch.each));
        }
        assert!(transmitter.buffer.is_empty());
        batches
    }

    #[tokio::test]
    async fn packets_to_one_peer_go_together_as_long_as_they_are_equal() {
        let packets = [
            (1, 900),
            (1, 900),
            (1, 300),
            (1, 900),
            (2, 900),
            (2, 901),
            (1, 900),
        ];
        assert_eq!(
            batches(socket(), &packets),
            [
                (1, 2100, 900),
                (1, 900, 900),
                (2, 900, 900),
                (2, 901, 901),
                (1, 900, 900)
            ]
        );
    }

    #[tokio::test]
    async fn no_more_than_the_kernel_takes_and_nothing_that_ip_would_cut() {
        let many = [(1, 1400); 100];
        let most = MOST_AT_ONCE / 1400;
        let octets: Vec<_> = batches(socket(), &many)
            .iter()
            .map(|batch| batch.1)
            .collect();
        assert_eq!(octets, [most * 1400, most * 1400, (100 - 2 * most) * 1400]);
        assert_eq!(
            batches(socket(), &[(1, 3000), (1, 3000)]),
            [(1, 3000, 3000), (1, 3000, 3000)]
        );
    }
}
