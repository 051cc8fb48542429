//! Making rooms: groups, open rooms, and the direct room of two people.

use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::identities::fetch::RefreshHeads;
use super::super::identities::find::{Find, FindAll};
use super::super::io::CallError;
use super::super::state::State;
use super::super::work::Step;
use super::add::AddPeople;
use super::change::{AwaitApplied, Next, SendCommit, TRIES_MAX, after_failure};
use super::prepare::Preparing;
use crate::client::{CommandError, Done, NewRoom, PersonRef};
use crate::crypto::commit::{HistoryRule, Policy, Role, RoomKind};
use crate::crypto::settings::RoomSettings;
use crate::id::{AccountId, Hash, RoomId, Seq, WorkspaceId};
use crate::log::RoomState;
use crate::name::RoomName;
use crate::wire::Fault;

use rand::RngExt as _;

/// A room to be made.
#[derive(Debug, Clone)]
pub(super) struct Founding {
    pub(super) kind: RoomKind,
    pub(super) policy: Policy,
    pub(super) others: Vec<(AccountId, Role)>,
    pub(super) settings: RoomSettings,
}

/// Makes a room; done when it is in the replica.
#[derive(Debug)]
struct Found {
    founding: Founding,
    n_tries: usize,
    stage: FoundStage,
}

#[derive(Debug)]
enum FoundStage {
    Begin,
    Refreshing(RefreshHeads),
    Sending(SendCommit),
    Pausing(Duration),
    Applying(RoomId, AwaitApplied),
    /// The room exists already: it is opened.
    Opening(RoomId, Duration),
}

impl Found {
    fn new(founding: Founding) -> Self {
        Self { founding, n_tries: 0, stage: FoundStage::Begin }
    }

    fn poll(
        &mut self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RoomId, CommandError>> {
        loop {
            match &mut self.stage {
                FoundStage::Begin => {
                    let others = self.founding.others.iter().map(|(account, _)| *account);
                    let people: Vec<AccountId> = others.chain([state.account.id]).collect();
                    self.stage = FoundStage::Refreshing(RefreshHeads::of(&people));
                }
                FoundStage::Refreshing(refresh) => {
                    let State { account, identities, rooms, .. } = &mut *state;
                    ready!(refresh.poll(account, identities, cx))?;
                    let nonce = Hash(cx.rng.random());
                    let mut preparing = Preparing { account, identities, cx };
                    let mut prepared = preparing.founding(&self.founding, nonce)?;
                    let id = RoomId(prepared.commit.hash().0);
                    if let Some(secret) = prepared.secret.take() {
                        rooms.founding.insert(id, secret);
                    }
                    self.n_tries += 1;
                    let send = SendCommit::new(WorkspaceId::MAIN, None, prepared);
                    self.stage = FoundStage::Sending(send);
                }
                FoundStage::Sending(send) => {
                    let id = RoomId(send.hash().0);
                    match ready!(send.poll(cx)) {
                        Ok(_) => {
                            let device = state.account.device;
                            state.rooms.discover(id, device, cx);
                            state.rooms.open(id, cx);
                            let applied = AwaitApplied::new(id, Seq(1), state, cx);
                            self.stage = FoundStage::Applying(id, applied);
                        }
                        Err(error) => {
                            if matches!(error, CallError::Fault(_)) {
                                state.rooms.founding.remove(&id);
                            }
                            self.stage = self.after_failure(&error, state, cx)?;
                        }
                    }
                }
                FoundStage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = FoundStage::Begin;
                }
                FoundStage::Applying(id, applied) => {
                    ready!(applied.poll(state, cx))?;
                    return Poll::Ready(Ok(*id));
                }
                FoundStage::Opening(id, until) => {
                    let room = state.rooms.all.get(id);
                    let is_open = room.is_some_and(|room| room.state.is_some());
                    if !is_open && !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Ok(*id));
                }
            }
        }
    }

    fn after_failure(
        &self,
        error: &CallError,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Result<FoundStage, CommandError> {
        if let CallError::Fault(Fault::Exists { room }) = error {
            let until = cx.after(state.account.settings.patience);
            return Ok(FoundStage::Opening(*room, until));
        }
        match after_failure(None, error, state, cx) {
            Next::GiveUp(error) => Err(error),
            Next::Retry(_) if self.n_tries >= TRIES_MAX => {
                Err(CommandError::Refused("the room could not be made, try again".to_owned()))
            }
            Next::Retry(pause) => Ok(FoundStage::Pausing(cx.after(pause))),
        }
    }
}

/// Makes a group or an open room, with its first members.
#[derive(Debug)]
pub(in super::super) struct CreateRoom {
    room: NewRoom,
    stage: CreateStage,
}

