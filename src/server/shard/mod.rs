//! One shard: its sockets, its core, its upstream requests and one timer, on one thread.

pub(in crate::server) mod command;
mod drain;
mod siblings;
mod upstream_tasks;

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{Level, debug, enabled};

pub(super) use self::command::{HttpAnswer, ShardCommand};
use self::drain::{DISCONNECT_INTERVAL, DisconnectAll, DrainWaiters};
pub(super) use self::drain::{DrainCondition, disconnect_all_takes};
pub(super) use self::siblings::{Mailboxes, Siblings};
use self::upstream_tasks::{Progress, UpstreamTasks};
use crate::gateway::answer::Problem;
use crate::gateway::fetch::Reply;
use crate::gateway::http::HttpId;
use crate::gateway::push::{PushId, PushOutcome};
use crate::gateway::{Command, Event, Gateway, Mode, Stats};
use crate::record::Recorder;
use crate::server::claims::{ClaimHandle, ClaimMessage};
use crate::server::clock::Clock;
use crate::server::measurement::{ExchangeMeter, RouteStats};
use crate::server::secure::SecureLayer;
use crate::server::socket::{Batch, Socket};
use crate::server::socket_stats::SocketStats;
use crate::server::tap::Tap;
use crate::server::transmitter::Transmitter;
use crate::time::Instant;
use crate::upstream::{Health, Tunnel, Upstream};
use crate::wdp::Service;

/// The parts of a shard.
pub(super) struct ShardParts {
    pub(super) gateway: Gateway,
    pub(super) clock: Clock,
    /// The sockets of connection mode first.
    pub(super) sockets: Vec<Socket>,
    /// WTLS, if there are ports for it.
    pub(super) secure: Option<SecureLayer>,
    pub(super) siblings: Siblings,
    pub(super) upstream: Arc<Upstream>,
    pub(super) recorder: Recorder,
    pub(super) meter: ExchangeMeter,
    /// Commands from the control thread and the session directory.
    pub(super) mailbox: mpsc::Receiver<ShardCommand>,
    /// Datagrams discarded before the shard could start.
    pub(super) discarded: u64,
    /// The queue to the session directory.
    pub(super) claims: ClaimHandle,
    /// Cancelled to stop the shard.
    pub(super) stop: CancellationToken,
    /// Where the counters are published once a second.
    pub(super) published: watch::Sender<ShardSnapshot>,
    /// Connections to origins for which there are descriptors.
    pub(super) max_connections: usize,
}

/// A running shard.
pub(super) struct Shard {
    gateway: Gateway,
    clock: Clock,
    sockets: Vec<Socket>,
    secure: Option<SecureLayer>,
    siblings: Siblings,
    /// How many of the sockets are read. Datagrams for the others wait in the kernel.
    reading: usize,
    /// The socket that is asked first in the next turn.
    next_socket: usize,
    batch: Batch,
    transmitter: Transmitter,
    upstream: UpstreamTasks,
    recorder: Recorder,
    meter: ExchangeMeter,
    tap: Tap,
    mailbox: mpsc::Receiver<ShardCommand>,
    claims: ClaimHandle,
    drain_waiters: DrainWaiters,
    disconnect_all: Option<DisconnectAll>,
    /// Who waits for the outcomes of pushes; who pushes limits their number.
    pushes: HashMap<PushId, oneshot::Sender<PushOutcome>>,
    /// Requests over HTTP that wait for their responses; the listener limits their number.
    http: HashMap<HttpId, oneshot::Sender<HttpAnswer>>,
    /// Connections to origins for answers to CONNECT that are about to be given.
    tunnels: HashMap<HttpId, Tunnel>,
    stop: CancellationToken,
    published: watch::Sender<ShardSnapshot>,
    max_connections: usize,
}

