//! Who is online and who gets what: sessions register here, deliveries reach their queues here.
//!
//! Owns no truth: the log is. Never waits for a session; what a slow one cannot take is dropped from
//! its queue and pulled from the log later. Reads no clock: the time is an argument.

mod bus;
mod delivery;
mod entry_run;
mod frame_queue;
mod presence;
mod registry;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, TimeMs};
use mathia_protocol::wire::{ServerDatagram, encode_body};

pub use bus::{Bus, LocalBus};
pub use delivery::{Delivery, EphemeralKey, SessionAnswer};
pub use frame_queue::{FrameQueue, QueueLimits, SessionEnd, event_frame, fault_frame, reply_frame};

use entry_run::RunBuilder;
use registry::{Registry, Subscriber};

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
    /// What waits to be sent to it.
    pub frame_queue: Arc<FrameQueue>,
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
pub struct SessionRemoval {
    /// It was the account's last session: this is when the account was last seen.
    pub was_last: bool,
}

/// What a hub has delivered since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// Log entries.
    pub n_entries: u64,
    /// The same, times the sessions that each was queued for.
    pub n_deliveries: u64,
}

/// The registry of live sessions and the fan-out to them. Shared by all.
pub struct Hub {
    registry: Mutex<Registry>,
    /// Queues of the present batch whose sessions must be woken; kept so that a batch needs no
    /// allocation.
    to_wake: Mutex<Vec<Arc<FrameQueue>>>,
    n_entries: AtomicU64,
    n_deliveries: AtomicU64,
}

impl Hub {
    /// Makes an empty hub in which an account may have so many sessions.
    pub fn new(sessions_per_account_max: u32) -> Self {
        Self {
            registry: Mutex::new(Registry::new(sessions_per_account_max)),
            to_wake: Mutex::default(),
            n_entries: AtomicU64::new(0),
            n_deliveries: AtomicU64::new(0),
        }
    }

    /// Registers a session that has logged in. It gets nothing yet, but it is online and can be
    /// expelled; from now on the hub notes which rooms its account joins and leaves.
    ///
    /// # Errors
    ///
    /// [`TooManySessions`]: the login must be refused.
    pub fn enter(&self, session: Session) -> Result<SessionId, TooManySessions> {
        self.registry().enter(session)
    }

    /// Subscribes a session to the rooms of its account, and sends it who is online there.
    ///
    /// `rooms` must have been read from the store after [`enter`](Self::enter); what changed since
    /// then is known here. Calling it again changes nothing.
    pub fn subscribe(&self, session: SessionId, rooms: &[RoomNumber], now: TimeMs) {
        self.registry().subscribe(session, rooms, now);
    }

    /// Whether [`subscribe`](Self::subscribe) was called for the session.
    pub fn is_subscribed(&self, session: SessionId) -> bool {
        self.registry().is_subscribed(session)
    }

    /// Forgets a session.
    pub fn leave(&self, session: SessionId, now: TimeMs) -> SessionRemoval {
        self.registry().leave(session, now)
    }

    /// Notes whether somebody is at the session.
    pub fn set_away(&self, session: SessionId, is_away: bool) {
        self.registry().set_away(session, is_away);
    }

    /// Sends everybody who shares a room what changed since the last call. Called about once a
    /// second: an account that is back within that time was never away.
    pub fn emit_presence(&self, now: TimeMs) {
        let mut to_wake = self.to_wake();
        self.registry().emit_presence(now, &mut to_wake);
        wake_all(&mut to_wake);
    }

    /// Which of these accounts have no session, each with the time it was last seen if that is known
    /// here.
    pub fn absent(&self, accounts: &[AccountId]) -> Vec<(AccountId, Option<TimeMs>)> {
        let registry = self.registry();
        accounts
            .iter()
            .filter(|account| !registry.is_online(**account))
            .map(|account| (*account, registry.last_seen(*account)))
            .collect()
    }

    /// Remembers when an account was last seen, as the store has it, to spare the next reader.
    pub fn note_last_seen(&self, account: AccountId, time: TimeMs) {
        self.registry().note_last_seen(account, time);
    }

    /// Whether a room was found too large to list its absent members.
    pub fn is_large(&self, room: RoomNumber) -> bool {
        self.registry().large_rooms.contains(&room)
    }

    /// Remembers that a room is large.
    pub fn note_large(&self, room: RoomNumber) {
        self.registry().large_rooms.insert(room);
    }

    /// The account of a session, if the session is subscribed to the room.
    pub fn subscribed_account(&self, session: SessionId, room: RoomNumber) -> Option<AccountId> {
        self.registry().subscribed_account(session, room)
    }

    /// Queues answers in their order and wakes nobody: the deliveries of the same batch follow, or
    /// else [`wake`](Self::wake).
    pub fn answer(&self, answers: impl Iterator<Item = SessionAnswer>) {
        let mut to_wake = self.to_wake();
        for SessionAnswer { frame_queue, frame } in answers {
            if frame_queue.queue(|queues, _| queues.push_answer(frame)) {
                to_wake.push(frame_queue);
            }
        }
    }

