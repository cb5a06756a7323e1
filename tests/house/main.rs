//! What the repository says of the program: the configuration examples and the generated tables of the documents.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod config;
mod conformance;
mod documents;
mod http;
mod packages;
