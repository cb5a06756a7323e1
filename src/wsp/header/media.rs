//! Media types: well-known numbers with their encoding version, and registered ones (WSP 8.4.2.24).
//!
//! Content-Type and Accept share one form: a number or a text, alone or with parameters behind a length.

use std::borrow::Cow;

use super::assigned::Table;
use super::parameter::{self, Scope};
use super::wire::{self, Raw, text_string};
use super::{EncodingVersion, text};
use crate::codec::{Malformed, Parsed, fail};

/// What a body whose number nobody assigned is called: to guess would be worse.
const UNKNOWN: &str = "application/octet-stream";

/// The media type of a number.
pub(crate) fn name(number: u64) -> Option<&'static str> {
    MEDIA.name(number)
}

/// The number of a media type if it fits one octet and the peer knows it.
pub(crate) fn short_number(version: EncodingVersion, name: &[u8]) -> Option<u8> {
    let number = MEDIA.number(name)?;
    let short = u8::try_from(number).ok().filter(|short| *short < 0x80)?;
    version.knows(since(short)).then_some(short)
}

/// The number of a media type in the registered range, which has no encoding version.
fn registered_number(name: &[u8]) -> Option<u16> {
    MEDIA.number(name).filter(|number| *number > 0xFF)
}

/// The encoding version that brought a well-known number.
const fn since(number: u8) -> EncodingVersion {
    match number {
        0x00..=0x2D => EncodingVersion::V1_1,
        0x2E..=0x34 => EncodingVersion::V1_2,
        0x35..=0x36 => EncodingVersion::V1_3,
        0x37..=0x3F => EncodingVersion::V1_4,
        0x40..=0x4E => EncodingVersion::V1_5,
        0x4F..=0x50 => EncodingVersion::V1_6,
        0x51.. => EncodingVersion::NEVER,
    }
}

/// Reads a content type at the start of a block (WSP 8.4.2.24).
pub(crate) fn content_type(block: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    let (rest, raw) = wire::raw(block)?;
    let unknown = |name: Option<&'static str>| Cow::Borrowed(name.unwrap_or(UNKNOWN).as_bytes());
    match raw {
        Raw::Short(number) => Ok((rest, unknown(name(u64::from(number))))),
        Raw::Text(media) => Ok((rest, Cow::Borrowed(media))),
        Raw::Data([]) => Ok((rest, Cow::Borrowed(b""))),
        Raw::Data(data) => match general_form(data) {
            Ok((number, None)) => Ok((rest, unknown(number))),
            Ok((_, Some(mut text))) => {
                if text.starts_with(b";") {
                    text.splice(0..0, UNKNOWN.bytes());
                }
                Ok((rest, Cow::Owned(text)))
            }
            Err(error) => match bare_number(data) {
                Some(number) => Ok((rest, unknown(name(number)))),
                None => Err(error),
            },
        },
    }
}

/// Reads an Accept value (WSP 8.4.2.7): a media range whose number must be assigned.
pub(crate) fn accept<'a>(
    raw: Raw<'a>,
    whole: &'a [u8],
) -> Result<Cow<'a, [u8]>, nom::Err<Malformed<'a>>> {
    let assigned = |number| match name(number) {
        Some(name) => Ok(Cow::Borrowed(name.as_bytes())),
        None => Err(fail(whole, wire::ASSIGNED)),
    };
    match raw {
        Raw::Short(number) => assigned(u64::from(number)),
        Raw::Text(media) => Ok(Cow::Borrowed(media)),
        Raw::Data([]) => Ok(Cow::Borrowed(b"")),
        Raw::Data(data) => match general_form(data) {
            Ok((Some(name), None)) => Ok(Cow::Borrowed(name.as_bytes())),
            Ok((None, None)) => Err(fail(whole, wire::ASSIGNED)),
            Ok((_, Some(text))) if !text.starts_with(b";") => Ok(Cow::Owned(text)),
            Ok(_) => Err(fail(whole, wire::ASSIGNED)),
            Err(error) => bare_number(data).map_or(Err(error), assigned),
        },
    }
}

/// A media type and parameters. The text is only made when there is something to add to the name.
type General = (Option<&'static str>, Option<Vec<u8>>);

fn general_form(data: &[u8]) -> Result<General, nom::Err<Malformed<'_>>> {
    let (parameters, known, media) = if wire::is_text(data) {
        let (rest, media) = text_string(data)?;
        (rest, None, media)
    } else {
        let (rest, number) = wire::integer(data)?;
        let known = name(number);
        (rest, known, known.unwrap_or_default().as_bytes())
    };
    if parameters.is_empty() && (known.is_some() || media.is_empty()) {
        return Ok((known, None));
    }
    let mut text = Vec::with_capacity(media.len() + 2 * parameters.len());
    text.extend_from_slice(media);
    parameter::parameters(parameters, Scope::of_media(media), &mut text)?;
    Ok((known, Some(text)))
}

