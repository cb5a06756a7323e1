//! The fields with assigned numbers (WSP table 39) and the extension pages known here.
//!
//! A new field is a row.

use super::EncodingVersion;
use super::assigned::{Table, find, order};
use super::text::List;
use super::value::Form;

/// One assigned field of the default page.
pub(crate) struct Row {
    pub(crate) code: u8,
    /// The version that brought the number; [`EncodingVersion::NEVER`] for one that is only read.
    pub(crate) since: EncodingVersion,
    /// In lower case, as HTTP/2 has it.
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) list: List,
}

/// The row of a number.
pub(crate) fn row(code: u8) -> Option<&'static Row> {
    // The rows stand at the place of their number; a test holds them to it.
    ROWS.get(usize::from(code))
}

/// The rows of a name, newest number first.
pub(crate) fn rows(name: &[u8]) -> impl Iterator<Item = &'static Row> {
    let first = find(&BY_NAME, name, |row| {
        ROWS.get(usize::from(row)).map_or("", |row| row.name)
    });
    let mut next = first.and_then(|row| ROWS.get(usize::from(row))).map(newest);
    std::iter::from_fn(move || {
        let row = next?;
        next = ROWS
            .get(..usize::from(row.code))
            .and_then(|older| older.iter().rev().find(|older| older.name == row.name))
            .filter(|_| row.has_twin());
        Some(row)
    })
}

/// The row through which a peer is sent a field of this name, if it knows any.
pub(crate) fn row_for(version: EncodingVersion, name: &[u8]) -> Option<&'static Row> {
    rows(name).find(|row| version.knows_field(row.since))
}

/// The name of a field's number, as in Vary and Trailer.
pub(crate) fn name(code: u64) -> Option<&'static str> {
    row(u8::try_from(code).ok()?).map(|row| row.name)
}

/// The number that a peer knows for a field's name.
pub(crate) fn code(version: EncodingVersion, name: &[u8]) -> Option<u8> {
    row_for(version, name).map(|row| row.code)
}

impl Row {
    /// Whether other numbers stand for the same name: a later version corrected its form.
    const fn has_twin(&self) -> bool {
        matches!(
            self.code,
            0x01 | 0x02 | 0x08 | 0x10 | 0x2E | 0x37 | 0x38 | 0x3B
                ..=0x3E | 0x44 | 0x45 | 0x47 | 0x48
        )
    }
}

fn newest(row: &'static Row) -> &'static Row {
    if !row.has_twin() {
        return row;
    }
    ROWS.iter()
        .rev()
        .find(|other| other.name == row.name)
        .unwrap_or(row)
}

/// An extension page of fields, agreed by name when a session is made (WSP 8.3.2.6).
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The name it is negotiated by.
    pub name: &'static str,
}

impl Page {
    /// The page of a name.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<&'static Self> {
        name.eq_ignore_ascii_case(X_UP_1.name.as_bytes())
            .then_some(&X_UP_1)
    }

    /// The field of a number on this page.
    pub(crate) fn field(&self, code: u8) -> Option<&'static str> {
        X_UP_1_FIELDS.name(u64::from(code))
    }

    /// The number of a field on this page.
    pub(crate) fn code(&self, name: &[u8]) -> Option<u8> {
        u8::try_from(X_UP_1_FIELDS.number(name)?).ok()
    }
}

/// Openwave's page: fields about its browsers and its proxy.
pub static X_UP_1: Page = Page { name: "x-up-1" };

/// The numbers of every field, in the order of their names.
#[expect(clippy::indexing_slicing, reason = "evaluated when compiling")]
static BY_NAME: [u16; ROWS.len()] = {
    let mut names = [""; ROWS.len()];
    let mut row = 0;
    while row < ROWS.len() {
        names[row] = ROWS[row].name;
        row += 1;
    }
    order(&names)
};

const fn row_of(code: u8, since: EncodingVersion, name: &'static str, form: Form) -> Row {
    Row {
        code,
        since,
        name,
        form,
        list: List::No,
    }
}

impl Row {
    const fn list(mut self, list: List) -> Self {
        self.list = list;
        self
    }
}

const CODINGS: &[(u8, &str)] = &[(0, "gzip"), (1, "compress"), (2, "deflate")];
const RANGES: &[(u8, &str)] = &[(0, "none"), (1, "bytes")];
const CLOSE: &[(u8, &str)] = &[(0, "close")];
const CHUNKED: &[(u8, &str)] = &[(0, "chunked")];
const CLOSE_SUBORDINATE: &[(u8, &str)] = &[(0, "close-subordinate")];

