//! The way out of a shard: what the core has to say goes to the sockets, packets to one handset at a time.

use std::future::pending;
use std::io;

use tracing::{debug, warn};

use crate::gateway::Gateway;
use crate::server::counts::ShellStats;
use crate::server::socket::Socket;
use crate::server::tap::Tap;
use crate::wdp::{Peer, Transmit};

/// One buffer: what is being sent is at its beginning, and behind it may be the datagram that had to be polled to know
/// that it goes to somebody else.
pub(super) struct Outbox {
    buffer: Vec<u8>,
    /// Octets of a datagram up to which the kernel is asked to cut.
    largest_cut: usize,
    /// Found the socket full, or could not be sent all at once.
    left: Option<Train>,
    ahead: Option<Transmit>,
    pub(super) stats: ShellStats,
}

/// Datagrams to one peer, each as long as the first but the last one, which may be shorter.
#[derive(Clone, Copy, Debug)]
struct Train {
    peer: Peer,
    each: usize,
    octets: usize,
    /// The kernel cuts it (GSO).
    whole: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            largest_cut: LARGEST_CUT,
            left: None,
            ahead: None,
            stats: ShellStats::default(),
        }
    }
}

impl Outbox {
    /// Whether a socket is full, and something waits for it.
    pub(super) const fn is_blocked(&self) -> bool {
        self.left.is_some()
    }

    /// Sends what the core has to say until it is silent or a socket is full.
    pub(super) fn drain(&mut self, gateway: &mut Gateway, sockets: &[Socket], tap: &mut Tap) {
        loop {
            let next = self.left.take();
            let Some(mut train) =
                next.or_else(|| self.couple(sockets, |buf| gateway.poll_transmit(buf)))
            else {
                return;
            };
            let octets = match train.whole {
                true => train.octets,
                false => train.octets.min(train.each),
            };
            let sent = self.buffer.get(..octets).unwrap_or_default();
            let cut = (octets > train.each).then_some(train.each);
            let Some(socket) = serving(sockets, train.peer) else {
                self.stats.send_errors += 1;
                self.forget(train.octets);
                continue;
            };
            match socket.send(train.peer, sent, cut) {
                Ok(()) => {
                    for datagram in sent.chunks(train.each.max(1)) {
                        self.stats.sent += 1;
                        self.stats.sent_octets += datagram.len() as u64;
                        tap.said(gateway, train.peer, socket.service(), datagram);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stats.blocked += 1;
                    self.left = Some(train);
                    return;
                }
                // Not every interface can, as the socket then knows, and none whose MTU is smaller than the packets are.
                Err(error) if cut.is_some() => {
                    debug!(%error, peer = %train.peer, "the kernel does not cut this into datagrams");
                    if quinn_udp::is_msg_size_err(&error) {
                        self.largest_cut = train.each - 1;
                    }
                    train.whole = false;
                    self.left = Some(train);
                    continue;
                }
                Err(error) if quinn_udp::is_msg_size_err(&error) => self.stats.too_large += 1,
                Err(error) => {
                    self.stats.send_errors += 1;
                    debug!(%error, peer = %train.peer, "send failed");
                }
            }
            self.forget(octets);
            train.octets -= octets;
            self.left = (train.octets > 0).then_some(train);
        }
    }

    /// Waits until the socket that was full is not; forever when none was.
    pub(super) async fn writable(&self, sockets: &[Socket]) {
        match self.left.and_then(|train| serving(sockets, train.peer)) {
            Some(socket) => {
                if let Err(error) = socket.writable().await {
                    warn!(%error, "a socket cannot be written to any more");
                    pending::<()>().await;
                }
            }
            None => pending().await,
        }
    }

    /// The next datagram, and those that follow it to the same peer, as far as they can go with it.
    fn couple(
        &mut self,
        sockets: &[Socket],
        mut poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>,
    ) -> Option<Train> {
        let first = match self.ahead.take() {
            Some(ahead) => ahead,
            None => {
                self.buffer.clear();
                poll(&mut self.buffer)?
            }
        };
        let mut train = Train {
            peer: first.peer,
            each: first.len,
            octets: first.len,
            whole: true,
        };
        let most = match train.each <= self.largest_cut {
            true => serving(sockets, train.peer).map_or(1, Socket::most_at_once),
            false => 1,
        };
        for _ in 1..most {
            let Some(next) = poll(&mut self.buffer) else {
                break;
            };
            let fits = next.peer == train.peer
                && next.len <= train.each
                && train.octets + next.len <= MOST_AT_ONCE;
            if !fits {
                self.ahead = Some(next);
                break;
            }
            train.octets += next.len;
            if next.len < train.each {
                break;
            }
        }
        Some(train)
    }

    /// What is at the beginning of the buffer has been dealt with.
    fn forget(&mut self, octets: usize) {
        self.buffer.drain(..octets.min(self.buffer.len()));
    }
}

fn serving(sockets: &[Socket], peer: Peer) -> Option<&Socket> {
    sockets.iter().find(|socket| socket.serves(peer))
}

/// Octets of a datagram that IP need not fragment on Ethernet: the kernel makes none that it would have to.
const LARGEST_CUT: usize = 1452;
/// Octets the kernel takes at a time: the most that one datagram over IPv4 could have.
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

    /// What is coupled of datagrams to the peers of these ports: how many octets go at a time, and each how many.
    fn trains(socket: Socket, datagrams: &[(u16, usize)]) -> Vec<(u16, usize, usize)> {
        let local = socket.local();
        let mut datagrams = datagrams.iter();
        let mut outbox = Outbox::default();
        let sockets = [socket];
        let mut trains = Vec::new();
        let mut poll = |buf: &mut Vec<u8>| {
            let (port, len) = *datagrams.next()?;
            buf.resize(buf.len() + len, 0);
            let peer = Peer::new(SocketAddr::from(([192, 0, 2, 1], port)), local);
            Some(Transmit { peer, len })
        };
        while let Some(train) = outbox.couple(&sockets, &mut poll) {
            outbox.forget(train.octets);
            trains.push((train.peer.remote.port(), train.octets, train.each));
        }
        assert!(outbox.buffer.is_empty());
        trains
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
            trains(socket(), &packets),
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
        let octets: Vec<_> = trains(socket(), &many)
            .iter()
            .map(|train| train.1)
            .collect();
        assert_eq!(octets, [most * 1400, most * 1400, (100 - 2 * most) * 1400]);
        assert_eq!(
            trains(socket(), &[(1, 3000), (1, 3000)]),
            [(1, 3000, 3000), (1, 3000, 3000)]
        );
    }
}
