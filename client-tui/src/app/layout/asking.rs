//! The rows of questions to an assistant, of answers that come in, and of whole ones.
//!
//! A question has one row below it that shows what was attached and what becomes of it: the same row
//! from when it is written until it is answered, so that nothing below it moves.

use mathia_protocol::crypto::content::{Answer, Ask, Content, Outcome};
use mathia_protocol::id::{AccountId, Seq};

use super::lines::TextStyle;
use super::{AuthorKind, Head, RowPart, SentenceTone, TimelinePage};
use crate::app::model::entry::{Entry, ItemKey, Pending, PendingState};
use crate::app::model::people::Person;
use crate::app::model::question::{Progress, StreamingAnswer};
use crate::app::wrap;
use crate::asking;
use crate::safe_text::SafeText;

/// Columns between the name of a head and what stands behind it, and before the right edge.
const HEAD_GAP: usize = 3;
/// What an assistant is called that is not known here any more.
const NAMELESS: &str = "assistant";

impl TimelinePage<'_> {
    /// A question that stands in the log.
    pub(super) fn push_asked(
        &self,
        parts: &mut Vec<RowPart>,
        entry: &Entry,
        asked: &Ask<SafeText>,
        stamp: Option<String>,
    ) {
        let style = TextStyle {
            tick: self.tick(entry),
            is_mention: entry.is_mention,
            ..TextStyle::default()
        };
        let key = ItemKey::Placed(entry.seq, 0);
        let name = self.agent_name(asked.agent);
        self.push_question(parts, (key, &asked.text, &name), style, stamp);
        let progress = self.model.progress(self.room, entry.seq, asked);
        self.push_state(parts, &progress_words(progress, &name), Some(enclosed(asked)));
    }

    /// A question that is not in the log yet.
    pub(super) fn push_asking(
        &self,
        parts: &mut Vec<RowPart>,
        pending: &Pending,
        style: TextStyle,
        stamp: Option<String>,
    ) {
        let name = match self.room.facts.agent() {
            Some(agent) => agent.handle.as_str().to_owned(),
            None => NAMELESS.to_owned(),
        };
        let key = ItemKey::Pending(pending.key);
        self.push_question(parts, (key, &pending.text, &name), style, stamp);
        match pending.state {
            PendingState::Queued if !self.model.connection.is_online() => {
                self.push_state(parts, &["waiting for the connection"], None);
            }
            PendingState::Queued | PendingState::Sent => {
                self.push_state(parts, &["being sent"], None);
            }
            PendingState::Failed(_) => {}
        }
    }

    fn push_question(
        &self,
        parts: &mut Vec<RowPart>,
        (key, text, name): (ItemKey, &SafeText, &str),
        style: TextStyle,
        stamp: Option<String>,
    ) {
        let lead = format!("@{name}");
        // A fence stays at the beginning of its line.
        let is_code = text.as_str().trim_start().starts_with("```");
        let text = format!("{lead}{}{text}", if is_code { '\n' } else { ' ' });
        self.push_message(parts, key, &text, TextStyle { lead: lead.len(), ..style }, stamp);
    }

    /// One row, whatever fits: how it stands, and what was shown.
    fn push_state(
        &self,
        parts: &mut Vec<RowPart>,
        states: &[impl AsRef<str>],
        shown: Option<String>,
    ) {
        let width = self.width.saturating_sub(self.indent() + 1).max(2);
        let mut versions = Vec::new();
        if let (Some(state), Some(shown)) = (states.first(), &shown) {
            versions.push(format!("{} · {shown}", state.as_ref()));
        }
        versions.extend(states.iter().map(|state| state.as_ref().to_owned()));
        versions.extend(shown.filter(|_| states.is_empty()));
        let fitting = versions.iter().find(|text| wrap::width(text) <= width);
        let text = fitting.or(versions.last()).map_or("", String::as_str);
        let text = wrap::cut(text, width);
        parts.push(RowPart::Sentence { stamp: None, text, tone: SentenceTone::Quiet });
    }

    /// An answer while it comes.
    pub(super) fn push_answering(&self, parts: &mut Vec<RowPart>, answering: &StreamingAnswer) {
        let stamp = self.time_format.clock(answering.since);
        let (name, note) = (answering.handle.clone(), self.asked_by(answering.ask));
        let (whose, aside) = (AuthorKind::Assistants, String::new());
        parts.push(RowPart::Head(Head { stamp, name, whose, note, aside }));
        let agent = self.model.people.get(answering.agent);
        let is_here = agent.is_some_and(Person::is_here);
        let is_stopped = self.room.timeline.is_stopped(answering.ask);
        let has_cursor = self.model.connection.is_online() && is_here && !is_stopped;
        let style = TextStyle { has_cursor, ..TextStyle::default() };
        let key = ItemKey::Answering(answering.ask);
        self.push_message(parts, key, answering.text.as_str(), style, None);
    }

    /// A whole answer, or what there is of it.
    pub(super) fn push_answered(
        &self,
        parts: &mut Vec<RowPart>,
        entry: &Entry,
        answered: &Answer<SafeText>,
    ) {
        let (asker, is_mine) = self.asker(answered.ask);
        let ending =
            asking::ending_of(answered.outcome, answered.cause.as_str(), asker.unwrap_or_default());
        let is_failed = matches!(answered.outcome, Outcome::Interrupted | Outcome::Refused);
        let again = if is_failed && is_mine { " · /again" } else { "" };
        let ending = ending.map(|ending| format!("{ending}{again}"));
        if let (Outcome::Refused, Some(ending)) = (answered.outcome, &ending) {
            self.push_sentence(parts, Some(entry.time), ending, SentenceTone::Failed);
            return;
        }
        let stamp = self.time_format.clock(entry.time);
        let (name, note) = (entry.handle.clone(), self.asked_by(answered.ask));
        let usage = usage(answered);
        let is_beside = self.fits_head(&[name.as_str(), &note, &usage]);
        let aside = if is_beside { usage.clone() } else { String::new() };
        let whose = AuthorKind::Assistants;
        parts.push(RowPart::Head(Head { stamp, name, whose, note, aside }));
        if !answered.text.is_empty() {
            let (is_mention, is_shown) = (entry.is_mention, entry.is_shown_to_agent);
            let style = TextStyle { is_mention, is_shown, ..TextStyle::default() };
            let key = ItemKey::Placed(entry.seq, 0);
            self.push_message(parts, key, answered.text.as_str(), style, None);
        }
        let below = Some(usage).filter(|usage| !is_beside && !usage.is_empty());
        let (failed, quiet) = if is_failed { (ending, None) } else { (None, ending) };
        if let Some(failed) = failed {
            self.push_sentence_at(parts, None, &failed, SentenceTone::Failed);
        }
        let quiet: Vec<String> = quiet.into_iter().chain(below).collect();
        if !quiet.is_empty() {
            self.push_sentence_at(parts, None, &quiet.join(" · "), SentenceTone::Quiet);
        }
    }

    /// Says whether the words of a head stand side by side.
    fn fits_head(&self, words: &[&str]) -> bool {
        let words = words.iter().filter(|word| !word.is_empty());
        let width: usize = words.map(|word| wrap::width(word) + HEAD_GAP).sum();
        self.has_stamps && self.indent() + width < self.width + HEAD_GAP
    }

    fn asked_by(&self, ask: Seq) -> String {
        let Some(entry) = self.room.timeline.entry(ask) else { return String::new() };
        let n_attached = match entry.content.said() {
            Some(Content::Ask(asked)) => asked.attached.len(),
            _ => 0,
        };
        match n_attached {
            0 => format!("asked by {}", entry.handle),
            n => format!("asked by {}, saw {}", entry.handle, asking::message_word(n)),
        }
    }

    /// Who asked, as far as the ask is loaded, and whether it was this account.
    fn asker(&self, ask: Seq) -> (Option<&str>, bool) {
        let entry = self.room.timeline.entry(ask);
        (entry.map(|entry| entry.handle.as_str()), entry.is_some_and(|entry| entry.is_mine))
    }

    fn agent_name(&self, agent: AccountId) -> String {
        let member = self.room.facts.members.iter().find(|member| member.account == agent);
        let name = member.map(|member| &member.handle);
        let name = name.or_else(|| self.model.people.get(agent).map(|person| &person.handle));
        name.map_or(NAMELESS, SafeText::as_str).to_owned()
    }
}

