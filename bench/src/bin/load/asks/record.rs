//! What the people of the proof have seen: which questions were accepted where, and which are
//! answered.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mathia_protocol::client::{ClientEvent, EntryContent, OutboxState};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{RoomId, Seq};

use crate::Failure;

/// Names a question: the room, and its place there.
pub(super) type Place = (RoomId, Seq);

#[derive(Default)]
pub(super) struct Record {
    /// Accepted questions: which, and when.
    pub(super) accepted: RefCell<BTreeMap<Place, (u32, Instant)>>,
    /// Questions that somebody has an answer to.
    answered: RefCell<BTreeSet<Place>>,
    /// The longest that an accepted question waited.
    slowest: Cell<Duration>,
    failure: RefCell<Option<String>>,
}

impl Record {
    /// Something happened to a person.
    pub(super) fn hears(&self, event: &ClientEvent) {
        match event {
            ClientEvent::Outbox(view) => match (&view.state, number_of(view.text())) {
                (OutboxState::Accepted { seq, .. }, Some(question)) => {
                    let accepted = (question, Instant::now());
                    self.accepted.borrow_mut().insert((view.room, *seq), accepted);
                }
                (OutboxState::Failed { cause }, _) => {
                    self.fail(format!("a question was not accepted: {cause}"));
                }
                _ => {}
            },
            ClientEvent::Entry(view) => {
                if let EntryContent::Said(Content::Answer(answer)) = &view.content {
                    self.answered((view.room, answer.ask));
                }
            }
            ClientEvent::Alarm { text, .. } => self.fail(format!("an alarm: {text}")),
            _ => {}
        }
    }

    fn answered(&self, place: Place) {
        if self.answered.borrow_mut().insert(place)
            && let Some((_, at)) = self.accepted.borrow().get(&place)
        {
            self.slowest.set(self.slowest.get().max(at.elapsed()));
        }
    }

    pub(super) fn fail(&self, failure: impl Into<String>) {
        self.failure.borrow_mut().get_or_insert(failure.into());
    }

    pub(super) fn n_accepted(&self) -> usize {
        self.accepted.borrow().len()
    }

    pub(super) fn slowest(&self) -> Duration {
        self.slowest.get()
    }

    /// Accepted questions without an answer.
    pub(super) fn open(&self) -> Vec<Place> {
        let (accepted, answered) = (self.accepted.borrow(), self.answered.borrow());
        accepted.keys().filter(|place| !answered.contains(place)).copied().collect()
    }

    /// What went wrong so far, if anything.
    pub(super) fn checked(&self) -> Result<(), Failure> {
        match self.failure.borrow_mut().take() {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }
}

/// How a question is marked, so that the model and the check know it again.
pub(super) fn mark(question: u32) -> String {
    format!("[q{question}]")
}

/// The number of the question in a text: the last, since others may be quoted before it.
pub(super) fn number_of(text: &str) -> Option<u32> {
    let (_, rest) = text.rsplit_once("[q")?;
    rest.split_once(']')?.0.parse().ok()
}
