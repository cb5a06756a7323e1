//! Cache Operation 1.0 (WAP-175).

use crate::wbxml::vocabulary::{Attributes, Tags};

/// Code page 0.
pub(super) static CO: Tags = Tags::new(&[
    (0x05, "co"),
    (0x06, "invalidate-object"),
    (0x07, "invalidate-service"),
]);

/// Code page 0.
pub(super) static CO_ATTRIBUTES: Attributes = Attributes::new(
    &[
        (0x05, "uri", ""),
        (0x06, "uri", "http://"),
        (0x07, "uri", "http://www."),
        (0x08, "uri", "https://"),
        (0x09, "uri", "https://www."),
    ],
    &[
        (0x85, ".com/"),
        (0x86, ".edu/"),
        (0x87, ".net/"),
        (0x88, ".org/"),
    ],
);
