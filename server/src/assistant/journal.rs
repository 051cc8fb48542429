//! What the agent has begun, so that a restart knows: in the sealed rows of its own replica.
//!
//! A fixed number of places, one for each answer under way; an empty one is free. Owns nothing about
//! what a restart then does, see [`super::judge`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mathia_protocol::client::{Replica, Stored};
use mathia_protocol::crypto::ce::{CeError, Reader, Writer};
use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::limits::ANSWER_TEXT_LEN_MAX;

use super::judge::Begun;
use crate::limits::ANSWERS_UNDER_WAY_MAX;

/// Names an ask.
pub(super) type LogPosition = (RoomId, Seq);

/// The journal of one agent.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    replica: Arc<dyn Replica>,
    slots: Arc<Mutex<HashMap<LogPosition, usize>>>,
}

impl Journal {
    /// Opens the journal; also says what earlier lives have begun and not ended.
    pub(super) fn open(replica: Arc<dyn Replica>) -> Stored<(Self, HashMap<LogPosition, Begun>)> {
        let (mut slots, mut found) = (HashMap::new(), HashMap::new());
        for slot in 0..ANSWERS_UNDER_WAY_MAX {
            let Some(bytes) = replica.setting(&slot_name(slot))? else { continue };
            if let Ok((place, begun)) = decode(&bytes) {
                slots.insert(place, slot);
                found.insert(place, begun);
            }
        }
        Ok((Self { replica, slots: Arc::new(Mutex::new(slots)) }, found))
    }

    /// Notes how far an answer is. Without a free place nothing is noted: then a restart knows less.
    pub(super) fn note(&self, place: LogPosition, begun: &Begun) -> Stored<()> {
        let slot = {
            let mut slots = self.slots();
            let taken: Vec<usize> = slots.values().copied().collect();
            let free = (0..ANSWERS_UNDER_WAY_MAX).find(|slot| !taken.contains(slot));
            match (slots.get(&place), free) {
                (Some(slot), _) => *slot,
                (None, Some(slot)) => {
                    slots.insert(place, slot);
                    slot
                }
                (None, None) => return Ok(()),
            }
        };
        self.replica.put_setting(&slot_name(slot), &encode(place, begun))
    }

    /// Forgets an answer that is in the outbox.
    pub(super) fn forget(&self, place: LogPosition) -> Stored<()> {
        let Some(slot) = self.slots().remove(&place) else { return Ok(()) };
        self.replica.put_setting(&slot_name(slot), &[])
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<LogPosition, usize>> {
        // Every change is one call, so a panic elsewhere leaves it whole.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot_name(slot: usize) -> String {
    format!("assistant/under_way/{slot}")
}

fn encode((room, ask): LogPosition, begun: &Begun) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64 + begun.text.len());
    writer.fixed(&room.0).u64(ask.0).u8(begun.n_tries).bytes(begun.text.as_bytes()).finish()
}

fn decode(bytes: &[u8]) -> Result<(LogPosition, Begun), CeError> {
    let mut r = Reader::new(bytes);
    let place = (RoomId(r.array()?), Seq(r.u64()?));
    let n_tries = r.u8()?;
    let text = r.text(ANSWER_TEXT_LEN_MAX, "answer")?.to_owned();
    r.finish()?;
    Ok((place, Begun { n_tries, text }))
}

#[cfg(test)]
mod tests {
    use mathia_protocol::client::MemoryReplica;

    use super::*;

    const ASK: LogPosition = (RoomId([1; 32]), Seq(7));

    fn begun(text: &str) -> Begun {
        Begun { n_tries: 1, text: text.to_owned() }
    }

    #[test]
    fn a_restart_finds_what_was_begun_and_not_ended() {
        let replica: Arc<dyn Replica> = Arc::new(MemoryReplica::new());
        let (journal, found) = Journal::open(Arc::clone(&replica)).unwrap();
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
        let replica: Arc<dyn Replica> = Arc::new(MemoryReplica::new());
        let (journal, _) = Journal::open(Arc::clone(&replica)).unwrap();
        for n in 0..3 * ANSWERS_UNDER_WAY_MAX as u64 {
            journal.note((ASK.0, Seq(n)), &begun("x")).unwrap();
            journal.forget((ASK.0, Seq(n))).unwrap();
        }
        journal.note(ASK, &begun("last")).unwrap();
        assert_eq!(Journal::open(replica).unwrap().1.len(), 1);
    }
}
