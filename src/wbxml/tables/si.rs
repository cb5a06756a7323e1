//! Service Indication 1.0 (WAP-167 8.3).

use crate::wbxml::vocabulary::{Attributes, Tags};

/// Code page 0.
pub(super) static SI: Tags = Tags::new(&[
    (0x05, "si"),
    (0x06, "indication"),
    (0x07, "info"),
    (0x08, "item"),
]);

/// Code page 0.
pub(super) static SI_ATTRIBUTES: Attributes = Attributes::new(
    &[
        (0x05, "action", "signal-none"),
        (0x06, "action", "signal-low"),
        (0x07, "action", "signal-medium"),
        (0x08, "action", "signal-high"),
        (0x09, "action", "delete"),
        (0x0A, "created", ""),
        (0x0B, "href", ""),
        (0x0C, "href", "http://"),
        (0x0D, "href", "http://www."),
        (0x0E, "href", "https://"),
        (0x0F, "href", "https://www."),
        (0x10, "si-expires", ""),
        (0x11, "si-id", ""),
        (0x12, "class", ""),
    ],
    &[
        (0x85, ".com/"),
        (0x86, ".edu/"),
        (0x87, ".net/"),
        (0x88, ".org/"),
    ],
);
