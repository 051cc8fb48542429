//! What happens by time alone: the read mark after a dwell, typing that ends, notices that go.

use std::time::Duration;

use mathia_protocol::client::Command;
use mathia_protocol::id::{RoomId, Seq};

use super::editing::{self, DRAFT_PAUSE, TYPING_PAUSE};
use crate::app::effect::{CommandTag, Effect};
use crate::app::model::connection::Connection;
use crate::app::model::room::Room;
use crate::app::model::timeline::Scroll;
use crate::app::model::{ArmedKey, EMPTY_SCREEN_DELAY, Model};

/// How long one must look before something counts as read.
const DWELL: Duration = Duration::from_millis(700);
/// After this time without a key, the others are notified that the person is away.
const AWAY_AFTER: Duration = Duration::from_mins(5);
/// How often a running time is drawn.
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Notes whether the window has the focus.
pub(super) fn focus(model: &mut Model, is_focused: bool) -> Vec<Effect> {
    model.has_focus = Some(is_focused);
    if is_focused { active(model).into_iter().collect() } else { editing::pause(model) }
}

/// Notes that the person did something here; the others are notified if the person was away.
pub(super) fn active(model: &mut Model) -> Option<Effect> {
    model.active_at = model.now.run;
    let was_away = std::mem::take(&mut model.is_away);
    was_away.then(|| Effect::silent(Command::SetAway(false)))
}

/// Notifies the others that the person is away, after a long time without a key.
fn away(model: &mut Model) -> Option<Effect> {
    let is_due = model.now.run >= model.active_at + AWAY_AFTER;
    if model.is_away || !is_due || model.wizard.is_some() {
        return None;
    }
    model.is_away = true;
    Some(Effect::silent(Command::SetAway(true)))
}

/// Does what is due by now.
pub(super) fn watch(model: &mut Model) -> Vec<Effect> {
    let run = model.now.run;
    if model.notice.as_ref().is_some_and(|notice| run >= notice.until) {
        model.notice = None;
    }
    if armed_until(model).is_some_and(|until| run >= until) {
        model.armed = None;
    }
    for room in model.rooms.values_mut() {
        room.typing.retain(|(_, until)| run < *until);
    }
    let mut effects = editing::settle(model);
    effects.extend(dwell(model));
    effects.extend(away(model));
    effects
}

/// Moves the read mark when unread messages were looked at long enough: somebody watches the
/// screen, the newest is in view, and nothing covers it.
fn dwell(model: &mut Model) -> Option<Effect> {
    let Some((room, upto)) = looked_at(model) else {
        model.dwell_since = None;
        return None;
    };
    let since = *model.dwell_since.get_or_insert(model.now.run);
    if model.now.run < since + DWELL {
        return None;
    }
    model.dwell_since = None;
    Some(mark_upto(model.rooms.get_mut(&room)?, upto))
}

/// Moves the read mark of a room to the newest that is here, whether it was looked at or not.
pub(super) fn mark(model: &mut Model, id: RoomId) -> Option<Effect> {
    let room = model.rooms.get_mut(&id)?;
    let upto = room.facts.head;
    Some(mark_upto(room, upto))
}

fn mark_upto(room: &mut Room, upto: Seq) -> Effect {
    room.marked = room.marked.max(upto);
    let command = Command::MarkRead { room: room.facts.room, upto };
    Effect::Command { tag: CommandTag::Mark(room.facts.room), command }
}

fn looked_at(model: &Model) -> Option<(RoomId, Seq)> {
    let room = model.room()?;
    let is_open = model.is_watched()
        && model.overlays.is_empty()
        && model.selected.is_none()
        && room.timeline.is_loaded
        && room.timeline.scroll == Scroll::Live;
    let newest = room.timeline.newest()?;
    let is_unread = newest > room.marked.max(room.facts.read_upto);
    (is_open && is_unread).then_some((room.facts.room, newest))
}

fn armed_until(model: &Model) -> Option<Duration> {
    model.armed.map(|armed| match armed {
        ArmedKey::Quit(until) | ArmedKey::Select(until) => until,
    })
}

/// When something is due next, as time of the program's run; `None` while nothing is.
pub fn next_deadline(model: &Model) -> Option<Duration> {
    let run = model.now.run;
    let typing = model.room().into_iter().flat_map(|room| room.typing.iter().map(|(_, at)| *at));
    let ticking = match model.connection {
        // A running time is shown, or a countdown.
        Connection::Offline { .. } | Connection::Reconnecting { .. } => Some(run + SECOND),
        _ if model.n_queued() > 0 => Some(run + SECOND),
        _ => None,
    };
    let own = [
        model.notice.as_ref().map(|notice| notice.until),
        armed_until(model),
        model.dwell_since.map(|since| since + DWELL),
        model.writing.unsaved_since.map(|since| since + DRAFT_PAUSE),
        model.writing.typing.map(|(_, last_key)| last_key + TYPING_PAUSE),
        ticking,
        Some(model.active_at + AWAY_AFTER).filter(|_| !model.is_away),
        Some(EMPTY_SCREEN_DELAY).filter(|delay| !model.are_rooms_known && run < *delay),
        // Times shown as "12 min ago", and the names of days.
        Some(run + MINUTE),
    ];
    own.into_iter().flatten().chain(typing).min().map(|due| due.max(run))
}
