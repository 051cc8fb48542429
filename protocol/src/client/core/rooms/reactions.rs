//! Reporting the reactions to a message after one of them changed.

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::{Query, ReadId};
use super::super::state::State;
use super::super::work::Step;
use crate::client::event::ClientEvent;
use crate::id::{RoomId, Seq};

/// Emits how often which emoji stands at a message, as the replica counts it.
#[derive(Debug)]
pub(in super::super) struct EmitReactions {
    room: RoomId,
    target: Seq,
    read: Option<ReadId>,
}

impl EmitReactions {
    /// The reactions to the message at `target`.
    pub(in super::super) fn to(room: RoomId, target: Seq) -> Self {
        Self { room, target, read: None }
    }
}

impl Step for EmitReactions {
    type Output = ();

    fn poll(&mut self, _state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let (room, target) = (self.room, self.target);
        let read =
            *self.read.get_or_insert_with(|| cx.read(Query::Entries { room, seqs: vec![target] }));
        if let Ok(entries) = ready!(cx.found_entries(read)) {
            for entry in entries {
                let reactions = entry.reactions;
                cx.emit(ClientEvent::Reactions { room, target, reactions });
            }
        }
        Poll::Ready(())
    }
}
