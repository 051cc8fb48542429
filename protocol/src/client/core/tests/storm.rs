//! Everything at once: sessions cut, devices crashing, disks failing, events lost, answers late and
//! in any order, in ever other orders. Whatever happens, what was queued stands once in the log, in
//! its order, and everybody has the same log in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::io::{CommandId, Input};
use super::town::{Fate, Town, Who};
use crate::client::record::{OutboxRow, RowState};
use crate::client::{Command, Replica};
use crate::crypto::commit::Role;
use crate::id::{RoomId, Seq};
use crate::wire::{Event, Fault};

/// What happens in one storm.
const ACTIONS: usize = 150;

/// A command whose answer is awaited; with room and text if it is one.
type Begun = (Who, CommandId, Option<(RoomId, String)>);

struct Storm {
    town: Town,
    rng: StdRng,
    people: Vec<Who>,
    rooms: Vec<RoomId>,
    /// Texts that were durable in the outbox of a device, by room.
    queued: BTreeMap<(Who, RoomId), Vec<String>>,
    begun: Vec<Begun>,
    n_texts: usize,
    /// Whether people come and go as well.
    is_moving: bool,
}

impl Storm {
    fn of(seed: u64, is_moving: bool) -> Self {
        let (mut town, [ada, bob, cleo], room) = Town::with_room(["ada", "bob", "cleo"]);
        let phone = town.adds_device(bob);
        let phone = town.starts(phone, Replica::in_memory());
        let other = town.makes_room(cleo, &[ada, bob]);
        let mut people = vec![ada, bob, cleo, phone];
        if is_moving {
            let everybody = Role::Owner;
            for (who, room, other) in [(ada, room, bob), (cleo, other, ada)] {
                let person = town.person(other);
                town.run(who, Command::SetRole { room, person, role: everybody }).unwrap();
            }
            let (identity, replica) =
                (town.devices[ada].identity.duplicate(), town.devices[ada].replica.clone());
            people.push(town.starts(identity, replica));
        }
        town.wait(Duration::from_secs(5));
        let rng = StdRng::seed_from_u64(seed);
        let mut weather = StdRng::seed_from_u64(seed + 1_000);
        town.tamper = Some(Box::new(move |_, _| bad_call(&mut weather)));
        let mut weather = StdRng::seed_from_u64(seed + 2_000);
        town.filter = Some(Box::new(move |_, input| bad_event(&mut weather, input)));
        let (queued, begun) = (BTreeMap::new(), Vec::new());
        Self { town, rng, people, rooms: vec![room, other], queued, begun, n_texts: 0, is_moving }
    }

    fn somebody(&mut self) -> Who {
        self.people[self.rng.random_range(0..self.people.len())]
    }

    fn somewhere(&mut self) -> RoomId {
        self.rooms[self.rng.random_range(0..self.rooms.len())]
    }

    fn act(&mut self) {
        let (who, room) = (self.somebody(), self.somewhere());
        if self.is_moving && self.rng.random_range(0..8) == 0 {
            self.move_somebody(who, room);
        }
        match self.rng.random_range(0..24) {
            0..8 => self.say(who, room),
            8 => self.begin(who, Command::Rotate(room)),
            9 => self.begin(who, Command::MarkRead { room, upto: Seq(u64::MAX) }),
            10 => self.begin(who, Command::Timeline { room, before: Seq(0), count: 20 }),
            11 => self.begin(who, Command::Sync),
            12 | 13 => self.town.cut(who),
            14 => self.crash(who),
            15 => self.town.devices[who].disk.n_failing_writes = self.rng.random_range(1..4),
            16 => self.town.devices[who].disk.n_failing_reads = self.rng.random_range(1..3),
            17 => self.town.devices[who].disk.n_failing_seals = 1,
            18 => self.town.devices[who].disk.is_slow ^= true,
            19 => self.town.devices[who].is_unreachable ^= true,
            20 => self.release(),
            21 => {
                let topic = self.n_texts.to_string();
                self.begin(who, Command::Set { room, key: "topic".into(), value: topic });
            }
            _ => {
                let pause = Duration::from_millis(self.rng.random_range(1..4_000));
                self.town.wait(pause);
            }
        }
        // Some of what is on its way arrives.
        for _ in 0..self.rng.random_range(0..30) {
            let who = self.somebody();
            self.town.step(who);
        }
        self.collect();
    }

    fn move_somebody(&mut self, who: Who, room: RoomId) {
        let somebody = self.somebody();
        let (person, people) = (self.town.person(somebody), self.town.people(&[somebody]));
        let command = match self.rng.random_range(0..6) {
            0 => Command::Remove { room, person },
            1 => Command::Leave(room),
            2 => Command::SetRole { room, person, role: Role::Admin },
            _ => Command::Add { room, people },
        };
        self.begin(who, command);
    }

    fn say(&mut self, who: Who, room: RoomId) {
        self.n_texts += 1;
        let text = format!("{who}: {}", self.n_texts);
        let command = Command::Send { room, text: text.clone(), tag: None };
        let id = self.town.begin(who, command);
        self.begun.push((who, id, Some((room, text))));
    }

    fn begin(&mut self, who: Who, command: Command) {
        let id = self.town.begin(who, command);
        self.begun.push((who, id, None));
    }

    /// A crash takes the answers to commands with it; whether a text was queued, the disk knows.
    fn crash(&mut self, who: Who) {
        self.collect();
        let rows = self.town.devices[who].replica.outbox_changes(0).unwrap().0;
        for (of, id, text) in std::mem::take(&mut self.begun) {
            match text {
                _ if of != who => self.begun.push((of, id, text)),
                Some((room, text)) if rows.iter().any(|row| row.content.text() == Some(&text)) => {
                    self.queued.entry((who, room)).or_default().push(text);
                }
                _ => {}
            }
        }
        self.town.server.logout(who);
        self.town.devices[who].crash();
        self.town.give(who, Input::Start);
    }

