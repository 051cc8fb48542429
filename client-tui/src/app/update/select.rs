//! Selecting a message, copying and explaining it.

use super::{notices, rooms};
use crate::app::effect::Effect;
use crate::app::layout::TimelinePage;
use crate::app::model::Model;
use crate::app::model::entry::ItemKey;
use crate::app::model::overlay::{Overlay, PanelTopic};
use crate::app::model::timeline::Item;

/// Selects the newest item in view.
pub(super) fn begin(model: &mut Model) -> Vec<Effect> {
    let newest = TimelinePage::of(model).and_then(|page| page.window().last().map(|line| line.key));
    if let Some(key) = newest {
        to(model, key)
    } else {
        notices::show(model, "There is nothing to select here yet.");
        Vec::new()
    }
}

/// Selects the next item up or down that shows anything.
pub(super) fn step(model: &mut Model, is_down: bool) -> Vec<Effect> {
    let Some(selected) = model.selected else { return Vec::new() };
    let Some(page) = TimelinePage::of(model) else { return Vec::new() };
    match page.neighbor(selected, is_down) {
        Some(key) => to(model, key),
        None => rooms::load_older(model).into_iter().filter(|_| !is_down).collect(),
    }
}

/// Selects the oldest or newest that is loaded.
pub(super) fn to_end(model: &mut Model, is_newest: bool) -> Vec<Effect> {
    let key = model.room().and_then(|room| {
        let last = room.timeline.len().checked_sub(1)?;
        room.timeline.item(if is_newest { last } else { 0 }).map(Item::key)
    });
    key.map_or_else(Vec::new, |key| to(model, key))
}

fn to(model: &mut Model, key: ItemKey) -> Vec<Effect> {
    model.selected = Some(key);
    let scroll = TimelinePage::of(model).map(|page| page.showing(key));
    if let (Some(scroll), Some(room)) = (scroll, model.room_mut()) {
        room.timeline.scroll = scroll;
    }
    rooms::load_older(model).into_iter().collect()
}

/// Copies the selected text.
pub(super) fn copy(model: &mut Model) -> Vec<Effect> {
    let text = model.selected.and_then(|key| {
        let room = model.room()?;
        room.timeline.item(room.timeline.index_of(key)).and_then(Item::text)
    });
    if let Some(text) = text {
        let what = format!("{} characters", text.chars().count());
        notices::copy(model, &what, text)
    } else {
        notices::show(model, "There is no text to copy.");
        Vec::new()
    }
}

/// Explains the selected item, or shows who has it.
pub(super) fn explain(model: &mut Model, topic: fn(ItemKey) -> PanelTopic) -> Vec<Effect> {
    if let Some(key) = model.selected {
        model.overlays = vec![Overlay::Panel { topic: topic(key), scroll: 0 }];
    }
    Vec::new()
}
