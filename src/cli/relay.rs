//! A bad network between real sockets: a UDP relay with the simulator's impairments.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UdpSocket;

use crate::random::Random;
use crate::server::clock::Clock;
use crate::sim::Network;

/// Counters of the relay.
#[derive(Debug, Default)]
pub(super) struct RelayStats {
    /// Datagrams that came in.
    pub(super) carried: AtomicU64,
    /// Octets that came in.
    pub(super) octets: AtomicU64,
    /// Datagrams lost on purpose.
    pub(super) lost: AtomicU64,
    /// Datagrams delivered twice on purpose.
    pub(super) doubled: AtomicU64,
}

/// Relays between the senders to `socket` and `gateway`, with a port of its own for each sender,
/// until the task is dropped.
pub(super) async fn run(
    socket: UdpSocket,
    gateway: SocketAddr,
    network: Network,
    seed: u64,
    counts: Arc<RelayStats>,
) -> io::Result<()> {
    let socket = Arc::new(socket);
    let mut senders: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut way = RelayDirection::new(network.clone(), seed, Arc::clone(&counts));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (len, sender) = socket.recv_from(&mut buffer).await?;
        let octets = buffer.get(..len).unwrap_or_default();
        let own = match senders.get(&sender) {
            Some(own) => Arc::clone(own),
            None => {
                let own = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
                own.connect(gateway).await?;
                let own = Arc::new(own);
                senders.insert(sender, Arc::clone(&own));
                let back_seed = seed.wrapping_add(senders.len() as u64);
                let back = RelayDirection::new(network.clone(), back_seed, Arc::clone(&counts));
                tokio::spawn(relay_back(
                    Arc::clone(&own),
                    Arc::clone(&socket),
                    sender,
                    back,
                ));
                own
            }
        };
        way.carry(octets, |octets| {
            let own = Arc::clone(&own);
            // A datagram that the kernel refuses is one more loss.
            async move { drop(own.send(&octets).await) }
        });
    }
}

async fn relay_back(
    own: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    sender: SocketAddr,
    mut way: RelayDirection,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len) = own.recv(&mut buffer).await {
        let octets = buffer.get(..len).unwrap_or_default();
        way.carry(octets, |octets| {
            let socket = Arc::clone(&socket);
            async move { drop(socket.send_to(&octets, sender).await) }
        });
    }
}

/// One direction.
struct RelayDirection {
    network: Network,
    random: Random,
    clock: Clock,
    counts: Arc<RelayStats>,
}

impl RelayDirection {
    fn new(network: Network, seed: u64, counts: Arc<RelayStats>) -> Self {
        Self {
            network,
            random: Random::new(seed),
            clock: Clock::start(),
            counts,
        }
    }

    /// Sends the copies of a datagram when their time has come.
    fn carry<F>(&mut self, octets: &[u8], send: impl Fn(Vec<u8>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.counts.carried.fetch_add(1, Ordering::Relaxed);
        self.counts
            .octets
            .fetch_add(octets.len() as u64, Ordering::Relaxed);
        let arrivals = self
            .network
            .carry(self.clock.now(), octets.len(), &mut self.random);
        match arrivals {
            [None, _] => drop(self.counts.lost.fetch_add(1, Ordering::Relaxed)),
            [_, Some(_)] => drop(self.counts.doubled.fetch_add(1, Ordering::Relaxed)),
            [Some(_), None] => {}
        }
        for at in arrivals.into_iter().flatten() {
            let at = self.clock.system(at).into();
            let sending = send(octets.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                sending.await;
            });
        }
    }
}
