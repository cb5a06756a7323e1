//! Which packets of a capture are shown: those of some addresses, or of one subscriber.
//!
//! A number is followed by the RADIUS accounting in the same capture, as a gateway with the same
//! reports would follow it. Signatures are not checked, since a capture has no secret: whoever can
//! write into the capture can name a subscriber. WSP fields name none: handsets may write any
//! number there, and gateways remove such fields.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::explain::{Packet, ends, udp};
use crate::identity::Prefix;
use crate::identity::report::{Report, Status};
use crate::radius;
use crate::route::Network;

/// What is shown.
#[derive(Debug)]
pub(super) struct Selection {
    /// Either end is in one of them.
    networks: Vec<Network>,
    subscriber: Option<Subscriber>,
}

/// A subscriber, and its addresses so far.
#[derive(Debug)]
struct Subscriber {
    number: String,
    /// Ports of RADIUS accounting.
    ports: Vec<u16>,
    /// Addresses of its sessions, by access server and session.
    sessions: BTreeMap<(Box<str>, Box<str>), Vec<Prefix>>,
    /// Reports that named the number.
    reports: u64,
}

impl Selection {
    /// Of these networks, and of this number. Without either: everything.
    pub(super) fn new(networks: Vec<Network>, number: Option<&str>, ports: &[u16]) -> Self {
        Self {
            networks,
            subscriber: number.map(|number| Subscriber {
                number: number.trim_start_matches('+').to_owned(),
                ports: ports.to_vec(),
                sessions: BTreeMap::new(),
                reports: 0,
            }),
        }
    }

    /// Whether a packet is shown. Each packet has to be asked about, in the order of the capture.
    pub(super) fn takes(&mut self, packet: &Packet<'_>) -> bool {
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.see(packet);
        }
        if self.is_everything() {
            return true;
        }
        let Some((source, destination)) = ends(packet.link, packet.data) else {
            return false;
        };
        [source.ip(), destination.ip()].into_iter().any(|address| {
            let in_network = self
                .networks
                .iter()
                .any(|network| network.contains(address));
            let of_subscriber = self.subscriber.as_ref().is_some_and(|it| it.has(address));
            in_network || of_subscriber
        })
    }

    /// Whether nothing is left out.
    pub(super) const fn is_everything(&self) -> bool {
        self.networks.is_empty() && self.subscriber.is_none()
    }

    /// Why nothing was shown of a number.
    pub(super) fn unheard(&self) -> Option<String> {
        let subscriber = self.subscriber.as_ref().filter(|it| it.reports == 0)?;
        let ports: Vec<_> = subscriber.ports.iter().map(u16::to_string).collect();
        Some(format!(
            "no RADIUS accounting (UDP port {}) in this capture names the number; a running gateway knows the addresses of \
             a number: wapbridge trace --msisdn",
            ports.join(" or ")
        ))
    }
}

impl Subscriber {
    /// Learns from a packet, if it is a report.
    fn see(&mut self, packet: &Packet<'_>) {
        let Some(udp) = udp(packet.link, packet.data) else {
            return;
        };
        if !self.ports.contains(&udp.destination.port()) {
            return;
        }
        let request = radius::Packet::decode(udp.payload).ok();
        let request = request.filter(|it| it.code == radius::Code::ACCOUNTING_REQUEST);
        if let Some(report) = request.and_then(|it| Report::read(&it, udp.source.ip()).ok()) {
            self.learn(report);
        }
    }

    fn learn(&mut self, report: Report) {
        let Report {
            status,
            nas,
            session,
            prefixes,
            identity,
            ..
        } = report;
        let is_named = identity
            .msisdn
            .as_ref()
            .is_some_and(|number| number.reveal() == self.number);
        self.reports += u64::from(is_named);
        let key = (nas, session);
        match status {
            Status::Start | Status::Interim if is_named => {
                if self.sessions.len() >= MOST_SESSIONS && !self.sessions.contains_key(&key) {
                    self.sessions.pop_first();
                }
                let known = self.sessions.entry(key).or_default();
                for prefix in prefixes {
                    if !known.contains(&prefix) && known.len() < MOST_PREFIXES {
                        known.push(prefix);
                    }
                }
            }
            // Another subscriber has the address now.
            Status::Start | Status::Interim => {
                for known in self.sessions.values_mut() {
                    known.retain(|prefix| !prefixes.contains(prefix));
                }
            }
            Status::Stop => drop(self.sessions.remove(&key)),
            Status::On | Status::Off => self.sessions.retain(|(nas, _), _| *nas != key.0),
            Status::Other(_) => {}
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut prefixes = self.sessions.values().flatten();
        prefixes.any(|prefix| prefix.contains(address))
    }
}

const MOST_SESSIONS: usize = 64;
const MOST_PREFIXES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::{Attribute, Kind, Secret};

