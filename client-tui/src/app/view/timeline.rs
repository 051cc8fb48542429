//! What was said, the brightest thing on the screen.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::painter::{Painter, columns};
use crate::app::layout::{
    AuthorKind, Head, MessageRow, RowPart, STAMP_INDENT, SentenceTone, TimelinePage, TimelineRow,
};
use crate::app::model::Model;
use crate::app::model::connection::Connection;
use crate::app::model::room::Tick;
use crate::app::theme::Role;
use crate::app::update::HUSH;
use crate::app::wrap::{CODE_PREFIX, RowKind, WrappedRow};

/// The sign of what an assistant was shown, and the words where there is room for them.
const SHOWN_SIGN: &str = "◆";
const SHOWN_WORDS: &str = "shared with ai";
/// Columns between a name and what stands behind it.
const HEAD_GAP: u16 = 3;

pub(super) fn draw(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let lines = TimelinePage::of(model).map(|page| page.window()).unwrap_or_default();
    if lines.is_empty() {
        empty(painter, area, model);
        return;
    }
    let n_lines = u16::try_from(lines.len()).unwrap_or(area.height);
    let above = area.height.saturating_sub(n_lines);
    let room = model.room();
    let has_older =
        room.is_some_and(|room| room.timeline.has_more && room.timeline.asked.is_some());
    if has_older && above > 0 {
        painter.put_middle(area, above - 1, "earlier messages are being read", Role::Dim);
    }
    for (row, line) in (above..).zip(&lines) {
        let row_area = Rect { y: area.y + row, height: 1, ..area };
        draw_line(painter, row_area, line);
        if model.selected == Some(line.key) && is_of_thing(&line.part) {
            painter.put(row_area, (0, 0), "▌", Role::Accent);
            painter.tint(row_area, Role::Selected);
            painter.put(row_area, (0, 0), "▌", Role::Accent);
        }
    }
}

/// Days and the line above new messages stand before a thing and do not belong to it.
fn is_of_thing(part: &RowPart) -> bool {
    !matches!(part, RowPart::Day(_) | RowPart::New(_) | RowPart::Space)
}

fn draw_line(painter: &mut Painter<'_>, area: Rect, line: &TimelineRow) {
    let indent = if area.width >= 44 { STAMP_INDENT } else { crate::app::layout::NARROW_INDENT };
    let indent = u16::try_from(indent).unwrap_or(0);
    let has_stamps = usize::from(indent) == STAMP_INDENT;
    match &line.part {
        RowPart::Space => {}
        RowPart::Day(day) => painter.put_middle(area, 0, &format!("· {day} ·"), Role::Dim),
        RowPart::New(text) => new_line(painter, area, text),
        RowPart::Head(head) => draw_head(painter, area, (indent, has_stamps), head),
        RowPart::Message(said) => draw_message(painter, area, (indent, has_stamps), said),
        RowPart::Reactions(chips) => {
            // The bracket of an own one stands where no letter does.
            let mut col = indent.saturating_sub(1);
            for chip in chips {
                let role = if chip.is_mine { Role::Accent } else { Role::Dim };
                col = painter.put(area, (col, 0), &chip.text, role) + 1;
            }
        }
        RowPart::Sentence { stamp, text, tone } => {
            if let (Some(stamp), true) = (stamp, has_stamps) {
                painter.put(area, (1, 0), stamp, Role::Dim);
            }
            let role = if *tone == SentenceTone::Failed { Role::Failed } else { Role::Dim };
            painter.put(area, (indent, 0), text, role);
        }
    }
}

fn draw_head(
    painter: &mut Painter<'_>,
    area: Rect,
    (indent, has_stamps): (u16, bool),
    head: &Head,
) {
    let role = match head.whose {
        AuthorKind::Mine => Role::Mine,
        AuthorKind::Others => Role::Name,
        AuthorKind::Assistants => Role::Assistant,
    };
    let col = if has_stamps {
        painter.put(area, (1, 0), &head.stamp, Role::Dim);
        indent
    } else {
        1
    };
    let mut end = painter.put_cut(area, (col, 0), head.name.as_str(), role);
    if !has_stamps {
        end = painter.put(area, (end + 2, 0), &head.stamp, Role::Dim);
    }
    let mut noted = Rect { width: area.width.saturating_sub(1), ..area };
    if !head.aside.is_empty() {
        noted.width = painter.put_right(noted, 0, &head.aside, Role::Dim).saturating_sub(1);
    }
    if !head.note.is_empty() && end + HEAD_GAP < noted.width {
        painter.put_cut(noted, (end + HEAD_GAP, 0), &head.note, Role::Dim);
    }
}

