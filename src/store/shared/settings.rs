//! Settings of a shared store, and the address of a server.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};

/// Settings of a store in Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The server; several are nodes of a cluster, or Sentinels.
    pub servers: Vec<Server>,
    /// The name by which Sentinels know the master. `None`: the servers are no Sentinels.
    pub sentinel: Option<String>,
    /// The user; `None` means the server's default user.
    pub user: Option<String>,
    /// The password of the user. Sentinels do not get it.
    pub password: Option<Password>,
    /// Authorities of the servers' certificates, in PEM. `None`: the system's.
    pub authorities: Option<Vec<u8>>,
    /// The beginning of all keys. Gateways with one prefix are nodes of one cluster. Default:
    /// `wapbridge`.
    pub prefix: String,
    /// The time within which the server must answer. A handset waits for a look-up no longer than
    /// this. A slower server counts as unreachable. Default: 250 ms.
    pub latency: Duration,
    /// Whether a gateway without its store is not ready. Default: false.
    pub required: bool,
    /// The name of this gateway among the nodes. Default: the host's name.
    pub node: String,
}

/// The URL of a server: `redis://HOST:PORT/DATABASE`, with TLS `rediss://`.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    text: String,
    is_tls: bool,
}

/// The reason why a text is no address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAServer {
    /// It has another scheme, or no host.
    #[error("expected a URL such as \"redis://192.0.2.1:6379/\" or \"rediss://store.example/\"")]
    Url,
    /// It has a user or a password.
    #[error("a URL is shown in logs; write `user` and `password_file` instead")]
    Credentials,
    /// It has a query or a fragment.
    #[error("only host, port and the number of a database have a meaning here")]
    More,
}

/// A password. It is shown as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

impl Server {
    /// Whether the connection has TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// As the client wants it.
    pub(super) fn info(&self) -> redis::RedisResult<ConnectionInfo> {
        self.text.as_str().into_connection_info()
    }
}

impl FromStr for Server {
    type Err = NotAServer;

    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let url = url::Url::parse(text).map_err(|_| NotAServer::Url)?;
        let is_tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(NotAServer::Url),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(NotAServer::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAServer::Credentials);
        }
        let database = url.path().trim_start_matches('/');
        let is_number = database.bytes().all(|octet| octet.is_ascii_digit());
        if url.query().is_some() || url.fragment().is_some() || !is_number {
            return Err(NotAServer::More);
        }
        let text = url.to_string();
        let server = Self { text, is_tls };
        server.info().map_err(|_| NotAServer::Url)?;
        Ok(server)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Password {
    /// Wraps a password.
    #[must_use]
    pub fn new(password: &str) -> Self {
        Self(password.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The servers, in words for operators.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, server) in self.servers.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{server}")?;
        }
        match &self.sentinel {
            Some(service) => write!(f, " (Sentinels of {service})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_server_is_a_url_without_credentials() {
        let server = |text: &str| text.parse::<Server>();
        for text in [
            "redis://192.0.2.1:6379/",
            "redis://[2001:db8::1]/2",
            "redis://store.example",
        ] {
            assert!(!server(text).unwrap().is_tls(), "{text}");
        }
        assert!(server("rediss://store.example:6380/").unwrap().is_tls());
        for (text, why) in [
            ("store.example:6379", NotAServer::Url),
            ("http://store.example/", NotAServer::Url),
            ("redis:///", NotAServer::Url),
            ("redis://:secret@store.example/", NotAServer::Credentials),
            ("redis://user@store.example/", NotAServer::Credentials),
            ("redis://store.example/?protocol=resp3", NotAServer::More),
            ("redis://store.example/#insecure", NotAServer::More),
            ("redis://store.example/state", NotAServer::More),
        ] {
            assert_eq!(server(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{:?}", Password::new("open sesame")), "***");
    }
}
