//! Changing rooms: commits with their wraps, made anew until one comes first.
//!
//! Owns the loop around `log::propose`: refresh everybody's chain, propose, seal what a new epoch
//! needs, judge the result by the common rules, send. Whoever loses the race catches up and proposes
//! again on the new head.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::{CallError, Engine, call_failed, refused, storage};
use crate::client::CommandError;
use crate::crypto::commit::{
    AgentScope, Commit, CommitKind, HistoryRule, Policy, Role, RoomKind, RoomMode,
};
use crate::crypto::epoch::{EpochSecret, key_commit};
use crate::crypto::settings::RoomSettings;
use crate::crypto::user_chain::AccountKind;
use crate::crypto::wrap::{WrapContext, wrap};
use crate::id::{AccountId, Hash, RoomId, Seq, TimeMs, WorkspaceId};
use crate::limits::WRAPS_PER_BATCH_MAX;
use crate::log::permissions::may_administer;
use crate::log::{
    Change, CommitFault, Committer, Context, Proposal, RoomState, WrapTarget, propose,
    propose_create, validate_commit, validate_create, wraps_needed,
};
use crate::wire::{Fault, Reply, Request, Wrap};

/// A change that loses this many races is given up: the room is too busy.
const TRIES_MAX: usize = 8;
/// How long a change waits for the room to be caught up before it is proposed.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(15);

/// A commit that is ready to be sent.
struct Ready {
    commit: Commit,
    wraps: Vec<Wrap>,
    secret: Option<EpochSecret>,
}

/// A room to be founded.
pub(super) struct Founding {
    pub(super) kind: RoomKind,
    pub(super) policy: Policy,
    pub(super) others: Vec<(AccountId, Role)>,
    pub(super) settings: RoomSettings,
}

/// What to do after a refusal.
enum Next {
    Again,
    GiveUp(CommandError),
}

impl Engine {
    /// Changes a room; returns when the change is in the own log. `settings` replaces name and topic.
    pub(super) async fn change(
        self: &Rc<Self>,
        id: RoomId,
        change: &Change,
        settings: Option<RoomSettings>,
    ) -> Result<(), CommandError> {
        let mut busy = CommandError::Refused("the room changes too fast, try again".to_owned());
        for _ in 0..TRIES_MAX {
            self.caught_up(id).await?;
            self.refresh_members(id, change).await?;
            let ready = self.prepare(id, change, settings.as_ref())?;
            let workspace = self.workspace(id);
            match self.send_commit(workspace, Some(id), ready).await {
                Ok(seq) => return self.await_applied(id, seq).await,
                Err(fault) => match self.after_refusal(Some(id), fault).await {
                    Next::Again => {}
                    Next::GiveUp(error) => {
                        busy = error;
                        break;
                    }
                },
            }
        }
        Err(busy)
    }

    /// Founds a room; returns when it is in the replica.
    pub(super) async fn found(self: &Rc<Self>, founding: Founding) -> Result<RoomId, CommandError> {
        let people: Vec<AccountId> =
            founding.others.iter().map(|(account, _)| *account).chain([self.account]).collect();
        for _ in 0..TRIES_MAX {
            self.refresh_heads(&people).await?;
            let ready = self.prepare_founding(&founding)?;
            let id = RoomId(ready.commit.hash().0);
            let secret = ready.secret.as_ref().map(EpochSecret::duplicate);
            match self.send_commit(WorkspaceId::MAIN, None, ready).await {
                Ok(_) => {
                    self.meet_room(id);
                    if let (Some(secret), Some(room)) =
                        (secret, self.core.borrow_mut().rooms.get_mut(&id))
                    {
                        room.own_secrets.insert(Hash(id.0), secret);
                    }
                    self.open_room(id);
                    self.await_applied(id, Seq(1)).await?;
                    return Ok(id);
                }
                Err(CallError::Fault(Fault::Exists { room })) => {
                    self.until(self.patience, || self.is_open(room)).await;
                    return Ok(room);
                }
                Err(fault) => match self.after_refusal(None, fault).await {
                    Next::Again => {}
                    Next::GiveUp(error) => return Err(error),
                },
            }
        }
        Err(CommandError::Refused("the room could not be made, try again".to_owned()))
    }

    fn workspace(&self, id: RoomId) -> WorkspaceId {
        let core = self.core.borrow();
        core.rooms.get(&id).map_or(WorkspaceId::MAIN, |room| room.facts.workspace)
    }

