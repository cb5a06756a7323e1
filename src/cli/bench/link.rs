//! The way between many handsets and the gateway: few sockets, many addresses.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Type};

use crate::cli::bench::addresses::AddressPool;
use crate::random::Random;
use crate::time::Instant;

/// The sockets of all handsets.
pub(super) struct Link {
    gateway: SocketAddr,
    /// Addresses of handsets that share sockets; `None` gives each handset a socket of its own.
    source: Option<AddressPool>,
    sockets: Vec<LinkSocket>,
    buffers: Vec<Vec<u8>>,
    metas: Vec<RecvMeta>,
    loss: f64,
    delay: Duration,
    random: Random,
    /// Datagrams on their way; all take the same time.
    in_flight: VecDeque<InFlight>,
    /// Counters of the link.
    pub(super) stats: LinkStats,
}

/// One socket.
struct LinkSocket {
    socket: UdpSocket,
    state: UdpSocketState,
}

struct InFlight {
    at: Instant,
    who: u32,
    up: bool,
    octets: Box<[u8]>,
}

/// Counters of the air.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkStats {
    /// Datagrams sent, including those that the simulated network lost.
    pub(super) sent: u64,
    /// Datagrams received, including those that the simulated network lost.
    pub(super) received: u64,
    /// Datagrams lost on purpose.
    pub(super) lost: u64,
    /// Datagrams the kernel would not send.
    pub(super) refused: u64,
}

impl Link {
    /// Opens the way for `handsets` to `gateway`. `loss` is a share, and both hold for each
    /// direction.
    pub(super) fn open(
        gateway: SocketAddr,
        source: Option<AddressPool>,
        handsets: u32,
        (loss, delay): (f64, Duration),
        seed: u64,
    ) -> anyhow::Result<Self> {
        let source = match source {
            None if gateway.ip().to_canonical().is_loopback() && gateway.is_ipv4() => {
                Some(AddressPool::LOOPBACK)
            }
            named => named,
        };
        if let Some(source) = source
            && !source.holds(handsets)
        {
            bail!("{source} has not enough addresses for {handsets} handsets");
        }
        let sockets = match source {
            Some(_) => SHARED,
            None if handsets > ALONE => bail!(
                "{handsets} handsets with a socket each are too many: give them a network of this host's own \
                 with --source (ip route add local 10.9.0.0/16 dev lo), or ask for at most {ALONE}"
            ),
            None => handsets,
        };
        let sockets = (0..sockets)
            .map(|_| LinkSocket::open(gateway, source.is_some()))
            .collect::<io::Result<_>>()
            .context("the handsets' sockets")?;
        Ok(Self {
            gateway,
            source,
            sockets,
            buffers: (0..BATCH_SIZE).map(|_| vec![0; LARGEST_BUFFER]).collect(),
            metas: vec![RecvMeta::default(); BATCH_SIZE],
            loss,
            delay,
            random: Random::new(seed),
            in_flight: VecDeque::new(),
            stats: LinkStats::default(),
        })
    }

