//! SyncML.
