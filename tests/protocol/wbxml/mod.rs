//! WBXML (WAP-192): static conformance, recorded messages, and other implementations.

mod bridge;
mod conformance;
mod corpus;
mod libwbxml;
mod tshark;
