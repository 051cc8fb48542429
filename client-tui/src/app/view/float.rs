//! Panels and questions: what floats above the screen and explains.

use ratatui::layout::Rect;

use super::pen::{Pen, columns};
use crate::app::action::Action;
use crate::app::explain::{self, PAIR_LEFT, PanelRow};
use crate::app::keymap::Place;
use crate::app::layout::Page;
use crate::app::model::Model;
use crate::app::model::areas::{self, Areas};
use crate::app::model::overlay::{Question, Topic};
use crate::app::theme::Role;
use crate::app::wrap;

/// A panel that explains.
pub(super) fn panel(pen: &mut Pen<'_>, model: &Model, topic: &Topic, scroll: usize) {
    let panel = explain::panel(model, topic);
    let width = areas::float_text_width(model.screen);
    let rows = panel.wrapped(width);
    let n_max = areas::float_rows_max(model.screen);
    let n_shown = rows.len().min(n_max);
    // The text, and the row of keys.
    let place = beside(model, topic, areas::float(model.screen, width, n_shown + 1));
    let inner = pen.float(place, &panel.title);
    let scroll = scroll.min(rows.len() - n_shown);
    for (row, line) in (0..).zip(rows.iter().skip(scroll).take(n_shown)) {
        draw_row(pen, inner, (row, line));
    }
    let is_scrolled = rows.len() > n_shown;
    let moving = model.keymap.moving_keys(Place::Panel).filter(|_| is_scrolled);
    let scrolling = moving.map(|keys| (keys, "scroll"));
    let mut keys = inner;
    if rows.len() - scroll > n_shown {
        let last = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
        keys.width = pen.put_right(last, 0, "↓ more", Role::Dim).saturating_sub(2);
    }
    keys_row(pen, keys, bound(model, &panel.actions).chain(scrolling));
}

/// Moves a place so that it does not cover the thing it explains, if there is room.
fn beside(model: &Model, topic: &Topic, place: Rect) -> Rect {
    let (Topic::Why(key) | Topic::Ticks(key)) = topic else { return place };
    let Some(page) = Page::of(model) else { return place };
    let area = Areas::of(model).timeline;
    let window = page.window();
    let above = area.height.saturating_sub(u16::try_from(window.len()).unwrap_or(area.height));
    let rows = || (area.y + above..).zip(&window).filter(|(_, line)| line.key == *key);
    let (Some((first, _)), Some((last, _))) = (rows().next(), rows().last()) else { return place };
    if last + 1 + place.height <= area.bottom() + 1 {
        Rect { y: last + 1, ..place }
    } else if first >= place.height {
        Rect { y: first - place.height, ..place }
    } else {
        place
    }
}

fn draw_row(pen: &mut Pen<'_>, area: Rect, (row, line): (u16, &PanelRow)) {
    match line {
        PanelRow::Text(text) => pen.put(area, (0, row), text, Role::Text),
        PanelRow::Quiet(text) => pen.put(area, (0, row), text, Role::Dim),
        PanelRow::Warn(text) => pen.put(area, (0, row), text, Role::Failed),
        PanelRow::Head(text) => pen.put(area, (0, row), text, Role::Accent),
        PanelRow::Shown(text) => pen.put(area, (0, row), text, Role::Name),
        PanelRow::Pair(left, right) => {
            let left_width = u16::try_from(PAIR_LEFT).unwrap_or(0);
            let left_area = Rect { width: left_width.saturating_sub(1).min(area.width), ..area };
            pen.put_cut(left_area, (0, row), left, Role::Text);
            pen.put(area, (left_width, row), right, Role::Dim)
        }
        PanelRow::Space => 0,
    };
}

/// A question with a yes.
pub(super) fn question(pen: &mut Pen<'_>, model: &Model, question: &Question) {
    let width = areas::float_text_width(model.screen);
    let rows = wrap::rows(&question.text, width);
    let inner = pen.float(areas::float(model.screen, width, rows.len() + 1), "sure?");
    for (row, line) in (0..).zip(&rows) {
        pen.put(inner, (0, row), &line.text, Role::Text);
    }
    // Where nothing can be copied, the same key agrees.
    keys_row(pen, inner, bound(model, &[(Action::Copy, "yes"), (Action::Back, "no")]));
}

/// Actions with the keys they have now where something floats; those without a key are left out.
pub(super) fn bound(
    model: &Model,
    actions: &[(Action, &'static str)],
) -> impl Iterator<Item = (String, &'static str)> {
    let key = |action| model.keymap.key_of(Place::Panel, action);
    actions.iter().filter_map(move |(action, does)| Some((key(*action)?.to_string(), *does)))
}

/// Writes keys and what they do on the last row of a place.
pub(super) fn keys_row(
    pen: &mut Pen<'_>,
    area: Rect,
    keys: impl Iterator<Item = (impl AsRef<str>, &'static str)>,
) {
    let row = area.height.saturating_sub(1);
    let mut col = 0;
    for (key, does) in keys {
        let key = key.as_ref();
        if col + columns(key) + columns(does) + 1 > area.width {
            break;
        }
        col = pen.put(area, (col, row), key, Role::Accent) + 1;
        col = pen.put(area, (col, row), does, Role::Dim) + 3;
    }
}
