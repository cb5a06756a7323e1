//! Metrics: one table describes them, the `metrics` facade carries them, and
//! `metrics-exporter-prometheus` renders them for `/metrics`.

mod exporter;
mod open_metrics;
mod row;
mod table;

pub(super) use exporter::{Exporter, router};
pub(super) use row::Metric;
pub(super) use table::{METRICS, SECONDS};
