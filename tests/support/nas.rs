//! An access server: RADIUS accounting for one subscriber.

use std::net::UdpSocket;
use std::time::Duration;

use wapbridge::radius::{Attribute, Kind, Packet, Secret};

/// An access server.
pub(crate) struct Nas {
    socket: UdpSocket,
    id: u8,
}

impl Nas {
    /// One that reports to the accounting server at an address.
    pub(crate) fn of(server: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self { socket, id: 0 }
    }

    /// Reports the start (1) or the stop (2) of a subscriber's session at 127.0.0.1.
    pub(crate) fn reports(&mut self, status: u8, msisdn: &str, secret: &Secret) -> Vec<u8> {
        self.reports_with(status, msisdn, secret, &[])
    }

    /// The same with more attributes.
    pub(crate) fn reports_with(
        &mut self,
        status: u8,
        msisdn: &str,
        secret: &Secret,
        more: &[(u8, &[u8])],
    ) -> Vec<u8> {
        let own = [
            (40, &[0, 0, 0, status][..]),
            (44, b"S1"),
            (8, &[127, 0, 0, 1]),
            (31, msisdn.as_bytes()),
        ];
        let attributes = own.iter().chain(more).map(|&(kind, value)| Attribute {
            kind: Kind(kind),
            value,
        });
        let attributes: Vec<_> = attributes.collect();
        self.id += 1;
        let packet = Packet::request(self.id, &attributes, secret).unwrap();
        self.socket.send(&packet).unwrap();
        packet
    }

    /// The next answer that comes is the one to this, rightly signed.
    pub(crate) fn hears_the_answer_to(&self, request: &[u8], secret: &Secret) {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        let answer = Packet::decode(&buffer[..length]).unwrap();
        assert!(answer.answers(&Packet::decode(request).unwrap(), secret));
    }
}
