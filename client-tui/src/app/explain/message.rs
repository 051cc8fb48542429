//! Why a message is as it is, and who has it.

use mathia_protocol::client::{EntryContent, UnreadableCause};
use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::crypto::content::{Content, ReactionCount};
use mathia_protocol::id::AccountId;
use mathia_protocol::wire::PresenceState;

use super::{BACK, Panel, PanelRow, assistant};
use crate::app::action::Action;
use crate::app::model::Model;
use crate::app::model::entry::{Entry, ItemKey, Pending, PendingState};
use crate::app::model::room::{Reach, Room, Tick};
use crate::app::model::timeline::Item;
use crate::app::stamp;
use crate::safe_text::SafeText;

/// People named one by one at most.
const NAMED_MAX: usize = 8;

/// Why the thing is as it is.
pub(super) fn why(model: &Model, key: ItemKey) -> Panel {
    let item = model.room().and_then(|room| {
        room.timeline.item(room.timeline.index_of(key)).filter(|item| item.key() == key)
    });
    let (Some(room), Some(item)) = (model.room(), item) else {
        let gone = "It is no longer here: it was sent, withdrawn or replaced meanwhile.";
        return panel("why", vec![PanelRow::Text(gone.to_owned())], false);
    };
    match item {
        Item::Entry(entry) => why_entry(model, room, entry),
        Item::Pending(pending) => why_pending(model, pending),
        Item::Answering(answering) => {
            let text = format!(
                "{} is answering message {}. When it is done, the whole answer takes the place of \
                 what has come so far.",
                answering.handle, answering.ask
            );
            let mut rows = vec![PanelRow::Text(text)];
            if answering.has_gap {
                let gap = "A piece was lost on the way (…); the whole answer will have it.";
                rows.push(PanelRow::Quiet(gap.to_owned()));
            }
            panel("why ◆", rows, false)
        }
        Item::Note(_) => {
            let text = "Your own client wrote this line; nobody else sees it.";
            panel("why", vec![PanelRow::Text(text.to_owned())], false)
        }
    }
}

fn panel(title: &str, rows: Vec<PanelRow>, has_ticks: bool) -> Panel {
    let ticks = has_ticks.then_some((Action::Ticks, "who has it"));
    let actions = ticks.into_iter().chain([BACK]).collect();
    Panel { title: title.to_owned(), rows, actions }
}

fn why_entry(model: &Model, room: &Room, entry: &Entry) -> Panel {
    let text = |text: String| vec![PanelRow::Text(text)];
    match &entry.content {
        EntryContent::Said(content) => {
            let mut panel = why_said(model, room, entry, content);
            panel.rows.extend(reactions(model, room, entry));
            panel
        }
        EntryContent::Change(_) => {
            let signed = format!(
                "{} changed the room at {} and signed the change; your client checked that \
                 the room's rules allow it.",
                entry.handle,
                model.time_format.moment(entry.time, model.now.wall)
            );
            panel("why", text(signed), false)
        }
        EntryContent::Rejected { check } => panel("why ✗", rejected(entry, check.as_str()), false),
        EntryContent::Unreadable(cause) => {
            let rows = unreadable(*cause).iter();
            let rows = rows.map(|row| PanelRow::Text((*row).to_owned())).collect();
            panel("why unreadable", rows, false)
        }
        EntryContent::Expired => {
            let gone = "This room keeps messages for a set time (/set retention_days). Its place \
                        in the log is kept, its text is deleted.";
            panel("why", text(gone.to_owned()), false)
        }
    }
}

