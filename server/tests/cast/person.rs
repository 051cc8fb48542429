//! A person at a client: says things, hears things, and never waits for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::{
    Client, ClientConfig, ClientEvent, Clock, Command, Done, EntryContent, EntryView, Events,
    Forgetful, Identity, NewRoom, OutboxState, PersonRef, Replica, RoomView,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{RoomId, Seq};
use tokio::time::timeout;

use super::TestResult;

/// How long anything may take before a story fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A person with a client.
pub(crate) struct Person {
    pub(crate) handle: String,
    pub(crate) client: Client,
    pub(crate) events: Events,
    address: SocketAddr,
    pub(crate) identity: Identity,
    pub(crate) replica: Replica,
    /// What this person's machine believes to be the time.
    clock: Arc<dyn Clock>,
}

impl Person {
    /// Starts the client of an account.
    pub(crate) fn start(
        handle: &str,
        address: SocketAddr,
        identity: Identity,
        replica: Replica,
        clock: Arc<dyn Clock>,
    ) -> TestResult<Self> {
        let config = config(address, &identity, &clock);
        let (client, events) = Client::start(config, replica.clone())?;
        Ok(Self { handle: handle.to_owned(), client, events, address, identity, replica, clock })
    }

    /// Ends the client.
    pub(crate) async fn stops(&mut self) -> TestResult {
        self.client.run(Command::Stop).await?;
        while timeout(PATIENCE, self.events.next()).await?.is_some() {}
        Ok(())
    }

    /// Starts the client again with what it kept.
    pub(crate) fn starts(&mut self) -> TestResult {
        *self = self.again()?;
        Ok(())
    }

    /// Starts the client again, with another clock.
    pub(crate) fn starts_at(&mut self, clock: Arc<dyn Clock>) -> TestResult {
        self.clock = clock;
        self.starts()
    }

    /// Starts another process of the same device, on the same replica.
    pub(crate) fn again(&self) -> TestResult<Self> {
        let (replica, clock) = (self.replica.clone(), Arc::clone(&self.clock));
        Self::start(&self.handle, self.address, self.identity.duplicate(), replica, clock)
    }

    /// Ends the client and starts it again.
    pub(crate) async fn restarts(&mut self) -> TestResult {
        self.stops().await?;
        self.starts()
    }

    /// How others name this person.
    pub(crate) fn name(&self) -> PersonRef {
        PersonRef::Handle(self.handle.parse().expect("the stories use valid names"))
    }

    /// Makes a room with others.
    pub(crate) async fn makes_room(&self, name: &str, people: &[&Person]) -> TestResult<RoomId> {
        self.makes(name, people, |_| {}).await
    }

    /// Makes a room of a special kind.
    pub(crate) async fn makes(
        &self,
        name: &str,
        people: &[&Person],
        with: impl FnOnce(&mut NewRoom),
    ) -> TestResult<RoomId> {
        let people = people.iter().map(|person| person.name()).collect();
        let mut room =
            NewRoom { name: name.parse()?, is_open: false, shares_history: false, people };
        with(&mut room);
        match self.client.run(Command::CreateRoom(room)).await? {
            Done::Room(room) => Ok(room),
            other => Err(format!("no room: {other:?}").into()),
        }
    }

    /// Does something that must work.
    pub(crate) async fn does(&self, command: Command) -> TestResult<Done> {
        let what = format!("{command:?}");
        let done = self.client.run(command).await;
        done.map_err(|error| format!("{} cannot {what}: {error}", self.handle).into())
    }

    /// Puts a text into the outbox.
    pub(crate) async fn queues(&self, room: RoomId, text: &str) -> TestResult<u64> {
        match self.does(Command::Send { room, text: text.to_owned(), tag: None }).await? {
            Done::Queued { local_id } => Ok(local_id),
            other => Err(format!("not queued: {other:?}").into()),
        }
    }

    /// All texts of a room as this person sees them.
    pub(crate) async fn texts(&self, room: RoomId) -> TestResult<Vec<String>> {
        Ok(self.history(room).await?.into_iter().map(|(_, _, text)| text).collect())
    }

    /// Says something and waits until the server has it on disk.
    pub(crate) async fn says(&mut self, room: RoomId, text: &str) -> TestResult<Seq> {
        let local_id = self.queues(room, text).await?;
        self.accepted(local_id).await
    }

    /// Waits until the server has a queued text on disk.
    pub(crate) async fn accepted(&mut self, local_id: u64) -> TestResult<Seq> {
        self.wait_for(|event| match event {
            ClientEvent::Outbox(view) if view.local_id == local_id => match view.state {
                OutboxState::Accepted { seq, .. } => Some(Ok(seq)),
                OutboxState::Failed { cause } => Some(Err(cause)),
                _ => None,
            },
            _ => None,
        })
        .await?
        .map_err(Into::into)
    }

    /// Waits for the next text in a room that somebody else said.
    pub(crate) async fn hears(&mut self, room: RoomId) -> TestResult<String> {
        self.wait_for(|event| match event {
            ClientEvent::Entry(entry) if entry.room == room && !entry.is_mine => text_of(&entry),
            _ => None,
        })
        .await
    }

    /// Waits for an event.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut wanted: impl FnMut(ClientEvent) -> Option<T>,
    ) -> TestResult<T> {
        let search = async {
            let mut seen = Vec::new();
            while let Some(event) = self.events.next().await {
                seen.push(format!("{event:?}"));
                if let Some(found) = wanted(event) {
                    return Ok(found);
                }
            }
            Err(format!("{}: the client stopped after {seen:#?}", self.handle).into())
        };
        match timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => Err("it did not happen in time".into()),
        }
    }

    /// Waits until the client knows of a room and has it whole.
    pub(crate) async fn knows(&self, room: RoomId) -> TestResult<RoomView> {
        for _ in 0..200 {
            self.client.run(Command::Sync).await?;
            let Done::Rooms(rooms) = self.client.run(Command::Rooms).await? else { continue };
            if let Some(view) = rooms.into_iter().find(|view| view.room == room)
                && view.head == view.announced
                && view.head > Seq(0)
            {
                return Ok(view);
            }
            tokio::task::yield_now().await;
        }
        Err("the room never came".into())
    }

    /// All texts of a room, oldest first, with their places.
    pub(crate) async fn history(&self, room: RoomId) -> TestResult<Vec<(Seq, String, String)>> {
        let command = Command::Timeline { room, before: Seq(0), count: 1_000 };
        let Done::Timeline { entries, .. } = self.client.run(command).await? else {
            return Err("no timeline".into());
        };
        let told = |entry: EntryView| Some((entry.seq, entry.handle.clone(), text_of(&entry)?));
        Ok(entries.into_iter().filter_map(told).collect())
    }
}

fn config(address: SocketAddr, identity: &Identity, clock: &Arc<dyn Clock>) -> ClientConfig {
    let keeper = Arc::new(Forgetful);
    let mut config = ClientConfig::new(address.to_string(), identity.duplicate(), keeper);
    config.patience = PATIENCE;
    config.clock = Arc::clone(clock);
    config
}

fn text_of(entry: &EntryView) -> Option<String> {
    match &entry.content {
        EntryContent::Said(Content::Text(text)) => Some(text.clone()),
        _ => None,
    }
}
