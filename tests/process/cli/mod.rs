//! The program from outside: its commands, their output and their exit statuses.

pub(crate) mod admin;
mod bench;
mod decode;
mod demo;
mod hosts;
pub(crate) mod process;
mod push;
mod push_sms;
mod readme;
mod request;
mod serve;
