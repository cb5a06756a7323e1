//! The chunks of a large object: Data that a SyncML sender spreads over several messages, each
//! chunk but the last followed by `MoreData`.

/// The large object of one direction of a SyncML session, between two messages.
///
/// A chunk may end inside a character of UTF-8. XML has no half characters, so the octets of a cut
/// character wait here and go with the next chunk: the object keeps its octets and its Size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// The earlier messages are not known, so Data may be the rest of an object.
    Unknown,
    /// No object is open.
    Closed,
    /// An object is open. Its chunks were written as text so far.
    Open(Carry),
}

/// The octets of a character that the end of a chunk has cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carry {
    octets: [u8; 3],
    len: u8,
}

impl Carry {
    /// The octets of a cut character. `None` for more than three octets.
    pub(super) fn new(cut: &[u8]) -> Option<Self> {
        let mut carry = Self {
            octets: [0; 3],
            len: u8::try_from(cut.len()).ok()?,
        };
        carry.octets.get_mut(..cut.len())?.copy_from_slice(cut);
        Some(carry)
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether the last chunk ended between two characters.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Reads the Items of one message, in either direction of translation.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkReader {
    /// The state of the session. `None` for a message without a session, as the tools have it.
    pub(super) chunks: Option<Chunks>,
    /// The Item has Data.
    has_data: bool,
    /// The Item has MoreData.
    has_more: bool,
    /// The current Data belongs to a large object and is written as text.
    in_chunk: bool,
    /// The octets of a cut character that are not written yet.
    carry: Carry,
}

impl ChunkReader {
    pub(super) fn new(chunks: Option<Chunks>) -> Self {
        Self {
            chunks,
            has_data: false,
            has_more: false,
            in_chunk: false,
            carry: Carry::default(),
        }
    }

    /// Data of an Item begins; `sized` if its Meta has a Size, which only the first chunk of an
    /// object has.
    #[inline]
    pub(super) fn data_begins(&mut self, sized: bool) {
        self.has_data = true;
        self.in_chunk = false;
        self.carry = Carry::default();
        if let Some(Chunks::Open(carry)) = self.chunks
            && !sized
        {
            self.in_chunk = true;
            self.carry = carry;
        }
    }

    /// The current Data is the first chunk of an object.
    pub(super) fn begin_chunk(&mut self) {
        self.in_chunk = true;
    }

    pub(super) fn more_data(&mut self) {
        self.has_more = true;
    }

    /// Whether the current Data continues an object or begins one.
    pub(super) const fn is_chunk(&self) -> bool {
        self.in_chunk
    }

    /// Whether the current Data may be the rest of an object that began in an unknown message.
    pub(super) const fn is_unknown(&self) -> bool {
        matches!(self.chunks, Some(Chunks::Unknown))
    }

    pub(super) const fn carry(&self) -> &Carry {
        &self.carry
    }

    pub(super) fn set_carry(&mut self, carry: Carry) {
        self.carry = carry;
    }

    /// An Item ends. `None` if its Data was the last chunk of an object and ends inside a
    /// character.
    #[inline]
    pub(super) fn item_ends(&mut self) -> Option<()> {
        let (has_data, has_more) = (self.has_data, self.has_more);
        let carry = self.carry;
        (self.has_data, self.has_more, self.in_chunk) = (false, false, false);
        self.carry = Carry::default();
        let Some(chunks) = &mut self.chunks else {
            return Some(());
        };
        if has_more {
            *chunks = Chunks::Open(carry);
        } else if !carry.is_empty() {
            return None;
        } else if has_data && matches!(chunks, Chunks::Open(_)) {
            *chunks = Chunks::Closed;
        }
        Some(())
    }
}
