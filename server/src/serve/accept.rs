//! The accept loop: judges who knocks, and gives each connection a task of its own.
//!
//! Never waits for a peer itself; a handshake that takes too long costs only its own task.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connecting, Endpoint, Incoming};
use tokio::time::timeout;
use tracing::debug;

use super::gate::{Admission, Gate, GateVerdict};
use crate::session::{self, ConnectionEnd, Shared};

/// How long the handshake of a connection may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts connections until the server stops.
pub(super) async fn run(endpoint: Endpoint, gate: Gate, shared: Arc<Shared>) {
    loop {
        let incoming = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            incoming = endpoint.accept() => incoming,
        };
        match incoming {
            Some(incoming) => judge(incoming, &gate, &shared),
            None => break,
        }
    }
}

fn judge(incoming: Incoming, gate: &Gate, shared: &Arc<Shared>) {
    let now = shared.clock.now_ms();
    let is_proven = incoming.remote_address_validated();
    match gate.judge(incoming.remote_address(), is_proven, now) {
        GateVerdict::Accept(admission) => match incoming.accept() {
            Ok(connecting) => {
                shared.tasks.spawn(serve(connecting, admission, Arc::clone(shared)));
            }
            Err(error) => debug!(%error, "a connection attempt made no sense"),
        },
        GateVerdict::Retry => {
            if let Err(error) = incoming.retry() {
                // Cannot be: only unproven addresses are asked for proof.
                error.into_incoming().ignore();
            }
        }
        GateVerdict::Ignore => incoming.ignore(),
    }
}

async fn serve(connecting: Connecting, mut admission: Admission, shared: Arc<Shared>) {
    let connection = match timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return debug!(%error, "a handshake failed"),
        Err(_) => return debug!("a handshake took too long"),
    };
    admission.end_handshake();
    let ending = session::serve(Arc::clone(&shared), connection).await;
    if ending == ConnectionEnd::LoginFailed {
        admission.note_failed_login(shared.clock.now_ms());
    }
    metrics::counter!("mathia_connections_ended_total", "ending" => ending.word()).increment(1);
    debug!(ending = ending.word(), "a connection ended");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: impl FnOnce(Connecting, Admission, Arc<Shared>) -> F) -> usize {
        size_of::<F>()
    }

    /// What a connection's task keeps from its first packet to its last.
    #[test]
    fn the_task_of_a_connection_is_small() {
        assert!(size_of_future(serve) <= 4 * 1024, "{}", size_of_future(serve));
    }
}
