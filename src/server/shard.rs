//! One shard: its sockets, its core, its upstream requests and one timer, on one thread.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::gateway::fetch::{FetchError, Reply, RequestId};
use crate::gateway::handover::Handover;
use crate::gateway::{self, Command, Event, Gateway, Mode, Stats};
use crate::identity::Change;
use crate::record::Recorder;
use crate::server::ask::{Asked, Findings, Question};
use crate::server::claims::{Outlet, Told};
use crate::server::clock::Clock;
use crate::server::counts::ShellStats;
use crate::server::measure::Measures;
use crate::server::outbox::Outbox;
use crate::server::socket::{Batch, Socket};
use crate::server::tap::{Tap, TapOrder};
use crate::time::Instant;
use crate::upstream::{Health, Tls, Upstream};
use crate::wdp::Service;
use crate::wsp::claim::ClaimId;

/// A shard, ready to run.
pub(super) struct Shard {
    pub(super) gateway: Gateway,
    pub(super) clock: Clock,
    /// Those with sessions first.
    pub(super) sockets: Vec<Socket>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) recorder: Recorder,
    /// Orders from the control thread.
    pub(super) mailbox: mpsc::Receiver<Order>,
    /// Datagrams thrown away before it could start.
    pub(super) discarded: u64,
    /// The way to who settles claims.
    pub(super) outlet: Outlet,
    /// The end of it.
    pub(super) stop: CancellationToken,
    /// Where the counters are shown once a second.
    pub(super) published: watch::Sender<Published>,
}

/// What a shard is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Something for the core.
    Core(Command),
    /// To read its sockets, from now on.
    Hear,
    /// The end of a claim.
    Claimed(ClaimId, Option<Box<Handover>>),
    /// Who has which address from now on; answered once the core knows.
    Identify(Arc<[Change]>, oneshot::Sender<()>),
    /// New routes and certificates, from the next request on. What is under way keeps what it began with.
    Reload(Arc<gateway::Config>, Tls),
    /// A question, whose answer somebody waits for.
    Ask(Asked),
    /// Something for the tap.
    Tap(TapOrder),
    /// To be answered as soon as it is so.
    When(Calm, oneshot::Sender<()>),
    /// To end every session, a few at a time, and to say how many there were; not listening is calling it off.
    Farewell(oneshot::Sender<usize>),
}

/// How little a shard has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calm {
    /// Nothing is under way.
    Idle,
    /// What origins were asked for before the order has been answered.
    Settled,
}

/// What a shard shows of itself once a second.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// When; `None` until it has begun to run.
    pub at: Option<std::time::Instant>,
    /// Where its exchanges' time goes, and how large they are.
    pub measures: Measures,
    /// The hosts that routes name.
    pub targets: Vec<Health>,
    /// The core's counters.
    pub stats: Stats,
    /// The shell's.
    pub shell: ShellStats,
}

/// A turn of the loop: what happened.
enum Turn {
    Readable(usize),
    Replied(RequestId, Result<Reply, FetchError>),
    Ordered(Order),
    Due,
    Writable,
    Publish,
    Farewell,
    Stopped,
}