/// What was shown with a question.
fn enclosed(asked: &Ask<SafeText>) -> String {
    let left_out = match asked.n_left_out {
        0 => String::new(),
        n => format!(" ({n} did not fit)"),
    };
    match asked.attached.len() {
        0 => "nothing else was shown".to_owned(),
        n => format!("with {}{left_out}", asking::message_word(n)),
    }
}

/// How a question stands, from all words to few; nothing once it is answered.
fn progress_words(progress: Progress, name: &str) -> Vec<String> {
    match progress {
        Progress::Answered => Vec::new(),
        Progress::Stopped => vec!["stopped".to_owned()],
        Progress::Coming => vec![format!("{name} is answering")],
        Progress::Waiting => vec![format!("waiting for {name}")],
        Progress::Away => {
            vec![format!("{name} is away; it answers when it is back"), format!("{name} is away")]
        }
        Progress::Left => vec![format!("{name} is no longer in this room")],
    }
}

/// `model small-4 · 194 + 80 tokens`; nothing if no model was asked.
fn usage(answered: &Answer<SafeText>) -> String {
    match (&answered.usage, answered.model.as_str()) {
        (None, _) => String::new(),
        (Some(usage), "") => asking::usage(usage),
        (Some(usage), model) => format!("model {model} · {}", asking::usage(usage)),
    }
}
