//! What the engine tells, folded into rooms, people and the connection.

use std::time::Duration;

use mathia_protocol::client::{
    ClientEvent, Command, EntryContent, EntryView, OutboxState, OutboxView, RoomView, RowTag,
    StreamView, TrustState,
};
use mathia_protocol::crypto::commit::RoomKind;
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{AccountId, RoomId, Seq, TimeMs};

use super::{notices, reacting, rooms, scrolling};
use crate::app::effect::{CommandTag, Effect};
use crate::app::model::Model;
use crate::app::model::entry::{self, Entry, ItemKey, Pending, PendingState};
use crate::app::model::question::Answering;
use crate::app::model::room::{NewLine, Room, RoomFacts};
use crate::app::model::timeline::Scroll;
use crate::safe_text::SafeText;

/// How long somebody is shown as typing if nothing more is told.
const TYPING_TIME: Duration = Duration::from_secs(6);

/// Folds what the engine tells.
pub(super) fn handle(model: &mut Model, event: ClientEvent) -> Vec<Effect> {
    match event {
        ClientEvent::Connection(state) => {
            let was_online = model.connection.is_online();
            model.connection = model.connection.changed(&state, model.now.run);
            if model.connection.is_online() && !was_online { online(model) } else { Vec::new() }
        }
        ClientEvent::Room(view) => room(model, &view),
        ClientEvent::RoomGone(gone) => room_gone(model, gone),
        ClientEvent::Entry(view) => entry(model, &view),
        ClientEvent::Stream(view) => {
            stream(model, &view);
            Vec::new()
        }
        // What is silent is shown where it works.
        ClientEvent::Outbox(view) if view.content.is_silent() => match &view.content {
            Content::Reaction(reaction) => reacting::outbox(model, &view, reaction),
            _ => stop_state(model, &view),
        },
        ClientEvent::Reactions { room, target, reactions } => {
            if let Some(room) = model.rooms.get_mut(&room) {
                room.timeline.set_reactions(target, reactions);
            }
            Vec::new()
        }
        ClientEvent::Outbox(view) => {
            outbox(model, &view);
            Vec::new()
        }
        ClientEvent::Marks { room, marks } => {
            if let Some(room) = model.rooms.get_mut(&room) {
                room.facts.marks = marks;
            }
            Vec::new()
        }
        ClientEvent::Typing { room, account, is_typing } => {
            typing(model, room, account, is_typing);
            Vec::new()
        }
        ClientEvent::Presence(view) => {
            model.people.seen(view);
            Vec::new()
        }
        ClientEvent::Alarm { room, account, text, .. } => alarm(model, room, account, &text),
        ClientEvent::Notice { room, text } => {
            note(model, room, &text, false);
            Vec::new()
        }
        ClientEvent::ScheduleDropped { room, text } => {
            note(model, Some(room), &text, true);
            Vec::new()
        }
    }
}

/// Back online: what could not be told meanwhile is told, and who is there asked anew.
fn online(model: &mut Model) -> Vec<Effect> {
    for room in model.rooms.values_mut() {
        room.marked = room.facts.read_upto;
        room.timeline.asked = None;
        // What the replica could not give, the server may.
        room.timeline.has_more |= room.timeline.oldest().is_some_and(|oldest| oldest > Seq(1));
    }
    let mut effects = vec![Effect::Command { tag: CommandTag::People, command: Command::People }];
    if let Some(place) = model.current_room {
        effects.extend(rooms::load(model, place, Seq(0)));
    }
    effects
}

