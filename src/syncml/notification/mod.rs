//! The notification with which a server alerts a client (package 0 of SyncML 1.2), pushed to port
//! 2948.
//!
//! The digest covers every octet after it, so a gateway delivers a notification as it is.
//! [`Notification`] reads one for people, [`Builder`] makes one for tests and by hand. In SyncML
//! 1.1 a notification is an ordinary message with Alert codes 206 to 210: [`LegacyAlert`].

mod builder;
mod digest;
mod legacy;

use std::fmt;

use nom::Parser;

pub use self::builder::{Body, BuildError, Builder};
pub use self::digest::{Secret, digest};
pub use self::legacy::LegacyAlert;
use crate::codec::{DecodeError, Parsed, fail, located, octets, uint8, uint16};

/// A notification. Its digest is a credential, and not printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Notification<'a> {
    /// MD5 over the server's secret and everything after these octets.
    pub digest: [u8; 16],
    /// Version times ten: 11 for device management 1.2, 12 for data synchronization 1.2.
    pub version: u16,
    /// The notice that the user is to see.
    pub ui_mode: UiMode,
    /// The server wants it, not the user.
    pub by_server: bool,
    /// The session that the client is asked to begin. The same twice is one session.
    pub session_id: u16,
    /// The server that asks for the session.
    pub server: &'a str,
    /// Device management: the vendor's data. Data synchronization: see [`Self::syncs`].
    pub body: &'a [u8],
}

/// The notice that the user is to see before the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UiMode {
    /// Not specified.
    Unsaid,
    /// No notice.
    Background,
    /// A hint.
    Informative,
    /// A question.
    Interactive,
}

/// A synchronization that a data synchronization server asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync<'a> {
    /// The Alert code: 206 to 210.
    pub alert: u16,
    /// The WSP content type number of the data, 0 for no type.
    pub content_type: u32,
    /// The server's data store.
    pub uri: &'a str,
}

impl<'a> Notification<'a> {
    /// Reads a notification, which is all of `input`.
    ///
    /// # Errors
    ///
    /// It ends early, or the name of the server is not UTF-8.
    pub fn parse(input: &'a [u8]) -> Result<Self, DecodeError> {
        located(input, notification).map(|(_, notification)| notification)
    }

    /// The synchronizations that a data synchronization notification asks for. An empty list means
    /// all data stores.
    ///
    /// # Errors
    ///
    /// The body ends early, as the body of another kind of notification may.
    pub fn syncs(&self) -> Result<Vec<Sync<'a>>, DecodeError> {
        located(self.body, |input| {
            let (mut rest, count) = uint8(input)?;
            // At most 15, since the count has four bits.
            let mut syncs = Vec::new();
            for _ in 0..count >> 4 {
                let (after, sync) = sync(rest)?;
                syncs.push(sync);
                rest = after;
            }
            Ok((rest, syncs))
        })
        .map(|(_, syncs)| syncs)
    }

    /// The session id as the client will write it in SessionID: hexadecimal, without zeros in
    /// front.
    #[must_use]
    pub fn session_text(&self) -> String {
        format!("{:X}", self.session_id)
    }

    /// Whether the digest is the one that `secret` gives.
    ///
    /// `octets` are the whole notification that was read.
    #[must_use]
    pub fn fits(&self, octets: &[u8], secret: Secret<'_>) -> bool {
        let trigger = octets.get(self.digest.len()..).unwrap_or_default();
        digest(self.server, secret, trigger) == self.digest
    }
}

impl UiMode {
    /// The two bits of the mode.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Unsaid => 0,
            Self::Background => 1,
            Self::Informative => 2,
            Self::Interactive => 3,
        }
    }
}

