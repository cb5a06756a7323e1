//! The recorded SyncML sessions of `fixtures/`, as requests and answers.

use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;

/// One recorded exchange.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) session: String,
    pub(crate) number: String,
    pub(crate) media_type: &'static str,
    pub(crate) request: Bytes,
    pub(crate) answer: Bytes,
}

/// Every session, in its order; an exchange of which one side is missing is left out.
pub(crate) fn all() -> &'static [Vec<Exchange>] {
    static ALL: OnceLock<Vec<Vec<Exchange>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/syncml-sessions");
        let mut directories: Vec<_> = std::fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        directories.sort();
        directories.iter().map(|path| read(path)).collect()
    })
}

/// A recorded exchange by its session and number.
pub(crate) fn find(session: &str, number: &str) -> Option<Exchange> {
    all()
        .iter()
        .flatten()
        .find(|exchange| exchange.session == session && exchange.number == number)
        .cloned()
}

fn read(directory: &Path) -> Vec<Exchange> {
    let session = directory.file_name().unwrap().to_str().unwrap();
    let mut exchanges = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some((number, kind)) = name.split_once("-req.") else {
            continue;
        };
        let media_type = match kind {
            "wbxml" => "application/vnd.syncml+wbxml",
            "xml" => "application/vnd.syncml+xml",
            _ => continue,
        };
        if let Ok(answer) = std::fs::read(directory.join(format!("{number}-resp.{kind}"))) {
            exchanges.push(Exchange {
                session: session.to_owned(),
                number: number.to_owned(),
                media_type,
                request: std::fs::read(&path).unwrap().into(),
                answer: answer.into(),
            });
        }
    }
    exchanges.sort_by(|a, b| a.number.cmp(&b.number));
    exchanges
}
