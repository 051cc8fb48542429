//! The rows of a timeline, only those a window needs, and where scrolling leads.
//!
//! Owns how runs of one author, dates and the line above new messages fall together. Looks at the
//! things next to the window and never at the whole room.

mod asking;
mod lines;
mod reactions;

use mathia_protocol::id::{AccountId, Seq, TimeMs};

use super::model::Model;
use super::model::areas::Areas;
use super::model::entry::ItemKey;
use super::model::room::{Room, Tick};
use super::model::timeline::{Item, Scroll};
use super::stamp::TimeFormat;
use super::wrap::WrappedRow;
use crate::safe_text::SafeText;

/// A row of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimelineRow {
    pub(crate) key: ItemKey,
    pub(crate) part: RowPart,
}

/// What a row of a timeline shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowPart {
    /// The day of what follows.
    Day(String),
    /// The line above new messages.
    New(String),
    /// Who said what follows, and when.
    Head(Head),
    /// A row of what was said.
    Message(MessageRow),
    /// A row of a sentence about the room or a message.
    Sentence { stamp: Option<String>, text: String, tone: SentenceTone },
    /// Reactions to the message above.
    Reactions(Vec<ReactionChip>),
    /// Nothing: the space above a day.
    Space,
}

/// The row above what somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) stamp: String,
    pub(crate) name: SafeText,
    pub(crate) whose: AuthorKind,
    /// What stands behind the name.
    pub(crate) note: String,
    /// What stands at the right edge.
    pub(crate) aside: String,
}

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthorKind {
    Mine,
    Others,
    Assistants,
}

/// A row of what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageRow {
    pub(crate) stamp: Option<String>,
    pub(crate) row: WrappedRow,
    pub(crate) tick: Option<Tick>,
    pub(crate) is_mention: bool,
    /// Whether an assistant was shown this; told on the last row.
    pub(crate) is_shown: bool,
    /// How many bytes at its beginning name the assistant that is asked.
    pub(crate) lead: usize,
    /// Whether more is coming behind it.
    pub(crate) has_cursor: bool,
}

/// An emoji at a message, with how many chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReactionChip {
    pub(crate) text: String,
    pub(crate) is_mine: bool,
}

/// How a sentence is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SentenceTone {
    /// By the way.
    Quiet,
    /// Something is wrong.
    Failed,
}

/// A room's timeline at a width.
#[derive(Debug)]
pub(crate) struct TimelinePage<'a> {
    model: &'a Model,
    room: &'a Room,
    time_format: &'a TimeFormat,
    now: TimeMs,
    me: AccountId,
    my_handle: SafeText,
    width: usize,
    height: usize,
    has_stamps: bool,
    is_colorless: bool,
    /// The entry above which the line stands.
    new_at: Option<Seq>,
}

/// Columns before a message's text where stamps have a column: space, `17:05`, two spaces.
pub(crate) const STAMP_INDENT: usize = 8;
/// Columns before a message's text where they have none.
pub(crate) const NARROW_INDENT: usize = 2;

impl<'a> TimelinePage<'a> {
    /// The timeline of the room one is in.
    pub(crate) fn of(model: &'a Model) -> Option<Self> {
        let room = model.room()?;
        let areas = Areas::of(model);
        let handle = model.me.as_ref().map_or("", |me| me.handle.as_str());
        let new_at = room.line.and_then(|line| room.timeline.first_countable_after(line.after));
        Some(Self {
            model,
            room,
            time_format: &model.time_format,
            now: model.now.wall,
            me: model.my_account(),
            my_handle: SafeText::line(handle),
            width: usize::from(areas.timeline.width),
            height: usize::from(areas.timeline.height),
            has_stamps: areas.has_stamps,
            is_colorless: model.theme.is_colorless(),
            new_at: new_at.map(|entry| entry.seq),
        })
    }

    /// Columns before a message's text.
    pub(crate) fn indent(&self) -> usize {
        if self.has_stamps { STAMP_INDENT } else { NARROW_INDENT }
    }

    /// The rows the window shows, the lowest last; fewer than the height if that is all there is.
    pub(crate) fn window(&self) -> Vec<TimelineRow> {
        let Some((mut index, row)) = self.bottom() else { return Vec::new() };
        let mut lines: Vec<TimelineRow> = self.lines(index).drain(..=row).rev().collect();
        while lines.len() < self.height && index > 0 {
            index -= 1;
            lines.extend(self.lines(index).into_iter().rev());
        }
        lines.truncate(self.height);
        lines.reverse();
        lines
    }

    /// Says whether the window shows the oldest that is loaded.
    pub(crate) fn is_at_top(&self) -> bool {
        self.bottom().is_none_or(|bottom| self.rows_up_to(bottom) <= self.height)
    }

