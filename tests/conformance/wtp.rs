//! WTP-S-001 to WTP-S-026, one function each.

use bytes::Bytes;
use wapbridge::wtp::{AbortReason, Class, Config, Fragment, Handle, Indication, ProviderAbort};

use crate::suite::Suite;
use crate::transcript::{Transcript, peer};

pub(crate) fn hold(suite: &mut Suite) {
    suite.held(&["WTP-S-001"], "class_0_is_sent_once", class_0_is_sent_once);
    suite.held(
        &["WTP-S-002"],
        "class_0_is_delivered_and_forgotten",
        class_0_is_delivered_and_forgotten,
    );
    suite.held(
        &["WTP-S-003"],
        "a_push_is_repeated_until_acknowledged",
        a_push_is_repeated_until_acknowledged,
    );
    suite.held(
        &["WTP-S-004"],
        "class_1_is_acknowledged_once",
        class_1_is_acknowledged_once,
    );
    suite.held(&["WTP-S-005"], "class_2_as_initiator", class_2_as_initiator);
    suite.held(&["WTP-S-006"], "class_2_as_responder", class_2_as_responder);
    suite.held(
        &["WTP-S-007", "WTP-S-022"],
        "the_user_acknowledges",
        the_user_acknowledges,
    );
    suite.held(
        &["WTP-S-008"],
        "what_waits_for_a_peer_shares_a_datagram",
        what_waits_for_a_peer_shares_a_datagram,
    );
    suite.held(
        &["WTP-S-009"],
        "a_datagram_is_separated",
        a_datagram_is_separated,
    );
    suite.held(
        &["WTP-S-010", "WTP-S-022"],
        "copies_differ_in_rid_only",
        copies_differ_in_rid_only,
    );
    suite.held(
        &["WTP-S-011", "WTP-S-022"],
        "either_user_aborts",
        either_user_aborts,
    );
    suite.held(&["WTP-S-012", "WTP-S-022"], "errors_abort", errors_abort);
    suite.held(
        &["WTP-S-013"],
        "exit_info_goes_with_the_last_ack",
        exit_info_goes_with_the_last_ack,
    );
    suite.held(
        &["WTP-S-014"],
        "transactions_do_not_wait_for_each_other",
        transactions_do_not_wait_for_each_other,
    );
    suite.held(
        &["WTP-S-015"],
        "a_question_for_our_tid_is_answered",
        a_question_for_our_tid_is_answered,
    );
    suite.held(
        &["WTP-S-016"],
        "a_doubtful_tid_is_asked_about",
        a_doubtful_tid_is_asked_about,
    );
    suite.held(
        &["WTP-S-017"],
        "odd_items_are_complained_about",
        odd_items_are_complained_about,
    );
    suite.held(
        &["WTP-S-018"],
        "exit_info_in_both_forms",
        exit_info_in_both_forms,
    );
    suite.held(
        &["WTP-S-019"],
        "parameters_are_understood",
        parameters_are_understood,
    );
    suite.held(
        &["WTP-S-020"],
        "acks_of_groups_name_their_packet",
        acks_of_groups_name_their_packet,
    );
    suite.held(&["WTP-S-021"], "segments_both_ways", segments_both_ways);
    suite.held(
        &["WTP-S-023"],
        "extended_sar_goes_beyond_256_packets",
        extended_sar_goes_beyond_256_packets,
    );
    suite.held(
        &["WTP-S-024"],
        "frames_begin_where_marked",
        frames_begin_where_marked,
    );
    suite.held(
        &["WTP-S-025"],
        "data_units_end_where_marked",
        data_units_end_where_marked,
    );
    suite.held(
        &["WTP-S-026"],
        "the_window_slides_closes_and_opens",
        the_window_slides_closes_and_opens,
    );
}

/// Class 2, TID 5, SAR possible, data "q"; and the same with RID.
const INVOKE: &[u8] = &[0x0A, 0x00, 0x05, 0x02, b'q'];
const INVOKE_AGAIN: &[u8] = &[0x0B, 0x00, 0x05, 0x02, b'q'];

fn class_0_is_sent_once() {
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

fn class_0_is_delivered_and_forgotten() {
    let mut t = Transcript::terse();
    for _ in 0..2 {
        t.hears(&[0x0E, 0x00, 0x09, 0x00, b'u']).invoked(b"u");
    }
    t.says_nothing().is_over();
    // TID 9 left no mark: 5 is lower and still good.
    t.hears(INVOKE).says_nothing().invoked(b"q");
}

fn a_push_is_repeated_until_acknowledged() {
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

fn class_1_is_acknowledged_once() {
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

fn class_2_as_initiator() {
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

fn class_2_as_responder() {
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

fn the_user_acknowledges() {
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

fn what_waits_for_a_peer_shares_a_datagram() {
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

fn a_datagram_is_separated() {
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

fn copies_differ_in_rid_only() {
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

fn either_user_aborts() {
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

fn errors_abort() {
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

fn exit_info_goes_with_the_last_ack() {
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

fn transactions_do_not_wait_for_each_other() {
    let mut t = Transcript::new(Config {
        max_transactions_per_peer: 3,
        ..Config::ip()
    });
    let handles = [1, 2, 3].map(|tid| t.hears(&[0x0A, 0x00, tid, 0x02]).invoked(b""));
    // A fourth is ignored, without a word.
    t.hears(&[0x0A, 0x00, 4, 0x02])
        .says_nothing()
        .indicates_nothing();
    for (at, tid) in [(2, 3), (0, 1), (1, 2)] {
        t.results(handles[at], b"r").says(&[0x12, 0x80, tid, b'r']);
    }
    t.hears(&[0x18, 0x00, 2]).result_confirmed(b"");
    t.hears(&[0x0B, 0x00, 4, 0x02]).invoked(b"");
}

fn a_question_for_our_tid_is_answered() {
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

fn a_doubtful_tid_is_asked_about() {
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

fn odd_items_are_complained_about() {
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

fn exit_info_in_both_forms() {
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

fn parameters_are_understood() {
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

fn acks_of_groups_name_their_packet() {
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

fn segments_both_ways() {
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
    // 256 packets at most.
    let handle = t.hears(&[0x0A, 0x00, 0x08, 0x02]).invoked(b"");
    t.results(handle, &[7; 256 * 1400 + 1])
        .says(&[0x20, 0x80, 0x08, 0x0A]);
    t.provider_aborted(ProviderAbort::NOTIMPLEMENTEDESAR);
}

/// An Invoke with TID 5 that offers extended SAR with 3 groups of `group` octets each.
fn extended(group: u16) -> Vec<u8> {
    let [high, low] = group.to_be_bytes();
    vec![
        0x8A, 0x00, 0x05, 0x02, 0x92, 0x07, 3, 0x13, 0x04, high, low, b'q',
    ]
}

fn extended_sar_goes_beyond_256_packets() {
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
const fn fragment(more: bool, frame_boundary: bool) -> Fragment {
    Fragment {
        more,
        frame_boundary,
    }
}

fn frames_begin_where_marked() {
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

fn data_units_end_where_marked() {
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

fn the_window_slides_closes_and_opens() {
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