/// Figures that a shard publishes once a second.
#[derive(Clone, Debug, Default)]
pub struct ShardSnapshot {
    /// When it was published; `None` until the shard runs.
    pub at: Option<std::time::Instant>,
    /// Counters of the routes, by name.
    pub routes: BTreeMap<Arc<str>, RouteStats>,
    /// Measurements of exchanges lost on the way to the histograms.
    pub measurements_lost: u64,
    /// The health of the hosts that routes name.
    pub targets: Vec<Health>,
    /// The core's counters.
    pub stats: Stats,
    /// The sockets' counters.
    pub sockets: SocketStats,
}

/// The event that ends the wait of one turn of the loop.
enum ShardEvent {
    Readable(usize),
    Upstream(Progress),
    Command(ShardCommand),
    Timeout,
    Writable,
    Publish,
    DisconnectSome,
    Stop,
}

impl Shard {
    pub(super) fn new(parts: ShardParts) -> Self {
        let mut transmitter = Transmitter::default();
        transmitter.stats.discarded = parts.discarded;
        Self {
            reading: 0,
            next_socket: 0,
            batch: Batch::new(),
            transmitter,
            upstream: UpstreamTasks::new(parts.upstream),
            meter: parts.meter,
            tap: Tap::new(parts.clock),
            drain_waiters: DrainWaiters::default(),
            disconnect_all: None,
            pushes: HashMap::new(),
            http: HashMap::new(),
            tunnels: HashMap::new(),
            gateway: parts.gateway,
            clock: parts.clock,
            sockets: parts.sockets,
            secure: parts.secure,
            siblings: parts.siblings,
            recorder: parts.recorder,
            mailbox: parts.mailbox,
            claims: parts.claims,
            stop: parts.stop,
            published: parts.published,
            max_connections: parts.max_connections,
        }
    }

