//! Prepares commits that the rules will accept: refreshed chain heads, lists, hashes, epochs.
//!
//! Owns how a wish becomes the fields of a commit. Never decides whether the wish is allowed; the
//! signed commit goes through [`super::validate`] like any other. The caller adds the secrets.

use std::collections::BTreeMap;

use super::chain::LogHash;
use super::chains::Chains;
use super::room_state::RoomState;
use super::validate::CommitFault;
use crate::crypto::commit::{
    AgentScope, CommitFields, CommitKind, HistoryRule, Member, Policy, Role, RoomKind, RoomMode,
    SUITE_E2EE, SUITE_OPEN, members_hash,
};
use crate::id::{AccountId, DeviceId, Epoch, Hash, Seq, TimeMs};

/// Who commits, from which device, at which time by the own clock.
#[derive(Debug, Clone, Copy)]
pub struct Committer {
    /// The account.
    pub account: AccountId,
    /// The device, whose key will sign.
    pub device: DeviceId,
    /// The own clock.
    pub time: TimeMs,
}

/// What somebody wants to change in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Add people (or agents that read everything), each with a role.
    Add(Vec<(AccountId, Role)>),
    /// Remove others.
    Remove(Vec<AccountId>),
    /// Go.
    Leave,
    /// Change roles.
    SetRole(Vec<(AccountId, Role)>),
    /// Start a new epoch, or rename.
    Rotate,
    /// Replace the policy. Agents present follow its scope; these agents come with it.
    SetPolicy(Policy, Vec<AccountId>),
    /// Add an agent that reads only what is sealed to it.
    AddAgent(AccountId),
    /// Remove an agent that reads only what is sealed to it.
    RemoveAgent(AccountId),
}

impl Change {
    /// The kind of commit that makes this change.
    pub fn kind(&self) -> CommitKind {
        match self {
            Self::Add(_) => CommitKind::Add,
            Self::Remove(_) => CommitKind::Remove,
            Self::Leave => CommitKind::Leave,
            Self::SetRole(_) => CommitKind::SetRole,
            Self::Rotate => CommitKind::Rotate,
            Self::SetPolicy(..) => CommitKind::SetPolicy,
            Self::AddAgent(_) | Self::RemoveAgent(_) => CommitKind::SetAgent,
        }
    }
}

/// A commit that lacks only its secrets and its signature.
///
/// If [`Self::starts_epoch`], the caller sets `kc` to the commitment of a new epoch secret (bound to
/// `prev_commit` and `epoch`) and `settings_box`; and `prev_box` only if [`Self::may_carry_prev`].
/// In open rooms it sets a plain `settings_box` to name or rename.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The fields.
    pub fields: CommitFields,
    /// Whether a new epoch starts.
    pub starts_epoch: bool,
    /// Whether the secret of the epoch before may be boxed into it.
    pub may_carry_prev: bool,
}

/// Prepares the Create of a room.
///
/// `nonce` is 32 random bytes. The committer becomes owner; in a direct room both people do.
///
/// # Errors
///
/// [`CommitFault::NeedChain`] if somebody's chain is not at hand: fetch it and try again.
pub fn propose_create(
    kind: RoomKind,
    policy: Policy,
    others: &[(AccountId, Role)],
    nonce: Hash,
    committer: Committer,
    chains: &impl Chains,
) -> Result<Proposal, CommitFault> {
    let mut members = BTreeMap::new();
    for (account, role) in others.iter().copied().chain([(committer.account, Role::Owner)]) {
        let role = if kind == RoomKind::Direct { Role::Owner } else { role };
        members.insert(account, newcomer(account, role, policy.agent_scope, chains)?);
    }
    let is_e2ee = policy.mode == RoomMode::E2ee;
    let fields = CommitFields {
        suite: suite(policy.mode),
        kind: CommitKind::Create,
        commit_no: 1,
        prev_commit: nonce,
        author: committer.account,
        device: committer.device,
        epoch: Epoch(u32::from(is_e2ee)),
        kc: Hash::ZERO,
        members_hash: members_hash(members.values()),
        policy_hash: policy.hash(),
        seen_seq: Seq(0),
        seen_hash: Hash::ZERO,
        prev_box: None,
        settings_box: None,
        time: committer.time,
        room_kind: Some(kind),
        changed: members.into_values().collect(),
        removed: Vec::new(),
        policy: Some(policy),
    };
    Ok(Proposal { fields, starts_epoch: is_e2ee, may_carry_prev: false })
}

