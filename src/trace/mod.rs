//! What one subscriber's handset says and hears, for people to look at: put together from its datagrams, with
//! credentials and contents blank.
//!
//! [`Story`] takes in what was seen and keeps it; [`Told`] says it in words; [`pcapng`] writes it down for other
//! tools; [`mask`] decides what may be shown.

mod fields;
pub mod mask;
pub mod pcapng;
mod policy;
mod story;
mod told;

pub use story::{Entry, Seen, Story};
pub use told::Told;
