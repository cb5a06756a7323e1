//! wapbridge: a WAP gateway.

pub mod admin;
pub mod cli;
pub mod codec;
pub mod config;
pub mod gateway;
pub mod route;
pub mod time;
pub mod upstream;
pub mod wdp;
