//! The things of a room's timeline, in order: entries by place, notes between them, the outbox.
//!
//! Holds only what was loaded; asks for nothing itself. Inserting tells whether places are missing.

mod asking;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mathia_protocol::client::{Change, EntryContent};
use mathia_protocol::crypto::content::Reaction;
use mathia_protocol::id::{Seq, TimeMs};

use super::entry::{Entry, ItemKey, Note, Pending, PendingState};
use super::question::Answering;
use crate::app::wrap::{self, WrappedRow};
use crate::safe_text::SafeText;

/// Entries kept of a room one has left; older ones are read again when wanted.
const KEPT_MAX: usize = 500;
/// Entries kept of the room one is in while its newest are in view.
const LIVE_KEPT_MAX: usize = 5_000;
/// Notes kept between entries; the oldest goes first.
const NOTES_MAX: usize = 200;

/// Answers shown at a time while they come: more would be a screen nobody can follow.
const ANSWERING_MAX: usize = 32;

/// What a room's timeline shows, as far as it is loaded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    placed: VecDeque<Placed>,
    pending: Vec<Pending>,
    /// Answers on their way, by ask: behind everything, where they will stand.
    answering: Vec<Answering>,
    /// The asks whose answers are loaded.
    answered: HashSet<Seq>,
    /// The asks that were taken back.
    stopped: HashSet<Seq>,
    /// Own reactions on their way, by their number in the outbox.
    pub(super) reacting: BTreeMap<u64, Reaction>,
    /// The newest own ask that was loaded.
    own_ask: Option<Seq>,
    /// Whether the newest page was loaded.
    pub(crate) is_loaded: bool,
    /// Whether older entries can be had.
    pub(crate) has_more: bool,
    /// The page that was asked for and has not come: entries before this place.
    pub(crate) asked: Option<Seq>,
    /// What is at the bottom of the window.
    pub(crate) scroll: Scroll,
    /// Messages that arrived below the window since it was scrolled away.
    pub(crate) n_below: u32,
    /// The number of the newest note.
    n_notes: u32,
    wrapped: RefCell<Wrapped>,
}

/// What stands at the bottom of the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Scroll {
    /// The newest, whatever it is.
    #[default]
    Live,
    /// This row of this thing, whatever arrives below.
    At(ItemKey, usize),
}

#[derive(Debug, Clone)]
enum Placed {
    Entry(Box<Entry>),
    Note(Box<Note>),
}

