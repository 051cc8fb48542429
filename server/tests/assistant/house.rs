//! Where most stories play: ann and bob in a sealed room with the assistant, a model behind it.

use std::time::Duration;

use mathia_protocol::client::{Command, PersonRef};
use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::name::Handle;

use super::agent::{Agent, settings};
use crate::cast::{Person, TestResult, Town};
use crate::model::{ModelServer, within};

/// How often it is looked at what another process keeps, of which nobody tells.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A town with an assistant, and a room of people in it.
pub(crate) struct House {
    pub(crate) town: Town,
    pub(crate) model: ModelServer,
    pub(crate) agent: Agent,
    pub(crate) ann: Person,
    pub(crate) bob: Person,
    pub(crate) room: RoomId,
}

/// The assistant, as people name it.
pub(crate) fn mathia() -> PersonRef {
    PersonRef::Handle(Handle::ASSISTANT.parse().expect("a valid name"))
}

impl House {
    /// Everybody is there, and the assistant is in the room.
    pub(crate) async fn opens() -> TestResult<Self> {
        Self::opens_with("").await
    }

    /// The same with more lines in the assistant's configuration.
    pub(crate) async fn opens_with(more: &str) -> TestResult<Self> {
        let town = Town::start_with(|limits| limits.messages_burst = 400)?;
        let model = ModelServer::start().await;
        let agent = Agent::joins(&town, &settings(&model.base_url(), more)).await?;
        let ann = town.newcomer("ann").await?;
        let bob = town.newcomer("bob").await?;
        let room = ann.makes_room("team", &[&bob]).await?;
        ann.does(Command::Add { room, people: vec![mathia()] }).await?;
        bob.knows(room).await?;
        Ok(Self { town, model, agent, ann, bob, room })
    }

    /// Waits until the assistant has heard everything that was said in the room.
    pub(crate) async fn assistant_has_heard(&self) -> TestResult {
        let upto = self.town.store()?.head(self.town.number(self.room)?)?.seq;
        let replica = self.agent.belongings()?.replica;
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let heard = within(async {
            loop {
                looks.tick().await;
                match replica.room(self.room) {
                    Ok(Some(room)) if room.seq >= upto => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
        });
        Ok(heard.await?)
    }

    /// Ann asks, and the model answers with these bytes and closes.
    pub(crate) async fn ann_asks(&mut self, text: &str, response: &[u8]) -> TestResult<Seq> {
        let ask = self.ann.asks(self.room, text).await?;
        let mut call = within(self.model.next_call()).await;
        call.sends(response).await;
        Ok(ask)
    }
}
