//! wapbridge: a WAP gateway.

pub mod codec;
pub mod gateway;
pub mod route;
pub mod time;
pub mod wdp;
