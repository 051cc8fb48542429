//! The envelope of a question: where it goes, what it sends, and the keys that decide.

use ratatui::layout::Rect;

use super::overlay::bound;
use super::painter::{Painter, columns};
use crate::app::action::Action;
use crate::app::model::Model;
use crate::app::model::areas;
use crate::app::model::envelope::{Attachment, AttachmentKind, Envelope, EnvelopeDestination};
use crate::app::theme::Role;
use crate::app::wrap;
use crate::asking;

/// Rows that where it goes may take on a small screen; the exact text shows all of it.
const GOES_ROWS_MAX: usize = 4;
/// Columns of the longest word for where it goes.
const LABEL_WIDTH: usize = 8;
/// Columns of a box and the space behind it.
const BOX_WIDTH: u16 = 4;

pub(super) fn draw(painter: &mut Painter<'_>, model: &Model, envelope: &Envelope) {
    let width = areas::overlay_text_width(model.screen);
    let keys = keys(model, envelope, width);
    // The border, and a column of the screen above and below.
    let room_left = usize::from(model.screen.1.saturating_sub(2)).max(4);
    let n_items = envelope.n_rows();
    // In this order information gives way to decisions.
    let n_fixed = n_items + 1 + keys.len();
    let n_goes_max = room_left.saturating_sub(n_fixed).clamp(1, GOES_ROWS_MAX);
    let destination = destination_rows(envelope, width, n_goes_max);
    let n_spaces = room_left.saturating_sub(n_fixed + destination.len()).min(2);
    let n_rows = n_fixed + destination.len() + n_spaces;
    let name = envelope
        .destination
        .as_ref()
        .map_or("the assistant", |destination| destination.handle.as_str());
    let again = if envelope.again.is_some() { " again" } else { "" };
    let place = areas::overlay(model.screen, width, n_rows);
    let inner = painter.overlay_box(place, &format!("Ask {name}{again}"));
    let mut row = 0;
    for line in &destination {
        draw_words(painter, inner, row, line);
        row += 1;
    }
    row += u16::from(n_spaces > 0);
    for index in 0..n_items {
        let area = Rect { y: inner.y + row, height: 1, ..inner };
        draw_item(painter, area, model, envelope, index);
        row += 1;
    }
    row += u16::from(n_spaces > 1);
    draw_total(painter, inner, row, envelope);
    for (row, line) in (row + 1..).zip(&keys) {
        draw_keys(painter, inner, row, line);
    }
}

type StyledWords = Vec<(String, Role)>;

/// Where it goes: side by side where there is room, one below the other otherwise, and cut where
/// names are so long that the exact text must show them.
fn destination_rows(envelope: &Envelope, width: usize, n_rows_max: usize) -> Vec<StyledWords> {
    let Some(destination) = &envelope.destination else {
        return vec![vec![("reading what would leave".to_owned(), Role::Dim)]];
    };
    let parts = parts(destination);
    let together: usize = parts.iter().map(|(what, word)| what.len() + 1 + wrap::width(word)).sum();
    let words = |(what, word): &(&str, &str)| {
        [((*what).to_owned(), Role::Dim), ((*word).to_owned(), Role::Name)]
    };
    if together + 3 * (parts.len() - 1) <= width {
        return vec![parts.iter().flat_map(words).collect()];
    }
    let mut rows = Vec::new();
    let left = width.saturating_sub(LABEL_WIDTH + 1).max(2);
    for (what, word) in &parts {
        for (i, range) in wrap::words(word, left).into_iter().enumerate() {
            let what = format!("{:LABEL_WIDTH$}", if i == 0 { *what } else { "" });
            rows.push(vec![(what, Role::Dim), (word[range].trim_end().to_owned(), Role::Name)]);
        }
    }
    if rows.len() <= n_rows_max {
        return rows;
    }
    let cut = |(what, word): &(&str, &str)| {
        let what = format!("{what:LABEL_WIDTH$}");
        vec![(what, Role::Dim), (wrap::cut(word, left), Role::Name)]
    };
    parts.iter().take(n_rows_max).map(cut).collect()
}

fn parts(destination: &EnvelopeDestination) -> Vec<(&'static str, &str)> {
    let parts = [
        ("goes to", destination.place.as_str()),
        ("model", destination.model.as_str()),
        ("operator", destination.operator.as_str()),
    ];
    parts.into_iter().filter(|(_, word)| !word.is_empty()).collect()
}

/// Pairs of a word and what it says, three columns between two of them.
fn draw_words(painter: &mut Painter<'_>, area: Rect, row: u16, words: &StyledWords) {
    let mut col = 0;
    for (i, (text, role)) in words.iter().enumerate() {
        col += match i {
            0 => 0,
            i if i % 2 == 1 => 1,
            _ => 3,
        };
        col = painter.put_cut(area, (col, row), text, *role);
    }
}

