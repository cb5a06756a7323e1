//! Settings of the Push Proxy Gateway.

use std::net::SocketAddr;
use std::time::Duration;

use super::millis;

/// Limits and timers of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name that answers give the gateway. Default: `wapbridge`.
    pub name: String,
    /// Pushes held at once, one for each recipient, finished ones included until `keep_results` is
    /// over; more are answered 4001. Default: 100,000.
    pub max_pushes: usize,
    /// Octets of their content, header fields, names and addresses; more are answered 4001. Default:
    /// 256 MiB.
    pub max_octets: usize,
    /// Pushes that wait for one recipient; more are answered 4001. Default: 100.
    pub max_per_recipient: u32,
    /// Recipients of one push; more are answered 3005. Default: 1,000.
    pub max_recipients: usize,
    /// Attempts under way at once, besides those by short message; the others wait in the order of
    /// their priority. Default: 512.
    pub max_in_flight: usize,
    /// How long a push without deliver-before-timestamp is tried, and the longest that one with it
    /// is. Default: 3 days.
    pub lifetime: Duration,
    /// The pause after a first attempt that failed; it doubles with each further one. Default: 30
    /// s.
    pub retry: Duration,
    /// The longest pause between two attempts. Default: 15 min.
    pub retry_most: Duration,
    /// Rounds of attempts, and session initiation requests, after which a push is undeliverable.
    /// Default: 50.
    pub max_attempts: u32,
    /// How long results are kept for status queries, and push-ids for the detection of duplicates.
    /// Default: 24 h.
    pub keep_results: Duration,
    /// How long a client has to confirm before the attempt counts as timed out. Default: 3 min.
    pub attempt_timeout: Duration,
    /// How long a notification is tried. Default: 24 h.
    pub notify_lifetime: Duration,
    /// Whether pushes can go by short message.
    pub sms: bool,
    /// Whether some clients have servers of OTA-HTTP. Default: false.
    pub http: bool,
    /// Where clients are asked to connect when a confirmed push needs a session. Default: none, and
    /// no client is asked.
    pub contacts: Vec<SocketAddr>,
    /// The pause after a first session initiation request to a client; it doubles with each further
    /// one up to `retry_most`. Default: 60 s.
    pub initiation_interval: Duration,
    /// Ports of clients by application id, as numbers or URIs. Default: 2948 for all.
    pub ports: Vec<(String, u16)>,
    /// Networks that pushes may require, by name. Default: GSM, GPRS, UMTS, IP, ANY.
    pub networks: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let networks = ["GSM", "GPRS", "UMTS", "IP", "ANY"];
        Self {
            name: "wapbridge".to_owned(),
            max_pushes: 100_000,
            max_octets: 256 << 20,
            max_per_recipient: 100,
            max_recipients: 1_000,
            max_in_flight: 512,
            lifetime: Duration::from_secs(3 * 24 * 3_600),
            retry: Duration::from_secs(30),
            retry_most: Duration::from_secs(15 * 60),
            max_attempts: 50,
            keep_results: Duration::from_secs(24 * 3_600),
            attempt_timeout: Duration::from_secs(180),
            notify_lifetime: Duration::from_secs(24 * 3_600),
            sms: false,
            http: false,
            contacts: Vec::new(),
            initiation_interval: Duration::from_secs(60),
            ports: Vec::new(),
            networks: networks.map(str::to_owned).to_vec(),
        }
    }
}

impl Config {
    /// The longest pause between two session initiation requests, in milliseconds.
    pub(super) fn longest_pause(&self) -> u64 {
        millis(self.initiation_interval.max(self.retry_most))
    }
}
