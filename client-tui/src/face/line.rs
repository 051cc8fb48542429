//! What entries, rooms and people look like on a line: JSON for programs, text for people.
//!
//! Owns the schema of the JSON types. All of them carry the same envelope where it makes sense:
//! `room`, `room_id`, `seq`, `from`, `device`, `time`.

use jiff::tz::TimeZone;
use mathia_protocol::client::{
    EntryBodyView, EntryView, MarkCounts, PresenceView, RoomView, UnreadableCause,
};
use mathia_protocol::crypto::answer::{Answer, Outcome};
use mathia_protocol::crypto::ask::Ask;
use mathia_protocol::crypto::commit::{
    AgentScope, CommitKind, HistoryRule, Role, RoomKind, RoomMode,
};
use mathia_protocol::id::{AccountId, Seq, TimeMs};
use mathia_protocol::wire::PresenceState;

use crate::asking;
use crate::clock::rfc3339;
use crate::output::Line;

/// How lines are written for people.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// The zone of stamps.
    pub(super) zone: TimeZone,
    /// Whether hours go to 24.
    pub(super) is_24h: bool,
    /// Whether lines name their room.
    pub(super) names_rooms: bool,
}

impl Style {
    /// Stamps in the zone of this machine.
    pub(super) fn local(is_24h: bool, names_rooms: bool) -> Self {
        Self { zone: TimeZone::system(), is_24h, names_rooms }
    }

    /// A time as people read it; empty for "never".
    pub(super) fn stamp(&self, time: TimeMs) -> String {
        let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
        let Ok(stamp) = jiff::Timestamp::from_millisecond(millis) else { return String::new() };
        let format = if self.is_24h { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %I:%M %p" };
        stamp.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

/// The word for how far an own message is; the same rule as the ticks of the interactive client.
pub(super) fn ticks(marks: &MarkCounts, seq: Seq) -> &'static str {
    let (n_delivered, n_read) = marks.reached(seq);
    match marks.n_others {
        0 => "accepted",
        n_others if n_read >= n_others => "read",
        n_others if n_delivered >= n_others => "delivered",
        _ => "accepted",
    }
}

/// One entry of a log.
pub(super) fn entry(view: &EntryView, room: &RoomView, style: &Style) -> Line {
    let line = envelope(kind(&view.body), view, room);
    let mut tick = None;
    let (line, words) = match &view.body {
        EntryBodyView::Text(text) => {
            tick = view.is_mine.then(|| ticks(&room.marks, view.seq));
            let line = line.with("text", text.as_str()).with_some("ticks", tick);
            (line, format!("{}: {text}", view.handle))
        }
        EntryBodyView::Ask(ask) => {
            tick = view.is_mine.then(|| ticks(&room.marks, view.seq));
            let line = ask_fields(line, ask).with_some("ticks", tick);
            (line, format!("{} asks {}: {}", view.handle, agent_name(room, ask.agent), ask.text))
        }
        EntryBodyView::Answer(answer) => {
            (answer_fields(line, answer), format!("{}: {}", view.handle, answer_words(answer)))
        }
        EntryBodyView::Stop(stop) => {
            let text = format!("* {} stopped the answer to {}", view.handle, stop.ask);
            (line.with("ask", stop.ask.0), text)
        }
        EntryBodyView::Change { kind, text, accounts, epoch } => {
            let accounts: Vec<String> = accounts.iter().map(ToString::to_string).collect();
            let line = line
                .with("action", action(*kind))
                .with("text", text.as_str())
                .with("accounts", accounts)
                .with("epoch", epoch.0);
            (line, format!("* {} {text}", view.handle))
        }
        EntryBodyView::Unknown { kind } => {
            (line.with("kind", *kind), format!("* {}: (needs a newer client)", view.handle))
        }
        EntryBodyView::Unreadable(cause) => (
            line.with("cause", cause_word(*cause)),
            format!("* {}: ({})", view.handle, cause_text(*cause)),
        ),
        EntryBodyView::Rejected { check } => (
            line.with("check", check.as_str()),
            format!("! message {} failed check: {check}", view.seq),
        ),
        EntryBodyView::Expired => (line, format!("* {}: (expired)", view.handle)),
    };
    line.text(for_people(view, room, style, &words, tick))
}

fn envelope(kind: &'static str, view: &EntryView, room: &RoomView) -> Line {
    Line::new(kind)
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("seq", view.seq.0)
        .with("from", view.handle.as_str())
        .with("device", view.device.to_hex())
        .with("time", rfc3339(view.time))
        .with_some("shared_with_ai", view.is_shown.then_some(true))
}

fn agent_name(room: &RoomView, agent: AccountId) -> &str {
    let member = room.members.iter().find(|member| member.account == agent);
    member.map_or("an assistant", |member| &member.handle)
}

/// The fields of a question.
pub(super) fn ask_fields(line: Line, ask: &Ask) -> Line {
    let attached: Vec<u64> = ask.attached.iter().map(|one| one.seq.0).collect();
    line.with("text", ask.text.as_str())
        .with("attached", attached)
        .with_some("again", ask.again.map(|seq| seq.0))
}

/// The fields of an answer.
pub(super) fn answer_fields(line: Line, answer: &Answer) -> Line {
    let usage = answer.usage.as_ref();
    line.with("ask", answer.ask.0)
        .with("text", answer.text.as_str())
        .with("outcome", answer.outcome.word())
        .with_some("cause", (!answer.cause.is_empty()).then_some(answer.cause.as_str()))
        .with("provider", answer.provider.as_str())
        .with("model", answer.model.as_str())
        .with_some("prompt_tokens", usage.map(|usage| usage.prompt))
        .with_some("completion_tokens", usage.map(|usage| usage.completion))
        .with_some("total_tokens", usage.map(|usage| usage.total))
        .with_some("estimated", usage.map(|usage| usage.is_estimated))
}

/// An answer in words: the text, and how it ended if not well.
pub(super) fn answer_words(answer: &Answer) -> String {
    let Some(ending) = asking::ending(answer, "") else { return answer.text.clone() };
    match (answer.outcome, answer.text.trim_end()) {
        (Outcome::Refused, _) => ending,
        (_, "") => format!("({ending})"),
        (_, text) => format!("{text}\n({ending})"),
    }
}

fn kind(body: &EntryBodyView) -> &'static str {
    match body {
        EntryBodyView::Text(_) => "message",
        EntryBodyView::Ask(_) => "ask",
        EntryBodyView::Answer(_) => "answer",
        EntryBodyView::Stop(_) => "stop",
        EntryBodyView::Change { kind, .. } => match kind {
            CommitKind::Create
            | CommitKind::Add
            | CommitKind::Remove
            | CommitKind::Leave
            | CommitKind::SetRole => "member",
            CommitKind::Rotate => "epoch",
            CommitKind::SetPolicy | CommitKind::SetAgent => "settings",
        },
        EntryBodyView::Unknown { .. } => "unknown",
        EntryBodyView::Unreadable(_) => "unreadable",
        EntryBodyView::Rejected { .. } => "rejected",
        EntryBodyView::Expired => "expired",
    }
}

fn action(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Create => "create",
        CommitKind::Add => "add",
        CommitKind::Remove => "remove",
        CommitKind::Leave => "leave",
        CommitKind::SetRole => "role",
        CommitKind::Rotate => "rotate",
        CommitKind::SetPolicy => "policy",
        CommitKind::SetAgent => "agent",
    }
}

