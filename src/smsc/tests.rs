//! The ledger of a centre: submissions, their answers and receipts.

use std::time::Duration;

use super::ledger::{Job, Ledger};
use super::stats::Shared;
use super::{Outcome, ReceiptId, Settings};
use crate::identity::Private;
use crate::smpp::{Answer, Receipt, State, Status};
use crate::time::Instant;

struct Desk {
    ledger: Ledger,
    stats: Shared,
    now: Instant,
}

fn desk(settings: &Settings) -> Desk {
    Desk {
        ledger: Ledger::new(settings),
        stats: Shared::default(),
        now: Instant::ZERO,
    }
}

impl Desk {
    fn push(&mut self, id: u64, messages: usize) {
        self.ledger.push(Job {
            id,
            number: Private::new("491701234567"),
            messages: vec![b"user data".to_vec(); messages],
            expires: self.now + Duration::from_secs(3600),
        });
    }

    /// Submits everything; the tags.
    fn submitted(&mut self) -> Vec<u64> {
        let mut tags = Vec::new();
        while let Some(next) = self.ledger.next(self.now) {
            tags.push(next.tag);
        }
        tags
    }

    fn accepts(&mut self, tag: u64, name: &str) {
        let answer = Answer::Accepted(name.into());
        self.ledger.answered(self.now, tag, answer, &self.stats);
    }

    fn refuses(&mut self, tag: u64, status: u32) {
        let answer = Answer::Refused(Status(status));
        self.ledger.answered(self.now, tag, answer, &self.stats);
    }

    fn receipt(&mut self, name: &str, state: State) {
        let message_id = name.into();
        self.ledger
            .receipt(&Receipt { message_id, state }, &self.stats);
    }

    fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        self.ledger.outcomes()
    }
}

#[test]
fn a_submission_is_delivered_once_every_receipt_says_so() {
    let mut desk = desk(&Settings::default());
    desk.push(7, 2);
    let tags = desk.submitted();
    desk.accepts(tags[0], "0A");
    desk.accepts(tags[1], "0b");
    assert_eq!(desk.ledger.awaiting(), 1);
    desk.receipt("a", State::Pending);
    desk.receipt("a", State::Delivered);
    desk.receipt("a", State::Delivered);
    assert_eq!(desk.outcomes(), []);
    desk.receipt("000B", State::Delivered);
    assert_eq!(desk.outcomes(), [(7, Outcome::Delivered)]);
    assert_eq!(desk.ledger.awaiting(), 0);
}

#[test]
fn a_receipt_may_come_before_the_response() {
    let mut desk = desk(&Settings::default());
    desk.push(7, 1);
    let tags = desk.submitted();
    desk.receipt("x", State::Delivered);
    desk.accepts(tags[0], "X");
    assert_eq!(desk.outcomes(), [(7, Outcome::Delivered)]);
}

#[test]
fn receipts_may_write_names_in_decimal() {
    let settings = Settings {
        receipt_id: ReceiptId::Decimal,
        ..Settings::default()
    };
    let mut desk = desk(&settings);
    desk.push(7, 1);
    let tags = desk.submitted();
    desk.accepts(tags[0], "000000FF");
    desk.receipt("0000000255", State::Failed("UNDELIV"));
    let reason = "UNDELIV".to_owned();
    assert_eq!(
        desk.outcomes(),
        [(
            7,
            Outcome::Refused {
                permanent: true,
                reason
            }
        )]
    );
}

#[test]
fn without_receipts_a_submission_is_sent_once_the_centre_has_all_of_it() {
    let mut settings = Settings::default();
    settings.session.receipts = false;
    let mut desk = desk(&settings);
    desk.push(7, 2);
    let tags = desk.submitted();
    desk.accepts(tags[1], "b");
    assert_eq!(desk.outcomes(), []);
    desk.accepts(tags[0], "a");
    assert_eq!(desk.outcomes(), [(7, Outcome::Sent)]);
}

