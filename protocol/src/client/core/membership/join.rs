//! Joining an open room alone.

use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::identities::fetch::RefreshHeads;
use super::super::rooms::enter::VerifyRoom;
use super::super::server_call::Online;
use super::super::state::State;
use super::super::work::Step;
use super::change::{AwaitApplied, Next, SendCommit, TRIES_MAX, after_failure, too_fast};
use super::prepare::Preparing;
use crate::client::{CommandError, Done};
use crate::crypto::commit::Role;
use crate::id::{RoomId, Seq, WorkspaceId};
use crate::log::{Change, RoomState};

/// Joins an open room of the lobby.
#[derive(Debug)]
pub(in super::super) struct JoinOpen {
    room: RoomId,
    n_tries: usize,
    stage: JoinStage,
}

#[derive(Debug)]
enum JoinStage {
    Begin,
    Connecting(Online),
    /// The room's commits are read before this account is in it.
    Verifying(VerifyRoom),
    Refreshing(Box<RoomState>, RefreshHeads),
    Sending(SendCommit),
    Pausing(Duration),
    /// The room is opened by the head that the server sends.
    Opening(Seq, Duration),
    Applying(AwaitApplied),
}

impl JoinOpen {
    /// Joins this room.
    pub(in super::super) fn new(room: RoomId) -> Self {
        Self { room, n_tries: 0, stage: JoinStage::Begin }
    }
}

impl Step for JoinOpen {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.room;
        loop {
            match &mut self.stage {
                JoinStage::Begin => {
                    if state.rooms.all.get(&id).is_some_and(|room| room.facts.is_member) {
                        return Poll::Ready(Ok(Done::Room(id)));
                    }
                    self.stage = JoinStage::Connecting(Online::default());
                }
                JoinStage::Connecting(online) => {
                    ready!(online.poll(&state.account, cx))?;
                    self.stage = JoinStage::Verifying(VerifyRoom::of(id));
                }
                JoinStage::Verifying(verify) => {
                    let State { account, identities, .. } = &mut *state;
                    let verified = ready!(verify.poll(account, identities, cx));
                    let room_state = Box::new(verified.map_err(CommandError::from)?);
                    let refresh = RefreshHeads::of(&[account.id]);
                    self.stage = JoinStage::Refreshing(room_state, refresh);
                }
                JoinStage::Refreshing(room_state, refresh) => {
                    let State { account, identities, .. } = &mut *state;
                    ready!(refresh.poll(account, identities, cx))?;
                    let change = Change::Add(vec![(account.id, Role::Member)]);
                    let prepared =
                        Preparing { account, identities, cx }.joining(room_state, &change)?;
                    self.n_tries += 1;
                    let send = SendCommit::new(WorkspaceId::MAIN, Some(id), prepared);
                    self.stage = JoinStage::Sending(send);
                }
                JoinStage::Sending(send) => match ready!(send.poll(cx)) {
                    Ok(seq) => {
                        let until = cx.after(state.account.settings.patience);
                        self.stage = JoinStage::Opening(seq, until);
                    }
                    Err(error) => match after_failure(None, &error, state, cx) {
                        Next::GiveUp(error) => return Poll::Ready(Err(error)),
                        Next::Retry(_) if self.n_tries >= TRIES_MAX => {
                            return Poll::Ready(Err(too_fast()));
                        }
                        Next::Retry(pause) => self.stage = JoinStage::Pausing(cx.after(pause)),
                    },
                },
                JoinStage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = JoinStage::Connecting(Online::default());
                }
                JoinStage::Opening(seq, until) => {
                    let room = state.rooms.all.get(&id);
                    let is_open = room.is_some_and(|room| room.state.is_some());
                    if !is_open && !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = JoinStage::Applying(AwaitApplied::new(id, *seq, state, cx));
                }
                JoinStage::Applying(applied) => {
                    ready!(applied.poll(state, cx))?;
                    return Poll::Ready(Ok(Done::Room(id)));
                }
            }
        }
    }
}