/// A Long-integer that somebody sent without a length of its own around it (`02 03 02`, `01 42`).
fn bare_number(data: &[u8]) -> Option<u64> {
    (data.len() <= 2).then(|| wire::big_endian(data))?
}

/// Appends a content type. Registered types go as text unless `registered` says that the peer takes numbers.
pub(crate) fn put_content_type(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    registered: bool,
    value: &[u8],
) {
    let start = out.len();
    if put_media(out, version, registered, value, false).is_none() {
        // A parameter that is none: the text as it stands is still a media type to whoever reads it.
        out.truncate(start);
        wire::put_text(out, text::trim(value));
    }
}

/// Appends an Accept value; `None` if it is not one.
pub(crate) fn put_accept(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    registered: bool,
    value: &[u8],
) -> Option<()> {
    put_media(out, version, registered, value, true)
}

fn put_media(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    registered: bool,
    value: &[u8],
    accept: bool,
) -> Option<()> {
    let (media, parameters) = text::cut(value, b';');
    let media = match media {
        b"" if accept => return None,
        b"" => b"*/*",
        media => media,
    };
    let number = match short_number(version, media) {
        Some(short) => Some(u64::from(short)),
        None if registered => registered_number(media).map(u64::from),
        None => None,
    };
    let parameters = parameters.unwrap_or_default();
    if parameters.is_empty() || accept && is_default_q(parameters) {
        match number {
            Some(short @ 0..=0x7F) => wire::put_integer(out, short),
            Some(long) => wire::put_with_length(out, |out| wire::put_long(out, long)),
            None => wire::put_text(out, media),
        }
        return Some(());
    }
    let scope = Scope::of_media(media);
    wire::put_with_length(out, |out| {
        match number {
            Some(number) => wire::put_integer(out, number),
            None => wire::put_text(out, media),
        }
        for part in text::split(parameters, b';', false) {
            let (name, value) = text::parameter(part);
            if accept && name.eq_ignore_ascii_case(b"q") {
                let factor = text::q(value?)?;
                if factor < 1000 {
                    wire::put_short(out, 0);
                    wire::put_q(out, factor);
                }
            } else {
                parameter::put(out, version, scope, name, value)?;
            }
        }
        Some(())
    })
}

fn is_default_q(part: &[u8]) -> bool {
    let (name, value) = text::parameter(part);
    name.eq_ignore_ascii_case(b"q") && value.and_then(text::q) == Some(1000)
}

