//! WTLS between the sockets of a shard and its core.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::{debug, warn};

use crate::server::clock;
use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Transmit};
use crate::wtls::{self, Config, Endpoint, SessionChange};

/// Counters of WTLS.
pub type SecureStats = wtls::Stats;
/// A change of a WTLS session, for the other shards.
pub(in crate::server) type SecureSession = SessionChange;
/// Settings of WTLS. Limits are for all shards together; each shard gets its share.
pub type SecureSettings = Arc<Config>;

/// The secure ports and their settings.
#[derive(Clone, Debug, Default)]
pub struct Secure {
    /// Addresses for WSP over WTP in WTLS records.
    pub connection_mode: Vec<SocketAddr>,
    /// Addresses for bare WSP in WTLS records.
    pub connectionless: Vec<SocketAddr>,
    /// Settings of handshakes and connections.
    pub settings: SecureSettings,
}

impl Secure {
    const fn is_used(&self) -> bool {
        !self.connection_mode.is_empty() || !self.connectionless.is_empty()
    }
}

/// WTLS of one shard.
pub(in crate::server) struct SecureLayer {
    endpoint: Endpoint,
    key_log: Option<File>,
    sealed: Vec<u8>,
}

impl SecureLayer {
    /// WTLS of one of so many shards, if there are ports for it.
    pub(in crate::server) fn new(
        secure: &Secure,
        shards: usize,
        epoch: u64,
    ) -> io::Result<Option<Self>> {
        if !secure.is_used() {
            return Ok(None);
        }
        let config = Arc::new(secure.settings.share(shards));
        let key_log = open_key_log()?;
        let mut endpoint = Endpoint::new(config, clock::secret_seed()?, Some(epoch));
        if key_log.is_some() {
            endpoint = endpoint.revealing_secrets();
        }
        Ok(Some(Self {
            endpoint,
            key_log,
            sealed: Vec::new(),
        }))
    }

    /// A datagram of a secure port arrived. The datagrams inside its records go to `hear`.
    pub(in crate::server) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        mut hear: impl FnMut(Datagram<'_>),
    ) {
        self.endpoint.handle_datagram(now, datagram);
        while let Some(opened) = self.endpoint.poll_datagram() {
            hear(Datagram {
                peer: opened.peer,
                service: opened.service,
                payload: &opened.payload,
            });
        }
        while let Some(secrets) = self.endpoint.poll_secrets() {
            self.log_secrets(&secrets);
        }
    }

    /// A session that the other shards have to know. A shard that misses one makes a full
    /// handshake.
    pub(in crate::server) fn poll_session_change(&mut self) -> Option<SessionChange> {
        self.endpoint.poll_session_change()
    }

    fn log_secrets(&mut self, secrets: &wtls::Secrets) {
        let Some(file) = &mut self.key_log else {
            return;
        };
        if let Err(error) = file.write_all(secrets.line().as_bytes()) {
            debug!(%error, "the key log cannot be written");
        }
    }

    /// Another shard made or ended a session.
    pub(in crate::server) fn handle_session_change(&mut self, now: Instant, change: SessionChange) {
        self.endpoint.handle_session_change(now, change);
    }

    /// New handshakes use these settings, of which each shard was given its share.
    pub(in crate::server) fn set_config(&mut self, settings: &SecureSettings) {
        self.endpoint.set_config(Arc::clone(settings));
    }

    /// Appends the next datagram of the handshakes and alerts.
    pub(in crate::server) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.endpoint.poll_transmit(buf)
    }

    /// Replaces the datagram in `buf` from `begin` on by its record. Without a connection the
    /// datagram is discarded.
    pub(in crate::server) fn seal(
        &mut self,
        now: Instant,
        peer: Peer,
        begin: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        self.sealed.clear();
        let plain = buf.get(begin..).unwrap_or_default();
        let transmit = self.endpoint.seal(now, peer, plain, &mut self.sealed);
        buf.truncate(begin);
        buf.extend_from_slice(&self.sealed);
        transmit
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub(in crate::server) fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    pub(in crate::server) fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    pub(in crate::server) fn stats(&self) -> SecureStats {
        self.endpoint.stats()
    }
}

/// The file that `WAPBRIDGE_KEYLOG` names, to which every master secret is written.
fn open_key_log() -> io::Result<Option<File>> {
    let Some(path) = std::env::var_os(KEY_LOG) else {
        return Ok(None);
    };
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    warn!(
        path = %path.display(),
        "{KEY_LOG} is set: the secrets of every WTLS connection are written to this file, and whoever has it reads all"
    );
    Ok(Some(file))
}

/// The variable of the environment that names the key log.
const KEY_LOG: &str = "WAPBRIDGE_KEYLOG";
