//! The outbox: texts that wait to be sent, taking them back, sending refused ones again, and what
//! keys do in its list.

use mathia_protocol::client::{Command, RowTag};
use mathia_protocol::id::RoomId;
use mathia_protocol::name::Handle;

use super::key_outcome::KeyOutcome;
use super::{asking, editing, notices, rooms};
use crate::app::action::Action;
use crate::app::effect::{AfterWithdraw, CommandTag, Effect};
use crate::app::explain;
use crate::app::model::Model;
use crate::app::model::entry::{Pending, PendingState};
use crate::app::model::overlay::Overlay;
use crate::app::model::timeline::Scroll;
use crate::safe_text::SafeText;

/// Puts a text into a room's outbox and shows it there at once.
pub(super) fn queue(model: &mut Model, id: RoomId, text: &str) -> Effect {
    let key = model.next_key;
    model.next_key += 1;
    let queued_at = model.now.wall;
    if let Some(room) = model.rooms.get_mut(&id) {
        room.timeline.push_pending(Pending {
            key,
            local_id: None,
            text: SafeText::clean(text),
            is_ask: false,
            queued_at,
            state: PendingState::Queued,
        });
        room.timeline.scroll = Scroll::Live;
        room.timeline.n_below = 0;
    }
    let command = Command::Send { room: id, text: text.to_owned(), tag: Some(RowTag(key)) };
    Effect::Command { tag: CommandTag::Send { room: id, key }, command }
}

/// Does what a key does in the list of what waits to be sent.
pub(super) fn act(model: &mut Model, action: Action) -> KeyOutcome {
    let queued = explain::outbox(model);
    let Some(Overlay::Outbox { selected }) = model.overlays.last_mut() else {
        return KeyOutcome::Ignored;
    };
    *selected = (*selected).min(queued.len().saturating_sub(1));
    let chosen = queued.get(*selected).map(|line| (line.room, line.key));
    let effects = match (action, chosen) {
        (Action::ListUp, _) => {
            *selected = selected.saturating_sub(1);
            Vec::new()
        }
        (Action::ListDown, _) => {
            *selected += 1;
            Vec::new()
        }
        (Action::EditQueued | Action::Choose, Some((room, key))) => {
            take_back(model, room, key, AfterWithdraw::Edit)
        }
        (Action::Withdraw, Some((room, key))) => take_back(model, room, key, AfterWithdraw::Drop),
        (Action::Retry, Some((room, key))) => retry(model, room, key),
        (Action::EditQueued | Action::Choose | Action::Withdraw | Action::Retry, None) => {
            Vec::new()
        }
        _ => return KeyOutcome::Ignored,
    };
    KeyOutcome::Handled(effects)
}

/// Takes a queued text back: from the engine if it has it, from the screen alone otherwise.
fn take_back(model: &mut Model, id: RoomId, key: u64, then: AfterWithdraw) -> Vec<Effect> {
    let pending = model
        .rooms
        .get_mut(&id)
        .and_then(|room| room.timeline.pending_mut(|pending| pending.key == key));
    let Some(pending) = pending else { return Vec::new() };
    match pending.local_id {
        Some(local_id) => {
            let tag = CommandTag::Withdraw { room: id, key, then };
            vec![Effect::Command { tag, command: Command::Withdraw { local_id } }]
        }
        // The engine has not answered yet: only the screen gives it up.
        None => withdrawn(model, id, key, then),
    }
}

/// Sends a refused text again, as a new one at the end of the queue.
fn retry(model: &mut Model, id: RoomId, key: u64) -> Vec<Effect> {
    let pending = model
        .rooms
        .get_mut(&id)
        .and_then(|room| room.timeline.pending_mut(|pending| pending.key == key));
    match pending.map(|pending| &pending.state) {
        Some(PendingState::Failed(_)) => take_back(model, id, key, AfterWithdraw::Resend),
        Some(_) => {
            notices::show(model, "This is sent by itself when the connection is back.");
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Sends all refused texts again.
pub(super) fn retry_all(model: &mut Model) -> Vec<Effect> {
    let refused: Vec<(RoomId, u64)> = explain::outbox(model)
        .into_iter()
        .filter(|line| line.cause.is_some())
        .map(|line| (line.room, line.key))
        .collect();
    if refused.is_empty() {
        notices::show(model, "Nothing was refused. What is queued is sent by itself.");
    }
    refused.into_iter().flat_map(|(room, key)| retry(model, room, key)).collect()
}

/// Does with a text what it was taken back for.
pub(super) fn withdrawn(
    model: &mut Model,
    id: RoomId,
    key: u64,
    then: AfterWithdraw,
) -> Vec<Effect> {
    let Some(room) = model.rooms.get_mut(&id) else { return Vec::new() };
    let Some(taken) = room.timeline.take_pending(|pending| pending.key == key) else {
        return Vec::new();
    };
    // A question goes back as one: sent as a text, it would ask nobody.
    let name = room.facts.agent().map_or(Handle::ASSISTANT, |agent| agent.handle.as_str());
    let text = taken.text.as_str();
    let text = if taken.is_ask { format!("@{name} {text}") } else { text.to_owned() };
    match then {
        AfterWithdraw::Drop => {
            room.remember_written(&text);
            let up = model.key(Action::Up);
            notices::show(model, &format!("Withdrawn. {up} on an empty composer brings it back."));
            Vec::new()
        }
        AfterWithdraw::Edit => {
            let mut effects = rooms::enter(model, id);
            model.overlays.clear();
            effects.extend(editing::take_up(model, &text));
            effects
        }
        AfterWithdraw::Resend if taken.is_ask => {
            // Consent is for one sending: the envelope is shown again.
            let mut effects = rooms::enter(model, id);
            effects.extend(editing::take_up(model, &text));
            effects.extend(asking::open(model, taken.text.as_str()));
            effects
        }
        AfterWithdraw::Resend => vec![queue(model, id, &text)],
    }
}
