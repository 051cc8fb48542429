//! The panel of members, where the screen is wide enough.

use mathia_protocol::crypto::commit::RoomKind;
use mathia_protocol::wire::PresenceState;
use ratatui::layout::Rect;

use super::painter::{Painter, columns};
use crate::app::explain::room::{presence_sign, role_name};
use crate::app::model::Model;
use crate::app::model::room::Member;
use crate::app::stamp;
use crate::app::theme::Role;

pub(super) fn draw(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    painter.put(inner, (0, 0), "Members", Role::Dim);
    painter.rule(inner, 1);
    let Some(room) = model.room() else { return };
    let n_shown = usize::from(area.height.saturating_sub(3));
    for (row, member) in (2..).zip(room.facts.members.iter().take(n_shown)) {
        draw_member(painter, inner, model, (row, member));
    }
    let n_more = room.facts.members.len().saturating_sub(n_shown);
    if n_more > 0 {
        let row = area.height.saturating_sub(1);
        painter.put_cut(inner, (2, row), &format!("{n_more} more · /who"), Role::Dim);
    }
}

fn draw_member(
    painter: &mut Painter<'_>,
    area: Rect,
    model: &Model,
    (row, member): (u16, &Member),
) {
    let sign = presence_sign(model, member);
    let role = match sign {
        "●" => Role::Online,
        "◐" => Role::Warn,
        "◆" => Role::Assistant,
        _ => Role::Dim,
    };
    painter.put(area, (0, row), sign, role);
    let aside = aside(model, member);
    let right = area.width.saturating_sub(columns(&aside));
    let is_me = member.account == model.my_account();
    let name = Rect { width: right.saturating_sub(1), ..area };
    let name_role = if is_me { Role::Mine } else { Role::Text };
    painter.put_cut(name, (2, row), member.handle.as_str(), name_role);
    painter.put(area, (right, row), &aside, Role::Dim);
}

/// The role if it is worth showing, else how long somebody has been away.
fn aside(model: &Model, member: &Member) -> String {
    let is_direct = model.room().is_some_and(|room| room.facts.kind == RoomKind::Direct);
    // Both are owners of a direct room: that says nothing.
    if let Some(role) = role_name(member.role).filter(|_| !is_direct) {
        return role;
    }
    match model.people.get(member.account) {
        Some(person) if person.presence != PresenceState::Online && person.last_seen.0 > 0 => {
            stamp::ago(person.last_seen, model.now.wall)
        }
        _ => String::new(),
    }
}
