//! The engine: one thread that owns the connection and the state of all rooms.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::event::ConnectionState;
use super::events::EventQueue;
use super::handle::{Ask, ClientConfig};
use super::replica::Replica;

/// Starts the engine on a thread of its own.
pub(super) fn spawn(
    _config: ClientConfig,
    _replica: Arc<dyn Replica>,
    _inbox: mpsc::Receiver<Ask>,
    _events: EventQueue,
    _connection: watch::Sender<ConnectionState>,
) -> io::Result<()> {
    Ok(())
}
