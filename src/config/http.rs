//! `[http]`: connections of handsets that speak HTTP.

use std::path::Path;
use std::time::Duration;

use super::listen::ListenSettings;
use super::report::Problem;
use super::section::Section;
use super::server_tls::{self, Clients};
use crate::route::{Network, Networks};
use crate::server_tls::ServerTls;
use crate::upstream::Expiry;

/// Connections at the addresses of `http`, `https` and `obex` in `[listen]`.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Connections at once; at most a quarter of the process's file descriptors are used. A new
    /// connection takes the place of the one idle for longest. Default: 1,000.
    pub max_connections: usize,
    /// Of these, connections of one source: an address, or a /64 of IPv6. Default: 64.
    pub max_connections_per_source: usize,
    /// Time without any octet, after which a connection ends: between requests, within a head,
    /// within a body, and while the handset acknowledges no octet of a response. Default: 2 min.
    pub idle_timeout: Duration,
    /// HTTP proxies between handsets and the gateway. The handset's address is taken from their
    /// `X-Forwarded-For`, and they share no source's connections. Default: none.
    pub trusted_proxies: Networks,
    /// TLS at the addresses of `https`. Default: none, and no such address.
    pub tls: Option<ServerTls>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            max_connections_per_source: 64,
            idle_timeout: Duration::from_secs(120),
            trusted_proxies: Networks::default(),
            tls: None,
        }
    }
}

impl HttpSettings {
    /// Reads the section. Adds the ends of its certificates to `expiries`.
    pub(super) fn read(
        section: &Section<'_, '_>,
        directory: &Path,
        listen: &ListenSettings,
        expiries: &mut Vec<Expiry>,
    ) -> Self {
        let base = Self::default();
        match (section.has("certificate"), listen.https.is_empty()) {
            (false, false) => section.missing(
                "`certificate`",
                "`https` in [listen] needs one: add `certificate` and `key` to [http]",
            ),
            (true, true) => section.problem(Problem {
                title: "`certificate` in [http] has no effect".to_owned(),
                at: section.at().unwrap_or(0..0),
                label: "no address of [listen] speaks TLS".to_owned(),
                related: None,
                help: "add `https = \"0.0.0.0:443\"` to [listen], or remove `certificate`"
                    .to_owned(),
            }),
            (true, false) | (false, true) => {}
        }
        let proxies = section.or::<Vec<Network>>("trusted_proxies", Vec::new());
        Self {
            max_connections: section.within("max_connections", 1..=1_000_000, base.max_connections),
            max_connections_per_source: section.within(
                "max_connections_per_source",
                1..=1_000_000,
                base.max_connections_per_source,
            ),
            idle_timeout: section.within("idle_timeout", SHORTEST..=LONGEST, base.idle_timeout),
            trusted_proxies: proxies.into_iter().collect(),
            tls: server_tls::read(section, directory, Clients::ShowNone, expiries),
        }
    }
}

/// A handset on a slow bearer pauses for seconds.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3_600);
