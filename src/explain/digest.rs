//! Checks the digest of a notification against the secrets of a server and a client.

use super::{Kind, notification};
use crate::sms::UserDataHeader;
use crate::syncml::notification::{Notification, Secret};
use crate::wsp::header::decode_content_type;
use crate::wsp::pdu::Pdu;

/// Whether the digest of the notification in these octets is right. `None` without a notification.
#[must_use]
pub fn digest_fits(kind: Kind, octets: &[u8], secret: Secret<'_>) -> Option<bool> {
    let notification = find(kind, octets)?;
    let read = Notification::parse(notification).ok()?;
    Some(read.fits(notification, secret))
}

fn find(kind: Kind, octets: &[u8]) -> Option<&[u8]> {
    match kind {
        Kind::Notification => Some(octets),
        Kind::Sms => {
            let (_, datagram) = UserDataHeader::decode(octets).ok()?;
            find(Kind::WspConnectionless, datagram)
        }
        Kind::WspConnectionless => find(Kind::Wsp, octets.get(1..)?),
        Kind::Wsp => match Pdu::decode(octets).ok()? {
            Pdu::Push(push) | Pdu::ConfirmedPush(push) => {
                let (media, _) = decode_content_type(push.headers).ok()?;
                notification::is_media_type(&media).then_some(push.data)
            }
            _ => None,
        },
        _ => None,
    }
}
