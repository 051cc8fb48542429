//! Who is online: sent to those who share a room, at most about once a second.
//!
//! Derived from sessions and never stored, but for the time an account was last seen. In rooms that
//! more than [`SUBSCRIBERS_MAX`] people are subscribed to, presence and typing are not sent: what everybody sends
//! everybody grows with the square.

use std::collections::BTreeSet;
use std::sync::Arc;

use mathia_protocol::id::{AccountId, RoomNumber, TimeMs};
use mathia_protocol::wire::{Event, PresenceLine, PresenceState};

use super::registry::Registry;
use super::{EphemeralKey, FrameQueue, SessionId, event_frame};

/// Sessions subscribed to a room up to which its people see each other's presence.
pub(super) const SUBSCRIBERS_MAX: usize = 256;
/// Lines of one presence event: 42 bytes each, far within a frame.
const LINES_MAX: usize = 1_000;

impl Registry {
    /// Sends a session that was just subscribed which of the people it shares rooms with are there.
    pub(super) fn send_snapshot(&self, id: SessionId, now: TimeMs) {
        let Some(session) = self.session(id) else { return };
        let lines: Vec<_> = self
            .neighbors(session.account)
            .into_iter()
            .filter_map(|account| self.line(account, now))
            .filter(|line| line.state != PresenceState::Offline)
            .take(LINES_MAX)
            .collect();
        if !lines.is_empty() {
            session.frame_queue.event(&event_frame(Event::Presence { lines }));
            session.frame_queue.wake();
        }
    }

    /// Queues what changed since the last call for those who may know it.
    pub(super) fn emit_presence(&mut self, now: TimeMs, to_wake: &mut Vec<Arc<FrameQueue>>) {
        for (room, newcomers) in std::mem::take(&mut self.newcomers) {
            self.introduce(room, &newcomers, now, to_wake);
        }
        for account in std::mem::take(&mut self.changed) {
            let Some(line) = self.line(account, now) else { continue };
            let is_news = match self.accounts.get_mut(&account) {
                Some(online) => online.emitted.replace(line.state) != Some(line.state),
                None => false,
            };
            if is_news {
                self.notify_neighbors(line, to_wake);
            }
            if line.state == PresenceState::Offline {
                self.forget(account);
            }
        }
    }

    /// Sends newcomers who of a room is there, and the others in it of the newcomers.
    fn introduce(
        &self,
        room: RoomNumber,
        newcomers: &BTreeSet<AccountId>,
        now: TimeMs,
        to_wake: &mut Vec<Arc<FrameQueue>>,
    ) {
        let accounts = self.accounts_in(room);
        if accounts.len() > SUBSCRIBERS_MAX {
            return;
        }
        let here: Vec<_> = accounts
            .iter()
            .filter_map(|account| self.line(*account, now))
            .filter(|line| line.state != PresenceState::Offline)
            .collect();
        for account in accounts {
            let is_new = newcomers.contains(account);
            let of_others = here.iter().filter(|line| line.account != *account);
            let lines: Vec<_> = of_others
                .filter(|line| is_new || newcomers.contains(&line.account))
                .copied()
                .collect();
            if lines.is_empty() {
                continue;
            }
            let frame = event_frame(Event::Presence { lines });
            for subscriber in self.subscribed_sessions_of(*account) {
                let frame_queue = subscriber.frame_queue;
                if frame_queue.queue(|queues, bounds| queues.push_event(bounds, &frame)) {
                    to_wake.push(frame_queue);
                }
            }
        }
    }

    fn notify_neighbors(&self, line: PresenceLine, to_wake: &mut Vec<Arc<FrameQueue>>) {
        let neighbors = self.neighbors(line.account);
        if neighbors.is_empty() {
            return;
        }
        let frame = event_frame(Event::Presence { lines: vec![line] });
        let key = EphemeralKey::Presence(line.account);
        for neighbor in neighbors {
            for subscriber in self.subscribed_sessions_of(neighbor) {
                let frame_queue = subscriber.frame_queue;
                if frame_queue.queue(|queues, bounds| queues.push_ephemeral(bounds, key, &frame)) {
                    to_wake.push(frame_queue);
                }
            }
        }
    }

    /// The other accounts with sessions that share a room small enough with this one.
    fn neighbors(&self, account: AccountId) -> BTreeSet<AccountId> {
        let Some(online) = self.accounts.get(&account) else { return BTreeSet::new() };
        let rooms = online.rooms.iter();
        let small = rooms.filter(|room| self.n_subscribed_accounts(**room) <= SUBSCRIBERS_MAX);
        let mut neighbors: BTreeSet<_> =
            small.flat_map(|room| self.accounts_in(*room)).copied().collect();
        neighbors.remove(&account);
        neighbors
    }

    fn line(&self, account: AccountId, now: TimeMs) -> Option<PresenceLine> {
        let online = self.accounts.get(&account)?;
        let state = self.state_of(online);
        let last_seen = if state == PresenceState::Offline { online.last_seen } else { now };
        Some(PresenceLine { account, state, last_seen })
    }
}
