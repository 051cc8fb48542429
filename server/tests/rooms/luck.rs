//! Bad luck in any order: lost answers, full disks, restarts. What was accepted stays, once, in place.

use std::collections::{BTreeMap, VecDeque};

use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::wire::Fault;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::cast::{Person, Town};

/// A person who, like a client, sends what was refused again, in order, before anything new.
struct Sender {
    person: Person,
    waiting: VecDeque<Vec<u8>>,
    sent: Vec<(Vec<u8>, Seq)>,
}

impl Sender {
    fn new(person: Person) -> Self {
        Self { person, waiting: VecDeque::new(), sent: Vec::new() }
    }

    fn sends(&mut self, town: &Town, room: RoomId) {
        while let Some(entry) = self.waiting.front().cloned() {
            match self.person.appends(town, room, entry.clone()) {
                Ok(seq) => {
                    self.waiting.pop_front();
                    self.sent.push((entry, seq));
                }
                Err(Fault::ServerBusy { .. }) => return,
                Err(other) => panic!("refused: {other:?}"),
            }
        }
    }
}

fn a_day_of_bad_luck(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut town = if seed == 0 { Town::start_on_disk() } else { Town::start() };
    let (ann, bob, eve, room) = town.three_friends();
    let mut senders = [ann, bob, eve].map(Sender::new);
    let mut accepted: BTreeMap<Seq, Vec<u8>> = BTreeMap::new();
    for number in 0..200 {
        let who = rng.random_range(0..senders.len());
        match rng.random_range(0..12) {
            0 => town.stage.set_full(rng.random()),
            1 => {
                town.stage.set_full(false);
                town.restarts();
                for sender in &mut senders {
                    sender.person.comes_back(&town);
                }
            }
            2 if !senders[who].sent.is_empty() => {
                // Its answer was lost: it must come again, for any of the last few.
                let sender = &mut senders[who];
                let back = rng.random_range(1..=sender.sent.len().min(16));
                let (entry, seq) = sender.sent[sender.sent.len() - back].clone();
                let again = sender.person.appends(&town, room, entry);
                assert!(matches!(again, Err(Fault::ServerBusy { .. })) || again == Ok(seq));
            }
            _ => {
                let sender = &mut senders[who];
                let entry = sender.person.seals(&town, room, &format!("line {number}"));
                sender.waiting.push_back(entry);
                sender.sends(&town, room);
            }
        }
        town.clock.advance(rng.random_range(0..2_000));
    }
    town.stage.set_full(false);
    for sender in &mut senders {
        sender.sends(&town, room);
        accepted.extend(sender.sent.iter().map(|(entry, seq)| (*seq, entry.clone())));
    }
    let n_accepted: usize = senders.iter().map(|sender| sender.sent.len()).sum();
    assert_eq!(accepted.len(), n_accepted, "two messages got one place");
    let [first, second, _] = &mut senders;
    first.person.syncs(&town, room);
    second.person.syncs(&town, room);
    let view = &first.person.rooms[&room];
    assert_eq!(view.log, second.person.rooms[&room].log);
    let said: Vec<&Vec<u8>> = view.entries.iter().skip(1).collect();
    let expected: Vec<&Vec<u8>> = accepted.values().collect();
    assert_eq!(said, expected, "seed {seed}");
}

#[test]
fn whatever_happens_the_log_holds_exactly_what_was_accepted() {
    (0..12).for_each(a_day_of_bad_luck);
}
