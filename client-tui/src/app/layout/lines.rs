//! The rows of one thing of a timeline: its day, the line above new messages, who said it, what.

use std::sync::Arc;

use mathia_protocol::client::{EntryContent, UnreadableCause};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{AccountId, TimeMs};

use super::{AuthorKind, Head, MessageRow, RowPart, SentenceTone, TimelinePage, TimelineRow};
use crate::app::model::entry::{Entry, ItemKey, Pending, PendingState};
use crate::app::model::room::Tick;
use crate::app::model::timeline::Item;
use crate::app::stamp;
use crate::app::wrap::{self, WrappedRow};
use crate::safe_text::SafeText;

/// Messages of one author within this time stand under one name.
const RUN_GAP_MS: u64 = 5 * 60_000;
/// How far back a run of unreadable messages is counted.
const COUNTED_BACK_MAX: usize = 10_000;
/// Columns behind a message's text: space, tick, space.
const TICK_MARGIN: usize = 4;
/// Columns behind an own text where the tick needs a word.
const TICK_WORD_MARGIN: usize = 9;

/// What goes with the rows of a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextStyle {
    pub(super) tick: Option<Tick>,
    pub(super) is_mention: bool,
    pub(super) is_shown: bool,
    /// Bytes at the beginning that name the assistant that is asked.
    pub(super) lead: usize,
    /// Whether more is coming.
    pub(super) has_cursor: bool,
}

