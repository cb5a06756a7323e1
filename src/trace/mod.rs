//! A trace of one subscriber, assembled from its datagrams, with credentials and contents blank.
//!
//! [`Recording`] keeps observations and reassembles segmented messages. [`TraceEvent`] describes
//! one observation in words. [`pcapng`] writes a recording as a capture file. [`mask`] decides
//! which octets may be shown.

mod blank;
mod event;
mod fields;
pub mod mask;
mod observation;
pub mod pcapng;
mod policy;
mod recording;

pub use blank::uri_text;
pub use event::TraceEvent;
pub use observation::{Entry, Observation};
pub use recording::Recording;
