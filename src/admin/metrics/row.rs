//! One row of the table of metrics: name, kind, help, labels, and the source of its value.

use std::time::Duration;

use crate::admin::snapshot::Snapshot;
use crate::server::Measurement;

/// A metric family.
pub(in crate::admin) struct Metric {
    /// The name. A histogram's series have `_bucket`, `_sum` and `_count` appended.
    pub(in crate::admin) name: &'static str,
    pub(in crate::admin) kind: Kind,
    pub(in crate::admin) help: &'static str,
    /// The names of its labels. Their values are a closed set, of the code or of the configuration;
    /// handsets and origins never choose one.
    pub(in crate::admin) labels: &'static [&'static str],
    pub(super) read: Read,
}

/// The kind, as Prometheus names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The source of the values.
pub(super) enum Read {
    /// One value.
    One(Field),
    /// One value, unless its component is switched off.
    Optional(fn(&Snapshot) -> Option<u64>),
    /// One value for each value of one label, which the row lists.
    By(&'static [(Str, Field)]),
    /// One value for each set of label values that the snapshot has.
    Each(fn(&Snapshot, Add<'_, u64>)),
    /// The same in seconds, with a fraction.
    EachSeconds(fn(&Snapshot, Add<'_, Duration>)),
    /// Bucket bounds, and the value observed of each exchange. With the label `route`, exchanges
    /// without a route are left out.
    Observed(&'static [f64], fn(&Measurement) -> Option<f64>),
    /// Set by the crate `metrics-process`.
    Process,
}

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::admin) enum Value {
    Whole(u64),
    Seconds(Duration),
    /// Of a histogram or of the process: held by the exporter.
    Elsewhere,
}

impl Kind {
    /// Its name in the text format.
    pub(in crate::admin) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Metric {
    const fn new(kind: Kind, name: Str, help: Str, labels: &'static [Str], read: Read) -> Self {
        Self {
            name,
            kind,
            help,
            labels,
            read,
        }
    }

    /// Calls `f` with the label values and the value of every series in the snapshot.
    pub(in crate::admin) fn series(&self, snapshot: &Snapshot, f: &mut dyn FnMut(&[&str], Value)) {
        match &self.read {
            Read::One(read) => f(&[], Value::Whole(read(snapshot))),
            Read::Optional(read) => {
                if let Some(value) = read(snapshot) {
                    f(&[], Value::Whole(value));
                }
            }
            Read::By(rows) => {
                for (label, read) in *rows {
                    f(&[label], Value::Whole(read(snapshot)));
                }
            }
            Read::Each(each) => {
                each(snapshot, &mut |labels, value| {
                    f(labels, Value::Whole(value));
                });
            }
            Read::EachSeconds(each) => {
                each(snapshot, &mut |labels, time| {
                    f(labels, Value::Seconds(time));
                });
            }
            Read::Observed(..) if self.labels == ["route"] => {
                for route in snapshot.routes.keys() {
                    f(&[route], Value::Elsewhere);
                }
            }
            Read::Observed(..) | Read::Process => f(&[], Value::Elsewhere),
        }
    }
}

/// A value that was counted since the process started and never falls. Its name ends in `_total`.
pub(super) const fn counter(name: Str, help: Str, labels: &'static [Str], read: Read) -> Metric {
    Metric::new(Kind::Counter, name, help, labels, read)
}

/// A present value.
pub(super) const fn gauge(name: Str, help: Str, labels: &'static [Str], read: Read) -> Metric {
    Metric::new(Kind::Gauge, name, help, labels, read)
}

/// The distribution of something measured of each exchange.
pub(super) const fn histogram(name: Str, help: Str, labels: &'static [Str], read: Read) -> Metric {
    Metric::new(Kind::Histogram, name, help, labels, read)
}

type Str = &'static str;
/// Reads one number of the snapshot.
type Field = fn(&Snapshot) -> u64;
/// Takes the label values and the value of one series.
type Add<'a, T> = &'a mut dyn FnMut(&[&str], T);
