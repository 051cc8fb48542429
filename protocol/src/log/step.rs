//! One step of a room, from the state before to what a commit would make of it (CRYPTO B3, B6).
//!
//! Owns the rules that compare before and after: who may, what the lists hold, how epochs step,
//! which boxes may be there. [`super::validate`] asks them in order; nobody else does.

use std::collections::BTreeMap;

use super::permissions::{may_add, may_administer, may_commit, may_remove, may_set_role};
use super::propose::may_carry_prev;
use super::room_state::RoomState;
use super::validate::{Applied, CommitFault, Note, members_after};
use crate::crypto::commit::{
    Commit, CommitKind, HistoryRule, Member, PREV_BOX_LEN, Policy, Role, RoomKind, RoomMode,
};
use crate::id::{AccountId, Epoch, Hash};

/// One step of a room: the state before, the commit, and what would come after.
pub(super) struct Step<'a> {
    before: &'a RoomState,
    commit: &'a Commit,
    /// The author's record before; `None` for who joins an open room alone.
    author: Option<&'a Member>,
    pub(super) members: BTreeMap<AccountId, Member>,
    pub(super) policy: Policy,
    diff: Diff<'a>,
}

/// What the records in `changed` change.
#[derive(Default)]
struct Diff<'a> {
    newcomers: Vec<&'a Member>,
    /// Before and after.
    new_roles: Vec<(&'a Member, &'a Member)>,
    n_new_flags: usize,
}

impl<'a> Diff<'a> {
    fn new(before: &'a RoomState, commit: &'a Commit) -> Self {
        let mut diff = Self::default();
        for member in &commit.changed {
            match before.member(member.account) {
                None => diff.newcomers.push(member),
                Some(old) => {
                    if old.role != member.role {
                        diff.new_roles.push((old, member));
                    }
                    diff.n_new_flags += usize::from(old.flags != member.flags);
                }
            }
        }
        diff
    }

    /// No record changes but for a chain head.
    fn is_refresh(&self) -> bool {
        self.newcomers.is_empty() && self.new_roles.is_empty() && self.n_new_flags == 0
    }
}

impl<'a> Step<'a> {
    pub(super) fn new(before: &'a RoomState, commit: &'a Commit) -> Result<Self, CommitFault> {
        let step = Self {
            before,
            commit,
            author: before.member(commit.author),
            members: members_after(Some(before), commit),
            policy: commit.policy.unwrap_or(before.policy()),
            diff: Diff::new(before, commit),
        };
        if step.author.is_none() && !step.joins_alone() {
            return Err(CommitFault::NotMember(commit.author));
        }
        if let Some(nobody) = commit.removed.iter().find(|account| !before.is_member(**account)) {
            return Err(CommitFault::NobodyToRemove(*nobody));
        }
        Ok(step)
    }

    /// An Add of oneself, as a plain member, to an open room (CRYPTO B6).
    fn joins_alone(&self) -> bool {
        self.author.is_none()
            && self.before.mode() == RoomMode::Open
            && self.commit.kind == CommitKind::Add
            && matches!(self.diff.newcomers.as_slice(), [one]
                if one.account == self.commit.author && one.role == Role::Member)
    }

    /// The author's chain number by this commit, or by the one before if the author is gone.
    pub(super) fn author_chain_seq(&self) -> u32 {
        let record = self.members.get(&self.commit.author).or(self.author);
        record.map_or(0, |member| member.chain_seq)
    }

    pub(super) fn check_permission(&self) -> Result<(), CommitFault> {
        let Some(author) = self.author else {
            // Joins alone: nobody's role is needed, but nobody's removal is undone either.
            return match self.before.removed_by(self.commit.author) {
                Some(_) => Err(CommitFault::WasRemoved(self.commit.author)),
                None => self.check_shape(),
            };
        };
        let (kind, role) = (self.commit.kind, author.role);
        let is_direct = self.before.kind() == RoomKind::Direct;
        if is_direct && !matches!(kind, CommitKind::Rotate | CommitKind::SetPolicy) {
            return Err(CommitFault::NotAllowed(kind, role));
        }
        self.check_shape()?;
        let allowed = may_commit(role)
            && match kind {
                CommitKind::Create => false,
                CommitKind::Rotate | CommitKind::Leave => true,
                CommitKind::Add => {
                    let who_adds = self.before.policy().who_adds;
                    self.diff.newcomers.iter().all(|m| may_add(role, who_adds, m.role))
                }
                CommitKind::Remove => self.removed().all(|m| may_remove(role, m.role)),
                CommitKind::SetRole => {
                    self.diff.new_roles.iter().all(|(old, m)| may_set_role(role, old.role, m.role))
                }
                CommitKind::SetPolicy => is_direct || may_administer(role),
                CommitKind::SetAgent => may_administer(role),
            };
        if allowed { Ok(()) } else { Err(CommitFault::NotAllowed(kind, role)) }
    }

