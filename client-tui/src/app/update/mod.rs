//! Folds what happened into the model and says what the outside world must do next.
//!
//! Pure: no clock, no chance, no input or output. The same model and message always give the same
//! model and effects.

mod answers;
mod asking;
mod commands;
mod completion;
mod editing;
mod events;
mod keys;
mod overlays;
mod reading;
mod rooms;
mod scrolling;
mod select;
mod speak;
mod wizard;

use std::time::Duration;

use mathia_protocol::client::Command;

use super::effect::{CLIPBOARD_LEN_MAX, CommandTag, Effect};
use super::message::Msg;
use super::model::{Model, Notice};
use super::now::Now;
use crate::safe_text::SafeText;

pub(crate) use reading::HUSH;
pub use reading::next_deadline;

/// The bell rings at most this often, however much arrives.
const RING_EVERY: Duration = Duration::from_secs(2);
/// How long a sentence above the composer stays.
const NOTICE_TIME: Duration = Duration::from_secs(8);

/// What must be asked before the first message.
pub fn start(model: &mut Model) -> Vec<Effect> {
    let mut effects = vec![title(model)];
    warn(model);
    if model.wizard.is_none() {
        effects.extend(begin());
    }
    effects
}

/// Tells what is wrong with the configuration, where it is seen.
fn warn(model: &mut Model) {
    let warnings = std::mem::take(&mut model.warnings);
    let Some(first) = warnings.first() else { return };
    let more = match warnings.len() - 1 {
        0 => String::new(),
        n => format!(" ({n} more: mathia-tui config check)"),
    };
    complain(model, &format!("configuration: {first}{more}"));
}

/// What is asked of the engine when there is one.
fn begin() -> [Effect; 2] {
    [
        Effect::Command { tag: CommandTag::Rooms, command: Command::Rooms },
        Effect::Command { tag: CommandTag::People, command: Command::People },
    ]
}

/// Folds `msg` into `model`; returns what must be done, in order.
pub fn update(model: &mut Model, now: Now, msg: Msg) -> Vec<Effect> {
    model.now = now;
    let mut effects = Vec::new();
    if matches!(msg, Msg::Key(_) | Msg::Paste(_)) {
        effects.extend(reading::active(model));
    }
    effects.extend(fold(model, msg));
    effects.extend(reading::watch(model));
    let shown = model.title.clone();
    effects.extend(Some(title(model)).filter(|_| shown != model.title));
    effects
}

fn fold(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) if model.wizard.is_some() => wizard::key(model, key),
        Msg::Key(key) => keys::key(model, key),
        Msg::Paste(text) if model.wizard.is_some() => wizard::paste(model, &text),
        Msg::Paste(text) => editing::paste(model, &text),
        Msg::Resize(width, height) => {
            model.screen = (width, height);
            Vec::new()
        }
        Msg::Focus(is_focused) => reading::focus(model, is_focused),
        Msg::Background(tone) => {
            model.theme.tone = tone;
            Vec::new()
        }
        Msg::Tick => Vec::new(),
        Msg::Resumed => vec![Effect::Title(model.title.clone()), Effect::Redraw],
        Msg::Client(event) => events::handle(model, event),
        Msg::Answer { tag, result } => answers::handle(model, tag, result),
        Msg::Joined(answer) => wizard::joined(model, answer),
        Msg::Terminate => quit(model),
    }
}

/// Rings the bell, unless it rang just now.
fn ring(model: &mut Model) -> Option<Effect> {
    let run = model.now.run;
    if model.rang_at.is_some_and(|rang_at| run < rang_at + RING_EVERY) {
        return None;
    }
    model.rang_at = Some(run);
    Some(Effect::Bell)
}

/// Ends in good order: what is being written is kept.
fn quit(model: &mut Model) -> Vec<Effect> {
    let mut effects = editing::pause(model);
    effects.push(Effect::Quit);
    effects
}

/// The title that tells how much is unread.
fn title(model: &mut Model) -> Effect {
    let n_unread: u32 = model.rooms.values().map(|room| room.facts.n_unread).sum();
    let title = if n_unread > 0 { format!("({n_unread}) mathia") } else { "mathia".to_owned() };
    model.title.clone_from(&title);
    Effect::Title(title)
}

/// Hands a text to the terminal's clipboard and says so; too long a text stays, and that is said.
fn copy(model: &mut Model, what: &str, text: String) -> Vec<Effect> {
    if text.len() > CLIPBOARD_LEN_MAX {
        complain(model, "This is too long for the terminal's clipboard; nothing was copied.");
        return Vec::new();
    }
    // Terminals do not answer: some keep the clipboard to themselves.
    notice(model, &format!("Copied {what} through the terminal (OSC 52)."));
    vec![Effect::Copy(text)]
}

/// Shows a sentence above the composer for a while.
fn notice(model: &mut Model, text: &str) {
    say(model, text, false);
}

/// Shows what went wrong above the composer for a while.
fn complain(model: &mut Model, text: &str) {
    say(model, text, true);
}

fn say(model: &mut Model, text: &str, is_error: bool) {
    let until = model.now.run + NOTICE_TIME;
    model.notice = Some(Notice { text: SafeText::line(text), is_error, until });
}

/// A command whose success is told with a sentence, or not at all if that is empty.
fn plain(command: Command, done: &str) -> Effect {
    Effect::Command { tag: CommandTag::Plain(done.to_owned()), command }
}
