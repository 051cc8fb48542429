//! Panels and confirmations above the screen.

use ratatui::layout::Rect;

use super::painter::{Painter, columns};
use crate::app::action::Action;
use crate::app::explain::{self, PAIR_LEFT, PanelRow};
use crate::app::keymap::KeyContext;
use crate::app::layout::TimelinePage;
use crate::app::model::Model;
use crate::app::model::areas::{self, Areas};
use crate::app::model::overlay::{Confirmation, PanelTopic};
use crate::app::theme::Role;
use crate::app::wrap;

/// A panel that explains.
pub(super) fn panel(painter: &mut Painter<'_>, model: &Model, topic: &PanelTopic, scroll: usize) {
    let panel = explain::panel(model, topic);
    let width = areas::overlay_text_width(model.screen);
    let rows = panel.wrapped(width);
    let n_max = areas::overlay_rows_max(model.screen);
    let n_shown = rows.len().min(n_max);
    // The text, and the row of keys.
    let place = beside(model, topic, areas::overlay(model.screen, width, n_shown + 1));
    let inner = painter.overlay_box(place, &panel.title);
    let scroll = scroll.min(rows.len() - n_shown);
    for (row, line) in (0..).zip(rows.iter().skip(scroll).take(n_shown)) {
        draw_row(painter, inner, (row, line));
    }
    let is_scrolled = rows.len() > n_shown;
    let moving = model.keymap.moving_keys(KeyContext::Panel).filter(|_| is_scrolled);
    let scrolling = moving.map(|keys| (keys, "scroll"));
    let mut keys = inner;
    if rows.len() - scroll > n_shown {
        let last = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
        keys.width = painter.put_right(last, 0, "↓ more", Role::Dim).saturating_sub(2);
    }
    keys_row(painter, keys, bound(model, &panel.actions).chain(scrolling));
}

/// Moves a place so that it does not cover the item it explains, if there is room.
fn beside(model: &Model, topic: &PanelTopic, place: Rect) -> Rect {
    let (PanelTopic::Why(key) | PanelTopic::Ticks(key)) = topic else { return place };
    let Some(page) = TimelinePage::of(model) else { return place };
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

fn draw_row(painter: &mut Painter<'_>, area: Rect, (row, line): (u16, &PanelRow)) {
    match line {
        PanelRow::Text(text) => painter.put(area, (0, row), text, Role::Text),
        PanelRow::Quiet(text) => painter.put(area, (0, row), text, Role::Dim),
        PanelRow::Warn(text) => painter.put(area, (0, row), text, Role::Failed),
        PanelRow::Head(text) => painter.put(area, (0, row), text, Role::Accent),
        PanelRow::Shown(text) => painter.put(area, (0, row), text, Role::Name),
        PanelRow::Pair(left, right) => {
            let left_width = u16::try_from(PAIR_LEFT).unwrap_or(0);
            let left_area = Rect { width: left_width.saturating_sub(1).min(area.width), ..area };
            painter.put_cut(left_area, (0, row), left, Role::Text);
            painter.put(area, (left_width, row), right, Role::Dim)
        }
        PanelRow::Space => 0,
    };
}

/// A question with a yes.
pub(super) fn confirmation(painter: &mut Painter<'_>, model: &Model, confirmation: &Confirmation) {
    let width = areas::overlay_text_width(model.screen);
    let rows = wrap::rows(&confirmation.text, width);
    let inner = painter.overlay_box(areas::overlay(model.screen, width, rows.len() + 1), "sure?");
    for (row, line) in (0..).zip(&rows) {
        painter.put(inner, (0, row), &line.text, Role::Text);
    }
    // Where nothing can be copied, the same key agrees.
    keys_row(painter, inner, bound(model, &[(Action::Copy, "yes"), (Action::Back, "no")]));
}

/// Actions with the keys they have now in an overlay; those without a key are left out.
pub(super) fn bound(
    model: &Model,
    actions: &[(Action, &'static str)],
) -> impl Iterator<Item = (String, &'static str)> {
    let key = |action| model.keymap.key_of(KeyContext::Panel, action);
    actions.iter().filter_map(move |(action, does)| Some((key(*action)?.to_string(), *does)))
}

/// Writes keys and what they do on the last row of a place.
pub(super) fn keys_row(
    painter: &mut Painter<'_>,
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
        col = painter.put(area, (col, row), key, Role::Accent) + 1;
        col = painter.put(area, (col, row), does, Role::Dim) + 3;
    }
}
