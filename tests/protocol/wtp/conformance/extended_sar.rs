//! Extended segmentation and re-assembly: WTP-S-024 to WTP-S-026.

use bytes::Bytes;
use wapbridge::wtp::{Class, Config, Fragment, Indication, ProviderAbort};

use super::super::transcript::{Transcript, peer};
use super::INVOKE;

/// An Invoke with TID 5 that offers extended SAR with 3 groups of `group` octets each.
pub(super) fn extended(group: u16) -> Vec<u8> {
    let [high, low] = group.to_be_bytes();
    vec![
        0x8A, 0x00, 0x05, 0x02, 0x92, 0x07, 3, 0x13, 0x04, high, low, b'q',
    ]
}

pub(super) fn extended_sar_goes_beyond_256_packets() {
    let config = Config {
        segment_size: 10,
        max_datagram: 0,
        receive_group: None,
        ..Config::ip()
    };
    let mut t = Transcript::new(config.clone());
    let handle = t.hears(&extended(640)).invoked(b"q");
    t.at(2000).says(&[0x98, 0x80, 0x05, 0x12, 0x07, 4]);
    let body: Vec<u8> = (0..3000u32).map(|at| (at / 10) as u8).collect();
    t.results(handle, &body);
    let mut acked = 0;
    let mut whole = Vec::new();
    while whole.len() < body.len() {
        let packets = t.all_heard();
        assert!(!packets.is_empty(), "stuck after {}", whole.len());
        for packet in packets {
            let data = match packet[0] & 0x78 {
                0x10 => &packet[6..],
                _ if acked < 256 => &packet[4..],
                _ => {
                    // Behind the low octet, a PSN item with the high ones.
                    assert_eq!((packet[0] & 0x80, packet[4], packet[5]), (0x80, 0x19, 1));
                    &packet[6..]
                }
            };
            assert!(data.iter().all(|octet| u32::from(*octet) == acked & 0xFF));
            whole.extend_from_slice(data);
            acked += 1;
            if packet[0] & 4 != 0 {
                let [_, high, middle, low] = (acked - 1u32).to_be_bytes();
                let number = if middle == 0 {
                    vec![0x19, low]
                } else {
                    vec![0x1A, middle, low]
                };
                assert_eq!(high, 0);
                t.hears(&[&[0x98, 0x00, 0x05][..], &number].concat());
            }
        }
    }
    assert_eq!(whole, body);
    t.hears(&[0x98, 0x00, 0x05, 0x1A, 1, 43])
        .result_confirmed(b"")
        .is_over();
    // Accepted in the first answer, whichever it is: a Nack, or the Result.
    let mut t = Transcript::new(config.clone());
    t.hears(&[0x88, 0x00, 0x05, 0x01, 0x11, 0x07, b'a'])
        .hears(&[0x2C, 0x00, 0x05, 2, b'c']);
    t.at(300)
        .says(&[0xB8, 0x80, 0x05, 1, 1, 0x99, 2, 0x12, 0x07, 4]);
    let mut t = Transcript::new(config.clone());
    let handle = t.hears(&extended(640)).invoked(b"q");
    t.results(handle, b"r")
        .says(&[0x92, 0x80, 0x05, 0x12, 0x07, 4, b'r']);
    // A peer that says nothing of it gets none of it: one group at a time, and 256 packets at most.
    let mut t = Transcript::new(config.clone());
    let handle = t.hears(INVOKE).invoked(b"q");
    t.results(handle, &[7; 2560]);
    let group = t.all_heard();
    assert!(group.iter().all(|pdu| pdu[0] & 0x80 == 0), "no items");
    assert_eq!(group.last().unwrap()[0] & 0x04, 0x04);
    t.says_nothing();
    let handle = t.hears(&[0x0A, 0x00, 0x06, 0x02]).invoked(b"");
    t.results(handle, &[7; 256 * 1405 + 1])
        .provider_aborted(ProviderAbort::NOTIMPLEMENTEDESAR);
    // Inbound: accepted in the Ack, 300 packets in groups that end before each change of the high octets.
    let mut t = Transcript::new(config);
    t.hears(&[0x8C, 0x00, 0x05, 0x01, 0x11, 0x07, 0])
        .says(&[0x98, 0x80, 0x05, 0x99, 0, 0x12, 0x07, 4]);
    for psn in 1..300u32 {
        let kind = match psn {
            255 => 0x2C,
            299 => 0x2A,
            _ => 0x28,
        };
        let low = psn.to_be_bytes()[3];
        if psn < 256 {
            t.hears(&[kind, 0x00, 0x05, low, low]);
        } else {
            t.hears(&[kind | 0x80, 0x00, 0x05, low, 0x19, 1, low]);
        }
    }
    let expected: Vec<u8> = (0..300u32).map(|psn| psn.to_be_bytes()[3]).collect();
    t.invoked(&expected);
    t.says(&[0x98, 0x80, 0x05, 0x99, 255, 0x12, 0x07, 4]);
    t.says(&[0x98, 0x80, 0x05, 0x9A, 1, 43, 0x12, 0x07, 4])
        .says_nothing();
    // Our own offer, not taken up: what plain SAR cannot number is given up.
    let mut t = Transcript::new(Config {
        segment_size: 10,
        max_datagram: 0,
        unannounced_group: 10,
        offer_extended_sar: true,
        ..Config::ip()
    });
    t.invokes(Class::One, false, &[7; 2561]);
    let first = t.heard();
    t.hears(&[0x98, first[1] | 0x80, first[2], 0x19, 0])
        .says(&[0x20, first[1], first[2], 0x0A]);
    t.provider_aborted(ProviderAbort::NOTIMPLEMENTEDESAR)
        .is_over();
    // Whoever does not offer it does not get it.
    let handle = t.hears(&[0x0A, 0x00, 0x06, 0x02]).invoked(b"");
    t.results(handle, &[7; 2561])
        .says(&[0x20, 0x80, 0x06, 0x0A]);
}

