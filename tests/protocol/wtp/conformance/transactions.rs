//! Transactions of every class: WTP-S-001 to WTP-S-018.

use wapbridge::wtp::{AbortReason, Class, Config, Handle, ProviderAbort};

use super::super::transcript::Transcript;
use super::{INVOKE, INVOKE_AGAIN};

pub(super) fn class_0_is_sent_once() {
    let mut t = Transcript::terse();
    assert_eq!(t.invokes(Class::Zero, false, b"u"), Handle::OVER);
    let first = t.heard();
    assert_eq!(
        (first[0], first[1] & 0x80, &first[3..]),
        (0x0E, 0, &[0x00, b'u'][..])
    );
    t.hears(&[0x18, first[1] | 0x80, first[2]])
        .hears(&[0x20, first[1] | 0x80, first[2], 1]);
    t.at(600_000).says_nothing().indicates_nothing().is_over();
    t.invokes(Class::Zero, false, b"u");
    let second = t.heard();
    let tid = |pdu: &[u8]| u16::from_be_bytes([pdu[1], pdu[2]]);
    assert_eq!(tid(&second), (tid(&first) + 1) & 0x7FFF);
}

pub(super) fn class_0_is_delivered_and_forgotten() {
    let mut t = Transcript::terse();
    for _ in 0..2 {
        t.hears(&[0x0E, 0x00, 0x09, 0x00, b'u']).invoked(b"u");
    }
    t.says_nothing().is_over();
    // TID 9 left no mark: 5 is lower and still good.
    t.hears(INVOKE).says_nothing().invoked(b"q");
    // Nor does one move the last TID of class 2, which is 5: a larger TID, an older one, and TIDnew.
    for (high, low, flags) in [(0x30, 0x00, 0x00), (0x00, 0x03, 0x00), (0x00, 0x02, 0x20)] {
        t.hears(&[0x0E, high, low, flags, b'u']).says_nothing();
        t.invoked(b"u");
        t.hears(&[0x0F, high, low, flags, b'u']).invoked(b"u");
    }
    t.hears(&[0x0A, 0x00, 0x06, 0x02, b'n']).says_nothing();
    t.invoked(b"n");
    // What was old before is old still.
    t.hears(&[0x0A, 0x00, 0x04, 0x02, b'o'])
        .says(&[0x1C, 0x80, 0x04])
        .indicates_nothing();
    // And while a TID is asked about, class 0 comes through, and the question stays.
    t.hears(&[0x0E, 0x00, 0x04, 0x00, b'u']).says_nothing();
    t.invoked(b"u");
    t.hears(&[0x1C, 0x00, 0x04]).invoked(b"o");
}

pub(super) fn a_push_is_repeated_until_acknowledged() {
    let mut t = Transcript::terse();
    t.invokes(Class::One, false, b"p");
    let first = t.heard();
    let [_, high, low, 0x01, b'p'] = first[..] else {
        panic!("{first:?}")
    };
    for repeat in 1..=2u64 {
        t.at(3000 * repeat)
            .says(&[first[0] | 1, high, low, 0x01, b'p']);
    }
    t.hears(&[0x18, high | 0x80, low])
        .invoke_confirmed(b"")
        .is_over();
    t.at(100_000).says_nothing();
    // And one that nobody answers.
    t.invokes(Class::One, false, b"p");
    t.at(100_000 + 9 * 3000 - 1).indicates_nothing();
    t.at(100_000 + 9 * 3000)
        .aborted(AbortReason::Unanswered)
        .is_over();
    assert_eq!(t.all_heard().len(), 9);
    t.at(900_000).says_nothing();
}

