//! Moving through a timeline.

use super::rooms;
use crate::app::effect::Effect;
use crate::app::layout::Page;
use crate::app::model::Model;
use crate::app::model::areas::Areas;
use crate::app::model::entry::ItemKey;
use crate::app::model::timeline::Scroll;

/// Scrolls by half a screen.
pub(super) fn by_page(model: &mut Model, is_down: bool) -> Vec<Effect> {
    let n_rows = usize::from(Areas::of(model).timeline.height / 2).max(1);
    let scroll =
        Page::of(model).map(|page| if is_down { page.down(n_rows) } else { page.up(n_rows) });
    to(model, scroll)
}

/// Goes to the newest.
pub(super) fn newest(model: &mut Model) -> Vec<Effect> {
    to(model, Some(Scroll::Live))
}

/// Goes to the line above what is new; without one, to the oldest that is loaded.
pub(super) fn first_unread(model: &mut Model) -> Vec<Effect> {
    let scroll = Page::of(model).and_then(|page| {
        let room = model.room()?;
        let first = room.line.and_then(|line| room.timeline.first_countable_after(line.after));
        match first {
            Some(first) => Some(page.with_top(ItemKey::Placed(first.seq, 0), 1)),
            None => room.timeline.item(0).map(|oldest| page.with_top(oldest.key(), 0)),
        }
    });
    to(model, scroll)
}

fn to(model: &mut Model, scroll: Option<Scroll>) -> Vec<Effect> {
    if let (Some(scroll), Some(room)) = (scroll, model.room_mut()) {
        room.timeline.scroll = scroll;
        if scroll == Scroll::Live {
            room.timeline.n_below = 0;
        }
    }
    rooms::load_older(model).into_iter().collect()
}