impl TimelinePage<'_> {
    /// The rows of the thing at an index.
    pub(super) fn lines(&self, index: usize) -> Vec<TimelineRow> {
        let timeline = &self.room.timeline;
        let Some(item) = timeline.item(index) else { return Vec::new() };
        // What shows nothing stands between nothing.
        let is_silent = |item: &Item<'_>| matches!(item, Item::Entry(entry) if entry.is_silent());
        if is_silent(&item) {
            return Vec::new();
        }
        let mut before = (0..index).rev().map_while(|i| timeline.item(i));
        let before = before.find(|item| !is_silent(item));
        let mut parts = Vec::new();
        let is_hidden = matches!(item, Item::Entry(entry) if entry.is_before_join())
            && matches!(timeline.item(index + 1), Some(Item::Entry(next)) if next.is_before_join());
        if is_hidden {
            return Vec::new();
        }
        self.push_day(&mut parts, item, before);
        let is_new = matches!(item, Item::Entry(entry) if self.new_at == Some(entry.seq));
        if let (true, Item::Entry(entry)) = (is_new, item) {
            parts.push(RowPart::New(self.new_text(entry)));
        }
        let before = before.filter(|_| parts.is_empty());
        match item {
            Item::Entry(entry) => self.push_entry(&mut parts, index, entry, before),
            Item::Answering(answering) => self.push_answering(&mut parts, answering),
            Item::Pending(pending) => self.push_pending(&mut parts, pending, before),
            Item::Note(note) => {
                let tone = if note.is_alarm { SentenceTone::Failed } else { SentenceTone::Quiet };
                self.push_sentence(&mut parts, Some(note.time), note.text.as_str(), tone);
            }
        }
        let key = item.key();
        parts.into_iter().map(|part| TimelineRow { key, part }).collect()
    }

    fn push_day(&self, parts: &mut Vec<RowPart>, item: Item<'_>, before: Option<Item<'_>>) {
        let day = self.time_format.day(item.time());
        if before.is_some_and(|before| self.time_format.day(before.time()) == day) {
            return;
        }
        if before.is_some() {
            parts.push(RowPart::Space);
        }
        parts.push(RowPart::Day(stamp::day_name(day, self.time_format.day(self.now))));
    }

    fn new_text(&self, first: &Entry) -> String {
        let n_new = self.room.line.map_or(0, |line| line.n_new);
        format!("{n_new} new since {}", self.time_format.moment(first.time, self.now))
    }

    fn push_entry(
        &self,
        parts: &mut Vec<RowPart>,
        index: usize,
        entry: &Entry,
        before: Option<Item<'_>>,
    ) {
        match &entry.content {
            // Shown at what it belongs to.
            EntryContent::Said(content) if content.is_silent() => {}
            EntryContent::Said(content) => {
                self.push_content(parts, entry, content, before);
                self.push_reactions(parts, entry);
            }
            EntryContent::Change(change) => {
                let sentence = format!("{} {}", entry.handle, change.text);
                self.push_sentence(parts, Some(entry.time), &sentence, SentenceTone::Quiet);
            }
            EntryContent::Rejected { check } => {
                let sentence = format!("message {} failed check {check}", entry.seq);
                self.push_sentence(parts, Some(entry.time), &sentence, SentenceTone::Failed);
            }
            EntryContent::Unreadable(UnreadableCause::BeforeJoin) => {
                let sentence = before_join(self.n_before_join(index));
                self.push_sentence(parts, Some(entry.time), &sentence, SentenceTone::Quiet);
            }
            EntryContent::Unreadable(cause) => {
                let stamp = self.push_head(parts, entry, before);
                self.push_sentence_at(parts, stamp, unreadable(*cause), SentenceTone::Quiet);
            }
            EntryContent::Expired => {
                let stamp = self.push_head(parts, entry, before);
                self.push_sentence_at(
                    parts,
                    stamp,
                    "expired by this room's retention",
                    SentenceTone::Quiet,
                );
            }
        }
    }

    fn push_content(
        &self,
        parts: &mut Vec<RowPart>,
        entry: &Entry,
        content: &Content<SafeText>,
        before: Option<Item<'_>>,
    ) {
        match content {
            Content::Text(text) => {
                let stamp = self.push_head(parts, entry, before);
                let (is_mention, is_shown) = (entry.is_mention, entry.is_shown_to_agent);
                let style = TextStyle {
                    tick: self.tick(entry),
                    is_mention,
                    is_shown,
                    ..TextStyle::default()
                };
                self.push_message(
                    parts,
                    ItemKey::Placed(entry.seq, 0),
                    text.as_str(),
                    style,
                    stamp,
                );
            }
            Content::Ask(asked) => {
                let stamp = self.push_head(parts, entry, before);
                self.push_asked(parts, entry, asked, stamp);
            }
            Content::Answer(answered) => self.push_answered(parts, entry, answered),
            Content::Stop(_) | Content::Reaction(_) => {}
            Content::Unknown { kind, .. } => {
                let stamp = self.push_head(parts, entry, before);
                let sentence =
                    format!("a kind of message this version does not know ({kind}); update mathia");
                self.push_sentence_at(parts, stamp, &sentence, SentenceTone::Quiet);
            }
        }
    }

    fn push_pending(&self, parts: &mut Vec<RowPart>, pending: &Pending, before: Option<Item<'_>>) {
        let (head, time) = ((self.me, &self.my_handle, AuthorKind::Mine), pending.queued_at);
        let stamp = self.push_head_of(parts, head, time, before);
        let tick = match pending.state {
            PendingState::Failed(_) => Tick::Failed,
            PendingState::Queued | PendingState::Sent => Tick::Queued,
        };
        let key = ItemKey::Pending(pending.key);
        let style = TextStyle { tick: Some(tick), ..TextStyle::default() };
        if pending.is_ask {
            self.push_asking(parts, pending, style, stamp);
        } else {
            self.push_message(parts, key, pending.text.as_str(), style, stamp);
        }
        if let PendingState::Failed(cause) = &pending.state {
            let sentence = format!("not sent: {cause} · /retry or /outbox");
            self.push_sentence(parts, None, &sentence, SentenceTone::Failed);
        }
    }

    /// How far an own entry is.
    pub(super) fn tick(&self, entry: &Entry) -> Option<Tick> {
        entry.is_mine.then(|| self.room.reach(entry.seq).tick())
    }

    /// Adds a head unless the run goes on; returns the stamp for the gutter if the minute changed.
    fn push_head(
        &self,
        parts: &mut Vec<RowPart>,
        entry: &Entry,
        before: Option<Item<'_>>,
    ) -> Option<String> {
        let whose = if entry.is_mine { AuthorKind::Mine } else { AuthorKind::Others };
        self.push_head_of(parts, (entry.author, &entry.handle, whose), entry.time, before)
    }

    fn push_head_of(
        &self,
        parts: &mut Vec<RowPart>,
        (author, name, whose): (AccountId, &SafeText, AuthorKind),
        time: TimeMs,
        before: Option<Item<'_>>,
    ) -> Option<String> {
        let stamp = self.time_format.clock(time);
        let said_before = before.and_then(|before| match before {
            // Each answer stands for itself, under a head that tells to what.
            Item::Entry(entry)
                if matches!(entry.content, EntryContent::Said(Content::Answer(_))) =>
            {
                None
            }
            Item::Entry(entry) if entry.is_said() => Some(entry.author),
            Item::Pending(_) => Some(self.me),
            Item::Entry(_) | Item::Note(_) | Item::Answering(_) => None,
        });
        let is_near = |before: Item<'_>| time.0.saturating_sub(before.time().0) <= RUN_GAP_MS;
        if said_before == Some(author) && before.is_some_and(is_near) {
            let stamp_before = before.map(|before| self.time_format.clock(before.time()));
            return Some(stamp).filter(|stamp| stamp_before.as_ref() != Some(stamp));
        }
        let (name, note, aside) = (name.clone(), String::new(), String::new());
        parts.push(RowPart::Head(Head { stamp, name, whose, note, aside }));
        None
    }

    pub(super) fn push_message(
        &self,
        parts: &mut Vec<RowPart>,
        key: ItemKey,
        text: &str,
        style: TextStyle,
        mut stamp: Option<String>,
    ) {
        let has_word = self.is_colorless && style.tick.is_some();
        let margin = if has_word { TICK_WORD_MARGIN } else { TICK_MARGIN };
        let width = self.width.saturating_sub(self.indent() + margin).max(2);
        let rows: Arc<[WrappedRow]> = self.room.timeline.wrap(key, text, width);
        for (i, row) in rows.iter().enumerate() {
            let is_last = i + 1 == rows.len();
            parts.push(RowPart::Message(MessageRow {
                stamp: stamp.take(),
                row: row.clone(),
                tick: style.tick.filter(|_| is_last),
                is_mention: style.is_mention,
                is_shown: style.is_shown && is_last,
                lead: if i == 0 { style.lead.min(row.text.len()) } else { 0 },
                has_cursor: style.has_cursor && is_last,
            }));
        }
    }

    pub(super) fn push_sentence(
        &self,
        parts: &mut Vec<RowPart>,
        time: Option<TimeMs>,
        text: &str,
        tone: SentenceTone,
    ) {
        let stamp = time.map(|time| self.time_format.clock(time));
        self.push_sentence_at(parts, stamp, text, tone);
    }

    pub(super) fn push_sentence_at(
        &self,
        parts: &mut Vec<RowPart>,
        mut stamp: Option<String>,
        text: &str,
        tone: SentenceTone,
    ) {
        let width = self.width.saturating_sub(self.indent() + 1).max(2);
        let signed = format!("✗ {text}");
        let text = if tone == SentenceTone::Failed { &signed } else { text };
        for range in wrap::words(text, width) {
            let text = text[range].trim_end().to_owned();
            parts.push(RowPart::Sentence { stamp: stamp.take(), text, tone });
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
