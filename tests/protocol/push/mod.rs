//! Push: static conformance of PAP, the gateway of pushes, push over the air, and push messages.

mod air;
mod bench;
mod delivery;
mod documents;
mod receipts;
mod reports;
mod terminal;
mod walk;

use crate::suite::Suite;

#[test]
fn every_item_of_pap_is_held() {
    let mut suite = Suite::new(include_str!("../../../fixtures/conformance/pap.tsv"));
    suite.held(
        &["PAP-VAL-S-001"],
        "a_document_that_is_not_valid_is_refused",
        documents::a_document_that_is_not_valid_is_refused,
    );
    suite.held(
        &["PAP-VAL-S-002"],
        "a_service_indication_is_validated",
        documents::a_service_indication_is_validated,
    );
    suite.held(
        &["PAP-VAL-S-003"],
        "addresses_are_read_and_echoed",
        documents::addresses_are_read_and_echoed,
    );
    suite.held(
        &["PAP-OPS-S-001", "PAP-SEM-S-009"],
        "a_submission_is_taken_apart_and_accepted",
        documents::a_submission_is_taken_apart_and_accepted,
    );
    suite.held(
        &["PAP-OPS-S-002", "PAP-OPS-S-004", "PAP-SEM-S-006"],
        "an_unconfirmed_push_goes_by_session_else_by_udp_and_is_told",
        delivery::an_unconfirmed_push_goes_by_session_else_by_udp_and_is_told,
    );
    suite.held(
        &["PAP-OPS-S-003"],
        "what_waits_can_be_cancelled_and_what_is_under_way_cannot",
        delivery::what_waits_can_be_cancelled_and_what_is_under_way_cannot,
    );
    suite.held(
        &["PAP-OPS-S-005"],
        "capabilities_are_those_of_the_session",
        air::capabilities_are_those_of_the_session,
    );
    suite.held(
        &["PAP-SEM-S-003", "PAP-SEM-S-004"],
        "times_are_kept",
        delivery::times_are_kept,
    );
    suite.held(
        &["PAP-SEM-S-005"],
        "quality_that_cannot_be_had_is_refused_by_name",
        delivery::quality_that_cannot_be_had_is_refused_by_name,
    );
    suite.held(
        &["PAP-SEM-S-007"],
        "what_waits_goes_in_the_order_of_its_priority",
        delivery::what_waits_goes_in_the_order_of_its_priority,
    );
    suite.held(
        &["PAP-SEM-S-008"],
        "progress_is_noted_for_who_asks",
        delivery::progress_is_noted_for_who_asks,
    );
    suite.held(
        &[
            "PAP-SEM-S-010",
            "PAP-SEM-S-011",
            "PAP-SEM-S-012",
            "PAP-SEM-S-013",
            "PAP-SEM-S-014",
            "PAP-SEM-S-015",
        ],
        "versions_are_found_answered_and_kept",
        documents::versions_are_found_answered_and_kept,
    );
    suite.held(
        &["PAP-SEM-S-016"],
        "a_push_takes_the_place_of_another",
        delivery::a_push_takes_the_place_of_another,
    );
    suite.held(
        &[
            "PAP-SEM-S-001",
            "PAP-SEM-S-002",
            "PAP-OPS-S-003",
            "PAP-OPS-S-004",
        ],
        "several_addresses_have_an_outcome_each",
        reports::several_addresses_have_an_outcome_each,
    );
    suite.held(
        &["PAP-SEM-S-006"],
        "each_delivery_method_goes_its_way",
        reports::each_delivery_method_goes_its_way,
    );
    suite.held(
        &["PAP-OPS-S-002", "PAP-SEM-S-015"],
        "results_are_told_where_asked_in_the_version_of_the_submission",
        reports::results_are_told_where_asked_in_the_version_of_the_submission,
    );
    suite.conclude("PAP");
}

