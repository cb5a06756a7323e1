//! The access log in the journal of systemd, by its native protocol: one datagram for each line, with
//! a field for each of the line's fields.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Sends lines of JSON to journald.
#[derive(Debug)]
pub(super) struct JournalSender {
    socket: UnixDatagram,
    path: PathBuf,
    entry: Vec<u8>,
}

impl JournalSender {
    /// For the socket at `path`. Without a journal there each line fails.
    ///
    /// # Errors
    /// The system refuses a socket.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            socket: UnixDatagram::unbound()?,
            path,
            entry: Vec::new(),
        })
    }

    /// Sends a line of JSON, without its end.
    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        let fields: Fields = serde_json::from_slice(line)?;
        self.entry.clear();
        write(&fields, &mut self.entry);
        // The socket has no peer: a journal that was started anew is found by its path.
        self.socket.send_to(&self.entry, &self.path)?;
        Ok(())
    }
}

/// The fields of a line, in their order.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// An entry: the message in words, and `WAPBRIDGE_STATUS=200` for the field `status`. Time and level
/// are the journal's own.
fn write(Fields(fields): &Fields, out: &mut Vec<u8>) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let own = |(name, _): &&(String, Value)| {
        !matches!(name.as_str(), "timestamp" | "level" | "message" | "target")
    };
    let subject = fields.iter().find(|(name, _)| name == "message");
    let mut message = subject.map(|(_, value)| text(value)).unwrap_or_default();
    for (name, value) in fields.iter().filter(own) {
        message.push_str(&format!(" {name}={}", text(value)));
    }
    put("MESSAGE", &message, out);
    put("PRIORITY", INFORMATIONAL, out);
    put("SYSLOG_IDENTIFIER", "wapbridge", out);
    for (name, value) in fields.iter().filter(own) {
        let name = format!("WAPBRIDGE_{}", name.to_ascii_uppercase());
        put(&name, &text(value), out);
    }
}

/// One field. A value of several lines has its length before it.
fn put(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// The socket of journald.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
const INFORMATIONAL: &str = "6";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_of_a_line_is_a_field_of_the_entry() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut sender = JournalSender::open(path).unwrap();
        let line = b"{\"timestamp\":\"2026-11-03T08:10:56.123456Z\",\"level\":\"INFO\",\"message\":\"exchange\",\
            \"status\":502,\"total_ms\":1.5,\"detail\":\"a\\nb\",\"target\":\"access\"}";
        sender.send(line).unwrap();
        let mut received = [0; 500];
        let len = journal.recv(&mut received).unwrap();
        let mut expected = Vec::new();
        expected.extend_from_slice(
            b"MESSAGE\n\x2b\0\0\0\0\0\0\0exchange status=502 total_ms=1.5 detail=a\nb\n",
        );
        expected
            .extend_from_slice(b"PRIORITY=6\nSYSLOG_IDENTIFIER=wapbridge\nWAPBRIDGE_STATUS=502\n");
        expected.extend_from_slice(
            b"WAPBRIDGE_TOTAL_MS=1.5\nWAPBRIDGE_DETAIL\n\x03\0\0\0\0\0\0\0a\nb\n",
        );
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        assert_eq!(text(&received[..len]), text(&expected));
        assert!(sender.send(b"no JSON").is_err());
    }
}
