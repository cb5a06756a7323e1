//! Memory for the bodies of replies, asked for before they are read.

use tokio::sync::oneshot;

use crate::gateway::fetch::UNRESERVED;

/// Asks for so many octets in all for one reply; the answer comes through the channel. A channel
/// that is dropped means no.
pub type Reserve<'a> = &'a (dyn Fn(usize) -> oneshot::Receiver<bool> + Send + Sync);

/// Grants whatever is asked for.
pub(super) fn without_limit(_: usize) -> oneshot::Receiver<bool> {
    let (answer, granted) = oneshot::channel();
    let _ = answer.send(true);
    granted
}

/// The buffer of one reply's body, which never has more room than was granted.
pub(super) struct ReplyBuffer<'a> {
    octets: Vec<u8>,
    granted: usize,
    /// Octets that the reply announces; 0 if it announces none.
    announced: usize,
    max: usize,
    reserve: Reserve<'a>,
}

/// Why a body is not taken.
pub(super) enum NoRoom {
    /// It announces more than the allowed octets.
    Announced(usize),
    /// It has more than the allowed octets.
    TooLarge,
    /// So many octets were asked for and not granted.
    NoMemory(usize),
}

impl<'a> ReplyBuffer<'a> {
    /// For a body of at most `max` octets.
    pub(super) fn new(max: usize, reserve: Reserve<'a>) -> Self {
        Self {
            octets: Vec::new(),
            granted: UNRESERVED.min(max),
            announced: 0,
            max,
            reserve,
        }
    }

    /// Octets that have come.
    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    /// The body is said to have so many octets in all.
    pub(super) async fn expect(&mut self, announced: usize) -> Result<(), NoRoom> {
        if announced > self.max {
            return Err(NoRoom::Announced(announced));
        }
        self.announced = announced;
        // Memory is set aside for what an origin announces, but not at once for as much as it
        // likes.
        self.make_room(announced.min(TRUSTED_LENGTH)).await
    }

    /// More of the body.
    pub(super) async fn extend(&mut self, data: &[u8]) -> Result<(), NoRoom> {
        let needed = self.octets.len() + data.len();
        if needed > self.max {
            return Err(NoRoom::TooLarge);
        }
        self.make_room(needed).await?;
        self.octets.extend_from_slice(data);
        Ok(())
    }

    /// The whole body.
    pub(super) fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    async fn make_room(&mut self, needed: usize) -> Result<(), NoRoom> {
        if needed <= self.octets.capacity() {
            return Ok(());
        }
        // Twice as much as before, so that a body is seldom copied; no more than is announced or
        // granted, where that suffices.
        let most = if self.announced >= needed {
            self.announced
        } else {
            self.max
        };
        let mut wanted = needed.max(2 * self.octets.capacity()).min(most);
        if needed <= self.granted {
            wanted = wanted.min(self.granted);
        } else if !self.ask(wanted).await {
            if wanted == needed || !self.ask(needed).await {
                return Err(NoRoom::NoMemory(needed));
            }
            wanted = needed;
        }
        self.octets.reserve_exact(wanted - self.octets.len());
        Ok(())
    }

    /// Asks for so many octets in all.
    async fn ask(&mut self, octets: usize) -> bool {
        let is_granted = (self.reserve)(octets).await.unwrap_or(false);
        if is_granted {
            self.granted = octets;
        }
        is_granted
    }
}

/// An announced length is believed up to here when memory is set aside for it.
const TRUSTED_LENGTH: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A buffer whose owner grants up to `limit` octets, and the largest grant.
    async fn filled(
        octets: usize,
        announced: usize,
        limit: usize,
    ) -> (usize, Result<usize, usize>) {
        let most = AtomicUsize::new(0);
        let reserve = |octets: usize| {
            let (answer, granted) = oneshot::channel();
            let _ = answer.send(octets <= limit);
            if octets <= limit {
                most.fetch_max(octets, Ordering::Relaxed);
            }
            granted
        };
        let mut buffer = ReplyBuffer::new(1_000_000, &reserve);
        let result = async {
            buffer.expect(announced).await?;
            for _ in 0..octets / 1_500 {
                buffer.extend(&[7; 1_500]).await?;
                let room = buffer.octets.capacity();
                assert!(room <= most.load(Ordering::Relaxed).max(UNRESERVED));
            }
            Ok(buffer.len())
        };
        let result = result.await.map_err(|error| match error {
            NoRoom::Announced(_) | NoRoom::TooLarge => 0,
            NoRoom::NoMemory(wanted) => wanted,
        });
        (most.into_inner(), result)
    }

    #[tokio::test]
    async fn a_body_has_no_more_room_than_was_granted() {
        // Small replies need no grant.
        assert_eq!(filled(7_500, 0, 0).await, (0, Ok(7_500)));
        // No more is asked for than is announced, nor than fits.
        assert_eq!(
            filled(345_000, 345_000, 600_000).await,
            (345_000, Ok(345_000))
        );
        assert_eq!(filled(345_000, 0, 345_000).await.1, Ok(345_000));
        let (granted, result) = filled(345_000, 0, 200_000).await;
        assert!(granted <= 200_000, "{granted}");
        assert!(result.unwrap_err() > 200_000);
        // What is announced is not set aside at once.
        assert_eq!(filled(0, 900_000, 600_000).await, (TRUSTED_LENGTH, Ok(0)));
        assert_eq!(filled(0, 1_000_001, 600_000).await, (0, Err(0)));
    }
}