/// A room appeared or changed.
pub(super) fn room(model: &mut Model, view: &RoomView) -> Vec<Effect> {
    let facts = RoomFacts::of(view);
    let id = facts.room;
    let me = model.my_account();
    for member in facts.members.iter().filter(|member| member.account != me) {
        model.people.meet(member.account, &member.handle, member.is_agent);
    }
    let draft = model.early_drafts.remove(&id);
    if let Some(room) = model.rooms.get_mut(&id) {
        room.facts = facts;
        let members = &room.facts.members;
        let is_member = |agent| members.iter().any(|member| member.account == agent);
        room.timeline.keep_answering(|answering| is_member(answering.agent));
    } else {
        let mut room = Room::new(facts);
        room.draft = draft.unwrap_or_default();
        model.rooms.insert(id, room);
    }
    let is_wanted = model.wanted == Some(id);
    if is_wanted
        || (model.current_room.is_none() && model.wanted.is_none() && model.are_rooms_known)
    {
        return rooms::enter(model, id);
    }
    Vec::new()
}

fn room_gone(model: &mut Model, gone: RoomId) -> Vec<Effect> {
    if !model.rooms.contains_key(&gone) {
        return Vec::new();
    }
    let was_here = model.current_room == Some(gone);
    let mut effects = if was_here { rooms::leave(model) } else { Vec::new() };
    let Some(room) = model.rooms.remove(&gone) else { return effects };
    if !room.draft.is_empty() {
        // Should the room come back, so does what was being written.
        model.early_drafts.insert(gone, room.draft.clone());
    }
    notices::show(model, &format!("You are no longer in {}.", room.facts.shown_name()));
    if let Some(next) = rooms::first_place(model).filter(|_| was_here) {
        effects.extend(rooms::enter(model, next));
    }
    effects
}

fn entry(model: &mut Model, view: &EntryView) -> Vec<Effect> {
    let is_here = model.current_room == Some(view.room);
    let is_watched = model.is_watched() && is_here;
    let ask = match view.content.said() {
        Some(Content::Answer(answer)) if is_here => Some(answer.ask),
        _ => None,
    };
    if ask.is_some_and(|ask| model.selected == Some(ItemKey::Answering(ask))) {
        model.selected = Some(ItemKey::Placed(view.seq, 0));
    }
    let n_before = ask.and_then(|ask| scrolling::reads_answer(model, ask));
    let Some(room) = model.rooms.get_mut(&view.room) else { return Vec::new() };
    let entry = Entry::of(view);
    let is_news = !entry.is_mine && entry.is_countable && entry.seq > room.facts.read_upto;
    let calls = entry.is_mention || room.facts.kind == RoomKind::Direct;
    room.typing.retain(|(account, _)| *account != entry.author);
    let mut effects = Vec::new();
    let mut is_new = true;
    if room.timeline.is_loaded {
        let seq = entry.seq;
        is_new = room.timeline.insert(entry);
        room.timeline.bound(is_here);
        if let Some(hole) = room.timeline.hole_before(seq) {
            effects.extend(rooms::load(model, view.room, hole));
        }
    }
    if is_news && is_new {
        if is_here {
            count_new(model);
        }
        if calls && !is_watched {
            effects.extend(notices::ring(model));
        }
    }
    if let Some(n_before) = n_before {
        scrolling::keep_reading(model, view.seq, n_before);
    }
    effects
}

/// More of an answer came. It moves nobody who reads above it, and counts once it is whole.
fn stream(model: &mut Model, view: &StreamView) {
    let since = model.now.wall;
    if let Some(room) = model.rooms.get_mut(&view.room) {
        room.timeline.grow(Answering::of(view, since));
    }
}

/// Counts a message that arrived in the room one is in.
fn count_new(model: &mut Model) {
    let is_watched = model.is_watched();
    let Some(room) = model.room_mut() else { return };
    let is_live = room.timeline.scroll == Scroll::Live;
    if !is_live {
        room.timeline.n_below += 1;
    }
    if let Some(line) = &mut room.line {
        // As long as nothing below the line was read, it counts on.
        line.n_new += u32::from(room.marked <= line.after);
    } else if !(is_watched && is_live) {
        let after = room.marked.max(room.facts.read_upto);
        room.line = Some(NewLine { after, n_new: 1, is_placed: true });
    }
}

