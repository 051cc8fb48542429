//! The composer; the terminal's own cursor stands at the caret.

use mathia_protocol::limits::MESSAGE_TEXT_LEN_MAX;
use ratatui::layout::{Position, Rect};

use super::painter::Painter;
use crate::app::model::Model;
use crate::app::model::areas::{Areas, COMPOSER_INDENT};
use crate::app::theme::Role;
use crate::app::wrap::TAB_WIDTH;

/// From this length on, the number of bytes left is shown.
const LENGTH_TOLD_FROM: usize = MESSAGE_TEXT_LEN_MAX * 3 / 4;

pub(super) fn draw(painter: &mut Painter<'_>, areas: &Areas, model: &Model) -> Option<Position> {
    let area = areas.composer;
    let edge = super::inset(Rect { y: area.y.saturating_sub(1), height: 1, ..area }, areas);
    painter.rule(edge, 0);
    length(painter, edge, model);
    let stopped = model.room().and_then(|room| room.facts.sending_stopped.as_ref());
    let (sign, role) =
        if stopped.is_some() { ("✗", Role::Failed) } else { ("›", Role::Accent) };
    painter.put(area, (1, 0), sign, role);
    let indent = u16::try_from(COMPOSER_INDENT).unwrap_or(0);
    let inner = Rect { x: area.x + indent, width: area.width.saturating_sub(indent), ..area };
    if model.composer.is_empty() {
        match (stopped, model.room()) {
            (Some(cause), _) => {
                let text = format!("Sending is stopped here: {cause}");
                painter.put_cut(inner, (0, 0), &text, Role::Failed);
            }
            (None, Some(room)) if model.selected.is_none() => {
                let name = room.facts.shown_name();
                painter.put_cut(inner, (0, 0), &format!("Write to {name}"), Role::Dim);
            }
            _ => {}
        }
        return position(inner, (0, 0), model);
    }
    let width = areas.composer_width();
    let caret = model.composer.caret_cell(width);
    let rows = model.composer.rows(width);
    let height = usize::from(area.height);
    let skipped = (caret.row + 1).saturating_sub(height);
    for (y, row) in (0..area.height).zip(rows.iter().skip(skipped)) {
        let text = model.composer.text()[row.range.clone()].replace('\t', &" ".repeat(TAB_WIDTH));
        painter.put(inner, (0, y), &text, Role::Text);
    }
    if skipped > 0 {
        painter.put(area, (1, 0), "↑", Role::Dim);
    }
    let cell = (u16::try_from(caret.col).ok()?, u16::try_from(caret.row - skipped).ok()?);
    position(inner, cell, model)
}

/// The cursor's place; hidden while keys act upon a message.
fn position(area: Rect, (col, row): (u16, u16), model: &Model) -> Option<Position> {
    let is_writing = model.selected.is_none() && row < area.height;
    let x = (area.x + col).min(area.right().saturating_sub(1));
    is_writing.then_some(Position { x, y: area.y + row })
}

fn length(painter: &mut Painter<'_>, edge: Rect, model: &Model) {
    let len = model.composer.text().len();
    if len < LENGTH_TOLD_FROM {
        return;
    }
    let (text, role) = if len > MESSAGE_TEXT_LEN_MAX {
        (format!(" too long by {} bytes ", len - MESSAGE_TEXT_LEN_MAX), Role::Failed)
    } else {
        (format!(" {} bytes left ", MESSAGE_TEXT_LEN_MAX - len), Role::Dim)
    };
    painter.put_right(Rect { width: edge.width.saturating_sub(2), ..edge }, 0, &text, role);
}