/// Table 39, each row at the place of its number.
///
/// 0x48 to 0x4A are in the 2002 edition only and a widespread implementation has them off by one:
/// they are read, and sent as text.
static ROWS: [Row; 75] = {
    use super::EncodingVersion as V;
    use Form::*;
    use List::*;
    [
        row_of(0x00, V::V1_1, "accept", Accept).list(Commas),
        row_of(0x01, V::V1_1, "accept-charset", AcceptCharset).list(Commas),
        row_of(0x02, V::V1_1, "accept-encoding", AcceptEncoding).list(Commas),
        row_of(0x03, V::V1_1, "accept-language", AcceptLanguage).list(Commas),
        row_of(0x04, V::V1_1, "accept-ranges", Tokens(RANGES)).list(Commas),
        row_of(0x05, V::V1_1, "age", Integer),
        row_of(0x06, V::V1_1, "allow", Method).list(Commas),
        row_of(0x07, V::V1_1, "authorization", Credentials),
        row_of(0x08, V::V1_1, "cache-control", CacheControl).list(Commas),
        row_of(0x09, V::V1_1, "connection", Tokens(CLOSE)).list(Commas),
        row_of(0x0A, V::V1_1, "content-base", Text),
        row_of(0x0B, V::V1_1, "content-encoding", Tokens(CODINGS)).list(Commas),
        row_of(0x0C, V::V1_1, "content-language", ContentLanguage).list(Commas),
        row_of(0x0D, V::V1_1, "content-length", Integer),
        row_of(0x0E, V::V1_1, "content-location", Text),
        row_of(0x0F, V::V1_1, "content-md5", Md5),
        row_of(
            0x10,
            V::V1_1,
            "content-range",
            ContentRange { unknown: false },
        ),
        row_of(0x11, V::V1_1, "content-type", ContentType),
        row_of(0x12, V::V1_1, "date", Date),
        row_of(0x13, V::V1_1, "etag", Text),
        row_of(0x14, V::V1_1, "expires", Date),
        row_of(0x15, V::V1_1, "from", Text),
        row_of(0x16, V::V1_1, "host", Text),
        row_of(0x17, V::V1_1, "if-modified-since", Date),
        row_of(0x18, V::V1_1, "if-match", Text).list(Commas),
        row_of(0x19, V::V1_1, "if-none-match", Text).list(Commas),
        row_of(0x1A, V::V1_1, "if-range", DateOrText),
        row_of(0x1B, V::V1_1, "if-unmodified-since", Date),
        row_of(0x1C, V::V1_1, "location", Text),
        row_of(0x1D, V::V1_1, "last-modified", Date),
        row_of(0x1E, V::V1_1, "max-forwards", Integer),
        row_of(0x1F, V::V1_1, "pragma", Pragma).list(Commas),
        row_of(0x20, V::V1_1, "proxy-authenticate", Challenge).list(Challenges),
        row_of(0x21, V::V1_1, "proxy-authorization", Credentials),
        row_of(0x22, V::V1_1, "public", MethodOrToken).list(Commas),
        row_of(0x23, V::V1_1, "range", Range),
        row_of(0x24, V::V1_1, "referer", Text),
        row_of(0x25, V::V1_1, "retry-after", RetryAfter),
        row_of(0x26, V::V1_1, "server", Text),
        row_of(0x27, V::V1_1, "transfer-encoding", Tokens(CHUNKED)).list(Commas),
        row_of(0x28, V::V1_1, "upgrade", Text).list(Commas),
        row_of(0x29, V::V1_1, "user-agent", Text),
        row_of(0x2A, V::V1_1, "vary", FieldName).list(Commas),
        row_of(0x2B, V::V1_1, "via", Text).list(Commented),
        row_of(0x2C, V::V1_1, "warning", Warning).list(Commas),
        row_of(0x2D, V::V1_1, "www-authenticate", Challenge).list(Challenges),
        row_of(0x2E, V::V1_1, "content-disposition", Disposition),
        row_of(0x2F, V::V1_2, "x-wap-application-id", Application),
        row_of(0x30, V::V1_2, "x-wap-content-uri", Text),
        row_of(0x31, V::V1_2, "x-wap-initiator-uri", Text),
        row_of(0x32, V::V1_2, "accept-application", AcceptApplication).list(Commas),
        row_of(0x33, V::V1_2, "bearer-indication", Integer),
        row_of(0x34, V::V1_2, "push-flag", ShortInteger),
        row_of(0x35, V::V1_2, "profile", Text),
        row_of(0x36, V::V1_2, "profile-diff", Octets).list(Commas),
        row_of(0x37, V::V1_2, "profile-warning", ProfileWarning),
        row_of(0x38, V::V1_3, "expect", Expect),
        row_of(0x39, V::V1_3, "te", Te).list(Commas),
        row_of(0x3A, V::V1_3, "trailer", FieldName).list(Commas),
        row_of(0x3B, V::V1_3, "accept-charset", AcceptCharset).list(Commas),
        row_of(0x3C, V::V1_3, "accept-encoding", AcceptEncoding).list(Commas),
        row_of(0x3D, V::V1_3, "cache-control", CacheControl).list(Commas),
        row_of(
            0x3E,
            V::V1_3,
            "content-range",
            ContentRange { unknown: true },
        ),
        row_of(0x3F, V::V1_3, "x-wap-tod", TimeOfDay),
        row_of(0x40, V::V1_3, "content-id", ContentId),
        row_of(0x41, V::V1_3, "set-cookie", SetCookie).list(Cookies),
        row_of(0x42, V::V1_3, "cookie", Cookie),
        row_of(0x43, V::V1_3, "encoding-version", EncodingVersion),
        row_of(0x44, V::V1_4, "profile-warning", ProfileWarning),
        row_of(0x45, V::V1_4, "content-disposition", Disposition),
        row_of(0x46, V::V1_4, "x-wap-security", Tokens(CLOSE_SUBORDINATE)),
        row_of(0x47, V::V1_4, "cache-control", CacheControl).list(Commas),
        row_of(0x48, V::NEVER, "expect", Expect),
        row_of(0x49, V::NEVER, "x-wap-loc-invocation", Octets),
        row_of(0x4A, V::NEVER, "x-wap-loc-delivery", Octets),
    ]
};