#[test]
fn a_refused_message_ends_its_submission() {
    let mut desk = desk(&Settings::default());
    desk.push(7, 3);
    desk.push(8, 1);
    let first = desk.ledger.next(desk.now).map(|next| next.tag);
    desk.refuses(first.unwrap(), 0x0B);
    let reason = "ESME_RINVDSTADR".to_owned();
    assert_eq!(
        desk.outcomes(),
        [(
            7,
            Outcome::Refused {
                permanent: true,
                reason
            }
        )]
    );
    // Its other messages are not submitted.
    assert_eq!(desk.submitted().len(), 1);
    assert_eq!(desk.ledger.queued(), 0);
}

#[test]
fn a_throttled_message_is_submitted_again_and_not_for_ever() {
    let mut desk = desk(&Settings::default());
    desk.push(7, 1);
    for _ in 0..20 {
        let tags = desk.submitted();
        desk.refuses(tags[0], 0x58);
        assert_eq!(desk.outcomes(), []);
    }
    let tags = desk.submitted();
    desk.refuses(tags[0], 0x58);
    assert_eq!(desk.outcomes(), [(7, Outcome::Busy)]);
    assert!(desk.submitted().is_empty());
}

#[test]
fn what_the_centre_has_survives_its_session() {
    let mut desk = desk(&Settings::default());
    desk.push(7, 1);
    desk.push(8, 2);
    let tags = desk.submitted();
    desk.accepts(tags[0], "a");
    desk.accepts(tags[1], "b");
    desk.ledger.disconnected();
    assert_eq!(desk.outcomes(), [(8, Outcome::Unreachable)]);
    desk.receipt("a", State::Delivered);
    assert_eq!(desk.outcomes(), [(7, Outcome::Delivered)]);
}

#[test]
fn receipts_that_do_not_come_are_given_up() {
    let settings = Settings {
        max_receipts: 2,
        ..Settings::default()
    };
    let mut desk = desk(&settings);
    for id in 0..3 {
        desk.push(id, 1);
        let tags = desk.submitted();
        desk.accepts(tags[0], &format!("m{id}"));
    }
    assert_eq!(desk.outcomes(), [(0, Outcome::Sent)]);
    let day = desk.now + settings.receipt_timeout;
    assert_eq!(desk.ledger.deadline(), Some(day));
    desk.ledger.expire(day, &desk.stats);
    assert_eq!(desk.outcomes(), [(1, Outcome::Sent), (2, Outcome::Sent)]);
    assert_eq!(
        (desk.ledger.awaiting(), desk.stats.counts().abandoned),
        (0, 3)
    );
}

#[test]
fn a_submission_that_expired_is_not_submitted() {
    let mut desk = desk(&Settings::default());
    desk.push(7, 1);
    desk.now += Duration::from_secs(3600);
    assert!(desk.submitted().is_empty());
    assert_eq!(desk.outcomes(), [(7, Outcome::Expired)]);
}

#[test]
fn the_longest_prefix_counts() {
    let prefixes = vec!["49".into(), "49170".into()];
    let settings = Settings {
        prefixes,
        ..Settings::default()
    };
    assert_eq!(settings.takes("491701234567"), Some(5));
    assert_eq!(settings.takes("491711234567"), Some(2));
    assert_eq!(settings.takes("431711234567"), None);
    assert_eq!(Settings::default().takes("431711234567"), Some(0));
}

#[test]
fn submissions_that_are_over_leave_nothing_behind() {
    let mut desk = desk(&Settings::default());
    for id in 0..1_000 {
        desk.push(id, 1);
        let tags = desk.submitted();
        desk.accepts(tags[0], "a");
        assert_eq!(desk.ledger.awaiting(), 1);
        desk.receipt("a", State::Delivered);
        assert_eq!(desk.outcomes(), [(id, Outcome::Delivered)]);
        // A deadline left behind is an entry left behind.
        assert_eq!(desk.ledger.deadline(), None);
    }
}
