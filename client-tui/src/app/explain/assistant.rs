//! Panels about an assistant: who runs it, what it was shown, and the exact text a question sends.

use mathia_protocol::crypto::commit::{AgentScope, RoomMode};
use mathia_protocol::crypto::content::{Answer, Ask, Content, Outcome};
use mathia_protocol::id::{AccountId, Seq};

use super::{BACK, Panel, PanelRow};
use crate::app::model::Model;
use crate::app::model::entry::Entry;
use crate::app::model::envelope::Envelope;
use crate::app::model::overlay::Overlay;
use crate::app::model::people::Person;
use crate::app::model::question::Progress;
use crate::app::model::room::Room;
use crate::asking;
use crate::safe_text::SafeText;

/// Asks named one by one at most.
const ASKS_NAMED_MAX: usize = 4;

/// Who runs an assistant, where questions go, and what it can read.
pub(super) fn about(model: &Model, account: AccountId) -> Panel {
    let room = model.room();
    let member =
        room.and_then(|room| room.facts.members.iter().find(|member| member.account == account));
    let (Some(room), Some(member)) = (room, member) else {
        let rows = vec![PanelRow::Text("This assistant is not in this room.".to_owned())];
        return Panel { title: "assistant".to_owned(), rows, actions: vec![BACK] };
    };
    let pair = |left: &str, right: &str| PanelRow::Pair(left.to_owned(), right.to_owned());
    let is_here = model.people.get(account).is_some_and(Person::is_here);
    let mut rows = vec![pair("is", if is_here { "here" } else { "away" })];
    let card = member.card.as_ref();
    let operator = card.map(|card| &card.operator).filter(|operator| !operator.is_empty());
    let operator = operator.unwrap_or(&member.operator).as_str();
    rows.push(pair("run by", if operator.is_empty() { "it does not say" } else { operator }));
    let place = card.map_or("nobody knows: it has not said", |card| card.place.as_str());
    rows.push(pair("questions go to", place));
    if let Some(card) = card.filter(|card| !card.model.is_empty()) {
        rows.push(pair("model", card.model.as_str()));
    }
    rows.push(PanelRow::Space);
    rows.push(PanelRow::Text(reads(room, member.handle.as_str())));
    rows.push(PanelRow::Quiet(format!(
        "You see all of it before it leaves. /remove {} takes it out of this room.",
        member.handle
    )));
    Panel { title: format!("◆ {}", member.handle), rows, actions: vec![BACK] }
}

fn reads(room: &Room, name: &str) -> String {
    match room.facts.agent_scope {
        AgentScope::None => format!("{name} reads nothing here."),
        AgentScope::Mention if room.facts.mode == RoomMode::Open => format!(
            "{name} is sent what is shown to it with a question. This room is open, so whoever runs \
             it could read everything said here."
        ),
        AgentScope::Mention => format!(
            "{name} reads what is shown to it with a question, and nothing else said here: it has \
             no key of this room."
        ),
        AgentScope::All => format!("{name} reads everything said here."),
    }
}

/// Why a question stands as it does.
pub(super) fn why_asked(
    model: &Model,
    room: &Room,
    entry: &Entry,
    asked: &Ask<SafeText>,
) -> Vec<PanelRow> {
    let at = model.time_format.moment(entry.time, model.now.wall);
    let n_attached = asked.attached.len();
    let mut rows = vec![PanelRow::Text(match n_attached {
        0 => format!("{} asked this at {at}. Nothing else was shown.", entry.handle),
        n => format!("{} asked this at {at} and showed {}:", entry.handle, asking::message_word(n)),
    })];
    for shown in &asked.attached {
        let head = format!("{} {}", model.time_format.clock(shown.time), shown.handle);
        let first = shown.text.as_str().lines().next().unwrap_or_default();
        rows.push(PanelRow::Pair(head, first.to_owned()));
    }
    let progress = model.progress(room, entry.seq, asked);
    rows.push(PanelRow::Quiet(
        match progress {
            Progress::Answered => "Its answer stands below.",
            Progress::Stopped => "It was taken back.",
            Progress::Coming => "Its answer is coming. /stop stops it.",
            Progress::Waiting => "The assistant has not begun. /stop takes it back.",
            Progress::Away => {
                "The assistant is away and answers when it is back, if it is not old."
            }
            Progress::Left => "The assistant was taken out of this room.",
        }
        .to_owned(),
    ));
    rows
}

