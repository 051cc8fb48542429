//! Drawing: a function of the model. Reads it, changes nothing, requests nothing.

mod composer;
mod envelope;
mod hint_row;
mod list;
mod members;
mod overlay;
mod painter;
mod sidebar;
mod status_bar;
mod timeline;
mod title;
mod wizard;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use self::painter::Painter;
use super::model::Model;
use super::model::areas::Areas;
use super::model::overlay::Overlay;
use super::theme::Role;

/// Columns and rows below which nothing can be shown in an orderly way.
const SCREEN_MIN: (u16, u16) = (20, 7);

/// Draws the whole screen, and puts the terminal's cursor where text goes in.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut painter = Painter::new(frame.buffer_mut(), model.theme);
    let cursor = if area.width < SCREEN_MIN.0 || area.height < SCREEN_MIN.1 {
        painter.put(area, (0, 0), "a larger window, please", Role::Text);
        None
    } else if let Some(wizard) = &model.wizard {
        wizard::draw(&mut painter, area, wizard)
    } else {
        chat(&mut painter, model)
    };
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// A rule keeps a column of space to the rules beside it.
fn inset(area: Rect, areas: &Areas) -> Rect {
    if areas.sidebar.is_none() {
        return area;
    }
    Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }
}

fn chat(painter: &mut Painter<'_>, model: &Model) -> Option<Position> {
    let areas = Areas::of(model);
    if let Some(area) = areas.sidebar {
        sidebar::draw(painter, area, model);
        painter.column_rule(area.right(), area.height);
    }
    if let Some(area) = areas.panel {
        members::draw(painter, area, model);
        painter.column_rule(area.x - 1, area.height);
    }
    title::draw(painter, areas.title, model);
    painter.rule(inset(Rect { y: areas.title.bottom(), ..areas.title }, &areas), 0);
    timeline::draw(painter, areas.timeline, model);
    hint_row::draw(painter, areas.hint_row, model);
    let cursor = composer::draw(painter, &areas, model);
    status_bar::draw(painter, areas.status_bar, model);
    match model.overlays.last() {
        Some(Overlay::Panel { topic, scroll }) => {
            overlay::panel(painter, model, topic, *scroll);
            None
        }
        Some(Overlay::Confirmation(confirmation)) => {
            overlay::confirmation(painter, model, confirmation);
            None
        }
        Some(Overlay::Envelope(envelope)) => {
            envelope::draw(painter, model, envelope);
            None
        }
        Some(Overlay::Outbox { selected }) => {
            list::outbox(painter, model, *selected);
            None
        }
        Some(Overlay::Switcher(switcher)) => Some(list::switcher(painter, model, switcher)),
        None => {
            list::commands(painter, &areas, model);
            cursor
        }
    }
}
