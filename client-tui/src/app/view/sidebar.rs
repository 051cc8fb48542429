//! The rooms and people: where one is, what is unread, who is there, where a draft waits.

use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::wire::PresenceState;
use ratatui::layout::Rect;

use super::pen::{Pen, columns};
use crate::app::action::Action;
use crate::app::keymap::Place;
use crate::app::model::Model;
use crate::app::model::people::Person;
use crate::app::model::room::Room;
use crate::app::theme::Role;

/// A row of the sidebar.
enum Row<'a> {
    Head(&'static str),
    Room(&'a Room),
    Person(&'a Person, Option<&'a Room>),
    Space,
}

/// Rows of the workspace's name and its rule.
const HEAD_ROWS: u16 = 2;

pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, model: &Model) {
    let workspace = model.me.as_ref().map_or("mathia", |me| me.workspace.as_str());
    let workspace = crate::safe_text::SafeText::line(workspace);
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    pen.put_cut(inner, (0, 0), workspace.as_str(), Role::Name);
    pen.rule(inner, 1);
    let body =
        Rect { y: area.y + HEAD_ROWS, height: area.height.saturating_sub(HEAD_ROWS), ..area };
    let rows = rows(model);
    let height = usize::from(body.height);
    let skipped = first_row(model, &rows, height);
    for (i, row) in rows.iter().skip(skipped).take(height).enumerate() {
        let line = Rect { y: body.y + u16::try_from(i).unwrap_or(0), height: 1, ..body };
        draw_row(pen, line, model, row);
    }
    let n_below = rows.len().saturating_sub(skipped + height);
    if n_below > 0 {
        let last = Rect { y: body.bottom().saturating_sub(1), height: 1, ..body };
        pen.put(last, (0, 0), &" ".repeat(usize::from(last.width)), Role::Dim);
        pen.put_cut(last, (3, 0), &format!("{} more", n_below + 1), Role::Dim);
        let switcher = model.keymap.key_of(Place::Compose, Action::Switcher);
        let hint = switcher.map_or_else(String::new, |key| format!("{key} "));
        pen.put_right(last, 0, &hint, Role::Dim);
    }
}

fn rows(model: &Model) -> Vec<Row<'_>> {
    let mut rows = vec![Row::Head("Rooms")];
    rows.extend(model.group_rooms().into_iter().map(Row::Room));
    let people = model.people.in_order(model.my_account());
    if !people.is_empty() {
        rows.push(Row::Space);
        rows.push(Row::Head("People"));
    }
    let people = people.into_iter();
    rows.extend(people.map(|person| Row::Person(person, model.direct_room(person.account))));
    rows
}

/// The first row shown, so that the room one is in is in view.
fn first_row(model: &Model, rows: &[Row<'_>], height: usize) -> usize {
    let is_here = |row: &Row<'_>| match row {
        Row::Room(room) | Row::Person(_, Some(room)) => model.place == Some(room.facts.room),
        Row::Person(_, None) | Row::Head(_) | Row::Space => false,
    };
    let here = rows.iter().position(is_here).unwrap_or(0);
    (here + 2).saturating_sub(height)
}

fn draw_row(pen: &mut Pen<'_>, area: Rect, model: &Model, row: &Row<'_>) {
    match row {
        Row::Space => {}
        Row::Head(head) => {
            pen.put(area, (1, 0), head, Role::Dim);
        }
        Row::Room(room) => {
            let is_open = room.facts.mode == RoomMode::Open;
            let sign = if is_open { ("#", Role::Dim) } else { (" ", Role::Dim) };
            place(pen, area, model, (sign, &room.facts.shown_name(), Some(room)));
        }
        Row::Person(person, room) => {
            let sign = person_sign(person);
            place(pen, area, model, (sign, person.handle.as_str(), *room));
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

type Sign = (&'static str, Role);

fn place(
    pen: &mut Pen<'_>,
    area: Rect,
    model: &Model,
    (sign, name, room): (Sign, &str, Option<&Room>),
) {
    let is_here = room.is_some_and(|room| model.place == Some(room.facts.room));
    let n_unread = room.map_or(0, |room| room.facts.n_unread);
    let full = area.width.saturating_sub(1);
    let counted = room.map_or(full, |room| counts(pen, Rect { width: full, ..area }, model, room));
    let right = if counted < full { counted.saturating_sub(1) } else { full };
    let role = match (is_here, n_unread > 0) {
        (true, _) => Role::Mine,
        (false, true) => Role::Name,
        (false, false) => Role::Text,
    };
    if is_here {
        pen.put(area, (0, 0), "▌", Role::Accent);
    }
    pen.put(area, (1, 0), sign.0, sign.1);
    pen.put_cut(Rect { width: right, ..area }, (3, 0), name, role);
}

/// Writes what is unread at the right edge; returns the column where it begins.
fn counts(pen: &mut Pen<'_>, area: Rect, model: &Model, room: &Room) -> u16 {
    let mut col = area.width;
    let mut before = |pen: &mut Pen<'_>, text: &str, role| {
        let gap = u16::from(col < area.width);
        col = col.saturating_sub(columns(text) + gap);
        pen.put(area, (col, 0), text, role);
    };
    if room.facts.n_mentions > 0 {
        before(pen, &format!("@{}", room.facts.n_mentions), Role::Mention);
    }
    if room.facts.n_unread > 0 {
        before(pen, &room.facts.n_unread.to_string(), Role::Unread);
    }
    if model.has_draft(room) {
        before(pen, "✎", Role::Dim);
    }
    if room.facts.sending_stopped.is_some() {
        before(pen, "✗", Role::Failed);
    }
    col
}
