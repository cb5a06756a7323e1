//! Subscriptions of traces: the subject, the events, and the commands to the taps.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::route::Network;
use crate::trace::Observation;
use crate::wdp::Address;

/// The subject of a trace.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Every address of this network.
    Network(Network),
    /// Every address of the subscriber with this number or alias.
    Number(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Number(number) => f.write_str(number),
        }
    }
}

/// A command to a tap.
#[derive(Clone, Debug)]
pub(super) enum TapCommand {
    Arm(TraceSubscription),
    Disarm(u64),
    /// The subscriber has this session.
    Session(u64, u32),
    /// The subscriber has this address, too.
    Moved(u64, Address),
}

/// A trace, as the taps know it.
#[derive(Clone, Debug)]
pub struct TraceSubscription {
    /// Its number.
    pub id: u64,
    /// The subject of the trace.
    pub subject: Subject,
    /// The channel for the events.
    pub events: mpsc::Sender<TapEvent>,
    /// How much did not fit.
    pub lost: Arc<AtomicU64>,
}

/// An event of a tap.
#[derive(Debug)]
pub enum TapEvent {
    /// Something that was seen, and when, since 1970.
    Observed(Duration, Observation),
    /// The subscriber has this session.
    Session(u32),
    /// The subscriber's session was resumed from there.
    Moved(Address),
}
