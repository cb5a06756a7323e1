//! Counters of the session layer.

use derive_more::AddAssign;

/// They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Connects answered with a ConnectReply.
    pub connected: u64,
    /// Connects answered with a refusal of the user.
    pub refused: u64,
    /// Connects answered with other addresses.
    pub redirected: u64,
    /// Connects, and requests in several SDUs, aborted because there was no room.
    pub congested: u64,
    /// Sessions ended by the user.
    pub ended: u64,
    /// Sessions ended by the client.
    pub disconnected: u64,
    /// Sessions whose client never acknowledged its ConnectReply, or aborted it.
    pub unconfirmed: u64,
    /// Sessions replaced by a newer Connect or Resume of the same peer.
    pub replaced: u64,
    /// Sessions removed after `idle_timeout`.
    pub expired: u64,
    /// Suspends obeyed.
    pub suspended: u64,
    /// Resumes obeyed.
    pub resumed: u64,
    /// Methods held because they came before their session was there.
    pub early: u64,
    /// Of such methods, those aborted because too many were held, in all or of their address.
    pub early_refused: u64,
    /// Pushes sent.
    pub pushes: u64,
    /// Pushes the client confirmed.
    pub pushes_confirmed: u64,
    /// Methods shown to the user.
    pub methods: u64,
    /// Methods and Resumes aborted for want of a session.
    pub unknown_session: u64,
    /// Methods aborted because the client had as many outstanding as agreed.
    pub too_many_methods: u64,
    /// Methods aborted because they were larger than agreed, Connects and Resumes because of their
    /// headers.
    pub too_large: u64,
    /// SDUs that are no PDU, or a PDU that only servers send.
    pub malformed: u64,
    /// Sessions asked for elsewhere.
    pub claims: u64,
    /// Of these, found and taken over.
    pub claims_found: u64,
    /// Of these, claims for sessions that do not exist.
    pub claims_missed: u64,
    /// Of these, not answered in time.
    pub claims_expired: u64,
    /// Claims refused: too many were open, or too many of that source found no session.
    pub claims_refused: u64,
    /// Sessions given to another shard.
    pub handed_over: u64,
    /// Sessions that another node took over.
    pub taken: u64,
    /// Sessions that were never used, ended to make room for others.
    pub evicted: u64,
    /// Resumes that were not looked up, since too many of their source had failed.
    pub resumes_paused: u64,
    /// Suspends and Disconnects, likewise.
    pub strays_paused: u64,
    /// Resumes refused, and sessions ended, since another subscriber has the address.
    pub other_subscriber: u64,
}
