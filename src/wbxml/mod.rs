//! WAP Binary XML, 1.0 to 1.3 (WAP-192), and its translation from and to XML text.
//!
//! - [`Decoder`] pulls [`Event`]s out of a document without building a tree; everything borrows.
//! - [`Encoder`] appends a document to a `Vec<u8>`.
//! - [`Vocabulary`] names the tokens of a document type; [`tables`] has those this gateway may
//!   meet.
//! - [`xml`] translates both ways, keeping every octet of meaning of a SyncML message.
//! - [`explain`] shows a document to operators.
//!
//! Every input is untrusted. Time, memory and output are linear in the input and bounded by
//! [`Limits`]. A document beyond them, or a malformed one, gives an [`Error`] with its place.

mod charset;
mod decoder;
mod encoder;
mod error;
mod event;
pub mod explain;
mod header;
pub mod tables;
pub mod token;
mod vocabulary;
pub mod xml;

pub use charset::Charset;
pub use decoder::{Decoder, Options};
pub use encoder::{Encoder, EncoderConfig};
pub use error::{Error, Fault, Limits};
pub use event::{AttributeName, Event, Extension, Name, Tag};
pub(crate) use header::find_nul;
pub use header::{Header, PublicId, StringTable};
pub use vocabulary::{
    AttributePage, Attributes, NO_ATTRIBUTES, NO_TAGS, Page, Space, Tags, Vocabulary,
};
