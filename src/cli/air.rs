//! A handset on a real socket: what the tools use to talk to a gateway.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::cli::weather::Weather;
use crate::handset::{Config, Event, Failure, Handset, Reply, Request, Ticket};
use crate::server::clock::{self, Clock};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp;
use crate::wtp::{self, AbortReason, ProviderAbort};

/// A handset, its socket and its clock.
pub(super) struct Air {
    socket: UdpSocket,
    clock: Clock,
    handset: Handset,
    peer: Peer,
    watcher: Option<Watcher>,
    patient: Option<Patient>,
    asked: Option<Ticket>,
    heard: u64,
    weather: Option<Weather>,
    received: Vec<u8>,
    sent: Vec<u8>,
}

/// Is shown every datagram: when, whether it came in, its octets.
pub(super) type Watcher = Box<dyn FnMut(Instant, Direction, &[u8]) + Send>;

/// Is told why nothing has happened yet, and for how long, every now and then.
pub(super) type Patient = Box<dyn FnMut(Duration, Wait) + Send>;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Any word from the gateway.
    Gateway,
    /// The gateway has the request; its answer depends on the server.
    Server,
}

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// From the gateway.
    In,
    /// To the gateway.
    Out,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AirError {
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Socket(#[from] io::Error),
    /// The host says that nobody listens.
    #[error(
        "nobody listens there: the host refuses UDP on this port; start the gateway (wapbridge serve), or \
         name its port with --gateway HOST:PORT"
    )]
    NobodyListens,
    /// Nothing at all was heard.
    #[error(
        "not a word in {} s; check that this is the gateway's address and its port for WSP over WTP \
         (9201 if not configured), that it runs, and that no firewall drops UDP, in either direction",
        .0.as_secs()
    )]
    Silence(Duration),
    /// The gateway was there and did not answer this.
    #[error(
        "the gateway spoke but gave no answer in {} s; look in its log what became of the request, or wait \
         longer with --timeout",
        .0.as_secs()
    )]
    NoAnswer(Duration),
    /// The session was refused.
    #[error("the gateway refused the session with status {status}{hint}", status = .0, hint = refusal(*.0))]
    Refused(u16),
    /// The gateway sends us elsewhere.
    #[error("the gateway redirects to another one; name that with --gateway")]
    Redirected,
    /// The session or the request ended without an answer.
    #[error("{failure}{hint}", failure = .0, hint = remedy(.0))]
    Failed(#[from] Failure),
    /// The gateway ended the session.
    #[error("the gateway ended the session")]
    Disconnected,
}