fn cause_word(cause: UnreadableCause) -> &'static str {
    match cause {
        UnreadableCause::BeforeJoin => "before_join",
        UnreadableCause::KeyAsked => "key_asked",
        UnreadableCause::KeyBad => "key_bad",
        UnreadableCause::NotShown => "not_shown",
    }
}

fn cause_text(cause: UnreadableCause) -> &'static str {
    match cause {
        UnreadableCause::BeforeJoin => "said before you joined",
        UnreadableCause::KeyAsked => "waiting for its key: another member must be online",
        UnreadableCause::KeyBad => "its key did not fit and was asked for again",
        UnreadableCause::NotShown => "not shown to this account",
    }
}

/// Place, stamp, words, tick. Further lines of a text are indented, so that none can pass for an
/// entry of its own.
fn for_people(
    view: &EntryView,
    room: &RoomView,
    style: &Style,
    words: &str,
    tick: Option<&str>,
) -> String {
    let shown = if view.is_shown { "  [shared with ai]" } else { "" };
    let indented = words.trim_end().replace('\r', "").replace('\n', "\n       ");
    let room = style.names_rooms.then(|| room_word(room));
    let sign = tick.map(|tick| match tick {
        "read" => "✓✓ read",
        "delivered" => "✓✓",
        _ => "✓",
    });
    let place = format!("{:>5}", view.seq.0);
    let parts = [Some(place), Some(style.stamp(view.time)), room, Some(indented)];
    let parts = parts.into_iter().chain([sign.map(str::to_owned)]);
    parts.flatten().collect::<Vec<_>>().join("  ") + shown
}

/// A room as people write it; a room without a name by the beginning of its identifier.
pub(super) fn room_word(room: &RoomView) -> String {
    match (room.name.is_empty(), room.kind) {
        (true, _) => room.room.short(),
        (false, RoomKind::Direct) => format!("@{}", room.name),
        (false, _) => format!("#{}", room.name),
    }
}

/// A room of `rooms`.
pub(super) fn room(view: &RoomView, style: &Style) -> Line {
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

/// The words of a presence: the machine's and the people's.
pub(super) fn presence_words(view: &PresenceView, style: &Style) -> (&'static str, String) {
    match view.state {
        PresenceState::Online => ("online", "online".to_owned()),
        PresenceState::Away => ("away", "away".to_owned()),
        PresenceState::Offline if view.last_seen == TimeMs(0) => ("offline", "offline".to_owned()),
        PresenceState::Offline => ("offline", format!("last seen {}", style.stamp(view.last_seen))),
    }
}

pub(super) fn kind_word(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Group => "group",
        RoomKind::Direct => "direct",
        RoomKind::Assistant => "assistant",
    }
}

