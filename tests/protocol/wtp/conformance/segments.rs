//! Segmentation and re-assembly: WTP-S-019 to WTP-S-023.

use wapbridge::wtp::{AbortReason, Class, Config, ProviderAbort};

use super::super::transcript::Transcript;
use super::INVOKE;

pub(super) fn parameters_are_understood() {
    // Maximum Receive Unit: a longer result is not sent.
    let mut t = Transcript::terse();
    let handle = t
        .hears(&[0x8A, 0x00, 0x05, 0x02, 0x12, 0x01, 4, b'q'])
        .invoked(b"q");
    assert_eq!(t.endpoint.max_receive_unit(handle), Some(4));
    t.results(handle, b"12345").says(&[0x20, 0x80, 0x05, 0x09]);
    t.provider_aborted(ProviderAbort::MESSAGETOOLARGE);
    // Total Message Size: no need to wait for all of it.
    t.hears(&[
        0x88, 0x00, 0x06, 0x02, 0x14, 0x04, 0x02, 0x10, 0x00, 0x01, b'q',
    ])
    .says(&[0x20, 0x80, 0x06, 0x09]);
    // Maximum Group: two packets of 1400 fit 2800 octets; then one as told in the Ack.
    let handle = t
        .hears(&[0x8A, 0x00, 0x07, 0x02, 0x13, 0x04, 0x0A, 0xF0, b'q'])
        .invoked(b"q");
    t.results(handle, &[7; 7000]);
    assert_eq!(t.all_heard().len(), 2);
    t.hears(&[0x98, 0x00, 0x07, 0x99, 1, 0x13, 0x04, 0x05, 0x78]);
    assert_eq!(t.all_heard().len(), 1);
    // Even what one packet could hold is more than one group.
    let handle = t
        .hears(&[0x8A, 0x00, 0x0A, 0x02, 0x12, 0x04, 200])
        .invoked(b"");
    t.results(handle, &[7; 300]);
    let first = t.heard();
    assert_eq!((first[0], first.len()), (0x14, 203));
    // Delay Transmission Timer, in tenths of a second.
    t.hears(&[0x98, 0x00, 0x07, 0x99, 2, 0x12, 0x03, 3])
        .says_nothing();
    t.at(299).says_nothing().at(300);
    assert_eq!(t.heard()[3], 3);
    // Current TID and No Cached TID are understood, so that nobody complains; and told on request.
    t.hears(&[0x8A, 0x00, 0x0B, 0x01, 0x93, 0x05, 0, 1, 0x11, 0x06])
        .says(&[0x18, 0x80, 0x0B]);
    let mut t = Transcript::new(Config {
        explain_verification: true,
        verify_new_peers: true,
        ..Config::ip()
    });
    t.hears(INVOKE).says(&[0x9C, 0x80, 0x05, 0x11, 0x06]);
    t.hears(&[0x1C, 0x00, 0x05]).invoked(b"q");
    t.hears(&[0x0A, 0x00, 0x03, 0x02])
        .says(&[0x9C, 0x80, 0x03, 0x12, 0x05, 5]);
    // What we take ourselves is told in the Invoke and with the first groups.
    let mut t = Transcript::new(Config {
        receive_group: Some(1400),
        max_receive_unit: Some(9),
        ..Config::ip()
    });
    t.invokes(Class::Two, false, b"q");
    let [0x8A, _, _, 0x02, ref items @ ..] = t.heard()[..] else {
        panic!()
    };
    assert_eq!(*items, [0x93, 0x04, 0x05, 0x78, 0x12, 0x01, 9, b'q']);
    t.hears(&[0x0C, 0x00, 0x05, 0x02, b'q'])
        .says(&[0x98, 0x80, 0x05, 0x99, 0, 0x13, 0x04, 0x05, 0x78]);
}

