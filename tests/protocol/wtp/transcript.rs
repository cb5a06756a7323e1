//! One WTP endpoint, the moment it is at, and what it says to what it hears.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wtp::{AbortReason, Class, Config, Endpoint, Handle, Indication, ProviderAbort};

pub(crate) struct Transcript {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Instant,
    start: Instant,
    said: VecDeque<Vec<u8>>,
}

pub(crate) fn peer(port: u16) -> Peer {
    let remote = SocketAddr::from(([192, 0, 2, 7], port));
    Peer::new(remote, SocketAddr::from(([198, 51, 100, 1], 9201)))
}

impl Transcript {
    /// An endpoint that has run long enough to trust peers it has not heard of.
    pub(crate) fn new(config: Config) -> Self {
        let start = Instant::ZERO + Duration::from_secs(1000);
        Self {
            endpoint: Endpoint::new(config, 7, Instant::ZERO),
            now: start,
            start,
            said: VecDeque::new(),
        }
    }

    /// An endpoint that announces nothing, for octets that can be written down.
    pub(crate) fn terse() -> Self {
        Self::new(Config {
            receive_group: None,
            ..Config::ip()
        })
    }

    /// Time passes to `millis` after the start; timers go off on the way.
    pub(crate) fn at(&mut self, millis: u64) -> &mut Self {
        let until = self.start + Duration::from_millis(millis);
        while let Some(due) = self.endpoint.poll_timeout().filter(|&due| due <= until) {
            self.now = due;
            self.endpoint.handle_timeout(due);
            self.collect();
        }
        self.now = until;
        self
    }

    pub(crate) fn hears(&mut self, octets: &[u8]) -> &mut Self {
        self.hears_from(49_152, octets)
    }

    pub(crate) fn hears_from(&mut self, port: u16, octets: &[u8]) -> &mut Self {
        self.endpoint.handle_datagram(self.now, peer(port), octets);
        self.collect();
        self
    }

    /// The next datagram it said is this one.
    pub(crate) fn says(&mut self, octets: &[u8]) -> &mut Self {
        assert_eq!(self.heard(), octets);
        self
    }

    /// It said nothing more.
    pub(crate) fn says_nothing(&mut self) -> &mut Self {
        self.collect();
        assert_eq!(self.said, VecDeque::<Vec<u8>>::new());
        self
    }

    /// The next datagram it said.
    pub(crate) fn heard(&mut self) -> Vec<u8> {
        self.collect();
        self.said.pop_front().expect("it says something")
    }

    /// All datagrams it said.
    pub(crate) fn all_heard(&mut self) -> Vec<Vec<u8>> {
        self.collect();
        self.said.drain(..).collect()
    }

    pub(crate) fn indication(&mut self) -> Indication {
        self.endpoint.poll_indication().expect("an indication")
    }

    pub(crate) fn indicates_nothing(&mut self) -> &mut Self {
        assert_eq!(self.endpoint.poll_indication(), None);
        self
    }

    /// TR-Invoke.ind with these data.
    pub(crate) fn invoked(&mut self, expected: &[u8]) -> Handle {
        match self.indication() {
            Indication::Invoke { handle, data, .. } => {
                assert_eq!(data, expected);
                handle
            }
            other => panic!("{other:?}"),
        }
    }

    /// TR-Invoke.cnf with this exit info.
    pub(crate) fn invoke_confirmed(&mut self, expected: &[u8]) -> &mut Self {
        match self.indication() {
            Indication::InvokeConfirmed { exit_info, .. } => assert_eq!(exit_info, expected),
            other => panic!("{other:?}"),
        }
        self
    }

    /// TR-Result.ind with these data.
    pub(crate) fn resulted(&mut self, expected: &[u8]) -> Handle {
        match self.indication() {
            Indication::Result { handle, data, .. } => {
                assert_eq!(data, expected);
                handle
            }
            other => panic!("{other:?}"),
        }
    }

    /// TR-Result.cnf with this exit info.
    pub(crate) fn result_confirmed(&mut self, expected: &[u8]) -> &mut Self {
        match self.indication() {
            Indication::ResultConfirmed { exit_info, .. } => assert_eq!(exit_info, expected),
            other => panic!("{other:?}"),
        }
        self
    }

    /// TR-Abort.ind for this reason.
    pub(crate) fn aborted(&mut self, expected: AbortReason) -> &mut Self {
        match self.indication() {
            Indication::Abort { reason, .. } => assert_eq!(reason, expected),
            other => panic!("{other:?}"),
        }
        self
    }

    pub(crate) fn provider_aborted(&mut self, expected: ProviderAbort) -> &mut Self {
        self.aborted(AbortReason::Provider(expected))
    }

    pub(crate) fn invokes(&mut self, class: Class, user_ack: bool, data: &[u8]) -> Handle {
        let data = Bytes::copy_from_slice(data);
        let handle = self
            .endpoint
            .invoke(self.now, peer(49_152), class, user_ack, data);
        self.collect();
        handle.expect("there is room")
    }

    pub(crate) fn results(&mut self, handle: Handle, data: &[u8]) -> &mut Self {
        self.endpoint
            .result(self.now, handle, Bytes::copy_from_slice(data));
        self
    }

    pub(crate) fn accepts(&mut self, handle: Handle, exit_info: &[u8]) -> &mut Self {
        self.endpoint.accept(self.now, handle, exit_info);
        self
    }

    pub(crate) fn acknowledges(&mut self, handle: Handle, exit_info: &[u8]) -> &mut Self {
        self.endpoint.acknowledge(self.now, handle, exit_info);
        self
    }

    /// Nothing is alive any more.
    pub(crate) fn is_over(&mut self) -> &mut Self {
        assert_eq!(self.endpoint.transactions(), 0);
        self
    }

    fn collect(&mut self) {
        let mut buf = Vec::new();
        while self.endpoint.poll_transmit(&mut buf).is_some() {
            self.said.push_back(std::mem::take(&mut buf));
        }
    }
}
