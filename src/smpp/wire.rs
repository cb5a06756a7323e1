//! Frames: cuts PDUs from a stream, and writes them.

use bytes::{Buf, BytesMut};
use rusmpp::Command;
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::Length;
use rusmpp::encode::owned::Encode;

/// A whole PDU of the stream.
#[derive(Debug)]
pub(super) struct Frame {
    /// `command_id`.
    pub(super) id: u32,
    /// `command_status`.
    pub(super) status: u32,
    /// `sequence_number`.
    pub(super) sequence: u32,
    /// The PDU; `None` if its body is malformed.
    pub(super) command: Option<Command>,
}

/// The stream is no SMPP from here on: `command_length` is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoFrame;

/// Takes the first PDU of the stream. `None` until the PDU is complete.
pub(super) fn next(stream: &mut BytesMut) -> Result<Option<Frame>, NoFrame> {
    let Some((len, _)) = stream.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| NoFrame)?;
    if !(HEADER..=MAX_PDU).contains(&len) {
        return Err(NoFrame);
    }
    if stream.len() < len {
        return Ok(None);
    }
    let mut pdu = stream.split_to(len);
    let words = pdu.as_chunks::<4>().0;
    let word = |place: usize| words.get(place).map_or(0, |word| u32::from_be_bytes(*word));
    let (id, status, sequence) = (word(1), word(2), word(3));
    pdu.advance(4);
    let command = Command::decode(&mut pdu, len - 4).ok();
    Ok(Some(Frame {
        id,
        status,
        sequence,
        command: command.map(|(command, _)| command),
    }))
}

/// Appends a PDU.
pub(super) fn put(out: &mut BytesMut, command: &Command) {
    let len = u32::try_from(4 + command.length()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    command.encode(out);
}

/// Octets of the header.
const HEADER: usize = 16;
/// Octets of the largest PDU: one whose message_payload has 64 KiB.
const MAX_PDU: usize = 66_000;
