//! The gateway's address on the command line.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};

/// The address of a host and a port in the notation of `--gateway`.
pub(super) fn resolve(text: &str, default_port: u16) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Ok((address, default_port).into());
    }
    let (host, port) = match text.rsplit_once(':') {
        None => (text, default_port),
        Some((host, port)) => {
            let port = port.parse().ok().filter(|port| *port > 0);
            let port = port.with_context(|| {
                format!("--gateway {text}: write HOST:PORT with a port from 1 to 65535, IPv6 as [ADDRESS]:PORT")
            })?;
            (host, port)
        }
    };
    if host.contains([':', '[', ']']) || host.is_empty() {
        bail!("--gateway {text}: write HOST or HOST:PORT, IPv6 as [ADDRESS]:PORT");
    }
    (host, port)
        .to_socket_addrs()
        .with_context(|| format!("--gateway {text}: the name {host} does not resolve"))?
        .next()
        .with_context(|| format!("--gateway {text}: the name {host} has no address"))
}
