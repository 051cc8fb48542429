//! The rows of a timeline, only those a window needs, and where scrolling leads.
//!
//! Owns how runs of one author, dates and the line above new messages fall together. Looks at the
//! things next to the window and never at the whole room.

use std::sync::Arc;

use mathia_protocol::client::UnreadableCause;
use mathia_protocol::id::{AccountId, Seq, TimeMs};

use super::model::Model;
use super::model::areas::Areas;
use super::model::entry::{Body, Entry, ItemKey, Pending, PendingState};
use super::model::room::{Room, Tick};
use super::model::timeline::{Item, Scroll};
use super::stamp::{self, Dial};
use super::wrap::{self, Row};
use crate::safe_text::SafeText;

/// Messages of one author within this time stand under one name.
const RUN_GAP_MS: u64 = 5 * 60_000;
/// How far back a run of unreadable messages is counted.
const COUNTED_BACK_MAX: usize = 10_000;

/// A row of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) key: ItemKey,
    pub(crate) part: Part,
}

/// What a row of a timeline shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The day of what follows.
    Day(String),
    /// The line above new messages.
    New(String),
    /// Who said what follows, and when.
    Head { stamp: String, name: SafeText, is_mine: bool, is_shown_to_agent: bool },
    /// A row of what was said.
    Said { stamp: Option<String>, row: Row, tick: Option<Tick>, is_mention: bool },
    /// A row of a sentence about the room or a message.
    Told { stamp: Option<String>, text: String, tone: Tone },
    /// Nothing: the space above a day.
    Space,
}

/// How a sentence is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// By the way.
    Quiet,
    /// Something is wrong.
    Failed,
}

/// A room's timeline at a width.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    room: &'a Room,
    dial: &'a Dial,
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
/// Columns behind a message's text: space, tick, space.
const TICK_MARGIN: usize = 4;
/// Columns behind an own text where the tick needs a word.
const TICK_WORD_MARGIN: usize = 9;

