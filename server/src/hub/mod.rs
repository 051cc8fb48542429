//! Who is online and who hears what: sessions register here, news goes out from here.
//!
//! Owns no truth: the log is. Never waits for a session; what a slow one cannot take is dropped from
//! its outbox and pulled from the log later.

mod news;
mod outbox;
mod presence;
mod registry;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, Seq, TimeMs};
use mathia_protocol::wire::{ServerDatagram, encode_body};

pub use news::{EphemeralKey, News};
pub use outbox::{Bounds, Outbox, Parting, event_frame, fault_frame, reply_frame};

use outbox::Run;
use registry::{Listener, Registry};

use crate::clock::Clock;

/// Entries that travel as one piece: few enough that a full outbox loses little at a time.
const PIECE_ENTRIES_MAX: usize = 32;
/// Bytes that travel as one piece.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Names one session in the hub, as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// What the hub needs to know of a session.
#[derive(Debug, Clone)]
pub struct Session {
    /// The account that logged in.
    pub account: AccountId,
    /// The device it logged in with.
    pub device: DeviceId,
    /// Where its news goes.
    pub outbox: Arc<Outbox>,
}

/// The account has as many sessions as it may. Retrying helps once one of them has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the account has {max} sessions already")]
pub struct TooManySessions {
    /// The limit.
    pub max: u32,
}

/// What a session leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Left {
    /// It was the account's last session: this is when the account was last seen.
    pub was_last: bool,
}

/// What a hub has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpreadCounts {
    /// Log entries.
    pub n_entries: u64,
    /// The same, times the sessions that each was queued for.
    pub n_deliveries: u64,
}

