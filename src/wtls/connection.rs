//! The state of a connection that has keys: how records are opened and sealed.

use crate::wtls::alert::{Alert, Description, Level, checksum};
use crate::wtls::keys::{Keys, Security, Side};
use crate::wtls::record::{self, ContentType, Record};
use crate::wtls::window::Window;

/// Both directions of a connection.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Secure {
    pub(super) security: Security,
    /// Which end is ours.
    side: Side,
    window: Window,
    /// The number of the next record; above 65,535 there is none.
    next: u32,
    /// The keys in use, made anew from the secret when they are wanted.
    keys: Option<Box<Directions>>,
    /// Checksums of the records sent last, for alerts name one.
    sent: [[u8; 4]; REMEMBERED],
    /// The checksum of the record received last.
    received: [u8; 4],
    /// Whether records say their length: as the other end does.
    with_length: bool,
}

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Directions {
    read: Keys,
    write: Keys,
}

/// Why a record is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// Its number was seen, or is too old.
    Replayed,
    /// Padding, MAC, length: nothing tells which.
    Bad,
}

impl Secure {
    /// A connection whose cipher spec changes now: numbers start at zero.
    pub(super) fn new(security: Security, side: Side, with_length: bool) -> Self {
        Self {
            security,
            side,
            window: Window::default(),
            next: 0,
            keys: None,
            sent: [[0; 4]; REMEMBERED],
            received: [0; 4],
            with_length,
        }
    }

    /// The content of a record of the other end.
    pub(super) fn open(&mut self, record: &Record<'_>) -> Result<Vec<u8>, Rejected> {
        if !self.window.is_new(record.sequence) {
            return Err(Rejected::Replayed);
        }
        let side = self.side.other();
        let keys = &mut self.keys.get_or_insert_default().read;
        let block = keys.of(&self.security, side, record.sequence);
        let content = record::open(block, self.security.suite, record).ok_or(Rejected::Bad)?;
        self.window.receive(record.sequence);
        self.received = checksum(record.octets);
        self.with_length = record.has_length();
        Ok(content)
    }

    /// Appends a record to `out`; false if the sequence numbers are used up. `last`: no record follows this one in the
    /// datagram. The last number is kept for an alert.
    pub(super) fn seal(
        &mut self,
        out: &mut Vec<u8>,
        content_type: ContentType,
        content: &[u8],
        last: bool,
    ) -> bool {
        let Ok(sequence) = u16::try_from(self.next) else {
            return false;
        };
        if sequence == u16::MAX && content_type != ContentType::Alert {
            return false;
        }
        self.next += 1;
        let keys = &mut self.keys.get_or_insert_default().write;
        let block = keys.of(&self.security, self.side, sequence);
        let begin = out.len();
        let head = (content_type, sequence, self.with_length || !last);
        record::seal(out, block, self.security.suite, head, content);
        self.remember(checksum(out.get(begin..).unwrap_or_default()));
        true
    }

    /// An alert under the cipher spec, if a sequence number is left.
    pub(super) fn alert(&mut self, level: Level, description: Description) -> Option<Vec<u8>> {
        self.alert_about(level, description, self.received)
    }

    /// The same about the record with this checksum.
    pub(super) fn alert_about(
        &mut self,
        level: Level,
        description: Description,
        checksum: [u8; 4],
    ) -> Option<Vec<u8>> {
        let alert = Alert {
            level,
            description,
            checksum,
        };
        let mut out = Vec::new();
        self.seal(&mut out, ContentType::Alert, &alert.encode(), true)
            .then_some(out)
    }

    /// The number of a record in clear text, if one is left.
    pub(super) fn take_sequence(&mut self) -> Option<u16> {
        let sequence = u16::try_from(self.next).ok().filter(|it| *it < u16::MAX)?;
        self.next += 1;
        Some(sequence)
    }

    /// Whether a checksum in an alert is that of a record sent lately.
    pub(super) fn has_sent(&self, checksum: [u8; 4]) -> bool {
        self.sent.contains(&checksum)
    }

    /// Records that can still be sent.
    pub(super) const fn left(&self) -> u32 {
        65_536_u32.saturating_sub(self.next)
    }

    /// Forgets keys that can be made anew.
    pub(super) fn forget_keys(&mut self) {
        self.keys = None;
    }

    fn remember(&mut self, checksum: [u8; 4]) {
        self.sent.rotate_right(1);
        if let Some(first) = self.sent.first_mut() {
            *first = checksum;
        }
    }
}

/// Records whose checksums are remembered: a window of segments may be under way when an alert is sent.
const REMEMBERED: usize = 8;
