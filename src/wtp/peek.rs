//! Looks for Invokes in a datagram before it is handled.

use super::concat;

/// The TIDs of the Invokes in a datagram, in order. Every other PDU belongs to a transaction that
/// exists. Malformed PDUs are skipped.
///
/// The gateway's limits need the number of Invokes before the first PDU is handled. So this is a
/// pass of its own over a concatenation: it reads lengths and types, and decodes nothing.
pub fn invokes(datagram: &[u8]) -> impl Iterator<Item = u16> {
    concat::separate(datagram).filter_map(|pdu| match pdu {
        [kind, high, low, ..] if kind >> 3 & 0x0F == INVOKE => {
            Some(u16::from_be_bytes([*high, *low]))
        }
        _ => None,
    })
}

/// The PDU type (WTP table 9).
const INVOKE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invokes_are_found_alone_and_in_company() {
        let alone = [0x0E, 0x12, 0x34, 0x12, b'x'];
        assert_eq!(invokes(&alone).collect::<Vec<_>>(), [0x1234]);
        let ack = [0x18, 0x12, 0x34];
        assert_eq!(invokes(&ack).count(), 0);
        let both = [&[0, 3][..], &ack, &[5], &alone].concat();
        assert_eq!(invokes(&both).collect::<Vec<_>>(), [0x1234]);
        assert_eq!(
            invokes(&[]).count() + invokes(&[0]).count() + invokes(&[0x0E]).count(),
            0
        );
    }
}
