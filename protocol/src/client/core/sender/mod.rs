//! The outbox: what waits to be sent, and what the faces know of it.
//!
//! Owns the states of the rows that are not settled. The replica holds the truth, also about rows
//! that another process of this device sends. Each change is reported once.

pub(super) mod queue;
pub(super) mod reaction;
pub(super) mod schedule;
pub(super) mod sealing;
pub(super) mod send;

use std::collections::{BTreeMap, HashMap};

use super::context::Context;
use super::io::WriteId;
use super::work::Work;
use crate::client::event::{ClientEvent, OutboxState, OutboxView};
use crate::client::record::{OutboxRow, RowState};
use crate::client::replica::{StorageError, Write, Written};
use crate::crypto::hash::sha256;
use crate::id::{Counter, Hash, RoomId, Seq, TimeMs};

/// A row that is not settled.
#[derive(Debug)]
struct OpenRow {
    view: OutboxView,
    /// Counter and digest of the bytes that were sent.
    sent: Option<(Counter, Hash)>,
}

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    rows: BTreeMap<u64, OpenRow>,
    /// How many rows of each room are queued.
    n_queued: HashMap<RoomId, usize>,
    /// Which row was sent with a counter.
    by_counter: BTreeMap<(RoomId, Counter), u64>,
    /// Rows whose new state is being written.
    settling: HashMap<WriteId, (u64, RowState)>,
}

impl Outbox {
    /// Accepts a row as it stands in the replica, and reports it unless faces know it so already.
    pub(super) fn accept_row(&mut self, row: OutboxRow, cx: &mut Context<'_>) {
        let sent = match &row.state {
            RowState::Sent { counter, entry } => Some((*counter, sha256(&[entry]))),
            _ => None,
        };
        self.update(outbox_view(row), sent, cx);
    }

    /// Reports a row that was just queued.
    pub(super) fn queued(&mut self, view: OutboxView, cx: &mut Context<'_>) {
        self.update(view, None, cx);
    }

    fn update(
        &mut self,
        mut view: OutboxView,
        sent: Option<(Counter, Hash)>,
        cx: &mut Context<'_>,
    ) {
        let known = self.rows.get(&view.local_id);
        let is_settled =
            matches!(view.state, OutboxState::Accepted { .. } | OutboxState::Withdrawn);
        if known.is_none() && is_settled {
            // Reported when it was settled, or nobody here ever saw it.
            return;
        }
        let is_same = known.is_some_and(|known| known.view.state == view.state);
        if is_same && known.is_some_and(|known| known.sent == sent) {
            return;
        }
        view.tag = view.tag.or_else(|| known.and_then(|known| known.view.tag));
        self.forget(view.local_id);
        if !is_settled {
            self.remember(OpenRow { view: view.clone(), sent });
            // Once more when it ends: a run that found nothing to seal looks no further.
            cx.start(Work::Send(view.room));
        }
        if !is_same {
            cx.emit(ClientEvent::Outbox(view));
        }
        cx.changed();
    }

    fn remember(&mut self, row: OpenRow) {
        let (id, room) = (row.view.local_id, row.view.room);
        if row.view.state == OutboxState::Queued {
            *self.n_queued.entry(room).or_default() += 1;
        }
        if let Some((counter, _)) = row.sent {
            self.by_counter.insert((room, counter), id);
        }
        self.rows.insert(id, row);
    }

    fn forget(&mut self, id: u64) {
        let Some(row) = self.rows.remove(&id) else { return };
        let room = row.view.room;
        if row.view.state == OutboxState::Queued
            && let Some(n_queued) = self.n_queued.get_mut(&room)
        {
            *n_queued = n_queued.saturating_sub(1);
        }
        if let Some((counter, _)) = row.sent {
            let at = (room, counter);
            if self.by_counter.get(&at) == Some(&id) {
                self.by_counter.remove(&at);
            }
        }
    }

    /// Whether something is queued for a room.
    pub(super) fn has_queued(&self, room: RoomId) -> bool {
        self.n_queued.get(&room).is_some_and(|n_queued| *n_queued > 0)
    }

    /// Whether something was sent to a room and is not settled.
    pub(super) fn has_sent(&self, room: RoomId) -> bool {
        let all = (room, Counter(0))..=(room, Counter(u64::MAX));
        self.by_counter.range(all).next().is_some()
    }