pub(super) fn acks_of_groups_name_their_packet() {
    let mut t = Transcript::terse();
    t.hears(&[0x0C, 0x00, 0x05, 0x02, b'a'])
        .says(&[0x98, 0x80, 0x05, 0x19, 0]);
    t.hears(&[0x2C, 0x00, 0x05, 1, b'b'])
        .says(&[0x98, 0x80, 0x05, 0x19, 1]);
    let handle = t.hears(&[0x2A, 0x00, 0x05, 2, b'c']).invoked(b"abc");
    // Outgoing groups move on with the number of their last packet, and with no other.
    t.results(handle, &[7; 3000]);
    assert_eq!(t.heard()[0], 0x14);
    t.says_nothing()
        .hears(&[0x98, 0x00, 0x05, 0x19, 7])
        .says_nothing();
    t.hears(&[0x98, 0x00, 0x05, 0x19, 0]);
    assert_eq!(t.heard()[..4], [0x34, 0x80, 0x05, 1]);
    t.hears(&[0x98, 0x00, 0x05, 0x19, 0])
        .says_nothing()
        .hears(&[0x98, 0x00, 0x05, 0x19, 1]);
    assert_eq!(t.heard()[..4], [0x32, 0x80, 0x05, 2]);
    t.hears(&[0x98, 0x00, 0x05, 0x19, 2])
        .result_confirmed(b"")
        .is_over();
}

pub(super) fn segments_both_ways() {
    let mut t = Transcript::terse();
    // Two groups, out of order, with copies and losses.
    let inside = |psn: u8| [0x28, 0x00, 0x05, psn, b'a' + psn];
    t.hears(&[0x08, 0x00, 0x05, 0x02, b'a'])
        .hears(&inside(2))
        .hears(&inside(2));
    t.hears(&[0x2C, 0x00, 0x05, 3, b'd']).says_nothing();
    t.at(300).says(&[0x38, 0x80, 0x05, 1, 1]);
    // The end of the group is repeated: asked again, after the pause.
    t.at(3000)
        .hears(&[0x2D, 0x00, 0x05, 3, b'd'])
        .says_nothing();
    t.at(3300).says(&[0x38, 0x80, 0x05, 1, 1]);
    t.hears(&inside(1)).says(&[0x98, 0x80, 0x05, 0x19, 3]);
    t.hears(&[0x2A, 0x00, 0x05, 5, b'f']).indicates_nothing();
    let handle = t.hears(&inside(4)).invoked(b"abcdef");
    // Group by group; the timer repeats the end of the group, a Nack what is missing.
    let handle_peer_takes = &[
        0x98, 0x00, 0x05, 0x99, 0, 0x14, 5, 0x04, 0x00, 0x01, 0x00, 0x00,
    ];
    t.results(handle, &[7; 6000]);
    assert_eq!(t.heard()[0], 0x14);
    t.at(5000 + 1300 + 1000);
    let again = t.heard();
    assert_eq!((again[0], again.len()), (0x15, 1403));
    t.hears(handle_peer_takes);
    let group = t.all_heard();
    let heads: Vec<_> = group.iter().map(|pdu| (pdu[0], pdu[3])).collect();
    assert_eq!(heads, [(0x30, 1), (0x30, 2), (0x30, 3), (0x32, 4)]);
    t.hears(&[0x38, 0x00, 0x05, 2, 1, 3]);
    let again: Vec<_> = t.all_heard().iter().map(|pdu| (pdu[0], pdu[3])).collect();
    assert_eq!(again, [(0x31, 1), (0x31, 3)]);
    // A Nack that names none asks for all of the group (8.3.5).
    t.at(20_000);
    t.all_heard();
    t.hears(&[0x38, 0x00, 0x05, 0]);
    let again: Vec<_> = t.all_heard().iter().map(|pdu| (pdu[0], pdu[3])).collect();
    assert_eq!(again, [(0x31, 1), (0x31, 2), (0x31, 3), (0x33, 4)]);
    t.hears(&[0x18, 0x00, 0x05]).result_confirmed(b"").is_over();
    // Packets of no transaction, and of one that was never finished.
    t.hears(&inside(9)).says_nothing();
    t.hears(&[0x08, 0x00, 0x06, 0x02, b'a']);
    t.at(60_000).says_nothing().indicates_nothing().is_over();
    // A doubtful TID with segments: asked once the first group is whole.
    t.hears(&[0x08, 0x00, 0x04, 0x02, b'a']).says_nothing();
    t.hears(&[0x2C, 0x00, 0x04, 1, b'b'])
        .says(&[0x9C, 0x80, 0x04, 0x19, 1]);
    t.hears(&[0x1C, 0x00, 0x04])
        .says_nothing()
        .hears(&[0x2A, 0x00, 0x04, 2, b'c'])
        .invoked(b"abc");
    // Without SAR a result is one datagram, whatever its size; with it, TTR alone is not SAR in use.
    let handle = t.hears(&[0x0E, 0x00, 0x07, 0x02]).invoked(b"");
    t.results(handle, &[7; 5000]);
    assert_eq!(t.heard().len(), 5003);
    // 256 packets at most, each of no more than a group.
    let handle = t.hears(&[0x0A, 0x00, 0x08, 0x02]).invoked(b"");
    t.results(handle, &[7; 256 * 1405 + 1])
        .says(&[0x20, 0x80, 0x08, 0x0A]);
    t.provider_aborted(ProviderAbort::NOTIMPLEMENTEDESAR);
    // GTR and TTR on a later packet: the message ends, and nothing is said of what the peer can do.
    let handle = t
        .hears(&[0x08, 0x00, 0x09, 0x02, b'a'])
        .hears(&[0x2E, 0x00, 0x09, 1, b'b'])
        .invoked(b"ab");
    t.results(handle, &[7; 2000]);
    let first = t.heard();
    assert_eq!((first[0] & 0x06, first.len()), (0x04, 1403), "in packets");
    t.hears(&[0x20, 0x00, 0x09, 0x00])
        .aborted(AbortReason::Provider(ProviderAbort::UNKNOWN));
}

