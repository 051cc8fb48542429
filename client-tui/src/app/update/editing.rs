//! Editing in the composer: letters, edits, pastes, recalled texts, and the draft, which is never
//! lost.

use std::time::Duration;

use mathia_protocol::client::Command;

use super::{completion, notices};
use crate::app::composer::{COMPOSER_LEN_MAX, Composer, Edit};
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::model::areas::Areas;
use crate::safe_text::SafeText;

/// After this pause in typing, the draft is saved.
pub(super) const DRAFT_PAUSE: Duration = Duration::from_secs(1);
/// After this pause in typing, the others are notified that it stopped.
pub(super) const TYPING_PAUSE: Duration = Duration::from_secs(2);
/// At most this often the others are notified of typing.
const TYPING_INTERVAL: Duration = Duration::from_secs(2);

/// Writes a character.
pub(super) fn type_char(model: &mut Model, c: char) -> Vec<Effect> {
    if model.composer.text().len() + c.len_utf8() > COMPOSER_LEN_MAX {
        notices::show_error(model, "This text is as long as the editor takes.");
        return Vec::new();
    }
    model.composer.type_char(c);
    changed(model)
}

/// Does an edit.
pub(super) fn edit(model: &mut Model, edit: Edit) -> Vec<Effect> {
    model.writing.completion = None;
    if model.composer.edit(edit) { changed(model) } else { Vec::new() }
}

/// Inserts pasted text, whole or not at all. Terminals send its line breaks as returns.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    let text = SafeText::clean(&text.replace("\r\n", "\n").replace('\r', "\n"));
    model.selected = None;
    if let Some(crate::app::model::overlay::Overlay::Switcher(switcher)) = model.overlays.last_mut()
    {
        switcher.filter.insert(SafeText::line(text.as_str()).as_str());
        switcher.selected = 0;
        return Vec::new();
    }
    model.overlays.clear();
    let n_left_out = model.composer.insert(text.as_str());
    if n_left_out > 0 {
        let kib = n_left_out.div_ceil(1024);
        notices::show_error(
            model,
            &format!("{kib} KiB are too much for one message; nothing was pasted."),
        );
        return Vec::new();
    }
    changed(model)
}

/// Moves up a row, or brings back what was written before.
pub(super) fn up(model: &mut Model) -> Vec<Effect> {
    let width = Areas::of(model).composer_width();
    let may_recall = model.composer.is_empty() || model.writing.recalled.is_some();
    if !model.composer.move_up(width) && may_recall {
        let next = model.writing.recalled.map_or(0, |recalled| recalled + 1);
        return recall(model, Some(next));
    }
    Vec::new()
}

/// Moves down a row, or towards what is being written now.
pub(super) fn down(model: &mut Model) -> Vec<Effect> {
    let width = Areas::of(model).composer_width();
    match model.writing.recalled {
        Some(recalled) if !model.composer.move_down(width) => {
            recall(model, recalled.checked_sub(1))
        }
        None => {
            model.composer.move_down(width);
            Vec::new()
        }
        Some(_) => Vec::new(),
    }
}

fn recall(model: &mut Model, recalled: Option<usize>) -> Vec<Effect> {
    let text = match recalled {
        None => String::new(),
        Some(back) => {
            let written = model.room().map(|room| &room.written);
            let found = written.and_then(|written| written.iter().rev().nth(back));
            let Some(text) = found else { return Vec::new() };
            text.clone()
        }
    };
    model.composer.replace(&text);
    let effects = changed(model);
    model.writing.recalled = recalled;
    effects
}

/// Completes the word at the caret, or takes the next candidate.
pub(super) fn complete(model: &mut Model) -> Vec<Effect> {
    let completion = match model.writing.completion.take() {
        Some(mut completion) => {
            completion.index = (completion.index + 1) % completion.candidates.len();
            completion
        }
        None => match completion::at_caret(model) {
            Some(completion) => completion,
            None => return Vec::new(),
        },
    };
    let chosen = completion.candidates[completion.index].clone();
    model.composer.replace_before_caret(completion.from, &chosen);
    let effects = changed(model);
    // A single candidate is complete: the next Tab starts over.
    model.writing.completion = Some(completion).filter(|c| c.candidates.len() > 1);
    effects
}

/// Puts the draft away; it can be brought back with Up, or undone.
pub(super) fn put_away(model: &mut Model) -> Vec<Effect> {
    let text = model.composer.take();
    if let Some(room) = model.room_mut() {
        room.remember_written(&text);
    }
    let mut effects = changed(model);
    effects.extend(pause(model));
    effects
}

/// Notes that the text changed: it is to be saved, and the others may be notified.
pub(super) fn changed(model: &mut Model) -> Vec<Effect> {
    let run = model.now.run;
    model.writing.completion = None;
    model.writing.recalled = None;
    model.writing.unsaved_since = Some(run);
    let is_said = !model.composer.is_empty() && !model.composer.text().starts_with('/');
    let Some(room) = model.current_room.filter(|_| is_said && model.connection.is_online()) else {
        return stop_typing(model);
    };
    match model.writing.typing {
        Some((notified, _)) if run < notified + TYPING_INTERVAL => {
            model.writing.typing = Some((notified, run));
            Vec::new()
        }
        _ => {
            model.writing.typing = Some((run, run));
            vec![Effect::silent(Command::Typing(room))]
        }
    }
}

/// Notifies the others that typing stopped, if they were notified that it started.
pub(super) fn stop_typing(model: &mut Model) -> Vec<Effect> {
    match (model.writing.typing.take(), model.current_room) {
        (Some(_), Some(room)) => vec![Effect::silent(Command::TypingStopped(room))],
        _ => Vec::new(),
    }
}

/// Saves the draft and stops typing if the pause is long enough.
pub(super) fn settle(model: &mut Model) -> Vec<Effect> {
    let run = model.now.run;
    let mut effects = Vec::new();
    if model.writing.unsaved_since.is_some_and(|since| run >= since + DRAFT_PAUSE) {
        effects.extend(save(model));
    }
    if model.writing.typing.is_some_and(|(_, last_key)| run >= last_key + TYPING_PAUSE) {
        effects.extend(stop_typing(model));
    }
    effects
}

/// Saves the draft and stops typing now: one turns to something else.
pub(super) fn pause(model: &mut Model) -> Vec<Effect> {
    let mut effects = stop_typing(model);
    effects.extend(save(model));
    effects
}

fn save(model: &mut Model) -> Option<Effect> {
    model.writing.unsaved_since.take()?;
    let room = model.current_room?;
    Some(Effect::SaveDraft { room, text: model.composer.text().to_owned() })
}

/// Puts a text into the composer for editing, in front of nothing that would be lost.
pub(super) fn take_up(model: &mut Model, text: &str) -> Vec<Effect> {
    let draft = model.composer.text().to_owned();
    if let Some(room) = model.room_mut() {
        room.remember_written(&draft);
    }
    model.composer = Composer::with_text(text);
    changed(model)
}

/// Ends the program in good order: what is being written is kept.
pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    let mut effects = pause(model);
    effects.push(Effect::Quit);
    effects
}
