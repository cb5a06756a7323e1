//! E-Mail Notification 1.0.

use crate::wbxml::vocabulary::{Attributes, Tags};

/// Code page 0.
pub(super) static EMN: Tags = Tags::new(&[(0x05, "emn")]);

/// Code page 0.
pub(super) static EMN_ATTRIBUTES: Attributes = Attributes::new(
    &[
        (0x05, "timestamp", ""),
        (0x06, "mailbox", ""),
        (0x07, "mailbox", "mailat:"),
        (0x08, "mailbox", "pop://"),
        (0x09, "mailbox", "imap://"),
        (0x0A, "mailbox", "http://"),
        (0x0B, "mailbox", "http://www."),
        (0x0C, "mailbox", "https://"),
        (0x0D, "mailbox", "https://www."),
    ],
    &[
        (0x85, ".com"),
        (0x86, ".edu"),
        (0x87, ".net"),
        (0x88, ".org"),
    ],
);
