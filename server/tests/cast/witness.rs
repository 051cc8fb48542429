//! What a person can testify: what the client believes, doubts and warns of.

use std::time::Duration;

use mathia_protocol::client::{
    AlarmCause, ClientEvent, Command, Done, EntryContent, PersonView, RoomView,
};
use mathia_protocol::id::{AccountId, DeviceId, RoomId, Seq};

use super::{Person, TestResult};

/// Answered calls after which something that does not need more than a few has not happened.
const ROUNDS_MAX: usize = 500;

impl Person {
    /// The account.
    pub(crate) fn account(&self) -> AccountId {
        self.identity.account
    }

    /// The device.
    pub(crate) fn device(&self) -> DeviceId {
        self.identity.device()
    }

    /// Makes an invite link to some rooms, for one person.
    pub(crate) async fn invites(&self, rooms: Vec<RoomId>) -> TestResult<String> {
        let lifetime = Duration::from_hours(1);
        match self.does(Command::Invite { rooms, uses: 1, lifetime }).await? {
            Done::Invite(link) => Ok(link.0),
            other => Err(format!("no invite: {other:?}").into()),
        }
    }

    /// Waits for an alarm, and returns its cause and text.
    pub(crate) async fn is_alarmed(&mut self) -> TestResult<(AlarmCause, String)> {
        self.wait_for(|event| match event {
            ClientEvent::Alarm { cause, text, .. } => Some((cause, text)),
            _ => None,
        })
        .await
    }

    /// Waits until an entry shows as one that failed a check, and says which.
    pub(crate) async fn doubts(&mut self, room: RoomId) -> TestResult<(Seq, String)> {
        self.wait_for(|event| match event {
            ClientEvent::Entry(entry) if entry.room == room => match entry.content {
                EntryContent::Rejected { check } => Some((entry.seq, check)),
                _ => None,
            },
            _ => None,
        })
        .await
    }

    /// The room as the client knows it now, whole or not.
    pub(crate) async fn sees(&self, room: RoomId) -> TestResult<RoomView> {
        match self.does(Command::Rooms).await? {
            Done::Rooms(rooms) => rooms.into_iter().find(|view| view.room == room),
            _ => None,
        }
        .ok_or_else(|| format!("{} does not see the room", self.handle).into())
    }

    /// Waits until the client knows that somebody has so many devices.
    pub(crate) async fn knows_devices(&self, other: &Person, n_devices: u32) -> TestResult {
        for _ in 0..ROUNDS_MAX {
            self.does(Command::Sync).await?;
            let Done::People(people) = self.does(Command::People).await? else { continue };
            let same = |person: &&PersonView| person.account == other.account();
            if people.iter().find(same).is_some_and(|person| person.n_devices == n_devices) {
                return Ok(());
            }
        }
        Err(format!("{} never knew", self.handle).into())
    }

    /// Waits until the texts of a room are exactly these.
    pub(crate) async fn has_texts(&self, room: RoomId, texts: &[&str]) -> TestResult {
        let mut found = Vec::new();
        for _ in 0..ROUNDS_MAX {
            self.does(Command::Sync).await?;
            found = self.texts(room).await?;
            if found == texts {
                return Ok(());
            }
        }
        Err(format!("{} reads {found:?} instead of {texts:?}", self.handle).into())
    }
}