pub(super) fn class_1_is_acknowledged_once() {
    let mut t = Transcript::terse();
    t.hears(&[0x0A, 0x00, 0x05, 0x01, b'p'])
        .says(&[0x18, 0x80, 0x05])
        .invoked(b"p");
    t.hears(&[0x0A, 0x00, 0x05, 0x01, b'p']).says_nothing();
    t.at(39_999)
        .hears(&[0x0B, 0x00, 0x05, 0x01, b'p'])
        .says(&[0x19, 0x80, 0x05]);
    t.indicates_nothing().at(40_000).is_over();
    let handle = t
        .hears(&[0x0A, 0x00, 0x06, 0x11, b'p'])
        .says_nothing()
        .invoked(b"p");
    t.accepts(handle, b"").says(&[0x18, 0x80, 0x06]);
}

pub(super) fn class_2_as_initiator() {
    let mut t = Transcript::terse();
    let handle = t.invokes(Class::Two, true, b"q");
    let first = t.heard();
    let [0x0A, high, low, 0x12, b'q'] = first[..] else {
        panic!("{first:?}")
    };
    t.at(5000).says(&[0x0B, high, low, 0x12, b'q']);
    // Hold-on stops the repeats.
    t.hears(&[0x18, high | 0x80, low]).invoke_confirmed(b"");
    t.at(60_000).says_nothing();
    t.hears(&[0x12, high | 0x80, low, b'r']);
    assert_eq!(t.resulted(b"r"), handle);
    t.says_nothing()
        .acknowledges(handle, b"")
        .says(&[0x18, high, low]);
    t.hears(&[0x13, high | 0x80, low, b'r'])
        .says(&[0x19, high, low]);
    t.hears(&[0x12, high | 0x80, low, b'r'])
        .says_nothing()
        .indicates_nothing();
    t.at(100_000).is_over();
}

pub(super) fn class_2_as_responder() {
    let mut t = Transcript::terse();
    let handle = t.hears(INVOKE).invoked(b"q");
    // The user is slow: one hold-on ack, without Info, and as much time as it likes.
    t.at(2000)
        .says(&[0x18, 0x80, 0x05])
        .at(500_000)
        .says_nothing();
    t.results(handle, b"r").says(&[0x12, 0x80, 0x05, b'r']);
    t.at(507_000)
        .says(&[0x13, 0x80, 0x05, b'r'])
        .at(514_000)
        .says(&[0x13, 0x80, 0x05, b'r']);
    t.hears(&[0x18, 0x00, 0x05]).result_confirmed(b"").is_over();
    t.at(900_000).says_nothing();
}

pub(super) fn the_user_acknowledges() {
    let mut t = Transcript::terse();
    t.hears(&[0x0A, 0x00, 0x05, 0x12, b'q']).invoked(b"q");
    // No ack before the user has spoken; repeats are swallowed and start the time anew.
    t.at(1000).hears(&[0x0B, 0x00, 0x05, 0x12, b'q']);
    t.at(14_999).says_nothing().indicates_nothing();
    t.at(15_000).says(&[0x20, 0x80, 0x05, 0x08]);
    t.provider_aborted(ProviderAbort::NORESPONSE).is_over();
    // A result takes the place of the ack.
    let handle = t.hears(&[0x0A, 0x00, 0x06, 0x12, b'q']).invoked(b"q");
    t.results(handle, b"r").says(&[0x12, 0x80, 0x06, b'r']);
    // The user's word, then the hold-on ack when it is time.
    let handle = t.hears(&[0x0A, 0x00, 0x07, 0x12, b'q']).invoked(b"q");
    t.accepts(handle, b"").says_nothing();
    t.at(17_000).says(&[0x18, 0x80, 0x07]);
    // Our own pushes ask for it when told to.
    t.invokes(Class::One, true, b"p");
    assert_eq!(t.heard()[3], 0x11);
}

