//! One connection: its login, then its session, one lean task each.
//!
//! Owns the streams of the connection and nothing else: changes go to the write queue, reads to the
//! readers, and what others do comes through the frame queue. A session never waits for its peer without
//! a limit, and no other session ever waits for it.

mod bulk;
mod context;
mod ending;
mod frames;
mod opening;
mod session_loop;

use std::sync::{Arc, PoisonError, RwLock};

use mathia_protocol::id::{AccountId, Hash, Realm, WorkspaceId};
use mathia_protocol::wire::{Fault, Registration, encode_frame};
use quinn::{Connection, VarInt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use ending::ConnectionEnd;
pub use opening::VERSION;

use crate::clock::Clock;
use crate::damage::Damage;
use crate::hub::{Bus, FrameQueue, Hub, QueueLimits, Session, SessionId, SessionRemoval};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::rooms::{Caller, Fatal, Job, Readers, Reads, SessionState, WriteQueue};
use crate::store::StoreError;

/// Streams a session may have open: the session stream and bulk streams.
const STREAMS_AFTER_LOGIN: u32 = 8;
/// Bytes a session may have on the way over all its streams: one large commit.
pub(crate) const RECEIVE_WINDOW_AFTER_LOGIN: u32 = 256 * 1024;
/// Bytes written to a session that it has not yet acknowledged.
pub(crate) const SEND_WINDOW_AFTER_LOGIN: u64 = 512 * 1024;

/// Above the 0 of bulk streams.
const SESSION_STREAM_PRIORITY: i32 = 1;

/// The answer when a queue is full; a second later there is room, or nothing helps.
pub(crate) const BUSY: Fault = Fault::ServerBusy { retry_after_ms: 1_000 };

/// Everything that all sessions share.
#[derive(Debug)]
pub struct Shared {
    /// The identity of the server's data.
    pub realm: Realm,
    /// Who may make accounts.
    pub registration: Registration,
    /// The operator's bounds.
    pub limits: Limits,
    /// Pins of the server's keys, written when a certificate is reloaded.
    pub pins: RwLock<Pins>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The workspace of all sessions.
    pub workspace: WorkspaceId,
    /// Who is online.
    pub hub: Arc<Hub>,
    /// Takes deliveries.
    pub bus: Arc<dyn Bus>,
    /// Takes changes.
    pub write_queue: WriteQueue,
    /// Takes reads.
    pub readers: Readers,
    /// What reads need beside the store.
    pub reads: Reads,
    /// What happens when the database fails.
    pub fatal: Fatal,
    /// Counts what is found damaged.
    pub damage: Arc<Damage>,
    /// Cancelled when the server stops: ends connections that are not yet sessions.
    pub stop: CancellationToken,
    /// Every task of every connection.
    pub tasks: TaskTracker,
}

/// Pins of the server's TLS keys (CRYPTO B8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pins {
    /// Of the key in use.
    pub current: Hash,
    /// Of the key that comes next, if a change is planned.
    pub next: Option<Hash>,
}

impl Shared {
    pub(crate) fn pins(&self) -> Pins {
        *self.pins.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer for a refusal. A database that failed ends the process; one damaged
    /// place in it does not.
    fn fault_of(&self, refusal: Refusal) -> Fault {
        match refusal {
            Refusal::Fault(fault) => fault,
            Refusal::Store(StoreError::Full(_)) => BUSY,
            Refusal::Store(error @ StoreError::Rotten(_)) => {
                self.damage.found(&error, self.clock.now_ms())
            }
            Refusal::Store(error) => {
                self.fatal.strike(&error);
                BUSY
            }
        }
    }
}

/// Serves one connection from its first stream to its end, and says how it ended.
///
/// Ends by itself within its timeouts when the peer is gone, and soon after the hub ends sessions
/// when the server stops.
pub async fn serve(shared: Arc<Shared>, connection: Connection) -> ConnectionEnd {
    // Boxed: what the opening needs is given back before the session begins to idle.
    let opened = tokio::select! {
        biased;
        () = shared.stop.cancelled() => Err(ConnectionEnd::Stopping),
        opened = Box::pin(opening::open(&shared, &connection)) => opened,
    };
    let ending = match opened {
        Ok(opened) => begin(shared, connection.clone(), opened).await,
        Err(ending) => ending,
    };
    ending.close(&connection);
    ending
}

async fn begin(
    shared: Arc<Shared>,
    connection: Connection,
    opened: opening::OpenedSession,
) -> ConnectionEnd {
    let opening::OpenedSession { account, device, chain_seq, n_expulsions, mut send, reader } =
        opened;
    let frame_queue = Arc::new(FrameQueue::new(QueueLimits::from(&shared.limits)));
    let session = Session { account, device, frame_queue: Arc::clone(&frame_queue) };
    let Ok(id) = shared.hub.enter(session) else {
        let rule = "too many connections of this account".to_owned();
        Box::pin(opening::send_refusal(&mut send, Fault::NotAllowed { rule })).await;
        return ConnectionEnd::Refused;
    };
    // Dropped at every end of the session, a panic's too.
    let _present = HubEntry { shared: Arc::clone(&shared), id, account };
    let is_recheck_needed = shared.hub.n_expulsions() != n_expulsions;
    if is_recheck_needed && !Box::pin(opening::is_still_known(&shared, account, device)).await {
        return ConnectionEnd::Expelled;
    }
    raise_limits(&connection);
    // Messages leave before pages of history.
    drop(send.set_priority(SESSION_STREAM_PRIORITY));
    frame_queue.answer(encode_frame(&opening::welcome(&shared, account, chain_seq)));
    let caller = Caller { account, device, workspace: shared.workspace };
    let state = SessionState::new(id, caller, frame_queue);
    let context = context::SessionContext::new(shared, state);
    session_loop::SessionLoop::new(Arc::new(context), connection, send, reader).run().await
}

/// A session's place in the hub, given back when dropped.
struct HubEntry {
    shared: Arc<Shared>,
    id: SessionId,
    account: AccountId,
}

impl Drop for HubEntry {
    fn drop(&mut self) {
        let now = self.shared.clock.now_ms();
        let SessionRemoval { was_last } = self.shared.hub.leave(self.id, now);
        if !was_last {
            return;
        }
        let (account, time) = (self.account, now);
        if self.shared.write_queue.submit(Job::LastSeen { account, time }).is_err() {
            tracing::debug!(account = %account.short(), "no room to note when it was last seen");
        }
    }
}

/// Raises what a connection may cost, now that it is known whose it is. Streams in one direction
/// stay forbidden: nothing in the protocol uses them, and each allowed one costs memory.
fn raise_limits(connection: &Connection) {
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(STREAMS_AFTER_LOGIN));
    connection.set_receive_window(VarInt::from_u32(RECEIVE_WINDOW_AFTER_LOGIN));
    connection.set_send_window(SEND_WINDOW_AFTER_LOGIN);
}
