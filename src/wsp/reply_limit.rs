//! The limit on the size of a reply, by its cause.

/// The limit behind [`Invocation::max_reply`](super::method::Invocation::max_reply).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyLimit {
    /// The client's SDU size or message size, as agreed when it connected (WSP 8.3).
    #[default]
    Client,
    /// The same, where the client asked for more than the gateway agrees to.
    Gateway,
    /// The limit of the transaction: the packets of plain SAR, or the client's Maximum Receive Unit
    /// (WTP 7.14).
    Transaction,
    /// One datagram of connectionless mode.
    Datagram,
}

impl ReplyLimit {
    /// The limit of `max` octets in words for the operator, with the setting that moves it.
    #[must_use]
    pub fn in_words(self, max: usize) -> String {
        match self {
            Self::Client => {
                format!("the handset takes replies of {max} octets (the SDU size of its Connect)")
            }
            Self::Gateway => {
                format!("the session agreed on replies of {max} octets (max_message in [limits])")
            }
            Self::Transaction => format!(
                "the handset takes {max} octets in one transaction: it has no extended SAR (256 packets of its \
                 Maximum Group, or of unannounced_group in [wtp] if it names none), or its Maximum Receive Unit is \
                 smaller"
            ),
            Self::Datagram => format!(
                "a reply without a session has at most {max} octets (max_reply in [connectionless]; amplification \
                 applies to addresses outside of allow in [protection])"
            ),
        }
    }

    /// What can be done where a reply is larger than that: whose limit it is, and the setting that
    /// moves it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Client => {
                "the limit is the handset's own, the SDU size of its Connect: lower MaxMsgSize at the origin, or drop \
                 fields with drop_to_handset in [headers]"
            }
            Self::Gateway => {
                "the limit is the gateway's own: raise max_message in [limits], or lower MaxMsgSize at the origin"
            }
            Self::Transaction => {
                "the limit is the handset's transport: raise unannounced_group in [wtp] if it names no Maximum Group, or \
                 lower MaxMsgSize at the origin"
            }
            Self::Datagram => {
                "the limit is that of one datagram: raise max_reply in [connectionless], add the network to allow in \
                 [protection], or have the handset connect"
            }
        }
    }
}
