//! wapbridge: a WAP gateway.

pub mod codec;
pub mod gateway;
pub mod random;
pub mod time;
pub mod wdp;
