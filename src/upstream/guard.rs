//! Keeps routes with `as-requested` from reaching the operator's own network.
//!
//! The owner of a host's name may let it resolve to any address. So the addresses of such a host
//! are checked after name resolution, and the connection goes to a checked address.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{io, vec};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::route::{Network, special_purpose};

/// The allowed addresses of a host: public ones, and those listed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guard(pub(super) Arc<[Network]>);

/// An address that a route must not lead to.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{address} is {kind}; if requests may go there, list it in the route's allow_addresses")]
pub(super) struct Forbidden {
    address: IpAddr,
    kind: &'static str,
}

impl Guard {
    /// Judges an address.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        match special_purpose(address) {
            Some(kind) if !self.0.iter().any(|network| network.contains(address)) => {
                Err(Forbidden { address, kind })
            }
            _ => Ok(()),
        }
    }

    /// Leaves the addresses that are allowed, if there are any.
    fn filter(&self, addresses: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let mut forbidden = None;
        let allowed: Vec<_> = addresses
            .into_iter()
            .filter(|address| match self.check(address.ip()) {
                Ok(()) => true,
                Err(error) => {
                    forbidden = Some(error);
                    false
                }
            })
            .collect();
        match forbidden {
            Some(error) if allowed.is_empty() => Err(io::Error::other(error)),
            _ => Ok(allowed),
        }
    }
}

/// Resolves names to addresses that the guard allows.
#[derive(Clone, Debug)]
pub(super) struct GuardedResolver(pub(super) Guard);

impl Service<Name> for GuardedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            guard.filter(found.collect()).map(Vec::into_iter)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_forbidden_address_does_not_forbid_the_others() {
        let guard = Guard(Arc::from(["10.1.0.0/16".parse().unwrap()]));
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|text| text.parse().unwrap()).collect()
        };
        let filtered = guard.filter(addresses(&["127.0.0.1:0", "10.1.2.3:0", "1.1.1.1:0"]));
        assert_eq!(filtered.unwrap(), addresses(&["10.1.2.3:0", "1.1.1.1:0"]));
        let error = guard.filter(addresses(&["10.2.0.1:0", "[::1]:0"]));
        assert!(error.unwrap_err().to_string().contains("::1 is a loopback"));
    }
}
