//! What the agent has begun, so that a restart knows: in the sealed rows of its own replica.
//!
//! A bounded number of answers, one row for each that is under way. Owns nothing about what a restart
//! then does, see [`super::judge`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mathia_protocol::client::{Replica, Stored, UnfinishedAnswer};
use mathia_protocol::id::{RoomId, Seq};

use super::judge::Begun;
use crate::limits::ANSWERS_UNDER_WAY_MAX;

/// Names an ask.
pub(super) type Place = (RoomId, Seq);

/// The journal of one agent.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    replica: Replica,
    /// The answers that have a row.
    noted: Arc<Mutex<HashSet<Place>>>,
}

impl Journal {
    /// Opens the journal; also says what earlier lives have begun and not ended.
    pub(super) fn open(replica: Replica) -> Stored<(Self, HashMap<Place, Begun>)> {
        let found: HashMap<Place, Begun> = replica
            .unfinished_answers()?
            .into_iter()
            .map(|kept| ((kept.room, kept.ask), Begun { n_tries: kept.n_tries, text: kept.text }))
            .collect();
        let noted = found.keys().copied().collect();
        Ok((Self { replica, noted: Arc::new(Mutex::new(noted)) }, found))
    }

    /// Notes how far an answer is. Beyond the bound nothing is noted: then a restart knows less.
    pub(super) fn note(&self, place: Place, begun: &Begun) -> Stored<()> {
        {
            let mut noted = self.noted();
            if !noted.contains(&place) && noted.len() >= ANSWERS_UNDER_WAY_MAX {
                return Ok(());
            }
            noted.insert(place);
        }
        let ((room, ask), n_tries, text) = (place, begun.n_tries, begun.text.clone());
        self.replica.put_unfinished_answer(&UnfinishedAnswer { room, ask, n_tries, text })
    }

    /// Forgets an answer that is in the outbox.
    pub(super) fn forget(&self, place: Place) -> Stored<()> {
        if !self.noted().remove(&place) {
            return Ok(());
        }
        self.replica.forget_unfinished_answer(place.0, place.1)
    }

    fn noted(&self) -> MutexGuard<'_, HashSet<Place>> {
        // Every change is one call, so a panic elsewhere leaves it whole.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mathia_protocol::client::RoomFacts;

    use super::*;

    const ASK: Place = (RoomId([1; 32]), Seq(7));

    fn replica() -> Replica {
        let replica = Replica::in_memory();
        replica.put_room(ASK.0, &RoomFacts::unknown()).unwrap();
        replica
    }

    fn begun(text: &str) -> Begun {
        Begun { n_tries: 1, text: text.to_owned() }
    }

    #[test]
    fn a_restart_finds_what_was_begun_and_not_ended() {
        let replica = replica();
        let (journal, found) = Journal::open(replica.clone()).unwrap();
        assert!(found.is_empty());
        let other = (ASK.0, Seq(9));
        journal.note(ASK, &begun("")).unwrap();
        journal.note(other, &begun("done soon")).unwrap();
        journal.note(ASK, &begun("The column")).unwrap();
        journal.forget(other).unwrap();
        let (_, found) = Journal::open(replica).unwrap();
        assert_eq!(found, HashMap::from([(ASK, begun("The column"))]));
    }

    #[test]
    fn a_place_that_was_given_back_is_used_again() {
        let replica = replica();
        let (journal, _) = Journal::open(replica.clone()).unwrap();
        for n in 0..3 * ANSWERS_UNDER_WAY_MAX as u64 {
            journal.note((ASK.0, Seq(n)), &begun("x")).unwrap();
            journal.forget((ASK.0, Seq(n))).unwrap();
        }
        journal.note(ASK, &begun("last")).unwrap();
        assert_eq!(Journal::open(replica).unwrap().1.len(), 1);
    }
}
