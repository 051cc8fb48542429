//! The row above the composer: a notice, what may be completed, or who is typing.

use ratatui::layout::Rect;

use super::painter::{Painter, columns};
use crate::app::model::timeline::{Item, Scroll};
use crate::app::model::{Model, Notice};
use crate::app::theme::Role;
use crate::app::wrap;

/// Rows of the timeline that a long notice may cover.
const NOTICE_ABOVE_MAX: u16 = 4;
/// People typing who are named one by one.
const NAMED_MAX: usize = 2;

pub(super) fn draw(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let mut left = Rect { width: area.width.saturating_sub(1), ..area };
    if let Some(below) = below(model) {
        let shown = Rect { width: area.width.saturating_sub(1), ..area };
        let col = painter.put_right(shown, 0, &below, Role::Unread);
        left.width = col.saturating_sub(2);
    }
    if let Some(notice) = &model.notice {
        draw_notice(painter, left, notice);
    } else if let Some(completion) = &model.writing.completion {
        let mut col = 1;
        for (i, candidate) in completion.candidates.iter().enumerate() {
            if col + columns(candidate) >= left.width {
                painter.put(left, (col, 0), "…", Role::Dim);
                break;
            }
            let role = if i == completion.index { Role::Accent } else { Role::Dim };
            col = painter.put(left, (col, 0), candidate.trim_end(), role) + 2;
        }
    } else if let Some(quoted) = quoted(model) {
        let end = painter.put(left, (1, 0), "◆", Role::Assistant);
        painter.put_cut(left, (end + 1, 0), &quoted, Role::Dim);
    } else if let Some(typing) = typing(model) {
        painter.put_cut(left, (1, 0), &typing, Role::Dim);
    }
}

/// A notice that is longer than the row grows upwards over the timeline: nothing moves, and no word
/// of it is lost.
fn draw_notice(painter: &mut Painter<'_>, area: Rect, notice: &Notice) {
    let (sign, role) = if notice.is_error { ("✗ ", Role::Failed) } else { ("", Role::Text) };
    let text = format!("{sign}{}", notice.text);
    let width = usize::from(area.width.saturating_sub(1)).max(2);
    let rows = wrap::rows(&text, width);
    let n_above = u16::try_from(rows.len() - 1).unwrap_or(0).min(NOTICE_ABOVE_MAX).min(area.y);
    let grown = Rect { y: area.y - n_above, height: area.height + n_above, ..area };
    for (row, line) in (0..grown.height).zip(&rows) {
        painter.put(grown, (0, row), &" ".repeat(usize::from(grown.width)), role);
        painter.put(grown, (1, row), &line.text, role);
    }
}

/// The message one asks about.
fn quoted(model: &Model) -> Option<String> {
    let entry = model.room()?.timeline.entry(model.writing.quoted?)?;
    let text = Item::Entry(entry).text()?;
    let first = text.lines().next().unwrap_or_default();
    Some(format!("asking about {}: {first}", entry.handle))
}

fn below(model: &Model) -> Option<String> {
    let room = model.room()?;
    match (room.timeline.scroll, room.timeline.n_below) {
        (Scroll::Live, _) => None,
        (Scroll::At(..), 0) if room.timeline.is_answering() => Some("↓ new lines below".to_owned()),
        (Scroll::At(..), 0) => Some("↓ more below".to_owned()),
        (Scroll::At(..), n) => Some(format!("↓ {n} new below")),
    }
}

fn typing(model: &Model) -> Option<String> {
    let room = model.room()?;
    let names: Vec<&str> = room
        .typing
        .iter()
        .filter_map(|(account, _)| {
            room.facts.members.iter().find(|member| member.account == *account)
        })
        .map(|member| member.handle.as_str())
        .collect();
    match names[..] {
        [] => None,
        [one] => Some(format!("{one} is typing")),
        [one, other] => Some(format!("{one} and {other} are typing")),
        _ => {
            let first = names[..NAMED_MAX].join(", ");
            Some(format!("{first} and {} more are typing", names.len() - NAMED_MAX))
        }
    }
}
