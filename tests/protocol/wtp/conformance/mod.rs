//! WTP-S-001 to WTP-S-026, one function each.

mod extended_sar;
mod segments;
mod transactions;

use crate::suite::Suite;

#[test]
fn every_item_is_held() {
    let mut suite = Suite::new(include_str!("../../../../fixtures/conformance/wtp.tsv"));
    hold(&mut suite);
    suite.conclude("WTP");
}

fn hold(suite: &mut Suite) {
    suite.held(
        &["WTP-S-001"],
        "class_0_is_sent_once",
        transactions::class_0_is_sent_once,
    );
    suite.held(
        &["WTP-S-002"],
        "class_0_is_delivered_and_forgotten",
        transactions::class_0_is_delivered_and_forgotten,
    );
    suite.held(
        &["WTP-S-003"],
        "a_push_is_repeated_until_acknowledged",
        transactions::a_push_is_repeated_until_acknowledged,
    );
    suite.held(
        &["WTP-S-004"],
        "class_1_is_acknowledged_once",
        transactions::class_1_is_acknowledged_once,
    );
    suite.held(
        &["WTP-S-005"],
        "class_2_as_initiator",
        transactions::class_2_as_initiator,
    );
    suite.held(
        &["WTP-S-006"],
        "class_2_as_responder",
        transactions::class_2_as_responder,
    );
    suite.held(
        &["WTP-S-007", "WTP-S-022"],
        "the_user_acknowledges",
        transactions::the_user_acknowledges,
    );
    suite.held(
        &["WTP-S-008"],
        "what_waits_for_a_peer_shares_a_datagram",
        transactions::what_waits_for_a_peer_shares_a_datagram,
    );
    suite.held(
        &["WTP-S-008", "WTP-S-021"],
        "a_packet_of_a_segmented_message_goes_alone",
        transactions::a_packet_of_a_segmented_message_goes_alone,
    );
    suite.held(
        &["WTP-S-009"],
        "a_datagram_is_separated",
        transactions::a_datagram_is_separated,
    );
    suite.held(
        &["WTP-S-010", "WTP-S-022"],
        "copies_differ_in_rid_only",
        transactions::copies_differ_in_rid_only,
    );
    suite.held(
        &["WTP-S-011", "WTP-S-022"],
        "either_user_aborts",
        transactions::either_user_aborts,
    );
    suite.held(
        &["WTP-S-012", "WTP-S-022"],
        "errors_abort",
        transactions::errors_abort,
    );
    suite.held(
        &["WTP-S-013"],
        "exit_info_goes_with_the_last_ack",
        transactions::exit_info_goes_with_the_last_ack,
    );
    suite.held(
        &["WTP-S-014"],
        "transactions_do_not_wait_for_each_other",
        transactions::transactions_do_not_wait_for_each_other,
    );
    suite.held(
        &["WTP-S-015"],
        "a_question_for_our_tid_is_answered",
        transactions::a_question_for_our_tid_is_answered,
    );
    suite.held(
        &["WTP-S-016"],
        "a_doubtful_tid_is_asked_about",
        transactions::a_doubtful_tid_is_asked_about,
    );
    suite.held(
        &["WTP-S-017"],
        "odd_items_are_complained_about",
        transactions::odd_items_are_complained_about,
    );
    suite.held(
        &["WTP-S-018"],
        "exit_info_in_both_forms",
        transactions::exit_info_in_both_forms,
    );
    suite.held(
        &["WTP-S-019"],
        "parameters_are_understood",
        segments::parameters_are_understood,
    );
    suite.held(
        &["WTP-S-019", "WTP-S-020"],
        "options_are_said_until_heard",
        segments::options_are_said_until_heard,
    );
    suite.held(
        &["WTP-S-020"],
        "acks_of_groups_name_their_packet",
        segments::acks_of_groups_name_their_packet,
    );
    suite.held(
        &["WTP-S-021"],
        "segments_both_ways",
        segments::segments_both_ways,
    );
    suite.held(
        &["WTP-S-023"],
        "extended_sar_goes_beyond_256_packets",
        extended_sar::extended_sar_goes_beyond_256_packets,
    );
    suite.held(
        &["WTP-S-024"],
        "frames_begin_where_marked",
        extended_sar::frames_begin_where_marked,
    );
    suite.held(
        &["WTP-S-025"],
        "data_units_end_where_marked",
        extended_sar::data_units_end_where_marked,
    );
    suite.held(
        &["WTP-S-026"],
        "the_window_slides_closes_and_opens",
        extended_sar::the_window_slides_closes_and_opens,
    );
}

/// Class 2, TID 5, SAR possible, data "q"; and the same with RID.
const INVOKE: &[u8] = &[0x0A, 0x00, 0x05, 0x02, b'q'];
const INVOKE_AGAIN: &[u8] = &[0x0B, 0x00, 0x05, 0x02, b'q'];
