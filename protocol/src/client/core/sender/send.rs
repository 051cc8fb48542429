//! Sending the outbox: exactly once, in order, whatever happens in between (CRYPTO B4).
//!
//! Owns the messages in flight. The bytes and the counter of each are durable before the first byte
//! is written; after a lost connection or a crash exactly the same bytes go out again, and the server
//! answers a repeat with the first answer. Only what the server has *refused* is sealed anew.

use std::collections::VecDeque;
use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::io::{CallError, CallId, Found, Query, ReadId, SealId, SealOrder};
use super::super::membership::rotate::Rotate;
use super::super::rooms::views::Views;
use super::super::state::State;
use super::super::work::{Step, Work};
use crate::client::CommandError;
use crate::client::record::{DeviceLane, OutboxRow, RowState};
use crate::crypto::commit::Role;
use crate::id::{RoomId, Seq};
use crate::limits::IN_FLIGHT_MAX;
use crate::wire::{Fault, Reply, Request};

/// After something unexpected, sending goes on this much later.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// A server whose data is damaged is mended by people: asking more often helps nobody.
const DAMAGED_PAUSE: Duration = Duration::from_mins(1);
/// Sealing anew this often without any success means that something is wrong: slow down.
const RECOVERIES_MAX: u32 = 5;
/// How long sealing anew waits for the log.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(15);

/// A message on its way.
#[derive(Debug)]
struct InFlight {
    local_id: u64,
    call: CallId,
    /// How it landed, if it did before one that left earlier: answers come in any order.
    landed: Option<Landed>,
}

type Landed = Result<Reply, CallError>;

/// Takes in which messages have landed.
fn take_landed(in_flight: &mut VecDeque<InFlight>, cx: &mut Context<'_>) {
    for flight in in_flight.iter_mut().filter(|flight| flight.landed.is_none()) {
        if let Poll::Ready(landed) = cx.reply(flight.call) {
            flight.landed = Some(landed);
        }
    }
}

/// The oldest message, if it has landed.
fn next_landed(in_flight: &mut VecDeque<InFlight>) -> Poll<(u64, Landed)> {
    let landed = in_flight.front_mut().and_then(|flight| flight.landed.take());
    let Some(landed) = landed else { return Poll::Pending };
    match in_flight.pop_front() {
        Some(flight) => Poll::Ready((flight.local_id, landed)),
        None => Poll::Pending,
    }
}

/// Sends what waits for a room.
#[derive(Debug)]
pub(in super::super) struct Send {
    room: RoomId,
    n_recoveries: u32,
    /// What was last said about why it has to wait.
    reported: Option<String>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Rotating(Rotate),
    /// Looking which messages were sent before.
    Reading(ReadId),
    Sending(Sending),
    /// Something was refused: the answers to what is on its way behind it are awaited.
    Landing(VecDeque<InFlight>, Ended),
    Pausing(Duration),
    Recovering(Recover),
}

/// Messages that go out.
#[derive(Debug, Default)]
struct Sending {
    /// Sent before, to be sent again with the same bytes.
    again: VecDeque<OutboxRow>,
    in_flight: VecDeque<InFlight>,
    sealing: Option<SealId>,
    /// Nothing more can be sealed in this run: the key is missing, or the rest was taken back.
    is_declined: bool,
    /// The replica failed to seal: another time.
    has_failed: bool,
}

/// How a run of sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Nothing is left to send, or nothing may be sent now.
    Empty,
    /// The session is gone; the next one goes on.
    Lost,
    /// The server refused messages that must be sealed anew.
    Refused,
    /// The server asks for a new epoch first.
    NeedRotate,
    /// The server asks to wait.
    Wait(Duration),
}

impl Send {
    /// Sends what waits for this room.
    pub(in super::super) fn to(room: RoomId) -> Self {
        Self { room, n_recoveries: 0, reported: None, stage: Stage::Begin }
    }