impl<'a> Page<'a> {
    /// The timeline of the room one is in.
    pub(crate) fn of(model: &'a Model) -> Option<Self> {
        let room = model.room()?;
        let areas = Areas::of(model);
        let handle = model.me.as_ref().map_or("", |me| me.handle.as_str());
        let new_at = room.line.and_then(|line| room.timeline.first_countable_after(line.after));
        Some(Self {
            room,
            dial: &model.dial,
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
    pub(crate) fn window(&self) -> Vec<Line> {
        let Some((mut index, row)) = self.bottom() else { return Vec::new() };
        let mut lines: Vec<Line> = self.lines(index).drain(..=row).rev().collect();
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

    /// The rows of the thing at an index.
    fn lines(&self, index: usize) -> Vec<Line> {
        let timeline = &self.room.timeline;
        let Some(item) = timeline.item(index) else { return Vec::new() };
        let before = index.checked_sub(1).and_then(|i| timeline.item(i));
        let mut parts = Vec::new();
        let is_hidden = matches!(item, Item::Entry(entry) if entry.is_before_join())
            && matches!(timeline.item(index + 1), Some(Item::Entry(next)) if next.is_before_join());
        if is_hidden {
            return Vec::new();
        }
        self.push_day(&mut parts, item, before);
        let is_new = matches!(item, Item::Entry(entry) if self.new_at == Some(entry.seq));
        if let (true, Item::Entry(entry)) = (is_new, item) {
            parts.push(Part::New(self.new_text(entry)));
        }
        let before = before.filter(|_| parts.is_empty());
        match item {
            Item::Entry(entry) => self.push_entry(&mut parts, index, entry, before),
            Item::Pending(pending) => self.push_pending(&mut parts, pending, before),
            Item::Note(note) => {
                let tone = if note.is_alarm { Tone::Failed } else { Tone::Quiet };
                self.push_told(&mut parts, Some(note.time), note.text.as_str(), tone);
            }
        }
        let key = item.key();
        parts.into_iter().map(|part| Line { key, part }).collect()
    }

    fn push_day(&self, parts: &mut Vec<Part>, item: Item<'_>, before: Option<Item<'_>>) {
        let day = self.dial.day(item.time());
        if before.is_some_and(|before| self.dial.day(before.time()) == day) {
            return;
        }
        if before.is_some() {
            parts.push(Part::Space);
        }
        parts.push(Part::Day(stamp::day_name(day, self.dial.day(self.now))));
    }

    fn new_text(&self, first: &Entry) -> String {
        let n_new = self.room.line.map_or(0, |line| line.n_new);
        format!("{n_new} new since {}", self.dial.moment(first.time, self.now))
    }

    fn push_entry(
        &self,
        parts: &mut Vec<Part>,
        index: usize,
        entry: &Entry,
        before: Option<Item<'_>>,
    ) {
        match &entry.body {
            Body::Text(text) => {
                let stamp = self.push_head(parts, entry, before);
                let tick = entry.is_mine.then(|| self.room.reach(entry.seq).tick());
                let key = ItemKey::Placed(entry.seq, 0);
                self.push_said(parts, key, text, tick, (stamp, entry.is_mention));
            }
            Body::Change(text) => {
                let sentence = format!("{} {text}", entry.handle);
                self.push_told(parts, Some(entry.time), &sentence, Tone::Quiet);
            }
            Body::Rejected(check) => {
                let sentence = format!("message {} failed check {check}", entry.seq);
                self.push_told(parts, Some(entry.time), &sentence, Tone::Failed);
            }
            Body::Unreadable(UnreadableCause::BeforeJoin) => {
                let sentence = before_join(self.n_before_join(index));
                self.push_told(parts, Some(entry.time), &sentence, Tone::Quiet);
            }
            Body::Unreadable(cause) => {
                let stamp = self.push_head(parts, entry, before);
                self.push_told_at(parts, stamp, unreadable(*cause), Tone::Quiet);
            }
            Body::Unknown(kind) => {
                let stamp = self.push_head(parts, entry, before);
                let sentence =
                    format!("a kind of message this version does not know ({kind}); update mathia");
                self.push_told_at(parts, stamp, &sentence, Tone::Quiet);
            }
            Body::Expired => {
                let stamp = self.push_head(parts, entry, before);
                self.push_told_at(parts, stamp, "expired by this room's retention", Tone::Quiet);
            }
        }
    }

    fn push_pending(&self, parts: &mut Vec<Part>, pending: &Pending, before: Option<Item<'_>>) {
        let (head, time) = ((self.me, &self.my_handle, true, false), pending.queued_at);
        let stamp = self.push_head_of(parts, head, time, before);
        let tick = match pending.state {
            PendingState::Failed(_) => Tick::Failed,
            PendingState::Queued | PendingState::Sent => Tick::Queued,
        };
        let key = ItemKey::Pending(pending.key);
        self.push_said(parts, key, &pending.text, Some(tick), (stamp, false));
        if let PendingState::Failed(cause) = &pending.state {
            let sentence = format!("not sent: {cause} · /retry or /outbox");
            self.push_told(parts, None, &sentence, Tone::Failed);
        }
    }

    /// Adds a head unless the run goes on; returns the stamp for the gutter if the minute changed.
    fn push_head(
        &self,
        parts: &mut Vec<Part>,
        entry: &Entry,
        before: Option<Item<'_>>,
    ) -> Option<String> {
        let head = (entry.author, &entry.handle, entry.is_mine, entry.is_shown_to_agent);
        self.push_head_of(parts, head, entry.time, before)
    }

    fn push_head_of(
        &self,
        parts: &mut Vec<Part>,
        (author, name, is_mine, is_shown_to_agent): (AccountId, &SafeText, bool, bool),
        time: TimeMs,
        before: Option<Item<'_>>,
    ) -> Option<String> {
        let stamp = self.dial.clock(time);
        let said_before = before.and_then(|before| match before {
            Item::Entry(entry) if entry.is_said() => Some((entry.author, entry.is_shown_to_agent)),
            Item::Pending(_) => Some((self.me, false)),
            Item::Entry(_) | Item::Note(_) => None,
        });
        let is_near = |before: Item<'_>| time.0.saturating_sub(before.time().0) <= RUN_GAP_MS;
        if said_before == Some((author, is_shown_to_agent)) && before.is_some_and(is_near) {
            let stamp_before = before.map(|before| self.dial.clock(before.time()));
            return Some(stamp).filter(|stamp| stamp_before.as_ref() != Some(stamp));
        }
        parts.push(Part::Head { stamp, name: name.clone(), is_mine, is_shown_to_agent });
        None
    }

    fn push_said(
        &self,
        parts: &mut Vec<Part>,
        key: ItemKey,
        text: &SafeText,
        tick: Option<Tick>,
        (mut stamp, is_mention): (Option<String>, bool),
    ) {
        let has_word = self.is_colorless && tick.is_some();
        let margin = if has_word { TICK_WORD_MARGIN } else { TICK_MARGIN };
        let width = self.width.saturating_sub(self.indent() + margin).max(2);
        let rows: Arc<[Row]> = self.room.timeline.wrap(key, text.as_str(), width);
        for (i, row) in rows.iter().enumerate() {
            let tick = tick.filter(|_| i + 1 == rows.len());
            let stamp = stamp.take();
            parts.push(Part::Said { stamp, row: row.clone(), tick, is_mention });
        }
    }

    fn push_told(&self, parts: &mut Vec<Part>, time: Option<TimeMs>, text: &str, tone: Tone) {
        let stamp = time.map(|time| self.dial.clock(time));
        self.push_told_at(parts, stamp, text, tone);
    }

    fn push_told_at(
        &self,
        parts: &mut Vec<Part>,
        mut stamp: Option<String>,
        text: &str,
        tone: Tone,
    ) {
        let width = self.width.saturating_sub(self.indent() + 1).max(2);
        let signed = format!("✗ {text}");
        let text = if tone == Tone::Failed { &signed } else { text };
        for range in wrap::words(text, width) {
            let text = text[range].trim_end().to_owned();
            parts.push(Part::Told { stamp: stamp.take(), text, tone });
        }
    }

    fn n_before_join(&self, index: usize) -> usize {
        let from = index.saturating_sub(COUNTED_BACK_MAX);
        let is_one = |i: &usize| matches!(self.room.timeline.item(*i), Some(Item::Entry(entry)) if entry.is_before_join());
        (from..=index).rev().take_while(is_one).count()
    }
}

fn before_join(n_messages: usize) -> String {
    match n_messages {
        1 => "one message from before you joined; this room does not share those".to_owned(),
        n => format!("{n} messages from before you joined; this room does not share those"),
    }
}

/// What a placeholder says: the cause, and what happens next.
fn unreadable(cause: UnreadableCause) -> &'static str {
    match cause {
        UnreadableCause::BeforeJoin => "from before you joined",
        UnreadableCause::KeyAsked => {
            "cannot be read yet: its key was asked of the others and comes when one of them is here"
        }
        UnreadableCause::NotShown => "not shown to this account",
        UnreadableCause::KeyBad => {
            "cannot be read yet: the key that came does not fit; asked again"
        }
    }
}

#[cfg(test)]
mod tests;
