//! WSP-S-001, WSP-CO-S-001 to 037 and WSP-CL-S-001 to 020.

mod headers;
mod methods;
mod pushes;
mod sessions;

use wapbridge::wsp::header;

use crate::suite::Suite;

/// What most of these tests ask for: `http://a.example/x`.
const URI: &[u8] = b"http://a.example/x";

#[test]
fn every_item_is_held() {
    let mut suite = Suite::new(include_str!("../../../../fixtures/conformance/wsp.tsv"));
    hold(&mut suite);
    suite.conclude("WSP");
}

fn hold(suite: &mut Suite) {
    suite.held(
        &["WSP-S-001", "WSP-CL-S-001", "WSP-CO-S-001"],
        "both_modes_answer_on_their_ports",
        sessions::both_modes_answer_on_their_ports,
    );
    suite.held(
        &["WSP-CO-S-002", "WSP-CO-S-003"],
        "a_second_connect_replaces_the_session",
        sessions::a_second_connect_replaces_the_session,
    );
    suite.held(
        &["WSP-CO-S-004"],
        "a_connect_is_redirected",
        sessions::a_connect_is_redirected,
    );
    suite.held(
        &["WSP-CO-S-005", "WSP-CO-S-006", "WSP-CO-S-016"],
        "capabilities_are_lowered_and_answered",
        sessions::capabilities_are_lowered_and_answered,
    );
    suite.held(
        &["WSP-CO-S-006"],
        "what_was_agreed_is_enforced",
        sessions::what_was_agreed_is_enforced,
    );
    suite.held(
        &["WSP-CO-S-007"],
        "either_side_disconnects",
        sessions::either_side_disconnects,
    );
    suite.held(
        &["WSP-CO-S-008", "WSP-CO-S-009"],
        "a_session_sleeps_and_wakes_elsewhere",
        sessions::a_session_sleeps_and_wakes_elsewhere,
    );
    suite.held(
        &["WSP-CO-S-010"],
        "a_push_is_sent_if_agreed",
        pushes::a_push_is_sent_if_agreed,
    );
    suite.held(
        &["WSP-CO-S-011", "WSP-CO-S-012"],
        "a_push_is_confirmed_or_refused",
        pushes::a_push_is_confirmed_or_refused,
    );
    suite.held(
        &["WSP-CO-S-012"],
        "acknowledgement_headers_are_handed_over",
        methods::acknowledgement_headers_are_handed_over,
    );
    suite.held(
        &["WSP-CO-S-013"],
        "extended_methods",
        methods::extended_methods,
    );
    suite.held(
        &["WSP-CO-S-014", "WSP-CL-S-003"],
        "headers_of_the_default_page_both_ways",
        headers::headers_of_the_default_page_both_ways,
    );
    suite.held(&["WSP-CO-S-015"], "code_pages", headers::code_pages);
    suite.held(
        &[
            "WSP-CO-S-017",
            "WSP-CO-S-018",
            "WSP-CO-S-020",
            "WSP-CO-S-021",
            "WSP-CO-S-023",
            "WSP-CO-S-024",
            "WSP-CO-S-027",
            "WSP-CO-S-029",
            "WSP-CO-S-030",
            "WSP-CO-S-031",
            "WSP-CO-S-032",
        ],
        "every_method_in_a_session",
        methods::every_method_in_a_session,
    );
    suite.held(
        &[
            "WSP-CO-S-025",
            "WSP-CO-S-026",
            "WSP-CL-S-010",
            "WSP-CL-S-011",
        ],
        "head_brings_the_length_and_no_body",
        methods::head_brings_the_length_and_no_body,
    );
    suite.held(
        &["WSP-CO-S-028", "WSP-CL-S-012", "WSP-CL-S-013"],
        "options_lists_methods_one_by_one",
        methods::options_lists_methods_one_by_one,
    );
    suite.held(
        &["WSP-CO-S-019"],
        "trailers_of_a_reply_follow_in_a_data_fragment",
        methods::trailers_of_a_reply_follow_in_a_data_fragment,
    );
    suite.held(
        &["WSP-CO-S-022", "WSP-CO-S-033"],
        "a_body_in_several_sdus_is_one_request",
        methods::a_body_in_several_sdus_is_one_request,
    );
    suite.held(
        &[
            "WSP-CO-S-034",
            "WSP-CO-S-035",
            "WSP-CL-S-018",
            "WSP-CL-S-019",
        ],
        "multipart_bodies_are_turned",
        methods::multipart_bodies_are_turned,
    );
    suite.held(
        &["WSP-CO-S-036"],
        "a_multipart_body_in_several_sdus",
        methods::a_multipart_body_in_several_sdus,
    );
    suite.held(
        &["WSP-CO-S-037", "WSP-CL-S-020"],
        "encoding_versions_are_agreed",
        headers::encoding_versions_are_agreed,
    );
    suite.held(&["WSP-CL-S-002"], "a_unit_push", pushes::a_unit_push);
    suite.held(
        &[
            "WSP-CL-S-004",
            "WSP-CL-S-005",
            "WSP-CL-S-006",
            "WSP-CL-S-007",
            "WSP-CL-S-008",
            "WSP-CL-S-009",
            "WSP-CL-S-014",
            "WSP-CL-S-015",
            "WSP-CL-S-016",
            "WSP-CL-S-017",
        ],
        "every_method_without_a_session",
        methods::every_method_without_a_session,
    );
}

fn get(code: u8) -> Vec<u8> {
    let mut sdu = vec![code, 18];
    sdu.extend_from_slice(URI);
    sdu
}

/// With a content type and further headers.
fn post(code: u8, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let mut sdu = vec![code, 18, u8::try_from(headers.len()).unwrap()];
    sdu.extend_from_slice(URI);
    sdu.extend_from_slice(headers);
    sdu.extend_from_slice(body);
    sdu
}

fn with_id(first: u8, id: &[u8]) -> Vec<u8> {
    let mut sdu = vec![first];
    sdu.extend_from_slice(id);
    sdu
}

fn resume(id: &[u8], headers: &[u8]) -> Vec<u8> {
    let mut sdu = with_id(0x09, id);
    sdu.push(0);
    sdu.extend_from_slice(headers);
    sdu
}

/// The fields of a Reply, content type aside, as text.
fn fields(reply: &[u8]) -> Vec<(String, String)> {
    assert_eq!(reply[0], 0x04, "Reply");
    let (_, rest) = header::decode_content_type(&reply[3..3 + usize::from(reply[2])]).unwrap();
    header::fields(rest, &[])
        .map(|field| {
            let field = field.unwrap();
            let value = String::from_utf8(field.value.into_owned()).unwrap();
            (field.name.into_owned(), value)
        })
        .collect()
}

fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = fields
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}
