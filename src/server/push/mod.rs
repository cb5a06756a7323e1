//! The Push Proxy Gateway as a running part: initiators come by HTTP, pushes go to the shards, to
//! terminals by HTTP and to the bearer of short messages, results go to initiators by HTTPS.
//!
//! One task owns the [`Ppg`]. Submissions are answered once the store has them, a batch of them at
//! a time.

mod bearer;
mod initiators;
mod keeper;
mod listener;
mod notifier;
mod terminal;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

#[doc(hidden)]
pub use self::terminal::push as push_over_http;

use self::bearer::Bearers;
use self::initiators::Initiators;
use self::keeper::{Keeper, Request};
use self::listener::Listener;
use self::notifier::Notifier;
use crate::initiator::PushSettings;
use crate::push::ppg::{self, Listing, Page, Ppg, Stats};
use crate::record::{PushRecorder, Sinks};
use crate::server::clock;
use crate::server::shards::Shards;
use crate::server::sms::ShortMessages;
use crate::server::subscribers::Numbers;
use crate::store::StoreHandle;
use crate::upstream::Tls;
use crate::wdp::Service;

/// Handles to the other components.
#[derive(Debug)]
pub struct PushParts {
    /// Where sessions are, and sockets.
    pub shards: Shards,
    /// The sockets' addresses.
    pub addresses: Vec<(Service, SocketAddr)>,
    /// Which subscriber has which address.
    pub numbers: Arc<Numbers>,
    /// Where pushes outlive the process.
    pub store: Option<StoreHandle>,
    /// Trusted authorities for notifications.
    pub tls: Tls,
    /// The bearer of short messages, if there is one.
    pub sms: Option<ShortMessages>,
    /// The access log and the charging records.
    pub records: Sinks,
}

/// The running part. Dropped, it stops.
#[derive(Debug)]
pub struct Pushes {
    addresses: Vec<SocketAddr>,
    handle: PushHandle,
    initiators: Initiators,
    notifier: Notifier,
    /// Whether the bearer of short messages runs. No reload changes that.
    sms: bool,
    /// Dropped, its tasks stop.
    tasks: JoinSet<()>,
}

/// The way to the pushes that are held. Clones lead to the same.
#[derive(Clone, Debug)]
pub struct PushHandle {
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<PushCounts>,
}

/// Counters of pushes, as of the last second.
#[derive(Clone, Copy, Debug, Default)]
pub struct PushCounts {
    /// Of the gateway of pushes.
    pub ppg: Stats,
    /// Requests of initiators by outcome: answered, not authenticated, forbidden, too large or too
    /// slow, refused because there were too many connections.
    pub requests: [u64; 5],
}

impl Pushes {
    /// Takes in the pushes of the store, then listens.
    ///
    /// # Errors
    ///
    /// An address that cannot be bound, or no randomness.
    pub async fn start(settings: &PushSettings, parts: PushParts) -> io::Result<Self> {
        let initiators = Initiators::new(settings)?;
        let notifier = Notifier::new(settings, &parts.tls);
        let sms = parts.sms.is_some();
        let ppg = Ppg::new(config(settings, sms), clock::seed()?, parts.store.is_some());
        let records = PushRecorder::new(&parts.records, parts.shards.count());
        let mut bearers = Bearers::new(parts.shards, &parts.addresses, parts.numbers, parts.sms);
        bearers.set_terminals(settings.terminals.clone());
        let reached = bearers.clone();
        let (requests, asked) = mpsc::channel(QUEUE);
        let (shown, published) = watch::channel(PushCounts::default());
        let keeper = Keeper::new(
            ppg,
            bearers,
            notifier.clone(),
            parts.store,
            shown,
            initiators.clone(),
            records,
        );
        let handle = PushHandle {
            requests,
            published,
        };
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for address in &settings.listen {
            let bound = TcpListener::bind(address).await.map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("[push]: cannot listen on {address}: {error}"),
                )
            })?;
            addresses.push(bound.local_addr()?);
            listeners.push(bound);
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run(asked));
        let listener = Listener::new(settings, initiators.clone(), handle.clone(), reached);
        for bound in listeners {
            tasks.spawn(listener.clone().serve(bound));
        }
        Ok(Self {
            addresses,
            handle,
            initiators,
            notifier,
            sms,
            tasks,
        })
    }

    /// Where initiators are listened to; port 0 has become a number.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The way to the pushes.
    #[must_use]
    pub fn handle(&self) -> PushHandle {
        self.handle.clone()
    }

    /// Uses these from now on; addresses and certificates stay.
    pub async fn reload(&self, settings: &PushSettings, tls: &Tls) {
        self.initiators.replace(settings);
        self.notifier.replace(settings, tls);
        let _ = self
            .handle
            .requests
            .send(Request::Configure(
                Box::new(config(settings, self.sms)),
                settings.terminals.clone(),
            ))
            .await;
    }

    /// Ends it, and returns once it is gone with all it held. `bearer` is the stop of the bearer of
    /// short messages. It begins once a message without a centre counts as no attempt any more, and
    /// its last outcomes are stored.
    pub async fn stop(mut self, bearer: impl Future<Output = ()>) {
        let until = Instant::now() + STOP_TIME;
        let (began, begins) = oneshot::channel();
        let (answer, ended) = oneshot::channel();
        let begin = async {
            let request = Request::Stop(began, answer);
            if self.handle.requests.send(request).await.is_ok() {
                let _ = begins.await;
            }
        };
        let _ = timeout_at(until, begin).await;
        let ((), _) = tokio::join!(bearer, timeout_at(until, ended));
        self.tasks.shutdown().await;
    }
}

impl PushHandle {
    /// A page of the pushes held. Empty if the part has stopped.
    pub async fn list(&self, listing: Listing) -> Page {
        let (answer, answered) = oneshot::channel();
        let request = Request::List(listing, answer);
        if self.requests.send(request).await.is_err() {
            return Page::default();
        }
        answered.await.unwrap_or_default()
    }

    /// The counters.
    #[must_use]
    pub fn counts(&self) -> PushCounts {
        *self.published.borrow()
    }
}

/// The settings of the gateway of pushes. The file does not say whether short messages can be sent.
fn config(settings: &PushSettings, sms: bool) -> ppg::Config {
    ppg::Config {
        sms,
        ..settings.ppg.clone()
    }
}

/// Time for the last outcomes to be stored.
const STOP_TIME: Duration = Duration::from_secs(8);
/// Requests that wait for the task that owns the pushes.
const QUEUE: usize = 1_024;