fn why_said(model: &Model, room: &Room, entry: &Entry, content: &Content<SafeText>) -> Panel {
    let at = model.time_format.moment(entry.time, model.now.wall);
    match content {
        Content::Text(_) if entry.is_mine => why_own(model, room, entry, &at),
        Content::Ask(asked) => {
            let mut rows = assistant::why_asked(model, room, entry, asked);
            rows.push(sealing(room, entry));
            panel("why @", rows, entry.is_mine)
        }
        Content::Answer(answered) => {
            panel("why ◆", assistant::why_answered(model, entry, answered), false)
        }
        Content::Text(_) | Content::Stop(_) | Content::Reaction(_) => {
            let said = format!("{} said this, stored at {at}.", entry.handle);
            let mut rows = vec![PanelRow::Text(said), sealing(room, entry)];
            if entry.is_shown_to_agent {
                rows.extend(assistant::shown_by(model, room, entry.seq));
            }
            if entry.is_mention {
                let called = "It names you, so it counts as a mention.";
                rows.push(PanelRow::Text(called.to_owned()));
            }
            panel("why", rows, false)
        }
        Content::Unknown { kind, .. } => {
            let newer = format!(
                "A newer client wrote it, as kind {kind}. Updating mathia lets you read it; \
                 nothing is lost meanwhile."
            );
            panel("why", vec![PanelRow::Text(newer)], false)
        }
    }
}

/// Who reacted, and with what.
fn reactions(model: &Model, room: &Room, entry: &Entry) -> Vec<PanelRow> {
    let me = model.my_account();
    let name = |account: &AccountId| {
        if *account == me {
            return "you".to_owned();
        }
        let member = room.facts.members.iter().find(|member| member.account == *account);
        member.map_or_else(|| account.short(), |member| member.handle.as_str().to_owned())
    };
    let row = |count: ReactionCount| {
        let names: Vec<String> = count.authors.iter().take(NAMED_MAX).map(name).collect();
        let more = match count.authors.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let emoji = SafeText::line(count.emoji.as_str());
        PanelRow::Pair(format!("{emoji} {}", count.authors.len()), names.join(", ") + &more)
    };
    room.timeline.reactions_to(entry, me).into_iter().map(row).collect()
}

fn rejected(entry: &Entry, check: &str) -> Vec<PanelRow> {
    vec![
        PanelRow::Warn(format!("Message {} failed check {check}.", entry.seq)),
        PanelRow::Text(
            "Somebody changed, forged or repeated it, or a client is broken. Its text is not shown \
             since nobody can vouch for it; its bytes are kept for a report."
                .to_owned(),
        ),
        PanelRow::Quiet("Compare the room code with others by another way: /code".to_owned()),
    ]
}

fn why_own(model: &Model, room: &Room, entry: &Entry, at: &str) -> Panel {
    let reach = room.reach(entry.seq);
    let title = match reach.tick() {
        Tick::Read => "why ✓✓ read",
        Tick::Delivered => "why ✓✓",
        _ => "why ✓",
    };
    let mut rows = vec![PanelRow::Text(accepted(reach, at))];
    if reach.tick() == Tick::Accepted && reach.n_others > 0 {
        rows.extend(absent(model, room));
        rows.push(PanelRow::Text("It is delivered when they return; nothing to do.".to_owned()));
    }
    if entry.is_shown_to_agent {
        rows.extend(assistant::shown_by(model, room, entry.seq));
    }
    rows.push(sealing(room, entry));
    panel(title, rows, true)
}

fn accepted(reach: Reach, at: &str) -> String {
    let begin = format!("The server has stored it safely at {at}");
    match reach.tick() {
        _ if reach.n_others == 0 => format!("{begin}. You are alone here for now."),
        Tick::Read => format!("{begin}; everybody has read it."),
        Tick::Delivered => {
            let n_read = reach.n_read;
            format!("{begin}; everybody has received it, {n_read} of {} read it.", reach.n_others)
        }
        _ => {
            format!("{begin}; {} of {} others have received it.", reach.n_delivered, reach.n_others)
        }
    }
}

/// Who is not here, and since when.
fn absent(model: &Model, room: &Room) -> Vec<PanelRow> {
    let me = model.my_account();
    let people = room.facts.members.iter().filter(|m| m.account != me && !m.is_agent);
    people
        .filter_map(|member| model.people.get(member.account))
        .filter(|person| person.presence != PresenceState::Online)
        .take(NAMED_MAX)
        .map(|person| {
            let seen = if person.last_seen.0 == 0 {
                "has not been seen yet".to_owned()
            } else {
                format!("was last here {} ago", stamp::ago(person.last_seen, model.now.wall))
            };
            PanelRow::Quiet(format!("{} {seen}", person.handle))
        })
        .collect()
}

