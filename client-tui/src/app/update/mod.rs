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
mod key_outcome;
mod keys;
mod notices;
mod outbox;
mod overlays;
mod reacting;
mod reading;
mod rooms;
mod scrolling;
mod select;
mod submit;
mod wizard;

use super::effect::Effect;
use super::message::Msg;
use super::model::Model;
use super::model::connection::Connection;
use super::now::Now;

pub(crate) use reading::HUSH;
pub use reading::next_deadline;

/// Why there is no connection once the engine is gone.
const ENGINE_ENDED: &str = "the engine has ended; start mathia-tui again";

/// What must be asked before the first message.
pub fn start(model: &mut Model) -> Vec<Effect> {
    let mut effects = vec![title(model)];
    warn(model);
    if model.wizard.is_none() {
        effects.extend(rooms::load_all());
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
    notices::show_error(model, &format!("configuration: {first}{more}"));
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
        Msg::EngineEnded => {
            model.connection = Connection::stopped(ENGINE_ENDED);
            Vec::new()
        }
        Msg::Answer { tag, result } => answers::handle(model, tag, result),
        Msg::NotQueued { tag } => answers::not_queued(model, tag),
        Msg::Joined(answer) => wizard::joined(model, answer),
        Msg::Terminate => editing::quit(model),
    }
}

/// The title that tells how much is unread.
fn title(model: &mut Model) -> Effect {
    let n_unread: u32 = model.rooms.values().map(|room| room.facts.n_unread).sum();
    let title = if n_unread > 0 { format!("({n_unread}) mathia") } else { "mathia".to_owned() };
    model.title.clone_from(&title);
    Effect::Title(title)
}