    /// Queues deliveries in their order, and wakes each session that something was queued for once.
    pub fn deliver(&self, deliveries: &[Delivery]) {
        let mut to_wake = self.to_wake();
        let mut run = RunBuilder::default();
        for (at, delivery) in deliveries.iter().enumerate() {
            let Delivery::Entry { room, seq, frame } = delivery else {
                self.deliver_event(delivery, &mut to_wake);
                continue;
            };
            run.add(*room, *seq, frame);
            if !run.goes_on_with(deliveries.get(at + 1)) {
                self.deliver_run(&run, &mut to_wake);
                run.clear();
            }
        }
        wake_all(&mut to_wake);
    }

    /// Wakes the sessions that [`answer`](Self::answer) has queued something for, if nothing else has.
    pub fn wake(&self) {
        wake_all(&mut self.to_wake());
    }

    /// How many entries were delivered, and how often, since the start.
    pub fn delivery_counts(&self) -> DeliveryCounts {
        DeliveryCounts {
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
    pub fn end_all(&self, session_end: SessionEnd, last_event: &Bytes) {
        let frame_queues = self.registry().frame_queues();
        for frame_queue in frame_queues {
            frame_queue.event(last_event);
            frame_queue.end(session_end);
        }
    }

    /// How many expulsions there were. A login that was checked before one and enters after it must
    /// be checked again: the expulsion could not find it.
    pub fn n_expulsions(&self) -> u64 {
        self.registry().n_expulsions()
    }

    fn deliver_run(&self, run: &RunBuilder<'_>, to_wake: &mut Vec<Arc<FrameQueue>>) {
        let subscribers = self.registry().subscribers(run.room());
        let n_entries = run.n_entries() as u64;
        self.n_entries.fetch_add(n_entries, Ordering::Relaxed);
        self.n_deliveries.fetch_add(n_entries * subscribers.len() as u64, Ordering::Relaxed);
        if subscribers.is_empty() {
            return;
        }
        let frames = run.join();
        let run = run.entry_run(&frames);
        queue_for(&subscribers, None, to_wake, |frame_queue| {
            frame_queue.queue(|queues, limits| queues.push_entries(limits, run))
        });
    }

    fn deliver_event(&self, delivery: &Delivery, to_wake: &mut Vec<Arc<FrameQueue>>) {
        match delivery {
            // The caller joins runs of them.
            Delivery::Entry { .. } => {}
            Delivery::Joined { room, account } => self.registry().joined(*room, *account),
            Delivery::Left { room, account } => self.registry().left(*room, *account),
            Delivery::Account { account, frame } => {
                let subscribers = self.registry().subscribed_sessions_of(*account);
                queue_for(&subscribers, None, to_wake, |queue| queue_event(queue, frame));
            }
            Delivery::Device { device, frame } => {
                let subscribers = self.registry().subscribed_sessions_on(*device);
                queue_for(&subscribers, None, to_wake, |queue| queue_event(queue, frame));
            }
            Delivery::Ephemeral { room, key, frame, except } => {
                let subscribers = self.registry().subscribers(*room);
                queue_for(&subscribers, *except, to_wake, |queue| {
                    queue.queue(|queues, limits| queues.push_ephemeral(limits, *key, frame))
                });
            }
            Delivery::Room { room, frame, except } => {
                let subscribers = self.registry().subscribers(*room);
                queue_for(&subscribers, *except, to_wake, |queue| queue_event(queue, frame));
            }
            Delivery::Typing { room, account, is_typing } => {
                let subscribers = self.registry().subscribers(*room);
                if subscribers.len() <= presence::SUBSCRIBERS_MAX {
                    let payload = typing_datagram(*room, *account, *is_typing);
                    queue_for(&subscribers, Some(*account), to_wake, |queue| {
                        queue.queue(|queues, _| queues.push_datagram(payload.clone()))
                    });
                }
            }
            Delivery::Expelled { account, device } => {
                for frame_queue in self.registry().expelled(*account, *device) {
                    frame_queue.end(SessionEnd::Expelled);
                }
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // No change panics half-way through; if one did, a stale registry beats no registry.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to_wake(&self) -> MutexGuard<'_, Vec<Arc<FrameQueue>>> {
        self.to_wake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("n_sessions", &self.n_sessions()).finish_non_exhaustive()
    }
}

fn typing_datagram(room: RoomNumber, account: AccountId, is_typing: bool) -> Bytes {
    let datagram = if is_typing {
        ServerDatagram::Typing { room, account }
    } else {
        ServerDatagram::TypingStopped { room, account }
    };
    Bytes::from(encode_body(&datagram))
}

fn queue_for(
    subscribers: &[Subscriber],
    except: Option<AccountId>,
    to_wake: &mut Vec<Arc<FrameQueue>>,
    queue: impl Fn(&FrameQueue) -> bool,
) {
    for subscriber in subscribers {
        if except.is_none_or(|account| account != subscriber.account)
            && queue(&subscriber.frame_queue)
        {
            to_wake.push(Arc::clone(&subscriber.frame_queue));
        }
    }
}

fn queue_event(frame_queue: &FrameQueue, frame: &Bytes) -> bool {
    frame_queue.queue(|queues, limits| queues.push_event(limits, frame))
}

fn wake_all(to_wake: &mut Vec<Arc<FrameQueue>>) {
    to_wake.drain(..).for_each(|frame_queue| frame_queue.ring());
}

#[cfg(test)]
mod tests;
