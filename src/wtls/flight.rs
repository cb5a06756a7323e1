//! Flights: the records of one side's turn in a handshake, all in one datagram (10.4).

use crate::wtls::connection::Secure;
use crate::wtls::hash::Running;
use crate::wtls::message::MessageType;
use crate::wtls::record::{ContentType, put_plain};

/// A flight that is being written, in clear text or under the cipher spec of the connection there
/// is.
pub(super) struct Flight<'a> {
    out: Vec<u8>,
    under: Under<'a>,
}

/// The cipher spec of records before the cipher spec changes.
pub(super) enum Under<'a> {
    /// In clear text, with the number of the next record.
    Clear(&'a mut u16),
    /// That of the existing connection, whose numbering goes on.
    Cipher(&'a mut Secure),
}

impl<'a> Flight<'a> {
    pub(super) const fn new(under: Under<'a>) -> Self {
        Self {
            out: Vec::new(),
            under,
        }
    }

    /// Appends a handshake message as a record of its own, and adds the message to the handshake's
    /// hash.
    pub(super) fn message(&mut self, transcript: Option<&mut Running>, message: &[u8]) {
        if let Some(transcript) = transcript {
            transcript.update(message);
        }
        self.put(ContentType::Handshake, message);
    }

    /// Appends a ChangeCipherSpec and, under the new cipher spec, a Finished, and ends the flight.
    pub(super) fn finished(mut self, new: &mut Secure, verify_data: &[u8; 12]) -> Vec<u8> {
        self.put(ContentType::ChangeCipherSpec, &[1]);
        let message = finished(verify_data);
        new.seal(&mut self.out, ContentType::Handshake, &message, false);
        self.out
    }

    /// Ends the flight.
    pub(super) fn end(self) -> Vec<u8> {
        self.out
    }

    fn put(&mut self, content_type: ContentType, content: &[u8]) {
        match &mut self.under {
            Under::Clear(sequence) => {
                put_plain(&mut self.out, content_type, **sequence, true, content);
                **sequence = sequence.wrapping_add(1);
            }
            Under::Cipher(secure) => {
                secure.seal(&mut self.out, content_type, content, false);
            }
        }
    }
}

/// A Finished message.
pub(super) fn finished(verify_data: &[u8; 12]) -> Vec<u8> {
    let mut message = vec![MessageType::FINISHED.0, 0, 12];
    message.extend_from_slice(verify_data);
    message
}