    fn release(&mut self) {
        let is_reversed = self.rng.random();
        self.town.release(is_reversed);
    }

    fn collect(&mut self) {
        for (who, id, text) in std::mem::take(&mut self.begun) {
            match self.town.answer(who, id) {
                None => self.begun.push((who, id, text)),
                Some(answer) => {
                    if let (Ok(_), Some((room, text))) = (answer, text) {
                        self.queued.entry((who, room)).or_default().push(text);
                    }
                }
            }
        }
    }

    /// The weather clears up, and everybody must be whole.
    fn calm(&mut self, seed: u64) {
        self.town.tamper = None;
        self.town.filter = None;
        for device in &mut self.town.devices {
            device.disk = super::device::Disk::default();
            device.is_unreachable = false;
        }
        self.town.held.clear();
        // The last event may have been lost: the next login tells.
        for who in self.people.clone() {
            self.town.cut(who);
        }
        // Long enough for what is looked at every ten minutes.
        self.town.wait(Duration::from_mins(12));
        self.collect();
        assert!(self.begun.is_empty(), "storm {seed}: not answered: {:?}", self.begun);
        for room in self.rooms.clone() {
            for who in self.people.clone() {
                let account = self.town.account(who);
                if !self.town.log(room).state.is_member(account) {
                    continue;
                }
                let alarms = self.town.devices[who].alarms();
                assert!(alarms.is_empty(), "storm {seed}: device {who}: {alarms:?}");
                assert!(self.town.devices[who].is_caught_up(), "storm {seed}: device {who}");
                self.town.assert_whole(who, room);
            }
        }
        if self.is_moving {
            return self.everything_once(seed);
        }
        for ((who, room), texts) in self.queued.clone() {
            for reader in self.people.clone() {
                let prefix = format!("{who}: ");
                let shown = self.town.texts(reader, room);
                let shown: Vec<&String> =
                    shown.iter().filter(|text| text.starts_with(&prefix)).collect();
                assert_eq!(
                    shown,
                    texts.iter().collect::<Vec<_>>(),
                    "storm {seed}: what {who} said in {room:?}, as {reader} reads it"
                );
            }
        }
        for who in self.people.clone() {
            let open = self.town.devices[who].replica.outbox(None).unwrap();
            assert!(open.is_empty(), "storm {seed}: device {who}: {open:?}");
        }
    }
}

impl Storm {
    /// Where people come and go, not everything can be sent or read; but nothing is there twice, or
    /// before what was said earlier, and nothing waits for ever.
    fn everything_once(&mut self, seed: u64) {
        for reader in self.people.clone() {
            for room in self.rooms.clone() {
                let shown = self.town.texts(reader, room);
                for ((who, of), texts) in self.queued.clone() {
                    let prefix = format!("{who}: ");
                    let own = shown.iter().filter(|text| of == room && text.starts_with(&prefix));
                    let places: Vec<usize> = own
                        .map(|text| texts.iter().position(|queued| queued == text).unwrap())
                        .collect();
                    let is_rising = places.windows(2).all(|pair| pair[0] < pair[1]);
                    assert!(is_rising, "storm {seed}: {who} in {room:?} by {reader}: {places:?}");
                }
            }
            let open = self.town.devices[reader].replica.outbox(None).unwrap();
            let is_failed = |row: &&OutboxRow| matches!(row.state, RowState::Failed { .. });
            assert_eq!(open.iter().filter(is_failed).count(), open.len(), "storm {seed}: {open:?}");
        }
    }
}

fn bad_call(rng: &mut StdRng) -> Option<Fate> {
    match rng.random_range(0..60) {
        0 => Some(Fate::CutBefore),
        1 => Some(Fate::CutAfter),
        2 => Some(Fate::Silence),
        3 | 4 => Some(Fate::Hold),
        5 => Some(Fate::Refuse(Fault::ServerBusy { retry_after_ms: 700 })),
        _ => None,
    }
}

fn bad_event(rng: &mut StdRng, input: Input) -> Vec<Input> {
    let Input::Event(event) = input else { return vec![input] };
    // Heads and comings and goings of rooms are told once only, so the server keeps them.
    let may_be_lost = matches!(
        event,
        Event::Entry { .. } | Event::Marks { .. } | Event::Presence { .. } | Event::OwnMark { .. }
    );
    match rng.random_range(0..8) {
        0 if may_be_lost => Vec::new(),
        1 => vec![Input::Event(event.clone()), Input::Event(event)],
        _ => vec![Input::Event(event)],
    }
}

/// Which storms there are: a few, or those that are asked for, as `3..90`.
fn seeds() -> Vec<u64> {
    let Ok(seeds) = std::env::var("MATHIA_STORMS") else { return (0..20).collect() };
    let (from, to) = seeds.split_once("..").unwrap();
    (from.parse().unwrap()..to.parse().unwrap()).collect()
}

fn rages(is_moving: bool) {
    for seed in seeds() {
        let mut storm = Storm::of(seed, is_moving);
        for _ in 0..ACTIONS {
            storm.act();
        }
        storm.calm(seed);
    }
}

#[test]
fn after_every_storm_everybody_has_the_same_log_and_every_text_once() {
    rages(false);
}

#[test]
fn also_where_people_come_and_go_nothing_is_said_twice_and_nothing_waits_for_ever() {
    rages(true);
}
