//! Makes notifications of SyncML 1.2 (OMA DM Notification 1.2, 6.2; OMA DS Protocol 1.2, 12).

use super::digest::{Secret, digest};
use super::{Sync, UiMode};

/// A notification to be made.
#[derive(Clone, Copy, Debug)]
pub struct Builder<'a> {
    /// Version times ten, at most 1023: 11 for device management 1.2, 12 for data synchronization
    /// 1.2.
    pub version: u16,
    /// The interaction with the user.
    pub ui_mode: UiMode,
    /// The server wants the session, not the user.
    pub by_server: bool,
    /// The session that the client is asked to begin.
    pub session_id: u16,
    /// The server's identifier, as the client's profile has it: at most 255 octets.
    pub server: &'a str,
    /// The part behind the server's identifier.
    pub body: Body<'a>,
}

/// The body of a notification.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Data synchronization: the data stores, at most 15. None stands for all of them.
    Stores(&'a [Sync<'a>]),
    /// Device management: octets of the vendor, mostly none.
    Vendor(&'a [u8]),
}

/// Values that no notification has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The version has ten bits.
    #[error("the version times ten is at most 1023")]
    Version,
    /// The server's identifier has a length of one octet.
    #[error("the server's identifier is longer than 255 octets")]
    Server,
    /// The number of data stores has four bits.
    #[error("a notification names at most 15 data stores")]
    Stores,
    /// The name of a data store has a length of one octet.
    #[error("the name of a data store is longer than 255 octets")]
    Store,
    /// The type of a synchronization has four bits.
    #[error("the Alert code of a data store is between 200 and 215")]
    Alert,
    /// A content type has 24 bits.
    #[error("a content type number has at most 24 bits")]
    ContentType,
}

impl Builder<'_> {
    /// The notification: the digest and the octets that it covers.
    ///
    /// # Errors
    ///
    /// A field does not fit.
    pub fn build(&self, secret: Secret<'_>) -> Result<Vec<u8>, BuildError> {
        let trigger = self.trigger()?;
        let digest = digest(self.server, secret, &trigger);
        Ok([&digest[..], &trigger].concat())
    }

    /// Everything after the digest.
    ///
    /// # Errors
    ///
    /// A field does not fit.
    pub fn trigger(&self) -> Result<Vec<u8>, BuildError> {
        if self.version > 0x03FF {
            return Err(BuildError::Version);
        }
        let initiator = u16::from(self.by_server);
        let flags = self.version << 6 | u16::from(self.ui_mode.bits()) << 4 | initiator << 3;
        let mut out = flags.to_be_bytes().to_vec();
        out.extend_from_slice(&[0, 0, 0]); // for future use
        out.extend_from_slice(&self.session_id.to_be_bytes());
        put_text(&mut out, self.server).ok_or(BuildError::Server)?;
        match self.body {
            Body::Vendor(octets) => out.extend_from_slice(octets),
            Body::Stores(stores) => put_stores(&mut out, stores)?,
        }
        Ok(out)
    }
}

