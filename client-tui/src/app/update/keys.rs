//! What a key does in the place where it is pressed.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent};
use mathia_protocol::client::Command;

use super::{asking, editing, notice, overlays, plain, quit, rooms, scrolling, select, speak};
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
    let place = model.key_context();
    let armed = model.armed.take();
    if armed_select(model, armed, chord) {
        return select::begin(model);
    }
    // A letter is text where something is written already, whatever it is bound to.
    let is_text = chord.typed().is_some() && model.is_written();
    match model.keymap.action(place, chord).filter(|_| !is_text) {
        Some(action) if place == KeyContext::List || place == KeyContext::Panel => {
            overlays::act(model, action, armed)
        }
        Some(action) if place == KeyContext::Select => selecting(model, action, armed),
        // Readline's kill where there is something to kill, whatever the key is bound to.
        Some(_) if chord == Chord::KILL && !model.composer.after_caret().is_empty() => {
            editing::edit(model, Edit::KillToEnd)
        }
        Some(action) => composing(model, action, armed),
        None => match chord.typed() {
            Some(c) if place == KeyContext::Compose => editing::type_char(model, c),
            Some(c) if place == KeyContext::List => overlays::filter(model, c),
            _ => Vec::new(),
        },
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

fn composing(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    let has_text = !model.composer.is_empty();
    match action {
        Action::Send => speak::submit(model),
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
        other => anywhere(model, other, armed),
    }
}

fn selecting(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
    match action {
        Action::ListUp => select::step(model, false),
        Action::ListDown => select::step(model, true),
        Action::FirstUnread => select::to_end(model, false),
        Action::Newest => select::to_end(model, true),
        Action::Copy => select::copy(model),
        Action::Why => select::explain(model, Topic::Why),
        Action::Ticks => select::explain(model, Topic::Ticks),
        Action::Ask => asking::about_selected(model),
        Action::Back => {
            model.selected = None;
            Vec::new()
        }
        other => anywhere(model, other, armed),
    }
}

/// What a key does wherever it is pressed.
pub(super) fn anywhere(model: &mut Model, action: Action, armed: Option<Armed>) -> Vec<Effect> {
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
        Action::QuitOrDelete => quit(model),
        Action::ConnectNow if model.connection.is_online() => {
            notice(model, "You are connected.");
            Vec::new()
        }
        Action::ConnectNow => vec![plain(Command::ConnectNow, "")],
        Action::Redraw => vec![Effect::Redraw],
        Action::Suspend => {
            let mut effects = editing::pause(model);
            effects.push(Effect::Suspend);
            effects
        }
        _ => Vec::new(),
    }
}

/// Ctrl-C takes back one thing at a time: the answer that comes, what floats, the selection, the
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
        notice(model, &format!("Put away. {up} brings it back, {cancel} again quits."));
        model.armed = Some(Armed::Quit(until));
        return effects;
    } else if matches!(armed, Some(Armed::Quit(until)) if model.now.run < until) {
        return quit(model);
    } else {
        let cancel = model.key(Action::Cancel);
        notice(model, &format!("{cancel} again to quit."));
        model.armed = Some(Armed::Quit(until));
    }
    Vec::new()
}

fn keys(model: &mut Model) -> Vec<Effect> {
    model.overlays = vec![Overlay::Panel { topic: Topic::Keys, scroll: 0 }];
    Vec::new()
}

/// Says whether a key leaves the program at once wherever it is pressed.
pub(super) fn is_interrupt(key: KeyEvent) -> bool {
    use crossterm::event::KeyModifiers;
    key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd'))
}
