//! The rooms of this account: their logs, where each stands, and what was announced of it.
//!
//! Owns the border to the sync machines: what they say is turned into work and outputs here. Knows
//! the account and the people, and nothing of what is sent.

pub(super) mod enter;
pub(super) mod expire;
pub(super) mod ingest;
mod judge;
pub(super) mod keys;
pub(super) mod marks;
pub(super) mod older;
pub(super) mod read_log;
mod room;
pub(super) mod ticks;
pub(super) mod timeline;
pub(super) mod views;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use self::room::{Placed, Room};
use super::context::Context;
use super::work::Work;
use crate::client::CommandError;
use crate::client::event::{AlarmCause, ClientEvent};
use crate::client::replica::LoadedRoom;
use crate::crypto::epoch::EpochSecret;
use crate::id::{AccountId, DeviceId, Hash, RoomId, RoomNumber, Seq};
use crate::log::sync::{Alarm, Input, Output};
use crate::log::{Context as EntryContext, RoomState};
use crate::wire::{LogEntry, RoomHead};

pub(super) use self::judge::open_stored;
pub(super) use self::room::Room as OneRoom;

/// All rooms.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) all: BTreeMap<RoomId, Room>,
    numbers: HashMap<RoomNumber, RoomId>,
    /// Secrets of rooms that this device makes and that are not here yet.
    pub(super) founding: HashMap<RoomId, EpochSecret>,
    /// When typing was last sent, by room.
    typed: HashMap<RoomId, Duration>,
    /// Rooms that changed and were not shown yet.
    unshown: BTreeSet<RoomId>,
    /// Before this uptime no room is shown again.
    next_shown: Duration,
}

impl Rooms {
    /// Starts with what the replica has.
    pub(super) fn new(loaded: Vec<LoadedRoom>, own_device: DeviceId) -> Self {
        let all: BTreeMap<RoomId, Room> = loaded
            .into_iter()
            .map(|loaded| (loaded.record.room, Room::load(loaded, own_device)))
            .collect();
        let numbers = all.values().filter_map(|room| Some((room.facts.number?, room.id)));
        Self { numbers: numbers.collect(), all, ..Self::default() }
    }

    /// A room, or the error of a command that names it.
    pub(super) fn get(&self, id: RoomId) -> Result<&Room, CommandError> {
        self.all.get(&id).ok_or_else(no_such_room)
    }

    /// A room to be changed, or the error of a command that names it.
    pub(super) fn get_mut(&mut self, id: RoomId) -> Result<&mut Room, CommandError> {
        self.all.get_mut(&id).ok_or_else(no_such_room)
    }

    /// A room whose commits were verified, with what they say.
    pub(super) fn opened(&self, id: RoomId) -> Result<(&Room, &RoomState), CommandError> {
        let room = self.get(id)?;
        room.state.as_ref().map(|state| (room, state)).ok_or_else(no_such_room)
    }

    /// The room with the server's short number.
    pub(super) fn by_number(&self, number: RoomNumber) -> Option<RoomId> {
        self.numbers.get(&number).copied()
    }

    /// The rooms this account is in.
    pub(super) fn joined(&self) -> impl Iterator<Item = &Room> {
        self.all.values().filter(|room| room.facts.is_member)
    }

    /// Whether all that the server has is in the replica.
    pub(super) fn are_caught_up(&self) -> bool {
        let is_here = |room: &Room| room.is_caught_up() && room.stored == room.applied.seq();
        self.joined().filter(|room| room.facts.stopped.is_none()).all(is_here)
    }

    /// Makes a place for a room that is new here.
    pub(super) fn discover(&mut self, id: RoomId, own: DeviceId, cx: &mut Context<'_>) {
        if self.all.contains_key(&id) {
            return;
        }
        let mut room = Room::new(id, own);
        if let Some(secret) = self.founding.remove(&id) {
            room.keys.expect_own(Hash(id.0), secret);
        }
        cx.write(vec![room.write_facts()]);
        self.all.insert(id, room);
    }

    /// What the server says about one room.
    pub(super) fn accept_head(&mut self, head: &RoomHead, own: DeviceId, cx: &mut Context<'_>) {
        let id = head.room;
        self.discover(id, own, cx);
        self.numbers.insert(head.number, id);
        let Some(room) = self.all.get_mut(&id) else { return };
        if room.accept_head(head) {
            cx.write(vec![room.write_facts(), room.write_marks(), room.write_histograms()]);
        }
        self.open(id, cx);
        self.show(id, cx);
    }

    /// Brings a room to where entries can be judged: known from the replica, or entered anew.
    pub(super) fn open(&mut self, id: RoomId, cx: &mut Context<'_>) {
        let Some(room) = self.all.get_mut(&id) else { return };
        if room.sync.is_some() {
            room.is_fetching_keys = true;
            if let Some((seq, hash)) = room.take_head() {
                self.feed(id, Input::Head { seq, hash }, cx);
            }
            cx.start(Work::FetchKeys(id));
        } else if room.facts.stopped.is_none() && !room.is_suspended {
            // A broken log stays closed; whoever dares may forget the room.
            cx.start_once(Work::Enter(id));
        }
    }

