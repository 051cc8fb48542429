//! What people of the town do: commands, and what they see of a room.

use std::time::Duration;

use super::super::io::{CommandId, Input};
use super::device::text_of;
use super::server::Log;
use super::town::{Fate, Town, Who};
use crate::client::event::OutboxState;
use crate::client::{Command, CommandError, Done, EntryView, NewRoom, PersonRef};
use crate::id::{AccountId, DeviceId, RoomId, Seq};
use crate::wire::{Request, RoomHead};

impl Town {
    /// Begins a command.
    pub(super) fn begin(&mut self, who: Who, command: Command) -> CommandId {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        self.give(who, Input::Command(id, command));
        id
    }

    /// The answer to a command, if it came.
    pub(super) fn answer(&mut self, who: Who, id: CommandId) -> Option<Result<Done, CommandError>> {
        self.devices[who].answers.remove(&id)
    }

    /// Runs a command to its end, and lets pass what time it needs.
    pub(super) fn run(&mut self, who: Who, command: Command) -> Result<Done, CommandError> {
        let id = self.begin(who, command);
        self.settle();
        for _ in 0..1_200 {
            if let Some(answer) = self.answer(who, id) {
                return answer;
            }
            self.wait(Duration::from_millis(100));
        }
        panic!("a command is not answered");
    }

    /// A person, as a command names them.
    pub(super) fn person(&self, who: Who) -> PersonRef {
        PersonRef::Handle(self.devices[who].identity.handle.clone())
    }

    pub(super) fn people(&self, people: &[Who]) -> Vec<PersonRef> {
        people.iter().map(|who| self.person(*who)).collect()
    }

    pub(super) fn account(&self, who: Who) -> AccountId {
        self.devices[who].identity.account
    }

    pub(super) fn device(&self, who: Who) -> DeviceId {
        self.devices[who].identity.device()
    }

    /// What a new room of people is.
    pub(super) fn new_room(&self, people: &[Who]) -> NewRoom {
        let people = self.people(people);
        NewRoom { name: "team".parse().unwrap(), is_open: false, shares_history: false, people }
    }

    /// Makes a room with others, and waits until it is quiet.
    pub(super) fn makes_room(&mut self, who: Who, people: &[Who]) -> RoomId {
        let room = self.new_room(people);
        self.makes(who, room)
    }

    pub(super) fn makes(&mut self, who: Who, room: NewRoom) -> RoomId {
        let done = self.run(who, Command::CreateRoom(room)).unwrap();
        let Done::Room(room) = done else { panic!("{done:?}") };
        self.wait(Duration::from_secs(1));
        room
    }

    /// Puts a text into the outbox.
    pub(super) fn queues(&mut self, who: Who, room: RoomId, text: &str) -> u64 {
        let done = self.run(who, Command::Send { room, text: text.into(), tag: None }).unwrap();
        let Done::Queued { local_id } = done else { panic!("{done:?}") };
        local_id
    }

    /// Sends a text and waits until it is accepted.
    pub(super) fn says(&mut self, who: Who, room: RoomId, text: &str) -> Seq {
        let local_id = self.queues(who, room, text);
        self.accepted(who, local_id)
    }

    /// Waits until a row of the outbox is accepted; its place.
    pub(super) fn accepted(&mut self, who: Who, local_id: u64) -> Seq {
        for _ in 0..600 {
            self.settle();
            if let Some(OutboxState::Accepted { seq, .. }) =
                self.devices[who].states(local_id).last()
            {
                return *seq;
            }
            self.wait(Duration::from_millis(100));
        }
        panic!("not accepted: {:?}", self.devices[who].states(local_id));
    }

    /// The newest entries of a room as a device shows them.
    pub(super) fn timeline(&mut self, who: Who, room: RoomId) -> Vec<EntryView> {
        let command = Command::Timeline { room, before: Seq(0), count: 1_000 };
        let done = self.run(who, command).unwrap();
        let Done::Timeline { entries, .. } = done else { panic!("{done:?}") };
        entries
    }

    /// The texts of a room as a device shows them.
    pub(super) fn texts(&mut self, who: Who, room: RoomId) -> Vec<String> {
        self.timeline(who, room).iter().filter_map(text_of).collect()
    }

    /// The server's log of a room.
    pub(super) fn log(&mut self, room: RoomId) -> &mut Log {
        self.server.rooms.get_mut(&room).unwrap()
    }

    /// How an account stands in a room, by the server.
    pub(super) fn head_of(&self, who: Who, room: RoomId) -> RoomHead {
        self.server.rooms[&room].room_head(self.account(who), self.device(who))
    }

    /// Has the calls that `is_meant` names end so, once.
    pub(super) fn once(&mut self, is_meant: impl Fn(&Request) -> bool + 'static, fate: Fate) {
        let mut fate = Some(fate);
        self.tamper =
            Some(Box::new(move |_, request| if is_meant(request) { fate.take() } else { None }));
    }

    /// Looks whether what a device shows of a room is the server's log.
    pub(super) fn assert_whole(&mut self, who: Who, room: RoomId) {
        let head = self.server.rooms[&room].head();
        let record = self.devices[who].replica.room(room).unwrap().unwrap();
        assert_eq!((record.seq, record.hash), (head.seq(), head.hash()), "device {who}");
    }
}
