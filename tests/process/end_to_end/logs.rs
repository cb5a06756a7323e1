//! The gateway's log during the tests of this process.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use wapbridge::record::{AccessSink, Format, LogHandle, LogWriter, Sinks};

/// Starts to collect the log, and returns the place of the access log. All gateways of this process
/// share it.
pub(crate) fn start() -> Sinks {
    static STARTED: OnceLock<LogHandle> = OnceLock::new();
    let handle = STARTED.get_or_init(|| {
        tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(|| Writer)
            .init();
        // For as long as the process runs.
        let writer: &LogWriter = Box::leak(Box::new(LogWriter::to(Box::new(Writer)).unwrap()));
        writer.handle()
    });
    Sinks {
        access: Some(AccessSink {
            format: Format::Json,
            handle: handle.clone(),
            sample: 1,
        }),
        ..Sinks::default()
    }
}

/// The access log's line about a URI that only one exchange of this process asks for.
pub(crate) async fn line_about(uri: &str) -> Value {
    let about = |line: &&Value| line["target"] == "access" && line["uri"] == uri;
    let mut lines = lines().subscribe();
    let found = lines.wait_for(|lines| lines.iter().any(|line| about(&line)));
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .unwrap_or_else(|_| panic!("no line about {uri}"))
        .unwrap();
    let lines = lines.borrow();
    let all: Vec<&Value> = lines.iter().filter(about).collect();
    assert_eq!(all.len(), 1, "one line per exchange: {all:?}");
    all[0].clone()
}

/// Whether a line contains this text.
pub(crate) fn mentions(text: &str) -> bool {
    lines()
        .borrow()
        .iter()
        .any(|line| line.to_string().contains(text))
}

fn lines() -> &'static watch::Sender<Vec<Value>> {
    static LINES: OnceLock<watch::Sender<Vec<Value>>> = OnceLock::new();
    LINES.get_or_init(watch::Sender::default)
}

/// Takes whole lines.
struct Writer;

impl io::Write for Writer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        for line in text.split_inclusive(|octet| *octet == b'\n') {
            let value: Value = serde_json::from_slice(line)?;
            // The tests' own TLS and HTTP libraries log too, and much.
            if value["target"]
                .as_str()
                .is_some_and(|t| t == "access" || t.starts_with("wapbridge"))
            {
                lines().send_modify(|lines| lines.push(value));
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
