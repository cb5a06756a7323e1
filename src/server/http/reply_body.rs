//! The body of a response: tells the shard when its last octet is written.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

use super::service::Turn;

/// A body in one piece. Its exchange ends once the piece is written or dropped.
pub(super) struct ReplyBody(Option<Piece>);

/// The octets of a body on their way into the socket.
pub(super) struct Piece {
    octets: Bytes,
    turn: Turn,
}

impl ReplyBody {
    pub(super) const fn empty() -> Self {
        Self(None)
    }

    pub(super) fn new(octets: Bytes, mut turn: Turn) -> Self {
        if octets.is_empty() {
            turn.written();
        }
        Self(Some(Piece { octets, turn }))
    }
}

impl Body for ReplyBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|piece| piece.octets.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.0.as_ref().map_or(0, |piece| piece.octets.len());
        SizeHint::with_exact(left as u64)
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.octets.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.octets.chunk()
    }

    fn advance(&mut self, octets: usize) {
        self.octets.advance(octets);
        if self.octets.is_empty() {
            self.turn.written();
        }
    }
}