impl Shard {
    /// Runs until it is stopped.
    pub(super) async fn run(self) {
        let Self {
            mut gateway,
            clock,
            sockets,
            upstream,
            mut recorder,
            mut mailbox,
            discarded,
            mut outlet,
            stop,
            published,
        } = self;
        let (done, mut fetched) = mpsc::unbounded_channel();
        let mut fetches = Fetches {
            upstream,
            tasks: Vec::new(),
            done,
        };
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        let mut measures = Measures::default();
        measures.set_routes(gateway.routes());
        let mut out = Outbox::default();
        out.stats.discarded = discarded;
        let mut tap = Tap::new(clock);
        let mut batch = Batch::new();
        let mut second = tokio::time::interval(PUBLISH_INTERVAL);
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let alarm = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(alarm);
        let mut set_to = None;
        let mut next_socket = 0;
        let mut waiting = Waiting::default();
        let mut farewell: Option<Farewell> = None;
        let mut pace = tokio::time::interval(FAREWELL_PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What comes before it is told to hear waits in the kernel.
        let mut heard = 0;
        loop {
            let due = [gateway.poll_timeout(), recorder.poll_timeout()];
            let due = due.into_iter().flatten().min();
            // Most turns do not move it, and a timer set anew is taken out of the runtime's wheel and put back.
            if due != set_to {
                set_to = due;
                if let Some(at) = due {
                    alarm.as_mut().reset(clock.system(at).into());
                }
            }
            let turn = tokio::select! {
                index = readable(sockets.get(..heard).unwrap_or_default(), next_socket) => Turn::Readable(index),
                Some((id, reply)) = fetched.recv() => Turn::Replied(id, reply),
                order = mailbox.recv() => order.map_or(Turn::Stopped, Turn::Ordered),
                () = &mut alarm, if due.is_some() => Turn::Due,
                () = out.writable(&sockets) => Turn::Writable,
                _ = second.tick() => Turn::Publish,
                _ = pace.tick(), if farewell.is_some() => Turn::Farewell,
                () = &mut stopped => Turn::Stopped,
            };
            let now = clock.now();
            match turn {
                Turn::Readable(index) => {
                    next_socket = index + 1;
                    let Some(socket) = sockets.get(index) else {
                        continue;
                    };
                    match socket.receive(&mut batch) {
                        Ok(()) => {
                            for datagram in socket.datagrams(&batch) {
                                out.stats.received += 1;
                                out.stats.received_octets += datagram.payload.len() as u64;
                                tap.heard(&gateway, datagram);
                                gateway.handle_datagram(now, datagram);
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => debug!(%error, "receive failed"),
                    }
                }
                Turn::Replied(id, reply) => {
                    // Those that came with it leave with it.
                    let mut next = Some((id, reply));
                    let mut left = REPLIES_AT_ONCE;
                    while let Some((id, reply)) = next {
                        fetches.ended(id);
                        tap.answered(id, &reply);
                        gateway.handle_reply(now, id, reply);
                        left -= 1;
                        next = match left {
                            0 => None,
                            _ => fetched.try_recv().ok(),
                        };
                    }
                }
                Turn::Ordered(Order::Core(command)) => {
                    if let Command::Enter(mode) = command {
                        heard = heard_in(mode, &sockets);
                    }
                    gateway.handle_command(now, command);
                }
                Turn::Ordered(Order::Hear) => heard = sockets.len(),
                Turn::Ordered(Order::Claimed(claim, found)) => {
                    gateway.handle_claim(now, claim, found.map(|found| *found));
                }
                Turn::Ordered(Order::Identify(changes, done)) => {
                    gateway.handle_command(now, Command::Identify(changes));
                    let _ = done.send(());
                }
                Turn::Ordered(Order::Reload(config, tls)) => {
                    measures.set_routes(&config.routes);
                    fetches.upstream = Arc::new(Upstream::new(&tls, &config.routes));
                    gateway.handle_command(now, Command::Reload(config));
                }
                Turn::Ordered(Order::Ask(Asked { question, answer })) => {
                    let found = match question {
                        Question::Sessions(query) => {
                            Findings::Sessions(gateway.sessions().stretch(now, &query))
                        }
                    };
                    // Whoever asked may have gone.
                    let _ = answer.send(found);
                }
                Turn::Ordered(Order::Tap(order)) => tap.obey(order),
                Turn::Ordered(Order::When(calm, answer)) => waiting.add(now, calm, answer),
                Turn::Ordered(Order::Farewell(answer)) => {
                    let sessions = gateway.sessions().len();
                    farewell = Some(Farewell { sessions, answer });
                }
                // Where the socket is full, there is no sense in more.
                Turn::Farewell if !out.is_blocked() => {
                    farewell = farewell.and_then(|farewell| farewell.go_on(&mut gateway, now));
                }
                Turn::Farewell => {}
                Turn::Due => {
                    // It rings once: the same moment would have to be set again.
                    set_to = None;
                    gateway.handle_timeout(now);
                    recorder.handle_timeout(now, clock.wall(), &gateway);
                }
                Turn::Writable => {}
                Turn::Publish => {
                    outlet.flush();
                    out.stats.untold = outlet.lost();
                    published.send_replace(Published {
                        at: Some(clock.system(now)),
                        measures: measures.clone(),
                        targets: fetches.upstream.health(),
                        stats: gateway.stats(),
                        shell: out.stats,
                    });
                }
                Turn::Stopped => {
                    recorder.stop(now, clock.wall(), &gateway);
                    outlet.flush();
                    return;
                }
            }
            out.drain(&mut gateway, &sockets, &mut tap);
            while let Some(event) = gateway.poll_event() {
                match event {
                    Event::Fetch(id, request) => {
                        tap.asked(&gateway, id, &request);
                        fetches.start(id, request);
                    }
                    Event::Cancel(id) => {
                        tap.cancelled(id);
                        fetches.cancel(id);
                    }
                    Event::PushDone(id, outcome) => debug!(?id, ?outcome, "push done"),
                    Event::Answered(id) => recorder.answered(now, id),
                    Event::Finished(record) => {
                        tap.finished(&gateway, &record);
                        measures.record(&record);
                        recorder.finished(now, clock.wall(), &record);
                    }
                    Event::Claim(id, key) => outlet.tell(Told::Claim(id, key)),
                    Event::Released(ticket, found) => outlet.tell(Told::Released(ticket, found)),
                    Event::Save(session) => outlet.tell(Told::Save(session)),
                    Event::Forget(id) => outlet.tell(Told::Forget(id)),
                }
            }
            waiting.tell(&gateway, !out.is_blocked());
        }
    }
}

/// Those who wait for a shard to be calm, and since when.
#[derive(Default)]
struct Waiting(Vec<(Calm, Instant, oneshot::Sender<()>)>);

impl Waiting {
    fn add(&mut self, now: Instant, calm: Calm, answer: oneshot::Sender<()>) {
        self.0.push((calm, now, answer));
    }

    /// Tells those whose time has come, and forgets those who wait no more.
    fn tell(&mut self, gateway: &Gateway, all_sent: bool) {
        let mut index = 0;
        while let Some((calm, since, answer)) = self.0.get(index) {
            let is_so = match calm {
                Calm::Idle => all_sent && gateway.is_idle(),
                Calm::Settled => gateway
                    .oldest_request()
                    .is_none_or(|oldest| oldest > *since),
            };
            if is_so || answer.is_closed() {
                let (_, _, answer) = self.0.swap_remove(index);
                let _ = answer.send(());
            } else {
                index += 1;
            }
        }
    }
}

/// The end of all sessions, under way.
struct Farewell {
    /// How many there were.
    sessions: usize,
    answer: oneshot::Sender<usize>,
}

impl Farewell {
    /// Ends some more; nothing is left of it once there are none, or nobody wants it any more.
    fn go_on(self, gateway: &mut Gateway, now: Instant) -> Option<Self> {
        if self.answer.is_closed() {
            return None;
        }
        gateway.handle_command(now, Command::Farewell(FAREWELL_AT_ONCE));
        if !gateway.sessions().is_empty() {
            return Some(self);
        }
        let _ = self.answer.send(self.sessions);
        None
    }
}

/// How many of the sockets are read. What came without a session need not be heard to be finished, and waits in
/// the kernel for the next process if there is one.
fn heard_in(mode: Mode, sockets: &[Socket]) -> usize {
    match mode {
        Mode::Running | Mode::Isolated | Mode::Draining => sockets.len(),
        Mode::Leaving => sockets
            .iter()
            .take_while(|socket| socket.service() == Service::ConnectionMode)
            .count(),
    }
}

/// The upstream requests under way.
struct Fetches {
    upstream: Arc<Upstream>,
    /// The task of each, by the slot of its name.
    tasks: Vec<Option<(RequestId, JoinHandle<()>)>>,
    /// Where they put what they have got; the core's limit on exchanges bounds it.
    done: mpsc::UnboundedSender<Fetched>,
}

/// What came of a request.
type Fetched = (RequestId, Result<Reply, FetchError>);

impl Fetches {
    fn start(&mut self, id: RequestId, request: gateway::fetch::Request) {
        let upstream = Arc::clone(&self.upstream);
        let done = self.done.clone();
        // Should it panic, the core's deadline answers for it.
        let task = tokio::spawn(async move {
            let fetched = upstream.fetch(request).await;
            // Nobody listens once the shard has stopped.
            let _ = done.send((id, fetched));
        });
        let slot = id.slot as usize;
        if self.tasks.len() <= slot {
            self.tasks.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.tasks.get_mut(slot) {
            *place = Some((id, task));
        }
    }

    /// It has ended by itself.
    fn ended(&mut self, id: RequestId) {
        self.take(id);
    }

    /// Drops the task; hyper then closes the connection or resets the stream. A reply that was under way finds
    /// nobody in the core.
    fn cancel(&mut self, id: RequestId) {
        if let Some(task) = self.take(id) {
            task.abort();
        }
    }

    fn take(&mut self, id: RequestId) -> Option<JoinHandle<()>> {
        let place = self.tasks.get_mut(id.slot as usize)?;
        let (_, task) = place.take_if(|(theirs, _)| *theirs == id)?;
        Some(task)
    }
}

impl Drop for Fetches {
    fn drop(&mut self) {
        for (_, task) in self.tasks.iter().flatten() {
            task.abort();
        }
    }
}

/// Waits until one of the sockets has something; `first` is asked first, so that a flood on one does not
/// silence the others.
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

/// How long it takes to end so many sessions of one shard, while its sockets take what it says.
pub(super) fn farewell_takes(sessions: u64) -> Duration {
    let turns = sessions.div_ceil(FAREWELL_AT_ONCE as u64);
    FAREWELL_PACE.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
}

/// Sessions are ended at this pace: 20,000 a second and shard, in datagrams of some ten octets.
const FAREWELL_AT_ONCE: usize = 200;
const FAREWELL_PACE: Duration = Duration::from_millis(10);

/// Replies handled before the sockets get their turn.
const REPLIES_AT_ONCE: usize = 64;

/// How often the counters are shown.
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
        // Nothing is taken out, so both stay readable.
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
