//! One attempt of a push at the shards: the shard to ask next, and the outcome in the end.
//!
//! The session of a client may be in any shard, so one shard after the other is asked. A datagram
//! without a session goes through one of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::gateway::push::{Push, PushId, PushOutcome, To};
use crate::push::{Bearer, Deliver, Outcome};
use crate::wdp::Peer;
use crate::wtp;

/// The shards, and our addresses from which connectionless pushes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Number of shards.
    pub shards: usize,
    /// Our address of IPv4.
    pub v4: Option<SocketAddr>,
    /// Our address of IPv6.
    pub v6: Option<SocketAddr>,
}

/// An attempt under way.
#[derive(Debug)]
pub struct Attempt {
    deliver: Deliver,
    /// The destination; `None` if no shard can reach the recipient.
    to: Option<To>,
    /// The shards that are still to be asked.
    left: std::ops::Range<usize>,
    /// The outcome, unless a shard that is still to be asked decides otherwise.
    outcome: Outcome,
}

/// The next thing to do for an attempt.
#[derive(Debug)]
pub enum Step {
    /// Have a shard push, and give its answer to [`Attempt::answered`].
    Ask(usize, Push),
    /// The attempt is over.
    Over(Outcome),
}

impl Attempt {
    /// Begins an attempt at a recipient that has `address`, if one is known.
    #[must_use]
    pub fn new(deliver: Deliver, address: Option<IpAddr>, sockets: &Sockets) -> Self {
        let (to, outcome) = match (deliver.bearer, address) {
            (Bearer::Session { confirmed }, Some(address)) => {
                let to = To::Client { address, confirmed };
                (Some(to), Outcome::Unreachable)
            }
            (Bearer::UdpConnectionless | Bearer::Sir, Some(address)) => {
                match sockets.peer(address, deliver.port) {
                    Some(peer) => (Some(To::Unit(peer)), Outcome::Busy),
                    None => (None, Outcome::Unreachable),
                }
            }
            _ => (None, Outcome::Unreachable),
        };
        let left = match to {
            None => 0..0,
            Some(To::Unit(_)) => {
                let number = usize::try_from(deliver.attempt.0).unwrap_or(0);
                let shard = number % sockets.shards.max(1);
                shard..shard + 1
            }
            Some(_) => 0..sockets.shards,
        };
        Self {
            deliver,
            to,
            left,
            outcome,
        }
    }

    /// The next thing to do.
    #[must_use]
    pub fn step(&self) -> Step {
        match self.to {
            Some(to) if !self.left.is_empty() => Step::Ask(self.left.start, self.push(to)),
            _ => Step::Over(self.outcome.clone()),
        }
    }

    /// The answer of the shard that was asked; `None` if the shard gave none.
    pub fn answered(&mut self, answer: Option<PushOutcome>) {
        self.left.start += 1;
        match answer {
            None | Some(PushOutcome::NoSession) => {}
            Some(PushOutcome::NotAgreed) => self.outcome = Outcome::NotAgreed,
            Some(answer) => {
                self.outcome = outcome_of(answer);
                self.left = 0..0;
            }
        }
    }

    fn push(&self, to: To) -> Push {
        Push {
            id: PushId(self.deliver.attempt.0),
            to,
            headers: self.deliver.message.headers.clone(),
            body: self.deliver.message.body.clone(),
        }
    }
}

impl Sockets {
    /// The way to a port of a client; `None` for an address that no datagram may go to.
    fn peer(&self, address: IpAddr, port: u16) -> Option<Peer> {
        let local = match address {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        };
        let local = local.filter(|_| is_of_one_host(address))?;
        Some(Peer::new(SocketAddr::new(address, port), local))
    }
}

/// Whether an address is that of one host.
#[must_use]
pub fn is_of_one_host(address: IpAddr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address == Ipv4Addr::BROADCAST)
}

fn outcome_of(outcome: PushOutcome) -> Outcome {
    match outcome {
        PushOutcome::Sent => Outcome::Sent,
        PushOutcome::Confirmed { .. } => Outcome::Confirmed,
        PushOutcome::Aborted(reason) => Outcome::Aborted(reason.0),
        PushOutcome::Lost(wtp::AbortReason::User(reason)) => Outcome::Aborted(reason),
        PushOutcome::Lost(_) => Outcome::TimedOut,
        PushOutcome::NoSession => Outcome::Unreachable,
        PushOutcome::NotAgreed => Outcome::NotAgreed,
        PushOutcome::Busy => Outcome::Busy,
        PushOutcome::TooLarge => Outcome::TooLarge,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::push::{AttemptId, PushMessage, Recipient};

    fn attempt(bearer: Bearer, address: Option<&str>) -> Attempt {
        let deliver = Deliver {
            attempt: AttemptId(7),
            recipient: Recipient::parse("WAPPUSH=192.0.2.7/TYPE=IPv4@ppg").unwrap(),
            bearer,
            message: Arc::new(PushMessage::default()),
            port: 2948,
            expires: 0,
        };
        let sockets = Sockets {
            shards: 3,
            v4: Some("192.0.2.1:9200".parse().unwrap()),
            v6: None,
        };
        Attempt::new(deliver, address.map(|it| it.parse().unwrap()), &sockets)
    }

    /// The shards that are asked when they give these answers, and the outcome.
    fn run(mut attempt: Attempt, answers: &[Option<PushOutcome>]) -> (Vec<usize>, Outcome) {
        let mut asked = Vec::new();
        loop {
            match attempt.step() {
                Step::Over(outcome) => return (asked, outcome),
                Step::Ask(shard, _) => {
                    attempt.answered(answers[asked.len()].clone());
                    asked.push(shard);
                }
            }
        }
    }

    #[test]
    fn each_shard_is_asked_until_one_has_the_session() {
        let session = Bearer::Session { confirmed: true };
        let client = Some("192.0.2.7");
        let no = Some(PushOutcome::NoSession);
        let sent = Some(PushOutcome::Sent);
        let found = run(attempt(session, client), &[no.clone(), sent.clone()]);
        assert_eq!(found, (vec![0, 1], Outcome::Sent));
        let none = run(attempt(session, client), &[no.clone(), None, no.clone()]);
        assert_eq!(none, (vec![0, 1, 2], Outcome::Unreachable));
        let other = [no.clone(), Some(PushOutcome::NotAgreed), no];
        let found = run(attempt(session, client), &other);
        assert_eq!(found, (vec![0, 1, 2], Outcome::NotAgreed));
        assert_eq!(
            run(attempt(session, None), &[]),
            (vec![], Outcome::Unreachable)
        );
    }

    #[test]
    fn a_datagram_goes_through_one_shard_to_an_address_of_one_client() {
        let udp = Bearer::UdpConnectionless;
        let found = run(attempt(udp, Some("192.0.2.7")), &[Some(PushOutcome::Sent)]);
        assert_eq!(found, (vec![1], Outcome::Sent));
        let silent = run(attempt(Bearer::Sir, Some("192.0.2.7")), &[None]);
        assert_eq!(silent, (vec![1], Outcome::Busy));
        for address in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "2001:db8::1"] {
            let refused = run(attempt(udp, Some(address)), &[]);
            assert_eq!(refused, (vec![], Outcome::Unreachable), "{address}");
        }
    }
}
