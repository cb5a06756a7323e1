//! Rights Expression Language of OMA DRM 1.0.

use crate::wbxml::vocabulary::{Attributes, Tags};

/// Code page 0.
pub(super) static DRMREL: Tags = Tags::new(&[
    (0x05, "o-ex:rights"),
    (0x06, "o-ex:context"),
    (0x07, "o-dd:version"),
    (0x08, "o-dd:uid"),
    (0x09, "o-ex:agreement"),
    (0x0A, "o-ex:asset"),
    (0x0B, "ds:KeyInfo"),
    (0x0C, "ds:KeyValue"),
    (0x0D, "o-ex:permission"),
    (0x0E, "o-dd:play"),
    (0x0F, "o-dd:display"),
    (0x10, "o-dd:execute"),
    (0x11, "o-dd:print"),
    (0x12, "o-ex:constraint"),
    (0x13, "o-dd:count"),
    (0x14, "o-dd:datetime"),
    (0x15, "o-dd:start"),
    (0x16, "o-dd:end"),
    (0x17, "o-dd:interval"),
]);

/// Code page 0.
pub(super) static DRMREL_ATTRIBUTES: Attributes = Attributes::new(
    &[
        (0x05, "xmlns:o-ex", ""),
        (0x06, "xmlns:o-dd", ""),
        (0x07, "xmlns:ds", ""),
    ],
    &[],
);
