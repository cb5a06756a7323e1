//! The SyncML version of a request's body, for routes whose condition names versions.

use super::RequestView;
use crate::syncml::content::MediaType;
use crate::syncml::{Protocol, header};

/// The body of a request, as far as routes look at it.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// The octets. A condition that names SyncML versions reads the SyncHdr in them.
    Body(&'a [u8]),
    /// The version, where the caller knows it without a body.
    Speaks(Option<Protocol>),
}

impl RequestView<'_> {
    /// The SyncML version of the body; `None` if the body is no SyncML message.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self.message {
            Message::Speaks(protocol) => protocol,
            Message::Body(body) => {
                MediaType::parse(self.content_type?)?;
                Protocol::of(&header::peek(body)?.ver_proto)
            }
        }
    }
}
