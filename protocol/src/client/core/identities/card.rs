//! What agents say of themselves: read fresh when it matters, verified, and never rolled back.

use std::task::{Poll, ready};

use super::super::account::Account;
use super::super::context::Context;
use super::super::io::CallId;
use super::super::server_call::call_failed;
use super::Identities;
use super::fetch::RefreshHeads;
use crate::client::CommandError;
use crate::client::replica::Write;
use crate::crypto::card::AgentCard;
use crate::id::AccountId;
use crate::wire::{Reply, Request};

/// Reads an agent's newest card: the server's if it is there, else the one kept here.
#[derive(Debug)]
pub(in super::super) struct ReadCard {
    agent: AccountId,
    stage: CardStage,
}

#[derive(Debug)]
enum CardStage {
    Begin,
    Refreshing(RefreshHeads),
    Asked(CallId),
}

impl ReadCard {
    /// Reads the card of an agent.
    pub(in super::super) fn of(agent: AccountId) -> Self {
        Self { agent, stage: CardStage::Begin }
    }

    /// Looks how far it is.
    ///
    /// # Errors
    ///
    /// [`CommandError::Untrusted`] if the server hands out a card that the agent did not sign, or
    /// one older than was seen before.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<AgentCard>, CommandError>> {
        loop {
            match &mut self.stage {
                CardStage::Begin if !cx.is_online() => {
                    return Poll::Ready(Ok(identities.card(self.agent).cloned()));
                }
                CardStage::Begin => {
                    self.stage = CardStage::Refreshing(RefreshHeads::of(&[self.agent]));
                }
                CardStage::Refreshing(refresh) => {
                    ready!(refresh.poll(account, identities, cx))?;
                    let request = Request::Card { account: self.agent };
                    self.stage = CardStage::Asked(cx.call(request));
                }
                CardStage::Asked(call) => {
                    let card = match ready!(cx.reply(*call)) {
                        Ok(Reply::Card { card: Some(signed) }) => {
                            identities.accept_card(self.agent, &signed, cx).map(Some)
                        }
                        Ok(_) => Ok(identities.card(self.agent).cloned()),
                        Err(error) => Err(call_failed(&error)),
                    };
                    return Poll::Ready(card);
                }
            }
        }
    }
}

impl Identities {
    /// Judges a signed card that the server handed out, and keeps it if it is newer.
    fn accept_card(
        &mut self,
        agent: AccountId,
        signed: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<AgentCard, CommandError> {
        let untrusted = |text: &str| CommandError::Untrusted(text.to_owned());
        let card = self.verified_card(agent, signed);
        let card = card.ok_or_else(|| untrusted("the assistant's card is not signed by it"))?;
        let kept = self.card(agent);
        if kept.is_some_and(|kept| kept.issued > card.issued) {
            return Err(untrusted("the server shows an older card of the assistant than before"));
        }
        if kept != Some(&card) {
            cx.write(vec![Write::Card { agent, card: signed.to_vec() }]);
            self.cards.insert(agent, card.clone());
            cx.changed();
        }
        Ok(card)
    }

    fn verified_card(&self, agent: AccountId, signed: &[u8]) -> Option<AgentCard> {
        let chain = self.chains.get(&agent)?;
        let device = AgentCard::decode_unverified(signed).ok()?.device;
        let key = chain.device(device).filter(|_| chain.is_active(device))?.record.key;
        AgentCard::open(signed, &key).ok().filter(|card| card.account == agent)
    }
}
