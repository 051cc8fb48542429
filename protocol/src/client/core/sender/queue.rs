//! Putting a message into the outbox, and taking it back.

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::WriteId;
use super::super::rooms::views::Views;
use super::super::server_call::storage;
use super::super::state::State;
use super::super::work::Step;
use crate::client::event::{OutboxState, OutboxView};
use crate::client::record::RowState;
use crate::client::replica::{Write, Written};
use crate::client::{CommandError, Done, RowTag};
use crate::crypto::content::Content;
use crate::id::{RoomId, TimeMs};

/// Puts a message into the outbox; it is durable when this is done.
#[derive(Debug)]
pub(in super::super) struct Queue {
    room: RoomId,
    content: Content,
    tag: Option<RowTag>,
    writing: Option<(WriteId, TimeMs)>,
}

impl Queue {
    /// Queues `content` for a room; the face may name the row by a tag.
    pub(in super::super) fn new(room: RoomId, content: Content, tag: Option<RowTag>) -> Self {
        Self { room, content, tag, writing: None }
    }

    fn write(&self, state: &State, cx: &mut Context<'_>) -> Result<WriteId, CommandError> {
        let room = state.rooms.get(self.room)?;
        if !room.facts.is_member {
            return Err(CommandError::Refused("you are no longer in this room".to_owned()));
        }
        let views = Views { account: &state.account, identities: &state.identities };
        if let Some(cause) = views.sending_stopped(room) {
            return Err(CommandError::Untrusted(cause));
        }
        let (room, content, queued_at) = (self.room, self.content.clone(), cx.now.time);
        Ok(cx.write(vec![Write::Queue { room, content, queued_at }]))
    }
}

impl Step for Queue {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (write, queued_at) = if let Some(writing) = self.writing {
            writing
        } else {
            let writing = (self.write(state, cx)?, cx.now.time);
            *self.writing.insert(writing)
        };
        let written = ready!(cx.written(write)).map_err(|error| storage(&error))?;
        let local_id = written.iter().find_map(|one| match one {
            Written::Queued { local_id } => Some(*local_id),
            _ => None,
        });
        let gone = || CommandError::Refused("the message was not queued".to_owned());
        let local_id = local_id.ok_or_else(gone)?;
        let content = self.content.clone();
        let (room, tag, state_now) = (self.room, self.tag, OutboxState::Queued);
        let view = OutboxView { local_id, tag, room, content, queued_at, state: state_now };
        state.outbox.queued(view, cx);
        Poll::Ready(Ok(Done::Queued { local_id }))
    }
}

/// Takes a message back that was never sent.
#[derive(Debug)]
pub(in super::super) struct Withdraw {
    local_id: u64,
    writing: Option<WriteId>,
}

impl Withdraw {
    /// Takes this row back.
    pub(in super::super) fn new(local_id: u64) -> Self {
        Self { local_id, writing: None }
    }
}

impl Step for Withdraw {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let local_id = self.local_id;
        let write = *self.writing.get_or_insert_with(|| {
            cx.write(vec![Write::Settle { local_id, state: RowState::Withdrawn }])
        });
        let written = ready!(cx.written(write)).map_err(|error| storage(&error))?;
        if written.contains(&Written::Settled(true)) {
            state.outbox.withdrawn(local_id, cx);
            return Poll::Ready(Ok(Done::Done));
        }
        let text = "it was sent already, or is not here".to_owned();
        Poll::Ready(Err(CommandError::Refused(text)))
    }
}
