//! wapbridge: a WAP gateway.

pub mod codec;
pub mod explain;
pub mod gateway;
pub mod time;
pub mod wdp;
pub mod wsp;
pub mod wtp;