    /// Has every room looked at in which something waits.
    pub(super) fn send_all(&self, cx: &mut Context<'_>) {
        let sent = self.by_counter.keys().map(|(room, _)| *room);
        let queued = self.n_queued.iter().filter(|(_, n)| **n > 0).map(|(room, _)| *room);
        for room in sent.chain(queued) {
            cx.start_once(Work::Send(room));
        }
    }

    /// An own message stands in the log: if it is in the outbox, that is its ack. Other bytes under
    /// its counter are of a copy of this replica: the sending seals anew.
    pub(super) fn own_message(
        &mut self,
        (room, counter): (RoomId, Counter),
        digest: Hash,
        (seq, time): (Seq, TimeMs),
        cx: &mut Context<'_>,
    ) {
        let Some(id) = self.by_counter.get(&(room, counter)).copied() else { return };
        let is_it = |row: &OpenRow| row.sent.is_some_and(|(_, sent)| sent == digest);
        if self.rows.get(&id).is_some_and(is_it) {
            self.settle(id, RowState::Accepted { seq, time }, cx);
        }
    }

    /// Moves a row to another state; it is reported when that is stored.
    pub(super) fn settle(&mut self, local_id: u64, state: RowState, cx: &mut Context<'_>) {
        let write = cx.write(vec![Write::Settle { local_id, state: state.clone() }]);
        self.settling.insert(write, (local_id, state));
    }

    /// Notes how a write ended, if it was one of a row's state.
    pub(super) fn written(
        &mut self,
        id: WriteId,
        written: &Result<Vec<Written>, StorageError>,
        cx: &mut Context<'_>,
    ) {
        let Some((local_id, state)) = self.settling.remove(&id) else { return };
        // If somebody else settled it, their change is reported.
        let is_settled = written.as_ref().is_ok_and(|done| done.contains(&Written::Settled(true)));
        let known = self.rows.get(&local_id).map(|row| row.view.clone());
        if let Some(view) = known.filter(|_| is_settled) {
            self.update(OutboxView { state: outbox_state(&state), ..view }, None, cx);
        }
    }

    /// Everything that waits for a room this account is no longer in fails.
    pub(super) fn fail_all(&mut self, room: RoomId, cause: &str, cx: &mut Context<'_>) {
        self.fail_where(room, cause, |_| true, cx);
    }

    /// What is queued for an agent that is no longer in the room is not sealed to it.
    pub(super) fn fail_lost(
        &mut self,
        room: RoomId,
        is_member: impl Fn(crate::id::AccountId) -> bool,
        cx: &mut Context<'_>,
    ) {
        let is_lost = |view: &OutboxView| {
            view.state == OutboxState::Queued
                && view.content.reader().is_some_and(|agent| !is_member(agent))
        };
        self.fail_where(room, "the assistant is no longer in this room", is_lost, cx);
    }

    fn fail_where(
        &mut self,
        room: RoomId,
        cause: &str,
        is_meant: impl Fn(&OutboxView) -> bool,
        cx: &mut Context<'_>,
    ) {
        let is_open = |view: &OutboxView| !matches!(view.state, OutboxState::Failed { .. });
        let rows = self.rows.values().map(|row| &row.view);
        let meant: Vec<u64> = rows
            .filter(|view| view.room == room && is_open(view) && is_meant(view))
            .map(|view| view.local_id)
            .collect();
        for id in meant {
            self.settle(id, RowState::Failed { cause: cause.to_owned() }, cx);
        }
    }

    /// A row was taken back.
    fn withdrawn(&mut self, local_id: u64, cx: &mut Context<'_>) {
        if let Some(view) = self.rows.get(&local_id).map(|row| row.view.clone()) {
            self.update(OutboxView { state: OutboxState::Withdrawn, ..view }, None, cx);
        }
    }
}

/// A row as faces see it.
fn outbox_view(row: OutboxRow) -> OutboxView {
    OutboxView {
        local_id: row.local_id,
        tag: None,
        room: row.room,
        state: outbox_state(&row.state),
        content: row.content,
        queued_at: row.queued_at,
    }
}

fn outbox_state(state: &RowState) -> OutboxState {
    match state {
        RowState::Queued => OutboxState::Queued,
        RowState::Sent { .. } => OutboxState::Sent,
        RowState::Accepted { seq, time } => OutboxState::Accepted { seq: *seq, time: *time },
        RowState::Failed { cause } => OutboxState::Failed { cause: cause.clone() },
        RowState::Withdrawn => OutboxState::Withdrawn,
    }
}
