//! Measurements of exchanges: how long each took and how large it was, and counters of each route.
//!
//! A shard gathers measurements in a buffer of its own. It sends them once a second, or when the
//! buffer is full, to the thread that observes the histograms. Counters of routes stay with the
//! shard and are published with the others.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::answer::Problem;
use crate::gateway::record::ExchangeRecord;
use crate::route::Routes;
use crate::trace_context::TraceId;
use crate::worker::Handle;

/// Measurements of one exchange. A phase that the exchange did not reach is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// The index of its route in [`MeasurementBatch::routes`].
    pub route: Option<usize>,
    /// Its trace, if the trace is sampled.
    pub trace: Option<TraceId>,
    /// From the first packet to the end.
    pub duration: Duration,
    /// From the first packet of the request to the last.
    pub air_in: Option<Duration>,
    /// Waiting for the origin.
    pub upstream: Option<Duration>,
    /// From the reply's being ready to the handset's acknowledgement.
    pub air_out: Option<Duration>,
    /// From the complete request to the reply's being ready.
    pub response: Option<Duration>,
    /// Octets of the request body.
    pub request_octets: usize,
    /// Octets of the reply body.
    pub reply_octets: usize,
}

/// Measurements of one shard.
#[derive(Clone, Debug)]
pub struct MeasurementBatch {
    /// The names of the routes.
    pub routes: Arc<[Arc<str>]>,
    /// One for each exchange.
    pub measurements: Vec<Measurement>,
}

/// Where shards send measurements. Each weighs 1.
pub type MeasurementHandle = Handle<MeasurementBatch>;

/// Counters of one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteStats {
    /// Exchanges ended.
    pub exchanges: u64,
    /// Of these, exchanges whose origin was unreachable or gave no usable reply.
    pub upstream_errors: u64,
    /// Time spent waiting for origins, in all.
    pub upstream_time: Duration,
    /// Responses to handsets by the class of their HTTP status, of the origin or of the gateway.
    pub responses: ResponseStats,
}

/// Responses by the class of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseStats([u64; CLASSES.len()]);

impl ResponseStats {
    /// Each class and its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.0)
    }

    fn count(&mut self, status: u16) {
        let class = usize::from(status / 100).checked_sub(2);
        let class = class.filter(|class| *class < CLASSES.len() - 1);
        if let Some(count) = self.0.get_mut(class.unwrap_or(CLASSES.len() - 1)) {
            *count += 1;
        }
    }
}

impl AddAssign for RouteStats {
    fn add_assign(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.upstream_errors += other.upstream_errors;
        self.upstream_time += other.upstream_time;
        for (count, more) in self.responses.0.iter_mut().zip(other.responses.0) {
            *count += more;
        }
    }
}

/// Measurements of one shard's exchanges.
#[derive(Debug)]
pub(super) struct ExchangeMeter {
    /// In their order.
    routes: Arc<[Arc<str>]>,
    /// Of the route with the same index.
    stats: Vec<RouteStats>,
    buffer: Vec<Measurement>,
    sender: Option<MeasurementHandle>,
    lost: u64,
}

impl ExchangeMeter {
    /// Without a sender there are only the counters of routes.
    pub(super) fn new(routes: &Routes, sender: Option<MeasurementHandle>) -> Self {
        let mut meter = Self {
            routes: Arc::new([]),
            stats: Vec::new(),
            buffer: Vec::new(),
            sender,
            lost: 0,
        };
        meter.set_routes(routes);
        meter
    }

    /// Measures these routes from now on. The counters of routes that stay are kept.
    pub(super) fn set_routes(&mut self, routes: &Routes) {
        self.flush();
        let before = self.route_stats();
        let names = routes.iter().map(|route| Arc::clone(&route.name));
        let mut names: Vec<Arc<str>> = names.collect();
        names.sort_unstable();
        names.dedup();
        let stats = names.iter().map(|name| before.get(name).copied());
        self.stats = stats.map(Option::unwrap_or_default).collect();
        self.routes = names.into();
    }

    /// An exchange ended.
    pub(super) fn record(&mut self, record: &ExchangeRecord) {
        // A reload may have removed the route.
        let route = record
            .route
            .as_ref()
            .and_then(|name| self.routes.binary_search(name).ok());
        let upstream = record.upstream_time();
        if let Some(stats) = route.and_then(|route| self.stats.get_mut(route)) {
            stats.exchanges += 1;
            stats.upstream_time += upstream.unwrap_or_default();
            if let Some(status) = record.status {
                stats.responses.count(status);
            }
            stats.upstream_errors += u64::from(matches!(
                record.problem,
                Some(Problem::Upstream(_) | Problem::Deadline)
            ));
        }
        if self.sender.is_none() {
            return;
        }
        let air_in = record.air_in_time();
        self.buffer.push(Measurement {
            route,
            trace: record.trace.sampled.then_some(record.trace.trace_id),
            duration: air_in.unwrap_or_default() + record.finished.since(record.received),
            air_in,
            upstream,
            air_out: record.air_out_time(),
            response: record.replied.map(|at| at.since(record.received)),
            request_octets: record.request_octets,
            reply_octets: record.reply_octets,
        });
        if self.buffer.len() >= BATCH {
            self.flush();
        }
    }

    /// Sends the measurements so far.
    pub(super) fn flush(&mut self) {
        let Some(sender) = self.sender.as_ref().filter(|_| !self.buffer.is_empty()) else {
            return;
        };
        let count = self.buffer.len();
        let batch = MeasurementBatch {
            routes: Arc::clone(&self.routes),
            measurements: std::mem::take(&mut self.buffer),
        };
        if sender.try_send(batch, count).is_err() {
            self.lost += count as u64;
        }
    }