fn typing(model: &mut Model, room: RoomId, account: AccountId, is_typing: bool) {
    let until = model.now.run + TYPING_TIME;
    let me = model.my_account();
    let Some(room) = model.rooms.get_mut(&room) else { return };
    let is_member = room.facts.members.iter().any(|member| member.account == account);
    room.typing.retain(|(typing, _)| *typing != account);
    if is_typing && is_member && account != me {
        room.typing.push((account, until));
    }
}

fn alarm(
    model: &mut Model,
    room: Option<RoomId>,
    account: Option<AccountId>,
    text: &str,
) -> Vec<Effect> {
    if let Some(person) = account.and_then(|account| model.people.get_mut(account)) {
        person.trust = TrustState::Changed;
    }
    note(model, room, text, true);
    notices::show_error(model, text);
    let people = Effect::Command { tag: CommandTag::People, command: Command::People };
    notices::ring(model).into_iter().chain([people]).collect()
}

/// Adds a line to a room's timeline, or to that of the room one is in.
fn note(model: &mut Model, room: Option<RoomId>, text: &str, is_alarm: bool) {
    let time = model.now.wall;
    let room = room.or(model.current_room).and_then(|id| model.rooms.get_mut(&id));
    match room {
        Some(room) => room.timeline.note(SafeText::line(text), time, is_alarm),
        None => notices::show(model, text),
    }
}

/// A stop that the server refuses is told and dropped: there is no text to mend or send again.
fn stop_state(model: &mut Model, view: &OutboxView) -> Vec<Effect> {
    let OutboxState::Failed { cause } = &view.state else { return Vec::new() };
    notices::show_error(model, &format!("The answer was not stopped: {cause}"));
    vec![Effect::silent(Command::Withdraw { local_id: view.local_id })]
}

/// Something in the outbox changed.
fn outbox(model: &mut Model, view: &OutboxView) {
    let me = model.me.clone();
    let next_key = model.next_key;
    let Some(room) = model.rooms.get_mut(&view.room) else { return };
    let text = SafeText::clean(view.text());
    let timeline = &mut room.timeline;
    let is_ask = matches!(view.content, Content::Ask(_));
    // The answer with the number may come after this: the tag says which row it is.
    let is_tagged = |pending: &Pending| view.tag == Some(RowTag(pending.key));
    if let Some(pending) = timeline.pending_mut(is_tagged) {
        pending.local_id = Some(view.local_id);
    }
    let is_known = |pending: &Pending| pending.local_id == Some(view.local_id);
    let state = match &view.state {
        OutboxState::Queued => PendingState::Queued,
        OutboxState::Sent => PendingState::Sent,
        OutboxState::Failed { cause } => PendingState::Failed(SafeText::line(cause)),
        OutboxState::Withdrawn => {
            timeline.take_pending(is_known);
            return;
        }
        OutboxState::Accepted { seq, time } => {
            timeline.take_pending(is_known);
            if let Some(me) = me.filter(|_| timeline.is_loaded) {
                let content = entry::clean(&EntryContent::Said(view.content.clone()));
                accepted(room, &me, content, (*seq, *time));
            }
            return;
        }
    };
    if let Some(pending) = timeline.pending_mut(is_known) {
        pending.state = state;
    } else {
        let (key, queued_at) = (next_key, view.queued_at);
        let local_id = Some(view.local_id);
        timeline.push_pending(Pending { key, local_id, text, is_ask, queued_at, state });
        model.next_key += 1;
    }
}

/// Shows an own text at the place the server gave it, until the entry itself is told.
fn accepted(
    room: &mut Room,
    me: &crate::app::model::Me,
    content: EntryContent<SafeText>,
    (seq, time): (Seq, TimeMs),
) {
    if !room.timeline.has(seq) {
        room.timeline.insert(Entry {
            seq,
            time,
            author: me.account,
            handle: SafeText::line(me.handle.as_str()),
            is_mine: true,
            is_countable: true,
            is_mention: false,
            is_shown_to_agent: false,
            content,
            reactions: Vec::new(),
        });
    }
}
