//! The handset of a request: the other end of the connection, or the address that a trusted proxy
//! names.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::wdp::Peer;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// The two ends of the TCP connection.
    pub(super) peer: Peer,
    /// The connection speaks TLS.
    pub(super) secured: bool,
}

impl Client {
    /// The handset that sent a request. A proxy appends the address of its client to
    /// `X-Forwarded-For`, so the last address that is no trusted proxy's is the handset's; the
    /// addresses before are as good as their sender. Port 0 stands for the unknown port.
    pub(super) fn handset(&self, fields: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Peer {
        if !is_trusted(self.peer.remote.ip()) {
            return self.peer;
        }
        let values = fields.get_all(X_FORWARDED_FOR).iter();
        let named: Vec<&str> = values
            .flat_map(|value| value.to_str().unwrap_or("?").split(','))
            .collect();
        for word in named.iter().rev() {
            // Behind a word that is no address nothing can be believed.
            let Some(address) = address(word.trim()) else {
                return self.peer;
            };
            if !is_trusted(address) {
                let remote = SocketAddr::new(address, 0).into();
                return Peer {
                    remote,
                    ..self.peer
                };
            }
        }
        self.peer
    }
}

/// An address, which some proxies write with a port.
fn address(word: &str) -> Option<IpAddr> {
    let with_port = || word.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = word
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(word).parse().ok().or_else(with_port)?;
    Some(IpAddr::to_canonical(&address))
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    fn handset(remote: &str, fields: &[&str]) -> String {
        let peer = Peer::new(remote.parse().unwrap(), "10.0.0.9:8080".parse().unwrap());
        let client = Client {
            peer,
            secured: false,
        };
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(X_FORWARDED_FOR, field.parse().unwrap());
        }
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.0.");
        let found = client.handset(&headers, is_trusted);
        assert_eq!(found.local, peer.local);
        found.remote.to_string()
    }

    #[test]
    fn only_a_trusted_proxy_names_the_handset() {
        assert_eq!(handset("192.0.2.1:5000", &["10.9.9.9"]), "192.0.2.1:5000");
        assert_eq!(handset("10.0.0.1:5000", &["192.0.2.7"]), "192.0.2.7:0");
        assert_eq!(handset("10.0.0.1:5000", &[]), "10.0.0.1:5000");
    }

    #[test]
    fn the_last_address_that_is_no_proxys_counts() {
        let forged = ["203.0.113.5, 192.0.2.7", "10.0.0.2 , 10.0.0.3"];
        assert_eq!(handset("10.0.0.1:5000", &forged), "192.0.2.7:0");
        assert_eq!(handset("10.0.0.1:5000", &["10.0.0.2"]), "10.0.0.1:5000");
        for nonsense in ["192.0.2.7, unknown", "192.0.2.7, ", "192.0.2.7, \u{e9}"] {
            assert_eq!(handset("10.0.0.1:5000", &[nonsense]), "10.0.0.1:5000");
        }
    }

    #[test]
    fn addresses_may_have_ports_and_brackets() {
        for (word, remote) in [
            ("192.0.2.7:4711", "192.0.2.7:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("[2001:db8::1]:4711", "[2001:db8::1]:0"),
            ("::ffff:192.0.2.7", "192.0.2.7:0"),
        ] {
            assert_eq!(handset("10.0.0.1:5000", &[word]), remote);
        }
    }
}