pub(super) fn what_waits_for_a_peer_shares_a_datagram() {
    let mut t = Transcript::terse();
    let small = t.hears(INVOKE).invoked(b"q");
    let large = t.hears(&[0x0A, 0x00, 0x06, 0x02]).invoked(b"");
    let other = t.hears_from(49_153, &[0x0A, 0x00, 0x06, 0x02]).invoked(b"");
    t.results(small, b"r")
        .results(other, b"o")
        .results(large, &[7; 200]);
    let mut expected = vec![0x00, 4, 0x12, 0x80, 0x05, b'r', 0x80, 203, 0x12, 0x80, 0x06];
    expected.extend([7; 200]);
    t.says(&expected)
        .says(&[0x12, 0x80, 0x06, b'o'])
        .says_nothing();
    // Never beyond the limit.
    let invoke = |tid| [0x0A, 0x00, tid, 0x02];
    let handles: Vec<_> = (7..47)
        .map(|tid| t.hears(&invoke(tid)).invoked(b""))
        .collect();
    for handle in handles {
        t.results(handle, &[7; 100]);
    }
    let datagrams = t.all_heard();
    assert_eq!(datagrams.len(), 4);
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 1432));
}

pub(super) fn a_packet_of_a_segmented_message_goes_alone() {
    let mut t = Transcript::new(Config {
        segment_size: 4,
        ..Config::ip()
    });
    // The Ack of a transaction that waits for its user is due when the packets are.
    t.hears(INVOKE).invoked(b"q");
    let large = t.at(1000).hears(&[0x0A, 0x00, 0x06, 0x02]).invoked(b"");
    t.at(2000).results(large, b"one-two-last");
    t.says(&[0x18, 0x80, 0x05])
        .says(b"\x10\x80\x06one-")
        .says(b"\x30\x80\x06\x01two-")
        .says(b"\x32\x80\x06\x02last")
        .says_nothing();
    // So do the packets that the handset asks for.
    t.hears(&[0x38, 0x00, 0x06, 2, 0, 1]);
    t.says(b"\x11\x80\x06one-")
        .says(b"\x31\x80\x06\x01two-")
        .says_nothing();
}

pub(super) fn a_datagram_is_separated() {
    let mut t = Transcript::terse();
    let mut datagram = vec![0x00, 5];
    datagram.extend_from_slice(INVOKE);
    datagram.extend_from_slice(&[0x80, 5, 0x0A, 0x00, 0x06, 0x02, b's']);
    // A length beyond the end: what came before stands.
    datagram.extend_from_slice(&[9, 0x0A, 0x00, 0x07, 0x02]);
    t.hears(&datagram);
    let handle = t.invoked(b"q");
    t.invoked(b"s");
    t.indicates_nothing()
        .results(handle, b"r")
        .says(&[0x12, 0x80, 0x05, b'r']);
    assert_eq!(t.endpoint.stats().malformed, 1);
    t.hears(&[0x00, 0, 3, 0x18, 0x00, 0x05]).indicates_nothing();
}

pub(super) fn copies_differ_in_rid_only() {
    let mut t = Transcript::terse();
    let handle = t.hears(INVOKE).invoked(b"q");
    t.results(handle, b"result");
    let first = t.heard();
    assert_eq!(first[0] & 1, 0);
    let mut copy = first.clone();
    copy[0] |= 1;
    for repeat in 1..=8 {
        t.at(7000 * repeat).says(&copy);
    }
    t.at(9 * 7000)
        .says_nothing()
        .aborted(AbortReason::Unanswered)
        .is_over();
}

pub(super) fn either_user_aborts() {
    let mut t = Transcript::terse();
    let handle = t.hears(INVOKE).invoked(b"q");
    t.endpoint.abort(t.now, handle, 0xE3);
    t.says(&[0x21, 0x80, 0x05, 0xE3])
        .is_over()
        .indicates_nothing();
    // Too late for everything else.
    t.results(handle, b"r").accepts(handle, b"").says_nothing();
    // If the Abort was lost the Invoke comes again, and gets it again; the user is left alone.
    t.hears(INVOKE_AGAIN)
        .says(&[0x21, 0x80, 0x05, 0xE3])
        .indicates_nothing();
    t.hears(&[0x0A, 0x00, 0x06, 0x02]).invoked(b"");
    t.hears(&[0x21, 0x00, 0x06, 0xE1]).says_nothing();
    t.aborted(AbortReason::User(0xE1)).is_over();
    t.hears(&[0x21, 0x00, 0x07, 0xE1])
        .says_nothing()
        .indicates_nothing();
}

