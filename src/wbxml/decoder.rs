//! A pull decoder: octets in, [`Event`]s out, nothing copied (WBXML 5.3, 5.8).

use crate::codec::{self, Parsed, located, uint8, uintvar};
use crate::wbxml::charset::Charset;
use crate::wbxml::error::{Error, Fault, Limits};
use crate::wbxml::event::{AttributeName, Event, Extension, Name, Tag};
use crate::wbxml::header::{Header, find_nul, first_zero};
use crate::wbxml::tables;
use crate::wbxml::token::{
    ATTRIBUTES, CONTENT, END, ENTITY, EXT_0, EXT_2, EXT_I_0, EXT_I_2, EXT_T_0, EXT_T_2, IDENTITY,
    LITERAL, OPAQUE, PI, STR_I, STR_T, SWITCH_PAGE,
};
use crate::wbxml::vocabulary::{Attributes, Tags, Vocabulary};

/// What the document does not say about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What it may cost.
    pub limits: Limits,
    /// Its type, if the document's own public id says nothing known (from its media type).
    pub vocabulary: Option<&'static Vocabulary>,
    /// Its charset according to the transport, which has precedence (WBXML 5.2).
    pub charset: Option<Charset>,
}

/// Reads one document.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    input: &'a [u8],
    rest: &'a [u8],
    header: Header<'a>,
    charset: Charset,
    nul_len: usize,
    vocabulary: &'static Vocabulary,
    tag_page: u8,
    tags: &'static Tags,
    attribute_page: u8,
    attributes: &'static Attributes,
    state: State,
    /// Where a processing instruction returns to.
    resume: State,
    /// Elements whose END is to come.
    open: Vec<Tag<'a>>,
    depth: usize,
    /// Octets that references to the string table may still add up to.
    strings_left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the document element.
    Prolog,
    Content,
    /// In the attribute list of an element with or without content; values need an attribute start first.
    Attributes {
        content: bool,
        started: bool,
    },
    /// In a processing instruction.
    Pi,
    /// After the document element.
    Epilog,
}

impl<'a> Decoder<'a> {
    /// Reads the header of `input`, which is one whole document.
    pub fn new(input: &'a [u8], options: &Options) -> Result<Self, Error> {
        let (rest, header) = located(input, Header::parse).map_err(|error| Error {
            token: input.get(error.offset).copied(),
            fault: if error.expected.starts_with("a charset") {
                Fault::Charset
            } else {
                Fault::Malformed
            },
            ..error.into()
        })?;
        let charset = options
            .charset
            .filter(|charset| charset.is_supported())
            .unwrap_or(header.charset);
        let vocabulary = header
            .vocabulary(rest)
            .or(options.vocabulary)
            .unwrap_or(&tables::UNKNOWN);
        let limits = &options.limits;
        Ok(Self {
            input,
            rest,
            header,
            charset,
            nul_len: charset.nul_len(),
            vocabulary,
            tag_page: 0,
            tags: vocabulary.tags(0),
            attribute_page: 0,
            attributes: vocabulary.attributes(0),
            state: State::Prolog,
            resume: State::Prolog,
            open: Vec::with_capacity(limits.depth.min(16)),
            depth: limits.depth,
            strings_left: input
                .len()
                .saturating_mul(limits.strings_per_octet)
                .saturating_add(limits.strings),
        })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// The document's type.
    #[must_use]
    pub fn vocabulary(&self) -> &'static Vocabulary {
        self.vocabulary
    }

