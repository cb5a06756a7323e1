//! Explains server-alerted notifications (OMA DS and DM 1.2), in which a server asks for a session.

use super::annotator::Annotator;
use crate::codec::located;
use crate::syncml::codes;
use crate::syncml::notification::{Notification, Sync, UiMode, sync};
use crate::wsp::header::media_name;

/// Whether a body of this media type is a notification.
pub(super) fn is_media_type(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.starts_with("application/vnd.syncml.") && essence.ends_with("notification")
}

/// Explains a notification, down to its bits. The digest is not repeated in words: it is a
/// credential.
pub(super) fn nodes(annotator: &mut Annotator<'_>) {
    let octets = annotator.rest();
    annotator.rest_as("server-alerted notification", |annotator| {
        let notification = match Notification::parse(octets) {
            Ok(notification) => notification,
            Err(error) => return annotator.expected(error),
        };
        let Notification {
            version, server, ..
        } = notification;
        annotator.annotate(DIGEST, format!("digest of {DIGEST} octets"));
        let future = octets.get(DIGEST + 1..DIGEST + 5).unwrap_or_default();
        annotator.annotate(2, flags(&notification));
        let reserved = match future {
            [first, rest @ ..] if first & 0x07 == 0 && rest.iter().all(|octet| *octet == 0) => {
                "27 bits for future use, all 0"
            }
            _ => "27 bits for future use, some of them 1",
        };
        annotator.annotate(3, reserved.to_owned());
        annotator.annotate(
            2,
            format!(
                "session {}, as SessionID will say",
                notification.session_text()
            ),
        );
        annotator.annotate(1, format!("server identifier length: {}", server.len()));
        annotator.annotate(server.len(), format!("server: {server}"));
        match version {
            DATA_SYNC => stores(annotator),
            _ => {
                let left = annotator.rest().len();
                if left > 0 {
                    annotator.annotate(left, format!("{left} octets for the client"));
                }
            }
        }
    });
}

/// The ten, two and one bits in front.
fn flags(notification: &Notification<'_>) -> String {
    let version = notification.version;
    let ui_mode = match notification.ui_mode {
        UiMode::Unsaid => "not specified",
        UiMode::Background => "background",
        UiMode::Informative => "informative",
        UiMode::Interactive => "user interaction",
    };
    let initiator = match notification.by_server {
        true => "server",
        false => "user",
    };
    let (major, minor) = (version / 10, version % 10);
    let (ui_bits, initiator_bit) = (
        notification.ui_mode.bits(),
        u8::from(notification.by_server),
    );
    format!(
        "version {major}.{minor} (10 bits: {version:010b}), ui mode {ui_mode} ({ui_bits:02b}), \
         initiator {initiator} ({initiator_bit})"
    )
}

/// The data stores of data synchronization.
fn stores(annotator: &mut Annotator<'_>) {
    if annotator.rest().is_empty() {
        return;
    }
    let count = annotator.octet(|octet| match octet >> 4 {
        0 => "no data store is named, which stands for all (4 bits), 4 bits reserved".to_owned(),
        count => format!("data stores: {count} (4 bits), 4 bits reserved"),
    });
    for _ in 0..count.unwrap_or_default() >> 4 {
        let before = annotator.rest();
        match located(before, sync) {
            Ok((after, sync)) => store(annotator, before.len() - after.len(), &sync),
            Err(error) => return annotator.expected(error),
        }
    }
    let left = annotator.rest().len();
    if left > 0 {
        annotator.annotate(left, format!("{left} octets of the vendor"));
    }
}

fn store(annotator: &mut Annotator<'_>, len: usize, sync: &Sync<'_>) {
    let uri = sync.uri;
    annotator.group(len, &format!("synchronize {uri}"), |annotator| {
        annotator.octet(|octet| {
            let name = codes::alert(sync.alert).unwrap_or("no assigned code");
            format!(
                "sync type {} (4 bits): Alert {}, {name}; 4 bits reserved",
                octet >> 4,
                sync.alert
            )
        });
        let number = sync.content_type;
        let media = match (number, media_name(number)) {
            (0, _) => "not said".to_owned(),
            (number, Some(name)) => format!("{number:#x}, {name}"),
            (number, None) => format!("{number:#x}, unassigned"),
        };
        annotator.annotate(3, format!("content type: {media}"));
        annotator.annotate(1, format!("store name length: {}", uri.len()));
        annotator.annotate(uri.len(), format!("store: {uri}"));
    });
}

/// Octets of the MD5 digest.
const DIGEST: usize = 16;
/// Version 1.2 of data synchronization, times ten.
const DATA_SYNC: u16 = 12;

#[cfg(test)]
mod tests {
    use crate::explain::{Kind, explain};

    #[test]
    fn a_notification_is_explained_to_its_bits() {
        let octets = b"0123456789abcdef\x03\x28\x00\x00\x00\x01\xA2\x04sync\x20\x60\x00\x00\x07\x05cards\xA0\x00\x00\x00\x03cal";
        let text = explain(Kind::Notification, octets).to_string();
        for line in [
            "0010  03 28                       version 1.2 (10 bits: 0000001100), ui mode informative (10), initiator server (1)",
            "27 bits for future use, all 0",
            "session 1A2",
            "server: sync",
            "data stores: 2 (4 bits), 4 bits reserved",
            "sync type 6 (4 bits): Alert 206, ",
            "content type: 0x7, text/x-vCard",
            "store: cards",
            "sync type 10 (4 bits): Alert 210, ",
            "content type: not said",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("abcdef"), "{text}");
    }

    #[test]
    fn a_store_that_ends_early_is_a_fault_where_it_ends() {
        let octets =
            b"0123456789abcdef\x03\x28\x00\x00\x00\x01\xA2\x04sync\x10\x60\x00\x00\x07\x05car";
        let explained = explain(Kind::Notification, octets);
        assert_eq!(explained.fault().unwrap().offset, octets.len() - 3);
    }
}
