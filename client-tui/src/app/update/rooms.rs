//! Switching rooms, and loading their timelines.

use mathia_protocol::client::Command;
use mathia_protocol::id::{RoomId, Seq};

use super::{editing, notices};
use crate::app::composer::Composer;
use crate::app::effect::{CommandTag, Effect};
use crate::app::layout::TimelinePage;
use crate::app::model::entry::ItemKey;
use crate::app::model::room::NewLine;
use crate::app::model::timeline::Scroll;
use crate::app::model::{Model, Writing};

/// Entries read at a time.
const PAGE_LEN: u32 = 100;

/// What is asked of the engine when there is one.
pub(super) fn load_all() -> [Effect; 2] {
    [
        Effect::Command { tag: CommandTag::Rooms, command: Command::Rooms },
        Effect::Command { tag: CommandTag::People, command: Command::People },
    ]
}

/// Goes to a room. The line above what is new is drawn now and stays until the room is left.
pub(super) fn enter(model: &mut Model, to: RoomId) -> Vec<Effect> {
    model.overlays.clear();
    model.selected = None;
    if model.current_room == Some(to) || !model.rooms.contains_key(&to) {
        return Vec::new();
    }
    // What was written before there was a place comes along, behind the draft that waits there.
    let early = if model.current_room.is_none() { model.composer.take() } else { String::new() };
    let mut effects = leave(model);
    model.current_room = Some(to);
    model.wanted = None;
    let Some(room) = model.rooms.get_mut(&to) else { return effects };
    model.composer = Composer::with_text(&room.draft);
    if !early.is_empty() {
        model.composer.insert(&early);
        model.writing.unsaved_since = Some(model.now.run);
    }
    room.line = (room.facts.n_unread > 0).then_some(NewLine {
        after: room.facts.read_upto,
        n_new: room.facts.n_unread,
        is_placed: false,
    });
    room.marked = room.facts.read_upto;
    effects.extend(load(model, to, Seq(0)));
    place_line(model);
    effects
}

/// Leaves the current room: its draft is kept, its line goes.
pub(super) fn leave(model: &mut Model) -> Vec<Effect> {
    let effects = editing::pause(model);
    let draft = model.composer.text().to_owned();
    model.composer = Composer::default();
    model.writing = Writing::default();
    model.dwell_since = None;
    if let Some(room) = model.room_mut() {
        room.draft = draft;
        room.line = None;
        room.timeline.rest();
    }
    model.current_room = None;
    effects
}

/// Asks for a page of a room unless it is there or on its way. `Seq(0)` is the newest.
pub(super) fn load(model: &mut Model, id: RoomId, before: Seq) -> Option<Effect> {
    let timeline = &mut model.rooms.get_mut(&id)?.timeline;
    let is_there = before == Seq(0) && timeline.is_loaded;
    if is_there || timeline.asked.is_some() {
        return None;
    }
    timeline.asked = Some(before);
    let command = Command::Timeline { room: id, before, count: PAGE_LEN };
    Some(Effect::Command { tag: CommandTag::Timeline { room: id, before }, command })
}

/// Asks for older entries when the window nears the oldest that are loaded.
pub(super) fn load_older(model: &mut Model) -> Option<Effect> {
    let page = TimelinePage::of(model)?;
    let room = model.room()?;
    let oldest = room.timeline.oldest().filter(|_| room.timeline.has_more && page.is_at_top())?;
    load(model, room.facts.room, oldest)
}

/// Places the window so that the line above what is new can be seen, once.
pub(super) fn place_line(model: &mut Model) {
    let Some(room) = model.room() else { return };
    let Some(line) = room.line.filter(|line| !line.is_placed && room.timeline.is_loaded) else {
        return;
    };
    let first = room.timeline.first_countable_after(line.after).map(|entry| entry.seq);
    let scroll = first.and_then(|first| {
        let key = ItemKey::Placed(first, 0);
        let page = TimelinePage::of(model)?;
        let is_seen = page.window().iter().any(|line| line.key == key);
        (!is_seen).then(|| page.with_top(key, 1))
    });
    if let Some(room) = model.room_mut() {
        room.line = Some(NewLine { is_placed: true, ..line });
        room.timeline.scroll = scroll.unwrap_or(Scroll::Live);
    }
}

/// Goes up or down the sidebar by one room.
pub(super) fn neighbor(model: &mut Model, is_down: bool) -> Vec<Effect> {
    let order = model.rooms_in_order();
    let n_rooms = order.len();
    let Some(here) = order.iter().position(|room| Some(*room) == model.current_room) else {
        return order.first().map_or_else(Vec::new, |first| enter(model, *first));
    };
    let there = if is_down { here + 1 } else { here + n_rooms - 1 } % n_rooms;
    enter(model, order[there])
}

/// Goes to the next room with something unread: mentions first, then direct rooms and others in
/// the order of the sidebar.
pub(super) fn next_unread(model: &mut Model) -> Vec<Effect> {
    let rank = |id: &RoomId| {
        model
            .rooms
            .get(id)
            .filter(|_| Some(*id) != model.current_room)
            .map(|room| (room.facts.n_mentions > 0, room.facts.n_unread > 0))
    };
    let order = model.rooms_in_order();
    let mentioned = order.iter().find(|id| rank(id).is_some_and(|(mention, _)| mention));
    let unread = order.iter().find(|id| rank(id).is_some_and(|(_, unread)| unread));
    if let Some(room) = mentioned.or(unread) {
        let room = *room;
        enter(model, room)
    } else {
        notices::show(model, "Everything is read.");
        Vec::new()
    }
}

/// The room to begin with: one that mentions the reader, one with something unread, the latest.
pub(super) fn first_place(model: &Model) -> Option<RoomId> {
    let rank = |room: &&crate::app::model::room::Room| {
        let facts = &room.facts;
        (facts.n_mentions > 0, facts.n_unread > 0, facts.active_at)
    };
    model.rooms.values().max_by_key(rank).map(|room| room.facts.room)
}