    /// The charset of `Text`, literal names and extensions.
    #[must_use]
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// Octets read so far.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.input.len() - self.rest.len()
    }

    /// Elements that are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// A string of the table, for extensions that refer to one. It counts against the limits.
    pub fn string(&mut self, index: u32) -> Result<&'a [u8], Error> {
        let Some(string) = self.header.strings.at(index) else {
            return Err(self.error(
                Fault::Malformed,
                self.rest,
                "an index into the string table",
            ));
        };
        // One more, so that references to empty strings cost something too.
        match self.strings_left.checked_sub(string.len() + 1) {
            Some(left) => self.strings_left = left,
            None => {
                return Err(self.error(
                    Fault::Amplified,
                    self.rest,
                    "fewer references to the string table",
                ));
            }
        }
        Ok(string)
    }

    /// The next event; `None` at the end of a whole document. After an error the decoder is of no more use.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator of results would hide that an error is the end"
    )]
    #[inline(always)]
    pub fn next(&mut self) -> Result<Option<Event<'a>>, Error> {
        loop {
            let at = self.rest;
            let Some((&token, rest)) = at.split_first() else {
                return match self.state {
                    State::Epilog => Ok(None),
                    State::Prolog => Err(self.error(Fault::Malformed, at, "an element")),
                    _ => Err(self.error(Fault::Malformed, at, "END")),
                };
            };
            self.rest = rest;
            let event = match self.state {
                State::Content => self.content(at, token)?,
                State::Attributes { .. } | State::Pi => self.attribute(at, token)?,
                State::Prolog | State::Epilog => self.outside(at, token)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// `*pi element *pi`
    #[inline(never)]
    fn outside(&mut self, at: &'a [u8], token: u8) -> Result<Option<Event<'a>>, Error> {
        match token {
            PI => self.pi().map(Some),
            SWITCH_PAGE => self.switch_tag_page(),
            END | ENTITY | STR_I | EXT_I_0..=EXT_I_2 | EXT_T_0..=STR_T | EXT_0..=OPAQUE => {
                Err(self.error(Fault::Malformed, at, "an element"))
            }
            _ if self.state == State::Epilog => {
                Err(self.error(Fault::Malformed, at, "the end of the document"))
            }
            _ => self.element(at, token).map(Some),
        }
    }

    /// `content = element | string | extension | entity | pi | opaque`
    #[inline(always)]
    fn content(&mut self, at: &'a [u8], token: u8) -> Result<Option<Event<'a>>, Error> {
        match token {
            END => {
                let Some(tag) = self.open.pop() else {
                    return Err(self.error(Fault::Malformed, at, "no END, as nothing is open"));
                };
                if self.open.is_empty() {
                    self.state = State::Epilog;
                }
                Ok(Some(Event::End(tag)))
            }
            SWITCH_PAGE => self.switch_tag_page(),
            PI => self.pi().map(Some),
            _ => match self.character_data(at, token)? {
                Some(event) => Ok(Some(event)),
                None => self.element(at, token).map(Some),
            },
        }
    }

    /// `([switchPage] stag) [ 1*attribute END ] [ *content END ]`, the first part.
    #[inline(always)]
    fn element(&mut self, at: &'a [u8], token: u8) -> Result<Event<'a>, Error> {
        let identity = token & IDENTITY;
        let name = if identity == LITERAL {
            let index = self.integer()?;
            Name::Literal(self.string(index)?)
        } else {
            self.tags
                .name(identity)
                .map_or(Name::Unassigned, Name::Assigned)
        };
        let tag = Tag {
            page: self.tag_page,
            token: identity,
            name,
        };
        let content = token & CONTENT != 0;
        let attributes = token & ATTRIBUTES != 0;
        if content {
            if self.open.len() >= self.depth {
                return Err(self.error(Fault::TooDeep, at, "fewer elements inside each other"));
            }
            self.open.push(tag);
        }
        self.state = match attributes {
            true => State::Attributes {
                content,
                started: false,
            },
            false => self.after_start(),
        };
        Ok(Event::Start {
            tag,
            attributes,
            content,
        })
    }

    #[inline]
    fn after_start(&self) -> State {
        if self.open.is_empty() {
            State::Epilog
        } else {
            State::Content
        }
    }

    /// `attribute = attrStart *attrValue`, and the END of the list or of a processing instruction.
    #[inline(never)]
    fn attribute(&mut self, at: &'a [u8], token: u8) -> Result<Option<Event<'a>>, Error> {
        match (token, self.state) {
            (END, State::Pi) => {
                self.state = self.resume;
                return Ok(Some(Event::EndPi));
            }
            (END, _) => {
                self.state = self.after_start();
                return Ok(Some(Event::EndAttributes));
            }
            (SWITCH_PAGE, _) => {
                self.switch_attribute_page()?;
                return Ok(None);
            }
            (0x00..=0x3F | 0x45..=0x7F, State::Attributes { content, .. })
                if token != STR_I && token != ENTITY =>
            {
                let name = self.attribute_start(token)?;
                self.state = State::Attributes {
                    content,
                    started: true,
                };
                return Ok(Some(Event::Attribute(name)));
            }
            (_, State::Attributes { started: false, .. }) => {
                return Err(self.error(Fault::Malformed, at, "an attribute start"));
            }
            _ => {}
        }
        if let Some(event) = self.character_data(at, token)? {
            return Ok(Some(event));
        }
        match token {
            0x85..=0xFF if token != ATTRIBUTES | CONTENT | LITERAL => {
                Ok(Some(Event::Value(token, self.attributes.value(token))))
            }
            _ => Err(self.error(Fault::Malformed, at, "an attribute value or END")),
        }
    }

    fn attribute_start(&mut self, token: u8) -> Result<AttributeName<'a>, Error> {
        let page = self.attribute_page;
        if token == LITERAL {
            let index = self.integer()?;
            return Ok(AttributeName {
                page,
                token,
                name: Name::Literal(self.string(index)?),
                prefix: "",
            });
        }
        Ok(match self.attributes.start(token) {
            Some((name, prefix)) => AttributeName {
                page,
                token,
                name: Name::Assigned(name),
                prefix,
            },
            None => AttributeName {
                page,
                token,
                name: Name::Unassigned,
                prefix: "",
            },
        })
    }

    /// `pi = PI attrStart *attrValue END`, its beginning.
    fn pi(&mut self) -> Result<Event<'a>, Error> {
        loop {
            let at = self.rest;
            match self.take(uint8)? {
                SWITCH_PAGE => self.switch_attribute_page()?,
                END | ENTITY | STR_I | EXT_I_0..=PI | 0x80.. => {
                    return Err(self.error(
                        Fault::Malformed,
                        at,
                        "an attribute start, the target of a PI",
                    ));
                }
                token => {
                    let target = self.attribute_start(token)?;
                    self.resume = self.state;
                    self.state = State::Pi;
                    return Ok(Event::Pi(target));
                }
            }
        }
    }

    /// What content and attribute values have in common; `None` if `token` is something else.
    #[inline(always)]
    fn character_data(&mut self, at: &'a [u8], token: u8) -> Result<Option<Event<'a>>, Error> {
        Ok(Some(match token {
            STR_I => Event::Text(self.termstr()?),
            STR_T => {
                let index = self.integer()?;
                Event::Text(self.string(index)?)
            }
            OPAQUE => {
                let length = self.integer()?;
                Event::Opaque(
                    self.take(codec::octets(usize::try_from(length).unwrap_or(usize::MAX)))?,
                )
            }
            ENTITY => match char::from_u32(self.integer()?) {
                Some(character) => Event::Entity(character),
                None => return Err(self.error(Fault::Malformed, at, "the number of a character")),
            },
            EXT_I_0..=EXT_I_2 => {
                Event::Extension(Extension::Text(token - EXT_I_0, self.termstr()?))
            }
            EXT_T_0..=EXT_T_2 => {
                Event::Extension(Extension::Integer(token - EXT_T_0, self.integer()?))
            }
            EXT_0..=EXT_2 => Event::Extension(Extension::Single(token - EXT_0)),
            _ => return Ok(None),
        }))
    }

    /// `termstr`: up to the charset's NUL.
    #[inline(always)]
    fn termstr(&mut self) -> Result<&'a [u8], Error> {
        let end = match self.nul_len {
            1 => first_zero(self.rest),
            nul_len => find_nul(self.rest, nul_len),
        };
        let split = end.and_then(|end| self.rest.split_at_checked(end));
        let Some((text, rest)) = split else {
            return Err(self.error(Fault::Malformed, self.rest, "a string that ends with NUL"));
        };
        self.rest = rest.get(self.nul_len..).unwrap_or_default();
        Ok(text)
    }

    /// `mb_u_int32`, of one octet nearly always.
    #[inline(always)]
    fn integer(&mut self) -> Result<u32, Error> {
        match self.rest.split_first() {
            Some((&octet, rest)) if octet < 0x80 => {
                self.rest = rest;
                Ok(u32::from(octet))
            }
            _ => self.take(uintvar),
        }
    }

    #[inline]
    fn switch_tag_page(&mut self) -> Result<Option<Event<'a>>, Error> {
        self.tag_page = self.take(uint8)?;
        self.tags = self.vocabulary.tags(self.tag_page);
        Ok(None)
    }

    fn switch_attribute_page(&mut self) -> Result<(), Error> {
        self.attribute_page = self.take(uint8)?;
        self.attributes = self.vocabulary.attributes(self.attribute_page);
        Ok(())
    }

    #[inline]
    fn take<T>(&mut self, mut parser: impl FnMut(&'a [u8]) -> Parsed<'a, T>) -> Result<T, Error> {
        match parser(self.rest) {
            Ok((rest, value)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(error) => Err(self.malformed(error)),
        }
    }

    #[cold]
    fn malformed(&self, error: nom::Err<codec::Malformed<'a>>) -> Error {
        let mut error = Some(error);
        let base = self.offset();
        match located(self.rest, |input| match error.take() {
            Some(error) => Err(error),
            None => Ok((input, ())),
        }) {
            Err(found) => {
                let offset = base + found.offset;
                Error {
                    offset,
                    token: self.input.get(offset).copied(),
                    ..found.into()
                }
            }
            Ok(_) => self.error(Fault::Malformed, self.rest, "well-formed octets"),
        }
    }

    #[cold]
    fn error(&self, fault: Fault, at: &'a [u8], expected: &'static str) -> Error {
        Error {
            fault,
            offset: self.input.len() - at.len(),
            token: at.first().copied(),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wbxml::encoder::{Encoder, EncoderConfig};
    use crate::wbxml::tables::{SI, SYNCML_1_1};

    /// A readable transcript: one word per event.
    fn transcript(wire: &[u8], options: &Options) -> Result<String, Error> {
        let mut decoder = Decoder::new(wire, options)?;
        let mut words = Vec::new();
        let name = |name: Name<'_>, token: u8| match name {
            Name::Assigned(name) => name.to_owned(),
            Name::Literal(name) => String::from_utf8_lossy(name).into_owned(),
            Name::Unassigned => format!("?{token:02x}"),
        };
        while let Some(event) = decoder.next()? {
            words.push(match event {
                Event::Start { tag, content, .. } => {
                    format!(
                        "<{}{}",
                        name(tag.name, tag.token),
                        if content { "" } else { "/" }
                    )
                }
                Event::End(tag) => format!("/{}>", name(tag.name, tag.token)),
                Event::Attribute(a) => format!("@{}={}", name(a.name, a.token), a.prefix),
                Event::EndAttributes => ">".to_owned(),
                Event::Pi(a) => format!("<?{}", name(a.name, a.token)),
                Event::EndPi => "?>".to_owned(),
                Event::Value(token, text) => {
                    text.map_or_else(|| format!("?{token:02x}"), ToOwned::to_owned)
                }
                Event::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
                Event::Entity(c) => format!("&{:x};", u32::from(c)),
                Event::Opaque(octets) => format!("[{}]", octets.len()),
                Event::Extension(e) => format!("{e:?}"),
            });
        }
        Ok(words.join(" "))
    }

    fn error(wire: &[u8]) -> Error {
        transcript(wire, &Options::default()).unwrap_err()
    }

    #[test]
    fn the_example_of_wbxml_8_1() {
        let wire = b"\x03\x01\x03\x00\x47\x46\x03 X & Y\0\x05\x03 X\0\x02\x81\x20\x03=\0\x02\x81\x20\x031 \0\x01\x01";
        assert_eq!(
            transcript(wire, &Options::default()).unwrap(),
            "<?07 <?06 ' X & Y' <?05/ ' X' &a0; '=' &a0; '1 ' /?06> /?07>"
        );
    }

    #[test]
    fn the_example_of_wbxml_8_2() {
        let wire = b"\x03\x01\x6A\x12abc\0 Enter name: \0\x47\xC5\x09\x83\x00\x05\x01\x88\x06\x86\x08\x03xyz\0\x85\x03/s\0\x01\x83\x04\x86\x07\x0A\x03N\0\x01\x01\x01";
        assert_eq!(
            transcript(wire, &Options::default()).unwrap(),
            "<?07 <?05 @?09= 'abc' @?05= > <?08/ @?06= ?86 @?08= 'xyz' ?85 '/s' > ' Enter name: ' \
             <?06/ @?07= @?0a= 'N' > /?05> /?07>"
        );
    }

    #[test]
    fn the_example_of_service_indication() {
        // WAP-167 9
        let wire = b"\x02\x05\x6A\x00\x45\xC6\x0D\x03xyz\0\x85\x03email/123/abc.wml\0\x0A\xC3\x07\x19\x99\x06\x25\x15\x23\x15\x10\xC3\x04\x19\x99\x06\x30\x01\x03You have 4 new e-mails\0\x01\x01";
        assert_eq!(
            transcript(wire, &Options::default()).unwrap(),
            "<si <indication @href=http://www. 'xyz' .com/ 'email/123/abc.wml' @created= [7] @si-expires= [4] > \
             'You have 4 new e-mails' /indication> /si>"
        );
    }

    #[test]
    fn each_state_has_its_own_code_page() {
        let wire = [
            2, 0x0B, 0x6A, 0, 0xC5, 0x00, 0x01, 0x55, 0x01, 0x00, 0x01, 0x86, 0x36, 0x00, 0x00,
            0x46, 0x01, 0x01,
        ];
        assert_eq!(
            transcript(&wire, &Options::default()).unwrap(),
            "<wap-provisioningdoc @type=APPLICATION > <characteristic/ @name=APPID @version=1.0 > /wap-provisioningdoc>"
        );
    }

    #[test]
    fn processing_instructions_stand_around_and_inside_the_root() {
        let wire =
            b"\x03\x01\x6A\x04abc\0\x43\x04\x00\x03v\0\x01\x45\x43\x04\x01\x01\x01\x43\x04\x02\x01";
        assert_eq!(
            transcript(wire, &Options::default()).unwrap(),
            "<?abc 'v' ?> <?05 <?bc ?> /?05> <?c ?>"
        );
    }

    #[test]
    fn a_media_type_helps_where_the_public_id_is_unknown() {
        let options = Options {
            vocabulary: Some(&SI),
            ..Options::default()
        };
        assert_eq!(
            transcript(&[3, 1, 0x6A, 0, 0x05], &options).unwrap(),
            "<si/"
        );
    }

    #[test]
    fn errors_name_offset_token_and_expectation() {
        let at = |wire: &[u8]| {
            let error = error(wire);
            (error.offset, error.token, error.expected)
        };
        assert_eq!(at(&[]), (0, None, "an octet"));
        assert_eq!(
            at(&[4, 1, 0x6A, 0, 5]),
            (0, Some(4), "a WBXML version from 1.0 to 1.3")
        );
        assert_eq!(
            at(&[3, 1, 0x6A, 9, 5]),
            (4, Some(5), "as many octets as the length says")
        );
        assert_eq!(at(&[3, 1, 0x6A, 0]), (4, None, "an element"));
        assert_eq!(at(&[3, 1, 0x6A, 0, 0x45]), (5, None, "END"));
        assert_eq!(
            at(&[3, 1, 0x6A, 0, 0x05, 0x05]),
            (5, Some(5), "the end of the document")
        );
        assert_eq!(at(&[3, 1, 0x6A, 0, 0x01]), (4, Some(1), "an element"));
        assert_eq!(
            at(&[3, 1, 0x6A, 0, 0x45, 0x04, 0x00]),
            (7, None, "an index into the string table")
        );
        assert_eq!(
            at(&[3, 1, 0x6A, 0, 0x45, 0x03, 0x41]),
            (6, Some(0x41), "a string that ends with NUL")
        );
        assert_eq!(
            at(&[3, 1, 0x6A, 0, 0x45, 0xC3, 0x05, 0x41]),
            (7, Some(0x41), "as many octets as the length says")
        );
        assert_eq!(
            at(&[3, 1, 0x6A, 0, 0x45, 0x02, 0x83, 0xB0, 0x00]),
            (5, Some(2), "the number of a character")
        );
        assert_eq!(
            at(&[3, 1, 0x6A, 0, 0x85, 0x85, 0x01]),
            (5, Some(0x85), "an attribute start")
        );
        assert_eq!(error(&[3, 1, 0x87, 0x67, 0, 5]).fault, Fault::Charset);
        assert_eq!(
            error(&[3, 1, 0x6A, 0, 0x45]).to_string(),
            "malformed: expected END at offset 5"
        );
    }

    #[test]
    fn a_multi_byte_integer_has_five_octets_at_most() {
        let wire = [
            3, 1, 0x6A, 0, 0x45, 0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20,
        ];
        assert_eq!(error(&wire).expected, "a uintvar of at most five octets");
        assert_eq!(error(&[3, 0x81]).expected, "a uintvar");
    }

    #[test]
    fn depth_is_bounded() {
        let mut wire = vec![3, 1, 0x6A, 0];
        wire.extend([0x45; 65]);
        let error = error(&wire);
        assert_eq!((error.fault, error.offset), (Fault::TooDeep, 4 + 64));
    }

    #[test]
    fn references_to_the_string_table_are_bounded_by_the_input() {
        // 20 kB of table, referred to from 8,000 places: 160 MB.
        let mut wire = vec![3, 1, 0x6A, 0x81, 0x9C, 0x21];
        wire.extend([b'x'; 20_000]);
        wire.push(0);
        wire.push(0x45);
        for _ in 0..8_000 {
            wire.extend([0x83, 0x00]);
        }
        wire.push(0x01);
        assert_eq!(error(&wire).fault, Fault::Amplified);
    }

    fn reencoded(wire: &[u8]) -> Result<Vec<u8>, Error> {
        let mut decoder = Decoder::new(wire, &Options::default())?;
        let mut out = Vec::new();
        let config = EncoderConfig {
            version: decoder.header().version,
            ..EncoderConfig::new(decoder.vocabulary())
        };
        let charset = decoder.charset();
        let mut encoder = Encoder::new(&mut out, &config);
        while let Some(event) = decoder.next()? {
            encoder.event(&event, charset)?;
        }
        encoder.finish();
        Ok(out)
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(body: Vec<u8>, public_id in 0u8..20) {
            let mut wire = vec![3, public_id, 0x6A, 0];
            wire.extend(&body);
            let _ = transcript(&wire, &Options::default());
            let _ = transcript(&body, &Options::default());
        }

        #[test]
        fn decoding_encoding_and_decoding_again_is_stable(body: Vec<u8>, table in "[a-z\0]{0,8}") {
            let mut wire = vec![3, 5, 0x6A, u8::try_from(table.len()).unwrap()];
            wire.extend(table.as_bytes());
            wire.push(0x45);
            wire.extend(&body);
            if let Ok(once) = reencoded(&wire) {
                prop_assert_eq!(reencoded(&once), Ok(once));
            }
        }
    }

    #[test]
    fn a_decoder_says_where_it_is() {
        let wire = b"\x02\x9F\x53\x6A\x00\x6D\x6C\x71\x031.1\0\x01\x01\x01";
        let mut decoder = Decoder::new(wire, &Options::default()).unwrap();
        assert_eq!(decoder.vocabulary().name, SYNCML_1_1.name);
        decoder.next().unwrap();
        decoder.next().unwrap();
        assert_eq!((decoder.offset(), decoder.depth()), (7, 2));
    }
}
