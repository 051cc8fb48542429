//! Adding people and agents, with the older keys that newcomers may have.

use std::collections::VecDeque;
use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::identities::find::FindAll;
use super::super::server_call::ServerCall;
use super::super::state::State;
use super::super::work::Step;
use super::answer_keys::seal_grants;
use super::change::ChangeRoom;
use super::not_allowed;
use crate::client::{CommandError, Done, PersonRef};
use crate::crypto::commit::{AgentScope, CommitKind, HistoryRule, Policy, Role, RoomMode};
use crate::id::{AccountId, RoomId};
use crate::log::permissions::may_administer;
use crate::log::{Change, CommitFault};
use crate::wire::Request;

/// Adds accounts to a room.
#[derive(Debug)]
pub(in super::super) struct AddPeople {
    room: RoomId,
    accounts: Vec<AccountId>,
    stage: AddStage,
}

#[derive(Debug)]
enum AddStage {
    Begin,
    /// The changes that remain, and whose older keys follow them.
    Changing {
        changes: VecDeque<Change>,
        current: Option<ChangeRoom>,
        newcomers: Vec<AccountId>,
    },
    Granting {
        newcomers: VecDeque<AccountId>,
        current: Option<ServerCall>,
    },
}

impl AddPeople {
    /// Adds these accounts.
    pub(in super::super) fn new(room: RoomId, accounts: Vec<AccountId>) -> Self {
        Self { room, accounts, stage: AddStage::Begin }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll(
        &mut self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        loop {
            match &mut self.stage {
                AddStage::Begin => {
                    let (agents, people) = self.newcomers(state);
                    let mut changes = agent_changes(self.room, agents, state)?;
                    if !people.is_empty() {
                        let members = people.iter().map(|account| (*account, Role::Member));
                        changes.push_back(Change::Add(members.collect()));
                    }
                    let (current, newcomers) = (None, people);
                    self.stage = AddStage::Changing { changes, current, newcomers };
                }
                AddStage::Changing { changes, current, newcomers } => {
                    if let Some(change) = current {
                        ready!(change.poll(state, cx))?;
                        *current = None;
                    }
                    if let Some(change) = changes.pop_front() {
                        *current = Some(ChangeRoom::new(self.room, change, None));
                        continue;
                    }
                    let shares = shares_history(self.room, state);
                    let newcomers = std::mem::take(newcomers);
                    let newcomers = if shares { newcomers.into() } else { VecDeque::new() };
                    self.stage = AddStage::Granting { newcomers, current: None };
                }
                AddStage::Granting { newcomers, current } => {
                    if let Some(call) = current {
                        ready!(call.poll(&state.account, cx)).map_err(CommandError::from)?;
                        *current = None;
                    }
                    let Some(account) = newcomers.pop_front() else { return Poll::Ready(Ok(())) };
                    let grants = seal_grants(self.room, account, state, cx);
                    if !grants.is_empty() {
                        let room = self.room;
                        let request = Request::PutGrant { room, account, grants };
                        *current = Some(ServerCall::new(request));
                    }
                }
            }
        }
    }

    /// Who of these is not in the room yet: agents, and people.
    fn newcomers(&self, state: &State) -> (Vec<AccountId>, Vec<AccountId>) {
        let room = state.rooms.all.get(&self.room);
        let is_new = |account: &AccountId| room.is_none_or(|room| room.member(*account).is_none());
        let is_agent = |account: &AccountId| state.identities.is_agent(*account);
        self.accounts.iter().copied().filter(is_new).partition(is_agent)
    }
}

fn shares_history(room: RoomId, state: &State) -> bool {
    let room = state.rooms.all.get(&room).and_then(|room| room.state.as_ref());
    room.is_some_and(|room| {
        room.mode() == RoomMode::E2ee && room.policy().history == HistoryRule::All
    })
}

/// What adds agents that read only what is shown to them, and says so in the room's policy.
fn agent_changes(
    id: RoomId,
    agents: Vec<AccountId>,
    state: &State,
) -> Result<VecDeque<Change>, CommandError> {
    if agents.is_empty() {
        return Ok(VecDeque::new());
    }
    let (room, room_state) = state.rooms.opened(id)?;
    let role = room.member(state.account.id).map(|member| member.role);
    if let Some(role) = role.filter(|role| !may_administer(*role)) {
        // Said of the assistant, not of the policy that it needs.
        return Err(not_allowed(&CommitFault::NotAllowed(CommitKind::SetAgent, role)));
    }
    let before = room_state.policy();
    if before.agent_scope == AgentScope::None {
        let policy = Policy { agent_scope: AgentScope::Mention, ..before };
        return Ok([Change::SetPolicy(policy, agents)].into());
    }
    Ok(agents.into_iter().map(Change::AddAgent).collect())
}

/// The command that adds people by name.
#[derive(Debug)]
pub(in super::super) struct Add {
    room: RoomId,
    stage: CommandStage,
}

#[derive(Debug)]
enum CommandStage {
    Finding(FindAll),
    Adding(AddPeople),
}

impl Add {
    /// Adds these people.
    pub(in super::super) fn new(room: RoomId, people: Vec<PersonRef>) -> Self {
        Self { room, stage: CommandStage::Finding(FindAll::new(people)) }
    }
}

impl Step for Add {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                CommandStage::Finding(find) => {
                    let State { account, identities, .. } = &mut *state;
                    let people = ready!(find.poll(account, identities, cx))?;
                    self.stage = CommandStage::Adding(AddPeople::new(self.room, people));
                }
                CommandStage::Adding(add) => {
                    ready!(add.poll(state, cx))?;
                    return Poll::Ready(Ok(Done::Room(self.room)));
                }
            }
        }
    }
}
