//! Putting an emoji on a message: the picker, the last one again, and what becomes of it.

use mathia_protocol::client::{Command, NewReaction, OutboxState, OutboxView};
use mathia_protocol::crypto::content::{Emoji, Reaction};
use mathia_protocol::id::Seq;

use super::notices;
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::emoji_picker::RECENT_MAX;
use crate::app::keymap::KeyContext;
use crate::app::model::Model;
use crate::app::model::overlay::{Overlay, Switcher, SwitcherList};

/// Opens the picker for the selected message.
pub(super) fn pick(model: &mut Model) -> Vec<Effect> {
    if let Some(target) = selected(model) {
        open(model, target);
    }
    Vec::new()
}

fn open(model: &mut Model, target: Seq) {
    let among = SwitcherList::Emoji { target };
    let picker = Switcher { filter: <_>::default(), selected: 0, among };
    model.overlays = vec![Overlay::Switcher(picker)];
}

/// Puts the emoji used last on the selected message.
pub(super) fn again(model: &mut Model) -> Vec<Effect> {
    let Some(target) = selected(model) else { return Vec::new() };
    let Some(emoji) = model.recent_emoji().next().cloned() else {
        let key = model.keymap.key_of(KeyContext::Select, Action::React);
        let key = key.map(|key| format!(": {key} chooses one")).unwrap_or_default();
        notices::show(model, &format!("You have used no emoji yet{key}."));
        return Vec::new();
    };
    if is_there(model, target, &emoji) {
        notices::show(model, &format!("Your {emoji} is there already."));
        return Vec::new();
    }
    react(model, target, emoji, false)
}

/// `/react`: on the newest message, with the emoji given or one that is chosen.
pub(super) fn newest(model: &mut Model, emoji: Option<Emoji>) -> Vec<Effect> {
    let newest = model.room().and_then(|room| room.timeline.newest_to_react_to());
    let Some(target) = newest else {
        notices::show(model, "There is no message here to react to.");
        return Vec::new();
    };
    if let Some(emoji) = emoji {
        return toggle(model, target, emoji);
    }
    open(model, target);
    Vec::new()
}

/// Puts an emoji on a message, or takes the own one back.
pub(super) fn toggle(model: &mut Model, target: Seq, emoji: Emoji) -> Vec<Effect> {
    let is_removed = is_there(model, target, &emoji);
    react(model, target, emoji, is_removed)
}

fn react(model: &mut Model, target: Seq, emoji: Emoji, is_removed: bool) -> Vec<Effect> {
    let Some(room) = model.current_room else { return Vec::new() };
    if !is_removed {
        model.used_emoji.retain(|recent| *recent != emoji);
        model.used_emoji.push_front(emoji.clone());
        model.used_emoji.truncate(RECENT_MAX);
    }
    let new = NewReaction { room, target, emoji, is_removed };
    vec![Effect::silent(Command::React(new))]
}

fn is_there(model: &Model, target: Seq, emoji: &Emoji) -> bool {
    let me = model.my_account();
    model.room().is_some_and(|room| {
        let entry = room.timeline.entry(target);
        entry.is_some_and(|entry| room.timeline.has_reacted(entry, me, emoji))
    })
}

fn selected(model: &mut Model) -> Option<Seq> {
    let entry = model.selected.and_then(|key| model.room()?.timeline.reactable(key));
    let target = entry.map(|entry| entry.seq);
    if target.is_none() {
        notices::show(model, "Only messages can be reacted to.");
    }
    target
}

/// An own reaction in the outbox changed: it is shown at its message, and dropped if it is refused.
pub(super) fn outbox(model: &mut Model, view: &OutboxView, reaction: &Reaction) -> Vec<Effect> {
    let me = model.my_account();
    let Some(room) = model.rooms.get_mut(&view.room) else { return Vec::new() };
    let timeline = &mut room.timeline;
    match &view.state {
        OutboxState::Queued | OutboxState::Sent => {
            timeline.reaction_queued(view.local_id, reaction.clone());
            Vec::new()
        }
        OutboxState::Accepted { .. } => {
            timeline.reaction_accepted(view.local_id, me);
            Vec::new()
        }
        OutboxState::Withdrawn => {
            timeline.reaction_dropped(view.local_id);
            Vec::new()
        }
        OutboxState::Failed { cause } => {
            timeline.reaction_dropped(view.local_id);
            let text = format!("Your {} was not sent: {cause}", reaction.emoji);
            notices::show_error(model, &text);
            vec![Effect::silent(Command::Withdraw { local_id: view.local_id })]
        }
    }
}
