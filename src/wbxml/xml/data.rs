//! The data of items and credentials, in which the two notations differ most: embedded documents,
//! raw octets, digests.

use super::XmlOptions;
use super::chunks::Carry;
use super::escape::{self, Forbidden};
use super::meaning::{Format, Kind, Level, Meaning, Role};
use super::writer::{Writer, write};
use crate::codec::put_base64;
use crate::wbxml::charset::Charset;
use crate::wbxml::decoder::{Decoder, Options};
use crate::wbxml::error::Error;
use crate::wbxml::event::{Event, Name};
use crate::wbxml::header::Header;
use crate::wbxml::vocabulary::Vocabulary;

impl Writer<'_, '_> {
    /// Character data inside the Data of an Item or a Cred.
    pub(super) fn string_data(
        &mut self,
        role: Role,
        octets: &[u8],
        decoder: &Decoder<'_>,
    ) -> Result<(), Error> {
        if decoder.charset() == Charset::UTF_8 && self.is_chunk(role, octets, decoder) {
            return self.chunk(octets, decoder);
        }
        let text = self.decode(octets, decoder)?;
        // Size counts the octets of the object, so they must not change.
        if text.as_bytes() != octets && (self.chunk.is_chunk() || self.begins_chunk(role, decoder))
        {
            return Err(self.cannot(decoder, WHOLE_TEXT));
        }
        self.data(role, text.as_bytes(), false, decoder)
    }

    /// Whether Data that is not a whole text is a chunk of a large object.
    fn is_chunk(&mut self, role: Role, octets: &[u8], decoder: &Decoder<'_>) -> bool {
        self.chunk.is_chunk()
            || std::str::from_utf8(octets).is_err() && self.begins_chunk(role, decoder)
    }

    /// Whether MoreData follows the current Data. Only MoreData marks the first chunk of an object,
    /// so the function reads ahead to the end of the Item.
    #[cold]
    fn begins_chunk(&self, role: Role, decoder: &Decoder<'_>) -> bool {
        if role != Role::ItemData || self.chunk.chunks.is_none() {
            return false;
        }
        let Some(item) = decoder.depth().checked_sub(1) else {
            return false;
        };
        let mut ahead = decoder.clone();
        while let Ok(Some(event)) = ahead.next() {
            if let Event::Start { tag, content, .. } = event
                && ahead.depth() == item + usize::from(content)
                && matches!(tag.name, Name::Assigned("MoreData"))
            {
                return true;
            }
            if ahead.depth() < item {
                return false;
            }
        }
        false
    }

    /// A chunk of a large object, as text. The octets of a character that its end cuts go with the
    /// next chunk.
    fn chunk(&mut self, octets: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        let joined;
        let octets = match self.chunk.carry() {
            carry if carry.is_empty() => octets,
            carry => {
                joined = [carry.octets(), octets].concat();
                joined.as_slice()
            }
        };
        let (text, cut) = match std::str::from_utf8(octets) {
            Ok(_) => (octets, &[][..]),
            Err(error) if error.error_len().is_none() && decoder.charset() == Charset::UTF_8 => {
                octets
                    .split_at_checked(error.valid_up_to())
                    .unwrap_or_default()
            }
            Err(_) => return Err(self.cannot(decoder, WHOLE_TEXT)),
        };
        let carry = Carry::new(cut).ok_or_else(|| self.cannot(decoder, WHOLE_TEXT))?;
        self.chunk.begin_chunk();
        self.chunk.set_carry(carry);
        escape::text(text, self.out).map_err(|Forbidden(_)| self.cannot(decoder, WHOLE_TEXT))
    }

    /// Character or opaque data inside an element of a SyncML message.
    pub(super) fn data(
        &mut self,
        role: Role,
        octets: &[u8],
        opaque: bool,
        decoder: &Decoder<'_>,
    ) -> Result<(), Error> {
        if self.encoded {
            return Err(self.cannot(decoder, "one piece of binary data, not several"));
        }
        let meta = self
            .meaning
            .as_ref()
            .map(|meaning| meaning.effective(role))
            .unwrap_or_default();
        // Some senders put XML text into Data of the type for WBXML.
        let typed = meta.kind == Kind::DevInf && !octets.is_empty() && !octets.starts_with(b"<");
        if role == Role::ItemData && opaque && (typed || is_embedded(octets)) {
            if self.chunk.is_chunk() || self.begins_chunk(role, decoder) {
                return Err(self.cannot(decoder, "device information whole in one message"));
            }
            return self.embedded(octets, decoder);
        }
        if role == Role::ItemData && self.chunk.is_chunk() {
            return self.chunk(octets, decoder);
        }
        // SyncML 1.0 sends the raw digest, later versions its base64.
        let digest =
            role == Role::Credential && meta.kind == Kind::Md5 && octets.len() == 16 && opaque;
        let raw = meta.format == Format::Binary || digest && meta.format != Format::Base64;
        if !raw {
            let begin = self.out.len();
            if escape::octets(octets, self.out).is_some() {
                return Ok(());
            }
            self.out.truncate(begin);
            if self.begins_chunk(role, decoder) {
                return self.chunk(octets, decoder);
            }
            // In a message in another charset than UTF-8, the data may be in this charset too.
            if std::str::from_utf8(octets).is_err()
                && let Some(text) = decoder.charset().decode(octets)
            {
                match escape::text(text.as_bytes(), self.out) {
                    Ok(()) => return Ok(()),
                    Err(Forbidden(_)) => self.out.truncate(begin),
                }
            }
        }
        if !matches!(role, Role::ItemData | Role::Credential) || meta.format == Format::Base64 {
            return Err(self.cannot(decoder, "text that XML can hold"));
        }
        if role == Role::ItemData
            && (self.chunk.is_unknown() || raw && self.begins_chunk(role, decoder))
        {
            return Err(self.cannot(decoder, WHOLE_TEXT));
        }
        if self
            .open
            .last()
            .is_none_or(|open| open.content_at != self.out.len())
        {
            return Err(self.cannot(decoder, "one piece of binary data, not several"));
        }
        self.say_base64(role, decoder)?;
        put_base64(self.out, octets);
        self.encoded = true;
        Ok(())
    }

