//! Whom the gateway serves: everybody, those who are in, or nobody new.

use crate::gateway::answer::Problem;
use crate::wdp::Service;

/// Whom the gateway serves. What is under way goes on in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everybody.
    #[default]
    Running,
    /// Those who are in: methods and pushes of sessions, and Resumes. Who connects is refused with 503, or sent
    /// elsewhere; requests without a session are anybody's and answered with 503.
    Isolated,
    /// Nobody new: as isolated, and methods of sessions are answered with 503 too.
    Draining,
    /// Nobody new, and no answer: another process hears this port next, and with it what handsets send again.
    /// Transactions that have begun are finished.
    Leaving,
}

impl Mode {
    /// Why a client that connects is refused, unless it may.
    pub(super) const fn refuses_sessions(self) -> Option<Problem> {
        match self {
            Self::Running => None,
            Self::Isolated => Some(Problem::Isolated),
            Self::Draining | Self::Leaving => Some(Problem::Draining),
        }
    }

    /// Why a request is refused, unless it may come this way.
    pub(super) const fn refuses_requests(self, service: Service) -> Option<Problem> {
        match (self, service) {
            // A method may have begun, though it is not whole yet.
            (Self::Running, _) | (Self::Isolated | Self::Leaving, Service::ConnectionMode) => None,
            (Self::Isolated, Service::Connectionless) => Some(Problem::Isolated),
            (Self::Leaving, Service::Connectionless) | (Self::Draining, _) => {
                Some(Problem::Draining)
            }
        }
    }
}
