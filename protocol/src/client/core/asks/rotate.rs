//! Making the key that an answer waits for (CRYPTO B6, "No dead ends").
//!
//! Who asked makes it; else anybody, a little later.

use std::task::{Poll, ready};
use std::time::Duration;

use rand::RngExt as _;

use super::super::context::Context;
use super::super::membership::rotate::Rotate;
use super::super::state::State;
use super::super::work::Step;
use crate::crypto::commit::Role;
use crate::id::RoomId;

/// Who did not ask waits at least this long before it makes the key an answer waits for.
const OTHERS_PAUSE: Duration = Duration::from_secs(2);

/// Rotates a room's key if an answer waits for it.
#[derive(Debug)]
pub(in super::super) struct RotateForAnswers {
    room: RoomId,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Pausing(Duration),
    Rotating(Rotate),
}

impl RotateForAnswers {
    /// Looks at this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, stage: Stage::Begin }
    }
}

impl Step for RotateForAnswers {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        loop {
            match &mut self.stage {
                Stage::Begin => {
                    let waits = state.asks.waits(id, state.account.id, cx.now.time);
                    let Some(is_mine) = waits else { return Poll::Ready(()) };
                    let is_agent = state.own_role(id) == Some(Role::Agent);
                    if is_agent || !state.needs_rotation(id, cx.now.time) {
                        return Poll::Ready(());
                    }
                    let pause = if is_mine {
                        Duration::ZERO
                    } else {
                        OTHERS_PAUSE.mul_f64(1.0 + cx.rng.random::<f64>())
                    };
                    self.stage = Stage::Pausing(cx.after(pause));
                }
                Stage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    if state.asks.waits(id, state.account.id, cx.now.time).is_none() {
                        return Poll::Ready(());
                    }
                    self.stage = Stage::Rotating(Rotate::if_needed(id));
                }
                Stage::Rotating(rotate) => {
                    if let Err(error) = ready!(rotate.poll(state, cx)) {
                        let room = id.short();
                        tracing::debug!(room, %error, "no key was made for an answer");
                    }
                    return Poll::Ready(());
                }
            }
        }
    }
}
