//! An accounting request: the start, the update or the end of a session (RFC 2866; 3GPP TS 29.061).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Identity, Prefix, Private, Source};
use crate::radius::three_gpp::{self, Sub};
use crate::radius::{Kind, Packet};

/// A report of a network access server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The address that the request came from.
    pub from: IpAddr,
    /// The event.
    pub status: Status,
    /// The access server: its name, else its address, else empty.
    pub nas: Box<str>,
    /// The session's id at the access server; empty for a report about the access server.
    pub session: Box<str>,
    /// The subscriber's addresses. A later report of the session may bring more.
    pub prefixes: Vec<Prefix>,
    /// The subscriber.
    pub identity: Identity,
    /// Seconds for which the client has tried to send the report.
    pub delay: u32,
    /// The time of the event by the access server's clock, in seconds since 1970.
    pub stamp: Option<u32>,
}

/// The event of a report (RFC 2866, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A session began.
    Start,
    /// A session ended.
    Stop,
    /// A session continues (RFC 2869).
    Interim,
    /// The access server started: all earlier sessions are over.
    On,
    /// The access server stops: all sessions are over.
    Off,
    /// An event that concerns no session.
    Other(u32),
}

/// The attribute that a report lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// The report has no Acct-Status-Type.
    #[error("it has no Acct-Status-Type")]
    Status,
    /// The report has no Acct-Session-Id.
    #[error("it has no Acct-Session-Id")]
    Session,
}

impl Report {
    /// Reads the attributes of a request from this address. Unknown and malformed attributes are
    /// skipped.
    ///
    /// # Errors
    ///
    /// The report lacks an attribute that it cannot do without.
    pub fn read(packet: &Packet<'_>, from: IpAddr) -> Result<Self, Incomplete> {
        let mut report = Self {
            from: from.to_canonical(),
            status: Status::Other(0),
            nas: Box::default(),
            session: Box::default(),
            prefixes: Vec::new(),
            identity: Identity {
                source: Source::Radius,
                ..Identity::default()
            },
            delay: 0,
            stamp: None,
        };
        let mut status = None;
        let mut nas_address = None;
        for attribute in packet.attributes() {
            let value = attribute.value;
            match attribute.kind {
                Kind::ACCT_STATUS_TYPE => status = number(value),
                Kind::ACCT_SESSION_ID => report.session = text(value).unwrap_or_default(),
                Kind::ACCT_DELAY_TIME => report.delay = number(value).unwrap_or(0),
                Kind::EVENT_TIMESTAMP => report.stamp = number(value),
                Kind::NAS_IDENTIFIER => report.nas = text(value).unwrap_or_default(),
                Kind::NAS_IP_ADDRESS => nas_address = v4(value).or(nas_address),
                Kind::NAS_IPV6_ADDRESS => nas_address = nas_address.or_else(|| v6(value)),
                Kind::FRAMED_IP_ADDRESS => {
                    // Two values leave the choice to the user or the server (RFC 2865, 5.8).
                    let real = v4(value).filter(|ip| !NO_ADDRESS.contains(ip));
                    report.prefixes.extend(real.map(Prefix::address));
                }
                Kind::FRAMED_IPV6_ADDRESS => {
                    report.prefixes.extend(v6(value).map(Prefix::address));
                }
                Kind::FRAMED_IPV6_PREFIX | Kind::DELEGATED_IPV6_PREFIX => {
                    report.prefixes.extend(prefix(value));
                }
                Kind::CALLING_STATION_ID => report.identity.msisdn = msisdn(value),
                Kind::CALLED_STATION_ID => report.identity.apn = text(value),
                _ => {}
            }
        }
        for (sub, value) in three_gpp::attributes(packet) {
            report.identity.learn(sub, value);
        }
        report.prefixes.truncate(MOST_PREFIXES);
        if report.nas.is_empty()
            && let Some(address) = nas_address
        {
            report.nas = address.to_string().into();
        }
        report.status = match status.ok_or(Incomplete::Status)? {
            1 => Status::Start,
            2 => Status::Stop,
            3 => Status::Interim,
            7 => Status::On,
            8 => Status::Off,
            other => Status::Other(other),
        };
        let of_session = matches!(
            report.status,
            Status::Start | Status::Stop | Status::Interim
        );
        if of_session && report.session.is_empty() {
            return Err(Incomplete::Session);
        }
        report.identity.nas = (!report.nas.is_empty()).then(|| report.nas.clone());
        report.identity.session = (!report.session.is_empty()).then(|| report.session.clone());
        Ok(report)
    }
}

impl Identity {
    fn learn(&mut self, sub: Sub, value: &[u8]) {
        match sub {
            Sub::IMSI => self.imsi = digits(value),
            Sub::IMEISV => self.imei = digits(value),
            Sub::CHARGING_ID => self.charging_id = number(value),
            Sub::SGSN_ADDRESS => self.sgsn = v4(value),
            Sub::SGSN_IPV6_ADDRESS => self.sgsn = self.sgsn.or_else(|| v6(value)),
            Sub::GGSN_ADDRESS => self.ggsn = v4(value),
            Sub::GGSN_IPV6_ADDRESS => self.ggsn = self.ggsn.or_else(|| v6(value)),
            Sub::SGSN_MCC_MNC => {
                self.network = text(value).filter(|text| text.bytes().all(|c| c.is_ascii_digit()));
            }
            Sub::RAT_TYPE => self.rat = value.first().copied(),
            Sub::USER_LOCATION => {
                let hex: String = value.iter().map(|octet| format!("{octet:02x}")).collect();
                self.location = Some(Private::new(hex));
            }
            _ => {}
        }
    }
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

fn v4(value: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 4] = value.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

fn v6(value: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 16] = value.try_into().ok()?;
    Some(Ipv6Addr::from(octets).into())
}