static X_UP_1_FIELDS: Table<30> = Table::new([
    (0x00, "x-up-proxy-push-addr"),
    (0x01, "x-up-proxy-push-accept"),
    (0x02, "x-up-proxy-seq"),
    (0x03, "x-up-proxy-notify"),
    (0x04, "x-up-proxy-operator-domain"),
    (0x05, "x-up-proxy-home-page"),
    (0x06, "x-up-devcap-has-color"),
    (0x07, "x-up-devcap-num-softkeys"),
    (0x08, "x-up-devcap-softkey-size"),
    (0x09, "x-up-devcap-screen-chars"),
    (0x0A, "x-up-devcap-screen-pixels"),
    (0x0B, "x-up-devcap-em-size"),
    (0x0C, "x-up-devcap-screen-depth"),
    (0x0D, "x-up-devcap-immed-alert"),
    (0x0E, "x-up-proxy-net-ask"),
    (0x0F, "x-up-proxy-uplink-version"),
    (0x10, "x-up-proxy-tod"),
    (0x11, "x-up-proxy-ba-enable"),
    (0x12, "x-up-proxy-ba-realm"),
    (0x13, "x-up-proxy-redirect-enable"),
    (0x14, "x-up-proxy-request-uri"),
    (0x15, "x-up-proxy-redirect-status"),
    (0x16, "x-up-proxy-trans-charset"),
    (0x17, "x-up-proxy-linger"),
    (0x18, "x-up-proxy-client-id"),
    (0x19, "x-up-proxy-enable-trust"),
    (0x1A, "x-up-proxy-trust-old"),
    (0x20, "x-up-proxy-trust"),
    (0x21, "x-up-proxy-bookmark"),
    (0x22, "x-up-devcap-gui"),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_number() {
        for (place, row) in ROWS.iter().enumerate() {
            assert_eq!(usize::from(row.code), place);
            assert_eq!(row.name, row.name.to_ascii_lowercase());
            let twins = ROWS.iter().filter(|other| other.name == row.name).count();
            assert_eq!(row.has_twin(), twins > 1, "{}", row.name);
        }
    }

    #[test]
    fn a_name_has_the_number_that_the_peer_knows() {
        use EncodingVersion as V;
        for (version, name, number) in [
            (V::V1_1, "Cache-Control", Some(0x08)),
            (V::V1_3, "cache-control", Some(0x3D)),
            (V::V1_4, "CACHE-CONTROL", Some(0x47)),
            (V::V1_1, "x-wap-application-id", Some(0x2F)),
            (V::V1_2, "cookie", None),
            (V::V1_3, "cookie", Some(0x42)),
            (V::V1_5, "expect", Some(0x38)),
            (V::V1_5, "x-wap-loc-delivery", None),
            (V::V1_5, "x-unheard-of", None),
        ] {
            assert_eq!(code(version, name.as_bytes()), number, "{name} {version}");
        }
    }

    #[test]
    fn pages_are_found_by_name() {
        let page = Page::find(b"X-UP-1").unwrap();
        assert_eq!(page.field(0x06), Some("x-up-devcap-has-color"));
        assert_eq!(page.code(b"x-up-devcap-gui"), Some(0x22));
        assert_eq!(page.field(0x1B), None);
        assert!(Page::find(b"x-other").is_none());
    }
}
