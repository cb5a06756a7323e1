//! Sockets that a service manager bound and holds across processes (systemd's socket activation).
//!
//! Datagrams that come while no process reads wait in the sockets. Their number per address is the
//! number of shards: the kernel distributes handsets over the sockets of an address, and the
//! distribution must not change from one process to the next.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use listenfd::ListenFd;
use socket2::SockRef;

use crate::wdp::Service;

/// Inherited sockets; mostly none.
#[derive(Debug, Default)]
pub struct Inherited(Vec<UdpSocket>);

/// Why inherited sockets cannot be used. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// A descriptor is no UDP socket.
    #[error(
        "descriptor {number} of those in LISTEN_FDS is no UDP socket; a socket unit for us has \
         ListenDatagram= and nothing else"
    )]
    Kind {
        /// Its position among the descriptors, from 0.
        number: usize,
        /// The system's word.
        source: io::Error,
    },
    /// The addresses are not those configured.
    #[error(
        "the service manager gave us {}, but [listen] names {}; write the same into both",
        list(.given),
        list(.configured)
    )]
    Addresses {
        /// The addresses of the inherited sockets.
        given: Vec<SocketAddr>,
        /// The configured addresses.
        configured: Vec<SocketAddr>,
    },
    /// The addresses have different numbers of sockets.
    #[error(
        "the service manager gave us {count} socket(s) on {address} and {other_count} on {other}; each shard needs one \
         of each, so name every ListenDatagram= equally often"
    )]
    Numbers {
        /// One address.
        address: SocketAddr,
        /// Its sockets.
        count: usize,
        /// The other.
        other: SocketAddr,
        /// Its sockets.
        other_count: usize,
    },
    /// Several sockets on one address, without SO_REUSEPORT.
    #[error(
        "the sockets on {0} do not share it (SO_REUSEPORT); set ReusePort=yes in the socket unit"
    )]
    NotShared(SocketAddr),
    /// The same socket under two descriptors: two shards would read each other's datagrams.
    #[error("one socket on {0} was given to us twice; name every ListenDatagram= of its own")]
    Twice(SocketAddr),
    /// An IPv6 socket that accepts IPv4 too.
    #[error("the socket on {0} takes IPv4 as well; set BindIPv6Only=ipv6-only in the socket unit")]
    BothFamilies(SocketAddr),
    /// The system's word.
    #[error("an inherited socket cannot be used")]
    System(#[from] io::Error),
}

