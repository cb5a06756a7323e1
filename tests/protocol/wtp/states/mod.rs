//! Walks every row of the state tables through a real endpoint.
//!
//! The tables are fixtures, transcribed from the specification apart from the code. Each row is reached by
//! inputs alone, from a fresh endpoint; then its event happens, and octets, indications, timer and next state
//! must be the row's. Rows altered on purpose must fail, or the walk would prove nothing.

mod walk;

use self::walk::{Row, Side, walk};

const RESPONDER: &str = include_str!("../../../../fixtures/wtp/responder.states");
const INITIATOR: &str = include_str!("../../../../fixtures/wtp/initiator.states");

fn rows(fixture: &str) -> Vec<Row> {
    fixture.lines().filter_map(Row::parse).collect()
}

fn every_row_holds(side: Side, fixture: &str) {
    for row in rows(fixture) {
        if let Err(wrong) = walk(side, &row) {
            panic!("{row:?}\n{wrong}");
        }
    }
}

/// Each row with one column made wrong, in every way that differs.
fn no_altered_row_holds(side: Side, fixture: &str) {
    let all = rows(fixture);
    let mut altered_rows = 0;
    for row in &all {
        for other in &all {
            let mut altered = Vec::new();
            for column in 0..4 {
                let mut copy = row.clone();
                let (own, theirs) = match column {
                    0 => (&mut copy.says, &other.says),
                    1 => (&mut copy.tells, &other.tells),
                    2 => (&mut copy.timer, &other.timer),
                    _ => (&mut copy.next, &other.next),
                };
                if own != theirs {
                    own.clone_from(theirs);
                    altered.push(copy);
                }
            }
            for copy in altered {
                altered_rows += 1;
                assert!(
                    walk(side, &copy).is_err(),
                    "altered, yet it holds: {copy:?}"
                );
            }
        }
    }
    assert!(altered_rows > all.len());
}

#[test]
fn every_row_of_the_responder_holds() {
    every_row_holds(Side::Responder, RESPONDER);
}

#[test]
fn every_row_of_the_initiator_holds() {
    every_row_holds(Side::Initiator, INITIATOR);
}

#[test]
fn no_altered_row_of_the_responder_holds() {
    no_altered_row_holds(Side::Responder, RESPONDER);
}

#[test]
fn no_altered_row_of_the_initiator_holds() {
    no_altered_row_holds(Side::Initiator, INITIATOR);
}

#[test]
fn the_tables_are_whole() {
    assert_eq!(rows(RESPONDER).len(), 61);
    assert_eq!(rows(INITIATOR).len(), 33);
}
