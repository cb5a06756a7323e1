//! The gateway from outside: handsets on real UDP sockets on one side, real HTTPS with verification
//! on the other, and between them only the library's own server.

mod coding;
mod connect;
mod failures;
mod hostile;
mod logs;
mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;

use wapbridge::gateway::{self, Stats};
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::server::{self, Config, Server};
use wapbridge::wdp::Service;
use wapbridge::wsp::log_id::LogIds;

use crate::support::certificate::tls;

/// A gateway on loopback that trusts the tests' authority.
struct Bridge {
    server: Option<Server>,
    addresses: Vec<SocketAddr>,
    connectionless: SocketAddr,
}

impl Bridge {
    /// With one route, from `http://sync.example.com/` to `upstream`.
    fn to(upstream: &str) -> Self {
        Self::with(&["127.0.0.1:0"], route(upstream))
    }

    fn with(addresses: &[&str], route: RouteSettings) -> Self {
        let records = logs::start();
        let tls = tls();
        let gateway = gateway::Config::new(Arc::new(Routes::new(vec![route])));
        let server = Server::start(Config {
            http_connections: 0,
            connection_mode: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            connectionless: vec!["127.0.0.1:0".parse().unwrap()],
            shards: 1,
            gateway: Arc::new(gateway),
            tls,
            store: None,
            records,
            measurements: None,
            secure: server::Secure::default(),
            names: LogIds::new(&[0; 16]),
        })
        .unwrap();
        let of = |service| {
            let all = server.addresses().iter();
            let of = all.filter(move |(other, _)| *other == service);
            of.map(|(_, address)| *address)
        };
        Self {
            addresses: of(Service::ConnectionMode).collect(),
            connectionless: of(Service::Connectionless).next().unwrap(),
            server: Some(server),
        }
    }

    fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Waits until the published counters say so.
    async fn stats(&self, so: impl Fn(&Stats) -> bool) -> Stats {
        let server = self.server.as_ref().unwrap();
        let mut shard = server.shards().watch().remove(0);
        let shown = shard.wait_for(|shown| so(&shown.stats));
        let shown = tokio::time::timeout(std::time::Duration::from_secs(20), shown).await;
        let stats = shown.expect("the counters never say so").unwrap().stats;
        assert_eq!(
            server::total(&server.shards().published()).0.sessions,
            stats.sessions
        );
        stats
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

fn route(upstream: &str) -> RouteSettings {
    RouteSettings::from_prefix("http://sync.example.com/", upstream).unwrap()
}
