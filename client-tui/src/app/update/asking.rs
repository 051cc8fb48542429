//! Asking the room's assistant: the envelope is opened, agreed to and sent; answers are stopped and
//! asked for again. The draft stays in the composer until the question is safe in the outbox.

use mathia_protocol::client::{self, Command};
use mathia_protocol::crypto::commit::RoomKind;
use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::limits::{ASK_ATTACHED_MAX, MESSAGE_TEXT_LEN_MAX};
use mathia_protocol::name::Handle;

use super::key_outcome::KeyOutcome;
use super::{editing, notices};
use crate::app::action::Action;
use crate::app::composer::Composer;
use crate::app::effect::{CommandTag, Effect};
use crate::app::model::entry::ItemKey;
use crate::app::model::envelope::Envelope;
use crate::app::model::overlay::{Overlay, PanelTopic};
use crate::app::model::question::Progress;
use crate::app::model::timeline::Scroll;
use crate::app::model::{Model, Writing};

/// The question in a text that begins with the assistant's name; `None` if it is for people.
pub(super) fn question_in<'t>(model: &Model, text: &'t str) -> Option<&'t str> {
    let agent = model.room()?.facts.agent();
    let name = agent.map_or(Handle::ASSISTANT, |agent| agent.handle.as_str());
    let behind = text.strip_prefix('@')?.strip_prefix(name)?;
    // `@mathia: why` and `@mathia, why` are how people write to each other.
    let question = behind.strip_prefix([':', ',']).unwrap_or(behind);
    let is_name = question.is_empty() || question.starts_with(char::is_whitespace);
    is_name.then(|| question.trim())
}

/// Opens the envelope of a question. What cannot be asked stays in the composer, with the reason.
pub(super) fn open(model: &mut Model, question: &str) -> Vec<Effect> {
    if let Some(why_not) = why_not(model, question) {
        notices::show_error(model, &why_not);
        return Vec::new();
    }
    let draft = model.composer.text().to_owned();
    let quoted = model.writing.quoted;
    let n_context = u32::try_from(ASK_ATTACHED_MAX).unwrap_or(u32::MAX);
    begin(model, question, &draft, |envelope| {
        let (room, text) = (envelope.room, envelope.text.clone());
        Command::Envelope { room, text, quoted, n_context }
    })
}

/// Shows an empty envelope and has the engine gather what belongs into it.
fn begin(
    model: &mut Model,
    question: &str,
    draft: &str,
    fill: impl FnOnce(&mut Envelope) -> Command,
) -> Vec<Effect> {
    let Some(room) = model.current_room else { return Vec::new() };
    let number = model.next_key;
    model.next_key += 1;
    model.notice = None;
    let mut envelope = Envelope::new(number, room, question, draft);
    let command = fill(&mut envelope);
    model.overlays = vec![Overlay::Envelope(Box::new(envelope))];
    let mut effects = editing::stop_typing(model);
    effects.push(Effect::Command { tag: CommandTag::Envelope { number }, command });
    effects
}

/// Why a question cannot be asked here.
fn why_not(model: &Model, question: &str) -> Option<String> {
    let Some(room) = model.room() else {
        let text = "You are in no room yet: /create NAME makes one, /join lists open ones.";
        return Some(text.to_owned());
    };
    if let Some(cause) = &room.facts.sending_stopped {
        return Some(format!("Not asked: {cause}"));
    }
    let Some(agent) = room.facts.agent() else {
        return Some(match room.facts.kind {
            RoomKind::Direct => {
                "This room is for two people. /create NAME makes one the assistant can join."
            }
            _ => "No assistant is in this room: /add mathia lets it in; it sees what is shown to it.",
        }.to_owned());
    };
    if question.is_empty() {
        return Some(format!("Ask what? @{} QUESTION", agent.handle));
    }
    let excess = question.len().saturating_sub(MESSAGE_TEXT_LEN_MAX);
    (excess > 0).then(|| format!("Too long by {excess} bytes; nothing was asked."))
}

/// Asks about the selected message: the question is still to be written.
pub(super) fn about_selected(model: &mut Model) -> Vec<Effect> {
    let Some(ItemKey::Placed(seq, 0)) = model.selected else {
        notices::show(model, "Only messages can be asked about.");
        return Vec::new();
    };
    let entry = model.room().and_then(|room| room.timeline.entry(seq));
    let text = entry.and_then(|entry| entry.content.said()?.text());
    let can_be_shown = text.is_some_and(|text| !text.is_empty());
    let agent = model.room().and_then(|room| room.facts.agent());
    let Some(name) = agent.map(|agent| agent.handle.as_str().to_owned()) else {
        notices::show_error(model, &why_not(model, "").unwrap_or_default());
        return Vec::new();
    };
    if !can_be_shown {
        notices::show(model, "There is no text here to ask about.");
        return Vec::new();
    }
    model.selected = None;
    model.writing.quoted = Some(seq);
    if question_in(model, model.composer.text()).is_some() {
        return Vec::new();
    }
    // What was being written becomes the question.
    let text = format!("@{name} {}", model.composer.text());
    model.composer = Composer::with_text(&text);
    editing::changed(model)
}