    /// Waits until the room's log is here as far as the server told.
    pub(super) async fn caught_up(self: &Rc<Self>, id: RoomId) -> Result<(), CommandError> {
        self.online().await?;
        let mut cause = None;
        let patience = CATCH_UP_PATIENCE;
        let is_there = self
            .until(patience, || {
                let core = self.core.borrow();
                let Some(room) = core.rooms.get(&id) else {
                    cause = Some(CommandError::NotFound("there is no such room".to_owned()));
                    return true;
                };
                if let Some(stopped) = &room.facts.stopped {
                    cause = Some(CommandError::Untrusted(stopped.clone()));
                    return true;
                }
                room.is_caught_up()
            })
            .await;
        match cause {
            Some(error) => Err(error),
            None if is_there => Ok(()),
            None => Err(CommandError::TimedOut),
        }
    }

    async fn await_applied(self: &Rc<Self>, id: RoomId, seq: Seq) -> Result<(), CommandError> {
        let is_applied = || {
            let core = self.core.borrow();
            core.rooms.get(&id).is_some_and(|room| {
                // Who left or was removed hears nothing more.
                room.applied.seq() >= seq || !room.facts.is_member
            })
        };
        if self.until(self.patience, is_applied).await {
            Ok(())
        } else {
            Err(CommandError::TimedOut)
        }
    }

    fn is_open(&self, id: RoomId) -> bool {
        let core = self.core.borrow();
        core.rooms.get(&id).is_some_and(|room| room.state.is_some())
    }

    async fn refresh_members(
        self: &Rc<Self>,
        id: RoomId,
        change: &Change,
    ) -> Result<(), CommandError> {
        let mut people: Vec<AccountId> = {
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            state.map(|s| s.members().map(|m| m.account).collect()).unwrap_or_default()
        };
        match change {
            Change::Add(newcomers) => people.extend(newcomers.iter().map(|(account, _)| *account)),
            Change::SetPolicy(_, agents) => people.extend(agents),
            Change::AddAgent(agent) => people.push(*agent),
            _ => {}
        }
        self.refresh_heads(&people).await
    }

    fn committer(&self) -> Committer {
        let time: TimeMs = self.now();
        Committer { account: self.account, device: self.device, time }
    }

    fn prepare(
        &self,
        id: RoomId,
        change: &Change,
        settings: Option<&RoomSettings>,
    ) -> Result<Ready, CommandError> {
        let core = self.core.borrow();
        let room = core.rooms.get(&id);
        let Some((room, state)) = room.and_then(|room| Some((room, room.state.as_ref()?))) else {
            return Err(CommandError::NotFound("there is no such room".to_owned()));
        };
        let chains = &core.people.chains;
        let proposal = propose(state, change, room.applied, self.committer(), chains)
            .map_err(|fault| not_allowed(&fault))?;
        let settings = settings.or(room.settings.as_ref());
        let before = state.epoch().epoch;
        let previous = if proposal.may_carry_prev {
            self.replica.epoch_secret(id, before).map_err(|error| storage(&error))?
        } else {
            None
        };
        let is_naming = matches!(change, Change::Rotate) && state.mode() == RoomMode::Open;
        let ready = self.complete(proposal, settings, previous.as_ref(), is_naming)?;
        validate_commit(state, &ready.commit, chains, Context::Live)
            .map_err(|fault| not_allowed(&fault))?;
        let needed = wraps_needed(Some(state), &ready.commit, chains)
            .map_err(|fault| not_allowed(&fault))?;
        let old = match &ready.secret {
            Some(_) => None,
            None => self.replica.epoch_secret(id, before).map_err(|error| storage(&error))?,
        };
        // Without a new epoch a newcomer is wrapped the present secret.
        let commit_hash =
            if ready.secret.is_some() { ready.commit.hash() } else { state.epoch().commit_hash };
        let wraps = match ready.secret.as_ref().or(old.as_ref()) {
            Some(secret) => {
                let starts_epoch = ready.secret.is_some();
                let mut wraps = seal_wraps(&needed, commit_hash, secret)?;
                wraps.extend(self.seal_agent_wraps(
                    Some(state),
                    &ready.commit,
                    starts_epoch,
                    secret,
                    commit_hash,
                )?);
                wraps
            }
            None if needed.is_empty() => Vec::new(),
            None => {
                return Err(CommandError::Refused(
                    "this device has no key of the room yet".to_owned(),
                ));
            }
        };
        Ok(Ready { wraps, ..ready })
    }

