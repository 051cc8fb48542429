//! What agents say of themselves: for agents, publishing it; for members, having it at hand.

use std::collections::VecDeque;
use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::identities::card::ReadCard;
use super::super::server_call::ServerCall;
use super::super::state::State;
use super::super::work::Step;
use crate::client::{CommandError, Done, NewCard};
use crate::crypto::card::AgentCard;
use crate::crypto::commit::Role;
use crate::id::{AccountId, RoomId};
use crate::log::RoomState;
use crate::wire::Request;

/// For agents: says of itself where questions go.
#[derive(Debug)]
pub(in super::super) struct PutCard {
    new: NewCard,
    call: Option<ServerCall>,
}

impl PutCard {
    /// Publishes this card.
    pub(in super::super) fn new(new: NewCard) -> Self {
        Self { new, call: None }
    }
}

impl Step for PutCard {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let account = &state.account;
        let call = self.call.get_or_insert_with(|| {
            let NewCard { provider, model, is_local, operator } = self.new.clone();
            let (issued, device) = (cx.now.time, account.device);
            let account_id = account.id;
            let card = AgentCard {
                account: account_id,
                device,
                issued,
                provider,
                model,
                is_local,
                operator,
            };
            ServerCall::new(Request::PutCard { card: card.sign(&account.identity.signing) })
        });
        ready!(call.poll(account, cx)).map_err(CommandError::from)?;
        Poll::Ready(Ok(Done::Done))
    }
}

/// Reads what the agents of a room say of themselves, so that it is here when it is wanted.
#[derive(Debug)]
pub(in super::super) struct ReadCards {
    room: RoomId,
    agents: Option<VecDeque<AccountId>>,
    reading: Option<(AccountId, ReadCard)>,
}

impl ReadCards {
    /// Reads the cards of this room's agents.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, agents: None, reading: None }
    }
}

fn agents_of(room: RoomId, state: &State) -> VecDeque<AccountId> {
    let room = state.rooms.all.get(&room).and_then(|room| room.state.as_ref());
    let members = room.into_iter().flat_map(RoomState::members);
    let agents = members.filter(|member| member.role == Role::Agent).map(|member| member.account);
    agents.filter(|agent| *agent != state.account.id).collect()
}

impl Step for ReadCards {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let room = self.room;
        let agents = self.agents.get_or_insert_with(|| agents_of(room, state));
        loop {
            if let Some((agent, read)) = &mut self.reading {
                let agent = *agent;
                let State { account, identities, rooms, .. } = &mut *state;
                match ready!(read.poll(account, identities, cx)) {
                    Ok(_) => rooms.show_with(agent, cx),
                    Err(error) => {
                        tracing::debug!(agent = agent.short(), %error, "no card was read");
                    }
                }
                self.reading = None;
            }
            let Some(agent) = agents.pop_front() else { return Poll::Ready(()) };
            self.reading = Some((agent, ReadCard::of(agent)));
        }
    }
}