fn notification(input: &[u8]) -> Parsed<'_, Notification<'_>> {
    let (rest, digest) = match input.split_first_chunk::<16>() {
        Some((digest, rest)) => (rest, *digest),
        None => return Err(fail(input, "a digest of 16 octets")),
    };
    let (rest, (flags, _future, session_id)) = (uint16, octets(3), uint16).parse(rest)?;
    let (rest, server) = text(rest)?;
    let ui_mode = match flags >> 4 & 0x03 {
        0 => UiMode::Unsaid,
        1 => UiMode::Background,
        2 => UiMode::Informative,
        _ => UiMode::Interactive,
    };
    let by_server = flags & 0x08 != 0;
    Ok((
        &[],
        Notification {
            digest,
            version: flags >> 6,
            ui_mode,
            by_server,
            session_id,
            server,
            body: rest,
        },
    ))
}

/// One synchronization of a data synchronization notification's body.
pub(crate) fn sync(input: &[u8]) -> Parsed<'_, Sync<'_>> {
    let (rest, (kind, high, low)) = (uint8, uint8, uint16).parse(input)?;
    let (rest, uri) = text(rest)?;
    let content_type = u32::from(high) << 16 | u32::from(low);
    Ok((
        rest,
        Sync {
            alert: 200 + u16::from(kind >> 4),
            content_type,
            uri,
        },
    ))
}

/// A length of one octet and as much text.
fn text(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, length) = uint8(input)?;
    let (after, text) = octets(usize::from(length))(rest)?;
    match std::str::from_utf8(text) {
        Ok(text) => Ok((after, text)),
        Err(_) => Err(fail(rest, "text in UTF-8")),
    }
}

impl fmt::Debug for Notification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("version", &self.version)
            .field("ui_mode", &self.ui_mode)
            .field("by_server", &self.by_server)
            .field("session_id", &self.session_text())
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Data synchronization 1.2: informative, by the server, session 1A2, one refresh of contacts.
    const CONTACTS: &[u8] =
        b"0123456789abcdef\x03\x28\x00\x00\x00\x01\xA2\x04sync\x10\x80\x00\x00\x07\x05cards";

    #[test]
    fn a_notification_has_its_server_and_its_syncs() {
        let notification = Notification::parse(CONTACTS).unwrap();
        assert_eq!(
            (notification.version, notification.ui_mode),
            (12, UiMode::Informative)
        );
        assert!(notification.by_server);
        assert_eq!(
            (notification.session_text().as_str(), notification.server),
            ("1A2", "sync")
        );
        assert_eq!(
            notification.syncs().unwrap(),
            [Sync {
                alert: 208,
                content_type: 7,
                uri: "cards"
            }]
        );
    }

    #[test]
    fn the_digest_is_not_printed() {
        let printed = format!("{:?}", Notification::parse(CONTACTS).unwrap());
        assert!(
            !printed.contains("48, 49") && !printed.contains("0123"),
            "{printed}"
        );
    }

    #[test]
    fn a_notification_that_ends_early_is_refused_where_it_ends() {
        for cut in 0..28 {
            assert!(Notification::parse(&CONTACTS[..cut]).is_err(), "{cut}");
        }
        let cut = Notification::parse(&CONTACTS[..CONTACTS.len() - 1]).unwrap();
        assert_eq!(cut.syncs().unwrap_err().offset, 6);
    }

    proptest! {
        #[test]
        fn what_was_read_is_written_again(
            digest: [u8; 16],
            flags in 0u16..1 << 13,
            session_id: u16,
            server in "[a-z.]{0,30}",
            body: Vec<u8>,
        ) {
            let mut wire = digest.to_vec();
            wire.extend((flags << 3).to_be_bytes());
            wire.extend([0, 0, 0]);
            wire.extend(session_id.to_be_bytes());
            wire.push(u8::try_from(server.len()).unwrap());
            wire.extend(server.as_bytes());
            wire.extend(&body);
            let notification = Notification::parse(&wire).unwrap();
            let builder = Builder {
                version: notification.version,
                ui_mode: notification.ui_mode,
                by_server: notification.by_server,
                session_id: notification.session_id,
                server: notification.server,
                body: Body::Vendor(notification.body),
            };
            prop_assert_eq!(&builder.trigger().unwrap(), &wire[16..]);
            let _ = notification.syncs();
        }

        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>) {
            if let Ok(notification) = Notification::parse(&octets) {
                let _ = notification.syncs();
            }
        }
    }
}
