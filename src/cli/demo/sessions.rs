//! The recorded SyncML sessions the demo plays, carried inside the program.

use include_dir::{Dir, include_dir};

/// One recorded exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// The session it belongs to.
    pub(super) session: &'static str,
    /// Its place in the session, as recorded: `01` and so on.
    pub(super) number: &'static str,
    /// The media type of both bodies.
    pub(super) media_type: &'static str,
    /// What the handset sends.
    pub(super) request: &'static [u8],
    /// What the origin answers.
    pub(super) answer: &'static [u8],
}

impl Exchange {
    /// The path and query under which the handset of this number posts it.
    pub(super) fn path(&self, handset: usize) -> String {
        format!("/syncml/{}/{}?handset={handset}", self.session, self.number)
    }
}

/// The sessions, each in its order.
pub(super) fn all() -> Vec<Vec<Exchange>> {
    SESSIONS
        .iter()
        .map(|(name, dir)| read(name, dir))
        .filter(|session| !session.is_empty())
        .collect()
}

fn read(session: &'static str, dir: &'static Dir<'static>) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = dir
        .files()
        .filter_map(|file| {
            let name = file.path().file_name()?.to_str()?;
            let (number, kind) = name.split_once("-req.")?;
            let media_type = match kind {
                "wbxml" => "application/vnd.syncml+wbxml",
                "xml" => "application/vnd.syncml+xml",
                _ => return None,
            };
            let answer = dir
                .files()
                .find(|other| other.path().ends_with(format!("{number}-resp.{kind}")))?;
            Some(Exchange {
                session,
                number,
                media_type,
                request: file.contents(),
                answer: answer.contents(),
            })
        })
        .collect();
    exchanges.sort_by_key(|exchange| exchange.number);
    exchanges
}

/// A choice of `fixtures/syncml-sessions`: each version, both encodings, small and large messages.
static SESSIONS: [(&str, Dir<'static>); 5] = [
    (
        "s10-wbxml-md5-01-slow",
        include_dir!("$CARGO_MANIFEST_DIR/fixtures/syncml-sessions/s10-wbxml-md5-01-slow"),
    ),
    (
        "s11-wbxml-basic-01-slow",
        include_dir!("$CARGO_MANIFEST_DIR/fixtures/syncml-sessions/s11-wbxml-basic-01-slow"),
    ),
    (
        "s11-xml-md5-01-slow",
        include_dir!("$CARGO_MANIFEST_DIR/fixtures/syncml-sessions/s11-xml-md5-01-slow"),
    ),
    (
        "s12-wbxml-md5-02-two-way",
        include_dir!("$CARGO_MANIFEST_DIR/fixtures/syncml-sessions/s12-wbxml-md5-02-two-way"),
    ),
    (
        "s12-wbxml-mid-01-slow",
        include_dir!("$CARGO_MANIFEST_DIR/fixtures/syncml-sessions/s12-wbxml-mid-01-slow"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_is_there_and_whole() {
        let sessions = all();
        assert_eq!(sessions.len(), SESSIONS.len());
        for session in &sessions {
            assert!(session.len() >= 3, "{}", session[0].session);
            assert_eq!(session[0].number, "01");
            assert!(
                session
                    .iter()
                    .all(|exchange| !exchange.request.is_empty() && !exchange.answer.is_empty())
            );
        }
    }
}
