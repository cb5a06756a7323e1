//! The connection to one centre: made, kept, and made again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::client::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant as Clock, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Outcome;
use super::ledger::{Job, Ledger};
use super::settings::Settings;
use super::stats::{Shared, add, set};
use crate::smpp::{Close, Event, Message, Session};
use crate::time::Instant;

/// The task of one centre.
pub(super) struct Link {
    settings: Arc<Settings>,
    tls: Arc<ClientConfig>,
    stats: Arc<Shared>,
    outcomes: mpsc::Sender<(u64, Outcome)>,
    start: Clock,
    ledger: Ledger,
}

/// The stream of a connection, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Link {
    pub(super) fn new(
        settings: Arc<Settings>,
        tls: Arc<ClientConfig>,
        stats: Arc<Shared>,
        outcomes: mpsc::Sender<(u64, Outcome)>,
        start: Clock,
    ) -> Self {
        let ledger = Ledger::new(&settings);
        Self {
            settings,
            tls,
            stats,
            outcomes,
            start,
            ledger,
        }
    }

    /// Connects again and again, until stopped.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
        let mut pause = self.settings.reconnect_min;
        loop {
            let name = Arc::clone(&self.settings.name);
            let connected = tokio::select! {
                connected = timeout(self.settings.connect_timeout, connect(&self.settings, &self.tls)) => connected,
                () = stop.cancelled() => break,
            };
            let was_bound = match connected {
                Ok(Ok(stream)) => self.session(stream, &mut jobs, &stop).await,
                Ok(Err(error)) => {
                    warn!(smsc = %name, %error, "cannot connect to the SMS centre");
                    false
                }
                Err(_) => {
                    warn!(smsc = %name, "the SMS centre does not answer in time");
                    false
                }
            };
            self.disconnected(&mut jobs).await;
            if stop.is_cancelled() {
                break;
            }
            match was_bound {
                true => pause = self.settings.reconnect_min,
                false => add(&self.stats.connect_failures, 1),
            }
            if self.wait(pause, &stop).await {
                break;
            }
            pause = (pause * 2).min(self.settings.reconnect_max);
        }
        self.disconnected(&mut jobs).await;
        self.ledger.finish();
        self.tell().await;
    }

    /// Waits until the next attempt; whether we were stopped. Receipts that come too late are given
    /// up meanwhile.
    async fn wait(&mut self, pause: Duration, stop: &CancellationToken) -> bool {
        let until = Clock::now() + pause;
        loop {
            let late = self.ledger.deadline().map(|at| self.system(at));
            let at = late.map_or(until, |late| late.min(until));
            tokio::select! {
                () = stop.cancelled() => return true,
                () = sleep_until(at) => {}
            }
            let now = self.now();
            self.ledger.expire(now, &self.stats);
            self.tell().await;
            if Clock::now() >= until {
                return false;
            }
        }
    }

    /// One session; whether the centre accepted the bind.
    async fn session(
        &mut self,
        mut stream: Box<dyn Stream>,
        jobs: &mut mpsc::Receiver<Job>,
        stop: &CancellationToken,
    ) -> bool {
        let mut session = Session::new(self.settings.session.clone(), self.now());
        let mut buffer = vec![0; READ];
        let (mut out, mut was_bound, mut stopping) = (Vec::new(), false, false);
        loop {
            let closed = self.drain(&mut session, &mut was_bound);
            self.fill(&mut session);
            self.publish(&session);
            self.tell().await;
            out.clear();
            if session.poll_transmit(&mut out) {
                let patience = self.settings.session.response_timeout;
                let written = timeout(patience, stream.write_all(&out)).await;
                if !matches!(written, Ok(Ok(()))) && closed.is_none() {
                    session.handle_disconnect();
                    continue;
                }
            }
            if let Some(why) = closed {
                self.say_closed(why, stopping);
                return was_bound;
            }
            let now = self.now();
            let wake = [session.poll_timeout(now), self.ledger.deadline()];
            let wake = wake.into_iter().flatten().min().map(|at| self.system(at));
            let wake = wake.unwrap_or_else(|| Clock::now() + self.settings.session.enquire_link);
            let may_take = session.is_bound() && self.ledger.queued() < READ_AHEAD;
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => session.handle_disconnect(),
                    Ok(len) => session.handle_input(self.now(), buffer.get(..len).unwrap_or_default()),
                },
                Some(job) = jobs.recv(), if may_take => self.ledger.push(job),
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.stats.bound.store(false, Ordering::Relaxed);
                    session.unbind(self.now());
                }
                () = sleep_until(wake) => {
                    let now = self.now();
                    session.handle_timeout(now);
                    self.ledger.expire(now, &self.stats);
                }
            }
            set(&self.stats.queued, self.ledger.queued() + jobs.len());
        }
    }

    /// Takes in the events of the session. Returns why it is over, if it is.
    fn drain(&mut self, session: &mut Session, was_bound: &mut bool) -> Option<Close> {
        let mut closed = None;
        while let Some(event) = session.poll_event() {
            match event {
                Event::Bound => {
                    *was_bound = true;
                    add(&self.stats.binds, 1);
                    self.stats.bound.store(true, Ordering::Relaxed);
                    info!(smsc = %self.settings.name, "bound to the SMS centre");
                }
                Event::Answered { tag, answer } => {
                    debug!(smsc = %self.settings.name, ?answer, "short message answered");
                    self.ledger.answered(self.now(), tag, answer, &self.stats);
                }
                Event::Receipt(receipt) => self.ledger.receipt(&receipt, &self.stats),
                Event::PassedOver => add(&self.stats.passed_over, 1),
                Event::Closed(why) => closed = Some(why),
            }
        }
        closed
    }

    /// Submits as many messages as the window and the rate allow.
    fn fill(&mut self, session: &mut Session) {
        let now = self.now();
        while session.has_room(now) {
            let Some(next) = self.ledger.next(now) else {
                return;
            };
            let message = Message {
                destination: next.number,
                user_data: next.user_data,
                validity: Some(next.expires.since(now)),
                more: next.more,
            };
            session.submit(now, next.tag, &message);
            add(&self.stats.submitted, 1);
        }
    }

    fn publish(&self, session: &Session) {
        set(&self.stats.outstanding, session.outstanding());
        set(&self.stats.awaiting, self.ledger.awaiting());
    }

    async fn tell(&mut self) {
        for outcome in self.ledger.outcomes() {
            // The receiver may have gone.
            let _ = self.outcomes.send(outcome).await;
        }
    }

    /// Gives up the jobs that wait for this centre.
    async fn disconnected(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        self.stats.bound.store(false, Ordering::Relaxed);
        while let Ok(job) = jobs.try_recv() {
            self.ledger.push(job);
        }
        self.ledger.disconnected();
        set(&self.stats.queued, 0);
        set(&self.stats.outstanding, 0);
        self.tell().await;
    }

    fn say_closed(&self, why: Close, stopping: bool) {
        let name = &self.settings.name;
        match why {
            Close::BindRefused(status) => {
                warn!(smsc = %name, %status, "the SMS centre refuses the bind: check system_id and password");
            }
            _ if stopping => info!(smsc = %name, "unbound from the SMS centre"),
            _ => warn!(smsc = %name, ?why, "the session with the SMS centre ended"),
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn system(&self, at: Instant) -> Clock {
        self.start + Duration::from_micros(at.as_micros())
    }
}

async fn connect(settings: &Settings, tls: &Arc<ClientConfig>) -> io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
    tcp.set_nodelay(true)?;
    if !settings.tls {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(settings.host.clone()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    Ok(Box::new(connector.connect(name, tcp).await?))
}

/// Octets read at once.
const READ: usize = 16 * 1024;
/// Jobs taken out of the queue ahead of their turn.
const READ_AHEAD: usize = 2;
