//! WTLS for the tools: `--secure` and its options.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::config::wtls_certificates;
use crate::handset::Handset;
use crate::server::clock::{self, Clock};
use crate::time::Instant;
use crate::wtls::{
    CipherSuite, Client, ClientConfig, ClientEvent, KeyExchange, Problem, Stored, default_suites,
};

/// The cause of a failed handshake.
pub(super) type SecureProblem = Problem;

/// How to speak WTLS.
#[derive(Clone, Debug, Args)]
pub(super) struct SecureArgs {
    /// Speak WTLS, to port 9203 if the gateway is named without one.
    #[arg(long)]
    secure: bool,
    /// Authorities that may certify the gateway: PEM, or one certificate in binary. Without it the
    /// gateway stays anonymous: nobody can read along, but whoever sits between could.
    #[arg(long, value_name = "FILE", requires = "secure")]
    ca_file: Option<PathBuf>,
    /// The cipher and the MAC, such as RC5_CBC/SHA. Default: what the gateway takes, from the
    /// strongest on.
    #[arg(long, value_name = "CIPHER/MAC", requires = "secure", value_parser = suite)]
    suite: Option<CipherSuite>,
    /// Change keys every two to this power records.
    #[arg(long, value_name = "BITS", requires = "secure", default_value_t = KEY_REFRESH)]
    key_refresh: u8,
}

impl SecureArgs {
    /// The gateway's port if none is named.
    pub(super) const fn default_port(&self) -> u16 {
        match self.secure {
            true => 9203,
            false => 9201,
        }
    }

    /// The settings of a handset that speaks WTLS to `host`; `None` without `--secure`.
    pub(super) fn settings(&self, host: &str) -> anyhow::Result<Option<ClientConfig>> {
        if !self.secure {
            return Ok(None);
        }
        let mut authorities: Vec<Stored> = Vec::new();
        if let Some(file) = &self.ca_file {
            let octets = std::fs::read(file).with_context(|| file.display().to_string())?;
            for der in wtls_certificates(&octets) {
                let stored = Stored::new(&der).with_context(|| file.display().to_string())?;
                authorities.push(stored);
            }
            if authorities.is_empty() {
                bail!("{} has no certificate", file.display());
            }
        }
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        Ok(Some(ClientConfig {
            key_refresh: self.key_refresh,
            host: Some(host.trim_matches(['[', ']']).to_owned()),
            ..client_config(self.suite, authorities)
        }))
    }
}

/// WTLS of many handsets; the gateway stays anonymous.
#[derive(Clone, Debug, Args)]
pub(super) struct AnonymousArgs {
    /// Speak WTLS; each handset has a connection of its own.
    #[arg(long)]
    secure: bool,
    /// The cipher and the MAC, such as RC5_CBC/SHA. Default: what the gateway takes, from the
    /// strongest on.
    #[arg(long, value_name = "CIPHER/MAC", requires = "secure", value_parser = suite)]
    suite: Option<CipherSuite>,
}

impl AnonymousArgs {
    /// The gateway's port if none is named.
    pub(super) const fn default_port(&self, is_connectionless: bool) -> u16 {
        match (self.secure, is_connectionless) {
            (false, false) => 9201,
            (false, true) => 9200,
            (true, false) => 9203,
            (true, true) => 9202,
        }
    }

    /// The settings of handsets; `None` without `--secure`.
    pub(super) fn settings(&self) -> Option<ClientConfig> {
        self.secure.then(|| client_config(self.suite, Vec::new()))
    }
}

/// With authorities the gateway has to have a certificate of theirs, without it stays anonymous.
fn client_config(suite: Option<CipherSuite>, authorities: Vec<Stored>) -> ClientConfig {
    let key_exchanges = match authorities.is_empty() {
        true => vec![(KeyExchange::ECDH_ANON, 0), (KeyExchange::RSA_ANON, 0)],
        false => vec![(KeyExchange::RSA, 0)],
    };
    ClientConfig {
        key_exchanges,
        suites: suite.map_or_else(|| default_suites(56), |suite| vec![suite]),
        key_refresh: KEY_REFRESH,
        authorities: authorities.into(),
        host: None,
        epoch: Some(Clock::start().unix()),
        credentials: None,
        retry_interval: Duration::from_secs(2),
        max_retries: 8,
    }
}

/// Keys change every two to this power records, if nothing else is said.
const KEY_REFRESH: u8 = 7;

fn suite(text: &str) -> Result<CipherSuite, String> {
    CipherSuite::named(text).ok_or_else(|| format!("{text}: no such cipher and MAC"))
}

/// The client's side of WTLS under a handset.
#[derive(Debug)]
pub(super) struct SecureClient {
    client: Client,
    problem: Option<Problem>,
}

impl SecureClient {
    pub(super) fn new(settings: ClientConfig) -> std::io::Result<Self> {
        Ok(Self {
            client: Client::new(settings, clock::secret_seed()?),
            problem: None,
        })
    }

    /// Begins a handshake.
    pub(super) fn connect(&mut self, now: Instant) {
        self.client.connect(now);
    }

    /// A datagram arrived. The datagrams inside its records go to `hear`.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        octets: &[u8],
        mut hear: impl FnMut(&[u8]),
    ) {
        self.client.handle_datagram(now, octets);
        while let Some(plain) = self.client.poll_datagram() {
            hear(&plain);
        }
        self.take_events();
    }

    /// Appends the next datagram; false if there is none. `seen` gets each datagram before it goes
    /// into a record.
    pub(super) fn poll_transmit(
        &mut self,
        handset: &mut Handset,
        buf: &mut Vec<u8>,
        mut seen: impl FnMut(&[u8]),
    ) -> bool {
        loop {
            if let Some(datagram) = self.client.poll_transmit() {
                buf.extend_from_slice(&datagram);
                return true;
            }
            let mut plain = Vec::new();
            if handset.poll_transmit(&mut plain).is_none() {
                return false;
            }
            seen(&plain);
            self.client.send(plain);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        self.take_events();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    /// The cause of a failed handshake, once.
    pub(super) const fn problem(&mut self) -> Option<Problem> {
        self.problem.take()
    }

    fn take_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            if let ClientEvent::Failed(problem) = event {
                self.problem = Some(problem);
            }
        }
    }
}