/// The registry of live sessions and the fan-out to them. Shared by all.
pub struct Hub {
    registry: Mutex<Registry>,
    /// Outboxes of the present batch that must be rung; kept so that a batch needs no allocation.
    to_ring: Mutex<Vec<Arc<Outbox>>>,
    n_entries: AtomicU64,
    n_deliveries: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Hub {
    /// Makes an empty hub in which an account may have so many sessions.
    pub fn new(clock: Arc<dyn Clock>, sessions_per_account_max: u32) -> Self {
        Self {
            registry: Mutex::new(Registry::new(sessions_per_account_max)),
            to_ring: Mutex::default(),
            n_entries: AtomicU64::new(0),
            n_deliveries: AtomicU64::new(0),
            clock,
        }
    }

    /// Registers a session that has logged in. It hears nothing yet, but it is online and can be
    /// expelled; from now on the hub notes which rooms its account joins and leaves.
    ///
    /// # Errors
    ///
    /// [`TooManySessions`]: the login must be refused.
    pub fn enter(&self, session: Session) -> Result<SessionId, TooManySessions> {
        self.registry().enter(session)
    }

    /// Lets a session hear the rooms of its account, and tells it who is there.
    ///
    /// `rooms` must have been read from the store after [`enter`](Self::enter); what changed since
    /// then is known here. Calling it again changes nothing.
    pub fn hear(&self, session: SessionId, rooms: &[RoomNumber]) {
        let now = self.clock.now_ms();
        self.registry().hear(session, rooms, now);
    }

    /// Says whether [`hear`](Self::hear) was called for the session.
    pub fn hears(&self, session: SessionId) -> bool {
        self.registry().hears(session)
    }

    /// Forgets a session.
    pub fn leave(&self, session: SessionId) -> Left {
        let now = self.clock.now_ms();
        self.registry().leave(session, now)
    }

    /// Notes whether somebody is at the session.
    pub fn set_away(&self, session: SessionId, is_away: bool) {
        self.registry().set_away(session, is_away);
    }

    /// Tells everybody who shares a room what changed since the last call. Called about once a
    /// second: who comes back within that time was never away.
    pub fn tell_presence(&self) {
        let now = self.clock.now_ms();
        let mut to_ring = self.to_ring();
        self.registry().tell_presence(now, &mut to_ring);
        ring_all(&mut to_ring);
    }

    /// Which of these people have no session, each with the time it was last seen if that is known
    /// here.
    pub fn absent(&self, people: &[AccountId]) -> Vec<(AccountId, Option<TimeMs>)> {
        let registry = self.registry();
        people
            .iter()
            .filter(|account| !registry.is_there(**account))
            .map(|account| (*account, registry.last_seen(*account)))
            .collect()
    }

    /// Remembers when an account was last seen, as the store says, to spare the next who asks.
    pub fn note_last_seen(&self, account: AccountId, time: TimeMs) {
        self.registry().note_last_seen(account, time);
    }

    /// Says whether a room was found too large to tell of the absent in it.
    pub fn is_large(&self, room: RoomNumber) -> bool {
        self.registry().large_rooms.contains(&room)
    }

    /// Remembers that a room is large.
    pub fn note_large(&self, room: RoomNumber) {
        self.registry().large_rooms.insert(room);
    }

    /// Passes on that somebody types, or no longer does, to the others in a room. Says `false` if
    /// the session does not hear that room.
    pub fn typing(&self, session: SessionId, room: RoomNumber, is_typing: bool) -> bool {
        let Some((account, listeners)) = self.registry().audience(session, room) else {
            return false;
        };
        if listeners.len() > presence::AUDIENCE_MAX {
            return true;
        }
        let datagram = if is_typing {
            ServerDatagram::Typing { room, account }
        } else {
            ServerDatagram::TypingStopped { room, account }
        };
        let payload = Bytes::from(encode_body(&datagram));
        for listener in listeners.iter().filter(|listener| listener.account != account) {
            listener.outbox.datagram(payload.clone());
            listener.outbox.wake();
        }
        true
    }

    /// Spreads news in its order. Each session it touches is rung once at the end.
    ///
    /// Called by the one writer after the commit that made the news true.
    pub fn publish(&self, news: &[News]) {
        let mut to_ring = self.to_ring();
        // Answers have a lane of their own, so they may overtake: then entries of one room stand
        // side by side and travel as one piece.
        for one in news {
            if let News::Answer { outbox, frame } = one
                && outbox.queue(|queues, _| queues.push_answer(frame))
            {
                to_ring.push(Arc::clone(outbox));
            }
        }
        let mut piece = Piece::default();
        for (at, one) in news.iter().enumerate() {
            let News::Entry { room, seq, frame } = one else {
                self.spread(one, &mut to_ring);
                continue;
            };
            piece.add(*room, *seq, frame);
            if !piece.goes_on_with(news[at + 1..].iter().find(|next| !next.is_answer())) {
                self.spread_entries(&mut piece, &mut to_ring);
            }
        }
        ring_all(&mut to_ring);
    }

    /// How many entries were spread, and how often, since the start.
    pub fn spread_counts(&self) -> SpreadCounts {
        SpreadCounts {
            n_entries: self.n_entries.load(Ordering::Relaxed),
            n_deliveries: self.n_deliveries.load(Ordering::Relaxed),
        }
    }

    /// How many sessions there are.
    pub fn n_sessions(&self) -> usize {
        self.registry().n_sessions()
    }

    /// How many accounts have a session.
    pub fn n_accounts(&self) -> usize {
        self.registry().n_accounts()
    }

    /// Queues a last event for every session and ends it, as when the server stops.
    pub fn end_all(&self, parting: Parting, goodbye: &Bytes) {
        let outboxes = self.registry().outboxes();
        for outbox in outboxes {
            outbox.event(goodbye);
            outbox.end(parting);
        }
    }

    /// How many expulsions there were. A login that was checked before one and enters after it must
    /// be checked again: the expulsion could not find it.
    pub fn n_expulsions(&self) -> u64 {
        self.registry().n_expulsions()
    }

    fn spread_entries(&self, piece: &mut Piece<'_>, to_ring: &mut Vec<Arc<Outbox>>) {
        let listeners = self.registry().listeners(piece.room);
        let n_entries = piece.frames.len() as u64;
        self.n_entries.fetch_add(n_entries, Ordering::Relaxed);
        self.n_deliveries.fetch_add(n_entries * listeners.len() as u64, Ordering::Relaxed);
        if listeners.is_empty() {
            piece.clear();
            return;
        }
        let frames = piece.join();
        let run = Run {
            room: piece.room,
            first_seq: piece.first_seq,
            n_entries: piece.frames.len(),
            frames: &frames,
        };
        queue_for(&listeners, None, to_ring, |outbox| {
            outbox.queue(|queues, bounds| queues.push_entries(bounds, run))
        });
        piece.clear();
    }

    fn spread(&self, one: &News, to_ring: &mut Vec<Arc<Outbox>>) {
        match one {
            // Both are handled in runs by the caller.
            News::Answer { .. } | News::Entry { .. } => {}
            News::Joined { room, account } => self.registry().joined(*room, *account),
            News::Left { room, account } => self.registry().left(*room, *account),
            News::Account { account, frame } => {
                let listeners = self.registry().hearing_sessions_of(*account);
                queue_for(&listeners, None, to_ring, |outbox| queue_event(outbox, frame));
            }
            News::Device { device, frame } => {
                let listeners = self.registry().hearing_sessions_on(*device);
                queue_for(&listeners, None, to_ring, |outbox| queue_event(outbox, frame));
            }
            News::Ephemeral { room, key, frame, except } => {
                let listeners = self.registry().listeners(*room);
                queue_for(&listeners, *except, to_ring, |outbox| {
                    outbox.queue(|queues, bounds| queues.push_ephemeral(bounds, *key, frame))
                });
            }
            News::Room { room, frame, except } => {
                let listeners = self.registry().listeners(*room);
                queue_for(&listeners, *except, to_ring, |outbox| queue_event(outbox, frame));
            }
            News::Expelled { account, device } => {
                for outbox in self.registry().expelled(*account, *device) {
                    outbox.end(Parting::Expelled);
                }
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // No change panics half-way through; if one did, a stale registry beats no registry.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to_ring(&self) -> MutexGuard<'_, Vec<Arc<Outbox>>> {
        self.to_ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("n_sessions", &self.n_sessions()).finish_non_exhaustive()
    }
}

/// Entries of one room that follow each other in a batch: joined once, they cost each of the many
/// who get them one push and one write instead of several.
#[derive(Debug, Default)]
struct Piece<'a> {
    room: RoomNumber,
    first_seq: Seq,
    frames: Vec<&'a Bytes>,
    n_bytes: usize,
}

impl<'a> Piece<'a> {
    fn add(&mut self, room: RoomNumber, seq: Seq, frame: &'a Bytes) {
        if self.frames.is_empty() {
            (self.room, self.first_seq) = (room, seq);
        }
        self.n_bytes += frame.len();
        self.frames.push(frame);
    }

    /// Says whether `next` belongs to the same piece.
    fn goes_on_with(&self, next: Option<&News>) -> bool {
        matches!(next, Some(News::Entry { room, frame, .. }) if *room == self.room
            && self.frames.len() < PIECE_ENTRIES_MAX
            && self.n_bytes + frame.len() <= PIECE_BYTES_MAX)
    }

    fn join(&self) -> Bytes {
        if let [frame] = self.frames[..] {
            return frame.clone();
        }
        let mut joined = BytesMut::with_capacity(self.n_bytes);
        self.frames.iter().for_each(|frame| joined.extend_from_slice(frame));
        joined.freeze()
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.n_bytes = 0;
    }
}

fn queue_for(
    listeners: &[Listener],
    except: Option<AccountId>,
    to_ring: &mut Vec<Arc<Outbox>>,
    queue: impl Fn(&Outbox) -> bool,
) {
    for listener in listeners {
        if except.is_none_or(|account| account != listener.account) && queue(&listener.outbox) {
            to_ring.push(Arc::clone(&listener.outbox));
        }
    }
}

fn queue_event(outbox: &Outbox, frame: &Bytes) -> bool {
    outbox.queue(|queues, bounds| queues.push_event(bounds, frame))
}

fn ring_all(to_ring: &mut Vec<Arc<Outbox>>) {
    to_ring.drain(..).for_each(|outbox| outbox.ring());
}

#[cfg(test)]
mod tests;
