//! A person with a real client: asks, hears, and comes back by itself.

use std::time::{Duration, Instant};

use mathia_protocol::client::{
    Bot, Client, ClientEvent, Command, CommandError, Done, EntryView, NewAsk, NewRoom, PersonRef,
};
use mathia_protocol::id::{Hash, RoomId, Seq};
use mathia_protocol::name::Handle;

use crate::Failure;

/// What is refused only because the server is away is tried again until then.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);
/// Entries read at a time.
const PAGE: u32 = 500;

pub(crate) struct Person {
    pub(crate) name: String,
    client: Client,
}

impl Person {
    /// Joins by a link; everything that happens to the person is told to `hears`.
    pub(crate) async fn join(
        link: &str,
        name: &str,
        hears: impl Fn(ClientEvent) + 'static,
    ) -> Result<Self, Failure> {
        let mut bot = Bot::join(link, name).await?;
        let client = bot.client().clone();
        tokio::task::spawn_local(async move {
            while let Some(event) = bot.next_event().await {
                hears(event);
            }
        });
        Ok(Self { name: name.to_owned(), client })
    }

    /// Makes a room with others and the assistant.
    pub(crate) async fn makes_room(
        &self,
        name: &str,
        is_open: bool,
        others: &[&str],
    ) -> Result<RoomId, Failure> {
        let handle = |name: &str| Ok::<_, Failure>(PersonRef::Handle(name.parse()?));
        let shares_history = false;
        let people = if is_open { &[] } else { others };
        let people = people.iter().copied().chain([Handle::ASSISTANT]);
        let people = people.map(handle).collect::<Result<_, _>>()?;
        let new = NewRoom { name: name.parse()?, is_open, shares_history, people };
        match self.client.run(Command::CreateRoom(new)).await? {
            Done::Room(room) => Ok(room),
            other => Err(format!("a room was answered by {other:?}").into()),
        }
    }

    /// Enters an open room.
    pub(crate) async fn enters(&self, room: RoomId) -> Result<(), Failure> {
        self.client.run(Command::JoinRoom(room)).await?;
        Ok(())
    }

    /// Asks the assistant and shows it the last messages; returns the question's number in the
    /// outbox.
    pub(crate) async fn asks(
        &self,
        room: RoomId,
        text: &str,
        n_context: u32,
    ) -> Result<u64, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let envelope = loop {
            let text = text.to_owned();
            let command = Command::Envelope { room, text, quoted: None, n_context };
            let why = match self.client.run(command).await {
                Ok(Done::Envelope(envelope)) if envelope.promise != Hash::ZERO => break envelope,
                Ok(_) => "the assistant has not said where questions go".to_owned(),
                Err(CommandError::Untrusted(cause)) => return Err(cause.into()),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(format!("nobody can be asked: {why}").into());
            }
            tokio::time::sleep(PAUSE).await;
        };
        let attached = envelope.context.iter().map(|one| one.seq).collect();
        let (promise, text) = (envelope.promise, text.to_owned());
        let new = NewAsk { room, text, promise, attached, again: None, tag: None };
        match self.client.run(Command::Ask(new)).await? {
            Done::Queued { local_id } => Ok(local_id),
            other => Err(format!("a question was answered by {other:?}").into()),
        }
    }

    /// Connects now instead of waiting for the next try.
    pub(crate) async fn comes_back(&self) -> Result<(), Failure> {
        self.client.run(Command::ConnectNow).await?;
        Ok(())
    }

    /// Waits until all that the server has is here; a server that was just killed may take a while
    /// to be noticed.
    async fn syncs(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.client.run(Command::Sync).await {
            if Instant::now() > deadline {
                return Err(format!("{} does not catch up: {error}", self.name).into());
            }
            self.comes_back().await?;
        }
        Ok(())
    }

    /// Everything that the person has of a room, once all that the server has is here.
    pub(crate) async fn reads(&self, room: RoomId) -> Result<Vec<EntryView>, Failure> {
        self.syncs().await?;
        let mut all = Vec::new();
        let mut before = Seq(0);
        loop {
            let command = Command::Timeline { room, before, count: PAGE };
            let Done::Timeline { entries, has_more } = self.client.run(command).await? else {
                return Err("a timeline was answered by something else".into());
            };
            let Some(first) = entries.first().map(|entry| entry.seq) else { break };
            all.splice(0..0, entries);
            before = first;
            if !has_more {
                break;
            }
        }
        Ok(all)
    }
}
