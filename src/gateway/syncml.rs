//! Figures of SyncML messages for logs and metrics, without user names and subscriber numbers.

use crate::syncml::content::MediaType;
use crate::syncml::summary::{Codes, Summary, summarize};
use crate::syncml::{Encoding, Protocol, header};

/// The messages of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncMl {
    /// The notation the handset sent.
    pub encoding: Encoding,
    /// The SyncML version; `None` if it is unknown.
    pub protocol: Option<Protocol>,
    /// The SyncML session, the same in all its messages.
    pub session: Box<str>,
    /// The message's number in it. A resent message has the same.
    pub message: Box<str>,
    /// The commands and statuses of the request.
    pub request: Summary,
    /// The commands and statuses of the reply, once it has arrived.
    pub reply: Option<Summary>,
}

impl SyncMl {
    /// Reads a request; `None` if the body is no SyncML message.
    #[must_use]
    pub fn of(content_type: &str, body: &[u8]) -> Option<Box<Self>> {
        MediaType::parse(content_type)?;
        let header = header::peek(body)?;
        let short = |text: &str| match text.char_indices().nth(LONGEST_FIELD) {
            Some((end, _)) => text.get(..end).unwrap_or_default().into(),
            None => text.into(),
        };
        Some(Box::new(Self {
            encoding: header.encoding,
            protocol: Protocol::of(&header.ver_proto),
            session: short(&header.session_id),
            message: short(&header.msg_id),
            request: summarize(body),
            reply: None,
        }))
    }

    /// Notes the reply.
    pub(super) fn answered(&mut self, body: &[u8]) {
        self.reply = Some(summarize(body));
    }
}

/// The stable name of a protocol in logs and metrics, that of an unknown one included.
#[must_use]
pub fn label(protocol: Option<Protocol>) -> &'static str {
    protocol.map_or("other", Protocol::label)
}

/// Counters over all messages; they only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    requests: [[u64; 2]; PROTOCOLS.len()],
    alerts: [u64; ALERTS.len() + 1],
    statuses: [u64; STATUSES.len()],
}

impl Stats {
    /// Counts a request.
    pub(super) fn count_request(&mut self, syncml: &SyncMl) {
        let place = PROTOCOLS.iter().position(|other| *other == syncml.protocol);
        let encoding = usize::from(syncml.encoding == Encoding::Wbxml);
        if let Some(count) = place.and_then(|place| self.requests.get_mut(place)?.get_mut(encoding))
        {
            *count += 1;
        }
        self.count(&syncml.request);
    }

    /// Counts a reply.
    pub(super) fn count_reply(&mut self, syncml: &SyncMl) {
        if let Some(reply) = &syncml.reply {
            self.count(reply);
        }
    }

    fn count(&mut self, summary: &Summary) {
        for (code, times) in numbers(&summary.alerts) {
            let place = ALERTS
                .iter()
                .position(|alert| Some(*alert) == code)
                .unwrap_or(ALERTS.len());
            if let Some(count) = self.alerts.get_mut(place) {
                *count += u64::from(times);
            }
        }
        for (code, times) in numbers(&summary.statuses) {
            let class = code
                .map_or(0, |code| usize::from(code / 100))
                .min(STATUSES.len());
            let place = class.checked_sub(1).unwrap_or(STATUSES.len() - 1);
            if let Some(count) = self.statuses.get_mut(place) {
                *count += u64::from(times);
            }
        }
    }

    /// Requests, by protocol and notation.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, Encoding, u64)> {
        PROTOCOLS
            .into_iter()
            .zip(self.requests)
            .flat_map(|(protocol, [xml, wbxml])| {
                let protocol = label(protocol);
                [
                    (protocol, Encoding::Xml, xml),
                    (protocol, Encoding::Wbxml, wbxml),
                ]
            })
    }

    /// Alerts in both directions, by code.
    pub fn alerts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ALERT_LABELS.into_iter().zip(self.alerts)
    }

    /// Statuses in both directions, by class.
    pub fn statuses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STATUSES.into_iter().zip(self.statuses)
    }
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        let mine = self.requests.as_flattened_mut().iter_mut();
        for (count, more) in mine.zip(other.requests.as_flattened()) {
            *count += more;
        }
        for (count, more) in self.alerts.iter_mut().zip(other.alerts) {
            *count += more;
        }
        for (count, more) in self.statuses.iter_mut().zip(other.statuses) {
            *count += more;
        }
    }
}

/// Every code with its count; `None` stands for a code that is no number, or that exceeded the
/// list.
fn numbers(codes: &Codes) -> impl Iterator<Item = (Option<u16>, u32)> {
    let known = codes
        .counts
        .iter()
        .map(|(code, times)| (Some(*code), *times));
    known.chain((codes.others > 0).then_some((None, codes.others)))
}

const PROTOCOLS: [Option<Protocol>; 5] = [
    Some(Protocol::Ds10),
    Some(Protocol::Ds11),
    Some(Protocol::Ds12),
    Some(Protocol::Dm),
    None,
];

/// The alerts that begin or steer a session: two-way to refresh-from-server by either side,
/// suspend, resume.
const ALERTS: [u16; 16] = [
    200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 222, 223, 224, 225, 226,
];

const ALERT_LABELS: [&str; ALERTS.len() + 1] = [
    "200", "201", "202", "203", "204", "205", "206", "207", "208", "209", "210", "222", "223",
    "224", "225", "226", "other",
];

const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// Characters of a field that a log line shows; the handset chooses the field's length.
const LONGEST_FIELD: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_protocol_alert_and_status() {
        let xml = b"<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>7</SessionID>\
            <MsgID>2</MsgID></SyncHdr><SyncBody><Alert><Data>201</Data></Alert><Status><Data>404</Data></Status>\
            <Status><Data>nonsense</Data></Status><Alert><Data>999</Data></Alert></SyncBody></SyncML>";
        let syncml = SyncMl::of("application/vnd.syncml+xml; charset=utf-8", xml).unwrap();
        assert_eq!((&*syncml.session, &*syncml.message), ("7", "2"));
        let mut stats = Stats::default();
        stats.count_request(&syncml);
        stats += stats;
        let requests: Vec<_> = stats.requests().filter(|(.., count)| *count > 0).collect();
        assert_eq!(requests, [("1.1", Encoding::Xml, 2)]);
        let alerts: Vec<_> = stats.alerts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(alerts, [("201", 2), ("other", 2)]);
        let statuses: Vec<_> = stats.statuses().filter(|(_, count)| *count > 0).collect();
        assert_eq!(statuses, [("4xx", 2), ("other", 2)]);
        assert_eq!(SyncMl::of("text/plain", xml), None);
    }

    #[test]
    fn labels_stand_for_their_codes() {
        for (code, label) in ALERTS.iter().zip(ALERT_LABELS) {
            assert_eq!(code.to_string(), label);
        }
    }
}
