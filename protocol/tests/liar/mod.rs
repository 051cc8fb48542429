//! A server that lies about messages: does just enough to be believed, checks nothing, and loses or
//! refuses what the test tells it to.

mod host;
mod world;

use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::{
    Applicant, Client, ClientConfig, ClientEvent, Clock as _, Command, Done, EntryContent, Events,
    Forgetful, Identity, NewRoom, OutboxState, PersonRef, Replica, SystemClock, TrustAsk, Visit,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::crypto::user_chain::{AccountKind, DeviceLabel};
use mathia_protocol::id::{Hash, RoomId, Seq, TimeMs};
use tokio::time::timeout;

pub(crate) use host::Liar;
pub(crate) use world::{Lose, World};

/// What a test returns.
pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Trusts every server at first contact: the lies here come later.
#[derive(Debug)]
struct Trusting;

impl TrustAsk for Trusting {
    fn is_trusted(&self, _: &str, _: Hash, _: &str) -> bool {
        true
    }
}

/// Somebody with an honest client.
pub(crate) struct Person {
    pub(crate) handle: String,
    pub(crate) identity: Identity,
    pub(crate) client: Client,
    events: Events,
}

impl Person {
    /// Registers at the liar and starts a client.
    pub(crate) async fn joins(liar: &Liar, handle: &str) -> TestResult<Self> {
        let visit = Visit::begin(liar.link().parse()?, Some(Arc::new(Trusting))).await?;
        let label = DeviceLabel { name: handle.into(), os: "linux".into(), created: now() };
        let applicant = Applicant {
            handle: handle.parse()?,
            label,
            kind: AccountKind::Human,
            operator: String::new(),
        };
        let registered = visit.enrol(&mut rand::rng(), applicant).finish().await?;
        let replica: Replica = Replica::in_memory();
        replica.put_server(&registered.server)?;
        let (address, identity) = (registered.server.address.clone(), registered.identity);
        let mut config = ClientConfig::new(address, identity.duplicate(), Arc::new(Forgetful));
        config.patience = PATIENCE;
        let (client, events) = Client::start(config, replica)?;
        Ok(Self { handle: handle.to_owned(), identity, client, events })
    }

    /// Makes a room with others.
    pub(crate) async fn makes_room(&self, people: &[&Person]) -> TestResult<RoomId> {
        let mut refs = Vec::new();
        for person in people {
            refs.push(PersonRef::Handle(person.handle.parse()?));
        }
        let room =
            NewRoom { name: "team".parse()?, is_open: false, shares_history: false, people: refs };
        match self.client.run(Command::CreateRoom(room)).await? {
            Done::Room(room) => Ok(room),
            other => Err(format!("no room: {other:?}").into()),
        }
    }

    /// Says something and waits until the server has taken it.
    pub(crate) async fn says(&mut self, room: RoomId, text: &str) -> TestResult {
        let queued = self.client.run(Command::Send { room, text: text.into(), tag: None }).await?;
        let Done::Queued { local_id } = queued else { return Err("not queued".into()) };
        self.wait_for("an ack", |event| match event {
            ClientEvent::Outbox(view) if view.local_id == local_id => {
                matches!(view.state, OutboxState::Accepted { .. }).then_some(())
            }
            _ => None,
        })
        .await
    }

    /// Waits for a text.
    pub(crate) async fn hears(&mut self, text: &str) -> TestResult {
        self.wait_for(text, |event| match event {
            ClientEvent::Entry(entry) => {
                matches!(&entry.content, EntryContent::Said(Content::Text(said)) if said == text)
                    .then_some(())
            }
            _ => None,
        })
        .await
    }

    /// Waits for an event.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(ClientEvent) -> Option<T>,
    ) -> TestResult<T> {
        let mut seen = Vec::new();
        let search = async {
            while let Some(event) = self.events.next().await {
                seen.push(format!("{event:?}"));
                if let Some(found) = wanted(event) {
                    return Some(found);
                }
            }
            None
        };
        let found = timeout(PATIENCE, search).await;
        match found {
            Ok(Some(found)) => Ok(found),
            _ => Err(format!("{}: no {what}, but {seen:#?}", self.handle).into()),
        }
    }

    /// All texts of a room as this person sees them.
    pub(crate) async fn texts(&self, room: RoomId) -> TestResult<Vec<String>> {
        let command = Command::Timeline { room, before: Seq(0), count: 100 };
        let Done::Timeline { entries, .. } = self.client.run(command).await? else {
            return Err("no timeline".into());
        };
        let text = |body| match body {
            EntryContent::Said(Content::Text(text)) => Some(text),
            _ => None,
        };
        Ok(entries.into_iter().filter_map(|entry| text(entry.content)).collect())
    }
}

/// The machine's clock.
pub(crate) fn now() -> TimeMs {
    SystemClock.now()
}

/// Whether an entry is a commit.
fn is_commit(entry: &mathia_protocol::wire::LogEntry) -> bool {
    use mathia_protocol::crypto::commit::TAG_COMMIT;
    use mathia_protocol::wire::EntryBody;
    matches!(&entry.body, EntryBody::Whole(bytes) if bytes.first() == Some(&TAG_COMMIT))
}
