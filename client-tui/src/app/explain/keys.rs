//! The keys of this place, the commands and the signs.

use super::{BACK, Panel, PanelRow};
use crate::app::action::Action;
use crate::app::chord::Chord;
use crate::app::composer::Edit;
use crate::app::keymap::KeyContext;
use crate::app::model::Model;
use crate::app::slash;

const WRITING: &[Action] = &[
    Action::Send,
    Action::Edit(Edit::Newline),
    Action::Complete,
    Action::Up,
    Action::Edit(Edit::Undo),
    Action::Cancel,
];
const GOING: &[Action] = &[
    Action::Switcher,
    Action::RoomUnread,
    Action::RoomPrevious,
    Action::RoomNext,
    Action::PageUp,
    Action::PageDown,
    Action::Home,
    Action::End,
    Action::Select,
    Action::Back,
];
const SELECTED: &[Action] =
    &[Action::Why, Action::Ticks, Action::Copy, Action::React, Action::ReactAgain, Action::Ask];
const REST: &[Action] =
    &[Action::ConnectNow, Action::Redraw, Action::Suspend, Action::QuitOrDelete];
const EDITS: &[Edit] = &[
    Edit::LineStart,
    Edit::LineEnd,
    Edit::WordLeft,
    Edit::WordRight,
    Edit::KillWordBack,
    Edit::KillWord,
    Edit::KillToStart,
    Edit::Yank,
];

const SIGNS: &[(&str, &str)] = &[
    ("·", "in your outbox, sent by itself"),
    ("✓", "safe at the server"),
    ("✓✓", "received by everybody"),
    ("✓✓ read", "read by everybody; in color the word is a blue tick"),
    ("● ◐ ○", "here, away, not here"),
    ("▣ □", "sealed end to end, open to the server"),
    ("◆", "the assistant, and messages shared with it"),
    ("@2", "messages that name you"),
    ("✎", "a draft waits there"),
];

/// The panel of keys.
pub(super) fn panel(model: &Model) -> Panel {
    let mut rows = Vec::new();
    section(&mut rows, model, "Write", KeyContext::Compose, WRITING);
    section(&mut rows, model, "Go", KeyContext::Compose, GOING);
    if model.keymap.action(KeyContext::Compose, Chord::KILL).is_some() {
        let kills = format!("{} before some text kills that text, as in a shell.", Chord::KILL);
        rows.push(PanelRow::Quiet(kills));
    }
    section(&mut rows, model, "With a message selected", KeyContext::Select, SELECTED);
    section(&mut rows, model, "Rest", KeyContext::Compose, REST);
    let edits: Vec<Action> = EDITS.iter().map(|edit| Action::Edit(*edit)).collect();
    section(&mut rows, model, "Edit", KeyContext::Compose, &edits);
    head(&mut rows, "Commands");
    for entry in slash::ENTRIES {
        let left = format!("/{} {}", entry.word, entry.takes);
        rows.push(PanelRow::Pair(left.trim_end().to_owned(), entry.does.to_owned()));
    }
    head(&mut rows, "Signs");
    let signs = SIGNS.iter().map(|(sign, means)| PanelRow::Pair((*sign).into(), (*means).into()));
    rows.extend(signs);
    Panel { title: "keys".to_owned(), rows, actions: vec![BACK] }
}

fn section(
    rows: &mut Vec<PanelRow>,
    model: &Model,
    title: &str,
    context: KeyContext,
    actions: &[Action],
) {
    head(rows, title);
    for action in actions {
        let keys = model.keymap.keys_of(context, *action);
        let shown: Vec<String> = keys.iter().take(2).map(ToString::to_string).collect();
        if !shown.is_empty() {
            let shown = shown.join(" ");
            rows.push(PanelRow::Pair(shown, action.sentence().to_owned()));
        }
    }
}

fn head(rows: &mut Vec<PanelRow>, title: &str) {
    if !rows.is_empty() {
        rows.push(PanelRow::Space);
    }
    rows.push(PanelRow::Head(title.to_owned()));
}
