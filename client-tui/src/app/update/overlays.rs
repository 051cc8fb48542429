//! What keys do in what floats: panels, lists, the outbox, a question.

use mathia_protocol::client::{Command, PersonRef};
use mathia_protocol::id::RoomId;

use super::{asking, keys, notice, plain, rooms};
use crate::app::action::Action;
use crate::app::effect::{AfterWithdraw, CommandTag, Effect};
use crate::app::explain;
use crate::app::model::entry::PendingState;
use crate::app::model::overlay::{Overlay, Topic};
use crate::app::model::{Armed, Model};
use crate::app::switcher::{self, Target};

/// Does what a key does in the thing that floats on top.
pub(super) fn act(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    if action == Action::Back {
        model.overlays.pop();
        return Vec::new();
    }
    match model.overlays.last() {
        Some(Overlay::Switcher(_)) => in_switcher(model, action, armed),
        Some(Overlay::Outbox { .. }) => in_outbox(model, action, armed),
        Some(Overlay::Confirmation(_)) => in_question(model, action, armed),
        Some(Overlay::Panel { .. }) => in_panel(model, action, armed),
        Some(Overlay::Envelope(_)) => asking::act(model, action, armed),
        None => Vec::new(),
    }
}

/// Adds a character to the filter of a list.
pub(super) fn filter(model: &mut Model, c: char) -> Vec<Effect> {
    if let Some(Overlay::Switcher(switcher)) = model.overlays.last_mut() {
        switcher.filter.type_char(c);
        switcher.selected = 0;
    }
    Vec::new()
}

fn in_switcher(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    let candidates = switcher::candidates(model);
    let Some(Overlay::Switcher(switcher)) = model.overlays.last_mut() else { return Vec::new() };
    let last = candidates.len().saturating_sub(1);
    match action {
        // Past either end is the other one.
        Action::ListUp => switcher.selected = switcher.selected.checked_sub(1).unwrap_or(last),
        Action::ListDown if switcher.selected >= last => switcher.selected = 0,
        Action::ListDown => switcher.selected += 1,
        Action::PageUp => switcher.selected = switcher.selected.saturating_sub(10),
        Action::PageDown => switcher.selected = (switcher.selected + 10).min(last),
        Action::Edit(edit) => {
            switcher.filter.edit(edit);
            switcher.selected = 0;
        }
        Action::Choose => {
            let target = candidates.get(switcher.selected).map(|candidate| candidate.target);
            return target.map_or_else(Vec::new, |target| choose(model, target));
        }
        other => return keys::anywhere(model, other, armed),
    }
    Vec::new()
}

fn choose(model: &mut Model, target: Target) -> Vec<Effect> {
    model.overlays.clear();
    let go = |command| vec![Effect::Command { tag: CommandTag::Go { say: None }, command }];
    match target {
        Target::Room(room) => rooms::enter(model, room),
        Target::Person(account) => go(Command::Direct(PersonRef::Account(account))),
        Target::Lobby(room) => go(Command::JoinRoom(room)),
    }
}

fn in_panel(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    let n_rows = explain::n_rows_hidden(model);
    let Some(Overlay::Panel { topic, scroll }) = model.overlays.last_mut() else {
        return Vec::new();
    };
    match (action, &*topic) {
        (Action::ListUp, _) => *scroll = scroll.saturating_sub(1),
        (Action::ListDown, _) => *scroll = (*scroll + 1).min(n_rows),
        (Action::PageUp, _) => *scroll = scroll.saturating_sub(8),
        (Action::PageDown, _) => *scroll = (*scroll + 8).min(n_rows),
        (Action::Why, Topic::Who) => {
            let agent = model.room().and_then(|room| room.facts.agent());
            match agent.map(|agent| agent.account) {
                Some(agent) => {
                    let topic = Topic::Assistant(agent);
                    model.overlays.push(Overlay::Panel { topic, scroll: 0 });
                }
                None => model.overlays.clear(),
            }
        }
        (Action::Choose | Action::Keys | Action::Why, _) => {
            model.overlays.pop();
        }
        (Action::Ticks, Topic::Why(key)) => *topic = Topic::Ticks(*key),
        (Action::Copy, _) => return copy(model),
        (Action::Confirm, Topic::Safety { account, handle, asks: true, .. }) => {
            let person = PersonRef::Account(*account);
            let done = format!("You compared the safety number with {handle}.");
            model.overlays.clear();
            return vec![
                plain(Command::Trust { person, is_verified: true }, &done),
                Effect::Command { tag: CommandTag::People, command: Command::People },
            ];
        }
        (other, _) => return keys::anywhere(model, other, armed),
    }
    Vec::new()
}

/// Copies what a panel is about, if that can be copied.
fn copy(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Panel { topic, .. }) = model.overlays.last() else { return Vec::new() };
    let (text, what) = match topic {
        Topic::Invite { link } => (link.as_str().to_owned(), "the link"),
        Topic::Safety { digits, .. } => (digits.clone(), "the safety number"),
        Topic::Lock => match model.room() {
            Some(room) => (room.facts.code_groups(4), "the room code"),
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    super::copy(model, what, text)
}

fn in_question(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    match action {
        // The letter y copies elsewhere; here it says yes.
        Action::Copy | Action::Confirm => {
            let Some(Overlay::Confirmation(question)) = model.overlays.pop() else {
                return Vec::new();
            };
            vec![plain(question.command, &question.done)]
        }
        Action::ListUp | Action::ListDown | Action::Choose => Vec::new(),
        other => keys::anywhere(model, other, armed),
    }
}

fn in_outbox(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    let queued = explain::outbox(model);
    let Some(Overlay::Outbox { selected }) = model.overlays.last_mut() else { return Vec::new() };
    *selected = (*selected).min(queued.len().saturating_sub(1));
    let chosen = queued.get(*selected).map(|line| (line.room, line.key));
    match (action, chosen) {
        (Action::ListUp, _) => *selected = selected.saturating_sub(1),
        (Action::ListDown, _) => *selected += 1,
        (Action::EditQueued | Action::Choose, Some((room, key))) => {
            return take_back(model, room, key, AfterWithdraw::Edit);
        }
        (Action::Withdraw, Some((room, key))) => {
            return take_back(model, room, key, AfterWithdraw::Drop);
        }
        (Action::Retry, Some((room, key))) => return retry(model, room, key),
        (Action::EditQueued | Action::Choose | Action::Withdraw | Action::Retry, None) => {}
        (other, _) => return keys::anywhere(model, other, armed),
    }
    Vec::new()
}

/// Takes a queued text back: from the engine if it has it, from the screen alone otherwise.
fn take_back(model: &mut Model, id: RoomId, key: u64, then: AfterWithdraw) -> Vec<Effect> {
    let pending = model
        .rooms
        .get_mut(&id)
        .and_then(|room| room.timeline.pending_mut(|pending| pending.key == key));
    let Some(pending) = pending else { return Vec::new() };
    let tag = CommandTag::Withdraw { room: id, key, then };
    match pending.local_id {
        Some(local_id) => vec![Effect::Command { tag, command: Command::Withdraw { local_id } }],
        None => super::answers::handle(model, tag, Ok(mathia_protocol::client::Done::Done)),
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
            notice(model, "This is sent by itself when the connection is back.");
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
        notice(model, "Nothing was refused. What is queued is sent by itself.");
    }
    refused.into_iter().flat_map(|(room, key)| retry(model, room, key)).collect()
}
