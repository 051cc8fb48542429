//! What agents say of themselves: read fresh when it matters, verified, and never rolled back.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::super::replica::Replica;
use super::{Engine, storage};
use crate::client::{CommandError, NewCard};
use crate::crypto::card::AgentCard;
use crate::crypto::commit::Role;
use crate::id::{AccountId, RoomId};
use crate::log::RoomState;
use crate::wire::{Reply, Request};

impl Engine {
    /// An agent's newest card: the server's if it is there, else the one kept here.
    ///
    /// # Errors
    ///
    /// [`CommandError::Untrusted`] if the server hands out a card that the agent did not sign, or one
    /// older than was seen before.
    pub(super) async fn card_of(
        self: &Rc<Self>,
        agent: AccountId,
    ) -> Result<Option<AgentCard>, CommandError> {
        let kept = self.replica.card(agent).map_err(|error| storage(&error))?;
        let kept = kept.and_then(|bytes| AgentCard::decode_unverified(&bytes).ok());
        let Some(link) = self.link() else { return Ok(kept) };
        self.refresh_heads(&[agent]).await?;
        let signed = match link.call(Request::Card { account: agent }).await {
            Ok(Reply::Card { card }) => card,
            Ok(_) => return Ok(kept),
            Err(error) => return Err(super::call_failed(&error)),
        };
        let Some(signed) = signed else { return Ok(kept) };
        let untrusted = |text: &str| CommandError::Untrusted(text.to_owned());
        let card = self.verified(agent, &signed);
        let card = card.ok_or_else(|| untrusted("the assistant's card is not signed by it"))?;
        if kept.as_ref().is_some_and(|kept| kept.issued > card.issued) {
            return Err(untrusted("the server shows an older card of the assistant than before"));
        }
        if kept.as_ref() != Some(&card) {
            self.replica.put_card(agent, &signed).map_err(|error| storage(&error))?;
        }
        Ok(Some(card))
    }

    /// Reads what the agents of some rooms say of themselves, so that it is here when it is wanted.
    pub(super) async fn meet_agents(self: Rc<Self>, rooms: Vec<RoomId>) {
        let agents: BTreeSet<AccountId> = {
            let core = self.core.borrow();
            let states = rooms.iter().filter_map(|id| core.rooms.get(id)?.state.as_ref());
            let members = states.flat_map(RoomState::members);
            members.filter(|m| m.role == Role::Agent).map(|member| member.account).collect()
        };
        for agent in agents.into_iter().filter(|agent| *agent != self.account) {
            match self.card_of(agent).await {
                Ok(_) => self.tell_rooms_with(agent),
                Err(error) => tracing::debug!(agent = agent.short(), %error, "no card was read"),
            }
        }
    }

    fn verified(&self, agent: AccountId, signed: &[u8]) -> Option<AgentCard> {
        let core = self.core.borrow();
        let chain = core.people.chains.get(&agent)?;
        let device = AgentCard::decode_unverified(signed).ok()?.device;
        let key = chain.device(device).filter(|_| chain.is_active(device))?.record.key;
        AgentCard::open(signed, &key).ok().filter(|card| card.account == agent)
    }

    /// For agents: says of itself where questions go.
    pub(super) async fn put_card(self: &Rc<Self>, new: NewCard) -> Result<(), CommandError> {
        let NewCard { provider, model, is_local, operator } = new;
        let (account, device, issued) = (self.account, self.device, self.now());
        let card = AgentCard { account, device, issued, provider, model, is_local, operator };
        let signed = card.sign(&self.identity.borrow().signing);
        self.call(Request::PutCard { card: signed }).await.map(drop)
    }
}

/// The card of an agent that is kept here, verified when it came.
pub(super) fn kept_card(replica: &Replica, agent: AccountId) -> Option<AgentCard> {
    let bytes = replica.card(agent).ok()??;
    AgentCard::decode_unverified(&bytes).ok()
}
