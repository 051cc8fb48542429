//! Lines about log entries: JSON for programs, text for people.
//!
//! Every type of entry carries the same fields first: `room`, `room_id`, `seq`, `from`, `device`,
//! `time`.

use mathia_protocol::client::{EntryContent, EntryView, MarkCounts, RoomView, UnreadableCause};
use mathia_protocol::crypto::commit::CommitKind;
use mathia_protocol::crypto::content::{Answer, Content, Field, Outcome, ReactionCount};
use mathia_protocol::id::{AccountId, Seq};
use serde_json::Value;

use super::room::room_word;
use super::{Line, LineFormat};
use crate::asking;
use crate::clock::rfc3339;

/// The word for how far an own message is; the same rule as the ticks of the interactive client.
pub(crate) fn ticks(marks: &MarkCounts, seq: Seq) -> &'static str {
    let (n_delivered, n_read) = marks.reached(seq);
    match marks.n_others {
        0 => "accepted",
        n_others if n_read >= n_others => "read",
        n_others if n_delivered >= n_others => "delivered",
        _ => "accepted",
    }
}

/// One entry of a log.
pub(crate) fn entry(view: &EntryView, room: &RoomView, style: &LineFormat) -> Line {
    let mut line = envelope(view.content.word(), view, room);
    let mut tick = None;
    let words = match &view.content {
        EntryContent::Said(content) => {
            line = with_fields(line, content.fields());
            let has_tick = view.is_mine && matches!(content, Content::Text(_) | Content::Ask(_));
            tick = has_tick.then(|| ticks(&room.marks, view.seq));
            line = line.with_some("ticks", tick);
            if !view.reactions.is_empty() {
                line = line.with("reactions", reactions(&view.reactions, room));
            }
            said_words(&view.handle, content, room)
        }
        EntryContent::Change(change) => {
            let accounts: Vec<String> = change.accounts.iter().map(ToString::to_string).collect();
            line = line
                .with("action", action(change.kind))
                .with("text", change.text.as_str())
                .with("accounts", accounts)
                .with("epoch", change.epoch.0);
            format!("* {} {}", view.handle, change.text)
        }
        EntryContent::Unreadable(cause) => {
            line = line.with("cause", cause_word(*cause));
            format!("* {}: ({})", view.handle, cause_text(*cause))
        }
        EntryContent::Rejected { check } => {
            line = line.with("check", check.as_str());
            format!("! message {} failed check: {check}", view.seq)
        }
        EntryContent::Expired => format!("* {}: (expired)", view.handle),
    };
    line.text(for_people(view, room, style, &words, tick))
}

/// What a message says, for people; what is silent as a deed of its author.
fn said_words(handle: &str, content: &Content, room: &RoomView) -> String {
    match content {
        Content::Text(text) => format!("{handle}: {text}"),
        Content::Ask(ask) => {
            format!("{handle} asks {}: {}", agent_name(room, ask.agent), ask.text)
        }
        Content::Answer(answer) => format!("{handle}: {}", answer_words(answer)),
        Content::Reaction(one) if one.is_removed => {
            format!("* {handle} took {} back from message {}", one.emoji, one.target)
        }
        Content::Reaction(one) => {
            format!("* {handle} put {} on message {}", one.emoji, one.target)
        }
        Content::Stop(stop) => format!("* {handle} stopped the answer to {}", stop.ask),
        Content::Unknown { .. } => format!("* {handle}: (needs a newer client)"),
    }
}

/// Who reacted, by emoji: `[{"emoji":"👍","from":["ann"]}]`.
fn reactions(counts: &[ReactionCount], room: &RoomView) -> Vec<Value> {
    let name = |account: &AccountId| {
        let member = room.members.iter().find(|member| member.account == *account);
        member.map_or_else(|| account.to_string(), |member| member.handle.clone())
    };
    let count = |count: &ReactionCount| {
        let from: Vec<String> = count.authors.iter().map(name).collect();
        serde_json::json!({ "emoji": count.emoji.as_str(), "from": from })
    };
    counts.iter().map(count).collect()
}

/// Adds the fields that a content has in data.
pub(crate) fn with_fields(line: Line, fields: Vec<(&'static str, Field<'_>)>) -> Line {
    fields.into_iter().fold(line, |line, (name, field)| match field {
        Field::Text(text) => line.with(name, text),
        Field::Number(number) => line.with(name, number),
        Field::Flag(flag) => line.with(name, flag),
        Field::Numbers(numbers) => line.with(name, numbers),
    })
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

/// An answer in words: the text, and how it ended if not well.
pub(crate) fn answer_words(answer: &Answer) -> String {
    let Some(ending) = asking::ending(answer, "") else { return answer.text.clone() };
    match (answer.outcome, answer.text.trim_end()) {
        (Outcome::Refused, _) => ending,
        (_, "") => format!("({ending})"),
        (_, text) => format!("{text}\n({ending})"),
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
    style: &LineFormat,
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

#[cfg(test)]
mod tests {
    use mathia_protocol::client::Change;
    use mathia_protocol::id::{AccountId, Epoch};

    use jiff::tz::TimeZone;

    use super::*;
    use crate::output::Output;
    use crate::output::testing::{marks, room_named, said};

    fn style() -> LineFormat {
        LineFormat { zone: TimeZone::UTC, is_24h: true, names_rooms: false }
    }

    fn json(view: &EntryView, room: &RoomView) -> String {
        entry(view, room, &style()).to_json()
    }

    fn text(view: &EntryView, room: &RoomView, style: &LineFormat) -> String {
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
            view.content = EntryContent::Change(Change {
                kind: commit,
                text: "added bob".to_owned(),
                accounts: vec![AccountId([9; 32])],
                epoch: Epoch(2),
            });
            let line: Value = serde_json::from_str(&json(&view, &room)).unwrap();
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
        view.content = EntryContent::Unreadable(UnreadableCause::KeyAsked);
        assert!(json(&view, &room).contains("\"type\":\"unreadable\""));
        assert!(json(&view, &room).ends_with("\"cause\":\"key_asked\"}"));
        assert!(text(&view, &room, &style()).contains("waiting for its key"));
        view.content = EntryContent::Rejected { check: "signature".to_owned() };
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
}
