//! File descriptors: how many connections to origins may take, so that some are left for everything
//! else.

use rustix::process::{Resource, getrlimit};

use crate::upstream::RESERVED_DESCRIPTORS;

/// Connections to origins for which there are descriptors, while `sockets` of the handsets' side
/// are open.
pub(super) fn for_origins(sockets: usize) -> usize {
    available(getrlimit(Resource::Nofile).current, sockets)
}

/// Connections of handsets over HTTP for which there are descriptors, if so many are wanted: at
/// most a quarter of all.
pub(super) fn for_http(wanted: usize) -> usize {
    quarter(getrlimit(Resource::Nofile).current, wanted)
}

fn quarter(limit: Option<u64>, wanted: usize) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    wanted.min((limit / 4).max(FEWEST))
}

fn available(limit: Option<u64>, sockets: usize) -> usize {
    let Some(limit) = limit else {
        return usize::MAX;
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit
        .saturating_sub(sockets + RESERVED_DESCRIPTORS)
        .max(FEWEST)
}

/// A process with hardly any descriptors still serves.
const FEWEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_left_for_everything_else() {
        assert_eq!(available(Some(1_024), 8), 1_024 - 8 - RESERVED_DESCRIPTORS);
        assert_eq!(available(Some(64), 8), FEWEST);
        assert_eq!(available(None, 8), usize::MAX);
        assert_eq!(quarter(Some(1_024), 1_000), 256);
        assert_eq!(quarter(Some(1_024), 100), 100);
        assert_eq!(quarter(None, 1_000), 1_000);
    }
}
