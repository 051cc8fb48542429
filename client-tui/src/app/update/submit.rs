//! Submits the composer: as a message, a question or a command.

use mathia_protocol::limits::MESSAGE_TEXT_LEN_MAX;

use super::{asking, commands, editing, notices, outbox};
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::verbs::{self, ComposerInput, SlashCommand};

/// Sends what was written. What cannot be sent stays in the composer, with the reason above it.
pub(super) fn submit(model: &mut Model) -> Vec<Effect> {
    let text = model.composer.text().trim_end().to_owned();
    if text.trim().is_empty() {
        return Vec::new();
    }
    match verbs::parse(&text) {
        Ok(ComposerInput::Command(SlashCommand::Ask(question))) => asking::open(model, &question),
        Ok(ComposerInput::Message(said)) => {
            match asking::question_in(model, &said).map(str::to_owned) {
                Some(question) => asking::open(model, &question),
                None => say(model, &said),
            }
        }
        Ok(ComposerInput::Command(command)) => {
            let mut effects = taken(model);
            effects.extend(commands::run(model, command, &text));
            effects
        }
        Err(error) => {
            notices::show_error(model, &error.to_string());
            Vec::new()
        }
    }
}

fn say(model: &mut Model, text: &str) -> Vec<Effect> {
    let Some(room) = model.room() else {
        notices::show_error(
            model,
            "You are in no room yet: /create NAME makes one, /join lists open ones.",
        );
        return Vec::new();
    };
    if let Some(cause) = room.facts.sending_stopped.clone() {
        notices::show_error(model, &format!("Not sent: {cause}"));
        return Vec::new();
    }
    if text.len() > MESSAGE_TEXT_LEN_MAX {
        let excess = text.len() - MESSAGE_TEXT_LEN_MAX;
        notices::show_error(model, &format!("Too long by {excess} bytes; nothing was sent."));
        return Vec::new();
    }
    let room = room.facts.room;
    let mut effects = taken(model);
    effects.push(outbox::queue(model, room, text));
    effects
}

/// Empties the composer; the draft on disk goes only when the text is safe elsewhere.
fn taken(model: &mut Model) -> Vec<Effect> {
    let text = model.composer.take();
    model.writing.recalled = None;
    model.writing.completion = None;
    model.writing.quoted = None;
    model.writing.unsaved_since = Some(model.now.run);
    model.notice = None;
    if let Some(room) = model.room_mut() {
        room.remember_written(&text);
    }
    editing::stop_typing(model)
}