    /// Decides how it goes on after a run; `None` ends the work.
    fn after(&mut self, ended: Ended, state: &State, cx: &mut Context<'_>) -> Option<Stage> {
        match ended {
            // The next message needs a new epoch first.
            Ended::Empty
                if state.outbox.has_queued(self.room)
                    && state.needs_rotation(self.room, cx.now.time) =>
            {
                Some(Stage::Begin)
            }
            Ended::Empty | Ended::Lost => None,
            Ended::Wait(pause) => Some(Stage::Pausing(cx.after(pause))),
            // An agent makes no keys: it asks for its own, and waits for who does.
            Ended::NeedRotate if state.own_role(self.room) == Some(Role::Agent) => {
                cx.start(Work::FetchKeys(self.room));
                Some(Stage::Pausing(cx.after(RETRY_PAUSE)))
            }
            Ended::NeedRotate => Some(Stage::Rotating(Rotate::forced(self.room))),
            Ended::Refused => {
                self.n_recoveries += 1;
                let pause =
                    if self.n_recoveries > RECOVERIES_MAX { RETRY_PAUSE } else { Duration::ZERO };
                Some(Stage::Recovering(Recover::new(self.room, cx.after(pause))))
            }
        }
    }

    /// Reports once why what is queued does not go out, where a person can do something about it.
    fn report_blocked(&mut self, error: &CommandError, cx: &mut Context<'_>) {
        tracing::debug!(room = self.room.short(), %error, "the rotation before sending failed");
        let CommandError::Refused(text) = error else { return };
        if self.reported.as_ref() != Some(text) {
            cx.notice(Some(self.room), format!("what is queued here has to wait: {text}"));
            self.reported = Some(text.clone());
        }
    }
}

impl Step for Send {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        loop {
            let ended = match &mut self.stage {
                Stage::Begin => {
                    if !state.may_send(id, cx) || !state.has_waiting(id) {
                        return Poll::Ready(());
                    }
                    let room = state.rooms.all.get(&id);
                    if state.outbox.has_sent(id) && room.is_some_and(|room| !room.is_stored()) {
                        // The log may say in a moment that it was accepted.
                        return Poll::Ready(());
                    }
                    self.stage = Stage::Rotating(Rotate::if_needed(id));
                    continue;
                }
                Stage::Rotating(rotate) => match ready!(rotate.poll(state, cx)) {
                    Ok(()) => {
                        self.stage = Stage::Reading(cx.read(Query::SentRows(id)));
                        continue;
                    }
                    Err(CommandError::Offline(_) | CommandError::Stopped) => Ended::Lost,
                    Err(error) => {
                        self.report_blocked(&error, cx);
                        Ended::Wait(RETRY_PAUSE)
                    }
                },
                Stage::Reading(read) => match ready!(cx.found(*read)) {
                    Ok(Found::Rows(rows)) => {
                        let again = rows.into();
                        self.stage = Stage::Sending(Sending { again, ..Sending::default() });
                        continue;
                    }
                    _ => Ended::Wait(RETRY_PAUSE),
                },
                Stage::Sending(sending) => {
                    let result = ready!(sending.poll(id, &mut self.n_recoveries, state, cx));
                    let rest = std::mem::take(&mut sending.in_flight);
                    self.stage = Stage::Landing(rest, result);
                    continue;
                }
                Stage::Landing(in_flight, ended) => {
                    let ended = *ended;
                    take_landed(in_flight, cx);
                    while !in_flight.is_empty() {
                        let (local_id, landed) = ready!(next_landed(in_flight));
                        if let Ok(Reply::Accepted { seq, time }) = landed {
                            let state_now = RowState::Accepted { seq, time };
                            state.outbox.settle(local_id, state_now, cx);
                        }
                    }
                    ended
                }
                Stage::Pausing(until) => {
                    if !cx.is_due(*until) && cx.is_online() {
                        return Poll::Pending;
                    }
                    self.stage = Stage::Begin;
                    continue;
                }
                Stage::Recovering(recover) => match ready!(recover.poll(state, cx)) {
                    Ok(()) => {
                        self.stage = Stage::Begin;
                        continue;
                    }
                    Err(error) => {
                        tracing::debug!(room = id.short(), %error, "sealing anew failed");
                        Ended::Wait(RETRY_PAUSE)
                    }
                },
            };
            match self.after(ended, state, cx) {
                Some(next) => self.stage = next,
                None => return Poll::Ready(()),
            }
        }
    }
}

