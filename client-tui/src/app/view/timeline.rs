//! What was said, the brightest thing on the screen.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::pen::{Pen, columns};
use crate::app::layout::{Line, Page, Part, STAMP_INDENT, Tone};
use crate::app::model::Model;
use crate::app::model::connection::Connection;
use crate::app::model::room::Tick;
use crate::app::theme::Role;
use crate::app::update::HUSH;
use crate::app::wrap::{CODE_PREFIX, Row, RowKind};

pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, model: &Model) {
    let lines = Page::of(model).map(|page| page.window()).unwrap_or_default();
    if lines.is_empty() {
        empty(pen, area, model);
        return;
    }
    let n_lines = u16::try_from(lines.len()).unwrap_or(area.height);
    let above = area.height.saturating_sub(n_lines);
    let room = model.room();
    let has_older =
        room.is_some_and(|room| room.timeline.has_more && room.timeline.asked.is_some());
    if has_older && above > 0 {
        pen.put_middle(area, above - 1, "earlier messages are being read", Role::Dim);
    }
    for (row, line) in (above..).zip(&lines) {
        let row_area = Rect { y: area.y + row, height: 1, ..area };
        draw_line(pen, row_area, line);
        if model.selected == Some(line.key) && is_of_thing(&line.part) {
            pen.put(row_area, (0, 0), "▌", Role::Accent);
            pen.tint(row_area, Role::Selected);
            pen.put(row_area, (0, 0), "▌", Role::Accent);
        }
    }
}

/// Days and the line above new messages stand before a thing and do not belong to it.
fn is_of_thing(part: &Part) -> bool {
    !matches!(part, Part::Day(_) | Part::New(_) | Part::Space)
}

fn draw_line(pen: &mut Pen<'_>, area: Rect, line: &Line) {
    let indent = if area.width >= 44 { STAMP_INDENT } else { crate::app::layout::NARROW_INDENT };
    let indent = u16::try_from(indent).unwrap_or(0);
    let has_stamps = usize::from(indent) == STAMP_INDENT;
    match &line.part {
        Part::Space => {}
        Part::Day(day) => pen.put_middle(area, 0, &format!("· {day} ·"), Role::Dim),
        Part::New(text) => new_line(pen, area, text),
        Part::Head { stamp, name, is_mine, is_shown_to_agent } => {
            let role = if *is_mine { Role::Mine } else { Role::Name };
            let col = if has_stamps {
                pen.put(area, (1, 0), stamp, Role::Dim);
                indent
            } else {
                1
            };
            let mut end = pen.put_cut(area, (col, 0), name.as_str(), role);
            if !has_stamps {
                end = pen.put(area, (end + 2, 0), stamp, Role::Dim);
            }
            if *is_shown_to_agent {
                pen.put(area, (end + 2, 0), "shown to the assistant", Role::Dim);
            }
        }
        Part::Said { stamp, row, tick, is_mention } => {
            if let (Some(stamp), true) = (stamp, has_stamps) {
                pen.put(area, (1, 0), stamp, Role::Dim);
            }
            said(pen, Rect { x: area.x + indent, width: area.width - indent, ..area }, row);
            if *is_mention {
                pen.put(area, (indent.saturating_sub(2), 0), "▎", Role::Mention);
            }
            if let Some(tick) = tick {
                draw_tick(pen, area, *tick);
            }
        }
        Part::Told { stamp, text, tone } => {
            if let (Some(stamp), true) = (stamp, has_stamps) {
                pen.put(area, (1, 0), stamp, Role::Dim);
            }
            let role = if *tone == Tone::Failed { Role::Failed } else { Role::Dim };
            pen.put(area, (indent, 0), text, role);
        }
    }
}

fn new_line(pen: &mut Pen<'_>, area: Rect, text: &str) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let rule = "─".repeat(usize::from(area.width));
    pen.put(area, (0, 0), &rule, Role::Accent);
    pen.put_middle(area, 0, &format!(" {text} "), Role::Unread);
}

fn said(pen: &mut Pen<'_>, area: Rect, row: &Row) {
    match row.kind {
        RowKind::Prose => {
            pen.put(area, (0, 0), &row.text, Role::Text);
        }
        RowKind::Code(number) => {
            let number = number.map_or_else(|| "  ".to_owned(), |number| format!("{number:>2}"));
            let prefix = u16::try_from(CODE_PREFIX).unwrap_or(0);
            pen.put(area, (0, 0), &format!("{number}│"), Role::Dim);
            pen.put(area, (prefix, 0), &row.text, Role::Code);
        }
    }
}

/// A tick at the right edge. Where there is no color, the one that is told by it says a word.
fn draw_tick(pen: &mut Pen<'_>, area: Rect, tick: Tick) {
    let is_colorless = pen.theme().is_colorless();
    let (text, role) = match tick {
        Tick::Queued => ("·", Role::Dim),
        Tick::Accepted => ("✓", Role::Dim),
        Tick::Delivered => ("✓✓", Role::Dim),
        Tick::Read if is_colorless => ("✓✓ read", Role::Dim),
        Tick::Read => ("✓✓", Role::Read),
        Tick::Failed => ("✗", Role::Failed),
    };
    let col = area.width.saturating_sub(columns(text) + 1);
    let style = pen.theme().style(role);
    let style = if tick == Tick::Read { style.add_modifier(Modifier::BOLD) } else { style };
    pen.put_styled(area, (col, 0), text, style);
}

/// What is said where nothing has been said.
fn empty(pen: &mut Pen<'_>, area: Rect, model: &Model) {
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
        pen.put_cut(area, (indent, row), sentence, Role::Dim);
    }
}
