//! The sidebar: rooms and people with their unread counts, presence and drafts.

use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::wire::PresenceState;
use ratatui::layout::Rect;

use super::painter::{Painter, columns};
use crate::app::action::Action;
use crate::app::keymap::KeyContext;
use crate::app::model::Model;
use crate::app::model::people::Person;
use crate::app::model::room::Room;
use crate::app::theme::Role;

/// A row of the sidebar.
enum SidebarRow<'a> {
    Head(&'static str),
    Room(&'a Room),
    Person(&'a Person, Option<&'a Room>),
    Space,
}

/// Rows of the workspace's name and its rule.
const HEAD_ROWS: u16 = 2;

pub(super) fn draw(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let workspace = model.me.as_ref().map_or("mathia", |me| me.workspace.as_str());
    let workspace = crate::safe_text::SafeText::line(workspace);
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    painter.put_cut(inner, (0, 0), workspace.as_str(), Role::Name);
    painter.rule(inner, 1);
    let body =
        Rect { y: area.y + HEAD_ROWS, height: area.height.saturating_sub(HEAD_ROWS), ..area };
    let rows = rows(model);
    let height = usize::from(body.height);
    let skipped = first_row(model, &rows, height);
    for (i, row) in rows.iter().skip(skipped).take(height).enumerate() {
        let line = Rect { y: body.y + u16::try_from(i).unwrap_or(0), height: 1, ..body };
        draw_row(painter, line, model, row);
    }
    let n_below = rows.len().saturating_sub(skipped + height);
    if n_below > 0 {
        let last = Rect { y: body.bottom().saturating_sub(1), height: 1, ..body };
        painter.put(last, (0, 0), &" ".repeat(usize::from(last.width)), Role::Dim);
        painter.put_cut(last, (3, 0), &format!("{} more", n_below + 1), Role::Dim);
        let switcher = model.keymap.key_of(KeyContext::Compose, Action::Switcher);
        let hint = switcher.map_or_else(String::new, |key| format!("{key} "));
        painter.put_right(last, 0, &hint, Role::Dim);
    }
}

fn rows(model: &Model) -> Vec<SidebarRow<'_>> {
    let mut rows = vec![SidebarRow::Head("Rooms")];
    rows.extend(model.group_rooms().into_iter().map(SidebarRow::Room));
    let people = model.people.in_order(model.my_account());
    if !people.is_empty() {
        rows.push(SidebarRow::Space);
        rows.push(SidebarRow::Head("People"));
    }
    let people = people.into_iter();
    rows.extend(people.map(|person| SidebarRow::Person(person, model.direct_room(person.account))));
    rows
}

/// The first row shown, so that the current room is in view.
fn first_row(model: &Model, rows: &[SidebarRow<'_>], height: usize) -> usize {
    let is_here = |row: &SidebarRow<'_>| match row {
        SidebarRow::Room(room) | SidebarRow::Person(_, Some(room)) => {
            model.current_room == Some(room.facts.room)
        }
        SidebarRow::Person(_, None) | SidebarRow::Head(_) | SidebarRow::Space => false,
    };
    let here = rows.iter().position(is_here).unwrap_or(0);
    (here + 2).saturating_sub(height)
}

fn draw_row(painter: &mut Painter<'_>, area: Rect, model: &Model, row: &SidebarRow<'_>) {
    match row {
        SidebarRow::Space => {}
        SidebarRow::Head(head) => {
            painter.put(area, (1, 0), head, Role::Dim);
        }
        SidebarRow::Room(room) => {
            let is_open = room.facts.mode == RoomMode::Open;
            let sign = if is_open { ("#", Role::Dim) } else { (" ", Role::Dim) };
            place(painter, area, model, (sign, &room.facts.shown_name(), Some(room)));
        }
        SidebarRow::Person(person, room) => {
            let sign = person_sign(person);
            place(painter, area, model, (sign, person.handle.as_str(), *room));
        }
    }
}

/// The sign of a person: there, away, not there, or an assistant.
pub(super) fn person_sign(person: &Person) -> (&'static str, Role) {
    match person.presence {
        _ if person.is_agent => ("◆", Role::Assistant),
        PresenceState::Online => ("●", Role::Online),
        PresenceState::Away => ("◐", Role::Warn),
        PresenceState::Offline => ("○", Role::Dim),
    }
}

type ColoredSign = (&'static str, Role);

fn place(
    painter: &mut Painter<'_>,
    area: Rect,
    model: &Model,
    (sign, name, room): (ColoredSign, &str, Option<&Room>),
) {
    let is_here = room.is_some_and(|room| model.current_room == Some(room.facts.room));
    let n_unread = room.map_or(0, |room| room.facts.n_unread);
    let full = area.width.saturating_sub(1);
    let counted =
        room.map_or(full, |room| counts(painter, Rect { width: full, ..area }, model, room));
    let right = if counted < full { counted.saturating_sub(1) } else { full };
    let role = match (is_here, n_unread > 0) {
        (true, _) => Role::Mine,
        (false, true) => Role::Name,
        (false, false) => Role::Text,
    };
    if is_here {
        painter.put(area, (0, 0), "▌", Role::Accent);
    }
    painter.put(area, (1, 0), sign.0, sign.1);
    painter.put_cut(Rect { width: right, ..area }, (3, 0), name, role);
}

/// Writes what is unread at the right edge; returns the column where it begins.
fn counts(painter: &mut Painter<'_>, area: Rect, model: &Model, room: &Room) -> u16 {
    let mut col = area.width;
    let mut before = |painter: &mut Painter<'_>, text: &str, role| {
        let gap = u16::from(col < area.width);
        col = col.saturating_sub(columns(text) + gap);
        painter.put(area, (col, 0), text, role);
    };
    if room.facts.n_mentions > 0 {
        before(painter, &format!("@{}", room.facts.n_mentions), Role::Mention);
    }
    if room.facts.n_unread > 0 {
        before(painter, &room.facts.n_unread.to_string(), Role::Unread);
    }
    if model.has_draft(room) {
        before(painter, "✎", Role::Dim);
    }
    if room.facts.sending_stopped.is_some() {
        before(painter, "✗", Role::Failed);
    }
    col
}
