//! Moving through a timeline.

use mathia_protocol::id::Seq;

use super::rooms;
use crate::app::effect::Effect;
use crate::app::layout::TimelinePage;
use crate::app::model::Model;
use crate::app::model::areas::Areas;
use crate::app::model::entry::ItemKey;
use crate::app::model::timeline::Scroll;

/// Scrolls by half a screen.
pub(super) fn by_page(model: &mut Model, is_down: bool) -> Vec<Effect> {
    let n_rows = usize::from(Areas::of(model).timeline.height / 2).max(1);
    let scroll = TimelinePage::of(model)
        .map(|page| if is_down { page.down(n_rows) } else { page.up(n_rows) });
    to(model, scroll)
}

/// Goes to the newest.
pub(super) fn newest(model: &mut Model) -> Vec<Effect> {
    to(model, Some(Scroll::Live))
}

/// Goes to the line above what is new; without one, to the oldest that is loaded.
pub(super) fn first_unread(model: &mut Model) -> Vec<Effect> {
    let scroll = TimelinePage::of(model).and_then(|page| {
        let room = model.room()?;
        let first = room.line.and_then(|line| room.timeline.first_countable_after(line.after));
        match first {
            Some(first) => Some(page.with_top(ItemKey::Placed(first.seq, 0), 1)),
            None => room.timeline.item(0).map(|oldest| page.with_top(oldest.key(), 0)),
        }
    });
    to(model, scroll)
}

/// How many rows stand above an answer that comes in, if somebody reads in it.
pub(super) fn reads_answer(model: &Model, ask: Seq) -> Option<usize> {
    let key = ItemKey::Answering(ask);
    let is_there = matches!(model.room()?.timeline.scroll, Scroll::At(at, _) if at == key);
    is_there.then(|| TimelinePage::of(model).map(|page| page.n_rows_before(key)))?
}

/// The whole answer took the place of the one that came in: its reader stays at their row, whatever
/// stands above it now.
pub(super) fn keep_reading(model: &mut Model, answer: Seq, n_before: usize) {
    let key = ItemKey::Placed(answer, 0);
    let n_now = TimelinePage::of(model).map_or(n_before, |page| page.n_rows_before(key));
    if let Some(room) = model.room_mut()
        && let Scroll::At(at, row) = room.timeline.scroll
        && at == key
    {
        room.timeline.scroll = Scroll::At(key, (row + n_now).saturating_sub(n_before));
    }
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
