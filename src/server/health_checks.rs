//! The checks of hosts: started once for the whole process, whatever its number of shards.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::random::Random;
use crate::route::Routes;
use crate::server::State;
use crate::upstream::{HostCheck, Hosts, Tls, checks_of};

/// The running checks. Dropping it stops them.
#[derive(Debug)]
pub struct HealthChecks {
    settings: watch::Sender<(Tls, Routes)>,
    _task: AbortOnDropHandle<()>,
}

impl HealthChecks {
    /// Starts the checks that routes ask for. They stop while the gateway drains. `seed` decides how
    /// they are spread over time. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        tls: &Tls,
        routes: &Routes,
        hosts: Hosts,
        state: watch::Receiver<State>,
        seed: u64,
    ) -> Self {
        let (settings, seen) = watch::channel((tls.clone(), routes.clone()));
        let task = tokio::spawn(supervise(seen, hosts, state, seed));
        Self {
            settings,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Checks by other settings. Hosts that stay keep their results, and the time of their next
    /// check.
    pub fn reload(&self, tls: &Tls, routes: &Routes) {
        self.settings.send_replace((tls.clone(), routes.clone()));
    }
}

/// Runs the checks of the present settings, until there are no more settings or states to come.
async fn supervise(
    mut settings: watch::Receiver<(Tls, Routes)>,
    hosts: Hosts,
    mut state: watch::Receiver<State>,
    seed: u64,
) {
    let mut checks: Vec<Arc<HostCheck>> = Vec::new();
    loop {
        let fresh = {
            let (tls, routes) = &*settings.borrow_and_update();
            checks_of(tls, routes, &hosts)
        };
        let stays = |check: &HostCheck| fresh.iter().any(|other| other.is_of_same_host(check));
        for gone in checks.iter().filter(|check| !stays(check)) {
            gone.forget();
        }
        checks = fresh.into_iter().map(Into::into).collect();
        let mut tasks = JoinSet::new();
        let running = tokio::select! {
            running = run(&checks, &mut tasks, &mut state, seed) => running,
            changed = settings.changed() => changed.is_ok(),
        };
        // No result comes after this.
        tasks.shutdown().await;
        if !running {
            return;
        }
    }
}

/// Runs checks, except while the gateway drains. Returns false once there is no gateway.
async fn run(
    checks: &[Arc<HostCheck>],
    tasks: &mut JoinSet<()>,
    state: &mut watch::Receiver<State>,
    seed: u64,
) -> bool {
    loop {
        for (nth, check) in (0..).zip(checks) {
            let check = Arc::clone(check);
            let random = Random::new(seed.wrapping_add(nth));
            tasks.spawn(async move { check.run(random).await });
        }
        if state.wait_for(|now| *now == State::Draining).await.is_err() {
            return false;
        }
        tasks.shutdown().await;
        if state.wait_for(|now| *now != State::Draining).await.is_err() {
            return false;
        }
    }
}
