//! The subscriber of an address, as the session layer asks for it.

use std::net::IpAddr;

use crate::identity;
use crate::wsp::id_key::{IdKey, Subscriber};

/// Gives the subscriber of an address to the session layer.
pub(super) fn identify(
    identities: &identity::Table,
    key: IdKey,
) -> impl Fn(IpAddr) -> Option<Subscriber> + use<'_> {
    move |address| {
        let name = identities.find(address)?.name()?;
        Some(key.subscriber(name.reveal()))
    }
}