    /// An IPv4 packet with UDP in it, as LINKTYPE_RAW has it.
    fn packet(source: ([u8; 4], u16), destination: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len() + 8).unwrap();
        let mut octets = vec![0x45, 0];
        octets.extend((len + 20).to_be_bytes());
        octets.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        octets.extend([source.0, destination.0].concat());
        for field in [source.1, destination.1, len, 0] {
            octets.extend(field.to_be_bytes());
        }
        octets.extend(payload);
        octets
    }

    fn report(status: u8, session: &str, number: &str, address: [u8; 4]) -> Vec<u8> {
        let attribute = |kind, value| Attribute { kind, value };
        let status = [0, 0, 0, status];
        let attributes = [
            attribute(Kind::ACCT_STATUS_TYPE, &status[..]),
            attribute(Kind::ACCT_SESSION_ID, session.as_bytes()),
            attribute(Kind::CALLING_STATION_ID, number.as_bytes()),
            attribute(Kind::FRAMED_IP_ADDRESS, &address[..]),
        ];
        radius::Packet::request(1, &attributes, &Secret::new(*b"any")).unwrap()
    }

    fn takes(selection: &mut Selection, octets: &[u8]) -> bool {
        selection.takes(&Packet {
            time: std::time::Duration::ZERO,
            link: 101,
            data: octets,
        })
    }

    const HANDSET: [u8; 4] = [10, 1, 2, 3];
    const GATEWAY: ([u8; 4], u16) = ([192, 0, 2, 1], 9201);

    #[test]
    fn a_network_is_looked_for_at_both_ends() {
        let networks = vec!["10.1.2.0/24".parse().unwrap(), "10.9.9.9".parse().unwrap()];
        let mut selection = Selection::new(networks, None, &[]);
        for (address, is_taken) in [
            (HANDSET, true),
            ([10, 9, 9, 9], true),
            ([10, 1, 3, 3], false),
        ] {
            assert_eq!(
                takes(&mut selection, &packet((address, 7), GATEWAY, b"x")),
                is_taken
            );
            assert_eq!(
                takes(&mut selection, &packet(GATEWAY, (address, 7), b"x")),
                is_taken
            );
        }
        assert!(!takes(&mut selection, b"nonsense"));
        assert!(takes(
            &mut Selection::new(Vec::new(), None, &[]),
            b"nonsense"
        ));
    }

    #[test]
    fn a_number_is_followed_by_the_accounting_in_the_capture() {
        let mut selection = Selection::new(Vec::new(), Some("+491701234567"), &[1813]);
        let radius = ([192, 0, 2, 9], 1813);
        let says = |selection: &mut Selection, report: &[u8]| {
            assert!(!takes(
                selection,
                &packet(([192, 0, 2, 8], 5), radius, report)
            ));
        };
        let talk = packet((HANDSET, 7), GATEWAY, b"x");
        assert!(!takes(&mut selection, &talk));
        assert!(selection.unheard().unwrap().contains("1813"));
        says(&mut selection, &report(1, "s1", "491701234567", HANDSET));
        assert!(takes(&mut selection, &talk) && selection.unheard().is_none());
        // The Stop of another session changes nothing.
        says(&mut selection, &report(2, "s0", "491701234567", HANDSET));
        assert!(takes(&mut selection, &talk));
        says(&mut selection, &report(2, "s1", "491701234567", HANDSET));
        assert!(!takes(&mut selection, &talk));
        // An address that goes to another subscriber without a Stop.
        says(&mut selection, &report(3, "s2", "491701234567", HANDSET));
        assert!(takes(&mut selection, &talk));
        says(&mut selection, &report(1, "s3", "491700000000", HANDSET));
        assert!(!takes(&mut selection, &talk));
        // Elsewhere the same octets are no report.
        let forged = packet(
            (HANDSET, 7),
            GATEWAY,
            &report(1, "s4", "491701234567", HANDSET),
        );
        assert!(!takes(&mut selection, &forged));
    }

    #[test]
    fn sessions_without_end_take_bounded_memory() {
        let mut selection = Selection::new(Vec::new(), Some("49"), &[1813]);
        for number in 0..1_000 {
            let report = report(1, &number.to_string(), "49", HANDSET);
            takes(
                &mut selection,
                &packet(([1, 1, 1, 1], 5), ([2, 2, 2, 2], 1813), &report),
            );
        }
        assert_eq!(selection.subscriber.unwrap().sessions.len(), MOST_SESSIONS);
    }
}
