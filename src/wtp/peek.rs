//! Looks for PDUs in a datagram before it is handled.

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

/// Whether a datagram has a packet of a Result.
pub fn has_result(datagram: &[u8]) -> bool {
    concat::separate(datagram).any(
        |pdu| matches!(pdu, [kind, ..] if matches!(kind >> 3 & 0x0F, RESULT | SEGMENTED_RESULT)),
    )
}

/// PDU types (WTP table 9).
const INVOKE: u8 = 1;
const RESULT: u8 = 2;
const SEGMENTED_RESULT: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_whole_and_in_segments() {
        assert!(has_result(&[0x12, 0x92, 0x34, b'x']));
        assert!(has_result(&[0x30, 0x92, 0x34, 0x01, b'x']));
        assert!(has_result(&[
            0, 3, 0x18, 0x92, 0x34, 4, 0x12, 0x92, 0x35, b'x'
        ]));
        assert!(!has_result(&[0x18, 0x92, 0x34]) && !has_result(&[]));
    }

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