#[derive(Debug)]
enum CreateStage {
    Finding(FindAll),
    Refreshing(Vec<AccountId>, RefreshHeads),
    Founding(Vec<AccountId>, Found),
    AddingAgents(RoomId, AddPeople),
}

impl CreateRoom {
    /// Makes this room.
    pub(in super::super) fn new(room: NewRoom) -> Self {
        let stage = CreateStage::Finding(FindAll::new(room.people.clone()));
        Self { room, stage }
    }

    fn founding(&self, people: Vec<AccountId>, me: AccountId) -> Founding {
        let others = people.into_iter().filter(|account| *account != me);
        let policy = if self.room.is_open {
            Policy::OPEN
        } else if self.room.shares_history {
            Policy { history: HistoryRule::All, ..Policy::GROUP }
        } else {
            Policy::GROUP
        };
        Founding {
            kind: RoomKind::Group,
            policy,
            others: others.map(|account| (account, Role::Member)).collect(),
            settings: RoomSettings::named(self.room.name.clone()),
        }
    }
}

impl Step for CreateRoom {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                CreateStage::Finding(find) => {
                    let State { account, identities, .. } = &mut *state;
                    let people = ready!(find.poll(account, identities, cx))?;
                    let refresh = RefreshHeads::of(&people);
                    self.stage = CreateStage::Refreshing(people, refresh);
                }
                CreateStage::Refreshing(people, refresh) => {
                    let State { account, identities, .. } = &mut *state;
                    ready!(refresh.poll(account, identities, cx))?;
                    let people = std::mem::take(people);
                    let is_agent = |account: &AccountId| identities.is_agent(*account);
                    let (agents, people): (Vec<_>, Vec<_>) = people.into_iter().partition(is_agent);
                    let founding = self.founding(people, account.id);
                    self.stage = CreateStage::Founding(agents, Found::new(founding));
                }
                CreateStage::Founding(agents, found) => {
                    let id = ready!(found.poll(state, cx))?;
                    let agents = std::mem::take(agents);
                    self.stage = CreateStage::AddingAgents(id, AddPeople::new(id, agents));
                }
                CreateStage::AddingAgents(id, add) => {
                    ready!(add.poll(state, cx))?;
                    return Poll::Ready(Ok(Done::Room(*id)));
                }
            }
        }
    }
}

/// Finds or makes the direct room with a person.
#[derive(Debug)]
pub(in super::super) struct Direct {
    stage: DirectStage,
}

#[derive(Debug)]
enum DirectStage {
    Finding(Find),
    Founding(Found),
}

impl Direct {
    /// The direct room with this person.
    pub(in super::super) fn with(person: PersonRef) -> Self {
        Self { stage: DirectStage::Finding(Find::new(person)) }
    }
}

impl Step for Direct {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                DirectStage::Finding(find) => {
                    let State { account, identities, .. } = &mut *state;
                    let other = ready!(find.poll(account, identities, cx))?;
                    if let Some(known) = known_direct(other, state)? {
                        return Poll::Ready(Ok(Done::Room(known)));
                    }
                    self.stage = DirectStage::Founding(Found::new(direct_with(other)?));
                }
                DirectStage::Founding(found) => {
                    let id = ready!(found.poll(state, cx))?;
                    return Poll::Ready(Ok(Done::Room(id)));
                }
            }
        }
    }
}

fn known_direct(other: AccountId, state: &State) -> Result<Option<RoomId>, CommandError> {
    if other == state.account.id {
        return Err(CommandError::Invalid("a direct room needs another person".to_owned()));
    }
    if state.identities.is_agent(other) {
        let text = "an assistant answers in rooms: ask it there, or with `mathia-tui ask`";
        return Err(CommandError::Invalid(text.to_owned()));
    }
    let is_pair = |room: &&super::super::rooms::OneRoom| {
        let pair = room.state.as_ref().and_then(RoomState::direct_pair);
        pair.is_some_and(|(a, b)| a == other || b == other)
    };
    Ok(state.rooms.joined().find(is_pair).map(|room| room.id))
}

fn direct_with(other: AccountId) -> Result<Founding, CommandError> {
    // Never shown: a direct room is called by the other's name. But a box must be there.
    let name: RoomName = "direct"
        .parse()
        .map_err(|_| CommandError::Invalid("the name of direct rooms".to_owned()))?;
    let (kind, policy) = (RoomKind::Direct, Policy::DIRECT);
    let others = vec![(other, Role::Owner)];
    Ok(Founding { kind, policy, others, settings: RoomSettings::named(name) })
}
