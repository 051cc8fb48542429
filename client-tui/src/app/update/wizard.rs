//! The first start: a link, a name, perhaps a server's key, the words.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::name::Handle;
use zeroize::Zeroizing;

use super::rooms;
use crate::app::action::Action;
use crate::app::chord::Chord;
use crate::app::composer::{Composer, Edit};
use crate::app::effect::Effect;
use crate::app::join::{JoinAnswer, JoinAsk};
use crate::app::keymap::KeyContext;
use crate::app::model::Model;
use crate::app::model::wizard::{self, Step, Wizard};
use crate::safe_text::SafeText;

/// Does what a key does in the first start.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let action = model.keymap.action(KeyContext::List, Chord::of(key));
    let Some(wizard) = model.wizard.as_mut() else { return Vec::new() };
    if is_interrupt(key) && !matches!(wizard.step, Step::Words(_)) && !deletes(key, wizard) {
        return vec![Effect::Quit];
    }
    match (key.code, action) {
        (KeyCode::Enter, _) => return enter(model),
        (KeyCode::Esc, _) => back(wizard),
        (_, Some(Action::Redraw)) => return vec![Effect::Redraw],
        (_, Some(Action::Suspend)) => return vec![Effect::Suspend],
        (_, Some(Action::QuitOrDelete)) => {
            if let Some(field) = wizard.field_mut() {
                field.edit(Edit::Delete);
            }
        }
        (_, Some(Action::Edit(edit))) => {
            wizard.error = None;
            if let Some(field) = wizard.field_mut() {
                field.edit(edit);
            }
        }
        _ => {
            if let (Some(field), Some(c)) = (wizard.field_mut(), Chord::of(key).typed()) {
                field.type_char(c);
                wizard.error = None;
            }
        }
    }
    Vec::new()
}

/// Says whether a key leaves the program at once .
fn is_interrupt(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd'))
}

/// Ctrl-D deletes under the caret, as in a shell, and quits where nothing is written.
fn deletes(key: KeyEvent, wizard: &mut Wizard) -> bool {
    key.code == KeyCode::Char('d') && wizard.field_mut().is_some_and(|field| !field.is_empty())
}

/// Inserts a pasted link or name.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    let Some(wizard) = model.wizard.as_mut() else { return Vec::new() };
    wizard.error = None;
    let text = match wizard.step {
        Step::Link => wizard::link_in(text),
        _ => text.trim().to_owned(),
    };
    let text = SafeText::line(&text);
    // A whole link takes the place of whatever was tried before.
    let is_whole = matches!(wizard.step, Step::Link) && text.as_str().parse::<Invite>().is_ok();
    if let Some(field) = wizard.field_mut() {
        if is_whole {
            field.replace("");
        }
        field.insert(text.as_str());
    }
    Vec::new()
}

/// Folds how an attempt to join ended.
pub(super) fn joined(model: &mut Model, answer: JoinAnswer) -> Vec<Effect> {
    let Some(wizard) = model.wizard.as_mut() else { return Vec::new() };
    match answer {
        JoinAnswer::Joined { me, words } => {
            wizard.step = Step::Words(words);
            wizard.error = None;
            wizard.link = Composer::default();
            model.me = Some(me);
        }
        JoinAnswer::UnknownServer { address, fingerprint } => {
            wizard.step = Step::UnknownServer {
                address: SafeText::line(&address),
                fingerprint: SafeText::line(&fingerprint),
                typed: Composer::default(),
            };
        }
        JoinAnswer::Failed { text, is_about_link } => {
            wizard.error = Some(SafeText::line(&text));
            wizard.step = if is_about_link { Step::Link } else { Step::Name };
        }
    }
    Vec::new()
}

fn enter(model: &mut Model) -> Vec<Effect> {
    let Some(wizard) = model.wizard.as_mut() else { return Vec::new() };
    match &wizard.step {
        Step::Link => {
            let link = wizard::link_in(wizard.link.text());
            match link.parse::<Invite>() {
                Ok(_) => {
                    wizard.link = Composer::with_text(&link);
                    wizard.step = Step::Name;
                    wizard.error = None;
                }
                Err(_) if link.is_empty() => {
                    wizard.error = Some(SafeText::line("Paste or type the link first."));
                }
                Err(error) => wizard.error = Some(SafeText::line(&sentence(&error.to_string()))),
            }
        }
        Step::Name => return join(wizard, None),
        Step::UnknownServer { typed, fingerprint, .. } if typed.text().trim() == "yes" => {
            let accepted = fingerprint.as_str().to_owned();
            return join(wizard, Some(accepted));
        }
        Step::UnknownServer { .. } => {
            let text = "Type yes if the two agree; Esc goes back and nothing is sent.";
            wizard.error = Some(SafeText::line(text));
        }
        Step::Joining => {}
        Step::Words(_) => {
            model.wizard = None;
            return rooms::load_all().into();
        }
    }
    Vec::new()
}

fn join(wizard: &mut Wizard, accepted_server: Option<String>) -> Vec<Effect> {
    let name: Handle = match wizard.name.text().trim().parse() {
        Ok(name) => name,
        Err(error) => {
            wizard.error = Some(SafeText::line(&sentence(&error.to_string())));
            wizard.step = Step::Name;
            return Vec::new();
        }
    };
    wizard.step = Step::Joining;
    wizard.error = None;
    let link = Zeroizing::new(wizard.link.text().trim().to_owned());
    vec![Effect::Join(JoinAsk { link, name, accepted_server })]
}

/// An error as a sentence.
fn sentence(error: &str) -> String {
    let mut chars = error.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn back(wizard: &mut Wizard) {
    wizard.error = None;
    wizard.step = match std::mem::take(&mut wizard.step) {
        Step::Name | Step::UnknownServer { .. } => Step::Link,
        // The words stay until they are acknowledged; an attempt under way ends by itself.
        step => step,
    };
}
