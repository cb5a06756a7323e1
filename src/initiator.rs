//! Settings of push initiators: listening addresses, credentials, limits; and of the terminals that
//! get pushes over HTTP (`[push]`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::gateway::push::UserAgentRule;
use crate::limit::Rate;
use crate::push::ppg;
use crate::push::terminal::Presentation;
use crate::push::{Address, Recipient};
use crate::route::Network;
use crate::server_tls::ServerTls;

/// The settings of `[push]`.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// TCP addresses of the Push Access Protocol, served at `/pap`. Default: none, and pushes are
    /// off.
    pub listen: Vec<SocketAddr>,
    /// TLS on these addresses. Default: none, HTTP in plain text.
    pub tls: Option<ServerTls>,
    /// The initiators. The first one that fits is the sender of a request.
    pub initiators: Vec<InitiatorSettings>,
    /// Octets of a request. Default: 1 MiB.
    pub max_request: usize,
    /// Connections of initiators at once; more are closed. Default: 256.
    pub max_connections: usize,
    /// Time for a request to arrive whole. Default: 30 s.
    pub request_timeout: Duration,
    /// Networks besides the public Internet that results may be told in. Default: none.
    pub notify_networks: Arc<[Network]>,
    /// Whether results may be told to `http://` URLs, which anyone in between can read and change.
    /// Default: false.
    pub notify_plaintext: bool,
    /// Fields that clients of some models do not get, in sessions. Default: none.
    pub user_agents: Arc<[UserAgentRule]>,
    /// Terminals that get pushes over HTTP. Default: none.
    pub terminals: Option<Arc<TerminalSettings>>,
    /// Limits and timers of pushes.
    pub ppg: ppg::Config,
}

/// Terminals with a server of OTA-HTTP (`[push.http]`).
#[derive(Clone, Debug)]
pub struct TerminalSettings {
    /// Their addresses: the gateway connects to no other.
    pub networks: Vec<Network>,
    /// Their TCP port. Default: [`TERMINAL_PORT`](crate::push::terminal::TERMINAL_PORT).
    pub port: u16,
    /// Time for the connection. Default: 5 s.
    pub connect_timeout: Duration,
    /// Time for registration and push together, once connected. Default: 30 s.
    pub timeout: Duration,
    /// How the gateway presents itself.
    pub presentation: Arc<Presentation>,
}

/// One initiator. Every credential that is set has to fit.
#[derive(Clone)]
pub struct InitiatorSettings {
    /// The name in logs and metrics; push-ids are unique within it.
    pub name: Arc<str>,
    /// User name and password (RFC 7617). Default: none.
    pub password: Option<(String, String)>,
    /// A bearer token (RFC 6750). Default: none.
    pub token: Option<String>,
    /// The certificate it shows by TLS. Default: none.
    pub certificate: Option<CertificateDer<'static>>,
    /// Networks it comes from. Default: any.
    pub networks: Vec<Network>,
    /// Recipients the initiator may push to.
    pub targets: Vec<Target>,
    /// The X-Wap-Initiator-URI of its pushes, flagged as authenticated. Default: none.
    pub uri: Option<String>,
    /// Pushes a second, and at once. Default: 100 and 200.
    pub rate: Rate,
    /// Pushes it may have held at once, one for each recipient. Default: 10,000.
    pub max_pushes: usize,
}

impl std::fmt::Debug for InitiatorSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InitiatorSettings")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Recipients an initiator may push to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All recipients.
    All,
    /// Numbers that begin with these digits.
    Number(String),
    /// Addresses in a network.
    Network(Network),
    /// User identifiers that the operator maps to clients.
    Users,
}

impl Target {
    /// Whether a recipient is meant.
    #[must_use]
    pub fn contains(&self, recipient: &Recipient) -> bool {
        match (self, recipient.address()) {
            (Self::All, _) | (Self::Users, Address::User(_)) => true,
            (Self::Number(prefix), Address::Plmn(number)) => {
                number.reveal().starts_with(prefix.as_str())
            }
            (Self::Network(network), Address::Ip(address)) => network.contains(*address),
            _ => false,
        }
    }
}
