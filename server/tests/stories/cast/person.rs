//! A person at a client: says things, hears things, and never waits for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::{
    Client, ClientConfig, ClientEvent, Command, ConnectionState, Done, EntryBodyView, EntryView,
    Events, Forgetful, Identity, NewRoom, OutboxState, PersonRef, Replica, RoomView,
};
use mathia_protocol::id::{RoomId, Seq};
use tokio::time::timeout;

use super::TestResult;

/// How long anything may take before a story fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A person with a client.
pub struct Person {
    pub handle: String,
    pub client: Client,
    pub events: Events,
    address: SocketAddr,
    identity: Identity,
    replica: Arc<dyn Replica>,
}

impl Person {
    /// Starts the client of an account.
    pub fn start(
        handle: &str,
        address: SocketAddr,
        identity: Identity,
        replica: Arc<dyn Replica>,
    ) -> TestResult<Self> {
        let mut config =
            ClientConfig::new(address.to_string(), identity.duplicate(), Arc::new(Forgetful));
        config.patience = PATIENCE;
        let (client, events) = Client::start(config, Arc::clone(&replica))?;
        Ok(Self { handle: handle.to_owned(), client, events, address, identity, replica })
    }

    /// Ends the client and starts it again with what it kept.
    pub async fn restarts(&mut self) -> TestResult {
        self.client.run(Command::Stop).await?;
        while timeout(PATIENCE, self.events.next()).await?.is_some() {}
        let replica = Arc::clone(&self.replica);
        *self = Self::start(&self.handle, self.address, self.identity.duplicate(), replica)?;
        Ok(())
    }

    /// Waits until the client is connected and has everything.
    pub async fn is_online(&mut self) -> TestResult {
        let caught_up = |state: &ConnectionState| matches!(state, ConnectionState::Online { is_caught_up, .. } if *is_caught_up);
        timeout(PATIENCE, self.client.connection_where(caught_up)).await?;
        Ok(())
    }

    /// Makes a room with others.
    pub async fn makes_room(&self, name: &str, people: &[&Person]) -> TestResult<RoomId> {
        let people = people.iter().map(|person| PersonRef::Handle(person.handle.parse().unwrap()));
        let room = NewRoom {
            name: name.parse()?,
            is_open: false,
            shares_history: false,
            people: people.collect(),
        };
        match self.client.run(Command::CreateRoom(room)).await? {
            Done::Room(room) => Ok(room),
            other => Err(format!("no room: {other:?}").into()),
        }
    }

    /// Says something and waits until the server has it on disk.
    pub async fn says(&mut self, room: RoomId, text: &str) -> TestResult<Seq> {
        let queued = self.client.run(Command::Send { room, text: text.to_owned() }).await?;
        let Done::Queued { local_id } = queued else { return Err("not queued".into()) };
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
    pub async fn hears(&mut self, room: RoomId) -> TestResult<String> {
        self.wait_for(|event| match event {
            ClientEvent::Entry(entry) if entry.room == room && !entry.is_mine => text_of(&entry),
            _ => None,
        })
        .await
    }

    /// Waits for an event.
    pub async fn wait_for<T>(
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
    pub async fn knows(&self, room: RoomId) -> TestResult<RoomView> {
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
    pub async fn history(&self, room: RoomId) -> TestResult<Vec<(Seq, String, String)>> {
        let command = Command::Timeline { room, before: Seq(0), count: 1_000 };
        let Done::Timeline { entries, .. } = self.client.run(command).await? else {
            return Err("no timeline".into());
        };
        let told = |entry: EntryView| Some((entry.seq, entry.handle.clone(), text_of(&entry)?));
        Ok(entries.into_iter().filter_map(told).collect())
    }
}

fn text_of(entry: &EntryView) -> Option<String> {
    match &entry.body {
        EntryBodyView::Text(text) => Some(text.clone()),
        _ => None,
    }
}
