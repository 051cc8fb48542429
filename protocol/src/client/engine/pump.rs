//! Moving entries from the sync state machine to the replica and on to the faces.
//!
//! Owns the queue between "in its place" and "judged": one pump per room, a few milliseconds of
//! signatures at a time, waiting only for user chains that a judgement needs.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::event::{AlarmCause, ClientEvent};
use super::Engine;
use super::apply::{Applied, Outcome};
use super::room::{Placed, Task};
use crate::crypto::commit::TAG_COMMIT;
use crate::id::{RoomId, Seq};
use crate::log::sync::{Alarm, Input, Output};
use crate::log::{Context, LogHash};
use crate::wire::LogEntry;

/// After a failed write the log is read again this much later.
const STORAGE_PAUSE: Duration = Duration::from_secs(3);

impl Engine {
    /// Gives the sync machine of a room something to chew on, and does what it says.
    pub(super) fn feed(self: &Rc<Self>, id: RoomId, input: Input) {
        let outputs = {
            let mut core = self.core.borrow_mut();
            let sync = core.rooms.get_mut(&id).and_then(|room| room.sync.as_mut());
            sync.map(|sync| sync.step(input)).unwrap_or_default()
        };
        for output in outputs {
            self.follow(id, output);
        }
        self.pump(id);
    }

