//! UDP sockets: binds the sockets of one address, receives in batches, sends from the address that
//! received.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::wdp::{Datagram, Peer, Service};

/// One bound socket of one shard.
#[derive(Debug)]
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    service: Service,
}

/// Binds one socket per shard to the same address.
///
/// # Errors
/// When the address cannot be bound, or another process holds it: SO_REUSEPORT would silently give
/// each half of the handsets.
pub(super) fn bind_group(
    address: SocketAddr,
    shards: usize,
) -> io::Result<Vec<std::net::UdpSocket>> {
    // Without SO_REUSEPORT the kernel refuses an address that another socket holds.
    let probe = new_socket(address, false)?;
    // Port 0 is decided here, once for all shards.
    let address = probe.local_addr()?;
    drop(probe);
    (0..shards).map(|_| new_socket(address, true)).collect()
}

/// Discards received datagrams, and returns their number. While the sockets of an address were
/// opened one by one, the kernel distributed handsets over fewer sockets, so these datagrams are at
/// the wrong shard. Handsets send them again.
pub(super) fn discard(sockets: &[(Service, std::net::UdpSocket)]) -> io::Result<u64> {
    let mut discarded = 0;
    for (_, socket) in sockets {
        loop {
            match socket.recv(&mut [0; 1]) {
                Ok(_) => discarded += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(discarded)
}

fn new_socket(address: SocketAddr, share: bool) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] may both be configured; each takes its own family.
        socket.set_only_v6(true)?;
    }
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    // A burst waits in the kernel while a turn is under way; a smaller grant is accepted.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Socket {
    /// Takes a bound socket into the current runtime.
    pub(super) fn new(socket: std::net::UdpSocket, service: Service) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let state = UdpSocketState::new((&socket).into())?;
        // quinn-udp forbids fragmentation, as QUIC requires. A reply to a handset without
        // segmentation is one datagram of any size, so IP must be allowed to fragment it.
        if local.is_ipv4() {
            sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?;
        } else {
            sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DONT)?;
        }
        Ok(Self {
            io: UdpSocket::from_std(socket)?,
            state,
            local,
            service,
        })
    }

    /// Where it is bound.
    #[cfg(test)]
    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The service of this socket.
    pub(super) const fn service(&self) -> Service {
        self.service
    }

    /// Whether something can be received.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv_ready(cx)
    }

    /// Waits until something can be sent.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Receives at most one batch; `WouldBlock` when no datagram waits.
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.received = 0;
        let Batch { buffers, metas, .. } = batch;
        let mut rest = buffers.iter_mut();
        let mut slices: [_; BATCH_SIZE] = std::array::from_fn(|_| {
            IoSliceMut::new(rest.next().map_or(&mut [][..], Vec::as_mut_slice))
        });
        batch.received = self.io.try_io(Interest::READABLE, || {
            self.state.recv((&self.io).into(), &mut slices, metas)
        })?;
        Ok(())
    }

    /// Number of datagrams of equal size to one peer that the kernel accepts at a time (GSO); 1
    /// without segmentation offload.
    pub(super) fn most_at_once(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends to a peer from the address it sent to; `WouldBlock` when the kernel is full. If `each`
    /// is given, the kernel cuts the octets into datagrams of so many, of which the last may be
    /// shorter.
    pub(super) fn send(&self, peer: Peer, contents: &[u8], each: Option<usize>) -> io::Result<()> {
        let transmit = Transmit {
            destination: peer.remote.into(),
            ecn: None,
            contents,
            segment_size: each,
            src_ip: self.local.ip().is_unspecified().then(|| peer.local.ip()),
        };
        self.io.try_io(Interest::WRITABLE, || {
            self.state.try_send((&self.io).into(), &transmit)
        })
    }

    /// Whether datagrams of this conversation leave through this socket.
    pub(super) fn serves(&self, peer: Peer) -> bool {
        let ip = peer.local.ip();
        self.local.port() == peer.local.port()
            && (self.local.ip() == ip
                || self.local.ip().is_unspecified() && self.local.is_ipv4() == ip.is_ipv4())
    }

    /// The datagrams of a batch this socket received.
    pub(super) fn datagrams<'a>(&self, batch: &'a Batch) -> impl Iterator<Item = Datagram<'a>> {
        let local = self.local;
        let service = self.service;
        batch
            .metas
            .iter()
            .zip(&batch.buffers)
            .take(batch.received)
            .flat_map(move |(meta, buffer)| {
                let to = SocketAddr::new(
                    meta.dst_ip.map_or_else(|| local.ip(), canonical),
                    local.port(),
                );
                let peer = Peer::new(meta.addr, to);
                let octets = buffer.get(..meta.len).unwrap_or_default();
                // The kernel may have joined datagrams of one sender (GRO); `stride` is their size.
                // Our protocols have no empty datagrams.
                octets
                    .chunks(meta.stride.max(1))
                    .map(move |payload| Datagram {
                        peer,
                        service,
                        payload,
                    })
            })
    }
}