    /// Where the window stands after moving up by some rows; it stays full.
    pub(crate) fn up(&self, n_rows: usize) -> Scroll {
        let Some(bottom) = self.bottom() else { return Scroll::Live };
        let mut there = bottom;
        for _ in 0..n_rows {
            match self.row_above(there) {
                Some(above) => there = above,
                None => break,
            }
        }
        let missing = self.height.saturating_sub(self.rows_up_to(there));
        self.down_from(there, missing)
    }

    /// Where the window stands after moving down by some rows.
    pub(crate) fn down(&self, n_rows: usize) -> Scroll {
        self.bottom().map_or(Scroll::Live, |bottom| self.down_from(bottom, n_rows))
    }

    /// Where the window stands so that a thing is at its top, `n_above` rows below the edge.
    pub(crate) fn with_top(&self, key: ItemKey, n_above: usize) -> Scroll {
        let index = self.room.timeline.index_of(key);
        if index >= self.room.timeline.len() {
            return Scroll::Live;
        }
        let below = self.height.saturating_sub(1 + n_above);
        self.down_from((index, 0), below)
    }

    /// Where the window stands so that a thing is seen whole, if it fits; unchanged if it is.
    pub(crate) fn showing(&self, key: ItemKey) -> Scroll {
        let index = self.room.timeline.index_of(key);
        let window = self.window();
        let n_seen = window.iter().filter(|line| line.key == key).count();
        let n_rows = self.lines(index).len();
        if n_seen == n_rows.min(self.height) {
            return self.room.timeline.scroll;
        }
        let is_above = window.first().is_some_and(|first| key <= first.key);
        if is_above {
            self.with_top(key, 0)
        } else {
            self.scroll_to((index, n_rows.saturating_sub(1)))
        }
    }

    /// How many rows stand above what a thing says: its day, the line above what is new.
    pub(crate) fn n_rows_before(&self, key: ItemKey) -> usize {
        let lines = self.lines(self.room.timeline.index_of(key));
        let is_before = |line: &&TimelineRow| {
            matches!(line.part, RowPart::Space | RowPart::Day(_) | RowPart::New(_))
        };
        lines.iter().take_while(is_before).count()
    }

    /// The next thing up or down that shows anything.
    pub(crate) fn neighbor(&self, key: ItemKey, is_down: bool) -> Option<ItemKey> {
        let timeline = &self.room.timeline;
        let here = timeline.index_of(key);
        let shows = |index: &usize| !self.lines(*index).is_empty();
        let there = if is_down {
            (here + 1..timeline.len()).find(shows)
        } else {
            (0..here).rev().find(shows)
        };
        there.and_then(|index| timeline.item(index)).map(Item::key)
    }

    /// The lowest row of the window: a thing and one of its rows.
    fn bottom(&self) -> Option<(usize, usize)> {
        let timeline = &self.room.timeline;
        if let Scroll::At(key, row) = timeline.scroll {
            let index = timeline.index_of(key);
            if timeline.item(index).is_some_and(|item| item.key() == key) {
                let n_rows = self.lines(index).len();
                if n_rows > 0 {
                    return Some((index, row.min(n_rows - 1)));
                }
            }
            return self.last_row_before(index);
        }
        self.last_row_before(timeline.len())
    }

    fn last_row_before(&self, index: usize) -> Option<(usize, usize)> {
        (0..index).rev().find_map(|i| self.lines(i).len().checked_sub(1).map(|row| (i, row)))
    }

    fn row_above(&self, (index, row): (usize, usize)) -> Option<(usize, usize)> {
        if row > 0 { Some((index, row - 1)) } else { self.last_row_before(index) }
    }

    /// How many rows there are up to and with one; counts no further than the height.
    fn rows_up_to(&self, (index, row): (usize, usize)) -> usize {
        let mut n_rows = row + 1;
        for i in (0..index).rev() {
            if n_rows > self.height {
                break;
            }
            n_rows += self.lines(i).len();
        }
        n_rows
    }

    fn down_from(&self, (mut index, mut row): (usize, usize), n_rows: usize) -> Scroll {
        let mut left = n_rows;
        let n_items = self.room.timeline.len();
        while index < n_items {
            let n_rows_here = self.lines(index).len();
            if row + left < n_rows_here {
                return self.scroll_to((index, row + left));
            }
            left -= n_rows_here.saturating_sub(row).min(left);
            index += 1;
            row = 0;
        }
        Scroll::Live
    }

    /// The scroll that has a row at the bottom: live if it is the last of all.
    fn scroll_to(&self, (index, row): (usize, usize)) -> Scroll {
        let timeline = &self.room.timeline;
        let is_last = self.last_row_before(timeline.len()) == Some((index, row));
        match timeline.item(index) {
            Some(item) if !is_last => Scroll::At(item.key(), row),
            _ => Scroll::Live,
        }
    }
}

#[cfg(test)]
mod tests;
