//! Global tokens, the same in every document type and on every code page (WBXML 7.1, Table 4).

/// Changes the code page of the current state; a page number follows.
pub const SWITCH_PAGE: u8 = 0x00;
/// Ends an attribute list, an element or a processing instruction.
pub const END: u8 = 0x01;
/// One character by its UCS-4 number, which follows.
pub const ENTITY: u8 = 0x02;
/// A string follows.
pub const STR_I: u8 = 0x03;
/// A name from the string table; an index follows. With [`ATTRIBUTES`] and [`CONTENT`]: LITERAL_A,
/// _C and _AC.
pub const LITERAL: u8 = 0x04;
/// The first of three extensions with a string.
pub const EXT_I_0: u8 = 0x40;
/// The last of three extensions with a string.
pub const EXT_I_2: u8 = 0x42;
/// A processing instruction.
pub const PI: u8 = 0x43;
/// The first of three extensions with an integer.
pub const EXT_T_0: u8 = 0x80;
/// The last of three extensions with an integer.
pub const EXT_T_2: u8 = 0x82;
/// A string from the string table; an index follows.
pub const STR_T: u8 = 0x83;
/// The first of three extensions of a single octet.
pub const EXT_0: u8 = 0xC0;
/// The last of three extensions of a single octet.
pub const EXT_2: u8 = 0xC2;
/// Opaque data; a length and as many octets follow.
pub const OPAQUE: u8 = 0xC3;

/// The bit of a tag octet for an attribute list that follows.
pub const ATTRIBUTES: u8 = 0x80;
/// The bit of a tag octet for content that follows, up to END.
pub const CONTENT: u8 = 0x40;
/// The bits of a tag octet that identify the tag.
pub const IDENTITY: u8 = 0x3F;
