//! WSP (WAP-230): static conformance, state tables, and Kannel's header examples.

mod conformance;
pub(crate) mod conversation;
mod kannel;
mod states;
mod taken;
