//! The answer to one request of `post` or `get`, and its figures.

use std::time::Duration;

use base64::Engine as _;

use crate::handset::Reply;

/// An answer, and the end of each step, counted from the start.
pub(super) struct Outcome {
    /// The answer.
    pub(super) reply: Reply,
    /// The session is set up. Zero over HTTP and OBEX, where the step is not told apart.
    pub(super) connected: Duration,
    /// The first packet of the answer came. `None` over HTTP and OBEX.
    pub(super) first_packet: Option<Duration>,
    /// The answer is whole.
    pub(super) replied: Duration,
    /// PDUs that were sent again.
    pub(super) retransmissions: u64,
}

impl Outcome {
    /// All of it, with times in milliseconds and the body in base64.
    pub(super) fn json(&self) -> serde_json::Value {
        let millis = |time: Duration| time.as_micros() as f64 / 1e3;
        let reply = &self.reply;
        let headers: Vec<_> = reply
            .headers
            .iter()
            .map(|(name, value)| serde_json::json!([name, String::from_utf8_lossy(value)]))
            .collect();
        serde_json::json!({
            "status": reply.status,
            "content_type": reply.content_type,
            "headers": headers,
            "body": base64::engine::general_purpose::STANDARD.encode(&reply.body),
            "body_octets": reply.body.len(),
            "connect_ms": millis(self.connected),
            "first_packet_ms": self.first_packet.map(millis),
            "reply_ms": millis(self.replied.saturating_sub(self.connected)),
            "total_ms": millis(self.replied),
            "retransmissions": self.retransmissions,
        })
    }
}
