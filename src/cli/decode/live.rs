//! A live capture: a packet socket of Linux.
//!
//! socket2 opens the socket and attaches the filter, so there is no `unsafe`, no libpcap and no
//! child process. The address of such a socket (sockaddr_ll) has no safe constructor: the socket is
//! not bound, and the filter knows the interface. SOCK_DGRAM takes the link layer off, so packets
//! begin at their IP header whatever the interface is. An outer VLAN tag is off as well.

use std::io::{self, Read};

use anyhow::{Context, bail};
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::filter::{self, Instruction};

/// The socket.
pub(super) struct Live(Socket);

impl Live {
    /// Listens at an interface, or at all of them if it is named `any`, for packets of these ports.
    ///
    /// # Errors
    ///
    /// There is no such interface, or this process lacks CAP_NET_RAW.
    pub(super) fn open(interface: &str, ports: &[u16]) -> anyhow::Result<Self> {
        let every = Protocol::from(i32::from(ALL_PROTOCOLS.to_be()));
        let socket = match Socket::new(Domain::PACKET, Type::DGRAM, Some(every)) {
            Ok(socket) => socket,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => bail!(
                "--interface needs the capability CAP_NET_RAW: run it as root, or give it to the program \
                 (sudo setcap cap_net_raw+ep \"$(command -v wapbridge)\"), or let another program capture: \
                 sudo tcpdump -U -i {interface} -w - udp | wapbridge decode -"
            ),
            Err(error) => return Err(error).context("the packet socket"),
        };
        // Until the filter is there, the socket takes packets of every kind.
        attach(&socket, &filter::nothing())?;
        let index = match interface {
            "any" => None,
            name => Some(name_to_index(&socket, name).map_err(|_| unknown(name))?),
        };
        socket.set_nonblocking(true)?;
        let mut buffer = [0; 1];
        while (&socket).read(&mut buffer).is_ok() {}
        socket.set_nonblocking(false)?;
        // The kernel grants less; a burst then finds less room.
        let _ = socket.set_recv_buffer_size(QUEUE);
        attach(&socket, &filter::of_ports(index, ports))?;
        Ok(Self(socket))
    }

    /// Waits for the next packet, from its IP header on.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        loop {
            match (&self.0).read(buffer) {
                Ok(len) => return Ok(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // An interface went down. Others, and the same one later, have packets.
                Err(error) if error.kind() == io::ErrorKind::NetworkDown => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn attach(socket: &Socket, program: &[Instruction]) -> anyhow::Result<()> {
    let program: Vec<_> = program.iter().copied().map(SockFilter::from).collect();
    socket
        .attach_filter(&program)
        .context("the filter of the packet socket")
}

/// The names of those that there are.
fn unknown(name: &str) -> anyhow::Error {
    let names = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<_> = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    anyhow::anyhow!(
        "--interface {name}: there is none; there are any, {}",
        names.join(", ")
    )
}

/// LINKTYPE_RAW: packets that begin at their IP header.
pub(super) const LINK: u32 = 101;
/// The longest packet of IP, and more.
pub(super) const LONGEST: usize = 1 << 17;
/// ETH_P_ALL: a socket of one protocol would not see what this host sends.
const ALL_PROTOCOLS: u16 = 3;
/// Octets of packets that wait in the kernel.
const QUEUE: usize = 8 << 20;
