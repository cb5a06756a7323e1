//! Which failed attempts are followed by another one, how many, and after what pause.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};

use super::Received;
use super::error::{AttemptError, Processed, Unprocessed};
use crate::gateway::fetch::Failure;

/// The attempts of one request that failed and were followed by another one.
#[derive(Clone, Debug, Default)]
pub struct Retries {
    /// When the reply that stands began.
    reply_began: Option<std::time::Instant>,
    proofs: [u8; Unprocessed::ALL.len()],
    /// The idempotent request was sent again after a connection that ended before its reply.
    repeated: bool,
}

impl Retries {
    /// When the reply that stands began, if there is one.
    #[must_use]
    pub const fn reply_began(&self) -> Option<std::time::Instant> {
        self.reply_began
    }

    /// This reply stands.
    pub(super) const fn stands(&mut self, received: &Received) {
        self.reply_began = Some(received.began);
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u32 {
        let unprocessed: u32 = self.proofs.iter().map(|count| u32::from(*count)).sum();
        unprocessed + u32::from(self.repeated)
    }

    /// How many there were for each reason, by its label; none with zero.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u8)> {
        let proofs = Unprocessed::ALL.into_iter().zip(self.proofs);
        let proofs = proofs.map(|(proof, count)| (proof.label(), count));
        let repeated = (IDEMPOTENT, u8::from(self.repeated));
        proofs.chain([repeated]).filter(|(_, count)| *count > 0)
    }

    /// Whether the next attempt offers HTTP/1.1 only. These connections are others than the usual
    /// ones, and each takes one request at a time, so they are for a misdirected request too.
    pub(super) fn needs_http1(&self) -> bool {
        self.has(Unprocessed::Http11Required) || self.has(Unprocessed::Misdirected)
    }

    /// Whether the connection of a failed attempt is to take no new requests. A single refusal is
    /// that of an origin with many streams at the moment; and one that refuses every stream must
    /// not cost a connection for each.
    pub(super) fn want_another_connection(&self, failed: &AttemptError) -> bool {
        let refused = Unprocessed::RefusedStream;
        let before = self.proofs.get(refused.index()).copied();
        failed.processed == Processed::No(refused)
            && before.is_some_and(|before| before % REFUSALS == 1)
    }

    fn has(&self, proof: Unprocessed) -> bool {
        let count = self.proofs.get(proof.index());
        count.is_some_and(|count| *count > 0)
    }

    /// What the next attempt is counted as after a reply that refuses to process the request;
    /// nothing if the reply stands.
    ///
    /// 421 is a proof, once. 408 is none, since origins also use it for their own deadlines, and a
    /// proxy must not repeat a POST without proof (RFC 9110 9.2.2). But on a kept connection it
    /// mostly ends the wait for the next request and crosses that one (RFC 9110 15.5.9). So after
    /// it an idempotent request is repeated.
    pub(super) fn after_reply(
        &mut self,
        method: &Method,
        received: &Received,
    ) -> Option<&'static str> {
        if self.count() >= MAX_RETRIES {
            return None;
        }
        match received.reply.status {
            StatusCode::MISDIRECTED_REQUEST if !self.needs_http1() => {
                let proof = Unprocessed::Misdirected;
                *self.proofs.get_mut(proof.index())? += 1;
                Some(proof.label())
            }
            StatusCode::REQUEST_TIMEOUT
                if received.reused && method.is_idempotent() && !self.repeated =>
            {
                self.repeated = true;
                Some(IDEMPOTENT)
            }
            _ => None,
        }
    }

    /// The pause before the next attempt, and what it is counted as; nothing if the failure stands.
    ///
    /// A request that its origin has not processed is sent again, whatever its method. Any other is
    /// sent again once, if its method is idempotent and its connection ended before its reply
    /// began.
    pub(super) fn after(
        &mut self,
        method: &Method,
        failed: &AttemptError,
    ) -> Option<(Duration, &'static str)> {
        let ended = failed.error.failure == Failure::Reset && failed.before_reply;
        if !ended || self.count() >= MAX_RETRIES {
            return None;
        }
        match failed.processed {
            Processed::No(proof) => {
                let count = self.proofs.get_mut(proof.index())?;
                *count += 1;
                Some((pause(self.count()), proof.label()))
            }
            Processed::Maybe if method.is_idempotent() && !self.repeated => {
                self.repeated = true;
                Some((Duration::ZERO, IDEMPOTENT))
            }
            Processed::Maybe | Processed::NotConnected => None,
        }
    }
}

impl fmt::Display for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent again {} time", self.count())?;
        if self.count() > 1 {
            f.write_str("s")?;
        }
        f.write_str(" (")?;
        for (nth, (reason, count)) in self.by_reason().enumerate() {
            let comma = if nth > 0 { ", " } else { "" };
            write!(f, "{comma}{reason} {count}")?;
        }
        f.write_str(")")
    }
}

/// Nothing before the first retries: a fresh connection mostly serves the request. Then more and
/// more, for an origin that refuses streams because it has too many.
fn pause(retries: u32) -> Duration {
    match retries.checked_sub(PROMPT_RETRIES) {
        None | Some(0) => Duration::ZERO,
        Some(late) => FIRST_PAUSE
            .saturating_mul(1 << (late - 1).min(16))
            .min(MAX_PAUSE),
    }
}

/// The reason of a retry that its method allows.
pub(super) const IDEMPOTENT: &str = "idempotent";
/// Retries of one request. An origin that serves 20 requests on a connection serves 320 that come
/// at once.
const MAX_RETRIES: u32 = 16;
const PROMPT_RETRIES: u32 = 3;
/// Refused streams of one request for each connection that is given up.
const REFUSALS: u8 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(processed: Processed) -> AttemptError {
        AttemptError {
            processed,
            before_reply: true,
            ..AttemptError::new(None, Failure::Reset, "ended")
        }
    }

    #[test]
    fn what_was_not_processed_is_sent_again_within_bounds() {
        let mut retries = Retries::default();
        let refused = failed(Processed::No(Unprocessed::RefusedStream));
        let mut pauses = Vec::new();
        while let Some((pause, reason)) = retries.after(&Method::POST, &refused) {
            assert_eq!(reason, "refused_stream");
            pauses.push(pause);
        }
        assert_eq!(pauses.len(), MAX_RETRIES as usize);
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[15]), (Duration::ZERO, MAX_PAUSE));
        assert_eq!(
            retries.to_string(),
            "sent again 16 times (refused_stream 16)"
        );
    }

    #[test]
    fn what_may_have_been_processed_is_sent_again_once_if_it_is_idempotent() {
        let maybe = failed(Processed::Maybe);
        for (method, times) in [(Method::POST, 0), (Method::GET, 1), (Method::PUT, 1)] {
            let mut retries = Retries::default();
            while retries.after(&method, &maybe).is_some() {}
            assert_eq!(retries.count(), times, "{method}");
        }
        let mut begun = failed(Processed::Maybe);
        begun.before_reply = false;
        assert!(Retries::default().after(&Method::GET, &begun).is_none());
        let nowhere = failed(Processed::NotConnected);
        assert!(Retries::default().after(&Method::GET, &nowhere).is_none());
    }

    #[test]
    fn http_1_1_is_spoken_once_an_origin_requires_it() {
        let mut retries = Retries::default();
        assert!(!retries.needs_http1());
        let required = failed(Processed::No(Unprocessed::Http11Required));
        assert!(retries.after(&Method::POST, &required).is_some());
        assert!(retries.needs_http1());
    }
}
