//! Commands from the control thread and the session directory to one shard.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::drain::DrainCondition;
use crate::gateway::handover::Handover;
use crate::gateway::http::{HttpId, HttpRequest};
use crate::gateway::push::{Push, PushOutcome};
use crate::gateway::record::Ending;
use crate::gateway::{self, Command, Mode};
use crate::identity::Change;
use crate::push::capabilities::Capabilities;
use crate::server::secure::{SecureSession, SecureSettings};
use crate::server::subscription::TapCommand;
use crate::upstream::{Tls, Tunnel};
use crate::wsp::claim::ClaimId;
use crate::wsp::listing::{Page, Query};

/// The answer to a request over HTTP.
#[derive(Debug)]
pub(in crate::server) struct HttpAnswer {
    pub(in crate::server) response: Box<http::Response<Bytes>>,
    /// The connection to the origin, if the answer to CONNECT is a success.
    pub(in crate::server) tunnel: Option<Tunnel>,
}

/// A command to a shard. Commands wait in the shard's mailbox, and each takes a bounded part of one
/// turn.
#[derive(Debug)]
pub(in crate::server) enum ShardCommand {
    /// Pass a command to the core.
    Core(Command),
    /// Enter a mode; answered once the mode holds.
    Enter(Mode, oneshot::Sender<()>),
    /// Read the sockets from now on.
    StartReading,
    /// End a claim, with the session or without.
    Claimed(ClaimId, Option<Box<Handover>>),
    /// Change which subscriber has which address; answered once the core has the changes.
    Identify(Arc<[Change]>, oneshot::Sender<()>),
    /// Use new routes and certificates for new requests. Requests under way keep their own.
    Reload(Arc<gateway::Config>, Tls),
    /// Read a stretch of the session table and answer with it.
    ListSessions(Query, oneshot::Sender<Page>),
    /// Another shard made or ended a session of WTLS.
    SecureSession(SecureSession),
    /// Use these settings of WTLS for new handshakes.
    ReloadSecure(SecureSettings),
    /// Answer with the capabilities of the client at an address, by its Connect.
    Capabilities(IpAddr, oneshot::Sender<Option<Capabilities>>),
    /// Push, and answer with the outcome.
    Push(Box<Push>, oneshot::Sender<PushOutcome>),
    /// Serve a request over HTTP, and answer with its response.
    HttpRequest(HttpId, Box<HttpRequest>, oneshot::Sender<HttpAnswer>),
    /// A request over HTTP is over: its response was written, or its handset has gone. A tunnel
    /// carried so many octets from the handset and to the handset.
    HttpEnd(HttpId, Ending, Option<(u64, u64)>),
    /// Pass a command to the tap; answered once the tap has it.
    Tap(TapCommand, oneshot::Sender<()>),
    /// Answer as soon as the condition holds.
    NotifyWhen(DrainCondition, oneshot::Sender<()>),
    /// End every session, a few at a time, and answer with their number. A closed answer cancels
    /// the command.
    DisconnectAll(oneshot::Sender<usize>),
}