impl Sending {
    /// Sends until nothing is left or something is refused.
    fn poll(
        &mut self,
        id: RoomId,
        n_recoveries: &mut u32,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        loop {
            if let Some(sealing) = self.sealing {
                if let Poll::Ready(sealed) = cx.sealed(sealing) {
                    self.sealing = None;
                    self.has_failed = sealed.is_err();
                    let rows = sealed.unwrap_or_default();
                    self.is_declined = rows.is_empty();
                    for row in rows {
                        state.outbox.accept_row(row.clone(), cx);
                        self.launch(row, cx);
                    }
                    continue;
                }
            } else if self.in_flight.len() < IN_FLIGHT_MAX {
                if let Some(row) = self.again.pop_front() {
                    self.launch(row, cx);
                    continue;
                }
                if !self.is_declined {
                    self.sealing = state.seal_next(id, cx);
                }
            }
            if self.in_flight.is_empty() {
                return match self.sealing {
                    Some(_) => Poll::Pending,
                    None if self.has_failed => Poll::Ready(Ended::Wait(RETRY_PAUSE)),
                    None => Poll::Ready(Ended::Empty),
                };
            }
            take_landed(&mut self.in_flight, cx);
            let (local_id, landed) = ready!(next_landed(&mut self.in_flight));
            match landed {
                Ok(Reply::Accepted { seq, time }) => {
                    *n_recoveries = 0;
                    state.outbox.settle(local_id, RowState::Accepted { seq, time }, cx);
                }
                Err(CallError::Fault(fault)) => {
                    return Poll::Ready(refused(id, local_id, &fault, state, cx));
                }
                Ok(_) | Err(CallError::Lost | CallError::TimedOut) => {
                    return Poll::Ready(Ended::Lost);
                }
            }
        }
    }

    fn launch(&mut self, row: OutboxRow, cx: &mut Context<'_>) {
        let RowState::Sent { entry, .. } = row.state else { return };
        let call = cx.call(Request::Append { room: row.room, entry });
        self.in_flight.push_back(InFlight { local_id: row.local_id, call, landed: None });
    }
}

/// What a refusal means for what comes next.
fn refused(
    room: RoomId,
    local_id: u64,
    fault: &Fault,
    state: &mut State,
    cx: &mut Context<'_>,
) -> Ended {
    tracing::debug!(room = room.short(), %fault, "a message was refused");
    match fault {
        Fault::StaleEpoch { .. }
        | Fault::CtrConflict { .. }
        | Fault::OutOfOrder { .. }
        | Fault::BadSeen => Ended::Refused,
        Fault::NeedRotate => Ended::NeedRotate,
        Fault::RateLimited { retry_after_ms } | Fault::ServerBusy { retry_after_ms } => {
            Ended::Wait(Duration::from_millis(u64::from(*retry_after_ms)))
        }
        // Nothing is wrong with the text: it stays queued until the server is mended.
        Fault::Damaged => Ended::Wait(DAMAGED_PAUSE),
        Fault::Stopping => Ended::Lost,
        fault => {
            state.outbox.settle(local_id, RowState::Failed { cause: fault.to_string() }, cx);
            // Its counter is free again: the rest moves up.
            Ended::Refused
        }
    }
}

impl State {
    /// Whether anything may be sent to a room now.
    fn may_send(&self, id: RoomId, cx: &Context<'_>) -> bool {
        let Some(room) = self.rooms.all.get(&id) else { return false };
        let views = Views { account: &self.account, identities: &self.identities };
        self.account.is_sender(cx)
            && room.facts.is_member
            && room.is_caught_up()
            && views.sending_stopped(room).is_none()
    }

