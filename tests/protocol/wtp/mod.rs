//! WTP (WAP-224): static conformance, state tables and random networks. The exhaustive search is in
//! `src/wtp/search.rs`, for it plants defects.

mod conformance;
mod sim;
mod states;
mod transcript;
