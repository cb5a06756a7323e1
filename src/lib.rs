//! wapbridge: a WAP gateway.

pub mod admin;
pub mod cli;
pub mod codec;
pub mod config;
pub mod gateway;
pub mod handset;
pub mod random;
pub mod record;
pub mod route;
pub mod server;
pub mod sim;
pub mod syncml;
pub mod time;
pub mod upstream;
pub mod wbxml;
pub mod wdp;
pub mod wsp;
pub mod wtp;
