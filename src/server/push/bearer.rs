//! Attempts over the air: to the shards, which have the sessions and the sockets, to terminals that
//! have servers of their own, and to the bearer of short messages.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::terminal;
use crate::gateway::delivery::{Attempt, Sockets, Step, is_of_one_host};
use crate::identity::{Identity, Prefix};
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
        // A datagram in clear leaves by no secure port.
        let own = |is_v4: bool| {
            let of = |wanted: Service| {
                let mut all = addresses.iter();
                all.find(|(service, own)| *service == wanted && own.is_ipv4() == is_v4)
            };
            let found = of(Service::Connectionless).or_else(|| of(Service::ConnectionMode));
            found.map(|(_, address)| *address)
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
        for prefix in self.prefixes(recipient.address()) {
            let found = self.shards.capabilities(prefix.parts().0).await;
            if found.is_some() {
                return found;
            }
        }
        None
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

    fn prefixes(&self, address: &Address) -> Vec<Prefix> {
        match address {
            Address::Ip(address) => vec![Prefix::address(*address)],
            Address::Plmn(name) | Address::User(name) => self.numbers.prefixes_of(name.reveal()),
        }
    }

    /// The addresses that a datagram or a connection can go to: not that of a whole network.
    fn hosts(&self, address: &Address) -> Vec<IpAddr> {
        let prefixes = self.prefixes(address).into_iter();
        let hosts = prefixes.map(|prefix| (prefix, prefix.parts().0));
        let hosts = hosts.filter(|(prefix, host)| *prefix == Prefix::address(*host));
        hosts.map(|(_, host)| host).collect()
    }

    /// By the shards, which have the sessions and the sockets. Of several addresses the first one
    /// that is reached has the push.
    async fn by_shards(&self, deliver: Deliver) -> Outcome {
        let recipient = deliver.recipient.address();
        let addresses: Vec<IpAddr> = match deliver.bearer {
            Bearer::Session { .. } => {
                let prefixes = self.prefixes(recipient).into_iter();
                prefixes.map(|prefix| prefix.parts().0).collect()
            }
            _ => self.hosts(recipient),
        };
        let mut last = Outcome::Unreachable;
        for address in addresses {
            match self.by_shards_at(deliver.clone(), address).await {
                Outcome::Unreachable => {}
                Outcome::NotAgreed => last = Outcome::NotAgreed,
                outcome => return outcome,
            }
        }
        last
    }

    async fn by_shards_at(&self, deliver: Deliver, address: IpAddr) -> Outcome {
        let mut attempt = Attempt::new(deliver, Some(address), &self.sockets);
        loop {
            match attempt.step() {
                Step::Ask(shard, push) => attempt.answered(self.shards.push(shard, push).await),
                Step::Over(outcome) => return outcome,
            }
        }
    }

    async fn by_http(&self, deliver: Deliver) -> Outcome {
        let Some(terminals) = &self.terminals else {
            return Outcome::Unreachable;
        };
        let is_terminal = |address: &IpAddr| {
            let mut networks = terminals.networks.iter();
            is_of_one_host(*address) && networks.any(|network| network.contains(*address))
        };
        let hosts = self.hosts(deliver.recipient.address());
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
        let mut outcome = Outcome::Unreachable;
        for address in hosts.into_iter().filter(is_terminal) {
            let presentation = Arc::clone(&terminals.presentation);
            let message = Arc::clone(&deliver.message);
            let exchange = Exchange::new(presentation, message, names.clone());
            outcome = terminal::push(terminals, address, exchange).await;
            if !matches!(outcome, Outcome::Unreachable) {
                break;
            }
        }
        outcome
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
