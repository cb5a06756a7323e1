//! The one error of this module, and the bounds whose violation is one.

use crate::codec::DecodeError;

/// Why a document was not decoded, encoded or translated.
///
/// The message names the place, the token there and what was expected; it never quotes the document, which
/// may hold credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Whose fault it is.
    pub fault: Fault,
    /// Octets from the start of the input (WBXML or XML).
    pub offset: usize,
    /// The token in whose place something else was expected; none in XML, or at the end of the input.
    pub token: Option<u8>,
    /// What belongs there.
    pub expected: &'static str,
}

/// The kinds of failure. Each has a stable label for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The octets are not WBXML, or the text is not well-formed XML.
    Malformed,
    /// More elements inside each other than [`Limits::depth`].
    TooDeep,
    /// The result would be longer than [`Limits::output`].
    TooLarge,
    /// The string table is referred to so often that a small document becomes a huge one.
    Amplified,
    /// Correct, but the other notation has no way to say it.
    Untranslatable,
    /// A charset nobody here can read.
    Charset,
}

impl Fault {
    /// A stable name for metrics and configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooDeep => "too-deep",
            Self::TooLarge => "too-large",
            Self::Amplified => "amplified",
            Self::Untranslatable => "untranslatable",
            Self::Charset => "charset",
        }
    }
}

impl std::error::Error for Error {}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: expected {} at offset {}",
            self.fault.label(),
            self.expected,
            self.offset
        )?;
        match self.token {
            Some(token) => write!(f, ", found {token:#04x}"),
            None => Ok(()),
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self {
            fault: Fault::Malformed,
            offset: error.offset,
            token: None,
            expected: error.expected,
        }
    }
}

/// What a document may cost. Time and memory are linear in the input whatever these say; they set the factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements inside each other. Real SyncML stays below 20. Default: 64.
    pub depth: usize,
    /// Octets of output of a translation. Default: 8 MiB.
    pub output: usize,
    /// Octets that references to the string table may add up to, whatever the size of the document.
    /// Default: 64 KiB.
    pub strings: usize,
    /// Octets of the same for each octet of the document. Default: 16.
    pub strings_per_octet: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            output: 8 << 20,
            strings: 64 << 10,
            strings_per_octet: 16,
        }
    }
}