/// Why an answer stands as it does.
pub(super) fn why_answered(
    model: &Model,
    entry: &Entry,
    answered: &Answer<SafeText>,
) -> Vec<PanelRow> {
    let at = model.time_format.moment(entry.time, model.now.wall);
    let ending = asking::ending_of(answered.outcome, answered.cause.as_str(), "who asked");
    let ended = ending.unwrap_or_else(|| "it is whole".to_owned());
    let is_failed = matches!(answered.outcome, Outcome::Interrupted | Outcome::Refused);
    let mut rows = vec![PanelRow::Text(format!(
        "{} answered message {}, stored at {at}, and signed it.",
        entry.handle, answered.ask
    ))];
    let ended = format!("How it ended: {ended}.");
    rows.push(if is_failed { PanelRow::Warn(ended) } else { PanelRow::Text(ended) });
    let pair = |left: &str, right: String| PanelRow::Pair(left.to_owned(), right);
    if !answered.provider.is_empty() {
        rows.push(pair("provider", answered.provider.as_str().to_owned()));
    }
    if !answered.model.is_empty() {
        rows.push(pair("model", answered.model.as_str().to_owned()));
    }
    if let Some(usage) = &answered.usage {
        rows.push(pair("took", format!("{}, {} in all", asking::usage(usage), usage.total)));
    }
    if is_failed {
        rows.push(PanelRow::Quiet("/again asks once more; the question is kept.".to_owned()));
    }
    rows
}

/// By which asks a message was shown to an assistant.
pub(super) fn shown_by(model: &Model, room: &Room, seq: Seq) -> Vec<PanelRow> {
    let asks = room.timeline.entries().rev().filter_map(|entry| match entry.content.said() {
        Some(Content::Ask(asked)) => {
            asked.attached.iter().any(|shown| shown.seq == seq).then_some((entry, asked))
        }
        _ => None,
    });
    let mut rows: Vec<PanelRow> = asks
        .take(ASKS_NAMED_MAX)
        .map(|(entry, asked)| {
            let at = model.time_format.moment(entry.time, model.now.wall);
            let first = asked.text.as_str().lines().next().unwrap_or_default();
            PanelRow::Text(format!(
                "◆ {} showed it to the assistant at {at}: {first}",
                entry.handle
            ))
        })
        .collect();
    if rows.is_empty() {
        rows.push(PanelRow::Text("◆ It was shown to the assistant with a question.".to_owned()));
    }
    rows
}

/// The exact text that would leave with the envelope that is open.
pub(super) fn exact(model: &Model) -> Panel {
    let envelope = model.overlays.iter().find_map(|overlay| match overlay {
        Overlay::Envelope(envelope) => Some(envelope),
        _ => None,
    });
    let rows = envelope.map(|envelope| exact_rows(model, envelope)).unwrap_or_default();
    Panel { title: "exact text".to_owned(), rows, actions: vec![BACK] }
}

fn exact_rows(model: &Model, envelope: &Envelope) -> Vec<PanelRow> {
    let mut rows = Vec::new();
    if let Some(destination) = &envelope.destination {
        let words = [
            ("to", &destination.place),
            ("model", &destination.model),
            ("run by", &destination.operator),
        ];
        let words = words.iter().filter(|(_, word)| !word.is_empty());
        rows.extend(words.map(|(left, word)| PanelRow::Pair((*left).into(), word.to_string())));
        rows.push(PanelRow::Space);
    }
    rows.push(PanelRow::Head("your question".to_owned()));
    let question = SafeText::clean(&envelope.text);
    rows.extend(lines(question.as_str()));
    for shown in envelope.attached() {
        let at = model.time_format.moment(shown.time, model.now.wall);
        rows.push(PanelRow::Head(format!("{}  {at}", shown.handle)));
        rows.extend(lines(shown.text.as_str()));
    }
    rows
}

/// A text line by line, since a row has no breaks.
fn lines(text: &str) -> impl Iterator<Item = PanelRow> + '_ {
    text.split('\n').map(|line| {
        let line = line.replace('\t', "    ");
        if line.trim().is_empty() { PanelRow::Space } else { PanelRow::Text(line) }
    })
}