/// Buffers for one batch, shared by the sockets of a shard.
#[derive(Debug)]
pub(super) struct Batch {
    buffers: Vec<Vec<u8>>,
    metas: Vec<RecvMeta>,
    received: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            buffers: (0..BATCH_SIZE).map(|_| vec![0; LARGEST_BUFFER]).collect(),
            metas: vec![RecvMeta::default(); BATCH_SIZE],
            received: 0,
        }
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Largest size of a joined batch of datagrams in octets (GRO).
const LARGEST_BUFFER: usize = 64 * 1024;

/// Asked of the kernel for each socket; it may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_shares_one_port_and_a_second_process_is_refused() {
        let any = "127.0.0.1:0".parse().unwrap();
        let group = bind_group(any, 2).unwrap();
        let first = group[0].local_addr().unwrap();
        assert_eq!(first, group[1].local_addr().unwrap());
        let error = bind_group(first, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn what_came_before_the_group_was_whole_is_thrown_away() {
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let group = bind_group("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        client.connect(group[0].local_addr().unwrap()).unwrap();
        let shard: Vec<_> = group
            .into_iter()
            .map(|socket| (Service::ConnectionMode, socket))
            .collect();
        for early in [&b"one"[..], b"two"] {
            client.send(early).unwrap();
        }
        assert_eq!(discard(&shard).unwrap(), 2);
        client.send(b"three").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(shard[0].1.recv(&mut buffer).unwrap(), 5);
    }

    #[tokio::test]
    async fn an_answer_leaves_from_the_address_it_was_sent_to() {
        let bound = bind_group("0.0.0.0:0".parse().unwrap(), 1)
            .unwrap()
            .remove(0);
        let port = bound.local_addr().unwrap().port();
        let socket = Socket::new(bound, Service::ConnectionMode).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target: SocketAddr = format!("127.0.0.77:{port}").parse().unwrap();
        client.send_to(b"question", target).await.unwrap();
        std::future::poll_fn(|cx| socket.poll_readable(cx))
            .await
            .unwrap();
        let mut batch = Batch::new();
        socket.receive(&mut batch).unwrap();
        let datagram = socket.datagrams(&batch).next().unwrap();
        assert_eq!(datagram.payload, b"question");
        assert_eq!(SocketAddr::from(datagram.peer.local), target);
        assert!(socket.serves(datagram.peer));
        socket.send(datagram.peer, b"answer", None).unwrap();
        let mut buffer = [0; 16];
        let (len, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..len], from), (&b"answer"[..], target));
    }

    #[tokio::test]
    async fn the_kernel_cuts_a_batch_into_datagrams() {
        let bound = bind_group("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let bound = bound.into_iter().next().unwrap();
        let address = bound.local_addr().unwrap();
        let socket = Socket::new(bound, Service::ConnectionMode).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer::new(client.local_addr().unwrap(), address);
        assert!(socket.most_at_once() > 1, "a kernel without UDP_SEGMENT");
        socket.writable().await.unwrap();
        socket.send(peer, b"onetwofour", Some(3)).unwrap();
        let mut buffer = [0; 16];
        for expected in [&b"one"[..], b"two", b"fou", b"r"] {
            let len = client.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..len], expected);
        }
    }

    #[tokio::test]
    async fn a_datagram_above_the_mtu_may_be_cut_by_ip() {
        let bound = bind_group("127.0.0.1:0".parse().unwrap(), 1)
            .unwrap()
            .remove(0);
        let socket = Socket::new(bound, Service::ConnectionMode).unwrap();
        let mode = sockopt::ip_mtu_discover(&socket.io).unwrap();
        assert_eq!(mode, Ipv4PathMtuDiscovery::DONT);
    }
}
