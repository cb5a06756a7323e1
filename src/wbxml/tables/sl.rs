//! Service Loading 1.0 (WAP-168).

use crate::wbxml::vocabulary::{Attributes, Tags};

/// Code page 0.
pub(super) static SL: Tags = Tags::new(&[(0x05, "sl")]);

/// Code page 0.
pub(super) static SL_ATTRIBUTES: Attributes = Attributes::new(
    &[
        (0x05, "action", "execute-low"),
        (0x06, "action", "execute-high"),
        (0x07, "action", "cache"),
        (0x08, "href", ""),
        (0x09, "href", "http://"),
        (0x0A, "href", "http://www."),
        (0x0B, "href", "https://"),
        (0x0C, "href", "https://www."),
    ],
    &[
        (0x85, ".com/"),
        (0x86, ".edu/"),
        (0x87, ".net/"),
        (0x88, ".org/"),
    ],
);