#[test]
fn every_item_of_the_gateway_is_held() {
    let mut suite = Suite::new(include_str!("../../../fixtures/conformance/ppg.tsv"));
    suite.held(
        &["PPG-CO-S-001"],
        "a_confirmed_push_without_a_session_asks_the_client_to_connect",
        delivery::a_confirmed_push_without_a_session_asks_the_client_to_connect,
    );
    suite.held(
        &["PPG-GEN-S-001"],
        "a_document_that_is_not_valid_is_refused",
        documents::a_document_that_is_not_valid_is_refused,
    );
    suite.held(
        &[
            "PPG-GEN-S-002",
            "PPG-GEN-S-011",
            "PPG-GEN-S-012",
            "PPG-GEN-S-014",
            "PPG-GEN-S-015",
        ],
        "an_unconfirmed_push_goes_by_session_else_by_udp_and_is_told",
        delivery::an_unconfirmed_push_goes_by_session_else_by_udp_and_is_told,
    );
    suite.held(
        &[
            "PPG-GEN-S-003",
            "PPG-GEN-S-004",
            "PPG-GEN-S-018",
            "PPG-GEN-S-022",
        ],
        "a_service_indication_becomes_binary",
        documents::a_service_indication_becomes_binary,
    );
    suite.held(
        &["PPG-GEN-S-005", "PPG-GEN-S-006"],
        "applications_are_numbers",
        documents::applications_are_numbers,
    );
    suite.held(
        &["PPG-GEN-S-007"],
        "a_translation_that_fails_is_told_to_who_asks",
        delivery::a_translation_that_fails_is_told_to_who_asks,
    );
    suite.held(
        &["PPG-GEN-S-008"],
        "quality_that_cannot_be_had_is_refused_by_name",
        delivery::quality_that_cannot_be_had_is_refused_by_name,
    );
    suite.held(
        &["PPG-GEN-S-009"],
        "a_client_that_is_never_reached_is_undeliverable",
        delivery::a_client_that_is_never_reached_is_undeliverable,
    );
    suite.held(
        &["PPG-GEN-S-010"],
        "times_are_kept",
        delivery::times_are_kept,
    );
    suite.held(
        &["PPG-GEN-S-013"],
        "aborts_of_the_client_end_a_push_and_those_of_its_session_do_not",
        delivery::aborts_of_the_client_end_a_push_and_those_of_its_session_do_not,
    );
    suite.held(
        &["PPG-GEN-S-013"],
        "a_client_that_never_confirms_times_out",
        delivery::a_client_that_never_confirms_times_out,
    );
    suite.held(
        &["PPG-GEN-S-016", "PPG-GEN-S-017"],
        "what_waits_can_be_cancelled_and_what_is_under_way_cannot",
        delivery::what_waits_can_be_cancelled_and_what_is_under_way_cannot,
    );
    suite.held(
        &["PPG-GEN-S-020"],
        "a_push_takes_the_place_of_another",
        delivery::a_push_takes_the_place_of_another,
    );
    suite.held(
        &["PPG-GEN-S-021"],
        "header_fields_reach_the_client",
        documents::header_fields_reach_the_client,
    );
    suite.held(
        &[
            "PPG-ADD-S-001",
            "PPG-ADD-S-002",
            "PPG-ADD-S-003",
            "PPG-ADD-S-004",
        ],
        "addresses_are_read_and_echoed",
        documents::addresses_are_read_and_echoed,
    );
    suite.held(
        &["PPG-GEN-S-008"],
        "a_required_bearer_that_is_gone_makes_a_push_undeliverable",
        reports::a_required_bearer_that_is_gone_makes_a_push_undeliverable,
    );
    suite.held(
        &["PPG-GEN-S-011", "PPG-GEN-S-012", "PPG-GEN-S-013"],
        "each_delivery_method_goes_its_way",
        reports::each_delivery_method_goes_its_way,
    );
    suite.conclude("PPG");
}

#[test]
fn every_item_over_the_air_is_held() {
    let mut suite = Suite::new(include_str!("../../../fixtures/conformance/pushota.tsv"));
    suite.held(
        &["OTA-CL-S-001", "OTA-WSP-S-006"],
        "a_unit_push_has_the_octets_of_its_message",
        air::a_unit_push_has_the_octets_of_its_message,
    );
    suite.held(
        &[
            "OTA-CO-S-001",
            "OTA-CO-S-002",
            "OTA-WSP-S-002",
            "OTA-WSP-S-003",
        ],
        "a_push_finds_the_session_of_a_client",
        air::a_push_finds_the_session_of_a_client,
    );
    suite.held(
        &["OTA-WSP-S-001"],
        "a_confirmed_push_finds_the_session_of_a_client",
        air::a_confirmed_push_finds_the_session_of_a_client,
    );
    suite.held(
        &["OTA-WSP-S-005"],
        "a_confirmed_push_without_a_session_asks_the_client_to_connect",
        delivery::a_confirmed_push_without_a_session_asks_the_client_to_connect,
    );
    suite.held(
        &["OTA-WSP-S-007"],
        "only_who_is_authenticated_is_flagged",
        documents::only_who_is_authenticated_is_flagged,
    );
    #[cfg(feature = "wtls")]
    suite.held(
        &["OTA-WSP-S-004"],
        "a_push_reaches_a_session_over_wtls",
        crate::wtls::push::a_push_reaches_a_session_over_wtls,
    );
    #[cfg(not(feature = "wtls"))]
    suite.left_out("OTA-WSP-S-004", "this build has no WTLS");
    suite.held(
        &["OTA-HTTP-S-002"],
        "the_gateway_connects_and_is_the_client",
        terminal::the_gateway_connects_and_is_the_client,
    );
    suite.held(
        &["OTA-HTTP-S-005"],
        "a_terminal_tells_what_it_takes",
        terminal::a_terminal_tells_what_it_takes,
    );
    suite.held(
        &["OTA-HTTP-S-006"],
        "a_change_of_preferences_leads_to_another_registration",
        terminal::a_change_of_preferences_leads_to_another_registration,
    );
    suite.held(
        &["OTA-HTTP-S-007"],
        "another_terminal_at_the_address_gets_no_push",
        terminal::another_terminal_at_the_address_gets_no_push,
    );
    suite.held(
        &["OTA-HTTP-S-009"],
        "the_gateway_proves_itself_once_if_it_is_asked_to",
        terminal::the_gateway_proves_itself_once_if_it_is_asked_to,
    );
    suite.held(
        &["OTA-HTTP-S-010", "OTA-HTTP-S-016"],
        "a_terminal_registers_and_gets_the_push",
        terminal::a_terminal_registers_and_gets_the_push,
    );
    suite.held(
        &["OTA-HTTP-S-011"],
        "a_terminal_that_rejects_a_push_says_why",
        terminal::a_terminal_that_rejects_a_push_says_why,
    );
    suite.held(
        &["OTA-HTTP-S-012"],
        "another_version_stops_the_delivery",
        terminal::another_version_stops_the_delivery,
    );
    suite.conclude("Push OTA");
}

