//! Changing rooms: commits made anew until one comes first.
//!
//! Whoever loses the race catches up and proposes again on the new head.

use std::collections::VecDeque;
use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::identities::fetch::RefreshHeads;
use super::super::io::{CallError, CallId};
use super::super::server_call::{Online, call_failed, refused};
use super::super::state::State;
use super::prepare::{Prepared, Preparing};
use crate::client::CommandError;
use crate::crypto::settings::RoomSettings;
use crate::id::{AccountId, Hash, RoomId, Seq, WorkspaceId};
use crate::limits::WRAPS_PER_BATCH_MAX;
use crate::log::{Change, RoomState};
use crate::wire::{Fault, Reply, Request, Wrap};

/// A change that loses this many races is given up: the room is too busy.
pub(super) const TRIES_MAX: usize = 8;
/// How long a change waits for the room to be caught up before it is proposed.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(15);
/// A busy server is asked again after this at the latest.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// A commit on its way to the server, behind the wraps that do not fit beside it.
#[derive(Debug)]
pub(super) struct SendCommit {
    hash: Hash,
    staged: VecDeque<Vec<Wrap>>,
    commit: Option<Request>,
    call: Option<CallId>,
}

impl SendCommit {
    /// Sends a commit of a room, or the creation of one.
    pub(super) fn new(workspace: WorkspaceId, room: Option<RoomId>, prepared: Prepared) -> Self {
        let Prepared { commit, mut wraps, .. } = prepared;
        let mut staged = VecDeque::new();
        while wraps.len() > WRAPS_PER_BATCH_MAX {
            staged.push_back(wraps.split_off(wraps.len() - WRAPS_PER_BATCH_MAX));
        }
        let (hash, entry) = (commit.hash(), commit.entry().to_vec());
        let commit = Some(Request::Commit { workspace, room, entry, wraps });
        Self { hash, staged, commit, call: None }
    }

    /// The commit.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// The place of the commit, once it is accepted.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Seq, CallError>> {
        loop {
            if let Some(call) = self.call {
                let reply = ready!(cx.reply(call))?;
                self.call = None;
                match reply {
                    Reply::Accepted { seq, .. } => return Poll::Ready(Ok(seq)),
                    Reply::Staged { .. } => {}
                    _ => return Poll::Ready(Err(CallError::Fault(Fault::Malformed))),
                }
            }
            let request = match self.staged.pop_front() {
                Some(wraps) => Some(Request::StageWraps { commit: self.hash, wraps }),
                None => self.commit.take(),
            };
            match request {
                Some(request) => self.call = Some(cx.call(request)),
                None => return Poll::Ready(Err(CallError::Fault(Fault::Malformed))),
            }
        }
    }
}

/// What to do after a refusal.
pub(super) enum Next {
    /// Try again, after a pause.
    Retry(Duration),
    /// Give up.
    GiveUp(CommandError),
}

/// What a failed commit means.
pub(super) fn after_failure(
    room: Option<RoomId>,
    error: &CallError,
    state: &mut State,
    cx: &mut Context<'_>,
) -> Next {
    let CallError::Fault(fault) = error else { return Next::GiveUp(call_failed(error)) };
    match fault {
        Fault::HeadMoved { .. } | Fault::BadSeen => {
            // The winner's entry is on its way, or was missed: read once more.
            if let Some(id) = room {
                state.rooms.reread(id, Seq(0), cx);
            }
            Next::Retry(Duration::ZERO)
        }
        Fault::MissingWraps { .. } => Next::Retry(Duration::ZERO),
        Fault::ServerBusy { retry_after_ms } => {
            let pause = Duration::from_millis(u64::from(*retry_after_ms));
            Next::Retry(pause.min(BUSY_PAUSE_MAX))
        }
        fault => Next::GiveUp(refused(fault)),
    }
}

/// Waits until a commit stands in the own log, on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct AwaitApplied {
    room: RoomId,
    seq: Seq,
    until: Duration,
}

impl AwaitApplied {
    /// Waits as long as a command may.
    pub(super) fn new(room: RoomId, seq: Seq, state: &State, cx: &Context<'_>) -> Self {
        Self { room, seq, until: cx.after(state.account.settings.patience) }
    }