/// The items `more` data units follow, and this one begins a frame.
pub(super) const fn fragment(more: bool, frame_boundary: bool) -> Fragment {
    Fragment {
        more,
        frame_boundary,
    }
}

pub(super) fn frames_begin_where_marked() {
    let mut t = Transcript::terse();
    let handle = t.hears(&extended(1400)).invoked(b"q");
    let data = Bytes::from(vec![7; 1401]);
    t.endpoint
        .result_data(t.now, handle, data, fragment(false, true));
    let [first, second] = &t.all_heard()[..] else {
        panic!()
    };
    // NumGroups, then Frame Boundary; and not on the second packet.
    assert_eq!(first[..7], [0x94, 0x80, 0x05, 0x92, 0x07, 4, 0x28]);
    assert_eq!(second[..], [0x32, 0x80, 0x05, 1, 7]);
    // Inbound, it comes out as a flag.
    t.hears(&[0x8C, 0x00, 0x06, 0x02, 0x91, 0x07, 0x28, b'f']);
    t.all_heard();
    t.hears(&[0x2A, 0x00, 0x06, 1, b'g']);
    match t.indication() {
        Indication::Invoke {
            data,
            fragment: place,
            ..
        } => {
            assert_eq!((&data[..], place), (&b"fg"[..], fragment(false, true)));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn data_units_end_where_marked() {
    let mut t = Transcript::terse();
    let handle = t.hears(&extended(1400)).invoked(b"q");
    let now = t.now;
    t.endpoint.result_data(
        now,
        handle,
        Bytes::from_static(b"one"),
        fragment(true, false),
    );
    t.says(&[0x94, 0x80, 0x05, 0x92, 0x07, 4, 0x20, b'o', b'n', b'e']);
    t.endpoint.result_data(
        now,
        handle,
        Bytes::from_static(b"two"),
        fragment(false, false),
    );
    t.says(&[0x32, 0x80, 0x05, 1, b't', b'w', b'o']);
    t.hears(&[0x98, 0x00, 0x05, 0x19, 1])
        .result_confirmed(b"")
        .is_over();
    // Inbound: delivered as soon as a unit is whole.
    t.hears(&[0x8C, 0x00, 0x06, 0x02, 0x91, 0x07, 0x20, b'a']);
    match t.indication() {
        Indication::Invoke {
            data,
            fragment: place,
            ..
        } => {
            assert_eq!((&data[..], place), (&b"a"[..], fragment(true, false)));
        }
        other => panic!("{other:?}"),
    }
    t.hears(&[0x28, 0x00, 0x06, 1, b'b'])
        .indicates_nothing()
        .hears(&[0x2A, 0x00, 0x06, 2, b'c']);
    match t.indication() {
        Indication::InvokeData {
            data,
            fragment: place,
            ..
        } => {
            assert_eq!((&data[..], place), (&b"bc"[..], Fragment::WHOLE));
        }
        other => panic!("{other:?}"),
    }
    // As initiators we do the same once the peer is known to follow.
    let mut t = Transcript::new(Config {
        offer_extended_sar: true,
        receive_group: None,
        ..Config::ip()
    });
    let more = fragment(true, false);
    let handle = t.endpoint.invoke_fragment(
        t.now,
        peer(49_152),
        Class::One,
        false,
        Bytes::from_static(b"x"),
        more,
    );
    let first = t.heard();
    assert_eq!(
        (first[0], &first[3..]),
        (0x8C, &[0x01, 0x92, 0x07, 4, 0x20, b'x'][..])
    );
    t.hears(&[0x98, first[1] | 0x80, first[2], 0x99, 0, 0x12, 0x07, 2]);
    t.endpoint.invoke_data(
        t.now,
        handle.unwrap(),
        Bytes::from_static(b"y"),
        Fragment::WHOLE,
    );
    t.says(&[0x2A, first[1], first[2], 1, b'y']);
    t.hears(&[0x98, first[1] | 0x80, first[2], 0x19, 1])
        .invoke_confirmed(b"")
        .is_over();
}

pub(super) fn the_window_slides_closes_and_opens() {
    let mut t = Transcript::new(Config {
        segment_size: 10,
        max_datagram: 0,
        ..Config::ip()
    });
    // Three groups of two packets may be under way.
    let handle = t.hears(&extended(20)).invoked(b"q");
    t.results(handle, &[7; 200]);
    let psn = |pdu: &Vec<u8>| if pdu[0] & 0x78 == 0x10 { 0 } else { pdu[3] };
    let numbers = |t: &mut Transcript| t.all_heard().iter().map(psn).collect::<Vec<_>>();
    assert_eq!(numbers(&mut t), [0, 1, 2, 3, 4, 5]);
    // An ack is good for everything before it.
    t.at(100).hears(&[0x98, 0x00, 0x05, 0x19, 3]);
    assert_eq!(numbers(&mut t), [6, 7, 8, 9]);
    // A Nack for 6, having heard up to 9: 4 and 5 have arrived, so one group more may go.
    t.at(200).hears(&[0xB8, 0x00, 0x05, 1, 6, 0x19, 9]);
    assert_eq!(numbers(&mut t), [6, 10, 11]);
    // The same Nack at once: 6 is held off.
    t.at(250).hears(&[0xB8, 0x00, 0x05, 1, 6, 0x19, 9]);
    assert_eq!(numbers(&mut t), [0u8; 0]);
    // Acknowledged, but the window closes: nothing more, until a probe without data is answered.
    t.at(300)
        .hears(&[0x98, 0x00, 0x05, 0x99, 11, 0x12, 0x07, 0])
        .says_nothing();
    t.at(10_000);
    let probe = t.heard();
    assert_eq!((probe[0] & 0x7C, probe[3], probe.len()), (0x34, 11, 4));
    t.all_heard();
    t.hears(&[0x98, 0x00, 0x05, 0x99, 11, 0x12, 0x07, 2]);
    assert_eq!(numbers(&mut t), [12, 13, 14, 15]);
    t.hears(&[0x98, 0x00, 0x05, 0x19, 15]);
    assert_eq!(numbers(&mut t), [16, 17, 18, 19]);
    t.hears(&[0x98, 0x00, 0x05, 0x19, 19])
        .result_confirmed(b"")
        .is_over();
}