    /// The lists hold what the kind is about, and nothing else but refreshed chain heads.
    fn check_shape(&self) -> Result<(), CommitFault> {
        let (diff, removed) = (&self.diff, &self.commit.removed);
        let author = self.commit.author;
        let only_newcomers = diff.new_roles.is_empty() && diff.n_new_flags == 0;
        let agents_only = diff.new_roles.is_empty()
            && diff.newcomers.iter().all(|m| m.role == Role::Agent)
            && self.removed().all(|m| m.role == Role::Agent);
        let fits = match self.commit.kind {
            CommitKind::Create => false,
            CommitKind::Add => !diff.newcomers.is_empty() && only_newcomers && removed.is_empty(),
            CommitKind::Remove => {
                diff.is_refresh() && !removed.is_empty() && !removed.contains(&author)
            }
            CommitKind::Leave => diff.is_refresh() && *removed == [author],
            CommitKind::SetRole => {
                !diff.new_roles.is_empty()
                    && diff.newcomers.is_empty()
                    && diff.n_new_flags == 0
                    && removed.is_empty()
            }
            CommitKind::Rotate => diff.is_refresh() && removed.is_empty(),
            CommitKind::SetPolicy => agents_only,
            // Readers of everything hold the epoch's secret: they come and go with a new epoch.
            CommitKind::SetAgent => {
                agents_only
                    && diff.n_new_flags == 0
                    && (!diff.newcomers.is_empty() || !removed.is_empty())
                    && diff.newcomers.iter().all(|m| m.is_mention_agent())
                    && self.removed().all(Member::is_mention_agent)
            }
        };
        let has_policy = self.commit.policy.is_some();
        if fits && has_policy == (self.commit.kind == CommitKind::SetPolicy) {
            Ok(())
        } else {
            Err(CommitFault::Shape(self.commit.kind))
        }
    }

    fn removed(&self) -> impl Iterator<Item = &Member> {
        self.commit.removed.iter().filter_map(|account| self.before.member(*account))
    }

    pub(super) fn check_policy(&self) -> Result<(), CommitFault> {
        let before = self.before.policy();
        if self.policy.mode != before.mode {
            return Err(CommitFault::ModeChange);
        }
        let retention_only = Policy { retention_days: self.policy.retention_days, ..before };
        if self.before.kind() == RoomKind::Direct && self.policy != retention_only {
            let role = self.author.map_or(Role::Guest, |author| author.role);
            return Err(CommitFault::NotAllowed(self.commit.kind, role));
        }
        Ok(())
    }

    pub(super) fn check_owner(&self) -> Result<(), CommitFault> {
        let is_owner = |member: &Member| member.role == Role::Owner;
        let had_one = self.before.members().any(is_owner);
        let has_people = self.members.values().any(|member| member.role != Role::Agent);
        if had_one && has_people && !self.members.values().any(is_owner) {
            return Err(CommitFault::SoleOwner);
        }
        Ok(())
    }

    /// A change of who reads what, which needs a new secret.
    fn touches_readers(&self) -> bool {
        let before = self.before.policy();
        self.policy.agent_scope != before.agent_scope
            || self.policy.history != before.history
            || !self.diff.is_refresh()
            || !self.commit.removed.is_empty()
    }

    /// Whether a new epoch starts, if that is as the kind demands.
    pub(super) fn check_epoch(&self) -> Result<bool, CommitFault> {
        let (before, commit) = (self.before.epoch(), self.commit);
        if self.before.mode() == RoomMode::Open {
            if commit.epoch != Epoch(0) {
                return Err(CommitFault::EpochStep { found: commit.epoch.0 });
            }
            return if commit.kc == Hash::ZERO { Ok(false) } else { Err(CommitFault::KeyCommit) };
        }
        let starts = commit.epoch != before.epoch;
        let (must, may) = match commit.kind {
            CommitKind::Rotate | CommitKind::Remove => (true, true),
            CommitKind::Add => (self.before.policy().history == HistoryRule::SinceJoin, true),
            CommitKind::SetPolicy => (self.touches_readers(), self.touches_readers()),
            // The leaver may not choose the next secret: the sender rule makes others do so.
            CommitKind::Leave | CommitKind::SetRole | CommitKind::SetAgent | CommitKind::Create => {
                (false, false)
            }
        };
        let is_next = before.epoch.0.checked_add(1) == Some(commit.epoch.0);
        if (starts && !(may && is_next)) || (must && !starts) {
            return Err(CommitFault::EpochStep { found: commit.epoch.0 });
        }
        // The commitment binds its epoch, so a new one can never equal the old.
        let kc_fits = if starts {
            commit.kc != before.kc && commit.kc != Hash::ZERO
        } else {
            commit.kc == before.kc
        };
        if kc_fits { Ok(starts) } else { Err(CommitFault::KeyCommit) }
    }

    pub(super) fn check_boxes(&self, starts_epoch: bool) -> Result<(), CommitFault> {
        if let Some(prev_box) = &self.commit.prev_box {
            let fits = starts_epoch
                && may_carry_prev(self.before.policy(), self.policy)
                && prev_box.len() == PREV_BOX_LEN;
            if !fits {
                return Err(CommitFault::PrevBox);
            }
        }
        let has_settings = self.commit.settings_box.is_some();
        let fits = match self.before.mode() {
            // Two people are the name of a direct room: there the box may be left out.
            RoomMode::E2ee if self.before.kind() == RoomKind::Direct => {
                starts_epoch || !has_settings
            }
            RoomMode::E2ee => has_settings == starts_epoch,
            RoomMode::Open => !has_settings || self.commit.kind == CommitKind::Rotate,
        };
        if fits { Ok(()) } else { Err(CommitFault::SettingsBox) }
    }

    pub(super) fn applied(&self, starts_epoch: bool) -> Applied {
        let mut notes = Vec::new();
        let author = self.commit.author;
        if self.author.is_none() {
            notes.push(Note::JoinedAlone(author));
        }
        let may_rename = self.author.is_some_and(|member| may_administer(member.role));
        if self.commit.settings_box.is_some() && !may_rename {
            notes.push(Note::SettingsByLowerRole(author));
        }
        Applied {
            starts_epoch,
            newcomers: self.diff.newcomers.iter().map(|member| member.account).collect(),
            gone: self.commit.removed.clone(),
            notes,
        }
    }
}
