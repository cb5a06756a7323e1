//! The error of all WBXML operations, and the limits on their cost.

use crate::codec::DecodeError;

/// The reason why a document was not decoded, encoded or translated.
///
/// The message names the place, the token there and what was expected; it never quotes the
/// document, which may hold credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of failure.
    pub fault: Fault,
    /// Octets from the start of the input (WBXML or XML).
    pub offset: usize,
    /// The token at the offset. `None` in XML, and at the end of the input.
    pub token: Option<u8>,
    /// The thing that was expected at the offset.
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
    /// A small document becomes a huge one: by references to the string table, or beyond
    /// [`Limits::output_per_octet`].
    Amplified,
    /// The document is correct, but the other notation has no form for a part of it.
    Untranslatable,
    /// A charset without a decoder here.
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

/// Limits on the cost of one document. Time and memory are linear in the input; the limits set the
/// factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements inside each other. Real SyncML stays below 20. Default: 64.
    pub depth: usize,
    /// Octets of output of a translation. Default: 8 MiB.
    pub output: usize,
    /// Octets of output for each octet of input, beyond the first 64 KiB of output. SyncML in XML
    /// is up to 3.2 times as long as in WBXML. Default: 6.
    pub output_per_octet: usize,
    /// Octets that references to the string table may add up to in a document of any size. Default:
    /// 64 KiB.
    pub strings: usize,
    /// Further octets of such references for each octet of the document. Default: 16.
    pub strings_per_octet: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            output: 8 << 20,
            output_per_octet: 6,
            strings: 64 << 10,
            strings_per_octet: 16,
        }
    }
}

impl Limits {
    /// The most octets that a translation of `input` octets may have.
    pub(super) fn output_of(&self, input: usize) -> usize {
        let proportional = input.saturating_mul(self.output_per_octet);
        proportional.saturating_add(FREE_OUTPUT).min(self.output)
    }

    /// The error of a translation of `input` octets that exceeds this length.
    #[cold]
    pub(super) fn exceeded(&self, input: usize, offset: usize) -> Error {
        let (fault, expected) = if self.output_of(input) < self.output {
            (Fault::Amplified, "a translation that grows less")
        } else {
            (Fault::TooLarge, "a shorter translation")
        };
        Error {
            fault,
            offset,
            token: None,
            expected,
        }
    }
}

/// Octets of output that no ratio counts: a small message may well become ten times as long.
const FREE_OUTPUT: usize = 64 << 10;
