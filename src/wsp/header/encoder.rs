//! Writing a header block.

use super::form::{self, Peer};
use super::text;
use super::value::Form;
use super::{CodePage, DEFAULT_PAGE, EncodingVersion, SHIFT, table, wire};

/// Writes a block for one reader.
///
/// A block is written by one encoder from its first field to its last, since it remembers the page.
#[derive(Clone, Debug)]
pub struct Encoder<'p> {
    peer: Peer,
    pages: &'p [CodePage],
    page: u8,
}

impl<'p> Encoder<'p> {
    /// An encoder for a reader of this version.
    #[must_use]
    pub const fn new(version: EncodingVersion) -> Self {
        Self {
            peer: Peer {
                version,
                registered: false,
            },
            pages: &[],
            page: DEFAULT_PAGE,
        }
    }

    /// Uses the extension pages of a session: agreeing on a page means having to use it (WSP
    /// 8.3.2.6).
    #[must_use]
    pub const fn with_pages(mut self, pages: &'p [CodePage]) -> Self {
        self.pages = pages;
        self
    }

    /// Sends registered media types (0x0201 and up, with SyncML's) as numbers. Only for a peer that
    /// has sent such a number itself: many peers know none.
    #[must_use]
    pub const fn with_registered_media(mut self) -> Self {
        self.peer.registered = true;
        self
    }

    /// Appends a field. A list becomes one header per element. A value that its number's form
    /// cannot hold becomes text. A name that is no HTTP token has no encoding, and the field is
    /// left out.
    pub fn field(&mut self, name: &str, value: &[u8], out: &mut Vec<u8>) {
        if !wire::is_token(name.as_bytes()) {
            return;
        }
        if let Some((page, code)) = self.extension(name) {
            self.shift(page, out);
            wire::put_short(out, code);
            match text::decimal(value) {
                Some(number) => wire::put_integer(out, number),
                None => wire::put_text(out, text::trim(value)),
            }
            return;
        }
        let Some(row) = table::row_for(self.peer.version, name.as_bytes()) else {
            put_named(out, name, value);
            return;
        };
        if text::trim(value).is_empty() && row.form != Form::TimeOfDay {
            put_named(out, name, value);
            return;
        }
        row.list
            .each(value, |element| self.element(row, name, element, out));
    }

    fn element(&mut self, row: &table::Row, name: &str, element: &[u8], out: &mut Vec<u8>) {
        let (start, page) = (out.len(), self.page);
        self.shift(DEFAULT_PAGE, out);
        wire::put_short(out, row.code);
        if form::encode(row.form, self.peer, element, out).is_none() {
            // A name in text stands on any page.
            out.truncate(start);
            self.page = page;
            put_named(out, name, element);
        }
    }

    /// Appends the field that names the encoding version in use (WSP 8.4.2.70).
    pub fn encoding_version(&mut self, out: &mut Vec<u8>) {
        let version = self.peer.version.to_string();
        self.field("encoding-version", version.as_bytes(), out);
    }

    /// Appends the field that refuses a page: it has the page's number and no version.
    pub fn refuse_page(&mut self, page: u8, out: &mut Vec<u8>) {
        self.shift(DEFAULT_PAGE, out);
        wire::put_short(out, ENCODING_VERSION);
        form::put_page_refused(out, page);
    }

    fn extension(&self, name: &str) -> Option<(u8, u8)> {
        let coded = |agreed: &CodePage| Some((agreed.code, agreed.page.code(name.as_bytes())?));
        self.pages.iter().find_map(coded)
    }

    fn shift(&mut self, page: u8, out: &mut Vec<u8>) {
        if page == self.page {
            return;
        }
        self.page = page;
        if page > 0x1F {
            out.push(SHIFT);
        }
        out.push(page);
    }
}

const ENCODING_VERSION: u8 = 0x43;

/// Appends one field for a reader of this version that agreed on no extension page; see
/// [`Encoder::field`].
pub fn encode_field(version: EncodingVersion, name: &str, value: &[u8], out: &mut Vec<u8>) {
    Encoder::new(version).field(name, value, out);
}

fn put_named(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    wire::put_terminated(out, name.as_bytes());
    wire::put_text(out, text::trim(value));
}
