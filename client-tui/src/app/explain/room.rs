//! Panels about a room: who can read it, and who is in it.

use mathia_protocol::client::TrustState;
use mathia_protocol::crypto::commit::{AgentScope, HistoryRule, Role, RoomMode};
use mathia_protocol::wire::PresenceState;

use super::{BACK, Panel, PanelRow};
use crate::app::action::Action;
use crate::app::model::Model;
use crate::app::model::room::{Member, Room};
use crate::app::stamp;

/// Who can read the current room, and its code.
pub(super) fn lock(model: &Model) -> Panel {
    let Some(room) = model.room() else { return nowhere() };
    let facts = &room.facts;
    let mut rows = Vec::new();
    if facts.mode == RoomMode::Open {
        rows.push(PanelRow::Warn(
            "□ open: everyone in the workspace may join and read, and so can the server."
                .to_owned(),
        ));
        rows.push(PanelRow::Quiet(
            "A room is open or sealed for ever; /create makes others.".into(),
        ));
    } else {
        rows.push(PanelRow::Text(readers(room)));
        rows.push(PanelRow::Quiet(history(facts.history).to_owned()));
        rows.push(PanelRow::Quiet(format!(
            "The key in use is number {} since the room began; /rotate makes a new one.",
            facts.epoch
        )));
        if let Some(agent) = agents(facts.agent_scope) {
            rows.push(PanelRow::Warn(agent.to_owned()));
        }
    }
    if !facts.code.is_empty() {
        rows.push(PanelRow::Space);
        rows.push(PanelRow::Shown(facts.code_groups(4)));
        rows.push(PanelRow::Quiet(
            "The room code. If others see the same, you share the same members and key.".to_owned(),
        ));
    }
    if let Some(cause) = &facts.sending_stopped {
        rows.push(PanelRow::Space);
        rows.push(PanelRow::Warn(format!("Sending is stopped here: {cause}")));
    }
    let title = if facts.mode == RoomMode::Open { "why □ open" } else { "why ▣ sealed" };
    let actions = vec![(Action::Copy, "copy the code"), BACK];
    Panel { title: title.to_owned(), rows, actions }
}

fn nowhere() -> Panel {
    let rows = vec![PanelRow::Text("You are in no room.".to_owned())];
    Panel { title: "room".to_owned(), rows, actions: vec![BACK] }
}

fn readers(room: &Room) -> String {
    match room.facts.n_people() {
        0 | 1 => "▣ sealed end to end: only you can read what is said here.".to_owned(),
        n => format!(
            "▣ sealed end to end: the {n} people of this room can read what is said here, the \
             server cannot."
        ),
    }
}

fn history(rule: HistoryRule) -> &'static str {
    match rule {
        HistoryRule::SinceJoin => "Newcomers read what is said from when they join.",
        HistoryRule::All => "Newcomers may read everything that was said before.",
    }
}

fn agents(scope: AgentScope) -> Option<&'static str> {
    match scope {
        AgentScope::None => None,
        AgentScope::Mention => Some("The assistant reads only what is shown to it."),
        AgentScope::All => Some("The assistant reads everything said here."),
    }
}

/// The members of the current room.
pub(super) fn who(model: &Model) -> Panel {
    let Some(room) = model.room() else { return nowhere() };
    let mut rows: Vec<PanelRow> =
        room.facts.members.iter().map(|member| line(model, member)).collect();
    rows.push(PanelRow::Space);
    rows.push(PanelRow::Quiet("● here  ◐ away  ○ not here".to_owned()));
    rows.push(PanelRow::Quiet("/verify NAME compares identities".to_owned()));
    let mut actions = vec![BACK];
    if let Some(agent) = room.facts.agent() {
        let text = format!("◆ {} is an assistant: /who {0} tells what it can read", agent.handle);
        rows.push(PanelRow::Quiet(text));
        actions.insert(0, (Action::Why, "about the assistant"));
    }
    let title = format!("in {}", room.facts.shown_name());
    Panel { title, rows, actions }
}

fn line(model: &Model, member: &Member) -> PanelRow {
    let mut words = Vec::new();
    words.extend(role_name(member.role));
    if member.account == model.my_account() {
        words.push("you".to_owned());
    } else if let Some(person) = model.people.get(member.account) {
        words.extend(match person.presence {
            PresenceState::Online => None,
            _ if person.last_seen.0 == 0 => None,
            _ => Some(format!("{} ago", stamp::ago(person.last_seen, model.now.wall))),
        });
        match person.trust {
            TrustState::Verified => words.push("verified".to_owned()),
            TrustState::Changed => words.push("identity changed!".to_owned()),
            TrustState::Unverified => {}
        }
        if person.n_devices > 1 {
            words.push(format!("{} devices", person.n_devices));
        }
    }
    let card = member.card.as_ref().map(|card| &card.operator);
    let operator = card.filter(|operator| !operator.is_empty()).unwrap_or(&member.operator);
    if !operator.is_empty() {
        words.push(format!("run by {operator}"));
    }
    let sign = presence_sign(model, member);
    PanelRow::Pair(format!("{sign} {}", member.handle), words.join(" · "))
}

/// The sign of how a member is there.
pub(crate) fn presence_sign(model: &Model, member: &Member) -> &'static str {
    if member.is_agent {
        return "◆";
    }
    if member.account == model.my_account() {
        return if model.connection.is_online() { "●" } else { "○" };
    }
    match model.people.get(member.account).map(|person| person.presence) {
        Some(PresenceState::Online) => "●",
        Some(PresenceState::Away) => "◐",
        Some(PresenceState::Offline) | None => "○",
    }
}

/// The word for a role that is worth showing.
pub(crate) fn role_name(role: Role) -> Option<String> {
    let name = match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Moderator => "moderator",
        Role::Guest => "guest",
        Role::Agent => "assistant",
        Role::Member => return None,
    };
    Some(name.to_owned())
}
