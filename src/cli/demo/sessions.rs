//! The recorded SyncML sessions the demo plays, carried inside the program.

use std::collections::HashMap;
use std::time::Duration;

use include_dir::{Dir, include_dir};

use crate::cli::client::{Client, ClientError};
use crate::handset::{Reply, Request};
use crate::wsp::pdu::Method;

/// One recorded exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// The session it belongs to.
    pub(super) session: &'static str,
    /// Its place in the session, as recorded: `01` and so on.
    pub(super) number: &'static str,
    /// The media type of both bodies.
    pub(super) media_type: &'static str,
    /// The handset's message.
    pub(super) request: &'static [u8],
    /// The origin's reply.
    pub(super) answer: &'static [u8],
}

impl Exchange {
    /// Whether its bodies are WBXML.
    pub(super) fn is_wbxml(&self) -> bool {
        self.media_type.ends_with("+wbxml")
    }

    /// The path and query under which the handset of this number posts it.
    pub(super) fn path(&self, handset: usize) -> String {
        format!("/syncml/{}/{}?handset={handset}", self.session, self.number)
    }

    /// The request of the handset of this number, in a session with the gateway.
    pub(super) async fn send(
        &self,
        client: &mut Client,
        handset: usize,
        timeout: Duration,
    ) -> Result<Reply, ClientError> {
        let headers = [("Content-Type".to_owned(), self.media_type.to_owned())];
        let request = Request {
            method: Method::POST,
            uri: &self.uri(handset),
            headers: &headers,
            body: self.request,
        };
        client.request(&request, timeout).await
    }

    /// The URI of the request.
    pub(super) fn uri(&self, handset: usize) -> String {
        format!("http://sync.example.com{}", self.path(handset))
    }
}

/// A session for each of so many handsets.
pub(super) fn of_handsets(handsets: u16) -> Vec<Vec<Exchange>> {
    let sessions = all().into_iter().cycle();
    sessions.take(handsets.into()).collect()
}

/// The messages that the handsets of these sessions send, by path and query.
pub(super) fn messages(sessions: &[Vec<Exchange>]) -> HashMap<String, Exchange> {
    let messages = sessions.iter().enumerate().flat_map(|(handset, session)| {
        let exchanges = session.iter().copied();
        exchanges.map(move |exchange| (exchange.path(handset), exchange))
    });
    messages.collect()
}

/// The sessions, each in its order.
fn all() -> Vec<Vec<Exchange>> {
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
