//! Parts that several test programs share: origins, handsets, recorded messages, programs by
//! others.

#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod certificate;
pub(crate) mod corpus;
pub(crate) mod infoset;
pub(crate) mod nas;
pub(crate) mod origin;
pub(crate) mod peer;
pub(crate) mod phone;
pub(crate) mod raw;
pub(crate) mod sessions;
pub(crate) mod smsc;