pub(super) fn errors_abort() {
    let mut t = Transcript::terse();
    // A variable header that leads beyond the end, in a live transaction.
    t.hears(INVOKE).invoked(b"q");
    t.hears(&[0x98, 0x00, 0x05, 0x1B])
        .says(&[0x20, 0x80, 0x05, 0x01]);
    t.provider_aborted(ProviderAbort::PROTOERR).is_over();
    // No such version, no such class, no such PDU.
    t.hears(&[0x0A, 0x00, 0x06, 0x42])
        .says(&[0x20, 0x80, 0x06, 0x06]);
    t.hears(&[0x0A, 0x00, 0x06, 0x03])
        .says(&[0x20, 0x80, 0x06, 0x01]);
    t.hears(&[0x48, 0x00, 0x06, 0x03])
        .says(&[0x20, 0x80, 0x06, 0x01]);
    // Without a TID there is nobody to answer, and no Abort is ever answered.
    t.hears(&[0x0A, 0x00])
        .hears(&[0x27, 0x00, 0x06, 0x00])
        .hears(&[0x20, 0x00, 0x06])
        .says_nothing();
    // Too much at once, and too much for one message.
    let mut t = Transcript::new(Config {
        max_message: 10,
        max_reassembly: 5,
        ..Config::ip()
    });
    t.hears(&[0x08, 0x00, 0x05, 0x02, 1, 2, 3, 4, 5, 6])
        .says(&[0x20, 0x80, 0x05, 0x07]);
    t.hears(&[&[0x08, 0x00, 0x06, 0x02][..], &[7; 11]].concat())
        .says(&[0x20, 0x80, 0x06, 0x09]);
    t.is_over();
}

pub(super) fn exit_info_goes_with_the_last_ack() {
    let mut t = Transcript::terse();
    // Class 2: not with the hold-on ack, but from the initiator's last one to the user.
    let handle = t.hears(INVOKE).invoked(b"q");
    t.accepts(handle, b"no").at(2000).says(&[0x18, 0x80, 0x05]);
    t.results(handle, b"").says(&[0x12, 0x80, 0x05]);
    t.hears(&[0x98, 0x00, 0x05, 0x0A, b'h', b'i'])
        .result_confirmed(b"hi");
    // Class 1: with the only one, and its repetition.
    let handle = t.hears(&[0x0A, 0x00, 0x06, 0x11]).invoked(b"");
    t.accepts(handle, b"hi")
        .says(&[0x98, 0x80, 0x06, 0x0A, b'h', b'i']);
    t.hears(&[0x0B, 0x00, 0x06, 0x11])
        .says(&[0x99, 0x80, 0x06, 0x0A, b'h', b'i']);
}