fn put_stores(out: &mut Vec<u8>, stores: &[Sync<'_>]) -> Result<(), BuildError> {
    let count = u8::try_from(stores.len()).ok().filter(|count| *count < 16);
    out.push(count.ok_or(BuildError::Stores)? << 4);
    for store in stores {
        let kind = store.alert.checked_sub(200).filter(|kind| *kind < 16);
        let kind = kind.and_then(|kind| u8::try_from(kind).ok());
        out.push(kind.ok_or(BuildError::Alert)? << 4);
        let [0, content_type @ ..] = store.content_type.to_be_bytes() else {
            return Err(BuildError::ContentType);
        };
        out.extend_from_slice(&content_type);
        put_text(out, store.uri).ok_or(BuildError::Store)?;
    }
    Ok(())
}

/// A length of one octet and the text; `None` if it is too long.
fn put_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.push(u8::try_from(text.len()).ok()?);
    out.extend_from_slice(text.as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::Notification;
    use super::*;

    /// Made by libsynthesis: informative, by the server, session 258, two-way of contacts and
    /// refresh of the calendar.
    const TWO_STORES: &[u8] = b"\x52\x46\xA8\x33\x9A\x6B\xAB\x4E\xAD\xAC\x06\xAD\xD6\x5A\x14\x53\
        \x03\x28\x00\x00\x00\x01\x02\x0bsrv.example\x20\
        \x60\x00\x00\x07\x0a./contacts\xa0\x00\x00\x06\x0a./calendar";
    /// Of a phone suite of 2010: its password and its nonce are empty.
    const PHONE_SUITE: &[u8] = b"\x01\x79\xab\x67\x1b\x68\xf2\x66\x98\x26\x9b\x4c\xa7\x82\x22\xad\
        \x03\x18\x00\x00\x00\x00\x00\x12PC Suite Data Sync\x10\x60\x00\x00\x00\x08Contacts";

    fn two_stores() -> [Sync<'static>; 2] {
        let sync = |alert, content_type, uri| Sync {
            alert,
            content_type,
            uri,
        };
        [sync(206, 7, "./contacts"), sync(210, 6, "./calendar")]
    }

    #[test]
    fn notifications_of_others_are_built_octet_for_octet() {
        let stores = two_stores();
        let builder = Builder {
            version: 12,
            ui_mode: UiMode::Informative,
            by_server: true,
            session_id: 258,
            server: "srv.example",
            body: Body::Stores(&stores),
        };
        let secret = Secret {
            password: b"secret",
            nonce: b"nonce-1",
        };
        assert_eq!(builder.build(secret).unwrap(), TWO_STORES);
        let store = [Sync {
            alert: 206,
            content_type: 0,
            uri: "Contacts",
        }];
        let builder = Builder {
            version: 12,
            ui_mode: UiMode::Background,
            by_server: true,
            session_id: 0,
            server: "PC Suite Data Sync",
            body: Body::Stores(&store),
        };
        let nothing = Secret {
            password: b"",
            nonce: b"",
        };
        assert_eq!(builder.build(nothing).unwrap(), PHONE_SUITE);
    }

    #[test]
    fn a_digest_fits_its_password_and_nonce_only() {
        let notification = Notification::parse(TWO_STORES).unwrap();
        let secret = |password, nonce| Secret { password, nonce };
        assert!(notification.fits(TWO_STORES, secret(b"secret", b"nonce-1")));
        assert!(!notification.fits(TWO_STORES, secret(b"secret", b"nonce-2")));
        assert!(!notification.fits(TWO_STORES, secret(b"Secret", b"nonce-1")));
        let mut changed = TWO_STORES.to_vec();
        changed[30] ^= 1;
        assert!(!notification.fits(&changed, secret(b"secret", b"nonce-1")));
    }

    fn with(builder: &Builder<'_>, stores: &[Sync<'_>]) -> Result<Vec<u8>, BuildError> {
        let body = Body::Stores(stores);
        Builder { body, ..*builder }.trigger()
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(256);
        let many = [two_stores()[0]; 16];
        let builder = Builder {
            version: 12,
            ui_mode: UiMode::Unsaid,
            by_server: false,
            session_id: 1,
            server: "s",
            body: Body::Stores(&[]),
        };
        let store = two_stores()[0];
        assert_eq!(with(&builder, &many), Err(BuildError::Stores));
        for (store, error) in [
            (
                Sync {
                    uri: &long,
                    ..store
                },
                BuildError::Store,
            ),
            (
                Sync {
                    alert: 216,
                    ..store
                },
                BuildError::Alert,
            ),
            (
                Sync {
                    alert: 199,
                    ..store
                },
                BuildError::Alert,
            ),
            (
                Sync {
                    content_type: 1 << 24,
                    ..store
                },
                BuildError::ContentType,
            ),
        ] {
            assert_eq!(with(&builder, &[store]), Err(error));
        }
        let server = Builder {
            server: &long,
            ..builder
        };
        assert_eq!(server.trigger(), Err(BuildError::Server));
        let version = Builder {
            version: 1024,
            ..builder
        };
        assert_eq!(version.trigger(), Err(BuildError::Version));
        // No entry at all stands for every data store.
        assert_eq!(
            builder.trigger().unwrap(),
            b"\x03\x00\x00\x00\x00\x00\x01\x01s\x00"
        );
    }
}