/// Prepares the next commit of a room: everyone's newest chain head, the change, the hashes.
///
/// `seen` is the last log position that the committer verified.
///
/// # Errors
///
/// [`CommitFault::NeedChain`] if somebody's chain is not at hand: fetch it and try again.
pub fn propose(
    state: &RoomState,
    change: &Change,
    seen: LogHash,
    committer: Committer,
    chains: &impl Chains,
) -> Result<Proposal, CommitFault> {
    let policy = match change {
        Change::SetPolicy(policy, _) => *policy,
        _ => state.policy(),
    };
    let mut members = BTreeMap::new();
    for member in state.members() {
        members.insert(member.account, refreshed(*member, chains)?);
    }
    carry_out(change, policy, committer.account, &mut members, chains)?;
    let changed: Vec<Member> = members
        .values()
        .filter(|member| state.member(member.account) != Some(member))
        .copied()
        .collect();
    let gone = |member: &&Member| !members.contains_key(&member.account);
    let removed: Vec<AccountId> = state.members().filter(gone).map(|m| m.account).collect();
    let starts_epoch = starts_epoch(state, change, policy, &changed, !removed.is_empty());
    let (epoch, kc) = match (starts_epoch, state.epoch()) {
        (true, before) => (before.epoch.next(), Hash::ZERO),
        (false, before) => (before.epoch, before.kc),
    };
    let fields = CommitFields {
        suite: suite(policy.mode),
        kind: change.kind(),
        commit_no: state.commit_no().saturating_add(1),
        prev_commit: state.head(),
        author: committer.account,
        device: committer.device,
        epoch,
        kc,
        members_hash: members_hash(members.values()),
        policy_hash: policy.hash(),
        seen_seq: seen.seq(),
        seen_hash: seen.hash(),
        prev_box: None,
        settings_box: None,
        time: committer.time,
        room_kind: None,
        changed,
        removed,
        policy: matches!(change, Change::SetPolicy(..)).then_some(policy),
    };
    let may_carry_prev = starts_epoch && may_carry_prev(state.policy(), policy);
    Ok(Proposal { fields, starts_epoch, may_carry_prev })
}

/// Says whether the commit from one policy to the next may box the secret of the epoch before.
///
/// Whoever holds an epoch's secret opens the box, so elsewhere older ones go only by grant.
pub(super) fn may_carry_prev(before: Policy, after: Policy) -> bool {
    let keeps_all =
        |policy: Policy| policy.history == HistoryRule::All && policy.retention_days == 0;
    let raises_scope =
        after.agent_scope == AgentScope::All && before.agent_scope != AgentScope::All;
    keeps_all(before) && keeps_all(after) && !raises_scope
}

fn suite(mode: RoomMode) -> u8 {
    match mode {
        RoomMode::E2ee => SUITE_E2EE,
        RoomMode::Open => SUITE_OPEN,
    }
}

fn carry_out(
    change: &Change,
    policy: Policy,
    author: AccountId,
    members: &mut BTreeMap<AccountId, Member>,
    chains: &impl Chains,
) -> Result<(), CommitFault> {
    let scope = policy.agent_scope;
    match change {
        Change::Add(people) => {
            for (account, role) in people {
                members.insert(*account, newcomer(*account, *role, scope, chains)?);
            }
        }
        Change::Remove(accounts) => members.retain(|account, _| !accounts.contains(account)),
        Change::Leave => {
            members.remove(&author);
        }
        Change::SetRole(roles) => {
            for (account, role) in roles {
                if let Some(member) = members.get_mut(account) {
                    member.role = *role;
                }
            }
        }
        Change::Rotate => {}
        Change::SetPolicy(_, agents) => {
            for agent in agents {
                members.insert(*agent, newcomer(*agent, Role::Agent, scope, chains)?);
            }
            members.retain(|_, m| m.role != Role::Agent || scope != AgentScope::None);
            for agent in members.values_mut().filter(|m| m.role == Role::Agent) {
                agent.flags = agent_flags(scope);
            }
        }
        Change::AddAgent(agent) => {
            let flags = Member::AGENT_MENTION;
            let member = Member { flags, ..newcomer(*agent, Role::Agent, scope, chains)? };
            members.insert(*agent, member);
        }
        Change::RemoveAgent(agent) => {
            members.remove(agent);
        }
    }
    Ok(())
}

fn starts_epoch(
    state: &RoomState,
    change: &Change,
    policy: Policy,
    changed: &[Member],
    has_removed: bool,
) -> bool {
    let before = state.policy();
    let touches_agent = |member: &Member| {
        member.role == Role::Agent
            && state.member(member.account).is_none_or(|old| old.flags != member.flags)
    };
    state.mode() == RoomMode::E2ee
        && match change {
            Change::Rotate | Change::Remove(_) => true,
            Change::Add(_) => policy.history == HistoryRule::SinceJoin,
            Change::SetPolicy(..) => {
                before.agent_scope != policy.agent_scope
                    || before.history != policy.history
                    || changed.iter().any(touches_agent)
                    || has_removed
            }
            Change::Leave | Change::SetRole(_) | Change::AddAgent(_) | Change::RemoveAgent(_) => {
                false
            }
        }
}

fn agent_flags(scope: AgentScope) -> u8 {
    if scope == AgentScope::Mention { Member::AGENT_MENTION } else { 0 }
}

fn newcomer(
    account: AccountId,
    role: Role,
    scope: AgentScope,
    chains: &impl Chains,
) -> Result<Member, CommitFault> {
    let flags = if role == Role::Agent { agent_flags(scope) } else { 0 };
    refreshed(Member { account, role, flags, chain_seq: 1, chain_hash: Hash::ZERO }, chains)
}

fn refreshed(member: Member, chains: &impl Chains) -> Result<Member, CommitFault> {
    let need = CommitFault::NeedChain { account: member.account, seq: member.chain_seq };
    let head = chains.chain(member.account).ok_or(need)?.head();
    if head.seq < member.chain_seq {
        return Err(need);
    }
    Ok(Member { chain_seq: head.seq, chain_hash: head.hash, ..member })
}
