//! One shard: its sockets, its core, its upstream requests and one timer, on one thread.

use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use derive_more::AddAssign;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, warn};

use crate::gateway::fetch::{FetchError, Reply, RequestId};
use crate::gateway::{self, Command, Event, Gateway, Stats};
use crate::record::Recorder;
use crate::server::clock::Clock;
use crate::server::socket::{Batch, Socket};
use crate::upstream::{Tls, Upstream};
use crate::wdp::{Peer, Transmit};

/// A shard, ready to run.
pub(super) struct Shard {
    pub(super) gateway: Gateway,
    pub(super) clock: Clock,
    pub(super) sockets: Vec<Socket>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) recorder: Recorder,
    /// Orders from the control thread; the shard stops when it is closed.
    pub(super) mailbox: mpsc::Receiver<Order>,
    /// Where the counters are shown once a second.
    pub(super) published: watch::Sender<Published>,
}

/// What a shard is told.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Something for the core.
    Core(Command),
    /// New routes and certificates, from the next request on. What is under way keeps what it began with.
    Reload(Arc<gateway::Config>, Tls),
}

/// What a shard shows of itself once a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Published {
    /// The core's counters.
    pub stats: Stats,
    /// The shell's.
    pub shell: ShellStats,
    /// Whether nothing is under way.
    pub idle: bool,
}

/// What the shell of a shard counts.
#[derive(Clone, Copy, Debug, Default, AddAssign)]
pub struct ShellStats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Octets received.
    pub received_octets: u64,
    /// Octets sent.
    pub sent_octets: u64,
    /// Datagrams the kernel refused to send.
    pub send_errors: u64,
    /// Datagrams too large to send.
    pub too_large: u64,
    /// Times the socket was full and sending had to wait.
    pub blocked: u64,
}

/// A turn of the loop: what happened.
enum Turn {
    Readable(usize),
    Replied(RequestId, Result<Reply, FetchError>),
    Ordered(Order),
    Due,
    Writable,
    Publish,
    Stopped,
}

impl Shard {
    /// Runs until the mailbox is closed.
    pub(super) async fn run(self) {
        let Self {
            mut gateway,
            clock,
            sockets,
            upstream,
            mut recorder,
            mut mailbox,
            published,
        } = self;
        let mut fetches = Fetches {
            upstream,
            running: JoinSet::new(),
            handles: HashMap::new(),
        };
        let mut out = Outbox::default();
        let mut batch = Batch::new();
        let mut second = tokio::time::interval(PUBLISH_INTERVAL);
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let alarm = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(alarm);
        let mut set_to = None;
        let mut next_socket = 0;
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
                index = readable(&sockets, next_socket) => Turn::Readable(index),
                Some(done) = fetches.running.join_next(), if !fetches.running.is_empty() => match done {
                    Ok((id, reply)) => Turn::Replied(id, reply),
                    // Cancelled; or it panicked, and then the core's deadline answers for it.
                    Err(_) => continue,
                },
                order = mailbox.recv() => order.map_or(Turn::Stopped, Turn::Ordered),
                () = &mut alarm, if due.is_some() => Turn::Due,
                () = out.writable(&sockets) => Turn::Writable,
                _ = second.tick() => Turn::Publish,
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
                                gateway.handle_datagram(now, datagram);
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => debug!(%error, "receive failed"),
                    }
                }
                Turn::Replied(id, reply) => {
                    fetches.handles.remove(&id);
                    gateway.handle_reply(now, id, reply);
                }
                Turn::Ordered(Order::Core(command)) => gateway.handle_command(now, command),
                Turn::Ordered(Order::Reload(config, tls)) => {
                    fetches.upstream = Arc::new(Upstream::new(&tls, &config.routes));
                    gateway.handle_command(now, Command::Reload(config));
                }
                Turn::Due => {
                    // It rings once: the same moment would have to be set again.
                    set_to = None;
                    gateway.handle_timeout(now);
                    recorder.handle_timeout(now);
                }
                Turn::Writable => {}
                Turn::Publish => {
                    published.send_replace(Published {
                        stats: gateway.stats(),
                        shell: out.stats,
                        idle: gateway.is_idle(),
                    });
                }
                Turn::Stopped => return,
            }
            out.drain(&mut gateway, &sockets);
            while let Some(event) = gateway.poll_event() {
                match event {
                    Event::Fetch(id, request) => fetches.start(id, request),
                    Event::Cancel(id) => fetches.cancel(id),
                    Event::PushDone(id, outcome) => debug!(?id, ?outcome, "push done"),
                    Event::Finished(record) => {
                        recorder.finished(now, clock.wall(), &record);
                    }
                }
            }
        }
    }
}

/// The upstream requests under way.
struct Fetches {
    upstream: Arc<Upstream>,
    running: JoinSet<(RequestId, Result<Reply, FetchError>)>,
    handles: HashMap<RequestId, AbortHandle>,
}

impl Fetches {
    fn start(&mut self, id: RequestId, request: gateway::fetch::Request) {
        let upstream = Arc::clone(&self.upstream);
        let handle = self
            .running
            .spawn(async move { (id, upstream.fetch(request).await) });
        self.handles.insert(id, handle);
    }

    /// Drops the task; hyper then closes the connection or resets the stream.
    fn cancel(&mut self, id: RequestId) {
        if let Some(handle) = self.handles.remove(&id) {
            handle.abort();
        }
    }
}

/// The way out: one buffer, and at most the one datagram that found the socket full.
#[derive(Default)]
struct Outbox {
    buffer: Vec<u8>,
    blocked: Option<(usize, Peer)>,
    stats: ShellStats,
}

impl Outbox {
    /// Sends what the core has to say until it is silent or a socket is full.
    fn drain(&mut self, gateway: &mut Gateway, sockets: &[Socket]) {
        loop {
            let (index, peer) = match self.blocked.take() {
                Some(blocked) => blocked,
                None => {
                    self.buffer.clear();
                    let Some(Transmit { peer, .. }) = gateway.poll_transmit(&mut self.buffer)
                    else {
                        return;
                    };
                    let Some(index) = sockets.iter().position(|socket| socket.serves(peer)) else {
                        self.stats.send_errors += 1;
                        continue;
                    };
                    (index, peer)
                }
            };
            let Some(socket) = sockets.get(index) else {
                return;
            };
            match socket.send(peer, &self.buffer) {
                Ok(()) => {
                    self.stats.sent += 1;
                    self.stats.sent_octets += self.buffer.len() as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stats.blocked += 1;
                    self.blocked = Some((index, peer));
                    return;
                }
                Err(error) if quinn_udp::is_msg_size_err(&error) => self.stats.too_large += 1,
                Err(error) => {
                    self.stats.send_errors += 1;
                    debug!(%error, %peer, "send failed");
                }
            }
        }
    }

    /// Waits until the socket that was full is not; forever when none was.
    async fn writable(&self, sockets: &[Socket]) {
        match self.blocked.and_then(|(index, _)| sockets.get(index)) {
            Some(socket) => {
                if let Err(error) = socket.writable().await {
                    warn!(%error, "a socket cannot be written to any more");
                    pending::<()>().await;
                }
            }
            None => pending().await,
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

/// How often the counters are shown.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::socket::bind_group;
    use crate::wdp::Service;

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