pub(crate) static MEDIA: Table<133> = Table::new([
    (0x00, "*/*"),
    (0x01, "text/*"),
    (0x02, "text/html"),
    (0x03, "text/plain"),
    (0x04, "text/x-hdml"),
    (0x05, "text/x-ttml"),
    (0x06, "text/x-vCalendar"),
    (0x07, "text/x-vCard"),
    (0x08, "text/vnd.wap.wml"),
    (0x09, "text/vnd.wap.wmlscript"),
    (0x0A, "text/vnd.wap.wta-event"),
    (0x0B, "multipart/*"),
    (0x0C, "multipart/mixed"),
    (0x0D, "multipart/form-data"),
    (0x0E, "multipart/byteranges"),
    (0x0F, "multipart/alternative"),
    (0x10, "application/*"),
    (0x11, "application/java-vm"),
    (0x12, "application/x-www-form-urlencoded"),
    (0x13, "application/x-hdmlc"),
    (0x14, "application/vnd.wap.wmlc"),
    (0x15, "application/vnd.wap.wmlscriptc"),
    (0x16, "application/vnd.wap.wta-eventc"),
    (0x17, "application/vnd.wap.uaprof"),
    (0x18, "application/vnd.wap.wtls-ca-certificate"),
    (0x19, "application/vnd.wap.wtls-user-certificate"),
    (0x1A, "application/x-x509-ca-cert"),
    (0x1B, "application/x-x509-user-cert"),
    (0x1C, "image/*"),
    (0x1D, "image/gif"),
    (0x1E, "image/jpeg"),
    (0x1F, "image/tiff"),
    (0x20, "image/png"),
    (0x21, "image/vnd.wap.wbmp"),
    (0x22, "application/vnd.wap.multipart.*"),
    (0x23, "application/vnd.wap.multipart.mixed"),
    (0x24, "application/vnd.wap.multipart.form-data"),
    (0x25, "application/vnd.wap.multipart.byteranges"),
    (0x26, "application/vnd.wap.multipart.alternative"),
    (0x27, "application/xml"),
    (0x28, "text/xml"),
    (0x29, "application/vnd.wap.wbxml"),
    (0x2A, "application/x-x968-cross-cert"),
    (0x2B, "application/x-x968-ca-cert"),
    (0x2C, "application/x-x968-user-cert"),
    (0x2D, "text/vnd.wap.si"),
    (0x2E, "application/vnd.wap.sic"),
    (0x2F, "text/vnd.wap.sl"),
    (0x30, "application/vnd.wap.slc"),
    (0x31, "text/vnd.wap.co"),
    (0x32, "application/vnd.wap.coc"),
    (0x33, "application/vnd.wap.multipart.related"),
    (0x34, "application/vnd.wap.sia"),
    (0x35, "text/vnd.wap.connectivity-xml"),
    (0x36, "application/vnd.wap.connectivity-wbxml"),
    (0x37, "application/pkcs7-mime"),
    (0x38, "application/vnd.wap.hashed-certificate"),
    (0x39, "application/vnd.wap.signed-certificate"),
    (0x3A, "application/vnd.wap.cert-response"),
    (0x3B, "application/xhtml+xml"),
    (0x3C, "application/wml+xml"),
    (0x3D, "text/css"),
    (0x3E, "application/vnd.wap.mms-message"),
    (0x3F, "application/vnd.wap.rollover-certificate"),
    (0x40, "application/vnd.wap.locc+wbxml"),
    (0x41, "application/vnd.wap.loc+xml"),
    (0x42, "application/vnd.syncml.dm+wbxml"),
    (0x43, "application/vnd.syncml.dm+xml"),
    (0x44, "application/vnd.syncml.notification"),
    (0x45, "application/vnd.wap.xhtml+xml"),
    (0x46, "application/vnd.wv.csp.cir"),
    (0x47, "application/vnd.oma.dd+xml"),
    (0x48, "application/vnd.oma.drm.message"),
    (0x49, "application/vnd.oma.drm.content"),
    (0x4A, "application/vnd.oma.drm.rights+xml"),
    (0x4B, "application/vnd.oma.drm.rights+wbxml"),
    (0x4C, "application/vnd.wv.csp+xml"),
    (0x4D, "application/vnd.wv.csp+wbxml"),
    (0x4E, "application/vnd.syncml.ds.notification"),
    (0x4F, "audio/*"),
    (0x50, "video/*"),
    (0x51, "application/vnd.oma.dd2+xml"),
    (0x52, "application/mikey"),
    (0x53, "application/vnd.oma.dcd"),
    (0x54, "application/vnd.oma.dcdc"),
    (0x55, "text/x-vMessage"),
    (0x56, "application/vnd.omads-email+wbxml"),
    (0x57, "text/x-vBookmark"),
    (0x58, "application/vnd.syncml.dm.notification"),
    (0x5A, "application/octet-stream"),
    (0x0201, "application/vnd.uplanet.cacheop-wbxml"),
    (0x0202, "application/vnd.uplanet.signal"),
    (0x0203, "application/vnd.uplanet.alert-wbxml"),
    (0x0204, "application/vnd.uplanet.list-wbxml"),
    (0x0205, "application/vnd.uplanet.listcmd-wbxml"),
    (0x0206, "application/vnd.uplanet.channel-wbxml"),
    (0x0207, "application/vnd.uplanet.provisioning-status-uri"),
    (0x0208, "x-wap.multipart/vnd.uplanet.header-set"),
    (0x0209, "application/vnd.uplanet.bearer-choice-wbxml"),
    (0x020A, "application/vnd.phonecom.mmc-wbxml"),
    (0x020B, "application/vnd.nokia.syncset+wbxml"),
    (0x020C, "image/x-up-wpng"),
    (0x0300, "application/iota.mmc-wbxml"),
    (0x0301, "application/iota.mmc-xml"),
    (0x0302, "application/vnd.syncml+xml"),
    (0x0303, "application/vnd.syncml+wbxml"),
    (0x0304, "text/vnd.wap.emn+xml"),
    (0x0305, "text/calendar"),
    (0x0306, "application/vnd.omads-email+xml"),
    (0x0307, "application/vnd.omads-file+xml"),
    (0x0308, "application/vnd.omads-folder+xml"),
    (0x0309, "text/directory;profile=vCard"),
    (0x030A, "application/vnd.wap.emn+wbxml"),
    (0x030B, "application/vnd.nokia.ipdc-purchase-response"),
    (0x030C, "application/vnd.motorola.screen3+xml"),
    (0x030D, "application/vnd.motorola.screen3+gzip"),
    (0x030E, "application/vnd.cmcc.setting+wbxml"),
    (0x030F, "application/vnd.cmcc.bombing+wbxml"),
    (0x0310, "application/vnd.docomo.pf"),
    (0x0311, "application/vnd.docomo.ub"),
    (0x0312, "application/vnd.omaloc-supl-init"),
    (0x0313, "application/vnd.oma.group-usage-list+xml"),
    (0x0314, "application/oma-directory+xml"),
    (0x0315, "application/vnd.docomo.pf2"),
    (0x0316, "application/vnd.oma.drm.roap-trigger+wbxml"),
    (0x0317, "application/vnd.sbm.mid2"),
    (0x0318, "application/vnd.wmf.bootstrap"),
    (0x0319, "application/vnc.cmcc.dcd+xml"),
    (0x031A, "application/vnd.sbm.cid"),
    (0x031B, "application/vnd.oma.bcast.provisioningtrigger"),
    (0x031C, "application/vnd.docomo.dm"),
    (0x031D, "application/vnd.oma.scidm.messages+xml"),
    (0x031E, "application/vnd.innopath.wamp.notification"),
]);

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(wire: &[u8]) -> String {
        let (rest, value) = content_type(wire).unwrap();
        assert!(rest.is_empty());
        String::from_utf8(value.into_owned()).unwrap()
    }

    fn encoded(version: EncodingVersion, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_content_type(&mut out, version, false, value.as_bytes());
        out
    }

    #[test]
    fn every_media_type_goes_both_ways() {
        for row in MEDIA.rows() {
            let number = u64::from(row.number);
            let mut wire = Vec::new();
            if row.number < 0x80 {
                wire::put_integer(&mut wire, number);
            } else {
                wire::put_with_length(&mut wire, |out| wire::put_long(out, number));
            }
            assert_eq!(decoded(&wire), row.name);
            // One name has a parameter, so that no media type equals it.
            if !row.name.contains(';') {
                let mut out = Vec::new();
                put_content_type(&mut out, EncodingVersion::NEVER, true, row.name.as_bytes());
                assert_eq!(out, wire, "{}", row.name);
            }
        }
    }

    #[test]
    fn syncml_is_read_in_all_its_forms_and_sent_as_text() {
        for wire in [
            &b"application/vnd.syncml+wbxml\0"[..],
            b"\x03\x02\x03\x03",
            b"\x02\x03\x03",
        ] {
            assert_eq!(decoded(wire), "application/vnd.syncml+wbxml");
        }
        assert_eq!(
            encoded(EncodingVersion::V1_5, "application/vnd.syncml+xml"),
            b"application/vnd.syncml+xml\0"
        );
        let dm = "application/vnd.syncml.dm+wbxml";
        assert_eq!(decoded(b"\xC2"), dm);
        assert_eq!(decoded(b"\x01\x42"), dm);
        assert_eq!(decoded(b"\x02\x01\x42"), dm);
        assert_eq!(encoded(EncodingVersion::V1_5, dm), b"\xC2");
        assert_eq!(
            encoded(EncodingVersion::V1_2, dm),
            b"application/vnd.syncml.dm+wbxml\0"
        );
    }

    #[test]
    fn parameters_need_the_general_form() {
        let text = "text/plain; charset=utf-8";
        assert_eq!(encoded(EncodingVersion::V1_2, text), b"\x03\x83\x81\xEA");
        assert_eq!(decoded(b"\x03\x83\x81\xEA"), text);
        let own = "application/x-mine; a=b";
        assert_eq!(
            encoded(EncodingVersion::V1_2, own),
            b"\x17application/x-mine\0a\0b\0"
        );
        assert_eq!(decoded(b"\x17application/x-mine\0a\0b\0"), own);
    }

    #[test]
    fn what_nobody_assigned_is_octets() {
        assert_eq!(decoded(b"\xFE"), "application/octet-stream");
        assert_eq!(decoded(b"\x03\x02\x7F\x7F"), "application/octet-stream");
        assert_eq!(decoded(b"\x00"), "");
    }

    #[test]
    fn an_odd_content_type_goes_as_it_stands() {
        assert_eq!(
            encoded(EncodingVersion::V1_2, "text/plain; ?=1"),
            b"text/plain; ?=1\0"
        );
        assert_eq!(encoded(EncodingVersion::V1_2, ""), b"\x80");
    }
}
