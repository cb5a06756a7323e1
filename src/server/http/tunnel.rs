//! Tunnels of CONNECT: octets go between handset and origin as they come (RFC 9110 9.3.6).

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until};

use super::service::Turn;
use crate::upstream::Tunnel;

/// The place for the tunnel of a connection, from the answer to CONNECT until hyper has left the
/// connection.
#[derive(Clone, Default)]
pub(super) struct TunnelSlot(Arc<Mutex<Option<(Tunnel, Turn)>>>);

impl TunnelSlot {
    pub(super) fn fill(&self, tunnel: Tunnel, turn: Turn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((tunnel, turn));
    }

    pub(super) fn take(&self) -> Option<(Tunnel, Turn)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Relays octets until both sides have ended, one has failed, no octet has come for `idle`, or `stop`.
/// `early` are octets of the handset that were read before. Returns the octets from the handset and
/// to the handset.
pub(super) async fn relay(
    handset: impl AsyncRead + AsyncWrite,
    early: &[u8],
    origin: impl AsyncRead + AsyncWrite,
    idle: Duration,
    stop: impl Future<Output = ()>,
) -> (u64, u64) {
    let (mut from_handset, mut to_handset) = split(handset);
    let (mut from_origin, mut to_origin) = split(origin);
    let activity = Activity::new();
    let received = AtomicU64::new(early.len() as u64);
    let sent = AtomicU64::new(0);
    let up = async {
        to_origin.write_all(early).await?;
        copy(&mut from_handset, &mut to_origin, &received, &activity).await
    };
    let down = copy(&mut from_origin, &mut to_handset, &sent, &activity);
    let both = async { tokio::try_join!(up, down) };
    tokio::select! {
        // The records tell how far a tunnel came that failed.
        _ = both => {}
        () = activity.silence(idle) => {}
        () = stop => {}
    }
    (received.into_inner(), sent.into_inner())
}

/// Copies one direction to its end, and passes the end on.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    octets: &AtomicU64,
    activity: &Activity,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        activity.note();
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
        to.flush().await?;
        activity.note();
        octets.fetch_add(read as u64, Ordering::Relaxed);
    }
}

/// When octets last moved in either direction.
struct Activity {
    begun: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    fn note(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// Completes once nothing has moved for `idle`.
    async fn silence(&self, idle: Duration) {
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let end = self.begun + last + idle;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// Octets on their way in one direction.
const BUFFER: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn octets_go_both_ways_until_both_sides_end() {
        let (mut handset, ours) = duplex(64);
        let (theirs, mut origin) = duplex(64);
        let relayed = tokio::spawn(async move {
            relay(ours, b"early ", theirs, Duration::from_secs(60), pending()).await
        });
        handset.write_all(b"late").await.unwrap();
        handset.shutdown().await.unwrap();
        let mut heard = String::new();
        origin.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "early late");
        // The handset has ended its side, and the rest of the answer still comes.
        let answered = tokio::spawn(async move { origin.write_all(&[7; 1_000]).await });
        let mut answer = Vec::new();
        handset.read_to_end(&mut answer).await.unwrap();
        answered.await.unwrap().unwrap();
        assert_eq!(answer, [7; 1_000]);
        assert_eq!(relayed.await.unwrap(), (10, 1_000));
    }

    #[tokio::test]
    async fn a_silent_tunnel_ends() {
        let (mut handset, ours) = duplex(64);
        let (theirs, _origin) = duplex(64);
        let idle = Duration::from_millis(300);
        let begun = Instant::now();
        let relayed = tokio::spawn(async move { relay(ours, b"", theirs, idle, pending()).await });
        handset.write_all(b"x").await.unwrap();
        assert_eq!(relayed.await.unwrap(), (1, 0));
        assert!(begun.elapsed() >= idle);
    }
}
