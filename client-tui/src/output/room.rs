//! Lines about rooms and their members, and the words of their settings.

use mathia_protocol::client::{MemberView, RoomView};
use mathia_protocol::crypto::commit::{AgentScope, HistoryRule, Role, RoomKind, RoomMode};
use mathia_protocol::id::TimeMs;

use super::{Line, LineFormat};
use crate::clock::rfc3339;

/// A room of `rooms`.
pub(crate) fn room(view: &RoomView, style: &LineFormat) -> Line {
    let members: Vec<&str> = view.members.iter().map(|member| member.handle.as_str()).collect();
    let words = [
        Some(room_word(view)),
        Some(if view.mode == RoomMode::Open { "open" } else { "sealed" }.to_owned()),
        Some(match members.len() {
            1 => "1 member".to_owned(),
            n => format!("{n} members"),
        }),
        (view.n_unread > 0).then(|| format!("{} unread", view.n_unread)),
        (view.n_mentions > 0).then(|| format!("@{}", view.n_mentions)),
        (view.active_at != TimeMs(0)).then(|| style.stamp(view.active_at)),
        view.sending_stopped.as_ref().map(|cause| format!("sending stopped: {cause}")),
    ];
    Line::new("room")
        .with("room", view.name.as_str())
        .with("room_id", view.room.to_hex())
        .with("seq", view.head.0)
        .with("time", rfc3339(view.active_at))
        .with("kind", kind_word(view.kind))
        .with("mode", mode_word(view.mode))
        .with("topic", view.topic.as_str())
        .with("members", members)
        .with("role", role_word(view.role))
        .with("history", history_word(view.history))
        .with("agent_scope", scope_word(view.agent_scope))
        .with("epoch", view.epoch.0)
        .with("code", view.room_code.as_str())
        .with("hash", view.head_hash.to_hex())
        .with("announced", view.announced.0)
        .with("read_upto", view.read_upto.0)
        .with("unread", view.n_unread)
        .with("mentions", view.n_mentions)
        .with_some("sending_stopped", view.sending_stopped.as_deref())
        .text(words.into_iter().flatten().collect::<Vec<_>>().join("  "))
}

/// A line of `room members`.
pub(crate) fn member(room: &RoomView, member: &MemberView) -> Line {
    let role = role_word(member.role);
    let card = member.card.as_ref();
    let operator = card.map_or(&member.operator, |card| &card.operator);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (provider, model) = card.map_or(("", ""), |card| (&card.provider, &card.model));
    let goes_to = match card {
        Some(card) if card.provider.is_empty() => Some("no model".to_owned()),
        Some(card) => Some(format!("{} at {}", card.model, card.provider)),
        None => None,
    };
    let scope = match room.mode {
        RoomMode::Open => "answers what it is asked",
        RoomMode::E2ee => "reads only what is shown to it",
    };
    let scope = member.is_agent.then(|| scope.to_owned());
    let words =
        [Some(member.handle.clone()), Some(role.to_owned()), scope, goes_to, some(operator)];
    Line::new("room_member")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("name", member.handle.as_str())
        .with("account", member.account.to_hex())
        .with("role", role)
        .with("is_agent", member.is_agent)
        .with_some("operator", some(operator))
        .with_some("provider", some(provider))
        .with_some("model", some(model))
        .text(words.into_iter().flatten().collect::<Vec<_>>().join("  "))
}

/// A room as people write it; a room without a name by the beginning of its identifier.
pub(crate) fn room_word(room: &RoomView) -> String {
    match (room.name.is_empty(), room.kind) {
        (true, _) => room.room.short(),
        (false, RoomKind::Direct) => format!("@{}", room.name),
        (false, _) => format!("#{}", room.name),
    }
}

pub(crate) fn kind_word(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Group => "group",
        RoomKind::Direct => "direct",
        RoomKind::Assistant => "assistant",
    }
}

pub(crate) fn mode_word(mode: RoomMode) -> &'static str {
    match mode {
        RoomMode::E2ee => "e2ee",
        RoomMode::Open => "open",
    }
}

pub(crate) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Moderator => "moderator",
        Role::Member => "member",
        Role::Guest => "guest",
        Role::Agent => "agent",
    }
}

fn history_word(history: HistoryRule) -> &'static str {
    match history {
        HistoryRule::SinceJoin => "since_join",
        HistoryRule::All => "all",
    }
}

fn scope_word(scope: AgentScope) -> &'static str {
    match scope {
        AgentScope::None => "none",
        AgentScope::Mention => "mention",
        AgentScope::All => "all",
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::output::testing::room_named;

    #[test]
    fn a_room_line_tells_what_two_devices_compare() {
        let style = LineFormat { zone: TimeZone::UTC, is_24h: true, names_rooms: false };
        let line: serde_json::Value =
            serde_json::from_str(&room(&room_named("team", 0xAA), &style).to_json()).unwrap();
        assert_eq!(line["type"], "room");
        assert_eq!(line["code"], "27410938221234567890");
        assert_eq!(line["hash"], "cc".repeat(32));
        assert_eq!((&line["seq"], &line["unread"]), (&12.into(), &2.into()));
    }
}
