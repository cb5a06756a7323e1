//! The media types of SyncML messages, in Content-Type and Accept fields.

use crate::syncml::Encoding;
use crate::wbxml::Charset;

/// A media type of SyncML messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The notation it names.
    pub encoding: Encoding,
    /// Device management instead of data synchronization.
    pub management: bool,
}

impl MediaType {
    /// Parses a Content-Type without its parameters, in any case. `None` for every type but
    /// SyncML's.
    #[must_use]
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next()?.trim();
        ALL.into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(essence))
            .map(|(_, media_type)| media_type)
    }

    /// The name in header fields.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.management, self.encoding) {
            (false, Encoding::Xml) => "application/vnd.syncml+xml",
            (false, Encoding::Wbxml) => "application/vnd.syncml+wbxml",
            (true, Encoding::Xml) => "application/vnd.syncml.dm+xml",
            (true, Encoding::Wbxml) => "application/vnd.syncml.dm+wbxml",
        }
    }

    /// The media type of the same purpose in this notation.
    #[must_use]
    pub fn with(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// Whether an Accept field names this type. `*/*` does not count: such a client still expects
    /// an answer in the notation of its request.
    #[must_use]
    pub fn is_named_in(self, accept: &str) -> bool {
        accept
            .split(',')
            .filter(|range| !is_refused(range))
            .filter_map(Self::parse)
            .any(|named| named == self)
    }
}

/// Whether a media range has `q=0`.
fn is_refused(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0f32)
        })
    })
}

const ALL: [(&str, MediaType); 4] = [
    (
        "application/vnd.syncml+xml",
        MediaType {
            encoding: Encoding::Xml,
            management: false,
        },
    ),
    (
        "application/vnd.syncml+wbxml",
        MediaType {
            encoding: Encoding::Wbxml,
            management: false,
        },
    ),
    (
        "application/vnd.syncml.dm+xml",
        MediaType {
            encoding: Encoding::Xml,
            management: true,
        },
    ),
    (
        "application/vnd.syncml.dm+wbxml",
        MediaType {
            encoding: Encoding::Wbxml,
            management: true,
        },
    ),
];

/// The charset parameter of a Content-Type.
pub(super) fn charset(content_type: &str) -> Option<Charset> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| Charset::by_name(value))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_recognized_and_named() {
        for (name, media_type) in ALL {
            assert_eq!(MediaType::parse(&name.to_uppercase()), Some(media_type));
            assert_eq!(media_type.name(), name);
        }
        assert_eq!(
            MediaType::parse("application/vnd.syncml.notification"),
            None
        );
        assert_eq!(
            charset("a/b; q=1; Charset=ISO-8859-1"),
            Some(Charset::ISO_8859_1)
        );
    }
}
