//! A handset on a UDP socket, for the command-line tools.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::cli::impairment::{Direction, Impairment};
use crate::cli::secure::{SecureClient, SecureProblem};
use crate::handset::{Config, Event, Failure, Handset, Reply, Request, Ticket};
use crate::server::clock::{self, Clock};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp;
use crate::wtp::{self, AbortReason, ProviderAbort};

/// A handset, its socket and its clock.
pub(super) struct Client {
    socket: UdpSocket,
    clock: Clock,
    handset: Handset,
    peer: Peer,
    observer: Option<PacketObserver>,
    wait_observer: Option<WaitObserver>,
    asked: Option<Ticket>,
    first_result: Option<Instant>,
    heard: u64,
    impairment: Option<Impairment>,
    secure: Option<SecureClient>,
    received: Vec<u8>,
    sent: Vec<u8>,
}

/// Called with every datagram: its time, its direction, its octets.
pub(super) type PacketObserver = Box<dyn FnMut(Instant, Direction, &[u8]) + Send>;

/// Called now and then during a wait, with its reason and its time so far.
pub(super) type WaitObserver = Box<dyn FnMut(Duration, Wait) + Send>;

/// The reason of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// No datagram came from the gateway yet.
    Gateway,
    /// The gateway has the request; its answer depends on the server.
    Server,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The socket failed.
    #[error("the socket failed")]
    Socket(#[from] io::Error),
    /// The host reports that the port is closed.
    #[error(
        "nobody listens there: the host refuses UDP on this port; start the gateway (wapbridge serve), or \
         name its port with --gateway HOST:PORT"
    )]
    NobodyListens,
    /// No datagram came.
    #[error(
        "no datagram came in {} s; check that this is the gateway's address and its port for WSP over WTP \
         (9201 if not configured), that it runs, and that no firewall drops UDP, in either direction",
        .0.as_secs()
    )]
    Silence(Duration),
    /// The gateway sent datagrams, and no answer to the request.
    #[error(
        "the gateway is there but gave no answer in {} s; its log names the outcome of the request; or wait \
         longer with --timeout",
        .0.as_secs()
    )]
    NoAnswer(Duration),
    /// The session was refused.
    #[error("the gateway refused the session with status {status}{hint}", status = .0, hint = refusal(*.0))]
    Refused(u16),
    /// The gateway redirects to another one.
    #[error("the gateway redirects to another one; name that with --gateway")]
    Redirected,
    /// The session or the request ended without an answer.
    #[error("{failure}{hint}", failure = .0, hint = remedy(.0))]
    Failed(#[from] Failure),
    /// The gateway ended the session.
    #[error("the gateway ended the session")]
    Disconnected,
    /// There is no secure connection.
    #[error(transparent)]
    Secure(#[from] SecureProblem),
}

impl Client {
    /// A handset that talks to `gateway` from a port of its own.
    pub(super) async fn open(gateway: SocketAddr, config: Config) -> io::Result<Self> {
        let any: SocketAddr = if gateway.is_ipv4() {
            (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(gateway).await?;
        let peer = Peer::new(gateway, socket.local_addr()?);
        let clock = Clock::start();
        Ok(Self {
            handset: Handset::new(config, peer, clock::seed()?, clock.now()),
            socket,
            clock,
            peer,
            observer: None,
            wait_observer: None,
            asked: None,
            first_result: None,
            heard: 0,
            impairment: None,
            secure: None,
            received: vec![0; 64 * 1024],
            sent: Vec::new(),
        })
    }

    /// Shows every datagram to `observer`.
    pub(super) fn observe_packets(mut self, observer: PacketObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Calls `wait_observer` during long waits.
    pub(super) fn observe_waits(mut self, wait_observer: WaitObserver) -> Self {
        self.wait_observer = Some(wait_observer);
        self
    }

    /// Lets every datagram pass through `impairment`. An observer sees them between it and the
    /// gateway.
    pub(super) fn impaired_by(mut self, impairment: Impairment) -> Self {
        self.impairment = Some(impairment);
        self
    }

    /// Speaks WTLS.
    pub(super) fn secured_by(mut self, secure: Option<SecureClient>) -> Self {
        self.secure = secure;
        self
    }

    /// Sets up a session.
    pub(super) async fn connect(&mut self, timeout: Duration) -> Result<(), ClientError> {
        if let Some(secure) = &mut self.secure {
            secure.connect(self.clock.now());
        }
        self.handset.connect(self.clock.now());
        loop {
            match self.event(timeout).await? {
                Event::Connected(_) => return Ok(()),
                Event::Refused(status) => return Err(ClientError::Refused(status)),
                Event::Redirected(..) => return Err(ClientError::Redirected),
                Event::ConnectFailed(failure) => return Err(failure.into()),
                // A late event of an earlier session.
                Event::Disconnected | Event::Replied(..) | Event::Failed(..) | Event::Pushed(_) => {
                }
            }
        }
    }

    /// Whether the handset has a session.
    pub(super) const fn is_connected(&self) -> bool {
        self.handset.is_connected()
    }

    /// Sends a request and waits for its reply.
    pub(super) async fn request(
        &mut self,
        request: &Request<'_>,
        timeout: Duration,
    ) -> Result<Reply, ClientError> {
        let ticket = self.submit(request);
        self.reply(ticket, timeout).await
    }

    /// Sends a request; [`Self::reply`] is to be called next.
    pub(super) fn submit(&mut self, request: &Request<'_>) -> Ticket {
        let ticket = self.handset.request(self.clock.now(), request);
        self.asked = Some(ticket);
        self.first_result = None;
        ticket
    }

    /// Waits for the reply to a request.
    pub(super) async fn reply(
        &mut self,
        ticket: Ticket,
        timeout: Duration,
    ) -> Result<Reply, ClientError> {
        loop {
            match self.event(timeout).await? {
                Event::Replied(answered, reply) if answered == ticket => return Ok(reply),
                Event::Failed(failed, failure) if failed == ticket => return Err(failure.into()),
                Event::Disconnected => return Err(ClientError::Disconnected),
                _ => {}
            }
        }
    }

    /// Aborts a request whose reply is no longer wanted.
    pub(super) async fn abort(&mut self, ticket: Ticket) -> io::Result<()> {
        self.handset.abort(self.clock.now(), ticket);
        self.drain().await
    }

    /// Keeps the handset alive without a request until the socket fails: acknowledges repeated
    /// PDUs, and receives the end of the session. May be dropped at any time.
    pub(super) async fn idle(&mut self) -> ClientError {
        loop {
            while self.handset.poll_event().is_some() {}
            let until = self.clock.now() + LONG;
            if let Err(error) = self.turn(until).await {
                return error;
            }
        }
    }

    /// Ends the session: sends a Disconnect and all waiting PDUs, without a wait for answers.
    pub(super) async fn disconnect(&mut self) -> io::Result<()> {
        self.handset.disconnect(self.clock.now());
        self.drain().await
    }

    /// Aborts the request, so that the gateway need not wait for the server, and ends the session.
    pub(super) async fn give_up(&mut self) -> io::Result<()> {
        if let Some(ticket) = self.asked.take() {
            self.handset.abort(self.clock.now(), ticket);
        }
        self.disconnect().await
    }

    /// The time at which the first packet of the reply to the last request came.
    pub(super) const fn first_result(&self) -> Option<Instant> {
        self.first_result
    }

    /// The transaction layer's counters.
    pub(super) const fn stats(&self) -> &wtp::Stats {
        self.handset.stats()
    }

    /// Handles datagrams for a while without a request, to repeat a lost acknowledgement.
    pub(super) async fn linger(&mut self, time: Duration) -> Result<(), ClientError> {
        let until = self.clock.now() + time;
        while !self.handset.is_idle() && self.turn(until).await? {}
        Ok(())
    }

    /// Waits for the next event.
    async fn event(&mut self, timeout: Duration) -> Result<Event, ClientError> {
        let began = self.clock.now();
        let until = began + timeout;
        let mut note = began + FIRST_NOTE;
        loop {
            self.drain().await?;
            if let Some(problem) = self.secure.as_mut().and_then(SecureClient::problem) {
                return Err(problem.into());
            }
            match self.handset.poll_event() {
                Some(
                    Event::ConnectFailed(Failure::Transaction(AbortReason::Unanswered))
                    | Event::Failed(_, Failure::Transaction(AbortReason::Unanswered)),
                ) => return Err(self.silence(self.clock.now() - began)),
                Some(event) => return Ok(event),
                None => {}
            }
            if !self.turn(until.min(note)).await? {
                let waited = self.clock.now() - began;
                if waited >= timeout {
                    return Err(self.silence(waited));
                }
                note = self.clock.now() + NEXT_NOTE;
                let wait = match self.asked.is_some() && self.asked == self.handset.confirmed() {
                    true => Wait::Server,
                    false => Wait::Gateway,
                };
                if let Some(wait_observer) = &mut self.wait_observer {
                    wait_observer(waited, wait);
                }
            }
        }
    }

    const fn silence(&self, waited: Duration) -> ClientError {
        match self.heard {
            0 => ClientError::Silence(waited),
            _ => ClientError::NoAnswer(waited),
        }
    }

    /// Waits for a datagram or a timer and handles it; false when `until` came first.
    async fn turn(&mut self, until: Instant) -> Result<bool, ClientError> {
        if self.clock.now() >= until {
            return Ok(false);
        }
        let arrival = self.impairment.as_ref().and_then(Impairment::next);
        let secure = self.secure.as_ref().and_then(SecureClient::poll_timeout);
        let wake = [self.handset.poll_timeout(), arrival, secure]
            .into_iter()
            .flatten()
            .fold(until, Instant::min);
        tokio::select! {
            received = self.socket.recv(&mut self.received) => match received {
                Ok(len) => {
                    self.heard += 1;
                    let now = self.clock.now();
                    let octets = self.received.get(..len).unwrap_or_default();
                    match &mut self.impairment {
                        Some(impairment) => impairment.carry(now, Direction::In, octets),
                        None => {
                            let octets = octets.to_vec();
                            self.hear(now, &octets);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && self.heard == 0 => {
                    return Err(ClientError::NobodyListens);
                }
                // The port is closed at the moment. The handset retransmits.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            },
            () = tokio::time::sleep_until(self.clock.system(wake).into()) => {
                let now = self.clock.now();
                if let Some(secure) = &mut self.secure {
                    secure.handle_timeout(now);
                }
                self.handset.handle_timeout(now);
            }
        }
        self.drain().await?;
        Ok(true)
    }

    /// Delivers received datagrams through the impaired network, and sends the handset's datagrams.
    async fn drain(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        while let Some((direction, octets)) = self.arrived(now) {
            match direction {
                Direction::In => self.hear(now, &octets),
                Direction::Out => self.send(&octets).await?,
            }
        }
        loop {
            let mut sent = std::mem::take(&mut self.sent);
            sent.clear();
            let found = match &mut self.secure {
                Some(secure) => secure.poll_transmit(&mut self.handset, &mut sent, |plain| {
                    if let Some(observer) = &mut self.observer {
                        observer(now, Direction::Out, plain);
                    }
                }),
                None => self.handset.poll_transmit(&mut sent).is_some(),
            };
            if !found {
                self.sent = sent;
                return Ok(());
            }
            match &mut self.impairment {
                Some(impairment) => impairment.carry(self.clock.now(), Direction::Out, &sent),
                None => self.send(&sent).await?,
            }
            self.sent = sent;
        }
    }

    fn arrived(&mut self, now: Instant) -> Option<(Direction, Vec<u8>)> {
        self.impairment.as_mut()?.arrived(now)
    }

    /// A datagram reached the handset.
    fn hear(&mut self, now: Instant, octets: &[u8]) {
        let Self {
            secure,
            observer,
            handset,
            peer,
            asked,
            first_result,
            ..
        } = self;
        let mut hear = |octets: &[u8]| {
            if asked.is_some() && first_result.is_none() && wtp::has_result(octets) {
                *first_result = Some(now);
            }
            if let Some(observer) = observer {
                observer(now, Direction::In, octets);
            }
            handset.handle_datagram(now, *peer, octets);
        };
        match secure {
            Some(secure) => secure.handle_datagram(now, octets, hear),
            None => hear(octets),
        }
    }

    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        // With WTLS the observer has seen the content before its encryption.
        if let (Some(observer), None) = (&mut self.observer, &self.secure) {
            observer(self.clock.now(), Direction::Out, octets);
        }
        match self.socket.send(octets).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The pause after a refusal by the host.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// A remedy for a failure, if there is one.
fn remedy(failure: &Failure) -> &'static str {
    match *failure {
        Failure::Aborted(reason) if reason == wsp::AbortReason::MRUEXCEEDED => TOO_LARGE,
        Failure::Transaction(AbortReason::Provider(ProviderAbort::MESSAGETOOLARGE)) => TOO_LARGE,
        Failure::Aborted(reason) if reason == wsp::AbortReason::DISCONNECT => {
            ": the session is unknown there, perhaps after a restart; try again"
        }
        Failure::Aborted(reason) if reason == wsp::AbortReason::CONGESTION => FULL,
        Failure::Transaction(AbortReason::Provider(ProviderAbort::CAPTEMPEXCEEDED)) => FULL,
        _ => "",
    }
}

const TOO_LARGE: &str =
    ": the message is larger than the gateway takes; raise max_message in its [limits]";
const FULL: &str = ": the gateway is full; try again later, or raise its [limits]";

const fn refusal(status: u16) -> &'static str {
    match status {
        503 => ": it is stopping; try again later",
        _ => "",
    }
}

/// The interval at which a wait is explained.
const FIRST_NOTE: Duration = Duration::from_secs(3);
const NEXT_NOTE: Duration = Duration::from_secs(10);
/// The longest single wait for a datagram.
const LONG: Duration = Duration::from_secs(3600);