    /// Looks whether it is there.
    pub(super) fn poll(
        self,
        state: &State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        let is_there = state.rooms.all.get(&self.room).is_some_and(|room| {
            // Who left or was removed receives nothing more.
            room.stored >= self.seq || !room.facts.is_member
        });
        if is_there {
            Poll::Ready(Ok(()))
        } else if cx.is_due(self.until) {
            Poll::Ready(Err(CommandError::TimedOut))
        } else {
            Poll::Pending
        }
    }
}

/// Changes a room; done when the change is in the own log.
#[derive(Debug)]
pub(in super::super) struct ChangeRoom {
    room: RoomId,
    change: Change,
    settings: Option<RoomSettings>,
    n_tries: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Connecting(Online),
    CatchingUp(Duration),
    Refreshing(RefreshHeads),
    Sending(SendCommit),
    Pausing(Duration),
    Applying(AwaitApplied),
}

impl ChangeRoom {
    /// Changes a room; `settings` replaces name and topic.
    pub(in super::super) fn new(
        room: RoomId,
        change: Change,
        settings: Option<RoomSettings>,
    ) -> Self {
        let stage = Stage::Connecting(Online::default());
        Self { room, change, settings, n_tries: 0, stage }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll(
        &mut self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        let id = self.room;
        loop {
            match &mut self.stage {
                Stage::Connecting(online) => {
                    ready!(online.poll(&state.account, cx))?;
                    self.stage = Stage::CatchingUp(cx.after(CATCH_UP_PATIENCE));
                }
                Stage::CatchingUp(until) => {
                    ready!(state.caught_up(id, *until, cx))?;
                    let people = self.people(state);
                    self.stage = Stage::Refreshing(RefreshHeads::of(&people));
                }
                Stage::Refreshing(refresh) => {
                    let State { account, identities, .. } = &mut *state;
                    ready!(refresh.poll(account, identities, cx))?;
                    self.stage = Stage::Sending(self.prepare(state, cx)?);
                }
                Stage::Sending(send) => {
                    let hash = send.hash();
                    match ready!(send.poll(cx)) {
                        Ok(seq) => {
                            self.stage = Stage::Applying(AwaitApplied::new(id, seq, state, cx));
                        }
                        Err(error) => {
                            if let (CallError::Fault(_), Ok(room)) =
                                (&error, state.rooms.get_mut(id))
                            {
                                room.keys.drop_own(hash);
                            }
                            match after_failure(Some(id), &error, state, cx) {
                                Next::GiveUp(error) => return Poll::Ready(Err(error)),
                                Next::Retry(_) if self.n_tries >= TRIES_MAX => {
                                    return Poll::Ready(Err(too_fast()));
                                }
                                Next::Retry(pause) => self.stage = Stage::Pausing(cx.after(pause)),
                            }
                        }
                    }
                }
                Stage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = Stage::Connecting(Online::default());
                }
                Stage::Applying(applied) => return applied.poll(state, cx),
            }
        }
    }

    /// Whose chains the change stands on.
    fn people(&self, state: &State) -> Vec<AccountId> {
        let room = state.rooms.all.get(&self.room).and_then(|room| room.state.as_ref());
        let members = room.into_iter().flat_map(RoomState::members);
        let mut people: Vec<AccountId> = members.map(|member| member.account).collect();
        match &self.change {
            Change::Add(newcomers) => people.extend(newcomers.iter().map(|(account, _)| *account)),
            Change::SetPolicy(_, agents) => people.extend(agents),
            Change::AddAgent(agent) => people.push(*agent),
            Change::Remove(_)
            | Change::Leave
            | Change::SetRole(_)
            | Change::Rotate
            | Change::RemoveAgent(_) => {}
        }
        people
    }

    fn prepare(
        &mut self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Result<SendCommit, CommandError> {
        let State { account, identities, rooms, .. } = state;
        let (room, room_state) = rooms.opened(self.room)?;
        let mut preparing = Preparing { account, identities, cx };
        let mut prepared =
            preparing.change(room, room_state, &self.change, self.settings.as_ref())?;
        let workspace = room.facts.workspace;
        if let Some(secret) = prepared.secret.take() {
            // Kept by the hash: whether this commit comes first, the log will tell.
            rooms.get_mut(self.room)?.keys.expect_own(prepared.commit.hash(), secret);
        }
        self.n_tries += 1;
        Ok(SendCommit::new(workspace, Some(self.room), prepared))
    }
}

/// The error of a change that lost too many races.
pub(super) fn too_fast() -> CommandError {
    CommandError::Refused("the room changes too fast, try again".to_owned())
}