    fn prepare_founding(&self, founding: &Founding) -> Result<Ready, CommandError> {
        let core = self.core.borrow();
        let chains = &core.people.chains;
        let nonce = Hash(rand::random());
        let (kind, policy, others) = (founding.kind, founding.policy, &founding.others);
        let proposal = propose_create(kind, policy, others, nonce, self.committer(), chains)
            .map_err(|fault| not_allowed(&fault))?;
        let is_naming = policy.mode == RoomMode::Open;
        let ready = self.complete(proposal, Some(&founding.settings), None, is_naming)?;
        validate_create(&ready.commit, chains, Context::Live)
            .map_err(|fault| not_allowed(&fault))?;
        let needed =
            wraps_needed(None, &ready.commit, chains).map_err(|fault| not_allowed(&fault))?;
        let wraps = match &ready.secret {
            Some(secret) => seal_wraps(&needed, ready.commit.hash(), secret)?,
            None => Vec::new(),
        };
        Ok(Ready { wraps, ..ready })
    }

    /// Adds secrets and signature to a proposal.
    fn complete(
        &self,
        proposal: Proposal,
        settings: Option<&RoomSettings>,
        previous: Option<&EpochSecret>,
        is_naming: bool,
    ) -> Result<Ready, CommandError> {
        let Proposal { mut fields, starts_epoch, .. } = proposal;
        let mut rng = rand::rng();
        let mut secret = None;
        if starts_epoch {
            let Some(settings) = settings else {
                let text = "this device cannot read the room's name yet";
                return Err(CommandError::Refused(text.to_owned()));
            };
            let fresh = EpochSecret::generate(&mut rng);
            let (prev_commit, epoch) = (fields.prev_commit, fields.epoch);
            fields.kc = key_commit(prev_commit, epoch, &fresh);
            fields.settings_box = Some(settings.seal(&mut rng, &fresh, prev_commit, epoch));
            fields.prev_box =
                previous.map(|older| fresh.seal_prev(&mut rng, prev_commit, epoch, older));
            secret = Some(fresh);
        } else if is_naming && let Some(settings) = settings {
            fields.settings_box = Some(settings.encode());
        }
        let signed = fields.sign(&self.identity.borrow().signing);
        let commit = signed.map_err(|error| CommandError::Refused(error.to_string()))?;
        Ok(Ready { commit, wraps: Vec::new(), secret })
    }

    async fn send_commit(
        self: &Rc<Self>,
        workspace: WorkspaceId,
        room: Option<RoomId>,
        ready: Ready,
    ) -> Result<Seq, CallError> {
        let Ready { commit, mut wraps, secret } = ready;
        let hash = commit.hash();
        if let (Some(id), Some(secret)) = (room, secret)
            && let Some(room) = self.core.borrow_mut().rooms.get_mut(&id)
        {
            // Kept by the hash: whether this commit comes first, the log will tell.
            room.own_secrets.insert(hash, secret);
        }
        let link = self.link().ok_or(CallError::Lost)?;
        while wraps.len() > WRAPS_PER_BATCH_MAX {
            let batch = wraps.split_off(wraps.len() - WRAPS_PER_BATCH_MAX);
            link.call(Request::StageWraps { commit: hash, wraps: batch }).await?;
        }
        let entry = commit.entry().to_vec();
        let result = link.call(Request::Commit { workspace, room, entry, wraps }).await;
        if let (Err(CallError::Fault(_)), Some(id)) = (&result, room)
            && let Some(room) = self.core.borrow_mut().rooms.get_mut(&id)
        {
            room.own_secrets.remove(&hash);
        }
        match result? {
            Reply::Accepted { seq, .. } => Ok(seq),
            _ => Err(CallError::Fault(Fault::Malformed)),
        }
    }

    async fn after_refusal(self: &Rc<Self>, id: Option<RoomId>, error: CallError) -> Next {
        let CallError::Fault(fault) = error else { return Next::GiveUp(call_failed(&error)) };
        match fault {
            Fault::HeadMoved { .. } | Fault::BadSeen => {
                // The winner's entry is on its way, or was missed: read once more.
                if let Some(id) = id {
                    self.reread(id, Seq(0));
                }
                Next::Again
            }
            Fault::MissingWraps { .. } => Next::Again,
            Fault::ServerBusy { retry_after_ms } => {
                sleep(Duration::from_millis(u64::from(retry_after_ms).min(5_000))).await;
                Next::Again
            }
            fault => Next::GiveUp(refused(&fault)),
        }
    }

    /// Adds people, and leaves them the older keys they may have.
    pub(super) async fn add_people(
        self: &Rc<Self>,
        id: RoomId,
        people: &[AccountId],
    ) -> Result<(), CommandError> {
        let (agents, people) = self.newcomers(id, people);
        self.add_agents(id, agents).await?;
        let newcomers: Vec<(AccountId, Role)> =
            people.into_iter().map(|account| (account, Role::Member)).collect();
        if newcomers.is_empty() {
            return Ok(());
        }
        self.change(id, &Change::Add(newcomers.clone()), None).await?;
        let shares = {
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            state.is_some_and(|s| {
                s.mode() == RoomMode::E2ee && s.policy().history == HistoryRule::All
            })
        };
        if shares {
            for (account, _) in newcomers {
                self.grant_history(id, account).await?;
            }
        }
        Ok(())
    }

