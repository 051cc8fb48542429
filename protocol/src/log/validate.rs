//! Whether a commit may be: every rule of CRYPTO B3 and B6 about changes of a room.
//!
//! The server asks before it stores, every client asks before it believes; both get the same
//! answer for the same state and chains. No clock, no I/O. What a valid commit changes is
//! [`RoomState::apply`]'s business.

use std::collections::BTreeMap;

use super::chains::{Chains, Context, DeviceFault, speaking_device};
use super::room_state::RoomState;
use super::step::Step;
use crate::crypto::commit::{
    AgentScope, Commit, CommitKind, Member, Policy, Role, RoomKind, RoomMode, SUITE_E2EE,
    SUITE_OPEN, members_hash,
};
use crate::crypto::user_chain::AccountKind;
use crate::id::{AccountId, Epoch, Hash, Seq};
use crate::limits::MEMBERS_MAX;

/// Why a commit may not be.
///
/// Retrying the same bytes helps only after [`CommitFault::NeedChain`] (fetch the chain first) and
/// [`CommitFault::Device`] with an unknown device (likewise). After [`CommitFault::HeadMoved`] a
/// commit made anew on the new head may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitFault {
    /// Another commit came first; rebuild on the head.
    #[error("the room has moved on to commit {commit_no}")]
    HeadMoved {
        /// The newest commit.
        head: Hash,
        /// Its number.
        commit_no: u32,
    },
    /// The number is not the next one.
    #[error("the commit has not the next number")]
    CommitNo,
    /// A Create for a room that is, or another kind for one that is not.
    #[error("a room is created once, and first")]
    CreateOnce,
    /// The suite does not belong to the room's mode.
    #[error("the suite does not belong to the room's mode")]
    Suite,
    /// The author is no member.
    #[error("account {} is no member", .0.short())]
    NotMember(AccountId),
    /// A user chain is not at hand as far as the commit names it. Fetch it and try again.
    #[error("link {seq} of the user chain of {} is not at hand", .account.short())]
    NeedChain {
        /// Whose chain.
        account: AccountId,
        /// The link that is needed.
        seq: u32,
    },
    /// The commit names another link of a user chain than we hold: somebody lies.
    #[error("the user chain of {} has another link there", .0.short())]
    ChainFork(AccountId),
    /// A chain head went backwards.
    #[error("the chain head of {} goes backwards", .0.short())]
    ChainBack(AccountId),
    /// The author's device may not speak.
    #[error("{0}")]
    Device(#[from] DeviceFault),
    /// The signature is not the device's.
    #[error("the signature is not valid")]
    Signature,
    /// The author's role, or the kind of the room, does not allow this.
    #[error("{} may not {} here", someone(*.1), deed(*.0))]
    NotAllowed(CommitKind, Role),
    /// The lists or the policy do not fit what the commit says it does.
    #[error("the content does not fit a {0:?}")]
    Shape(CommitKind),
    /// A record is listed as changed and is not, or stands in both lists.
    #[error("the record of {} is not changed", .0.short())]
    NoChange(AccountId),
    /// Who is to be removed is no member.
    #[error("{} is no member to remove", .0.short())]
    NobodyToRemove(AccountId),
    /// The only owner may neither leave nor be demoted while other people are there.
    #[error("the room needs an owner")]
    SoleOwner,
    /// Who was removed by another may not join again alone; an admin must add.
    #[error("{} was removed and must be added by an admin", .0.short())]
    WasRemoved(AccountId),
    /// Role `agent` and agent accounts belong together, and no other account.
    #[error("{}: the role agent is for agent accounts, and they have no other", .0.short())]
    AgentRole(AccountId),
    /// The flags of a member do not fit its role and the agent scope.
    #[error("the flags of {} do not fit the agent scope", .0.short())]
    Flags(AccountId),
    /// The mode of a room never changes.
    #[error("the mode of a room never changes")]
    ModeChange,
    /// A room of this kind cannot begin like this.
    #[error("a {0:?} room cannot begin like this")]
    Founding(RoomKind),
    /// The epoch does not step as the kind demands.
    #[error("epoch {found} does not follow")]
    EpochStep {
        /// The epoch found.
        found: u32,
    },
    /// The key commitment is not the one that goes with the epoch.
    #[error("the key commitment does not fit the epoch")]
    KeyCommit,
    /// The hash of the members is not that of the members.
    #[error("the members hash does not fit")]
    MembersHash,
    /// The hash of the policy is not that of the policy.
    #[error("the policy hash does not fit")]
    PolicyHash,
    /// A box with the secret of the epoch before, where none may be.
    #[error("no box with the previous secret may be here")]
    PrevBox,
    /// The settings are missing, or stand where none may be.
    #[error("the settings box is missing or misplaced")]
    SettingsBox,
    /// More members than a room can have.
    #[error("a room has at most {MEMBERS_MAX} members")]
    TooManyMembers,
}