fn draw_item(
    painter: &mut Painter<'_>,
    area: Rect,
    model: &Model,
    envelope: &Envelope,
    index: usize,
) {
    let attachment = index.checked_sub(1).and_then(|at| envelope.attachments.get(at));
    let is_kept = attachment.is_none_or(|attachment| attachment.is_kept);
    let is_selected = envelope.selected == index;
    if is_selected {
        painter.tint(Rect { x: area.x - 1, width: area.width + 2, ..area }, Role::Selected);
        painter.put(Rect { x: area.x - 1, width: 1, ..area }, (0, 0), "▌", Role::Accent);
    }
    let n_tokens = match attachment {
        None => asking::tokens(&envelope.text),
        Some(attachment) => attachment.n_tokens(),
    };
    let role = if is_kept { Role::Text } else { Role::Dim };
    let tokens = asking::token_word(n_tokens);
    let right = painter.put_right(area, 0, &tokens, role);
    let text = Rect { width: right.saturating_sub(1), ..area };
    // The question always goes: its box cannot be emptied.
    let sign = if is_kept { "[x]" } else { "[ ]" };
    let sign_role = if attachment.is_none() || !is_kept { Role::Dim } else { Role::Accent };
    painter.put(text, (0, 0), sign, sign_role);
    let words = attachment.map_or_else(
        || "your question".to_owned(),
        |attachment| enclosed(model, envelope, attachment),
    );
    painter.put_cut(text, (BOX_WIDTH, 0), &words, role);
}

/// An attachment in words.
fn enclosed(model: &Model, envelope: &Envelope, attachment: &Attachment) -> String {
    let n_shown = attachment.shown().len();
    match (attachment.what, attachment.shown().first()) {
        (AttachmentKind::Quoted, Some(quoted)) => {
            let first = quoted.text.as_str().lines().next().unwrap_or_default();
            format!("quoted  {} {}  {first}", model.time_format.clock(quoted.time), quoted.handle)
        }
        (AttachmentKind::Before, _) => {
            format!("the same {} as before", asking::message_word(n_shown))
        }
        (AttachmentKind::Last(1), _) => "last message".to_owned(),
        (AttachmentKind::Last(n), _) => {
            let room = model.rooms.get(&envelope.room);
            let of = room.map(|room| format!(" of {}", room.facts.shown_name()));
            format!("last {n} messages{}", of.unwrap_or_default())
        }
        (AttachmentKind::Quoted, None) => String::new(),
    }
}

fn draw_total(painter: &mut Painter<'_>, area: Rect, row: u16, envelope: &Envelope) {
    let total = asking::token_word(envelope.n_tokens());
    let seen = if envelope.is_full() { "more do not fit" } else { "all see it was asked" };
    let line = Rect { y: area.y + row, height: 1, ..area };
    let about = format!("about {total}");
    let has_room = columns(&about) + 2 + columns(seen) <= area.width;
    painter.put(line, (0, 0), if has_room { &about } else { &total }, Role::Name);
    painter.put_right(line, 0, seen, Role::Dim);
}

/// The keys in rows that fit, the most important first.
fn keys(model: &Model, envelope: &Envelope, width: usize) -> Vec<Vec<(String, &'static str)>> {
    if envelope.is_sending {
        return vec![vec![(String::new(), "being put into the outbox")]];
    }
    let has_any = !envelope.attachments.is_empty();
    let has_last =
        envelope.attachments.iter().any(|one| matches!(one.what, AttachmentKind::Last(_)));
    let of = |actions: &[(Action, &'static str)]| bound(model, actions).collect::<Vec<_>>();
    let mut wanted = of(&[(Action::Choose, "send")]);
    wanted.extend(of(&[(Action::Toggle, "keep or drop")]).into_iter().filter(|_| has_any));
    if let ([(less, _), (more, _)], true) =
        (&of(&[(Action::Less, ""), (Action::More, "")])[..], has_last)
    {
        wanted.push((format!("{less} {more}"), "number"));
    }
    wanted.extend(of(&[(Action::EditQueued, "exact text"), (Action::Back, "no")]));
    let mut rows: Vec<Vec<(String, &'static str)>> = vec![Vec::new()];
    let mut used = 0;
    for (key, does) in wanted {
        let needed = wrap::width(&key) + 1 + does.len();
        if used > 0 && used + KEY_GAP + needed > width {
            rows.push(Vec::new());
            used = 0;
        }
        used += needed + if used > 0 { KEY_GAP } else { 0 };
        rows.last_mut().expect("there is always one").push((key, does));
    }
    rows
}

/// Columns between two keys.
const KEY_GAP: usize = 2;

fn draw_keys(painter: &mut Painter<'_>, area: Rect, row: u16, keys: &[(String, &'static str)]) {
    let mut col = 0;
    for (key, does) in keys {
        if !key.is_empty() {
            col = painter.put(area, (col, row), key, Role::Accent) + 1;
        }
        col = painter.put(area, (col, row), does, Role::Dim) + u16::try_from(KEY_GAP).unwrap_or(2);
    }
}