fn sealing(room: &Room, entry: &Entry) -> PanelRow {
    if room.facts.mode == RoomMode::Open {
        let open = "This room is open: everyone in the workspace and the server can read it.";
        return PanelRow::Warn(open.to_owned());
    }
    let shown = if entry.is_shown_to_agent { ", and was shown to the assistant" } else { "" };
    PanelRow::Quiet(format!("It is sealed for the members of this room{shown}."))
}

fn unreadable(cause: UnreadableCause) -> &'static [&'static str] {
    match cause {
        UnreadableCause::BeforeJoin => &[
            "It was said before you joined, and this room does not share its history with \
             newcomers (/set history).",
            "Somebody who was there can tell you; the keys were never made for you.",
        ],
        UnreadableCause::KeyAsked => &[
            "The key it was sealed with has not reached this device yet. The other members' \
             devices were asked for it.",
            "It becomes readable by itself as soon as one of them is online.",
        ],
        UnreadableCause::NotShown => &[
            "This account is an assistant's: it reads only what is shown to it, and this was not.",
        ],
        UnreadableCause::KeyBad => &[
            "A key came that does not open it. It was refused and asked for again.",
            "If this stays, somebody's client is broken or lying: compare /code with others.",
        ],
    }
}

fn why_pending(model: &Model, pending: &Pending) -> Panel {
    let at = model.time_format.moment(pending.queued_at, model.now.wall);
    let rows = match &pending.state {
        PendingState::Queued if model.connection.is_online() => {
            vec![PanelRow::Text(format!("Written at {at}; it is being sent."))]
        }
        PendingState::Queued => vec![
            PanelRow::Text(format!("Written at {at}; it waits safely on this device.")),
            PanelRow::Text("It is sent by itself when the connection is back.".to_owned()),
            PanelRow::Quiet("/outbox takes it back or lets you edit it.".to_owned()),
        ],
        PendingState::Sent => vec![
            PanelRow::Text("It was sent, and the server has not answered yet.".to_owned()),
            PanelRow::Quiet("If it must be sent again, it still arrives only once.".to_owned()),
        ],
        PendingState::Failed(cause) => vec![
            PanelRow::Warn(format!("It was not sent: {cause}")),
            PanelRow::Text("/retry sends it again; /outbox lets you edit or drop it.".to_owned()),
        ],
    };
    panel("why ·", rows, false)
}

/// Who has the message.
pub(super) fn ticks(model: &Model, key: ItemKey) -> Panel {
    let entry =
        model.room().and_then(|room| match room.timeline.item(room.timeline.index_of(key)) {
            Some(Item::Entry(entry)) if entry.is_mine && item_is(entry, key) => Some((room, entry)),
            _ => None,
        });
    let Some((room, entry)) = entry else {
        let text = "Ticks stand on your own messages once the server has them.";
        return panel("who has it", vec![PanelRow::Text(text.to_owned())], false);
    };
    let Reach { n_others, n_delivered, n_read } = room.reach(entry.seq);
    let pair = |left: &str, n: u32| PanelRow::Pair(left.to_owned(), format!("{n} of {n_others}"));
    let mut rows = vec![
        PanelRow::Pair("✓ stored".to_owned(), model.time_format.moment(entry.time, model.now.wall)),
        pair("✓✓ received", n_delivered),
        pair("✓✓ read", n_read),
    ];
    if n_delivered < n_others {
        rows.push(PanelRow::Space);
        rows.extend(absent(model, room));
    }
    panel("who has it", rows, false)
}

fn item_is(entry: &Entry, key: ItemKey) -> bool {
    ItemKey::Placed(entry.seq, 0) == key
}
