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

/// Settings of a decoder: limits, and facts that the transport knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Limits on the cost of the document.
    pub limits: Limits,
    /// The type for a document whose public id names no known type. The media type tells it.
    pub vocabulary: Option<&'static Vocabulary>,
    /// The charset that the transport names. It has precedence over the header's (WBXML 5.2).
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
    /// The state after the processing instruction.
    resume: State,
    /// Octets from the beginning of the last event to the end of the input.
    begun: usize,
    /// Open elements, the innermost last.
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
    /// In an attribute list. `content`: its element has content. `started`: an attribute start
    /// came, so values may follow.
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
    /// Starts decoding `input`, one whole document: reads its header.
    ///
    /// # Errors
    ///
    /// The header is malformed, or its charset has no decoder.
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
            begun: rest.len(),
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

    /// The offset at which the last event began.
    #[must_use]
    pub fn event_offset(&self) -> usize {
        self.input.len() - self.begun
    }

    /// The octets of the document after its last event.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The number of open elements.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// The string of the table at an index. Its length counts against [`Limits::strings`].
    ///
    /// # Errors
    ///
    /// The index is outside the table, or the limit is reached.
    pub fn string(&mut self, index: u32) -> Result<&'a [u8], Error> {
        let Some(string) = self.header.strings.at(index) else {
            return Err(self.error(
                Fault::Malformed,
                self.index(),
                "an index into the string table",
            ));
        };
        // One octet more: a reference to an empty string must count too.
        match self.strings_left.checked_sub(string.len() + 1) {
            Some(left) => self.strings_left = left,
            None => {
                return Err(self.error(
                    Fault::Amplified,
                    self.index(),
                    "fewer references to the string table",
                ));
            }
        }
        Ok(string)
    }

    /// The index after the token of the last event.
    #[cold]
    fn index(&self) -> &'a [u8] {
        self.input
            .get(self.event_offset() + 1..)
            .unwrap_or_default()
    }

    /// The next event; `None` at the end of a whole document.
    ///
    /// # Errors
    ///
    /// The document is malformed or exceeds a limit. Decoding cannot continue after an error.
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
            self.begun = at.len();
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
            _ => match self.character_data(token)? {
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
        if let Some(event) = self.character_data(token)? {
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
            self.begun = at.len();
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

    /// Tokens that content and attribute values share. `None` for any other token.
    #[inline(always)]
    fn character_data(&mut self, token: u8) -> Result<Option<Event<'a>>, Error> {
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
                None => {
                    return Err(self.error(
                        Fault::Malformed,
                        self.index(),
                        "the number of a character",
                    ));
                }
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
mod tests;