/// A reserved octet, the length in bits, and up to 16 octets of the prefix (RFC 3162, 2.3).
fn prefix(value: &[u8]) -> Option<Prefix> {
    let (&[_, length], given) = value.split_first_chunk::<2>()?;
    let mut octets = [0; 16];
    octets.get_mut(..given.len())?.copy_from_slice(given);
    // A shorter prefix belongs to no single subscriber.
    (length >= SHORTEST_PREFIX)
        .then(|| Prefix::new(Ipv6Addr::from(octets).into(), length))
        .flatten()
}

/// Text that can be shown and sent on.
fn text(value: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(value).ok()?.trim_matches(['\0', ' ']);
    let plain = !text.is_empty() && text.bytes().all(|octet| matches!(octet, 0x20..=0x7E));
    plain.then(|| text.into())
}

fn digits(value: &[u8]) -> Option<Private> {
    let text = text(value)?;
    text.bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| Private::new(text))
}

/// A number, without the sign that some access servers write before it.
fn msisdn(value: &[u8]) -> Option<Private> {
    let text = text(value)?;
    Some(Private::new(text.strip_prefix('+').unwrap_or(&text)))
}

const NO_ADDRESS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::BROADCAST),
    IpAddr::V4(Ipv4Addr::new(255, 255, 255, 254)),
];
/// The most prefixes of one session.
const MOST_PREFIXES: usize = 8;
/// Bits of the shortest prefix of one subscriber.
const SHORTEST_PREFIX: u8 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::{Attribute, Secret};

    fn read(attributes: &[(u8, &[u8])]) -> Result<Report, Incomplete> {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(kind, value)| Attribute {
                kind: Kind(*kind),
                value,
            })
            .collect();
        let packet = Packet::request(1, &attributes, &Secret::new(*b"s")).unwrap();
        Report::read(
            &Packet::decode(&packet).unwrap(),
            Ipv4Addr::LOCALHOST.into(),
        )
    }

    fn vendor(sub: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len() + 2).unwrap();
        [&[0, 0, 0x28, 0xAF, sub, length], value].concat()
    }

    #[test]
    fn a_start_of_a_mobile_network_tells_all() {
        let mut prefix = vec![0, 64];
        prefix.extend_from_slice(&[0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 1]);
        let report = read(&[
            (40, &[0, 0, 0, 1]),
            (44, b"0A1B"),
            (32, b"ggsn-1"),
            (4, &[192, 0, 2, 1]),
            (8, &[10, 1, 2, 3]),
            (97, &prefix),
            (31, b"+491701234567"),
            (30, b"wap.example"),
            (41, &[0, 0, 0, 3]),
            (55, &[0x65, 0, 0, 0]),
            (26, &vendor(1, b"262011234567890")),
            (26, &vendor(2, &[0, 0, 1, 2])),
            (26, &vendor(6, &[198, 51, 100, 9])),
            (26, &vendor(18, b"26201")),
            (26, &vendor(20, b"3512340000000101")),
            (26, &vendor(21, &[1])),
            (26, &vendor(22, &[1, 0x62, 0xF2])),
            (26, &[0, 0, 0, 9, 1, 3, b'x']),
        ])
        .unwrap();
        assert_eq!(report.status, Status::Start);
        assert_eq!((&*report.nas, &*report.session), ("ggsn-1", "0A1B"));
        assert_eq!((report.delay, report.stamp), (3, Some(0x6500_0000)));
        assert_eq!(
            report.prefixes,
            [
                Prefix::address("10.1.2.3".parse().unwrap()),
                Prefix::new("2001:db8:0:1::".parse().unwrap(), 64).unwrap(),
            ]
        );
        let private = |text: &str| Some(Private::new(text));
        assert_eq!(
            report.identity,
            Identity {
                msisdn: private("491701234567"),
                alias: None,
                imsi: private("262011234567890"),
                imei: private("3512340000000101"),
                sgsn: Some("198.51.100.9".parse().unwrap()),
                ggsn: None,
                charging_id: Some(0x102),
                network: Some("26201".into()),
                rat: Some(1),
                location: private("0162f2"),
                apn: Some("wap.example".into()),
                nas: Some("ggsn-1".into()),
                session: Some("0A1B".into()),
                source: Source::Radius,
            }
        );
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let report = read(&[
            (40, &[0, 0, 0, 3]),
            (44, b"1"),
            (95, &[0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
            (8, &[255, 255, 255, 254]),
            (8, &[10, 1]),
            (97, &[0, 129, 1]),
            (97, &[0, 8, 0x20]),
            (31, b"49\r\nX-Evil: 1"),
            (26, &vendor(1, b"not a number")),
        ])
        .unwrap();
        assert!(report.prefixes.is_empty());
        assert_eq!(&*report.nas, "2001::7");
        assert_eq!((report.identity.msisdn, report.identity.imsi), (None, None));
    }

    #[test]
    fn a_report_without_its_session_is_of_no_use() {
        assert_eq!(read(&[(44, b"1")]), Err(Incomplete::Status));
        assert_eq!(read(&[(40, &[0, 0, 0, 2])]), Err(Incomplete::Session));
        assert_eq!(read(&[(40, &[0, 0, 0, 7])]).unwrap().status, Status::On);
    }
}