    fn has_waiting(&self, id: RoomId) -> bool {
        self.outbox.has_queued(id) || self.outbox.has_sent(id)
    }

    /// Seals the oldest queued message of a room, if there is one and it may be sealed now.
    fn seal_next(&mut self, room: RoomId, cx: &mut Context<'_>) -> Option<SealId> {
        let may_seal = self.outbox.has_queued(room)
            && self.may_send(room, cx)
            && !self.needs_rotation(room, cx.now.time);
        if !may_seal {
            return None;
        }
        let logged = self.logged_lane(room);
        let with = self.sealing(room, cx)?;
        Some(cx.seal(SealOrder { room, with, logged, is_anew: false }))
    }

    /// The lane that the next own message continues, by the log.
    fn logged_lane(&self, id: RoomId) -> DeviceLane {
        let room = self.rooms.all.get(&id);
        room.and_then(|room| room.device_lane(self.account.device)).unwrap_or_default()
    }

    /// The own role in a room.
    pub(in super::super) fn own_role(&self, id: RoomId) -> Option<Role> {
        let member = self.rooms.all.get(&id)?.member(self.account.id)?;
        Some(member.role)
    }
}

/// Catches up with the log, which says what was accepted, and seals the rest anew behind it.
#[derive(Debug)]
struct Recover {
    room: RoomId,
    stage: RecoverStage,
}

#[derive(Debug)]
enum RecoverStage {
    Pausing(Duration),
    CatchingUp(Duration),
    Rotating(Rotate),
    /// A new key is on its way.
    AwaitingKey(Duration),
    Sealing(SealId),
}

impl Recover {
    fn new(room: RoomId, at: Duration) -> Self {
        Self { room, stage: RecoverStage::Pausing(at) }
    }

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Result<(), CommandError>> {
        let room = self.room;
        loop {
            match &mut self.stage {
                RecoverStage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    state.rooms.reread(room, Seq(0), cx);
                    self.stage = RecoverStage::CatchingUp(cx.after(CATCH_UP_PATIENCE));
                }
                RecoverStage::CatchingUp(until) => {
                    ready!(state.caught_up(room, *until, cx))?;
                    self.stage = RecoverStage::Rotating(Rotate::if_needed(room));
                }
                RecoverStage::Rotating(rotate) => {
                    ready!(rotate.poll(state, cx))?;
                    self.stage = RecoverStage::AwaitingKey(cx.after(CATCH_UP_PATIENCE));
                }
                RecoverStage::AwaitingKey(until) => {
                    let Some(with) = state.sealing(room, cx) else {
                        if cx.is_online() && !cx.is_due(*until) {
                            return Poll::Pending;
                        }
                        let text = "the room's key has not come yet".to_owned();
                        return Poll::Ready(Err(CommandError::Refused(text)));
                    };
                    let logged = state.logged_lane(room);
                    let order = SealOrder { room, with, logged, is_anew: true };
                    self.stage = RecoverStage::Sealing(cx.seal(order));
                }
                RecoverStage::Sealing(seal) => {
                    let sealed = ready!(cx.sealed(*seal));
                    let rows = sealed.map_err(|error| CommandError::Storage(error.to_string()))?;
                    for row in rows {
                        state.outbox.accept_row(row, cx);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl State {
    /// Waits until a room's log is here as far as the server announced.
    pub(in super::super) fn caught_up(
        &self,
        id: RoomId,
        until: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        let room = self.rooms.get(id)?;
        if let Some(stopped) = &room.facts.stopped {
            return Poll::Ready(Err(CommandError::Untrusted(stopped.clone())));
        }
        if room.is_caught_up() {
            return Poll::Ready(Ok(()));
        }
        if cx.is_due(until) {
            return Poll::Ready(Err(CommandError::TimedOut));
        }
        Poll::Pending
    }
}