/// Something about a valid commit that people are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The settings box is by somebody who may not rename: other content than the last one by an
    /// admin is ignored, and shown.
    SettingsByLowerRole(AccountId),
    /// Somebody joined an open room alone.
    JoinedAlone(AccountId),
}

/// What a valid commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// A new epoch starts: everyone in the wrapped set needs its secret.
    pub starts_epoch: bool,
    /// Who becomes a member.
    pub newcomers: Vec<AccountId>,
    /// Who is no longer a member.
    pub gone: Vec<AccountId>,
    /// What people are shown.
    pub notes: Vec<Note>,
}

/// Judges a Create, the first commit of a room that does not exist yet.
///
/// Whether a direct room of the pair exists already, or an open room of that name, is for the
/// caller to know.
///
/// # Errors
///
/// [`CommitFault`]; see there when retrying helps.
pub fn validate_create(
    commit: &Commit,
    chains: &impl Chains,
    context: Context,
) -> Result<Applied, CommitFault> {
    let (CommitKind::Create, Some(kind), Some(policy)) =
        (commit.kind, commit.room_kind, commit.policy)
    else {
        return Err(CommitFault::CreateOnce);
    };
    if commit.commit_no != 1 {
        return Err(CommitFault::CommitNo);
    }
    check_suite(commit, policy.mode)?;
    let members = members_after(None, commit);
    let author = members.get(&commit.author).ok_or(CommitFault::NotMember(commit.author))?;
    check_author(commit, author.chain_seq, chains, context)?;
    let nothing_seen = commit.seen_seq == Seq(0) && commit.seen_hash == Hash::ZERO;
    if !nothing_seen || !commit.removed.is_empty() {
        return Err(CommitFault::Shape(CommitKind::Create));
    }
    check_founding(kind, policy, author, &members)?;
    check_records(None, commit, chains)?;
    check_agents(&members, policy)?;
    check_hashes(commit, &members, policy)?;
    if commit.prev_box.is_some() {
        return Err(CommitFault::PrevBox);
    }
    if commit.settings_box.is_none() && kind != RoomKind::Direct {
        return Err(CommitFault::SettingsBox);
    }
    let (first_epoch, has_key) = match policy.mode {
        RoomMode::E2ee => (Epoch(1), true),
        RoomMode::Open => (Epoch(0), false),
    };
    if commit.epoch != first_epoch {
        return Err(CommitFault::EpochStep { found: commit.epoch.0 });
    }
    if (commit.kc != Hash::ZERO) != has_key {
        return Err(CommitFault::KeyCommit);
    }
    Ok(Applied {
        starts_epoch: has_key,
        newcomers: members.into_keys().collect(),
        gone: Vec::new(),
        notes: Vec::new(),
    })
}

/// Judges a commit that would come next in a room.
///
/// Whether its `seen_hash` is true is asked with [`super::seen::check_seen`], since only the holder
/// of the log can answer that.
///
/// # Errors
///
/// [`CommitFault`]; see there when retrying helps.
pub fn validate_commit(
    state: &RoomState,
    commit: &Commit,
    chains: &impl Chains,
    context: Context,
) -> Result<Applied, CommitFault> {
    if commit.kind == CommitKind::Create {
        return Err(CommitFault::CreateOnce);
    }
    if commit.prev_commit != state.head() {
        return Err(CommitFault::HeadMoved { head: state.head(), commit_no: state.commit_no() });
    }
    if state.commit_no().checked_add(1) != Some(commit.commit_no) {
        return Err(CommitFault::CommitNo);
    }
    check_suite(commit, state.mode())?;
    let step = Step::new(state, commit)?;
    check_author(commit, step.author_chain_seq(), chains, context)?;
    step.check_permission()?;
    step.check_policy()?;
    check_records(Some(state), commit, chains)?;
    check_agents(&step.members, step.policy)?;
    step.check_owner()?;
    check_hashes(commit, &step.members, step.policy)?;
    let starts_epoch = step.check_epoch()?;
    step.check_boxes(starts_epoch)?;
    Ok(step.applied(starts_epoch))
}

/// The members after a commit: those before, with `changed` put in and `removed` taken out.
pub(super) fn members_after(
    before: Option<&RoomState>,
    commit: &Commit,
) -> BTreeMap<AccountId, Member> {
    let mut members: BTreeMap<AccountId, Member> = before
        .into_iter()
        .flat_map(RoomState::members)
        .map(|member| (member.account, *member))
        .collect();
    members.extend(commit.changed.iter().map(|member| (member.account, *member)));
    for account in &commit.removed {
        members.remove(account);
    }
    members
}

