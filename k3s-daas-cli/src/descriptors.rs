//! How many files and connections this process may have open.

use k3s_daas::gateway;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks the system for as many file descriptors as there may be, and bounds the gateway's connections by
/// what it gets: its ledger and its blob store must still be able to open files.
pub fn bound_connections(config: &mut gateway::Config) {
    let limit = raise();
    let wanted = config.max_connections;
    config.max_connections = wanted.min(connections_within(limit));
    if config.max_connections < wanted {
        tracing::warn!(
            descriptors = limit,
            max_connections = config.max_connections,
            wanted,
            "there may be fewer connections than gateway.max_connections: raise the limit of open files \
             (`ulimit -n`, LimitNOFILE)"
        );
    }
}

/// Raises the soft limit to the hard one; what it is then.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    // Nothing: without end.
    now.unwrap_or(u64::MAX)
}

fn connections_within(limit: u64) -> usize {
    let left = limit - RESERVE.min(limit / 2);
    usize::try_from(left).unwrap_or(usize::MAX).max(1)
}

/// Descriptors for everything that is no connection.
const RESERVE: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files() {
        for (limit, connections) in [
            (0, 1),
            (1, 1),
            (64, 32),
            (512, 256),
            (1_024, 768),
            (20_000, 19_744),
        ] {
            assert_eq!(connections_within(limit), connections, "{limit}");
        }
        assert!(connections_within(u64::MAX) > 1 << 40);
    }
}
