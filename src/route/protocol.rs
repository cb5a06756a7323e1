//! What a SyncML message speaks, for routes that tell messages apart by it.

use super::RequestView;
use crate::syncml::content::MediaType;
use crate::syncml::{Protocol, header};

/// The body of a request, as far as routes care for it.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Its octets, in which a route that asks looks for a SyncML header.
    Body(&'a [u8]),
    /// What it speaks, where that is known without it.
    Speaks(Option<Protocol>),
}

impl RequestView<'_> {
    /// What the request's message speaks; nothing if it is no SyncML message.
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
