//! Beginning a new epoch, as one of many who may do it.
//!
//! Owns the pause that lets one of several devices be first (CRYPTO B3, the sender rule).

use std::task::{Poll, ready};
use std::time::Duration;

use rand::RngExt as _;

use super::super::context::Context;
use super::super::server_call::Online;
use super::super::state::State;
use super::change::ChangeRoom;
use crate::client::CommandError;
use crate::id::{Epoch, RoomId};
use crate::log::Change;

/// A rotation that others will attempt too waits up to this long and looks again.
const ROTATE_PAUSE: Duration = Duration::from_millis(500);
/// How long the room may take to be caught up.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(15);

/// Rotates a room's key.
#[derive(Debug)]
pub(in super::super) struct Rotate {
    room: RoomId,
    is_forced: bool,
    before: Option<Epoch>,
    stage: RotateStage,
}

#[derive(Debug)]
enum RotateStage {
    Begin,
    Pausing(Duration),
    Connecting(Online),
    CatchingUp(Duration),
    Changing(ChangeRoom),
}

impl Rotate {
    /// Rotates if the rules say that nobody may seal before.
    pub(in super::super) fn if_needed(room: RoomId) -> Self {
        Self { room, is_forced: false, before: None, stage: RotateStage::Begin }
    }

    /// Rotates because the server asks for it, unless somebody else does first.
    pub(in super::super) fn forced(room: RoomId) -> Self {
        Self { is_forced: true, ..Self::if_needed(room) }
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
                RotateStage::Begin => {
                    if !self.is_forced && !state.needs_rotation(id, cx.now.time) {
                        return Poll::Ready(Ok(()));
                    }
                    self.before = state.epoch_of(id);
                    let pause = ROTATE_PAUSE.mul_f64(cx.rng.random::<f64>());
                    self.stage = RotateStage::Pausing(cx.after(pause));
                }
                RotateStage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = RotateStage::Connecting(Online::default());
                }
                RotateStage::Connecting(online) => {
                    ready!(online.poll(&state.account, cx))?;
                    self.stage = RotateStage::CatchingUp(cx.after(CATCH_UP_PATIENCE));
                }
                RotateStage::CatchingUp(until) => {
                    ready!(state.caught_up(id, *until, cx))?;
                    let has_moved = state.epoch_of(id) != self.before;
                    if has_moved && !state.needs_rotation(id, cx.now.time) {
                        return Poll::Ready(Ok(()));
                    }
                    self.stage = RotateStage::Changing(ChangeRoom::new(id, Change::Rotate, None));
                }
                RotateStage::Changing(change) => return change.poll(state, cx),
            }
        }
    }
}

impl State {
    fn epoch_of(&self, id: RoomId) -> Option<Epoch> {
        Some(self.rooms.all.get(&id)?.state.as_ref()?.epoch().epoch)
    }
}