pub(super) fn transactions_do_not_wait_for_each_other() {
    let mut t = Transcript::new(Config {
        max_transactions: 5,
        max_transactions_per_peer: 3,
        ..Config::ip()
    });
    let invoke = |tid: u8| [0x0A, 0x00, tid, 0x02, b'a' + tid];
    // Three in one datagram, and a fourth that is ignored without a word.
    let series: Vec<u8> = [1, 2, 3, 4]
        .iter()
        .flat_map(|&tid| [&[5][..], &invoke(tid)].concat())
        .collect();
    t.hears(&[&[0][..], &series].concat());
    let handles = [b"b", b"c", b"d"].map(|data| t.invoked(data));
    t.indicates_nothing().says_nothing();
    // Each waits for its own user: the first has a hold-on, and nobody answers for another.
    let hold_ons = t.at(2000).all_heard().concat();
    assert_eq!(
        hold_ons,
        [0, 3, 0x18, 0x80, 1, 3, 0x18, 0x80, 2, 3, 0x18, 0x80, 3]
    );
    for (at, tid) in [(2, 3), (0, 1), (1, 2)] {
        t.results(handles[at], &[b'r', tid])
            .says(&[0x12, 0x80, tid, b'r', tid]);
    }
    // The second is confirmed; the others are repeated, each when it is due.
    t.hears(&[0x18, 0x00, 2]).result_confirmed(b"");
    // A repeated PDU goes alone: the handset may have been unable to separate the first datagram.
    t.at(9500)
        .says(&[0x13, 0x80, 1, b'r', 1])
        .says(&[0x13, 0x80, 3, b'r', 3])
        .says_nothing();
    // There is room for another of this peer, and for others whatever this one does, up to the limit of all.
    t.hears(&[0x0B, 0x00, 4, 0x02]).invoked(b"");
    for port in 50_000..50_004 {
        t.hears_from(port, &invoke(1)).says_nothing();
    }
    t.invoked(b"b");
    t.invoked(b"b");
    t.indicates_nothing();
    // An Abort ends its own.
    t.hears(&[0x39 & 0x20, 0x00, 3, 0x00])
        .aborted(AbortReason::Provider(ProviderAbort::UNKNOWN));
    t.hears(&[0x18, 0x00, 1]).result_confirmed(b"");
}

pub(super) fn a_question_for_our_tid_is_answered() {
    let mut t = Transcript::terse();
    t.invokes(Class::One, false, b"p");
    let [_, high, low, ..] = t.heard()[..] else {
        panic!()
    };
    t.hears(&[0x1C, high | 0x80, low]).says(&[0x1C, high, low]);
    t.at(100)
        .hears(&[0x1D, high | 0x80, low])
        .says(&[0x1D, high, low]);
    t.hears(&[0x18, high | 0x80, low])
        .invoke_confirmed(b"")
        .is_over();
    // It is over now, as unknown as any other.
    t.hears(&[0x1C, high | 0x80, low])
        .says(&[0x20, high, low, 0x02]);
    t.hears(&[0x1C, 0x81, 0x23]).says(&[0x20, 0x01, 0x23, 0x02]);
    // A second doubted one: the next Invoke has TIDnew, and whatever comes after it waits.
    t.invokes(Class::One, false, b"p");
    let [_, high, low, ..] = t.heard()[..] else {
        panic!()
    };
    t.hears(&[0x1C, high | 0x80, low])
        .hears(&[0x18, high | 0x80, low]);
    t.invoke_confirmed(b"");
    t.all_heard();
    t.invokes(Class::One, false, b"p");
    let [_, high, low, octet, _] = t.heard()[..] else {
        panic!()
    };
    assert_eq!(octet, 0x21);
    t.invokes(Class::One, false, b"later");
    t.says_nothing();
    t.hears(&[0x1C, high | 0x80, low])
        .says(&[0x1C, high, low])
        .says_nothing();
    t.hears(&[0x18, high | 0x80, low]).invoke_confirmed(b"");
    assert_eq!(t.heard()[3..], *b"\x01later");
}

