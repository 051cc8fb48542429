//! Completes the word at the caret: a name, a room, a command.

use crate::app::model::{Completion, Model};
use crate::verbs::{self, Completes};

/// The completion of the word at the caret; `None` if nothing fits.
pub(super) fn at_caret(model: &Model) -> Option<Completion> {
    let before = model.composer.before_caret();
    let from = before
        .rfind(char::is_whitespace)
        .map_or(0, |space| space + before[space..].chars().next().map_or(1, char::len_utf8));
    let word = &before[from..];
    let candidates = candidates(model, before, from, word);
    (!candidates.is_empty()).then_some(Completion { from, candidates, index: 0 })
}

fn candidates(model: &Model, before: &str, from: usize, word: &str) -> Vec<String> {
    if let Some(prefix) = word.strip_prefix('/').filter(|_| from == 0) {
        return verbs::beginning_with(prefix).map(|slash| format!("/{} ", slash.word)).collect();
    }
    if let Some(prefix) = word.strip_prefix('@') {
        // A name at the beginning speaks to somebody; the assistant's asks it.
        let is_agent = |name: &str| model.people.named(name).is_some_and(|person| person.is_agent);
        let suffix = |name: &str| if from == 0 && !is_agent(name) { ": " } else { " " };
        let names = names(model, prefix).map(|name| format!("@{name}{}", suffix(&name)));
        return names.collect();
    }
    if let Some(prefix) = word.strip_prefix('#') {
        return rooms(model, prefix).map(|name| format!("#{name} ")).collect();
    }
    let command = before.strip_prefix('/').and_then(|line| line.split_whitespace().next());
    let slash = command.filter(|_| from > 0).and_then(verbs::named);
    match slash.map_or(Completes::Nothing, |slash| slash.completes) {
        Completes::People => names(model, word).map(|name| format!("{name} ")).collect(),
        Completes::Rooms => rooms(model, word).collect(),
        Completes::Nothing => Vec::new(),
    }
}

/// Names that begin like this, those of this room first.
fn names<'a>(model: &'a Model, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    let me = model.my_account();
    let here = |account| {
        model.room().is_some_and(|room| room.facts.members.iter().any(|m| m.account == account))
    };
    let mut people = model.people.in_order(me);
    people.sort_by_key(|person| !here(person.account));
    let names = people.into_iter().map(|person| person.handle.as_str().to_owned());
    names.filter(move |name| name.starts_with(prefix))
}

fn rooms<'a>(model: &'a Model, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    let names = model.group_rooms().into_iter().map(|room| room.facts.shown_name());
    names.filter(move |name| name.to_lowercase().starts_with(&prefix.to_lowercase()))
}
