//! The data of items and credentials, where the two notations differ most: documents inside, raw octets, digests.

use super::XmlOptions;
use super::escape::{self, Forbidden};
use super::meaning::{Format, Kind, Level, Meaning, Role};
use super::writer::{Writer, write};
use crate::codec::put_base64;
use crate::wbxml::decoder::{Decoder, Options};
use crate::wbxml::error::Error;
use crate::wbxml::header::Header;

impl Writer<'_, '_> {
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
        // Some put the XML text there, whatever the type says.
        let typed = meta.kind == Kind::DevInf && !octets.is_empty() && !octets.starts_with(b"<");
        if role == Role::ItemData && opaque && (typed || is_devinf(octets)) {
            return self.embedded(octets, decoder);
        }
        // SyncML 1.0 sends the digest itself, later versions its base64.
        let digest =
            role == Role::Credential && meta.kind == Kind::Md5 && octets.len() == 16 && opaque;
        let raw = meta.format == Format::Binary || digest && meta.format != Format::Base64;
        if !raw {
            let begin = self.out.len();
            if escape::octets(octets, self.out).is_some() {
                return Ok(());
            }
            self.out.truncate(begin);
            // In another charset than UTF-8, the data of an item may be so too.
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

    /// Makes the Meta of the open Data say `b64`. It has been written already, hence behind our back: a Meta is
    /// small, and is changed once.
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
                    // At the end: the way back tells a digest that was raw by this order.
                    let at = self.meta.end_at;
                    drop(self.out.splice(at..at, FORMAT_BASE64.bytes()));
                }
            }
        } else {
            let mut meta = b"<Meta>".to_vec();
            meta.extend_from_slice(FORMAT_BASE64.as_bytes());
            // A Meta of the Item's own hides the command's, if that has said a type.
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
            meta.extend_from_slice(b"</Meta>");
            if self.out.get(data_at) != Some(&b'<') {
                return Err(self.cannot(decoder, "Data in a place that may have a Meta"));
            }
            self.out.splice(data_at..data_at, meta);
        }
        // It may have shrunk: `b64` for a longer Format.
        let after = self.out.len();
        if let Some(open) = self.open.last_mut() {
            open.tag_at = open.tag_at + after - before;
            open.content_at = open.content_at + after - before;
        }
        Ok(())
    }
}

/// What a document inside another may cost: what is left.
fn decoder_limits(options: &XmlOptions, depth: usize) -> Options {
    let mut decode = options.decode;
    decode.limits.depth = decode.limits.depth.saturating_sub(depth);
    decode.vocabulary = None;
    decode.charset = None;
    decode
}

/// Whether opaque data is a DevInf document, whatever the Meta says.
fn is_devinf(octets: &[u8]) -> bool {
    matches!(octets.first(), Some(0x01..=0x03))
        && Header::parse(octets)
            .ok()
            .and_then(|(body, header)| header.vocabulary(body))
            .is_some_and(|vocabulary| vocabulary.root == "DevInf")
}

const FORMAT_BASE64: &str = "<Format xmlns=\"syncml:metinf\">b64</Format>";