/// The options of an Ack hold for the transaction (8.4.4): they are said until the next group shows that they were
/// heard. Kannel's `fakewap` waits ten seconds in each group whose Ack has one, but for the first.
pub(super) fn options_are_said_until_heard() {
    let mut t = Transcript::new(Config::ip());
    const GROUP: [u8; 6] = [0x14, 0x04, 0x04, 0x01, 0x00, 0x00];
    let with_group = |head: [u8; 5]| [&head[..], &GROUP].concat();
    t.hears(&[0x0C, 0x00, 0x05, 0x02, b'a'])
        .says(&with_group([0x98, 0x80, 0x05, 0x99, 0]));
    // The Ack was lost: the end of the group comes again.
    t.hears(&[0x0D, 0x00, 0x05, 0x02, b'a'])
        .says(&with_group([0x99, 0x80, 0x05, 0x99, 0]));
    // What begins the next group proves nothing that it does not complete; its Ack needs no more.
    t.hears(&[0x28, 0x00, 0x05, 1, b'b'])
        .hears(&[0x2C, 0x00, 0x05, 2, b'c'])
        .says(&[0x98, 0x80, 0x05, 0x19, 2]);
    t.hears(&[0x2D, 0x00, 0x05, 2, b'c'])
        .says(&[0x99, 0x80, 0x05, 0x19, 2]);
    t.hears(&[0x2A, 0x00, 0x05, 3, b'd']).invoked(b"abcd");
    // An Error TPI is an answer to one item: said with the next Ack, and again only if that was lost.
    t.hears(&[0x8C, 0x00, 0x06, 0x02, 0x71, b'?', b'a']);
    let error = [0x81, 0x1E];
    let first = [&[0x98, 0x80, 0x06, 0x99, 0][..], &error, &GROUP].concat();
    t.says(&first);
    t.hears(&[0x2C, 0x00, 0x06, 1, b'b'])
        .says(&[0x98, 0x80, 0x06, 0x19, 1]);
    // The question about a doubtful TID stands for the Ack of the first group.
    t.hears(&[0x08, 0x00, 0x04, 0x02, b'a'])
        .hears(&[0x2C, 0x00, 0x04, 1, b'b'])
        .says(&with_group([0x9C, 0x80, 0x04, 0x99, 1]));
    t.hears(&[0x1C, 0x00, 0x04])
        .hears(&[0x2C, 0x00, 0x04, 2, b'c'])
        .says(&[0x98, 0x80, 0x04, 0x19, 2]);
}
