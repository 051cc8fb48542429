//! The outbox as faces see it: what changed since it was last told.
//!
//! The replica holds the truth, also about rows that another process of this device sends. Each
//! change is told once.

use std::rc::Rc;

use super::super::event::{ClientEvent, OutboxState, OutboxView};
use super::super::record::{OutboxRow, RowState};
use super::{Engine, storage};
use crate::client::CommandError;
use crate::crypto::content::Content;
use crate::id::{Counter, RoomId, Seq, TimeMs};

impl Engine {
    /// Puts a text into the outbox; it is durable when this returns.
    pub(super) fn queue_text(self: &Rc<Self>, id: RoomId, text: &str) -> Result<u64, CommandError> {
        let content = Content::from_text(text);
        self.queue(id, &content.map_err(|error| CommandError::Invalid(error.to_string()))?)
    }

    /// Puts a message into the outbox; it is durable when this returns.
    pub(super) fn queue(
        self: &Rc<Self>,
        id: RoomId,
        content: &Content,
    ) -> Result<u64, CommandError> {
        let is_member = {
            let core = self.core.borrow();
            let room = core.rooms.get(&id);
            let room =
                room.ok_or_else(|| CommandError::NotFound("there is no such room".into()))?;
            room.facts.is_member
        };
        if !is_member {
            return Err(CommandError::Refused("you are no longer in this room".to_owned()));
        }
        if let Some(cause) = self.sending_stopped(id) {
            return Err(CommandError::Untrusted(cause));
        }
        let queued = self.replica.queue(id, content, self.now());
        let local_id = queued.map_err(|error| storage(&error))?;
        self.look_at_outbox();
        Ok(local_id)
    }

    /// Takes a text back that was never sent.
    pub(super) fn withdraw(self: &Rc<Self>, local_id: u64) -> Result<(), CommandError> {
        let settled = self.replica.settle(local_id, &RowState::Withdrawn);
        let is_withdrawn = settled.map_err(|error| storage(&error))?;
        self.look_at_outbox();
        if is_withdrawn {
            Ok(())
        } else {
            Err(CommandError::Refused("it was sent already, or is not here".to_owned()))
        }
    }

    /// Tells what changed in the outbox, whoever changed it, and sends what waits.
    pub(super) fn look_at_outbox(self: &Rc<Self>) {
        let rows = match self.replica.outbox(None) {
            Ok(rows) => rows,
            Err(error) => return self.storage_failed(&error),
        };
        for row in &rows {
            self.tell_row(row);
        }
        let gone: Vec<u64> = {
            let core = self.core.borrow();
            let is_gone = |id: &u64| rows.iter().all(|row| row.local_id != *id);
            core.told.keys().copied().filter(is_gone).collect()
        };
        for local_id in gone {
            match self.replica.outbox_row(local_id) {
                Ok(Some(row)) => self.tell_row(&row),
                Ok(None) => {
                    self.core.borrow_mut().told.remove(&local_id);
                }
                Err(error) => self.storage_failed(&error),
            }
        }
        self.go_drain();
    }

    /// Tells a row, unless faces know it so already.
    pub(super) fn tell_row(&self, row: &OutboxRow) {
        let view = outbox_view(row);
        let is_final = matches!(view.state, OutboxState::Accepted { .. } | OutboxState::Withdrawn);
        let mut core = self.core.borrow_mut();
        let known = core.told.get(&row.local_id).is_some_and(|(_, told)| *told == view.state);
        if known {
            return;
        }
        if is_final {
            core.told.remove(&row.local_id);
        } else {
            core.told.insert(row.local_id, (row.room, view.state.clone()));
        }
        drop(core);
        self.tell(ClientEvent::Outbox(view));
        self.wake();
    }

    /// An own message stands in the log: if it is in the outbox, that is its ack.
    pub(super) fn own_message(
        self: &Rc<Self>,
        id: RoomId,
        counter: Counter,
        seq: Seq,
        time: TimeMs,
        entry: &[u8],
    ) {
        let row = match self.replica.row_of(id, counter) {
            Ok(row) => row,
            Err(error) => return self.storage_failed(&error),
        };
        // Other bytes under this counter are of a copy of this replica: the drain seals anew.
        let same = |row: &OutboxRow| matches!(&row.state, RowState::Sent { entry: sent, .. } if sent == entry);
        if let Some(row) = row.filter(same) {
            self.settle_row(&row, RowState::Accepted { seq, time });
        }
    }

    /// Moves a row to another state and tells it.
    pub(super) fn settle_row(&self, row: &OutboxRow, state: RowState) {
        match self.replica.settle(row.local_id, &state) {
            Ok(true) => self.tell_row(&OutboxRow { state, ..row.clone() }),
            // Somebody else settled it; the next look tells.
            Ok(false) => {}
            Err(error) => self.storage_failed(&error),
        }
    }

    /// Everything that waits for a room this account is no longer in fails.
    pub(super) fn fail_rows(&self, id: RoomId, cause: &str) {
        match self.replica.outbox(Some(id)) {
            Ok(rows) => {
                for row in rows.iter().filter(|row| !matches!(row.state, RowState::Failed { .. })) {
                    self.settle_row(row, RowState::Failed { cause: cause.to_owned() });
                }
            }
            Err(error) => self.storage_failed(&error),
        }
    }
}

/// A row as faces see it.
pub(super) fn outbox_view(row: &OutboxRow) -> OutboxView {
    let state = match &row.state {
        RowState::Queued => OutboxState::Queued,
        RowState::Sent { .. } => OutboxState::Sent,
        RowState::Accepted { seq, time } => OutboxState::Accepted { seq: *seq, time: *time },
        RowState::Failed { cause } => OutboxState::Failed { cause: cause.clone() },
        RowState::Withdrawn => OutboxState::Withdrawn,
    };
    OutboxView {
        local_id: row.local_id,
        room: row.room,
        content: row.content.clone(),
        queued_at: row.queued_at,
        state,
    }
}