fn list(addresses: &[SocketAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    match all.is_empty() {
        true => "nothing".to_owned(),
        false => all.join(", "),
    }
}

impl Inherited {
    /// Takes the sockets named by LISTEN_FDS and LISTEN_PID, and removes both variables. Called
    /// once, before there are threads.
    ///
    /// # Errors
    /// When a descriptor is no UDP socket.
    pub fn from_environment() -> Result<Self, InheritError> {
        let mut descriptors = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..descriptors.len() {
            let socket = descriptors.take_udp_socket(number);
            let socket = socket.map_err(|source| InheritError::Kind { number, source })?;
            sockets.extend(socket);
        }
        Ok(Self(sockets))
    }

    /// Whether there are none, so that the server has to bind its own.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Distributes them: each shard gets one socket per configured address, in that order.
    pub(super) fn distribute(
        self,
        wanted: &[(Service, SocketAddr)],
    ) -> Result<Vec<Vec<(Service, UdpSocket)>>, InheritError> {
        let mut groups = self.by_address()?;
        let configured: Vec<SocketAddr> = wanted.iter().map(|(_, address)| *address).collect();
        let given: Vec<SocketAddr> = groups.keys().copied().collect();
        let all_wanted = given.iter().all(|address| configured.contains(address));
        if !all_wanted || given.len() != configured.len() {
            return Err(InheritError::Addresses { given, configured });
        }
        let mut shards: Vec<Vec<(Service, UdpSocket)>> = Vec::new();
        let mut first: Option<SocketAddr> = None;
        for &(service, address) in wanted {
            let group = groups.remove(&address).unwrap_or_default();
            let other = *first.get_or_insert(address);
            if other == address {
                shards.resize_with(group.len(), Vec::new);
            }
            if group.len() != shards.len() {
                return Err(InheritError::Numbers {
                    address,
                    count: group.len(),
                    other,
                    other_count: shards.len(),
                });
            }
            for (shard, socket) in shards.iter_mut().zip(group) {
                shard.push((service, socket));
            }
        }
        Ok(shards)
    }

    /// The checked sockets of each address, in the order of their descriptors.
    fn by_address(self) -> Result<BTreeMap<SocketAddr, Vec<UdpSocket>>, InheritError> {
        let mut groups: BTreeMap<SocketAddr, Vec<UdpSocket>> = BTreeMap::new();
        let mut cookies = Vec::new();
        for socket in self.0 {
            let address = socket.local_addr()?;
            let options = SockRef::from(&socket);
            if address.is_ipv6() && address.ip().is_unspecified() && !options.only_v6()? {
                return Err(InheritError::BothFamilies(address));
            }
            let cookie = options.cookie()?;
            if cookies.contains(&cookie) {
                return Err(InheritError::Twice(address));
            }
            cookies.push(cookie);
            socket.set_nonblocking(true)?;
            groups.entry(address).or_default().push(socket);
        }
        for (address, group) in &groups {
            let mut shared = true;
            for socket in group {
                shared &= SockRef::from(socket).reuse_port()?;
            }
            if group.len() > 1 && !shared {
                return Err(InheritError::NotShared(*address));
            }
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::socket::bind_group;

    fn group(address: &str, number: usize) -> Vec<UdpSocket> {
        bind_group(address.parse().unwrap(), number).unwrap()
    }

    fn on(socket: &UdpSocket) -> (Service, SocketAddr) {
        (Service::ConnectionMode, socket.local_addr().unwrap())
    }

    #[test]
    fn each_shard_gets_one_socket_of_each_address() {
        let (a, b) = (group("127.0.0.1:0", 2), group("[::1]:0", 2));
        let wanted = [on(&b[0]), on(&a[0])];
        let shards = Inherited(a.into_iter().chain(b).collect())
            .distribute(&wanted)
            .unwrap();
        assert_eq!(shards.len(), 2);
        for shard in shards {
            let addresses: Vec<_> = shard.iter().map(|(_, socket)| on(socket)).collect();
            assert_eq!(addresses, wanted);
        }
    }

    #[test]
    fn an_error_names_the_mismatch_and_the_remedy() {
        let told = |sockets, wanted: &[_]| match Inherited(sockets).distribute(wanted) {
            Ok(_) => panic!("it fits"),
            Err(error) => error.to_string(),
        };
        let a = group("127.0.0.1:0", 2);
        let b = group("127.0.0.1:0", 1);
        let (at_a, at_b) = (on(&a[0]), on(&b[0]));
        let again = a[0].try_clone().unwrap();

        let other = told(group("127.0.0.1:0", 1), &[at_a]);
        assert!(
            other.contains(&format!("[listen] names {}", at_a.1)),
            "{other}"
        );
        let missing = told(group("127.0.0.1:0", 1), &[at_a, at_b]);
        assert!(missing.contains("write the same into both"), "{missing}");
        let uneven = told(a.into_iter().chain(b).collect(), &[at_b, at_a]);
        assert!(uneven.contains("2 socket(s) on"), "{uneven}");
        let twice = told(vec![again.try_clone().unwrap(), again], &[at_a]);
        assert!(twice.contains("twice"), "{twice}");

        let both = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).unwrap();
        both.set_only_v6(false).unwrap();
        let any: SocketAddr = "[::]:0".parse().unwrap();
        both.bind(&any.into()).unwrap();
        let both = told(vec![both.into()], &[at_a]);
        assert!(both.contains("BindIPv6Only=ipv6-only"), "{both}");
    }

    #[test]
    fn an_address_that_is_not_dealt_out_by_the_kernel_is_no_use_to_shards() {
        let new = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
            let socket = socket.unwrap();
            // Without SO_REUSEPORT the last one bound gets everything.
            socket.set_reuse_address(true).unwrap();
            socket
        };
        let (first, second) = (new(), new());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        first.bind(&any.into()).unwrap();
        second.bind(&first.local_addr().unwrap()).unwrap();
        let first: UdpSocket = first.into();
        let wanted = [on(&first)];
        let error = Inherited(vec![first, second.into()]).distribute(&wanted);
        assert!(matches!(error, Err(InheritError::NotShared(_))));
    }
}