/// Asks the newest own question of this room again, with what was shown before.
pub(super) fn again(model: &mut Model) -> Vec<Effect> {
    let room = model.room();
    let newest = room.and_then(|room| room.timeline.own_ask());
    let Some((seq, asked)) = newest.map(|(seq, asked)| (seq, asked.clone())) else {
        notices::show_error(model, "You have asked nothing here yet: @mathia QUESTION asks.");
        return Vec::new();
    };
    let progress = model.room().map(|room| model.progress(room, seq, &asked));
    if matches!(progress, Some(Progress::Coming | Progress::Waiting | Progress::Away)) {
        notices::show(model, "The answer to your question is still awaited; /stop takes it back.");
        return Vec::new();
    }
    let question = asked.text.as_str();
    if let Some(why_not) = why_not(model, question) {
        notices::show_error(model, &why_not);
        return Vec::new();
    }
    let shown = asked.attached.clone();
    begin(model, question, "", |envelope| {
        envelope.enclose_before(seq, shown);
        let (room, text) = (envelope.room, envelope.text.clone());
        Command::Envelope { room, text, quoted: None, n_context: 0 }
    })
}

/// Stops the answer to the newest own question of this room, or takes the question back.
pub(super) fn stop(model: &mut Model) -> Vec<Effect> {
    let newest = model.room().and_then(|room| {
        let (seq, asked) = room.timeline.own_ask()?;
        let progress = model.progress(room, seq, asked);
        let is_open = matches!(progress, Progress::Coming | Progress::Waiting | Progress::Away);
        is_open.then_some((room.facts.room, seq))
    });
    let Some((room, ask)) = newest else {
        notices::show(model, "Nothing of yours is being answered here.");
        return Vec::new();
    };
    if let Some(room) = model.room_mut() {
        room.timeline.set_stopped(ask, true);
    }
    let command = Command::StopAnswer { room, ask };
    vec![Effect::Command { tag: CommandTag::Stop { room, ask }, command }]
}

/// An answer could not be stopped.
pub(super) fn not_stopped(model: &mut Model, id: RoomId, ask: Seq, cause: &str) {
    if let Some(room) = model.rooms.get_mut(&id) {
        room.timeline.set_stopped(ask, false);
    }
    notices::show_error(model, &format!("It was not stopped: {cause}"));
}

/// Does what a key does in the envelope.
pub(super) fn act(model: &mut Model, action: Action) -> KeyOutcome {
    let Some(Overlay::Envelope(envelope)) = model.overlays.last_mut() else {
        return KeyOutcome::Ignored;
    };
    match action {
        Action::ListUp => envelope.selected = envelope.selected.saturating_sub(1),
        Action::ListDown => {
            envelope.selected = (envelope.selected + 1).min(envelope.n_rows() - 1);
        }
        Action::Toggle => envelope.toggle(),
        Action::More => envelope.resize(true),
        Action::Less => envelope.resize(false),
        Action::Choose => return KeyOutcome::Handled(send(envelope)),
        // The letter e edits elsewhere; here it opens what would leave.
        Action::EditQueued if envelope.destination.is_some() => {
            model.overlays.push(Overlay::Panel { topic: PanelTopic::Exact, scroll: 0 });
        }
        Action::EditQueued => {}
        _ => return KeyOutcome::Ignored,
    }
    KeyOutcome::done()
}

/// Hands the question over, exactly as it is shown.
fn send(envelope: &mut Envelope) -> Vec<Effect> {
    let Some(new) = envelope.sealed().filter(|_| !envelope.is_sending) else { return Vec::new() };
    envelope.is_sending = true;
    let tag = CommandTag::Question { number: envelope.number };
    vec![Effect::Command { tag, command: Command::Ask(new) }]
}

/// The engine has gathered what would leave.
pub(super) fn gathered(model: &mut Model, number: u64, view: &client::Envelope) {
    if let Some(envelope) = envelope(model, number) {
        envelope.gathered(view);
    }
}

/// The question is safe in the outbox: only now does the draft go.
pub(super) fn asked(model: &mut Model, number: u64) -> Vec<Effect> {
    let Some((room, draft)) = closed(model, number) else { return Vec::new() };
    let is_here = model.current_room == Some(room);
    let Some(there) = model.rooms.get_mut(&room) else { return Vec::new() };
    there.timeline.scroll = Scroll::Live;
    there.timeline.n_below = 0;
    there.remember_written(draft.trim_end());
    if !is_here {
        // One went elsewhere meanwhile: the draft waits there.
        if there.draft == draft {
            there.draft.clear();
        }
        return vec![Effect::SaveDraft { room, text: there.draft.clone() }];
    }
    if !draft.is_empty() && model.composer.text() == draft {
        model.composer.take();
        model.writing = Writing::default();
    }
    model.writing.quoted = None;
    vec![Effect::SaveDraft { room, text: model.composer.text().to_owned() }]
}

/// The question cannot be asked: the draft stays, and the reason is shown.
pub(super) fn refused(model: &mut Model, number: u64, cause: &str) {
    if closed(model, number).is_some() {
        notices::show_error(model, &format!("Not asked: {cause}"));
    }
}

/// The envelope with a number, if it is still open.
fn envelope(model: &mut Model, number: u64) -> Option<&mut Envelope> {
    model.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::Envelope(envelope) if envelope.number == number => Some(&mut **envelope),
        _ => None,
    })
}

/// Closes an envelope and the overlays on it; returns its room and the draft it was made of.
fn closed(model: &mut Model, number: u64) -> Option<(RoomId, String)> {
    let open = envelope(model, number)?;
    let (room, draft) = (open.room, open.draft.clone());
    model.overlays.clear();
    Some((room, draft))
}