#[test]
fn a_client_that_does_not_connect_costs_little() {
    delivery::a_client_that_does_not_connect_costs_little();
}

#[test]
fn the_list_of_pushes_comes_in_pages() {
    delivery::the_list_comes_in_pages();
}

#[test]
fn a_rule_for_a_model_drops_fields() {
    air::fields_are_dropped_for_a_model();
}

#[test]
fn every_item_of_messages_is_held() {
    let mut suite = Suite::new(include_str!("../../../fixtures/conformance/pushmsg.tsv"));
    suite.held(
        &[
            "MSG-GEN-S-001",
            "MSG-GEN-S-002",
            "MSG-GEN-S-003",
            "MSG-GEN-S-004",
            "MSG-GEN-S-005",
            "MSG-GEN-S-008",
        ],
        "header_fields_reach_the_client",
        documents::header_fields_reach_the_client,
    );
    suite.held(
        &["MSG-GEN-S-006", "MSG-GEN-S-007"],
        "multiparts_become_binary_inside_each_other",
        documents::multiparts_become_binary_inside_each_other,
    );
    suite.held(
        &["SI-PPG-S-001", "SI-PPG-S-002", "SI-PPG-S-003"],
        "a_service_indication_becomes_binary",
        documents::a_service_indication_becomes_binary,
    );
    suite.held(
        &[
            "SI-VAL-S-001",
            "SI-VAL-S-002",
            "SI-VAL-S-003",
            "SI-DOC-S-001",
        ],
        "a_service_indication_is_validated",
        documents::a_service_indication_is_validated,
    );
    suite.held(
        &[
            "SL-PPG-S-001",
            "SL-PPG-S-002",
            "SL-PPG-S-003",
            "SL-VAL-S-001",
            "SL-VAL-S-002",
        ],
        "a_service_loading_becomes_binary",
        documents::a_service_loading_becomes_binary,
    );
    suite.conclude("Push messages");
}

#[test]
fn pushes_outlive_a_restart() {
    delivery::pushes_outlive_a_restart();
}

#[test]
fn the_bearer_that_was_used_outlives_a_restart() {
    reports::the_bearer_that_was_used_outlives_a_restart();
}

#[test]
fn a_silent_initiator_delays_no_other() {
    reports::a_silent_initiator_delays_no_other();
}

#[test]
fn a_session_is_looked_for_ever_more_rarely() {
    delivery::a_session_is_looked_for_ever_more_rarely();
}

#[test]
fn limits_are_answered() {
    delivery::limits_are_answered();
}

#[test]
fn a_client_that_never_connects_is_asked_ever_more_rarely_and_given_up() {
    delivery::a_client_that_never_connects_is_asked_ever_more_rarely_and_given_up();
}

#[test]
fn many_attempts_that_time_out_at_once_need_no_stack() {
    delivery::many_attempts_that_time_out_at_once_need_no_stack();
}

#[test]
fn each_recipient_of_a_push_counts_against_the_limits() {
    delivery::each_recipient_of_a_push_counts_against_the_limits();
}

#[test]
fn a_client_is_not_asked_again_before_the_receipt_comes() {
    receipts::a_client_is_not_asked_again_before_the_receipt_comes();
}

#[test]
fn a_client_that_connects_before_the_receipt_has_its_push() {
    receipts::a_client_that_connects_before_the_receipt_has_its_push();
}

#[test]
fn a_receipt_of_failure_ends_the_push() {
    receipts::a_receipt_of_failure_ends_the_push();
}

#[test]
fn without_a_receipt_the_client_is_asked_again() {
    receipts::without_a_receipt_the_client_is_asked_again();
}

#[test]
fn a_request_that_waits_for_its_receipt_can_be_cancelled() {
    receipts::a_request_that_waits_for_its_receipt_can_be_cancelled();
}
