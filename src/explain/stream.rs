//! OBEX packets of captured TCP segments.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::packet::Tcp;
use crate::obex::packet::packet_len;

/// The connections at the port of OBEX, each direction by itself.
#[derive(Debug, Default)]
pub(super) struct Streams(BTreeMap<(SocketAddr, SocketAddr), Stream>);

/// One direction of a connection.
#[derive(Debug)]
struct Stream {
    /// The sequence number of the next octet.
    next: u32,
    /// Segments that came too early, by the sequence numbers of their first octets.
    early: BTreeMap<u32, Vec<u8>>,
    /// Octets of a packet that is not whole.
    octets: Vec<u8>,
}

impl Streams {
    /// The packets that are whole with this segment, in their order. Nothing for segments of other
    /// ports, and for those that came before.
    pub(super) fn packets(&mut self, segment: &Tcp<'_>) -> Vec<Vec<u8>> {
        let (source, destination) = (segment.source, segment.destination);
        if source.port() != OBEX_PORT && destination.port() != OBEX_PORT {
            return Vec::new();
        }
        let first = segment.sequence.wrapping_add(u32::from(segment.syn));
        // A capture may go on without end; any connection is forgotten, and its next packet is lost.
        if self.0.len() >= MOST_STREAMS && !self.0.contains_key(&(source, destination)) {
            self.0.pop_first();
        }
        let stream = self.0.entry((source, destination));
        let stream = stream.or_insert_with(|| Stream::new(first));
        if segment.syn {
            *stream = Stream::new(first);
        }
        stream.add(first, segment.payload);
        stream.whole()
    }
}

impl Stream {
    const fn new(next: u32) -> Self {
        Self {
            next,
            early: BTreeMap::new(),
            octets: Vec::new(),
        }
    }

    fn add(&mut self, sequence: u32, payload: &[u8]) {
        let ahead = sequence.wrapping_sub(self.next);
        if ahead > u32::MAX / 2 {
            // A retransmission; its end may be new.
            let known = usize::try_from(ahead.wrapping_neg()).unwrap_or(usize::MAX);
            let fresh = payload.get(known..).unwrap_or_default();
            self.take(fresh);
        } else if ahead == 0 {
            self.take(payload);
        } else if !payload.is_empty() && self.has_room(payload.len()) {
            self.early.insert(sequence, payload.to_vec());
        }
        while let Some(payload) = self.early.remove(&self.next) {
            self.take(&payload);
        }
    }

    /// Whether a segment of so many octets may wait.
    fn has_room(&self, len: usize) -> bool {
        let waiting: usize = self.early.values().map(Vec::len).sum();
        self.early.len() < MOST_EARLY && waiting + len <= MOST_EARLY_OCTETS
    }

    fn take(&mut self, payload: &[u8]) {
        self.octets.extend_from_slice(payload);
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.next = self.next.wrapping_add(len);
    }

    fn whole(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        // A length below that of the head is shown as it is.
        while let Some(len) = packet_len(&self.octets).map(|len| len.max(3))
            && len <= self.octets.len()
        {
            let rest = self.octets.split_off(len);
            packets.push(std::mem::replace(&mut self.octets, rest));
        }
        packets
    }
}

/// The assigned TCP port of OBEX.
const OBEX_PORT: u16 = 650;
/// Segments that wait for an earlier one.
const MOST_EARLY: usize = 100;
/// Octets of them.
const MOST_EARLY_OCTETS: usize = 256 << 10;
/// Directions of connections that are remembered.
const MOST_STREAMS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32, syn: bool, payload: &[u8]) -> Tcp<'_> {
        Tcp {
            source: "192.0.2.1:4711".parse().unwrap(),
            destination: "192.0.2.2:650".parse().unwrap(),
            sequence,
            syn,
            payload,
        }
    }

    #[test]
    fn packets_are_whole_whatever_the_segments() {
        let one = b"\x80\x00\x07\x10\x00\x04\x00";
        let two = b"\x81\x00\x03";
        let all = [&one[..], two].concat();
        let start = u32::MAX - 3;
        let mut streams = Streams::default();
        assert!(streams.packets(&segment(start, true, b"")).is_empty());
        // The end comes first, then the beginning twice, over the end of the number space.
        let at = |offset: u32| start.wrapping_add(1 + offset);
        assert!(
            streams
                .packets(&segment(at(5), false, &all[5..]))
                .is_empty()
        );
        assert!(
            streams
                .packets(&segment(at(0), false, &all[..2]))
                .is_empty()
        );
        assert!(
            streams
                .packets(&segment(at(0), false, &all[..2]))
                .is_empty()
        );
        let packets = streams.packets(&segment(at(0), false, &all[..5]));
        assert_eq!(packets, [one.to_vec(), two.to_vec()]);
        assert!(streams.packets(&segment(at(0), false, &all)).is_empty());
    }

    #[test]
    fn other_ports_and_wrong_lengths_are_no_endless_loop() {
        let mut streams = Streams::default();
        let other = Tcp {
            destination: "192.0.2.2:80".parse().unwrap(),
            ..segment(1, false, b"\x81\x00\x03")
        };
        assert!(streams.packets(&other).is_empty());
        let packets = streams.packets(&segment(1, false, b"\x80\x00\x00\x81\x00\x03"));
        assert_eq!(
            packets,
            [b"\x80\x00\x00".to_vec(), b"\x81\x00\x03".to_vec()]
        );
    }
}
