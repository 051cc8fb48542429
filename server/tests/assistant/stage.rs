//! Where lies about the assistant are told: ann, bob and a scripted agent behind a lying server.
//!
//! The agent here is a bare client of the protocol, as anybody may write one: it says what the story
//! wants, piece by piece.

use std::sync::Arc;

use mathia_protocol::client::{Command, Done, Identity, NewCard, NewRoom, Replica, SystemClock};
use mathia_protocol::crypto::content::{Answer, Outcome};
use mathia_protocol::crypto::user_chain::AccountKind;
use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::name::Handle;

use super::house::mathia;
use crate::cast::town::enrols_as;
use crate::cast::{Person, TestResult, Town, now};
use crate::liar::Liar;

/// Two people and a scripted agent in a room, behind a liar who is still honest.
pub(crate) struct Stage {
    pub(crate) town: Town,
    pub(crate) liar: Liar,
    pub(crate) ann: Person,
    pub(crate) bob: Person,
    pub(crate) agent: Person,
    pub(crate) room: RoomId,
}

impl Stage {
    /// Everybody is in a sealed room.
    pub(crate) async fn begins() -> TestResult<Self> {
        Self::begins_in(|_| {}).await
    }

    /// Everybody is in a room of a special kind.
    pub(crate) async fn begins_in(kind: impl FnOnce(&mut NewRoom)) -> TestResult<Self> {
        let (town, liar, ann, bob, agent) = Self::before_the_room().await?;
        let room = ann.makes("team", &[], kind).await?;
        ann.does(Command::Add { room, people: vec![bob.name(), mathia()] }).await?;
        let stage = Self { town, liar, ann, bob, agent, room };
        for person in [&stage.bob, &stage.agent] {
            person.knows(room).await?;
        }
        stage.shows_card("model-1").await?;
        Ok(stage)
    }

    /// The cast, without a room yet.
    pub(crate) async fn before_the_room() -> TestResult<(Town, Liar, Person, Person, Person)> {
        let town = Town::start()?;
        let liar = Liar::before(&town)?;
        let ann = liar.newcomer("ann").await?;
        let bob = liar.newcomer("bob").await?;
        let invite = town.operators_invite().await?;
        let (identity, replica) = enrols_agent(&invite).await?;
        liar.borrows(&identity);
        let agent =
            Person::start("mathia", liar.address, identity, replica, Arc::new(SystemClock))?;
        Ok((town, liar, ann, bob, agent))
    }

    /// The agent says that it asks this model now.
    pub(crate) async fn shows_card(&self, model: &str) -> TestResult {
        let (provider, model) = ("models.example.org".to_owned(), model.to_owned());
        let card = NewCard { provider, model, is_local: false, operator: String::new() };
        self.agent.does(Command::PutCard(card)).await.map(drop)
    }

    /// The agent sends a piece of an answer.
    pub(crate) async fn streams(&self, ask: Seq, text: &str) -> TestResult {
        let (room, text) = (self.room, text.to_owned());
        self.agent.does(Command::Stream { room, ask, text }).await.map(drop)
    }

    /// The agent's answer is in its outbox.
    pub(crate) async fn concludes(&self, ask: Seq, text: &str) -> TestResult<u64> {
        let command = Command::Answer { room: self.room, answer: Box::new(whole(ask, text)) };
        match self.agent.does(command).await? {
            Done::Queued { local_id } => Ok(local_id),
            other => Err(format!("not queued: {other:?}").into()),
        }
    }
}

/// Makes the assistant's account, by whatever client.
pub(crate) async fn enrols_agent(invite: &str) -> TestResult<(Identity, Replica)> {
    enrols_as(AccountKind::Agent, Handle::ASSISTANT, invite, now()).await
}

/// A complete answer.
pub(crate) fn whole(ask: Seq, text: &str) -> Answer {
    Answer {
        ask,
        ask_hash: [0; 16],
        outcome: Outcome::Complete,
        cause: String::new(),
        text: text.to_owned(),
        provider: "models.example.org".to_owned(),
        model: "model-1".to_owned(),
        usage: None,
    }
}
