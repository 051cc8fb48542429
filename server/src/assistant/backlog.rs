//! What stands in the replica when an agent starts: questions without an answer, and those that have
//! one.
//!
//! Owns what counts as answered: an answer in the log, or one in the outbox, which leaves in the end.

use std::collections::HashSet;

use mathia_protocol::client::{Replica, Stored, StoredContent};
use mathia_protocol::crypto::content::{Ask, Content};
use mathia_protocol::id::{AccountId, RoomId, Seq, TimeMs};

use super::journal::Place;

/// Entries read at a time.
const PAGE: u32 = 256;

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) place: Place,
    pub(super) asker: AccountId,
    pub(super) time: TimeMs,
    pub(super) ask: Ask,
    /// Whether the asker took it back.
    pub(super) is_stopped: bool,
}

/// All that was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    /// Questions without an answer, oldest first in each room.
    pub(super) waiting: Vec<Waiting>,
    /// Questions that have an answer.
    pub(super) answered: Vec<Place>,
    /// Up to where each room was read.
    pub(super) upto: Vec<(RoomId, Seq)>,
}

/// Reads all rooms of an agent, each from behind `settled`.
pub(super) fn read(
    replica: &Replica,
    agent: AccountId,
    settled: impl Fn(RoomId) -> Seq,
) -> Stored<Backlog> {
    let mut on_the_way = HashSet::new();
    for row in replica.outbox(None)? {
        if let Content::Answer(answer) = row.content {
            on_the_way.insert((row.room, answer.ask));
        }
    }
    let mut backlog = Backlog::default();
    for room in replica.rooms()?.iter().filter(|room| room.facts.is_member) {
        let answered = on_the_way.iter().filter(|(of, _)| *of == room.room).map(|(_, ask)| *ask);
        let reading = Reading { answered: answered.collect(), ..Reading::default() };
        reading.read(replica, agent, (room.room, settled(room.room)), &mut backlog)?;
    }
    Ok(backlog)
}

/// What one room holds.
#[derive(Default)]
struct Reading {
    asks: Vec<(Seq, AccountId, TimeMs, Ask)>,
    answered: HashSet<Seq>,
    stopped: HashSet<(Seq, AccountId)>,
}

impl Reading {
    fn read(
        mut self,
        replica: &Replica,
        agent: AccountId,
        (room, mut after): Place,
        backlog: &mut Backlog,
    ) -> Stored<()> {
        loop {
            let page = replica.entries_after(room, after, PAGE)?;
            let Some(last) = page.last().map(|entry| entry.seq) else { break };
            for entry in page {
                let StoredContent::Said(content) = entry.content else { continue };
                match content {
                    Content::Ask(ask) if ask.agent == agent => {
                        self.asks.push((entry.seq, entry.author, entry.time, *ask));
                    }
                    Content::Answer(answer) if entry.author == agent => {
                        self.answered.insert(answer.ask);
                    }
                    Content::Stop(stop) => {
                        self.stopped.insert((stop.ask, entry.author));
                    }
                    _ => {}
                }
            }
            after = last;
        }
        for (seq, asker, time, ask) in self.asks {
            let place = (room, seq);
            if self.answered.contains(&seq) {
                backlog.answered.push(place);
            } else {
                let is_stopped = self.stopped.contains(&(seq, asker));
                backlog.waiting.push(Waiting { place, asker, time, ask, is_stopped });
            }
        }
        backlog.upto.push((room, after));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mathia_protocol::client::{Batch, EntryRecord, RoomFacts};
    use mathia_protocol::crypto::content::{Answer, Outcome, Stop};
    use mathia_protocol::id::{DeviceId, Hash};
    use mathia_protocol::wire::EntryBody;

    use super::*;

    const ROOM: RoomId = RoomId([1; 32]);
    const AGENT: AccountId = AccountId([2; 32]);
    const ANN: AccountId = AccountId([3; 32]);

    fn ask() -> Content {
        let (text, attached) = ("why?".to_owned(), Vec::new());
        let (card, again) = (Hash::ZERO, None);
        Content::Ask(Box::new(Ask { agent: AGENT, card, again, n_left_out: 0, text, attached }))
    }

    fn answer(ask: u64) -> Content {
        Content::Answer(Box::new(Answer {
            ask: Seq(ask),
            ask_hash: [0; 16],
            outcome: Outcome::Complete,
            cause: String::new(),
            text: "so".to_owned(),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            usage: None,
        }))
    }

    fn stop(ask: u64) -> Content {
        Content::Stop(Stop { agent: AGENT, ask: Seq(ask) })
    }

    /// A replica with one room, in which this was said, from place 1 on.
    fn replica(said: Vec<(AccountId, Content)>) -> Replica {
        let replica = Replica::in_memory();
        replica.put_room(ROOM, &RoomFacts::unknown()).unwrap();
        let entries = said.into_iter().zip(1..).map(|((author, content), seq)| EntryRecord {
            seq: Seq(seq),
            time: TimeMs(seq),
            body: EntryBody::Whole(Vec::new()),
            hash: Hash::ZERO,
            author,
            device: DeviceId::ZERO,
            content: StoredContent::Said(content),
            is_mention: false,
            is_shown: false,
            reactions: Vec::new(),
        });
        let entries: Vec<_> = entries.collect();
        let cursor = Some((Seq(entries.len() as u64), Hash::ZERO));
        replica.apply(ROOM, Batch { entries, cursor, ..Batch::default() }).unwrap();
        replica
    }

    fn open(backlog: &Backlog) -> Vec<(u64, bool)> {
        backlog.waiting.iter().map(|one| (one.place.1.0, one.is_stopped)).collect()
    }

    #[test]
    fn an_answer_in_the_log_or_on_its_way_answers_and_only_the_agents_own() {
        let said = vec![(ANN, ask()), (ANN, ask()), (ANN, ask())];
        let others = vec![(AGENT, answer(1)), (ANN, answer(2))];
        let replica = replica(said.into_iter().chain(others).collect());
        replica.queue(ROOM, &answer(3), TimeMs(9)).unwrap();
        let backlog = read(&replica, AGENT, |_| Seq(0)).unwrap();
        assert_eq!(open(&backlog), [(2, false)]);
        assert_eq!(backlog.answered, [(ROOM, Seq(1)), (ROOM, Seq(3))]);
        assert_eq!(backlog.upto, [(ROOM, Seq(5))]);
    }

    #[test]
    fn only_who_asked_takes_a_question_back() {
        let said = vec![(ANN, ask()), (ANN, ask()), (ANN, stop(1)), (AGENT, stop(2))];
        let backlog = read(&replica(said), AGENT, |_| Seq(0)).unwrap();
        assert_eq!(open(&backlog), [(1, true), (2, false)]);
    }

    #[test]
    fn what_is_settled_is_not_read_again() {
        let backlog = read(&replica(vec![(ANN, ask()), (ANN, ask())]), AGENT, |_| Seq(1)).unwrap();
        assert_eq!(open(&backlog), [(2, false)]);
    }
}
