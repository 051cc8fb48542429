//! What keys do in an overlay: panels, lists, a confirmation. The outbox and the envelope have
//! files of their own.

use mathia_protocol::client::{Command, PersonRef};

use super::key_outcome::KeyOutcome;
use super::{asking, notices, outbox, reacting, rooms};
use crate::app::action::Action;
use crate::app::effect::{CommandTag, Effect};
use crate::app::explain;
use crate::app::model::Model;
use crate::app::model::overlay::{Overlay, SwitcherList, Topic};
use crate::app::switcher::{self, Target};

/// Does what a key does in the overlay on top.
pub(super) fn act(model: &mut Model, action: Action) -> KeyOutcome {
    if action == Action::Back {
        model.overlays.pop();
        return KeyOutcome::done();
    }
    match model.overlays.last() {
        Some(Overlay::Switcher(_)) => in_switcher(model, action),
        Some(Overlay::Outbox { .. }) => outbox::act(model, action),
        Some(Overlay::Confirmation(_)) => in_confirmation(model, action),
        Some(Overlay::Panel { .. }) => in_panel(model, action),
        Some(Overlay::Envelope(_)) => asking::act(model, action),
        None => KeyOutcome::Ignored,
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

fn in_switcher(model: &mut Model, action: Action) -> KeyOutcome {
    let candidates = switcher::candidates(model);
    let Some(Overlay::Switcher(switcher)) = model.overlays.last_mut() else {
        return KeyOutcome::Ignored;
    };
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
            let among = switcher.among.clone();
            let chosen = candidates.into_iter().nth(switcher.selected);
            let effects = chosen.map_or_else(Vec::new, |one| choose(model, one.target, &among));
            return KeyOutcome::Handled(effects);
        }
        _ => return KeyOutcome::Ignored,
    }
    KeyOutcome::done()
}

fn choose(model: &mut Model, chosen: Target, among: &SwitcherList) -> Vec<Effect> {
    model.overlays.clear();
    let go = |command| vec![Effect::Command { tag: CommandTag::Go { say: None }, command }];
    match chosen {
        Target::Emoji(emoji) => match among {
            SwitcherList::Emoji { target } => reacting::toggle(model, *target, emoji),
            SwitcherList::Places | SwitcherList::Lobby(_) => Vec::new(),
        },
        Target::Room(room) => rooms::enter(model, room),
        Target::Person(account) => go(Command::Direct(PersonRef::Account(account))),
        Target::Lobby(room) => go(Command::JoinRoom(room)),
    }
}

fn in_panel(model: &mut Model, action: Action) -> KeyOutcome {
    let n_rows = explain::n_rows_hidden(model);
    let Some(Overlay::Panel { topic, scroll }) = model.overlays.last_mut() else {
        return KeyOutcome::Ignored;
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
        (Action::Copy, _) => return KeyOutcome::Handled(copy(model)),
        (Action::Confirm, Topic::Safety { account, handle, asks: true, .. }) => {
            let person = PersonRef::Account(*account);
            let done = format!("You compared the safety number with {handle}.");
            model.overlays.clear();
            return KeyOutcome::Handled(vec![
                Effect::reporting(Command::Trust { person, is_verified: true }, &done),
                Effect::Command { tag: CommandTag::People, command: Command::People },
            ]);
        }
        _ => return KeyOutcome::Ignored,
    }
    KeyOutcome::done()
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
    notices::copy(model, what, text)
}

fn in_confirmation(model: &mut Model, action: Action) -> KeyOutcome {
    match action {
        // The letter y copies elsewhere; here it says yes.
        Action::Copy | Action::Confirm => {
            let Some(Overlay::Confirmation(agreed)) = model.overlays.pop() else {
                return KeyOutcome::done();
            };
            KeyOutcome::Handled(vec![Effect::reporting(agreed.command, &agreed.done)])
        }
        Action::ListUp | Action::ListDown | Action::Choose => KeyOutcome::done(),
        _ => KeyOutcome::Ignored,
    }
}
