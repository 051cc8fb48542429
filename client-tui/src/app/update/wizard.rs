//! The first start: a link, a name, perhaps a server's key, the words.

use crossterm::event::{KeyCode, KeyEvent};
use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::name::Handle;
use zeroize::Zeroizing;

use super::keys::is_interrupt;
use crate::app::action::Action;
use crate::app::composer::Composer;
use crate::app::effect::Effect;
use crate::app::join::{JoinAnswer, JoinAsk};
use crate::app::keymap::{Chord, Place};
use crate::app::model::Model;
use crate::app::model::wizard::{Step, Wizard};
use crate::safe_text::SafeText;

/// Does what a key does in the first start.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let action = model.keymap.action(Place::List, Chord::of(key));
    let Some(wizard) = model.wizard.as_mut() else { return Vec::new() };
    if is_interrupt(key) && !matches!(wizard.step, Step::Words(_)) {
        return vec![Effect::Quit];
    }
    match (key.code, action) {
        (KeyCode::Enter, _) => return enter(model),
        (KeyCode::Esc, _) => back(wizard),
        (_, Some(Action::Redraw)) => return vec![Effect::Redraw],
        (_, Some(Action::Suspend)) => return vec![Effect::Suspend],
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

/// Takes over a pasted link or name.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if let Some(field) = model.wizard.as_mut().and_then(Wizard::field_mut) {
        field.insert(SafeText::line(text.trim()).as_str());
    }
    Vec::new()
}

/// Takes over how an attempt to join ended.
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
        JoinAnswer::Failed { text, is_about_name } => {
            wizard.error = Some(SafeText::line(&text));
            wizard.step = if is_about_name { Step::Name } else { Step::Link };
        }
    }
    Vec::new()
}

fn enter(model: &mut Model) -> Vec<Effect> {
    let Some(wizard) = model.wizard.as_mut() else { return Vec::new() };
    match &wizard.step {
        Step::Link => {
            if wizard.link.text().trim().parse::<Invite>().is_ok() {
                wizard.step = Step::Name;
                wizard.error = None;
            } else {
                let text = "An invite link begins with mathia:// and is pasted whole.";
                wizard.error = Some(SafeText::line(text));
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
            return super::begin().into();
        }
    }
    Vec::new()
}

fn join(wizard: &mut Wizard, accepted_server: Option<String>) -> Vec<Effect> {
    let name: Handle = match wizard.name.text().trim().parse() {
        Ok(name) => name,
        Err(error) => {
            wizard.error = Some(SafeText::line(&format!("{error}.")));
            wizard.step = Step::Name;
            return Vec::new();
        }
    };
    wizard.step = Step::Joining;
    wizard.error = None;
    let link = Zeroizing::new(wizard.link.text().trim().to_owned());
    vec![Effect::Join(JoinAsk { link, name, accepted_server })]
}

fn back(wizard: &mut Wizard) {
    wizard.error = None;
    wizard.step = match std::mem::take(&mut wizard.step) {
        Step::Name | Step::UnknownServer { .. } => Step::Link,
        // The words stay until they are acknowledged; an attempt under way ends by itself.
        step => step,
    };
}