    /// Runs until the shard is stopped: waits for one event, handles it, and sends what the core
    /// then has to send.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        let mut publish = interval(PUBLISH_INTERVAL);
        let mut disconnect = interval(DISCONNECT_INTERVAL);
        let alarm = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(alarm);
        let mut alarm_at = None;
        loop {
            let due = self.poll_timeout();
            // Most turns leave the deadline as it is, and a reset takes the timer out of the
            // runtime's wheel.
            if due != alarm_at {
                alarm_at = due;
                if let Some(at) = due {
                    alarm.as_mut().reset(self.clock.system(at).into());
                }
            }
            let read = self.sockets.get(..self.reading).unwrap_or_default();
            let event = tokio::select! {
                index = readable(read, self.next_socket) => ShardEvent::Readable(index),
                Some(progress) = self.upstream.next() => ShardEvent::Upstream(progress),
                command = self.mailbox.recv() => command.map_or(ShardEvent::Stop, ShardEvent::Command),
                () = &mut alarm, if due.is_some() => ShardEvent::Timeout,
                () = self.transmitter.writable(&self.sockets) => ShardEvent::Writable,
                _ = publish.tick() => ShardEvent::Publish,
                _ = disconnect.tick(), if self.disconnect_all.is_some() => ShardEvent::DisconnectSome,
                () = &mut stopped => ShardEvent::Stop,
            };
            let now = self.clock.now();
            match event {
                ShardEvent::Readable(index) => self.on_datagrams(now, index),
                ShardEvent::Upstream(progress) => self.on_replies(now, progress),
                ShardEvent::Command(command) => self.on_command(now, command),
                ShardEvent::Timeout => {
                    // The alarm fires once; the same moment has to be set again.
                    alarm_at = None;
                    self.on_timeout(now);
                }
                ShardEvent::Writable => {}
                ShardEvent::Publish => self.publish(now),
                ShardEvent::DisconnectSome => self.disconnect_some(now),
                ShardEvent::Stop => return self.end(now),
            }
            self.drain(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let secure = self.secure.as_ref().and_then(SecureLayer::poll_timeout);
        let due = [
            self.gateway.poll_timeout(),
            self.recorder.poll_timeout(),
            secure,
        ];
        due.into_iter().flatten().min()
    }

    /// A socket has datagrams: one batch of them goes to the core.
    fn on_datagrams(&mut self, now: Instant, index: usize) {
        self.next_socket = index + 1;
        let Some(socket) = self.sockets.get(index) else {
            return;
        };
        match socket.receive(&mut self.batch) {
            Ok(()) => {
                for datagram in socket.datagrams(&self.batch) {
                    self.transmitter.stats.received += 1;
                    self.transmitter.stats.received_octets += datagram.payload.len() as u64;
                    if let (true, Some(secure)) = (datagram.service.is_secured(), &mut self.secure)
                    {
                        if self.gateway.admits(datagram.peer.remote.ip()) {
                            secure.handle_datagram(now, datagram, |inside| {
                                self.tap.on_received(&self.gateway, inside);
                                self.gateway.handle_datagram(now, inside);
                            });
                            while let Some(change) = secure.poll_session_change() {
                                self.siblings
                                    .send(|| ShardCommand::SecureSession(change.clone()));
                            }
                        }
                        continue;
                    }
                    self.tap.on_received(&self.gateway, datagram);
                    self.gateway.handle_datagram(now, datagram);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => debug!(%error, "receive failed"),
        }
    }

    /// An upstream request ended, or its reply arrives. Up to [`REPLIES_AT_ONCE`] of these that are
    /// here too are handled in the same turn, so that their datagrams leave together.
    fn on_replies(&mut self, now: Instant, first: Progress) {
        let mut next = Some(first);
        let mut left = REPLIES_AT_ONCE;
        while let Some(progress) = next {
            match progress {
                Progress::Reserve(id, octets, answer) => {
                    // The request may have been cancelled.
                    let _ = answer.send(self.gateway.reserve_reply(id, octets));
                }
                Progress::Fetched((id, reply, retries)) => {
                    if retries.count() > 0 {
                        self.gateway.annotate(id, retries.to_string());
                    }
                    if let Some(began) = retries.reply_began() {
                        self.gateway.reply_began(id, self.clock.of_system(began));
                    }
                    self.tap.on_response(id, &reply);
                    self.gateway.handle_reply(now, id, reply);
                }
                Progress::Connected(id, tunnel) => {
                    let reply = tunnel.map(|tunnel| {
                        if let Some(http) = self.gateway.http_id(id) {
                            self.tunnels.insert(http, *tunnel);
                        }
                        Reply::of(StatusCode::OK)
                    });
                    self.tap.on_response(id, &reply);
                    self.gateway.handle_reply(now, id, reply);
                }
            }
            left -= 1;
            next = match left {
                0 => None,
                _ => self.upstream.try_next(),
            };
        }
    }

    fn on_command(&mut self, now: Instant, command: ShardCommand) {
        match command {
            ShardCommand::Core(command) => self.gateway.handle_command(now, command),
            ShardCommand::Enter(mode, done) => {
                self.reading = sockets_read(mode, &self.sockets);
                self.gateway.handle_command(now, Command::Enter(mode));
                // The requester may have gone.
                let _ = done.send(());
            }
            ShardCommand::StartReading => self.reading = self.sockets.len(),
            ShardCommand::Claimed(claim, found) => {
                self.gateway
                    .handle_claim(now, claim, found.map(|found| *found));
            }
            ShardCommand::Identify(changes, done) => {
                self.gateway.handle_command(now, Command::Identify(changes));
                let _ = done.send(());
            }
            ShardCommand::Reload(config, tls) => {
                self.meter.set_routes(&config.routes);
                let upstream = self.upstream.upstream().reloaded(
                    &tls,
                    &config.routes,
                    config.limits.max_connections.min(self.max_connections),
                );
                self.upstream.set_upstream(Arc::new(upstream));
                self.gateway.handle_command(now, Command::Reload(config));
            }
            ShardCommand::SecureSession(change) => {
                if let Some(secure) = &mut self.secure {
                    secure.handle_session_change(now, change);
                }
            }
            ShardCommand::ReloadSecure(settings) => {
                if let Some(secure) = &mut self.secure {
                    secure.set_config(&settings);
                }
            }
            ShardCommand::ListSessions(query, answer) => {
                // The requester may have gone.
                let _ = answer.send(self.gateway.sessions().page(now, &query));
            }
            ShardCommand::Capabilities(address, answer) => {
                // The requester may have gone.
                let _ = answer.send(self.gateway.capabilities_of(address));
            }
            ShardCommand::Push(push, answer) => {
                self.pushes.insert(push.id, answer);
                self.gateway.handle_command(now, Command::Push(push));
            }
            ShardCommand::HttpRequest(id, request, answer) => {
                self.http.insert(id, answer);
                self.gateway.handle_http_request(now, id, *request);
            }
            ShardCommand::HttpEnd(id, ending, tunnelled) => {
                self.http.remove(&id);
                self.gateway.handle_http_end(now, id, ending, tunnelled);
            }
            ShardCommand::Tap(order, done) => {
                self.tap.apply(order);
                // The requester may have gone.
                let _ = done.send(());
            }
            ShardCommand::NotifyWhen(condition, answer) => {
                self.drain_waiters.add(now, condition, answer);
            }
            ShardCommand::DisconnectAll(answer) => {
                self.disconnect_all = Some(DisconnectAll::new(&self.gateway, answer));
            }
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        self.gateway.handle_timeout(now);
        if let Some(secure) = &mut self.secure {
            secure.handle_timeout(now);
        }
        self.recorder
            .handle_timeout(now, self.clock.wall(), &self.gateway);
    }

    /// Publishes the counters, and hands the directory the messages that found its queue full.
    fn publish(&mut self, now: Instant) {
        self.claims.flush();
        self.transmitter.stats.untold = self.claims.lost();
        self.transmitter.stats.upstream = self.upstream.upstream().stats();
        if let Some(secure) = &self.secure {
            self.transmitter.stats.secure = secure.stats();
        }
        self.meter.flush();
        self.published.send_replace(ShardSnapshot {
            at: Some(self.clock.system(now)),
            routes: self.meter.route_stats(),
            measurements_lost: self.meter.lost(),
            targets: self.upstream.upstream().health(),
            stats: self.gateway.stats(),
            sockets: self.transmitter.stats,
        });
    }

    fn disconnect_some(&mut self, now: Instant) {
        // A full socket would only make the core's queue grow.
        if !self.transmitter.is_blocked() {
            let command = self.disconnect_all.take();
            self.disconnect_all = command.and_then(|command| command.step(&mut self.gateway, now));
        }
    }

    fn end(mut self, now: Instant) {
        // The ports of HTTP and OBEX have stopped before: the ends of their requests are recorded.
        while let Ok(command) = self.mailbox.try_recv() {
            if matches!(command, ShardCommand::HttpEnd(..)) {
                self.on_command(now, command);
            }
        }
        self.drain(now);
        self.recorder.stop(now, self.clock.wall(), &self.gateway);
        self.claims.flush();
    }

    /// Sends the core's datagrams and acts on its events, until it has no more.
    fn drain(&mut self, now: Instant) {
        let secure = self.secure.as_mut();
        self.transmitter
            .drain(now, &mut self.gateway, secure, &self.sockets, &mut self.tap);
        while let Some(event) = self.gateway.poll_event() {
            self.on_event(now, event);
        }
        self.drain_waiters
            .notify(&self.gateway, !self.transmitter.is_blocked());
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Fetch(id, request) => {
                debug!(
                    trace_id = request.trace.map(display), request = %id, method = %request.method,
                    host = request.uri.authority().map(display), route = %request.route,
                    "request goes upstream"
                );
                self.tap.on_request(&self.gateway, id, &request);
                self.upstream.start(id, request);
            }
            Event::Cancel(id) => {
                debug!(request = %id, "request upstream ends without a use for its reply");
                self.tap.on_cancelled(id);
                self.upstream.cancel(id);
            }
            Event::PushDone(id, outcome) => {
                debug!(?id, ?outcome, "push done");
                if let Some(answer) = self.pushes.remove(&id) {
                    // Who asked may have gone.
                    let _ = answer.send(outcome);
                }
            }
            Event::HttpReply(id, response) => {
                let tunnel = self.tunnels.remove(&id);
                if let Some(answer) = self.http.remove(&id) {
                    // The handset may have gone; `HttpEnd` follows.
                    let _ = answer.send(HttpAnswer { response, tunnel });
                }
            }
            Event::Answered(id) => {
                if enabled!(Level::DEBUG)
                    && let Some(record) = self.gateway.record(id)
                {
                    let trace_id = record.trace.trace_id;
                    debug!(%trace_id, status = record.status, "reply goes to the handset");
                }
                self.recorder.answered(now, id);
            }
            Event::Finished(record) => {
                self.tap.on_exchange_end(&self.gateway, &record);
                debug!(
                    trace_id = %record.trace.trace_id, status = record.status,
                    ending = record.ending.label(), problem = record.problem.map(Problem::label),
                    "exchange over"
                );
                self.meter.record(&record);
                let wall = self.clock.wall();
                self.recorder.finished(now, wall, &record);
                self.recorder.trace(now, wall, record);
            }
            Event::Claim(id, key) => self.claims.send(ClaimMessage::Claim(id, key)),
            Event::Released(ticket, found) => {
                self.claims.send(ClaimMessage::Released(ticket, found));
            }
            Event::Save(session) => self.claims.send(ClaimMessage::Save(session)),
            Event::Forget(id) => self.claims.send(ClaimMessage::Forget(id)),
        }
    }
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// How many of the sockets are read in a mode. A gateway that leaves does not read the
/// connectionless sockets: no request there has begun, and datagrams wait in the kernel for the
/// next process.
fn sockets_read(mode: Mode, sockets: &[Socket]) -> usize {
    match mode {
        Mode::Running | Mode::Isolated | Mode::Draining => sockets.len(),
        Mode::Leaving => sockets
            .iter()
            .take_while(|socket| socket.service().inside() == Service::ConnectionMode)
            .count(),
    }
}

/// Waits until one of the sockets is readable. The socket `first` is asked first, so that a flood
/// on one socket does not starve the others.
async fn readable(sockets: &[Socket], first: usize) -> usize {
    poll_fn(|cx| {
        let mut order = (first..sockets.len()).chain(0..first);
        let found = order.find(|index| {
            let socket = sockets.get(*index);
            socket.is_some_and(|socket| socket.poll_readable(cx).is_ready())
        });
        found.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Upstream results handled before the sockets get their turn.
const REPLIES_AT_ONCE: usize = 64;

/// How often the counters are published.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::socket::bind_group;

    #[tokio::test]
    async fn a_flood_on_one_socket_does_not_silence_the_others() {
        let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut sockets = Vec::new();
        for _ in 0..2 {
            let bound = bind_group("127.0.0.1:0".parse().unwrap(), 1)
                .unwrap()
                .remove(0);
            let address = bound.local_addr().unwrap();
            sockets.push(Socket::new(bound, Service::ConnectionMode).unwrap());
            client.send_to(b"x", address).await.unwrap();
        }
        for socket in &sockets {
            poll_fn(|cx| socket.poll_readable(cx)).await.unwrap();
        }
        // No message is taken from the channels, so both stay readable.
        let mut order = Vec::new();
        let mut next = 0;
        for _ in 0..4 {
            let index = readable(&sockets, next).await;
            order.push(index);
            next = index + 1;
        }
        assert_eq!(order, [0, 1, 0, 1]);
    }
}
