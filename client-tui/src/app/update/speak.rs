//! Sending what was written: said in this room, or done as a command.

use mathia_protocol::client::Command;
use mathia_protocol::id::RoomId;
use mathia_protocol::limits::MESSAGE_TEXT_LEN_MAX;

use super::{asking, commands, complain, editing};
use crate::app::effect::{CommandTag, Effect};
use crate::app::model::Model;
use crate::app::model::entry::{Pending, PendingState};
use crate::app::model::timeline::Scroll;
use crate::app::slash::{self, Slash, Written};
use crate::safe_text::SafeText;

/// Sends what was written. What cannot be sent stays in the composer, with the reason above it.
pub(super) fn submit(model: &mut Model) -> Vec<Effect> {
    let text = model.composer.text().trim_end().to_owned();
    if text.trim().is_empty() {
        return Vec::new();
    }
    match slash::parse(&text) {
        Ok(Written::Do(Slash::Ask(question))) => asking::open(model, &question),
        Ok(Written::Say(said)) => match asking::question_in(model, &said).map(str::to_owned) {
            Some(question) => asking::open(model, &question),
            None => say(model, &said),
        },
        Ok(Written::Do(command)) => {
            let mut effects = taken(model);
            effects.extend(commands::run(model, command, &text));
            effects
        }
        Err(error) => {
            complain(model, &error.to_string());
            Vec::new()
        }
    }
}

fn say(model: &mut Model, text: &str) -> Vec<Effect> {
    let Some(room) = model.room() else {
        complain(model, "You are in no room yet: /create NAME makes one, /join lists open ones.");
        return Vec::new();
    };
    if let Some(cause) = room.facts.sending_stopped.clone() {
        complain(model, &format!("Not sent: {cause}"));
        return Vec::new();
    }
    if text.len() > MESSAGE_TEXT_LEN_MAX {
        let excess = text.len() - MESSAGE_TEXT_LEN_MAX;
        complain(model, &format!("Too long by {excess} bytes; nothing was sent."));
        return Vec::new();
    }
    let room = room.facts.room;
    let mut effects = taken(model);
    effects.push(queue(model, room, text));
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
    let command = Command::Send { room: id, text: text.to_owned() };
    Effect::Command { tag: CommandTag::Send { room: id, key }, command }
}
