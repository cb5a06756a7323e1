//! The table of one layer, filled in as its tests pass.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The items of a fixture, and the tests that held them.
pub(crate) struct Suite {
    items: Vec<Item>,
    failed: Vec<&'static str>,
}

struct Item {
    id: String,
    status: String,
    about: String,
    /// Why the item is not claimed; empty for an item that is.
    reason: String,
    tests: Vec<&'static str>,
    broken: bool,
}

impl Suite {
    /// Reads a fixture, tab-separated: item, status, words, and a reason where the item is not claimed. `#`
    /// begins a comment.
    pub(crate) fn new(fixture: &str) -> Self {
        let items = fixture
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| {
                let mut fields = line.split('\t').map(str::to_owned);
                let mut field = || fields.next().expect("three fields");
                let (id, status, about) = (field(), field(), field());
                Item {
                    id,
                    status,
                    about,
                    reason: fields.next().unwrap_or_default(),
                    tests: Vec::new(),
                    broken: false,
                }
            })
            .collect();
        Self {
            items,
            failed: Vec::new(),
        }
    }

    /// Runs a test and, if it passes, notes that it holds these items.
    pub(crate) fn held(&mut self, ids: &[&str], test: &'static str, run: impl FnOnce()) {
        let passed = catch_unwind(AssertUnwindSafe(run)).is_ok();
        if !passed {
            self.failed.push(test);
        }
        for id in ids {
            let item = self.items.iter_mut().find(|item| item.id == *id);
            let item = item.unwrap_or_else(|| panic!("{test} names {id}, which is no item"));
            assert!(item.reason.is_empty(), "{id} is held and not claimed");
            item.tests.push(test);
            item.broken |= !passed;
        }
    }

    /// An item that this build cannot hold.
    #[cfg(not(feature = "wtls"))]
    pub(crate) fn left_out(&mut self, id: &str, reason: &str) {
        let item = self.items.iter_mut().find(|item| item.id == id);
        item.expect("an item").reason = reason.to_owned();
    }

    /// Prints the table and fails unless every claimed item is held.
    pub(crate) fn conclude(self, layer: &str) {
        let (mut missing, mut unclaimed) = (0, 0);
        println!("\n{layer}: item, status, held, test");
        for item in &self.items {
            if !item.reason.is_empty() {
                unclaimed += 1;
                println!(
                    "{}  {}  not claimed  {} ({})",
                    item.id, item.status, item.reason, item.about
                );
                continue;
            }
            let held = !item.broken && !item.tests.is_empty();
            missing += usize::from(!held);
            println!(
                "{}  {}  {}  {} ({})",
                item.id,
                item.status,
                if held { "held    " } else { "NOT HELD" },
                item.tests.join(", "),
                item.about
            );
        }
        println!(
            "{layer}: {} of {} held, {unclaimed} not claimed",
            self.items.len() - missing - unclaimed,
            self.items.len()
        );
        assert!(self.failed.is_empty(), "failed: {:?}", self.failed);
        assert_eq!(missing, 0, "items not held");
    }
}

#[test]
fn a_suite_fails_when_an_item_is_not_held() {
    let mut suite = Suite::new("# comment\nA\tM\tfirst\nB\tO\tsecond\n");
    suite.held(&["A"], "holds_a", || {});
    assert!(catch_unwind(AssertUnwindSafe(|| suite.conclude("test"))).is_err());
}

#[test]
fn a_suite_needs_no_test_for_what_is_not_claimed_and_accepts_none() {
    let fixture = "A\tM\tfirst\nB\tO\tsecond\tthere is no such bearer\n";
    let mut suite = Suite::new(fixture);
    suite.held(&["A"], "holds_a", || {});
    suite.conclude("test");
    let mut suite = Suite::new(fixture);
    assert!(catch_unwind(AssertUnwindSafe(|| suite.held(&["B"], "holds_b", || {}))).is_err());
}

#[test]
fn a_suite_fails_when_a_test_fails() {
    let mut suite = Suite::new("A\tM\tfirst\n");
    suite.held(&["A"], "holds_a", || {});
    suite.held(&["A"], "breaks_a", || panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(|| suite.conclude("test"))).is_err());
}
