//! Serving modes: all handsets, handsets with a session, or no new requests.

use crate::gateway::answer::Problem;
use crate::wdp::Service;

/// The serving mode. Exchanges under way go on in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All handsets.
    #[default]
    Running,
    /// Handsets with a session: their methods, pushes and Resumes. A Connect gets 503 or a
    /// redirect. A request without a session gets 503.
    Isolated,
    /// No new requests: as isolated, and methods of sessions get 503 too.
    Draining,
    /// No new requests and no answers: another process reads this port next, and gets the handsets'
    /// repetitions. Transactions under way are finished, a Connect too.
    Leaving,
}

impl Mode {
    /// Why a client that connects is refused, unless it may.
    pub(super) const fn refuses_sessions(self) -> Option<Problem> {
        match self {
            // A Connect may have begun, though its TID is not verified yet.
            Self::Running | Self::Leaving => None,
            Self::Isolated => Some(Problem::Isolated),
            Self::Draining => Some(Problem::Draining),
        }
    }

    /// Why a request is refused, unless it may come this way.
    pub(super) const fn refuses_requests(self, service: Service) -> Option<Problem> {
        match (self, service.inside()) {
            // A method may have begun, though it is not whole yet.
            (Self::Running, _) | (Self::Isolated | Self::Leaving, Service::ConnectionMode) => None,
            (Self::Isolated, _) => Some(Problem::Isolated),
            (Self::Leaving | Self::Draining, _) => Some(Problem::Draining),
        }
    }
}
