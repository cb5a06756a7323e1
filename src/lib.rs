//! wapbridge: a WAP gateway.

pub mod codec;
pub mod gateway;
pub mod syncml;
pub mod time;
pub mod wbxml;
pub mod wdp;