pub(super) fn a_doubtful_tid_is_asked_about() {
    let mut t = Transcript::terse();
    t.hears(INVOKE).invoked(b"q");
    t.hears(&[0x0A, 0x00, 0x03, 0x02, b'o'])
        .says(&[0x1C, 0x80, 0x03])
        .indicates_nothing();
    t.hears(&[0x0A, 0x00, 0x03, 0x02, b'o']).says_nothing();
    t.hears(&[0x0B, 0x00, 0x03, 0x02, b'o'])
        .says(&[0x1D, 0x80, 0x03]);
    t.hears(&[0x1C, 0x00, 0x03]).invoked(b"o");
    t.hears(&[0x1C, 0x00, 0x03]).indicates_nothing();
    // The last TID is still 5.
    t.hears(&[0x0A, 0x00, 0x04, 0x02]).says(&[0x1C, 0x80, 0x04]);
    t.hears(&[0x20, 0x00, 0x04, 0x02])
        .says_nothing()
        .indicates_nothing();
    // TIDnew: asked even though the TID is higher, and then it is the last one.
    t.hears(&[0x0A, 0x00, 0x09, 0x22])
        .says(&[0x1C, 0x80, 0x09])
        .indicates_nothing();
    t.hears(&[0x1C, 0x00, 0x09]).invoked(b"");
    t.hears(&[0x0A, 0x00, 0x02, 0x22]).says(&[0x1C, 0x80, 0x02]);
    t.hears(&[0x1C, 0x00, 0x02]).invoked(b"");
    t.hears(&[0x0A, 0x00, 0x07, 0x02])
        .says_nothing()
        .invoked(b"");
    // Nobody answers: forgotten after the sender's last possible repeat.
    t.hears(&[0x0A, 0x00, 0x01, 0x02]).says(&[0x1C, 0x80, 0x01]);
    let alive = t.endpoint.transactions();
    t.at(45_000);
    assert_eq!(t.endpoint.transactions(), alive - 1);
}

pub(super) fn odd_items_are_complained_about() {
    let mut t = Transcript::terse();
    // Unknown, in the short and in the long form; the data behind it are read.
    let handle = t
        .hears(&[0x8A, 0x00, 0x05, 0x02, 0x62, 1, 2, b'q'])
        .invoked(b"q");
    t.results(handle, b"r")
        .says(&[0x92, 0x80, 0x05, 0x01, 0x1C, b'r']);
    t.hears(&[0x8A, 0x00, 0x06, 0x02, 0x7C, 4, 1, 2, 3, 4, b'q'])
        .invoked(b"q");
    t.at(2000).says(&[0x98, 0x80, 0x06, 0x01, 0x1F]);
    // Known, but an option nobody defined, or a number of no octets.
    t.hears(&[0x8A, 0x00, 0x07, 0x01, 0x12, 0x63, 1, b'q'])
        .invoked(b"q");
    t.says(&[0x98, 0x80, 0x07, 0x02, 0x22, 0x63]);
    t.hears(&[0x8A, 0x00, 0x08, 0x01, 0x18, b'q'])
        .says(&[0x98, 0x80, 0x08, 0x02, 0x23, 0x00]);
    // One that complains to us is understood.
    t.hears(&[0x8A, 0x00, 0x09, 0x01, 0x01, 0x1C, b'q'])
        .says(&[0x18, 0x80, 0x09]);
}

pub(super) fn exit_info_in_both_forms() {
    for (octets, info) in [
        (&[0x08][..], &b""[..]),
        (&[0x0B, 1, 2, 3], &[1, 2, 3]),
        (&[0x0C, 2, 1, 2], &[1, 2]),
        (&[0x0C, 4, 1, 2, 3, 4], &[1, 2, 3, 4]),
    ] {
        let mut t = Transcript::terse();
        let handle = t.hears(INVOKE).invoked(b"q");
        t.results(handle, b"").says(&[0x12, 0x80, 0x05]);
        t.hears(&[&[0x98, 0x00, 0x05], octets].concat())
            .result_confirmed(info);
    }
    let mut t = Transcript::terse();
    let handle = t.hears(&[0x0A, 0x00, 0x06, 0x11]).invoked(b"");
    t.accepts(handle, b"four").says(b"\x98\x80\x06\x0C\x04four");
    let handle = t.hears(&[0x0A, 0x00, 0x07, 0x11]).invoked(b"");
    t.accepts(handle, &[7; 255]);
    assert_eq!(t.heard().len(), 3 + 2 + 255);
}