    /// Who of these is not in the room yet: agents, and people.
    fn newcomers(&self, id: RoomId, accounts: &[AccountId]) -> (Vec<AccountId>, Vec<AccountId>) {
        let core = self.core.borrow();
        let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
        let is_new = |account: &AccountId| !state.is_some_and(|state| state.is_member(*account));
        let is_agent = |account: &AccountId| {
            let chain = core.people.chains.get(account);
            chain.is_some_and(|chain| chain.kind() == AccountKind::Agent)
        };
        accounts.iter().copied().filter(is_new).partition(is_agent)
    }

    /// Adds agents that read only what is shown to them, and says so in the room's policy.
    async fn add_agents(
        self: &Rc<Self>,
        id: RoomId,
        agents: Vec<AccountId>,
    ) -> Result<(), CommandError> {
        if agents.is_empty() {
            return Ok(());
        }
        let (before, role) = {
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            let me = state.and_then(|state| state.member(self.account));
            (state.map(RoomState::policy), me.map(|me| me.role))
        };
        let before =
            before.ok_or_else(|| CommandError::NotFound("there is no such room".into()))?;
        if let Some(role) = role.filter(|role| !may_administer(*role)) {
            // Said of the assistant, not of the policy that it needs.
            return Err(not_allowed(&CommitFault::NotAllowed(CommitKind::SetAgent, role)));
        }
        if before.agent_scope == AgentScope::None {
            let policy = Policy { agent_scope: AgentScope::Mention, ..before };
            return self.change(id, &Change::SetPolicy(policy, agents), None).await;
        }
        for agent in agents {
            self.change(id, &Change::AddAgent(agent), None).await?;
        }
        Ok(())
    }

    /// Joins an open room alone.
    pub(super) async fn join_open(self: &Rc<Self>, id: RoomId) -> Result<(), CommandError> {
        let is_member = {
            let core = self.core.borrow();
            core.rooms.get(&id).is_some_and(|room| room.facts.is_member)
        };
        if is_member {
            return Ok(());
        }
        self.online().await?;
        for _ in 0..TRIES_MAX {
            let state = self.look_into(id).await?;
            self.refresh_heads(&[self.account]).await?;
            let ready = {
                let core = self.core.borrow();
                let chains = &core.people.chains;
                let change = Change::Add(vec![(self.account, Role::Member)]);
                let seen = crate::log::LogHash::start(id);
                let proposal = propose(&state, &change, seen, self.committer(), chains)
                    .map_err(|fault| not_allowed(&fault))?;
                let ready = self.complete(proposal, None, None, false)?;
                validate_commit(&state, &ready.commit, chains, Context::Live)
                    .map_err(|fault| not_allowed(&fault))?;
                ready
            };
            match self.send_commit(WorkspaceId::MAIN, Some(id), ready).await {
                Ok(seq) => {
                    self.until(self.patience, || self.is_open(id)).await;
                    return self.await_applied(id, seq).await;
                }
                Err(fault) => match self.after_refusal(None, fault).await {
                    Next::Again => {}
                    Next::GiveUp(error) => return Err(error),
                },
            }
        }
        Err(CommandError::Refused("the room changes too fast, try again".to_owned()))
    }
}

/// Wraps a secret for each device that needs it.
fn seal_wraps(
    targets: &[WrapTarget],
    commit_hash: Hash,
    secret: &EpochSecret,
) -> Result<Vec<Wrap>, CommandError> {
    let mut rng = rand::rng();
    targets
        .iter()
        .map(|target| {
            let (account, device, hpke_gen) = (target.account, target.device, target.generation);
            let context = WrapContext { commit_hash, account, device, hpke_gen };
            let sealed = wrap(&mut rng, &target.key, &context, secret)
                .map_err(|error| CommandError::Refused(error.to_string()))?;
            Ok(Wrap { account, device, hpke_gen, sealed: sealed.to_vec() })
        })
        .collect()
}

fn not_allowed(fault: &CommitFault) -> CommandError {
    match fault {
        CommitFault::ChainFork(_) | CommitFault::ChainBack(_) => {
            CommandError::Untrusted(fault.to_string())
        }
        _ => CommandError::Refused(fault.to_string()),
    }
}