    /// Waits until something comes, or so long.
    pub(super) fn wait(&self, time: Duration) -> io::Result<()> {
        let mut polled: Vec<_> = self
            .sockets
            .iter()
            .map(|line| PollFd::new(&line.socket, PollFlags::IN))
            .collect();
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives `take` each received datagram with its handset.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        mut take: impl FnMut(u32, &[u8]),
    ) -> io::Result<()> {
        let Self {
            gateway,
            source,
            sockets,
            buffers,
            metas,
            ..
        } = self;
        for (number, line) in sockets.iter().enumerate() {
            let received = match line.receive(buffers, metas) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            for (meta, buffer) in metas.iter().zip(&*buffers).take(received) {
                if meta.addr != *gateway {
                    continue;
                }
                let who = match source {
                    Some(source) => meta.dst_ip.and_then(|ip| source.index_of(ip)),
                    None => u32::try_from(number).ok(),
                };
                let Some(who) = who else {
                    continue;
                };
                let octets = buffer.get(..meta.len).unwrap_or_default();
                for payload in octets.chunks(meta.stride.max(1)) {
                    self.stats.received += 1;
                    if self.loss > 0.0 && self.random.chance(self.loss) {
                        self.stats.lost += 1;
                    } else if self.delay.is_zero() {
                        take(who, payload);
                    } else {
                        self.in_flight.push_back(InFlight {
                            at: now + self.delay,
                            who,
                            up: false,
                            octets: payload.into(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// A handset sends.
    pub(super) fn send(&mut self, now: Instant, who: u32, octets: &[u8]) -> io::Result<()> {
        self.stats.sent += 1;
        if self.loss > 0.0 && self.random.chance(self.loss) {
            self.stats.lost += 1;
            return Ok(());
        }
        if self.delay.is_zero() {
            return self.put(who, octets);
        }
        self.in_flight.push_back(InFlight {
            at: now + self.delay,
            who,
            up: true,
            octets: octets.into(),
        });
        Ok(())
    }

    /// Delivers delayed datagrams to the gateway, or to `take`.
    pub(super) fn deliver(
        &mut self,
        now: Instant,
        mut take: impl FnMut(u32, &[u8]),
    ) -> io::Result<()> {
        while self.in_flight.front().is_some_and(|first| first.at <= now)
            && let Some(first) = self.in_flight.pop_front()
        {
            match first.up {
                true => self.put(first.who, &first.octets)?,
                false => take(first.who, &first.octets),
            }
        }
        Ok(())
    }

    /// When [`deliver`](Self::deliver) has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.in_flight.front().map(|first| first.at)
    }

    fn put(&mut self, who: u32, octets: &[u8]) -> io::Result<()> {
        let sockets = self.sockets.len().max(1);
        let Some(line) = self.sockets.get(who as usize % sockets) else {
            return Ok(());
        };
        let transmit = Transmit {
            destination: self.gateway,
            ecn: None,
            contents: octets,
            segment_size: None,
            src_ip: self.source.map(|source| source.address(who)),
        };
        loop {
            match line.state.try_send((&line.socket).into(), &transmit) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&line.socket, PollFlags::OUT)], None)?;
                }
                Err(error)
                    if error.raw_os_error()
                        == Some(rustix::io::Errno::ADDRNOTAVAIL.raw_os_error()) =>
                {
                    return Err(io::Error::new(
                        error.kind(),
                        "this host does not have the addresses of --source (ip route add local NETWORK dev lo)",
                    ));
                }
                Err(_) => {
                    self.stats.refused += 1;
                    return Ok(());
                }
            }
        }
    }
}

impl LinkSocket {
    fn open(gateway: SocketAddr, shared: bool) -> io::Result<Self> {
        let domain = Domain::for_address(gateway);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        // A smaller grant is accepted.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let any: IpAddr = match gateway {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.bind(&SocketAddr::new(any, 0).into())?;
        if !shared {
            socket.connect(&gateway.into())?;
        }
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, state })
    }

    fn receive(&self, buffers: &mut [Vec<u8>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        let mut rest = buffers.iter_mut();
        let mut slices: [_; BATCH_SIZE] = std::array::from_fn(|_| {
            IoSliceMut::new(rest.next().map_or(&mut [][..], Vec::as_mut_slice))
        });
        match self.state.recv((&self.socket).into(), &mut slices, metas) {
            // The port is closed at the moment. The handset retransmits.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            received => received,
        }
    }
}

/// Sockets that all handsets share.
const SHARED: u32 = 4;
/// Handsets that may have a socket each.
const ALONE: u32 = 512;
/// Largest size of a joined batch of datagrams in octets (GRO).
const LARGEST_BUFFER: usize = 64 * 1024;
/// Asked of the kernel for each socket; it may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;
