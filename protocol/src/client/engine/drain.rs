//! Sending the outbox: exactly once, in order, whatever happens in between (CRYPTO B4).
//!
//! Owns the flight of messages. The bytes and the counter of each are durable before the first byte
//! is written; after a lost connection or a crash exactly the same bytes go out again, and the server
//! answers a repeat with the first answer. Only what the server has *refused* is sealed anew.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::link::{Answer, Link};
use super::super::record::{DeviceLane, OutboxRow, RowState};
use super::Engine;
use super::room::Task;
use crate::client::CommandError;
use crate::client::event::OutboxState;
use crate::crypto::commit::Role;
use crate::id::RoomId;
use crate::limits::IN_FLIGHT_MAX;
use crate::log::Change;
use crate::wire::{Fault, Reply, Request};

/// An append without an answer for this long means that the session is stuck.
const APPEND_TIMEOUT: Duration = Duration::from_secs(20);
/// A rotation that others will attempt too waits up to this long and looks again.
const ROTATE_PAUSE: Duration = Duration::from_millis(500);
/// After something unexpected, sending goes on this much later.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// A server whose data is damaged is mended by people: asking more often helps nobody.
const DAMAGED_PAUSE: Duration = Duration::from_mins(1);
/// Sealing anew this often without any success means that something is wrong: slow down.
const RECOVERIES_MAX: u32 = 5;

/// A message on its way.
struct Flight<'a> {
    row: OutboxRow,
    answer: Answer,
    deadline: Instant,
    _permit: SemaphorePermit<'a>,
}

/// How a run of sending ended.
enum Ended {
    /// Nothing is left to send, or nothing may be sent now.
    Empty,
    /// The session is gone; the next one goes on.
    Lost,
    /// The server refused messages that must be sealed anew.
    Refused,
    /// The server asks for a new epoch first.
    Rotate,
    /// The server asks to wait.
    Wait(Duration),
}