fn check_suite(commit: &Commit, mode: RoomMode) -> Result<(), CommitFault> {
    let suite = match mode {
        RoomMode::E2ee => SUITE_E2EE,
        RoomMode::Open => SUITE_OPEN,
    };
    if commit.suite == suite { Ok(()) } else { Err(CommitFault::Suite) }
}

/// The author's device may speak, and signed this.
fn check_author(
    commit: &Commit,
    recorded_seq: u32,
    chains: &impl Chains,
    context: Context,
) -> Result<(), CommitFault> {
    let chain = chains
        .chain(commit.author)
        .ok_or(CommitFault::NeedChain { account: commit.author, seq: recorded_seq })?;
    let device = speaking_device(chain, commit.device, recorded_seq, context)?;
    commit.verify(&device.record.key).map_err(|_| CommitFault::Signature)
}

/// What a room may look like at its beginning, by its kind.
fn check_founding(
    kind: RoomKind,
    policy: Policy,
    author: &Member,
    members: &BTreeMap<AccountId, Member>,
) -> Result<(), CommitFault> {
    let n_agents = members.values().filter(|member| member.role == Role::Agent).count();
    let fits = match kind {
        RoomKind::Group => true,
        RoomKind::Direct => {
            let equals = |member: &Member| matches!(member.role, Role::Owner | Role::Member);
            members.len() == 2
                && members.values().all(equals)
                && policy.mode == RoomMode::E2ee
                && policy.agent_scope == AgentScope::None
        }
        RoomKind::Assistant => {
            n_agents > 0 && policy.mode == RoomMode::E2ee && policy.agent_scope == AgentScope::All
        }
    };
    if fits && author.role == Role::Owner { Ok(()) } else { Err(CommitFault::Founding(kind)) }
}

/// Every record in `changed` says something new that the user chains bear out.
fn check_records(
    before: Option<&RoomState>,
    commit: &Commit,
    chains: &impl Chains,
) -> Result<(), CommitFault> {
    for member in &commit.changed {
        let account = member.account;
        let old = before.and_then(|state| state.member(account));
        if old == Some(member) || commit.removed.binary_search(&account).is_ok() {
            return Err(CommitFault::NoChange(account));
        }
        if old.is_some_and(|old| member.chain_seq < old.chain_seq) {
            return Err(CommitFault::ChainBack(account));
        }
        let need = CommitFault::NeedChain { account, seq: member.chain_seq };
        let chain = chains.chain(account).ok_or(need)?;
        match chain.hash_at(member.chain_seq) {
            Some(hash) if hash == member.chain_hash => {}
            None if member.chain_seq > chain.head().seq => return Err(need),
            _ => return Err(CommitFault::ChainFork(account)),
        }
        if (chain.kind() == AccountKind::Agent) != (member.role == Role::Agent) {
            return Err(CommitFault::AgentRole(account));
        }
    }
    Ok(())
}

/// Agents are there only as the scope allows, and only agents have flags.
fn check_agents(members: &BTreeMap<AccountId, Member>, policy: Policy) -> Result<(), CommitFault> {
    let fits = |member: &Member| match (member.role, policy.agent_scope) {
        (Role::Agent, AgentScope::None) => false,
        (Role::Agent, AgentScope::Mention) => member.is_mention_agent(),
        (Role::Agent, AgentScope::All) => true,
        _ => member.flags == 0,
    };
    match members.values().find(|member| !fits(member)) {
        Some(member) => Err(CommitFault::Flags(member.account)),
        None if members.len() > MEMBERS_MAX => Err(CommitFault::TooManyMembers),
        None => Ok(()),
    }
}

fn check_hashes(
    commit: &Commit,
    members: &BTreeMap<AccountId, Member>,
    policy: Policy,
) -> Result<(), CommitFault> {
    if commit.members_hash != members_hash(members.values()) {
        return Err(CommitFault::MembersHash);
    }
    if commit.policy_hash != policy.hash() {
        return Err(CommitFault::PolicyHash);
    }
    Ok(())
}

/// Who did not get leave, for people.
fn someone(role: Role) -> &'static str {
    match role {
        Role::Owner => "an owner",
        Role::Admin => "an admin",
        Role::Moderator => "a moderator",
        Role::Member => "a member",
        Role::Guest => "a guest",
        Role::Agent => "an assistant",
    }
}

/// What somebody did not get leave to do, for people.
fn deed(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Create => "make the room again",
        CommitKind::Add => "add these people",
        CommitKind::Remove => "remove these people",
        CommitKind::Leave => "leave",
        CommitKind::SetRole => "give these roles",
        CommitKind::Rotate => "make a new key",
        CommitKind::SetPolicy => "change the rules",
        CommitKind::SetAgent => "add or remove an assistant",
    }
}
