//! wapbridge: a WAP gateway.

pub mod codec;
pub mod time;
pub mod wdp;
