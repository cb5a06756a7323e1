//! `wapbridge demo --stay`: a gateway, an origin and handsets that go on syncing, to try the tools
//! on.
//!
//! The gateway is the one that `wapbridge serve` runs, with a configuration file of its own. Files
//! go to a temporary directory that is removed at the end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;

use super::origin::{self, Authority, MessageLog};
use super::sessions::{self, Exchange};
use super::{handset_config, impairment};
use crate::cli::client::{Client, ClientError};
use crate::cli::impairment::Impairment;
use crate::cli::log::Log;
use crate::cli::serve::supervisor;
use crate::config::Settings;
use crate::server::Inherited;
use crate::server::clock;
use crate::wtp;

/// Runs until SIGINT or SIGTERM, then drains as `serve` does.
pub(super) fn run(handsets: u16, loss: u8, seed: u64) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new()
        .prefix("wapbridge-demo-")
        .tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let authority = Authority::generate()?;
    let sessions = sessions::of_handsets(handsets);
    let expected = sessions::messages(&sessions);
    let origin_log = Arc::new(MessageLog::new(expected, THINK).with_welcome(WELCOME));
    let origin = runtime.block_on(origin::start(&authority, origin_log))?;
    let place = Place {
        gateway: free_udp(9201)?,
        admin: free_tcp(9280)?,
        directory: directory.path(),
    };
    place.write(&authority, origin, &sessions)?;
    let path = place.directory.join("wapbridge.toml");
    let settings = Settings::load(&path)?;
    let inherited = Inherited::from_environment()?;
    let log = Log::start(&settings.log)?;
    runtime.block_on(async {
        let mut phones = JoinSet::new();
        for (phone, session) in sessions.iter().cloned().enumerate() {
            let seed = seed.wrapping_add(phone as u64);
            phones.spawn(keep_syncing(phone, session, place.gateway, (loss, seed)));
        }
        let help = place.help();
        let gateway = place.gateway;
        phones.spawn(async move {
            // The gateway answers, so the printed commands work.
            while session(gateway).await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            println!("{help}");
        });
        supervisor::run(path, settings, inherited, log.outputs()).await
    })
}

/// Addresses and files of the demo.
struct Place<'a> {
    gateway: SocketAddr,
    admin: SocketAddr,
    directory: &'a Path,
}

impl Place<'_> {
    fn write(
        &self,
        authority: &Authority,
        origin: SocketAddr,
        sessions: &[Vec<Exchange>],
    ) -> anyhow::Result<()> {
        let token = format!("{:016x}{:016x}", clock::seed()?, clock::seed()?);
        let configuration = format!(
            "[listen]\nconnection_mode = \"{}\"\n\n[admin]\nlisten = \"{}\"\ntoken_file = \"token\"\n\n\
             [tls]\nca_file = \"ca.pem\"\n\n[log]\nlevel = \"warn\"\naccess = \"off\"\n\n\
             [server]\ndrain_timeout = \"3s\"\n\n\
             [[route]]\nmatch = \"http://sync.example.com/\"\nupstream = \"https://localhost:{}/\"\ntimeout = \"2s\"\n",
            self.gateway,
            self.admin,
            origin.port()
        );
        let message = sessions
            .iter()
            .flatten()
            .find(|exchange| exchange.is_wbxml());
        let message = message.map_or(&[][..], |exchange| exchange.request);
        for (name, octets) in [
            ("ca.pem", authority.pem.as_bytes()),
            ("token", token.as_bytes()),
            ("wapbridge.toml", configuration.as_bytes()),
            ("message.wbxml", message),
        ] {
            crate::cli::admin_client::write_private(&self.directory.join(name), octets)?;
        }
        Ok(())
    }

    /// The commands to try.
    fn help(&self) -> String {
        let Self {
            gateway,
            admin,
            directory,
        } = self;
        let directory = directory.display();
        format!(
            "The gateway runs at {gateway}, with an HTTPS origin and handsets that sync with it.\n\
             Its page is http://{admin}/. Ctrl-C ends everything.\n\n\
             Try, in another terminal:\n\n  \
             wapbridge get --gateway {gateway} -v http://sync.example.com/\n  \
             wapbridge top --admin http://{admin}\n  \
             wapbridge trace --admin http://{admin} --token-file {directory}/token --ip 127.0.0.1\n\n\
             Sample files (wapbridge.toml, ca.pem, message.wbxml) are in {directory}."
        )
    }
}

/// Syncs a session from its beginning to its end, again and again.
async fn keep_syncing(
    phone: usize,
    session: Vec<Exchange>,
    gateway: SocketAddr,
    network: (u8, u64),
) {
    loop {
        // A handset that fails, as one may on a bad network, tries again later.
        let _ = sync(phone, &session, gateway, network).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn sync(
    phone: usize,
    exchanges: &[Exchange],
    gateway: SocketAddr,
    (loss, seed): (u8, u64),
) -> Result<(), ClientError> {
    let client = Client::open(gateway, handset_config(wtp::Config::ip())).await?;
    let mut client = client.impaired_by(Impairment::new(impairment(loss, 10), seed));
    client.connect(TIMEOUT).await?;
    for exchange in exchanges {
        exchange.send(&mut client, phone, TIMEOUT).await?;
        tokio::time::sleep(THINK).await;
    }
    Ok(client.disconnect().await?)
}

/// Sets up a session and ends it.
async fn session(gateway: SocketAddr) -> Result<(), ClientError> {
    let mut client = Client::open(gateway, handset_config(wtp::Config::ip())).await?;
    client.connect(TIMEOUT).await?;
    Ok(client.disconnect().await?)
}

/// The usual port if it is free, else any.
fn free_udp(usual: u16) -> anyhow::Result<SocketAddr> {
    let bind = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    let socket = bind(usual).or_else(|_| bind(0));
    let socket = socket.context("no UDP port of 127.0.0.1 is free")?;
    Ok(socket.local_addr()?)
}

fn free_tcp(usual: u16) -> anyhow::Result<SocketAddr> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = bind(usual).or_else(|_| bind(0));
    let listener = listener.context("no TCP port of 127.0.0.1 is free")?;
    Ok(listener.local_addr()?)
}

/// The origin's reply to requests that are no message of a session.
const WELCOME: &str = "Hello from the origin of `wapbridge demo --stay`.\n";
/// Between two messages of a handset, and the time in which the origin answers.
const THINK: Duration = Duration::from_millis(300);
/// The pause between two sessions of a handset, and between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// The time limit for one answer.
const TIMEOUT: Duration = Duration::from_secs(60);
