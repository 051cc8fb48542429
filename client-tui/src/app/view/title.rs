//! The title of the room in one line: name, kind, sealed or open, who can read, the code.

use mathia_protocol::crypto::commit::{AgentScope, RoomKind, RoomMode};
use ratatui::layout::Rect;

use super::painter::{Painter, columns};
use crate::app::model::Model;
use crate::app::model::room::RoomFacts;
use crate::app::theme::Role;

/// A space between the name and what is said of the room.
const GAP: u16 = 2;

pub(super) fn draw(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let Some(room) = model.room() else {
        painter.put(area, (1, 0), "mathia", Role::Name);
        return;
    };
    let facts = &room.facts;
    let name = facts.shown_name();
    let room_for_truth =
        area.width.saturating_sub(columns(&name).min(area.width / 2) + 1 + GAP + 1);
    let truth = versions(facts).into_iter().find(|parts| width(parts) <= room_for_truth);
    let truth = truth.unwrap_or_default();
    let mut col = area.width.saturating_sub(width(&truth) + 1);
    let left = Rect { width: col.saturating_sub(GAP), ..area };
    let end = painter.put_cut(left, (1, 0), &name, Role::Name);
    if !facts.topic.is_empty() && left.width > end + 12 {
        painter.put_cut(left, (end + 2, 0), facts.topic.as_str(), Role::Dim);
    }
    for (i, (text, role)) in truth.iter().enumerate() {
        if i > 0 {
            col = painter.put(area, (col, 0), " · ", Role::Dim);
        }
        col = painter.put(area, (col, 0), text, *role);
    }
}

type TitlePart = (String, Role);

fn width(parts: &[TitlePart]) -> u16 {
    let texts: u16 = parts.iter().map(|(text, _)| columns(text)).sum();
    let n_gaps = u16::try_from(parts.len().saturating_sub(1)).unwrap_or(0);
    texts + 3 * n_gaps
}

/// What is said of the room, from everything to the least.
fn versions(facts: &RoomFacts) -> Vec<Vec<TitlePart>> {
    let dim = |text: String| (text, Role::Dim);
    let kind = dim(kind(facts.kind).to_owned());
    let lock = lock(facts.mode);
    let code = (!facts.code.is_empty()).then(|| dim(facts.code_groups(2)));
    let is_direct = facts.kind == RoomKind::Direct;
    let people_of = |words: PeopleDetail| (!is_direct).then(|| dim(people(facts, words)));
    let (full, short, least) = (
        people_of(PeopleDetail::All),
        people_of(PeopleDetail::Few),
        people_of(PeopleDetail::Least),
    );
    let join = |parts: [Option<TitlePart>; 4]| parts.into_iter().flatten().collect();
    vec![
        join([Some(kind), Some(lock.clone()), full.clone(), code.clone()]),
        join([None, Some(lock.clone()), full, code.clone()]),
        join([None, Some(lock.clone()), short.clone(), code.clone()]),
        join([None, Some(lock.clone()), least.clone(), code]),
        join([None, Some(lock.clone()), short, None]),
        join([None, Some(lock.clone()), least, None]),
        join([None, Some(lock), None, None]),
    ]
}

fn kind(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Group => "group",
        RoomKind::Direct => "direct",
        RoomKind::Assistant => "assistant",
    }
}

fn lock(mode: RoomMode) -> TitlePart {
    match mode {
        RoomMode::E2ee => ("▣ sealed".to_owned(), Role::Accent),
        RoomMode::Open => ("□ open".to_owned(), Role::Warn),
    }
}

/// How many words are spent on who can read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PeopleDetail {
    All,
    Few,
    Least,
}

fn people(facts: &RoomFacts, words: PeopleDetail) -> String {
    let people = match (facts.n_people(), words) {
        (0 | 1, PeopleDetail::All) => "only you".to_owned(),
        (n, PeopleDetail::All) => format!("{n} people"),
        (n, _) => n.to_string(),
    };
    let agent = facts.members.iter().find(|member| member.is_agent);
    let scope = match facts.agent_scope {
        AgentScope::None => return people,
        AgentScope::Mention if facts.mode == RoomMode::Open => "when asked",
        AgentScope::Mention => "shown only",
        AgentScope::All => "reads all",
    };
    let name = agent.map_or("assistant", |agent| agent.handle.as_str());
    match words {
        PeopleDetail::Least => format!("{people} + {name}"),
        PeopleDetail::All | PeopleDetail::Few => format!("{people} + {name} ({scope})"),
    }
}
