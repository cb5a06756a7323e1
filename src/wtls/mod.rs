//! WTLS: the secure ports (WAP-261). Records between datagrams and the layers above.
//!
//! A layer like the others: [`Endpoint`] is given datagrams of secure ports and gives the datagrams
//! inside them; what the layers above send, it seals. What stands above knows nothing of it. A
//! connection belongs to an address quadruplet and moves nowhere: a handset with a new address
//! makes an abbreviated handshake.
//!
//! What the ciphers are worth: all of them are of the last century. Blocks of 64 bits, SHA-1 or
//! MD5, RSA with PKCS#1 version 1.5, no forward secrecy with RSA. WTLS keeps curious neighbours on
//! a shared medium out; it is no replacement for TLS, and the port belongs inside the network of an
//! operator.

mod alert;
mod certificate;
mod cipher;
mod client;
mod config;
mod connection;
mod curve;
mod defects;
mod dh;
mod endpoint;
mod exchange;
mod flight;
mod hash;
mod hello;
mod keys;
mod message;
mod observer;
mod record;
mod rsa;
mod search;
mod secret_random;
mod session_cache;
mod stats;
mod suite;
#[cfg(test)]
mod tests;
mod window;

pub use crate::limit::Rate;
pub use alert::{Alert, Description, Level, alert, checksum};
pub use certificate::{CertificateError, Statement, Stored};
pub use client::{Client, ClientConfig, ClientEvent, Problem};
pub use config::{
    Config, Credentials, DEFAULT_SECURITY, Mismatch, default_key_exchanges, default_suites,
};
pub use endpoint::{Endpoint, Opened, Secrets};
pub use hash::Hash;
pub use keys::{MasterSecret, Security, Side};
pub use message::{
    ClientHello, Identifier, KeyExchangeId, Message, MessageType, Parameters, RsaPublicKey,
    ServerHello, certificate_request, client_hello, message, server_hello,
};
pub use observer::{KeyLog, KeyLogError, Observer};
pub use record::{ContentType, Record, record, records};
pub use rsa::{KeyError, PrivateKey};
pub use secret_random::SecretRandom;
pub use session_cache::{Session, SessionChange, SessionId};
pub use stats::Stats;
pub use suite::{BULKS, Bulk, CipherSuite, KEY_EXCHANGES, KeyExchange, MACS, Mac, Method};
