//! Attempts over the air: to the shards, which have the sessions and the sockets, to terminals that
//! have servers of their own, and to the bearer of short messages.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::terminal;
use crate::gateway::delivery::{Attempt, Sockets, Step, is_of_one_host};
use crate::identity::Identity;
use crate::initiator::TerminalSettings;
use crate::push::capabilities::Capabilities;
use crate::push::terminal::Exchange;
use crate::push::{Address, Bearer, Deliver, Outcome, Recipient};
use crate::server::shards::Shards;
use crate::server::sms::ShortMessages;
use crate::server::subscribers::Numbers;
use crate::wdp::Service;

/// The ways to clients. Clones lead the same ways.
#[derive(Clone, Debug)]
pub(super) struct Bearers {
    shards: Shards,
    sockets: Sockets,
    numbers: Arc<Numbers>,
    sms: Option<ShortMessages>,
    /// Clients with servers of OTA-HTTP, if there are any.
    terminals: Option<Arc<TerminalSettings>>,
}

impl Bearers {
    pub(super) fn new(
        shards: Shards,
        addresses: &[(Service, SocketAddr)],
        numbers: Arc<Numbers>,
        sms: Option<ShortMessages>,
    ) -> Self {
        let own = |is_v4: bool| {
            let mut fitting = addresses
                .iter()
                .filter(|(_, address)| address.is_ipv4() == is_v4);
            let connectionless = fitting
                .clone()
                .find(|(service, _)| *service == Service::Connectionless);
            connectionless
                .or_else(|| fitting.next())
                .map(|(_, address)| *address)
        };
        Self {
            sockets: Sockets {
                shards: shards.count(),
                v4: own(true),
                v6: own(false),
            },
            shards,
            numbers,
            sms,
            terminals: None,
        }
    }

    /// The recipient as the access network knows it at this moment.
    pub(super) fn identity(&self, recipient: &Recipient) -> Option<Arc<Identity>> {
        match recipient.address() {
            Address::Ip(address) => self.numbers.identity_at(*address),
            Address::Plmn(name) | Address::User(name) => self.numbers.identity_of(name.reveal()),
        }
    }

    /// The capabilities of a recipient's client by its Connect, if the client has a session.
    pub(super) async fn capabilities(&self, recipient: &Recipient) -> Option<Capabilities> {
        let address = self.ip(recipient.address())?;
        self.shards.capabilities(address).await
    }

    /// Uses these settings of terminals for the following attempts.
    pub(super) fn set_terminals(&mut self, terminals: Option<Arc<TerminalSettings>>) {
        self.terminals = terminals;
    }

    /// Makes an attempt.
    pub(super) async fn deliver(self, deliver: Deliver) -> Outcome {
        match deliver.bearer {
            Bearer::Session { .. } | Bearer::UdpConnectionless | Bearer::Sir => {
                self.by_shards(deliver).await
            }
            Bearer::Http => self.by_http(deliver).await,
            Bearer::Sms | Bearer::SirBySms => self.by_sms(deliver).await,
        }
    }

    fn ip(&self, address: &Address) -> Option<IpAddr> {
        match address {
            Address::Ip(address) => Some(*address),
            Address::Plmn(name) | Address::User(name) => self.numbers.address_of(name.reveal()),
        }
    }

    /// By the shards, which have the sessions and the sockets.
    async fn by_shards(&self, deliver: Deliver) -> Outcome {
        let address = self.ip(deliver.recipient.address());
        let mut attempt = Attempt::new(deliver, address, &self.sockets);
        loop {
            match attempt.step() {
                Step::Ask(shard, push) => attempt.answered(self.shards.push(shard, push).await),
                Step::Over(outcome) => return outcome,
            }
        }
    }

    async fn by_http(&self, deliver: Deliver) -> Outcome {
        let address = self.ip(deliver.recipient.address());
        let (Some(address), Some(terminals)) = (address, &self.terminals) else {
            return Outcome::Unreachable;
        };
        let mut networks = terminals.networks.iter();
        if !is_of_one_host(address) || !networks.any(|network| network.contains(address)) {
            return Outcome::Unreachable;
        }
        let mut names = match deliver.recipient.address() {
            Address::Plmn(name) | Address::User(name) => vec![name.reveal().to_owned()],
            Address::Ip(_) => Vec::new(),
        };
        if let Some(identity) = self.identity(&deliver.recipient) {
            let known = [
                &identity.msisdn,
                &identity.alias,
                &identity.imsi,
                &identity.imei,
            ];
            let known = known.into_iter().flatten();
            names.extend(known.map(|name| name.reveal().to_owned()));
        }
        let presentation = Arc::clone(&terminals.presentation);
        let exchange = Exchange::new(presentation, deliver.message, names);
        terminal::push(terminals, address, exchange).await
    }

    async fn by_sms(&self, deliver: Deliver) -> Outcome {
        let number = match deliver.recipient.address() {
            Address::Plmn(number) => Some(number.reveal().to_owned()),
            Address::User(name) => self.numbers.number_of(name.reveal()),
            Address::Ip(_) => None,
        };
        let (Some(number), Some(sms)) = (number, &self.sms) else {
            return Outcome::Unreachable;
        };
        sms.deliver(&number, &deliver).await
    }
}