    fn follow(self: &Rc<Self>, id: RoomId, output: Output) {
        match output {
            Output::Apply { entry, at, context } => {
                if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
                    room.queue.push_back(Placed { entry, at, context });
                }
            }
            Output::ApplyOlder { entries } => self.apply_older(id, entries),
            Output::AskAfter { after, count } => {
                self.go(|engine| engine.pull_after(id, after, count));
            }
            Output::AskBefore { before, count } => {
                self.go(|engine| engine.pull_before(id, before, count));
            }
            Output::LookUp { seq, claimed } => {
                let hash = self.replica.hash_at(id, seq).ok().flatten();
                if let Some(hash) = hash {
                    self.feed(id, Input::Recalled { seq, hash, claimed });
                }
            }
            Output::Alarm(alarm) => self.log_alarm(id, alarm),
            Output::CaughtUp { .. } | Output::Unconfirmed { .. } => {
                self.tell_room(id);
                self.tell_connection();
                self.go_drain();
                self.wake();
            }
        }
    }

    fn log_alarm(&self, id: RoomId, alarm: Alarm) {
        let cause = match alarm {
            Alarm::Fork { .. } => AlarmCause::Fork,
            Alarm::Withheld { .. } => AlarmCause::Withheld,
            Alarm::Replay { .. } | Alarm::Reordered { .. } | Alarm::Shrunk { .. } => {
                AlarmCause::BrokenLog
            }
        };
        if alarm.stops_sending() {
            self.stop_room(id, &alarm.to_string());
        }
        self.alarm(Some(id), None, cause, alarm.to_string());
        self.tell_room(id);
    }

    /// Stops sending to a room for good.
    pub(super) fn stop_room(&self, id: RoomId, cause: &str) {
        let mut core = self.core.borrow_mut();
        let Some(room) = core.rooms.get_mut(&id) else { return };
        room.stop(cause);
        if let Err(error) = self.replica.put_room(id, &room.facts) {
            drop(core);
            self.storage_failed(&error);
        }
    }

    /// Starts the pump of a room, unless it runs.
    pub(super) fn pump(self: &Rc<Self>, id: RoomId) {
        let mut core = self.core.borrow_mut();
        let Some(room) = core.rooms.get_mut(&id) else { return };
        if room.queue.is_empty() || !room.begin(Task::Pump) {
            return;
        }
        drop(core);
        self.go(|engine| engine.run_pump(id));
    }

    async fn run_pump(self: Rc<Self>, id: RoomId) {
        let mut may_fetch = true;
        loop {
            let applied = self.core.borrow_mut().apply(&self.replica, id, may_fetch);
            let applied = match applied {
                Ok(applied) => applied,
                Err(error) => {
                    self.storage_failed(&error);
                    sleep(STORAGE_PAUSE).await;
                    self.take_up(id);
                    continue;
                }
            };
            let (need, is_done) = (applied.need.clone(), applied.entries.is_empty());
            self.after_apply(id, applied);
            if !need.is_empty() {
                if self.fetch_chains(&need).await.is_err() && self.link().is_none() {
                    // Taken up again after the next login.
                    break;
                }
                may_fetch = false;
                continue;
            }
            may_fetch = true;
            if is_done {
                break;
            }
            tokio::task::yield_now().await;
        }
        if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
            room.end(Task::Pump);
        }
        self.tell_room(id);
        self.tell_connection();
        self.go_drain();
        self.wake();
    }

    /// Continues a room from the replica, after its memory was thrown away.
    fn take_up(self: &Rc<Self>, id: RoomId) {
        let head = self.core.borrow().rooms.get(&id).and_then(|room| room.head);
        if let Some((seq, hash)) = head
            && self.link().is_some()
        {
            self.feed(id, Input::Head { seq, hash });
        }
    }

    fn after_apply(self: &Rc<Self>, id: RoomId, applied: Applied) {
        let mut has_change = false;
        for outcome in applied.outcomes {
            match outcome {
                Outcome::OwnMessage { counter, seq, time, entry } => {
                    self.own_message(id, counter, seq, time, &entry);
                }
                Outcome::Alarm { cause, text } => self.alarm(Some(id), None, cause, text),
                Outcome::Notice(text) => self.notice(Some(id), text),
                Outcome::Commit { starts_epoch, newcomers } => {
                    has_change = true;
                    tracing::debug!(
                        room = id.short(),
                        starts_epoch,
                        n_newcomers = newcomers.len(),
                        "the room changed"
                    );
                }
            }
        }
        let views: Vec<_> = {
            let core = self.core.borrow();
            applied.entries.iter().map(|entry| core.entry_view(id, entry)).collect()
        };
        let has_entries = !views.is_empty();
        for (view, entry) in views.into_iter().zip(&applied.entries) {
            self.tell(ClientEvent::Entry(Box::new(view)));
            self.note_asking(id, entry);
        }
        self.emit_shown(id, &applied.shown);
        if has_change {
            self.fail_lost_asks(id);
            self.go(|engine| engine.rotate_for_answers(id));
            self.go(|engine| engine.meet_agents(vec![id]));
        }
        if applied.lacks_keys {
            self.go(|engine| engine.fetch_keys(id));
        }
        if has_entries {
            self.check_early_ticks(id);
        }
        if has_entries || has_change {
            self.tell_room(id);
            self.wake();
        }
    }

    /// Judges and stores an older page that met the oldest entry held.
    fn apply_older(self: &Rc<Self>, id: RoomId, entries: Vec<(LogEntry, LogHash)>) {
        let placed = entries
            .into_iter()
            .map(|(entry, at)| Placed { entry, at, context: Context::History })
            .collect();
        let stored = self.core.borrow_mut().apply_older(&self.replica, id, placed);
        match stored {
            Ok(lacks_keys) => {
                if lacks_keys {
                    self.go(|engine| engine.fetch_keys(id));
                }
            }
            Err(error) => self.storage_failed(&error),
        }
        self.wake();
    }

    /// An entry event: a hint that the sync machine weighs.
    pub(super) fn hear_entry(self: &Rc<Self>, id: RoomId, entry: LogEntry) {
        let is_open = {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return };
            room.marks.announced = room.marks.announced.max(entry.seq);
            room.sync.is_some()
        };
        if is_open {
            self.feed(id, Input::Live(entry));
        }
    }

    /// Events of a room were dropped, or somebody wants to be sure: read once more.
    pub(super) fn reread(self: &Rc<Self>, id: RoomId, next_seq: Seq) {
        self.feed(id, Input::Lagged { next_seq });
    }
}

/// Whether stored bytes are a commit.
pub(super) fn is_commit(entry: &[u8]) -> bool {
    entry.first() == Some(&TAG_COMMIT)
}
