//! The targets for WTP, fed by proptest.

use proptest::prelude::*;

use crate::targets::wtp::{datagram, endpoint, pdu, reassembly};

proptest! {
    #[test]
    fn pdus(octets: Vec<u8>) {
        pdu(&octets);
    }

    #[test]
    fn datagrams(octets: Vec<u8>, lengths in proptest::collection::vec(1u8..6, 0..8)) {
        datagram(&octets);
        let mut series = vec![0];
        for len in lengths {
            series.push(len);
            series.extend(vec![len; usize::from(len)]);
        }
        datagram(&series);
    }

    #[test]
    fn endpoints(script in proptest::collection::vec(any::<u8>(), 0..2000)) {
        endpoint(&script);
    }

    #[test]
    fn reassemblies(script in proptest::collection::vec(any::<u8>(), 0..60)) {
        reassembly(&script);
    }
}
