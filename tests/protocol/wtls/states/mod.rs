//! Walks every row of the state tables through a real client and a real server.
//!
//! The tables are fixtures, transcribed from the specification apart from the code. Each row is
//! reached by inputs alone, from fresh ends; then its event happens, and what is said and told, the
//! deadline and the next state must be the row's. Rows altered on purpose must fail, or the walk
//! would prove nothing.

mod walk;

use self::walk::{Row, Side, outcome};

const SERVER: &str = include_str!("../../../../fixtures/wtls/server.states");
const CLIENT: &str = include_str!("../../../../fixtures/wtls/client.states");

fn rows(fixture: &str) -> Vec<Row> {
    fixture.lines().filter_map(Row::parse).collect()
}

fn holds(side: Side, row: &Row) -> bool {
    outcome(side, row) == row.outcome
}

fn every_row_holds(side: Side, fixture: &str) {
    for row in rows(fixture) {
        assert_eq!(row.outcome, outcome(side, &row), "{row:?}");
    }
}

/// Each row with one column of the next row that differs there.
fn no_altered_row_holds(side: Side, fixture: &str) {
    let all = rows(fixture);
    for (at, row) in all.iter().enumerate() {
        for column in 0..4 {
            let mut others = all.iter().cycle().skip(at + 1);
            let other = others.find(|other| other.outcome[column] != row.outcome[column]);
            let mut copy = row.clone();
            copy.outcome[column].clone_from(&other.unwrap().outcome[column]);
            assert!(!holds(side, &copy), "altered, yet it holds: {copy:?}");
        }
    }
}

#[test]
fn every_row_of_the_server_holds() {
    every_row_holds(Side::Server, SERVER);
}

#[test]
fn every_row_of_the_client_holds() {
    every_row_holds(Side::Client, CLIENT);
}

#[test]
fn no_altered_row_holds_of_either_side() {
    no_altered_row_holds(Side::Server, SERVER);
    no_altered_row_holds(Side::Client, CLIENT);
}

#[test]
fn the_tables_are_whole() {
    assert_eq!(rows(SERVER).len(), 65);
    assert_eq!(rows(CLIENT).len(), 38);
}