    /// Begins to follow a log behind what is stored, in the middle of a session.
    pub(super) fn begin_log(&mut self, id: RoomId, cx: &mut Context<'_>) {
        let heads = self.all.get_mut(&id).map(Room::heads).unwrap_or_default();
        for head in heads {
            self.feed(id, head, cx);
        }
    }

    /// This account is no longer in a room, by the server's word.
    pub(super) fn gone(&mut self, id: RoomId, cx: &mut Context<'_>) {
        let Some(room) = self.all.get_mut(&id) else { return };
        room.facts.is_member = false;
        cx.write(vec![room.write_facts()]);
        self.feed(id, Input::Disconnected, cx);
        cx.emit(ClientEvent::RoomGone(id));
    }

    /// The session ended.
    pub(super) fn disconnected(&mut self, cx: &mut Context<'_>) {
        let rooms: Vec<RoomId> = self.all.keys().copied().collect();
        for id in rooms {
            if let Some(room) = self.all.get_mut(&id) {
                room.confirmed = room.confirmed.max(room.applied.seq());
            }
            self.feed(id, Input::Disconnected, cx);
        }
    }

    /// An entry event: a hint that the sync machine weighs.
    pub(super) fn accept_live(&mut self, id: RoomId, entry: LogEntry, cx: &mut Context<'_>) {
        let Some(room) = self.all.get_mut(&id) else { return };
        room.marks.announced = room.marks.announced.max(entry.seq);
        if room.sync.is_some() {
            self.feed(id, Input::Live(entry), cx);
        }
    }

    /// Events of a room were dropped, or somebody wants to be sure: it is read once more.
    pub(super) fn reread(&mut self, id: RoomId, next_seq: Seq, cx: &mut Context<'_>) {
        self.feed(id, Input::Lagged { next_seq }, cx);
    }

    /// Gives the sync machine of a room an input, and acts on what it says.
    pub(super) fn feed(&mut self, id: RoomId, input: Input, cx: &mut Context<'_>) {
        let Some(room) = self.all.get_mut(&id) else { return };
        let outputs = room.sync.as_mut().map(|sync| sync.step(input)).unwrap_or_default();
        for output in outputs {
            self.act(id, output, cx);
        }
        // Entries may still wait since a session that ended before they could be judged.
        if self.all.get(&id).is_some_and(|room| !room.queue.is_empty()) {
            cx.start_once(Work::Ingest(id));
        }
        cx.changed();
    }

    fn act(&mut self, id: RoomId, output: Output, cx: &mut Context<'_>) {
        let Some(room) = self.all.get_mut(&id) else { return };
        match output {
            Output::Apply { entry, at, context } => {
                room.queue.push_back(Placed { entry, at, context });
            }
            Output::ApplyOlder { entries } => {
                let context = EntryContext::History;
                let place = |(entry, at)| Placed { entry, at, context };
                room.older.push_back(entries.into_iter().map(place).collect());
                cx.start(Work::StoreOlder(id));
            }
            Output::AskAfter { after, count } => cx.start(Work::ReadForward(id, after, count)),
            Output::AskBefore { before, count } => cx.start(Work::ReadBack(id, before, count)),
            Output::LookUp { seq, claimed } => {
                room.lookups.push_back((seq, claimed));
                cx.start(Work::Recall(id));
            }
            Output::Alarm(alarm) => self.log_alarm(id, alarm, cx),
            Output::CaughtUp { .. } | Output::Unconfirmed { .. } => {
                self.show(id, cx);
                cx.start(Work::Send(id));
            }
        }
    }

    fn log_alarm(&mut self, id: RoomId, alarm: Alarm, cx: &mut Context<'_>) {
        let cause = match alarm {
            Alarm::Fork { .. } => AlarmCause::Fork,
            Alarm::Withheld { .. } => AlarmCause::Withheld,
            Alarm::Replay { .. } | Alarm::Reordered { .. } | Alarm::Shrunk { .. } => {
                AlarmCause::BrokenLog
            }
        };
        if alarm.stops_sending() {
            self.stop(id, &alarm.to_string(), cx);
        }
        cx.alarm(Some(id), None, cause, alarm.to_string());
        self.show(id, cx);
    }

    /// Stops sending to a room.
    pub(super) fn stop(&mut self, id: RoomId, cause: &str, cx: &mut Context<'_>) {
        let Some(room) = self.all.get_mut(&id) else { return };
        if room.stop(cause) {
            cx.write(vec![room.write_facts()]);
        }
    }

    /// Shows a room to the faces in a moment: what changes until then is shown at once.
    pub(super) fn show(&mut self, id: RoomId, cx: &mut Context<'_>) {
        self.unshown.insert(id);
        cx.start_once(Work::EmitRooms);
    }

    /// Shows every room in which somebody is.
    pub(super) fn show_with(&mut self, account: AccountId, cx: &mut Context<'_>) {
        let with = |room: &&Room| room.member(account).is_some();
        let rooms: Vec<RoomId> = self.all.values().filter(with).map(|room| room.id).collect();
        for id in rooms {
            self.show(id, cx);
        }
    }

    /// `H` at a position of a room, if it is at hand.
    pub(super) fn hash_at(&self, id: RoomId, seq: Seq) -> Option<Hash> {
        self.all.get(&id)?.hash_at(seq)
    }
}

/// The error of a command that names a room which is not here.
pub(super) fn no_such_room() -> CommandError {
    CommandError::NotFound("there is no such room".to_owned())
}