impl Engine {
    /// Becomes the process that sends, if no other is.
    pub(super) fn take_drain(self: &Rc<Self>) {
        if self.drain.borrow().is_some() {
            return;
        }
        match self.replica.try_lock_drain() {
            Ok(Some(guard)) => {
                *self.drain.borrow_mut() = Some(guard);
                self.go_drain();
                self.go(Self::keep_promises);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the drain lock cannot be taken"),
        }
    }

    /// Whether this process sends.
    pub(super) fn is_drainer(&self) -> bool {
        self.drain.borrow().is_some()
    }

    /// Starts sending wherever something waits.
    pub(super) fn go_drain(self: &Rc<Self>) {
        if !self.is_drainer() || self.link().is_none() {
            return;
        }
        let mut core = self.core.borrow_mut();
        let waits = |state: &OutboxState| matches!(state, OutboxState::Queued | OutboxState::Sent);
        let mut rooms: Vec<RoomId> =
            core.told.values().filter(|(_, state)| waits(state)).map(|(room, _)| *room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        rooms.retain(|id| {
            let room = core.rooms.get_mut(id);
            room.is_some_and(|room| room.begin(Task::Drain))
        });
        drop(core);
        for id in rooms {
            self.go(|engine| engine.drain_room(id));
        }
    }

    async fn drain_room(self: Rc<Self>, id: RoomId) {
        let mut n_recoveries = 0;
        let mut told = None;
        while self.may_send(id) {
            let ended = match self.rotate_if_needed(id).await {
                Err(CommandError::Offline(_) | CommandError::Stopped) => Ended::Lost,
                Err(error) => {
                    tracing::debug!(room = id.short(), %error, "the rotation before sending failed");
                    self.tell_blocked(id, &error, &mut told);
                    Ended::Wait(RETRY_PAUSE)
                }
                Ok(()) => self.fly(id, &mut n_recoveries).await,
            };
            match ended {
                // The next text needs a new epoch first.
                Ended::Empty if self.has_queued(id) && self.needs_rotation(id) => {}
                Ended::Empty | Ended::Lost => break,
                Ended::Wait(pause) => sleep(pause).await,
                // An agent makes no keys: it asks for its own, and waits for who does.
                Ended::Rotate if self.own_role(id) == Some(Role::Agent) => {
                    self.go(|engine| engine.fetch_keys(id));
                    sleep(RETRY_PAUSE).await;
                }
                Ended::Rotate => {
                    if let Err(error) = self.rotate_as_one_of_many(id).await {
                        tracing::debug!(room = id.short(), %error, "a rotation failed");
                        sleep(RETRY_PAUSE).await;
                    }
                }
                Ended::Refused => {
                    n_recoveries += 1;
                    if n_recoveries > RECOVERIES_MAX {
                        sleep(RETRY_PAUSE).await;
                    }
                    if let Err(error) = self.recover(id).await {
                        tracing::debug!(room = id.short(), %error, "sealing anew failed");
                        sleep(RETRY_PAUSE).await;
                    }
                }
            }
        }
        if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
            room.end(Task::Drain);
        }
    }

    /// Says once why what is queued does not go out, where a person can do something about it.
    fn tell_blocked(&self, id: RoomId, error: &CommandError, told: &mut Option<String>) {
        let CommandError::Refused(text) = error else { return };
        if told.as_ref() != Some(text) {
            self.notice(Some(id), format!("what is queued here has to wait: {text}"));
            *told = Some(text.clone());
        }
    }

    /// Whether anything may be sent to the room now.
    fn may_send(&self, id: RoomId) -> bool {
        let core = self.core.borrow();
        let is_ready =
            core.rooms.get(&id).is_some_and(|room| room.facts.is_member && room.is_caught_up());
        is_ready && core.sending_stopped(id).is_none() && self.link().is_some()
    }

    /// The sender rule: nobody seals before a rotation that is due (CRYPTO B3).
    pub(super) async fn rotate_if_needed(self: &Rc<Self>, id: RoomId) -> Result<(), CommandError> {
        if self.needs_rotation(id) { self.rotate_as_one_of_many(id).await } else { Ok(()) }
    }

    async fn rotate_as_one_of_many(self: &Rc<Self>, id: RoomId) -> Result<(), CommandError> {
        let before = self.epoch_of(id);
        self.random_pause(ROTATE_PAUSE).await;
        self.caught_up(id).await?;
        if self.epoch_of(id) != before && !self.needs_rotation(id) {
            return Ok(());
        }
        self.change(id, &Change::Rotate, None).await
    }

    fn has_queued(&self, id: RoomId) -> bool {
        let core = self.core.borrow();
        core.told.values().any(|(room, state)| *room == id && *state == OutboxState::Queued)
    }

    fn epoch_of(&self, id: RoomId) -> Option<crate::id::Epoch> {
        let core = self.core.borrow();
        Some(core.rooms.get(&id)?.state.as_ref()?.epoch().epoch)
    }

    /// Sends until nothing is left or something is refused.
    async fn fly(self: &Rc<Self>, id: RoomId, n_recoveries: &mut u32) -> Ended {
        let Some(link) = self.link() else { return Ended::Lost };
        let mut again = match self.sent_rows(id) {
            Ok(rows) => rows,
            Err(ended) => return ended,
        };
        let mut flights: VecDeque<Flight<'_>> = VecDeque::new();
        loop {
            while flights.len() < IN_FLIGHT_MAX {
                let row = match again.pop_front() {
                    Some(row) => row,
                    None => match self.seal_one(id) {
                        Some(row) => row,
                        None => break,
                    },
                };
                match launch(&link, row).await {
                    Some(flight) => flights.push_back(flight),
                    None => return Ended::Lost,
                }
            }
            let Some(flight) = flights.front_mut() else { return Ended::Empty };
            let landed = tokio::select! {
                landed = timeout_at(flight.deadline, &mut flight.answer) => landed,
                // More may have been queued meanwhile.
                () = self.changed.notified() => continue,
            };
            let Some(flight) = flights.pop_front() else { return Ended::Empty };
            match landed {
                Ok(Ok(Ok(Reply::Accepted { seq, time }))) => {
                    *n_recoveries = 0;
                    self.settle_row(&flight.row, RowState::Accepted { seq, time });
                }
                Ok(Ok(Err(fault))) => {
                    self.land_rest(flights).await;
                    return self.refused_row(&flight.row, &fault);
                }
                Ok(Ok(Ok(_)) | Err(_)) => return Ended::Lost,
                Err(_) => {
                    link.close();
                    return Ended::Lost;
                }
            }
        }
    }

    fn sent_rows(&self, id: RoomId) -> Result<VecDeque<OutboxRow>, Ended> {
        match self.replica.outbox(Some(id)) {
            Ok(rows) => {
                let is_sent = |row: &OutboxRow| matches!(row.state, RowState::Sent { .. });
                Ok(rows.into_iter().filter(is_sent).collect())
            }
            Err(error) => {
                self.storage_failed(&error);
                Err(Ended::Wait(RETRY_PAUSE))
            }
        }
    }

    /// Seals the oldest queued row; `None` if there is none, or it may not be sealed now.
    fn seal_one(self: &Rc<Self>, id: RoomId) -> Option<OutboxRow> {
        if !self.has_queued(id) || !self.may_send(id) || self.needs_rotation(id) {
            return None;
        }
        let logged = self.logged_lane(id);
        let sealed = self.sealing(id).and_then(|with| {
            let Some(with) = with else { return Ok(None) };
            let mut seal = |lane: &DeviceLane, row: &OutboxRow| {
                // A replica that was lost and made anew continues what the log shows.
                let lane = if logged.last > lane.last { &logged } else { lane };
                self.seal_row(&with, lane, row)
            };
            self.replica.seal_next(id, &mut seal)
        });
        match sealed {
            Ok(row) => row.inspect(|row| self.tell_row(row)),
            Err(error) => {
                self.storage_failed(&error);
                None
            }
        }
    }

    /// Waits for what is still on its way behind a refusal: refused as well, or a repeat.
    async fn land_rest(&self, flights: VecDeque<Flight<'_>>) {
        for flight in flights {
            let landed = timeout_at(flight.deadline, flight.answer).await;
            if let Ok(Ok(Ok(Reply::Accepted { seq, time }))) = landed {
                self.settle_row(&flight.row, RowState::Accepted { seq, time });
            }
        }
    }

    fn refused_row(&self, row: &OutboxRow, fault: &Fault) -> Ended {
        tracing::debug!(room = row.room.short(), %fault, "a message was refused");
        match fault {
            Fault::StaleEpoch { .. }
            | Fault::CtrConflict { .. }
            | Fault::OutOfOrder { .. }
            | Fault::BadSeen => Ended::Refused,
            Fault::NeedRotate => Ended::Rotate,
            Fault::RateLimited { retry_after_ms } | Fault::ServerBusy { retry_after_ms } => {
                Ended::Wait(Duration::from_millis(u64::from(*retry_after_ms)))
            }
            // Nothing is wrong with the text: it stays queued until the server is mended.
            Fault::Damaged => Ended::Wait(DAMAGED_PAUSE),
            Fault::Stopping => Ended::Lost,
            fault => {
                self.settle_row(row, RowState::Failed { cause: fault.to_string() });
                // Its counter is free again: the rest moves up.
                Ended::Refused
            }
        }
    }

    /// Catches up with the log, which says what was accepted, and seals the rest anew behind it.
    async fn recover(self: &Rc<Self>, id: RoomId) -> Result<(), CommandError> {
        self.reread(id, crate::id::Seq(0));
        self.caught_up(id).await?;
        self.rotate_if_needed(id).await?;
        let lane = self.logged_lane(id);
        let store = |error| super::storage(&error);
        let Some(with) = self.sealing(id).map_err(store)? else {
            return Err(CommandError::Refused("the room's key has not come yet".to_owned()));
        };
        let mut seal = |lane: &DeviceLane, row: &OutboxRow| self.seal_row(&with, lane, row);
        self.replica.reseal(id, &lane, &mut seal).map_err(store)?;
        Ok(())
    }
}

async fn launch(link: &Link, row: OutboxRow) -> Option<Flight<'_>> {
    let RowState::Sent { entry, .. } = &row.state else { return None };
    let request = Request::Append { room: row.room, entry: entry.clone() };
    let (answer, permit) = link.begin_when_free(request).await.ok()?;
    let deadline = Instant::now() + APPEND_TIMEOUT;
    Some(Flight { row, answer, deadline, _permit: permit })
}
