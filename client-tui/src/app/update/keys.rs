//! What a key does: the part of the screen that has the keys is asked first; an action it ignores is
//! done the same way everywhere.

use std::time::Duration;

use crossterm::event::KeyEvent;
use mathia_protocol::client::Command;

use super::key_outcome::KeyOutcome;
use super::{asking, editing, notices, overlays, reacting, rooms, scrolling, select, submit};
use crate::app::action::Action;
use crate::app::chord::Chord;
use crate::app::composer::Edit;
use crate::app::effect::Effect;
use crate::app::keymap::KeyContext;
use crate::app::model::overlay::{Overlay, Switcher, SwitcherList, Topic};
use crate::app::model::{Armed, Model};

/// How long a key stays armed to do more when pressed again.
const ARMED_TIME: Duration = Duration::from_secs(2);

/// Does what a key does here.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let chord = Chord::of(key);
    let context = model.key_context();
    let armed = model.armed.take();
    if armed_select(model, armed, chord) {
        return select::begin(model);
    }
    // A letter is text where something is written already, whatever it is bound to.
    let is_text = chord.typed().is_some() && model.is_written();
    let Some(action) = model.keymap.action(context, chord).filter(|_| !is_text) else {
        return match chord.typed() {
            Some(c) if context == KeyContext::Compose => editing::type_char(model, c),
            Some(c) if context == KeyContext::List => overlays::filter(model, c),
            _ => Vec::new(),
        };
    };
    let outcome = match context {
        KeyContext::List | KeyContext::Panel => overlays::act(model, action),
        KeyContext::Select => selecting(model, action),
        // Readline's kill where there is something to kill, whatever the key is bound to.
        KeyContext::Compose if chord == Chord::KILL && !model.composer.after_caret().is_empty() => {
            KeyOutcome::Handled(editing::edit(model, Edit::KillToEnd))
        }
        KeyContext::Compose => composing(model, action),
    };
    match outcome {
        KeyOutcome::Handled(effects) => effects,
        KeyOutcome::Ignored => anywhere(model, action, armed),
    }
}

/// `Esc`, then `k`, selects as Alt-K does, where a `k` would begin a text.
fn armed_select(model: &Model, armed: Option<Armed>, chord: Chord) -> bool {
    let is_armed = matches!(armed, Some(Armed::Select(until)) if model.now.run < until);
    is_armed
        && chord.typed() == Some('k')
        && model.key_context() == KeyContext::Compose
        && model.composer.is_empty()
}

fn composing(model: &mut Model, action: Action) -> KeyOutcome {
    let has_text = !model.composer.is_empty();
    let effects = match action {
        Action::Send => submit::submit(model),
        Action::Edit(edit) => editing::edit(model, edit),
        Action::Up => editing::up(model),
        Action::Down => editing::down(model),
        Action::Complete => editing::complete(model),
        Action::Select => select::begin(model),
        Action::Home if has_text => editing::edit(model, Edit::LineStart),
        Action::End if has_text => editing::edit(model, Edit::LineEnd),
        Action::Home => scrolling::first_unread(model),
        Action::End => scrolling::newest(model),
        Action::QuitOrDelete if has_text => editing::edit(model, Edit::Delete),
        Action::Back if model.running_ask().is_some() => asking::stop(model),
        Action::Back => {
            let run = model.now.run;
            model.writing.quoted = None;
            model.notice = None;
            model.writing.completion = None;
            if !has_text {
                model.armed = Some(Armed::Select(run + ARMED_TIME));
            }
            Vec::new()
        }
        _ => return KeyOutcome::Ignored,
    };
    KeyOutcome::Handled(effects)
}

fn selecting(model: &mut Model, action: Action) -> KeyOutcome {
    let effects = match action {
        Action::ListUp => select::step(model, false),
        Action::ListDown => select::step(model, true),
        Action::FirstUnread => select::to_end(model, false),
        Action::Newest => select::to_end(model, true),
        Action::Copy => select::copy(model),
        Action::Why => select::explain(model, Topic::Why),
        Action::Ticks => select::explain(model, Topic::Ticks),
        Action::Ask => asking::about_selected(model),
        Action::React => reacting::pick(model),
        Action::ReactAgain => reacting::again(model),
        Action::Back => {
            model.selected = None;
            Vec::new()
        }
        _ => return KeyOutcome::Ignored,
    };
    KeyOutcome::Handled(effects)
}

/// What a key does wherever it is pressed.
fn anywhere(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    match action {
        Action::Switcher => {
            let switcher =
                Switcher { filter: <_>::default(), selected: 0, among: SwitcherList::Places };
            model.overlays = vec![Overlay::Switcher(switcher)];
            Vec::new()
        }
        Action::Keys => keys(model),
        Action::RoomPrevious => rooms::neighbor(model, false),
        Action::RoomNext => rooms::neighbor(model, true),
        Action::RoomUnread => rooms::next_unread(model),
        Action::PageUp => scrolling::by_page(model, false),
        Action::PageDown => scrolling::by_page(model, true),
        Action::FirstUnread => scrolling::first_unread(model),
        Action::Newest => scrolling::newest(model),
        Action::Cancel => cancel(model, armed),
        Action::QuitOrDelete => editing::quit(model),
        Action::ConnectNow if model.connection.is_online() => {
            notices::show(model, "You are connected.");
            Vec::new()
        }
        Action::ConnectNow => vec![Effect::silent(Command::ConnectNow)],
        Action::Redraw => vec![Effect::Redraw],
        Action::Suspend => {
            let mut effects = editing::pause(model);
            effects.push(Effect::Suspend);
            effects
        }
        _ => Vec::new(),
    }
}

/// Ctrl-C takes back one thing at a time: the answer that comes, the overlay, the selection, the
/// draft, the program.
fn cancel(model: &mut Model, armed: Option<Armed>) -> Vec<Effect> {
    if model.running_ask().is_some() {
        return asking::stop(model);
    }
    let until = model.now.run + ARMED_TIME;
    if !model.overlays.is_empty() {
        model.overlays.clear();
    } else if model.selected.is_some() {
        model.selected = None;
    } else if !model.composer.is_empty() {
        let effects = editing::put_away(model);
        let (up, cancel) = (model.key(Action::Up), model.key(Action::Cancel));
        notices::show(model, &format!("Put away. {up} brings it back, {cancel} again quits."));
        model.armed = Some(Armed::Quit(until));
        return effects;
    } else if matches!(armed, Some(Armed::Quit(until)) if model.now.run < until) {
        return editing::quit(model);
    } else {
        let cancel = model.key(Action::Cancel);
        notices::show(model, &format!("{cancel} again to quit."));
        model.armed = Some(Armed::Quit(until));
    }
    Vec::new()
}

fn keys(model: &mut Model) -> Vec<Effect> {
    model.overlays = vec![Overlay::Panel { topic: Topic::Keys, scroll: 0 }];
    Vec::new()
}