/// A thing of the timeline.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    Entry(&'a Entry),
    Note(&'a Note),
    Answering(&'a Answering),
    Pending(&'a Pending),
}

/// Remembers how texts were wrapped, for one width at a time. Never changes what is drawn.
#[derive(Debug, Clone, Default)]
struct Wrapped {
    width: usize,
    rows: HashMap<ItemKey, Arc<[WrappedRow]>>,
}

/// Wrapped texts remembered at most: some screens, up and down.
const WRAPPED_MAX: usize = 2_000;

impl Placed {
    fn key(&self) -> ItemKey {
        match self {
            Self::Entry(entry) => ItemKey::Placed(entry.seq, 0),
            Self::Note(note) => ItemKey::Placed(note.after, note.number),
        }
    }
}

impl Item<'_> {
    pub(crate) fn key(self) -> ItemKey {
        match self {
            Self::Entry(entry) => ItemKey::Placed(entry.seq, 0),
            Self::Note(note) => ItemKey::Placed(note.after, note.number),
            Self::Answering(answering) => ItemKey::Answering(answering.ask),
            Self::Pending(pending) => ItemKey::Pending(pending.key),
        }
    }

    pub(crate) fn time(self) -> TimeMs {
        match self {
            Self::Entry(entry) => entry.time,
            Self::Note(note) => note.time,
            Self::Answering(answering) => answering.since,
            Self::Pending(pending) => pending.queued_at,
        }
    }

    /// The text a person can copy.
    pub(crate) fn text(self) -> Option<String> {
        let text = match self {
            Self::Entry(entry) => match &entry.content {
                EntryContent::Change(Change { text, .. }) => text,
                content => content.said()?.text()?,
            },
            Self::Note(Note { text, .. })
            | Self::Answering(Answering { text, .. })
            | Self::Pending(Pending { text, .. }) => text,
        };
        Some(text.as_str().to_owned())
    }
}

impl Timeline {
    /// How many things there are.
    pub(crate) fn len(&self) -> usize {
        self.placed.len() + self.pending.len() + self.answering.len()
    }

    /// The thing at an index, the oldest at 0.
    pub(crate) fn item(&self, index: usize) -> Option<Item<'_>> {
        match self.placed.get(index) {
            Some(Placed::Entry(entry)) => Some(Item::Entry(entry)),
            Some(Placed::Note(note)) => Some(Item::Note(note)),
            None => {
                let index = index - self.placed.len();
                let answering = || self.answering.get(index - self.pending.len());
                let pending = self.pending.get(index).map(Item::Pending);
                pending.or_else(|| answering().map(Item::Answering))
            }
        }
    }

    /// Where a thing stands; if it is gone, where it would.
    pub(crate) fn index_of(&self, key: ItemKey) -> usize {
        match key {
            ItemKey::Placed(..) => self.placed.partition_point(|placed| placed.key() < key),
            ItemKey::Pending(_) => {
                let at = self.pending.iter().position(|p| ItemKey::Pending(p.key) >= key);
                self.placed.len() + at.unwrap_or(self.pending.len())
            }
            ItemKey::Answering(ask) => {
                let at = self.answering.partition_point(|one| one.ask < ask);
                self.placed.len() + self.pending.len() + at
            }
        }
    }

    /// Puts an entry at its place, replacing an older telling of it. Returns whether it is new.
    pub(crate) fn insert(&mut self, entry: Entry) -> bool {
        let key = ItemKey::Placed(entry.seq, 0);
        self.wrapped.get_mut().rows.remove(&key);
        self.note_asking(&entry);
        let index = self.index_of(key);
        let entry = Placed::Entry(Box::new(entry));
        match self.placed.get_mut(index) {
            Some(there) if there.key() == key => {
                *there = entry;
                false
            }
            _ => {
                self.placed.insert(index, entry);
                true
            }
        }
    }

    /// The entry at a place, if it is loaded.
    pub(crate) fn entry(&self, seq: Seq) -> Option<&Entry> {
        match self.placed.get(self.index_of(ItemKey::Placed(seq, 0))) {
            Some(Placed::Entry(entry)) if entry.seq == seq => Some(entry),
            _ => None,
        }
    }

    /// The entry at a place, to be changed in what does not move it.
    pub(super) fn entry_mut(&mut self, seq: Seq) -> Option<&mut Entry> {
        let index = self.index_of(ItemKey::Placed(seq, 0));
        match self.placed.get_mut(index) {
            Some(Placed::Entry(entry)) if entry.seq == seq => Some(entry),
            _ => None,
        }
    }

    /// Says whether the entry at a place is loaded.
    pub(crate) fn has(&self, seq: Seq) -> bool {
        self.entry(seq).is_some()
    }

    /// The place before which entries are missing, if the entry at `seq` has a hole before it.
    pub(crate) fn hole_before(&self, seq: Seq) -> Option<Seq> {
        let index = self.index_of(ItemKey::Placed(seq, 0));
        let before = self.placed.range(..index).rev().find_map(|placed| match placed {
            Placed::Entry(entry) => Some(entry.seq),
            Placed::Note(_) => None,
        })?;
        (before.next() < seq).then_some(seq)
    }

    /// Adds a line for the own person behind the newest entry.
    pub(crate) fn note(&mut self, text: SafeText, time: TimeMs, is_alarm: bool) {
        let is_note = |placed: &Placed| matches!(placed, Placed::Note(_));
        if self.placed.iter().filter(|placed| is_note(placed)).count() >= NOTES_MAX
            && let Some(oldest) = self.placed.iter().position(is_note)
        {
            self.placed.remove(oldest);
        }
        self.n_notes += 1;
        let after = self.newest().unwrap_or_default();
        let note = Note { after, number: self.n_notes, time, text, is_alarm };
        self.placed.push_back(Placed::Note(Box::new(note)));
    }

    /// The place of the newest loaded entry.
    pub(crate) fn newest(&self) -> Option<Seq> {
        self.entries().next_back().map(|entry| entry.seq)
    }

    /// The place of the oldest loaded entry.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        self.entries().next().map(|entry| entry.seq)
    }

    /// The first entry above a place that counts as unread.
    pub(crate) fn first_countable_after(&self, seq: Seq) -> Option<&Entry> {
        let from = self.index_of(ItemKey::Placed(seq.next(), 0));
        self.placed.range(from..).find_map(|placed| match placed {
            Placed::Entry(entry) if entry.is_countable && !entry.is_mine => Some(&**entry),
            _ => None,
        })
    }

    /// The loaded entries, oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.placed.iter().filter_map(|placed| match placed {
            Placed::Entry(entry) => Some(&**entry),
            Placed::Note(_) => None,
        })
    }

    /// What waits in the outbox.
    pub(crate) fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Adds something to the outbox shown.
    pub(crate) fn push_pending(&mut self, pending: Pending) {
        self.pending.push(pending);
    }

    /// Something of the outbox, to be changed.
    pub(crate) fn pending_mut(&mut self, is_it: impl Fn(&Pending) -> bool) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| is_it(pending))
    }

    /// Takes something out of the outbox shown.
    pub(crate) fn take_pending(&mut self, is_it: impl Fn(&Pending) -> bool) -> Option<Pending> {
        let index = self.pending.iter().position(is_it)?;
        let taken = self.pending.remove(index);
        self.wrapped.get_mut().rows.remove(&ItemKey::Pending(taken.key));
        Some(taken)
    }

    /// How many texts wait to be sent.
    pub(crate) fn n_queued(&self) -> usize {
        let waits = |p: &&Pending| !matches!(p.state, PendingState::Failed(_));
        self.pending.iter().filter(waits).count()
    }

    /// Forgets old entries of a room one has left, and where it was scrolled.
    pub(crate) fn rest(&mut self) {
        self.scroll = Scroll::Live;
        self.n_below = 0;
        self.keep_newest(KEPT_MAX);
        *self.wrapped.get_mut() = Wrapped::default();
    }

    /// Forgets old entries when very many have arrived; never while somebody reads them.
    pub(crate) fn bound(&mut self, is_here: bool) {
        let kept_max = if is_here { LIVE_KEPT_MAX } else { KEPT_MAX };
        if self.scroll == Scroll::Live && self.placed.len() > 2 * kept_max {
            self.keep_newest(kept_max);
        }
    }

    fn keep_newest(&mut self, n_kept: usize) {
        let excess = self.placed.len().saturating_sub(n_kept);
        if excess > 0 {
            self.placed.drain(..excess);
            self.has_more = true;
        }
    }

    /// The rows of a thing's text at a width, from memory if it was wrapped before.
    pub(crate) fn wrap(&self, key: ItemKey, text: &str, width: usize) -> Arc<[WrappedRow]> {
        let mut wrapped = self.wrapped.borrow_mut();
        if wrapped.width != width || wrapped.rows.len() >= WRAPPED_MAX {
            *wrapped = Wrapped { width, rows: HashMap::new() };
        }
        let rows = wrapped.rows.entry(key).or_insert_with(|| wrap::rows(text, width).into());
        Arc::clone(rows)
    }

    /// How many texts are remembered wrapped.
    #[cfg(test)]
    pub(crate) fn n_wrapped(&self) -> usize {
        self.wrapped.borrow().rows.len()
    }
}