impl Air {
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
            watcher: None,
            patient: None,
            asked: None,
            heard: 0,
            weather: None,
            received: vec![0; 64 * 1024],
            sent: Vec::new(),
        })
    }

    /// Shows every datagram to `watcher`.
    pub(super) fn watched(mut self, watcher: Watcher) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// Tells `patient` when it takes long.
    pub(super) fn explained(mut self, patient: Patient) -> Self {
        self.patient = Some(patient);
        self
    }

    /// Lets every datagram pass through `weather`. A watcher sees them between it and the gateway.
    pub(super) fn under(mut self, weather: Weather) -> Self {
        self.weather = Some(weather);
        self
    }

    /// Sets up a session.
    pub(super) async fn connect(&mut self, patience: Duration) -> Result<(), AirError> {
        self.handset.connect(self.clock.now());
        loop {
            match self.event(patience).await? {
                Event::Connected(_) => return Ok(()),
                Event::Refused(status) => return Err(AirError::Refused(status)),
                Event::Redirected(..) => return Err(AirError::Redirected),
                Event::ConnectFailed(failure) => return Err(failure.into()),
                // What is still said of a session that was before.
                Event::Disconnected | Event::Replied(..) | Event::Failed(..) | Event::Pushed(_) => {
                }
            }
        }
    }

    /// Whether there is a session, as far as the handset knows.
    pub(super) const fn is_connected(&self) -> bool {
        self.handset.is_connected()
    }

    /// Sends a request and waits for its reply.
    pub(super) async fn request(
        &mut self,
        request: &Request<'_>,
        patience: Duration,
    ) -> Result<Reply, AirError> {
        let ticket = self.submit(request);
        self.reply(ticket, patience).await
    }

    /// Sends a request; [`Self::reply`] is to be called next.
    pub(super) fn submit(&mut self, request: &Request<'_>) -> Ticket {
        let ticket = self.handset.request(self.clock.now(), request);
        self.asked = Some(ticket);
        ticket
    }

    /// Waits for the reply to a request.
    pub(super) async fn reply(
        &mut self,
        ticket: Ticket,
        patience: Duration,
    ) -> Result<Reply, AirError> {
        loop {
            match self.event(patience).await? {
                Event::Replied(answered, reply) if answered == ticket => return Ok(reply),
                Event::Failed(failed, failure) if failed == ticket => return Err(failure.into()),
                Event::Disconnected => return Err(AirError::Disconnected),
                _ => {}
            }
        }
    }

    /// Tells the gateway that a reply is no longer wanted.
    pub(super) async fn abort(&mut self, ticket: Ticket) -> io::Result<()> {
        self.handset.abort(self.clock.now(), ticket);
        self.drain().await
    }

    /// Stays on the air without wanting anything, until the socket fails: answers what the gateway repeats,
    /// hears that it ends the session. May be dropped at any time.
    pub(super) async fn idle(&mut self) -> AirError {
        loop {
            while self.handset.poll_event().is_some() {}
            let until = self.clock.now() + LONG;
            if let Err(error) = self.turn(until).await {
                return error;
            }
        }
    }

    /// Ends the session: says what the handset still has to say and does not wait for an answer.
    pub(super) async fn disconnect(&mut self) -> io::Result<()> {
        self.handset.disconnect(self.clock.now());
        self.drain().await
    }

    /// Takes back what was asked, so that the gateway need not wait for the server, and ends the session.
    pub(super) async fn give_up(&mut self) -> io::Result<()> {
        if let Some(ticket) = self.asked.take() {
            self.handset.abort(self.clock.now(), ticket);
        }
        self.disconnect().await
    }

    /// The transaction layer's counters.
    pub(super) const fn stats(&self) -> &wtp::Stats {
        self.handset.stats()
    }

    /// Stays on the air for a while without wanting anything, to repeat a lost acknowledgement.
    pub(super) async fn linger(&mut self, time: Duration) -> Result<(), AirError> {
        let until = self.clock.now() + time;
        while !self.handset.is_idle() && self.turn(until).await? {}
        Ok(())
    }

    /// Runs until something happens.
    async fn event(&mut self, patience: Duration) -> Result<Event, AirError> {
        let began = self.clock.now();
        let until = began + patience;
        let mut note = began + FIRST_NOTE;
        loop {
            self.drain().await?;
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
                if waited >= patience {
                    return Err(self.silence(waited));
                }
                note = self.clock.now() + NEXT_NOTE;
                let wait = match self.asked.is_some() && self.asked == self.handset.confirmed() {
                    true => Wait::Server,
                    false => Wait::Gateway,
                };
                if let Some(patient) = &mut self.patient {
                    patient(waited, wait);
                }
            }
        }
    }

    const fn silence(&self, waited: Duration) -> AirError {
        match self.heard {
            0 => AirError::Silence(waited),
            _ => AirError::NoAnswer(waited),
        }
    }

    /// Waits for a datagram or a timer and handles it; false when `until` came first.
    async fn turn(&mut self, until: Instant) -> Result<bool, AirError> {
        if self.clock.now() >= until {
            return Ok(false);
        }
        let arrival = self.weather.as_ref().and_then(Weather::next);
        let wake = [self.handset.poll_timeout(), arrival]
            .into_iter()
            .flatten()
            .fold(until, Instant::min);
        tokio::select! {
            received = self.socket.recv(&mut self.received) => match received {
                Ok(len) => {
                    self.heard += 1;
                    let now = self.clock.now();
                    let octets = self.received.get(..len).unwrap_or_default();
                    if let Some(watcher) = &mut self.watcher {
                        watcher(now, Direction::In, octets);
                    }
                    match &mut self.weather {
                        Some(weather) => weather.carry(now, Direction::In, octets),
                        None => self.handset.handle_datagram(now, self.peer, octets),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && self.heard == 0 => {
                    return Err(AirError::NobodyListens);
                }
                // Nobody listens there any more; perhaps again soon: retransmission is our answer to that.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            },
            () = tokio::time::sleep_until(self.clock.system(wake).into()) => {
                self.handset.handle_timeout(self.clock.now());
            }
        }
        self.drain().await?;
        Ok(true)
    }

    /// Delivers what has arrived through the weather, and sends what the handset has to say.
    async fn drain(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        while let Some((direction, octets)) = self.arrived(now) {
            match direction {
                Direction::In => self.handset.handle_datagram(now, self.peer, &octets),
                Direction::Out => self.send(&octets).await?,
            }
        }
        loop {
            let mut sent = std::mem::take(&mut self.sent);
            sent.clear();
            if self.handset.poll_transmit(&mut sent).is_none() {
                self.sent = sent;
                return Ok(());
            }
            match &mut self.weather {
                Some(weather) => weather.carry(self.clock.now(), Direction::Out, &sent),
                None => self.send(&sent).await?,
            }
            self.sent = sent;
        }
    }

    fn arrived(&mut self, now: Instant) -> Option<(Direction, Vec<u8>)> {
        self.weather.as_mut()?.arrived(now)
    }

    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if let Some(watcher) = &mut self.watcher {
            watcher(self.clock.now(), Direction::Out, octets);
        }
        match self.socket.send(octets).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How long a refusal by the host is looked at before listening again.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// What can be done about a failure, where something can.
fn remedy(failure: &Failure) -> &'static str {
    match *failure {
        Failure::Aborted(reason) if reason == wsp::AbortReason::MRUEXCEEDED => TOO_LARGE,
        Failure::Transaction(AbortReason::Provider(ProviderAbort::MESSAGETOOLARGE)) => TOO_LARGE,
        Failure::Aborted(reason) if reason == wsp::AbortReason::DISCONNECT => {
            ": it has no such session any more, perhaps it was started anew; try again"
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

/// After how long a wait is explained for the first time, and then again.
const FIRST_NOTE: Duration = Duration::from_secs(3);
const NEXT_NOTE: Duration = Duration::from_secs(10);
/// The longest that the air is listened to at a stretch.
const LONG: Duration = Duration::from_secs(3600);