fn draw_message(
    painter: &mut Painter<'_>,
    area: Rect,
    (indent, has_stamps): (u16, bool),
    said: &MessageRow,
) {
    if let (Some(stamp), true) = (&said.stamp, has_stamps) {
        painter.put(area, (1, 0), stamp, Role::Dim);
    }
    let text = Rect { x: area.x + indent, width: area.width.saturating_sub(indent), ..area };
    let end = draw_row(painter, text, &said.row);
    if let Some(lead) = said.row.text.get(..said.lead) {
        painter.put(text, (0, 0), lead, Role::Assistant);
    }
    if said.has_cursor {
        painter.put(text, (end, 0), "▌", Role::Assistant);
    }
    if said.is_mention {
        painter.put(area, (indent.saturating_sub(2), 0), "▎", Role::Mention);
    }
    let mut right = area.width.saturating_sub(1);
    if let Some(tick) = said.tick {
        right = draw_tick(painter, area, tick).saturating_sub(1);
    }
    if said.is_shown {
        draw_shown(painter, area, (indent + end, right), said.tick.is_some());
    }
}

/// The mark of what an assistant was shown: a sign and a word where there is room behind the text,
/// the sign alone in the margin otherwise.
fn draw_shown(painter: &mut Painter<'_>, area: Rect, (from, right): (u16, u16), has_tick: bool) {
    let words = format!("{SHOWN_SIGN} {SHOWN_WORDS}");
    let marked = Rect { width: right, ..area };
    if from + 2 + columns(&words) <= right {
        let col = painter.put_right(marked, 0, &words, Role::Dim);
        painter.put(area, (col, 0), SHOWN_SIGN, Role::Assistant);
    } else {
        // The last column is free beside a tick; without one, the margin is.
        let col = area.width.saturating_sub(if has_tick { 1 } else { 2 });
        painter.put(area, (col, 0), SHOWN_SIGN, Role::Assistant);
    }
}

fn new_line(painter: &mut Painter<'_>, area: Rect, text: &str) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let rule = "─".repeat(usize::from(area.width));
    painter.put(area, (0, 0), &rule, Role::Accent);
    painter.put_middle(area, 0, &format!(" {text} "), Role::Unread);
}

/// Writes a row of a text; returns the column behind it.
fn draw_row(painter: &mut Painter<'_>, area: Rect, row: &WrappedRow) -> u16 {
    match row.kind {
        RowKind::Prose => painter.put(area, (0, 0), &row.text, Role::Text),
        RowKind::Code(number) => {
            let number = number.map_or_else(|| "  ".to_owned(), |number| format!("{number:>2}"));
            let prefix = u16::try_from(CODE_PREFIX).unwrap_or(0);
            painter.put(area, (0, 0), &format!("{number}│"), Role::Dim);
            painter.put(area, (prefix, 0), &row.text, Role::Code)
        }
    }
}

/// A tick at the right edge; returns the column it begins at. Where there is no color, the one that
/// is told by it says a word.
fn draw_tick(painter: &mut Painter<'_>, area: Rect, tick: Tick) -> u16 {
    let is_colorless = painter.theme().is_colorless();
    let (text, role) = match tick {
        Tick::Queued => ("·", Role::Dim),
        Tick::Accepted => ("✓", Role::Dim),
        Tick::Delivered => ("✓✓", Role::Dim),
        Tick::Read if is_colorless => ("✓✓ read", Role::Dim),
        Tick::Read => ("✓✓", Role::Read),
        Tick::Failed => ("✗", Role::Failed),
    };
    let col = area.width.saturating_sub(columns(text) + 1);
    let style = painter.theme().style(role);
    let style = if tick == Tick::Read { style.add_modifier(Modifier::BOLD) } else { style };
    painter.put_styled(area, (col, 0), text, style);
    col
}

/// What is said where nothing has been said.
fn empty(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let sentences: &[&str] = match model.room() {
        Some(room) if room.timeline.is_loaded => &["Nothing has been said here yet."],
        Some(room) if room.timeline.asked.is_none() && !model.connection.is_online() => {
            &["What was said here comes when the connection is back."]
        }
        _ if !model.are_rooms_known && model.now.run < HUSH => &[],
        Some(_) => &["Reading what was said here."],
        None if !model.are_rooms_known => &["Reading your rooms."],
        None if matches!(model.connection, Connection::Starting) => &["Connecting."],
        None => &[
            "You are in no room yet.",
            "",
            "/create NAME   makes a room that only its members can read",
            "/join          lists the open rooms of this workspace",
            "/dm NAME       talks to one person",
        ],
    };
    let n_rows = u16::try_from(sentences.len()).unwrap_or(0);
    let widest = sentences.iter().map(|text| columns(text)).max().unwrap_or(0);
    let col = (area.width.saturating_sub(widest) / 2).max(1);
    for (row, sentence) in (area.height.saturating_sub(n_rows) / 2..).zip(sentences) {
        let indent = if sentences.len() == 1 {
            area.width.saturating_sub(columns(sentence)) / 2
        } else {
            col
        };
        painter.put_cut(area, (indent, row), sentence, Role::Dim);
    }
}