    /// A document inside Data.
    fn embedded(&mut self, octets: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        let limits = decoder_limits(self.options, self.open.len());
        let options = XmlOptions {
            decode: limits,
            ..*self.options
        };
        let base = decoder.offset() - octets.len();
        write(
            octets,
            &options,
            Some(self.indent.unwrap_or(0) + self.open.len()),
            None,
            self.out,
        )
        .map_err(|error| Error {
            offset: base + error.offset,
            ..error
        })?;
        if self.indent.is_some()
            && let Some(open) = self.open.last_mut()
        {
            open.children = true;
        }
        Ok(())
    }

    /// Sets the Format in the Meta of the open Data to `b64`. The Meta is in the output already and
    /// is changed there: a Meta is small, and changes once.
    fn say_base64(&mut self, role: Role, decoder: &Decoder<'_>) -> Result<(), Error> {
        let level = self.meaning.as_ref().and_then(Meaning::level);
        let own = match role {
            Role::ItemData => level == Some(Level::Item),
            _ => level == Some(Level::Command),
        };
        let data_at = self.open.last().map_or(0, |open| open.tag_at);
        let parent_at = self
            .open
            .iter()
            .rev()
            .nth(1)
            .map_or(0, |open| open.content_at);
        let before = self.out.len();
        if own && self.meta.content_at > parent_at {
            match self.meta.format.take() {
                Some(format) => drop(self.out.splice(format, *b"b64")),
                None => {
                    // At the end: by this order the reverse translation recognises a raw digest.
                    let at = self.meta.end_at;
                    drop(self.out.splice(at..at, FORMAT_BASE64.bytes()));
                }
            }
        } else {
            let mut meta = b"<Meta>".to_vec();
            meta.extend_from_slice(FORMAT_BASE64.as_bytes());
            // The Item's own Meta hides the command's Meta with its type.
            let kind = self
                .meaning
                .as_ref()
                .map(|meaning| meaning.effective(role).kind);
            if role == Role::ItemData
                && kind.is_some_and(|kind| kind != Kind::Unsaid)
                && let Some(kind) = self.out.get(self.command_type.clone())
            {
                meta.extend_from_slice(b"<Type xmlns=\"syncml:metinf\">");
                meta.extend_from_slice(kind);
                meta.extend_from_slice(b"</Type>");
            }
            if role == Role::ItemData
                && self.meaning.as_ref().is_some_and(Meaning::is_command_sized)
                && let Some(size) = self.out.get(self.command_size.clone())
            {
                meta.extend_from_slice(b"<Size xmlns=\"syncml:metinf\">");
                meta.extend_from_slice(size);
                meta.extend_from_slice(b"</Size>");
            }
            meta.extend_from_slice(b"</Meta>");
            if self.out.get(data_at) != Some(&b'<') {
                return Err(self.cannot(decoder, "Data in a place that may have a Meta"));
            }
            self.out.splice(data_at..data_at, meta);
        }
        // The output may have shrunk: `b64` replaced a longer Format.
        let after = self.out.len();
        if let Some(open) = self.open.last_mut() {
            open.tag_at = open.tag_at + after - before;
            open.content_at = open.content_at + after - before;
        }
        Ok(())
    }
}

/// The options of an embedded document: its limits are the rest of the outer document's.
fn decoder_limits(options: &XmlOptions, depth: usize) -> Options {
    let mut decode = options.decode;
    decode.limits.depth = decode.limits.depth.saturating_sub(depth);
    decode.vocabulary = None;
    decode.charset = None;
    decode
}

/// Whether opaque data is a document that belongs into Data, by its own header.
fn is_embedded(octets: &[u8]) -> bool {
    matches!(octets.first(), Some(0x01..=0x03))
        && Header::parse(octets)
            .ok()
            .and_then(|(body, header)| header.vocabulary(body))
            .is_some_and(Vocabulary::is_embedded)
}

/// The expectation of an error for a chunk that is not text.
const WHOLE_TEXT: &str = "a large object that is text in UTF-8";

const FORMAT_BASE64: &str = "<Format xmlns=\"syncml:metinf\">b64</Format>";