    /// The counters of each route.
    pub(super) fn route_stats(&self) -> BTreeMap<Arc<str>, RouteStats> {
        let names = self.routes.iter().cloned();
        names.zip(self.stats.iter().copied()).collect()
    }

    /// Measurements lost because the queue was full.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}

/// Classes of HTTP statuses, from 200 on.
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "other"];

/// Measurements sent at once.
const BATCH: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::fetch::Failure;
    use crate::gateway::record::Ending;
    use crate::random::Random;
    use crate::route::{Address, Condition, RouteSettings};
    use crate::time::Instant;
    use crate::trace_context::{Caller, SampleRatio, TraceContext};
    use crate::wdp::Peer;
    use crate::worker::{Inbox, Received, queue};

    fn routes(names: &[&str]) -> Routes {
        let route = |name: &&str| {
            let address = |uri| Address::parse_prefix(uri).unwrap();
            let condition = Condition::prefix(address("http://a/"));
            let upstream = address("https://b/");
            RouteSettings {
                name: (*name).into(),
                ..RouteSettings::new(condition, upstream)
            }
        };
        Routes::new(names.iter().map(route).collect())
    }

    /// An exchange of 5 s, 2 s of which it waited for the origin.
    fn exchange(route: &str, problem: Option<Problem>) -> ExchangeRecord {
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        ExchangeRecord {
            number: 1,
            trace: TraceContext::new(&mut Random::new(1), SampleRatio::ALL, &Caller::default()),
            peer: Peer::new(
                "192.0.2.1:1".parse().unwrap(),
                "192.0.2.2:9201".parse().unwrap(),
            ),
            session: None,
            identity: None,
            method: http::Method::GET,
            uri: bytes::Bytes::new(),
            syncml: None,
            route: Some(route.into()),
            target: None,
            upstream_uri: None,
            status: Some(200),
            problem,
            detail: None,
            reply_limit: None,
            ending: Ending::Acknowledged,
            received: at(10),
            fetched: Some(at(11)),
            reply_began: Some(at(12)),
            replied: Some(at(13)),
            finished: at(15),
            request_octets: 7,
            reply_octets: 9,
            acknowledgement: bytes::Bytes::new(),
            air: None,
            binding: crate::gateway::record::Binding::Wsp,
            secured: false,
        }
    }

    fn received(inbox: &Inbox<MeasurementBatch>) -> Vec<(Option<Arc<str>>, Measurement)> {
        let mut all = Vec::new();
        while let Received::Message(batch, _) = inbox.try_recv() {
            let name = |one: &Measurement| Some(Arc::clone(&batch.routes[one.route?]));
            all.extend(batch.measurements.iter().map(|one| (name(one), *one)));
        }
        all
    }

    #[test]
    fn what_is_measured_arrives_under_the_name_of_its_route() {
        let (handle, inbox) = queue(10);
        let mut meter = ExchangeMeter::new(&routes(&["b", "a"]), Some(handle));
        meter.record(&exchange("b", None));
        assert!(received(&inbox).is_empty(), "it waits for more");
        // The names change with a reload; measurements before it have the old ones.
        meter.set_routes(&routes(&["c", "b"]));
        meter.record(&exchange("c", Some(Problem::Upstream(Failure::Reset))));
        meter.record(&exchange("a", None));
        meter.flush();
        let all = received(&inbox);
        let names: Vec<Option<&str>> = all.iter().map(|(name, _)| name.as_deref()).collect();
        assert_eq!(names, [Some("b"), Some("c"), None]);
        let (_, first) = all[0];
        assert_eq!(first.duration, Duration::from_secs(5));
        assert_eq!(first.upstream, Some(Duration::from_secs(2)));
        assert_eq!(first.air_out, Some(Duration::from_secs(2)));
        assert_eq!((first.air_in, first.request_octets), (None, 7));

        let stats = meter.route_stats();
        assert_eq!(
            stats.keys().map(|name| &**name).collect::<Vec<_>>(),
            ["b", "c"]
        );
        assert_eq!((stats["b"].exchanges, stats["b"].upstream_errors), (1, 0));
        assert_eq!((stats["c"].exchanges, stats["c"].upstream_errors), (1, 1));
        assert_eq!(stats["b"].upstream_time, Duration::from_secs(2));
        assert_eq!(first.response, Some(Duration::from_secs(3)));
    }

    #[test]
    fn responses_are_counted_by_the_class_of_their_status() {
        let mut meter = ExchangeMeter::new(&routes(&["a"]), None);
        for status in [
            Some(200),
            Some(206),
            Some(304),
            Some(404),
            Some(500),
            Some(504),
            Some(100),
            Some(600),
            None,
        ] {
            let record = ExchangeRecord {
                status,
                ..exchange("a", None)
            };
            meter.record(&record);
        }
        let counts: Vec<_> = meter.route_stats()["a"].responses.iter().collect();
        let wanted = [("2xx", 2), ("3xx", 1), ("4xx", 1), ("5xx", 2), ("other", 2)];
        assert_eq!(counts, wanted);
    }

    #[test]
    fn a_full_queue_loses_measurements_and_counts_them() {
        let (handle, inbox) = queue(2 * BATCH);
        let mut meter = ExchangeMeter::new(&routes(&["a"]), Some(handle));
        for _ in 0..3 * BATCH {
            meter.record(&exchange("a", None));
        }
        assert_eq!(meter.lost(), BATCH as u64);
        assert_eq!(received(&inbox).len(), 2 * BATCH);
        assert_eq!(meter.route_stats()["a"].exchanges, 3 * BATCH as u64);
    }
}