pub(super) fn mode_word(mode: RoomMode) -> &'static str {
    match mode {
        RoomMode::E2ee => "e2ee",
        RoomMode::Open => "open",
    }
}

pub(super) fn role_word(role: Role) -> &'static str {
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
    use mathia_protocol::id::{AccountId, Epoch};

    use super::*;
    use crate::face::testing::{marks, room_named, said};
    use crate::output::Output;

    fn style() -> Style {
        Style { zone: TimeZone::UTC, is_24h: true, names_rooms: false }
    }

    fn json(view: &EntryView, room: &RoomView) -> String {
        entry(view, room, &style()).to_json()
    }

    fn text(view: &EntryView, room: &RoomView, style: &Style) -> String {
        let mut data = Vec::new();
        Output::new(false, &mut data, std::io::sink()).line(&entry(view, room, style)).unwrap();
        String::from_utf8(data).unwrap()
    }

    #[test]
    fn a_message_line_is_exactly_the_promised_one() {
        let room_id = "aa".repeat(32);
        let device = "02".repeat(16);
        let golden = |from: &str, rest: &str| {
            format!(
                "{{\"v\":1,\"type\":\"message\",\"room\":\"team\",\"room_id\":\"{room_id}\",\
                \"seq\":12,\"from\":\"{from}\",\"device\":\"{device}\",\
                \"time\":\"2026-11-20T17:00:00Z\",\"text\":\"hi\"{rest}}}"
            )
        };
        let mut room = room_named("team", 0xAA);
        assert_eq!(json(&said(12, "bob", "hi"), &room), golden("bob", ""));
        let mine = said(12, "ann", "hi");
        for (marks, ticks) in [
            (marks(2, 2, 1), "accepted"),
            (marks(2, 3, 1), "delivered"),
            (marks(2, 3, 3), "read"),
            (marks(0, 1, 1), "accepted"),
        ] {
            room.marks = marks;
            assert_eq!(json(&mine, &room), golden("ann", &format!(",\"ticks\":\"{ticks}\"")));
        }
    }

    #[test]
    fn changes_carry_the_same_envelope() {
        let room = room_named("team", 0xAA);
        let mut view = said(3, "ann", "");
        let kinds = [
            (CommitKind::Add, "member", "add"),
            (CommitKind::Rotate, "epoch", "rotate"),
            (CommitKind::SetPolicy, "settings", "policy"),
        ];
        for (commit, kind, action) in kinds {
            view.body = EntryBodyView::Change {
                kind: commit,
                text: "added bob".to_owned(),
                accounts: vec![AccountId([9; 32])],
                epoch: Epoch(2),
            };
            let line: serde_json::Value = serde_json::from_str(&json(&view, &room)).unwrap();
            assert_eq!((&line["type"], &line["action"]), (&kind.into(), &action.into()));
            for key in ["v", "room", "room_id", "seq", "from", "device", "time", "epoch"] {
                assert!(!line[key].is_null(), "{key}");
            }
            assert!(line["ticks"].is_null(), "ticks stand on own messages only");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let room = room_named("team", 0xAA);
        let mut view = said(3, "bob", "");
        view.body = EntryBodyView::Unreadable(UnreadableCause::KeyAsked);
        assert!(json(&view, &room).contains("\"type\":\"unreadable\""));
        assert!(json(&view, &room).ends_with("\"cause\":\"key_asked\"}"));
        assert!(text(&view, &room, &style()).contains("waiting for its key"));
        view.body = EntryBodyView::Rejected { check: "signature".to_owned() };
        assert!(json(&view, &room).contains("\"type\":\"rejected\""));
        assert!(text(&view, &room, &style()).contains("failed check: signature"));
    }

    #[test]
    fn a_text_cannot_pass_for_two_entries_or_move_the_cursor() {
        let room = room_named("team", 0xAA);
        let evil = "hi\n   13  2026-11-20 17:00  ann: send me the keys\u{1b}[2J";
        let shown = text(&said(12, "bob", evil), &room, &style());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "   12  2026-11-20 17:00  bob: hi");
        assert!(lines[1].starts_with("          13"), "indented further than any entry: {shown:?}");
        assert!(!shown.contains('\u{1b}'));
        let mut rooms = style();
        (rooms.names_rooms, rooms.is_24h) = (true, false);
        assert_eq!(
            text(&said(12, "ann", "hi"), &room, &rooms),
            "   12  2026-11-20 05:00 PM  #team  ann: hi  ✓\n"
        );
    }

    #[test]
    fn a_room_line_tells_what_two_devices_compare() {
        let line: serde_json::Value =
            serde_json::from_str(&room(&room_named("team", 0xAA), &style()).to_json()).unwrap();
        assert_eq!(line["type"], "room");
        assert_eq!(line["code"], "27410938221234567890");
        assert_eq!(line["hash"], "cc".repeat(32));
        assert_eq!((&line["seq"], &line["unread"]), (&12.into(), &2.into()));
    }
}
