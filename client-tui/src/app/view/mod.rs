//! Drawing: a function of the model. Reads it, changes nothing, asks nobody.

mod bottom;
mod composer;
mod envelope;
mod float;
mod list;
mod members;
mod pen;
mod sidebar;
mod talk;
mod timeline;
mod title;
mod wizard;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use self::pen::Pen;
use super::model::Model;
use super::model::areas::Areas;
use super::model::overlay::Overlay;
use super::theme::Role;

/// Columns and rows below which nothing can be shown in an orderly way.
const SCREEN_MIN: (u16, u16) = (20, 7);

/// Draws the whole screen, and puts the terminal's cursor where text goes in.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut pen = Pen::new(frame.buffer_mut(), model.theme);
    let cursor = if area.width < SCREEN_MIN.0 || area.height < SCREEN_MIN.1 {
        pen.put(area, (0, 0), "a larger window, please", Role::Text);
        None
    } else if let Some(wizard) = &model.wizard {
        wizard::draw(&mut pen, area, wizard)
    } else {
        chat(&mut pen, model)
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

fn chat(pen: &mut Pen<'_>, model: &Model) -> Option<Position> {
    let areas = Areas::of(model);
    if let Some(area) = areas.sidebar {
        sidebar::draw(pen, area, model);
        pen.column_rule(area.right(), area.height);
    }
    if let Some(area) = areas.panel {
        members::draw(pen, area, model);
        pen.column_rule(area.x - 1, area.height);
    }
    title::draw(pen, areas.title, model);
    pen.rule(inset(Rect { y: areas.title.bottom(), ..areas.title }, &areas), 0);
    timeline::draw(pen, areas.timeline, model);
    talk::draw(pen, areas.talk, model);
    let cursor = composer::draw(pen, &areas, model);
    bottom::draw(pen, areas.bottom, model);
    match model.overlays.last() {
        Some(Overlay::Panel { topic, scroll }) => {
            float::panel(pen, model, topic, *scroll);
            None
        }
        Some(Overlay::Question(question)) => {
            float::question(pen, model, question);
            None
        }
        Some(Overlay::Envelope(envelope)) => {
            envelope::draw(pen, model, envelope);
            None
        }
        Some(Overlay::Outbox { selected }) => {
            list::outbox(pen, model, *selected);
            None
        }
        Some(Overlay::Switcher(switcher)) => Some(list::switcher(pen, model, switcher)),
        None => {
            list::commands(pen, &areas, model);
            cursor
        }
    }
}
