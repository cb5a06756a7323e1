//! A gateway of pushes in virtual time.

use std::sync::Arc;

use bytes::Bytes;
use wapbridge::push::pap::multipart::Entity;
use wapbridge::push::pap::{
    MessageState, Method, Quality, Query, Response, Status, Submission, Version, Versions,
};
use wapbridge::push::ppg::{Config, Event, Initiator, Notice, Ppg};
use wapbridge::push::{Deliver, Outcome, Recipient, content};

pub(super) const T0: u64 = 1_000_000_000;
pub(super) const ALICE: &str = "WAPPUSH=+15551234/TYPE=PLMN@ppg";
pub(super) const PHONE: &str = "WAPPUSH=192.0.2.7/TYPE=IPv4@ppg";

pub(super) struct Bench {
    pub(super) ppg: Ppg,
    pub(super) now: u64,
    pub(super) initiator: Initiator,
    /// The stages that the last answer noted.
    pub(super) notes: Vec<String>,
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        Self {
            ppg: Ppg::new(config, 7, true),
            now: T0,
            initiator: Initiator {
                name: "pi".into(),
                origin: content::Initiator::default(),
                max_pushes: 10,
            },
            notes: Vec::new(),
        }
    }

    pub(super) fn submit(&mut self, submission: &Submission) -> Status {
        self.submit_content(submission, "a/b", "hello")
    }

    pub(super) fn submit_content(
        &mut self,
        submission: &Submission,
        kind: &str,
        body: &str,
    ) -> Status {
        let entity = Entity {
            fields: vec![("content-type".to_owned(), kind.to_owned())],
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        let versions = Versions::only(Version::V2_0);
        let may = (|_: &Recipient| true, |url: &str| url.starts_with("https:"));
        let response = self.ppg.submit(
            self.now,
            &self.initiator,
            &versions,
            submission,
            Some(&entity),
            may,
        );
        match response {
            Response::Push { code, notes, .. } => {
                self.notes = notes.into_iter().map(|note| note.stage).collect();
                code
            }
            other => panic!("{other:?}"),
        }
    }

    /// Lets a time pass, in steps of the gateway's own timers.
    pub(super) fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(at) = self.ppg.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.ppg.handle_timeout(self.now);
        }
        self.now = end;
    }

    pub(super) fn delivers(&mut self) -> Vec<Deliver> {
        let mut found = Vec::new();
        while let Some(event) = self.ppg.poll_event() {
            if let Event::Deliver(deliver) = event {
                found.push(deliver);
            }
        }
        found
    }

    pub(super) fn deliver(&mut self) -> Deliver {
        let mut found = self.delivers();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    pub(super) fn notices(&mut self) -> Vec<Notice> {
        let mut found = Vec::new();
        while let Some(event) = self.ppg.poll_event() {
            if let Event::Notify(notice) = event {
                found.push(notice);
            }
        }
        found
    }

    pub(super) fn ends(&mut self, attempt: &Deliver, outcome: Outcome) {
        self.ppg.handle_outcome(self.now, attempt.attempt, outcome);
    }

    pub(super) fn states(&self, push_id: &str) -> Vec<(MessageState, Status)> {
        let query = Query {
            push_id: push_id.to_owned(),
            addresses: Vec::new(),
        };
        match self.ppg.status(&self.initiator.name, &query) {
            Response::Status { results, .. } => results
                .into_iter()
                .map(|result| (result.state, result.code))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn cancel(&mut self, push_id: &str) -> Vec<Status> {
        let query = Query {
            push_id: push_id.to_owned(),
            addresses: Vec::new(),
        };
        match self
            .ppg
            .cancel(self.now, &Arc::clone(&self.initiator.name), &query)
        {
            Response::Cancel { results, .. } => results.into_iter().map(|it| it.code).collect(),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn push(id: &str, address: &str, method: Method) -> Submission {
    Submission {
        push_id: id.to_owned(),
        addresses: vec![address.to_owned()],
        notify_to: Some("https://pi.example/notify".to_owned()),
        quality: Some(Quality {
            method,
            ..Quality::default()
        }),
        ..Submission::default()
    }
}

pub(super) fn bench() -> Bench {
    Bench::new(Config::default())
}
