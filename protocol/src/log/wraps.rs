//! Which devices a new secret is wrapped for (CRYPTO B3, "Wrapped set").
//!
//! Owns the set and nothing of the sealing. The committer wraps for exactly these, and the server
//! applies the commit only when a wrap for each is staged.

use super::chains::Chains;
use super::room_state::RoomState;
use super::validate::{CommitFault, members_after};
use crate::crypto::commit::{Commit, CommitKind, Member, RoomMode};
use crate::crypto::identity::HpkePublic;
use crate::id::{AccountId, DeviceId};

/// A device that gets the epoch secret, and the key to wrap it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrapTarget {
    /// Whose device.
    pub account: AccountId,
    /// Which device.
    pub device: DeviceId,
    /// Its newest key by the chain number that the commit lists.
    pub key: HpkePublic,
    /// The generation of that key.
    pub generation: u32,
}

/// Lists every device that holds the secret of the room's newest epoch, by account and device.
///
/// These are the devices un-revoked at the chain number that the commits list for each member,
/// without agents that read only what is sealed to them. Open rooms have none.
///
/// # Errors
///
/// [`CommitFault::NeedChain`] if a member's chain is not at hand that far: fetch it and try again.
pub fn wrapped_set(
    after: &RoomState,
    chains: &impl Chains,
) -> Result<Vec<WrapTarget>, CommitFault> {
    match after.mode() {
        RoomMode::E2ee => devices_of(after.members(), chains),
        RoomMode::Open => Ok(Vec::new()),
    }
}

/// Lists the devices that a commit needs a wrap for, before it may be applied.
///
/// With a new epoch the whole wrapped set; for an Add without one the newcomers' devices; else none.
/// `before` is `None` for a Create.
///
/// # Errors
///
/// [`CommitFault::NeedChain`] if a member's chain is not at hand that far: fetch it and try again.
pub fn wraps_needed(
    before: Option<&RoomState>,
    commit: &Commit,
    chains: &impl Chains,
) -> Result<Vec<WrapTarget>, CommitFault> {
    let mode = before.map(RoomState::mode).or(commit.policy.map(|policy| policy.mode));
    if mode != Some(RoomMode::E2ee) {
        return Ok(Vec::new());
    }
    if before.is_none_or(|state| state.epoch().epoch != commit.epoch) {
        return devices_of(members_after(before, commit).values(), chains);
    }
    if commit.kind != CommitKind::Add {
        return Ok(Vec::new());
    }
    let is_new = |member: &&Member| before.is_some_and(|state| !state.is_member(member.account));
    devices_of(commit.changed.iter().filter(is_new), chains)
}

/// Lists the devices of agents that read only what is sealed to them: in each epoch they need a
/// sender key of their own to write, and hold no secret of the room (CRYPTO B6).
///
/// # Errors
///
/// [`CommitFault::NeedChain`] if an agent's chain is not at hand that far: fetch it and try again.
pub fn agents_to_key(
    after: &RoomState,
    chains: &impl Chains,
) -> Result<Vec<WrapTarget>, CommitFault> {
    match after.mode() {
        RoomMode::E2ee => targets(after.members().filter(|m| m.is_mention_agent()), chains),
        RoomMode::Open => Ok(Vec::new()),
    }
}

fn devices_of<'a>(
    members: impl Iterator<Item = &'a Member>,
    chains: &impl Chains,
) -> Result<Vec<WrapTarget>, CommitFault> {
    targets(members.filter(|member| !member.is_mention_agent()), chains)
}

fn targets<'a>(
    members: impl Iterator<Item = &'a Member>,
    chains: &impl Chains,
) -> Result<Vec<WrapTarget>, CommitFault> {
    let mut targets = Vec::new();
    for member in members {
        let (account, seq) = (member.account, member.chain_seq);
        let chain = chains
            .chain(account)
            .filter(|chain| seq <= chain.head().seq)
            .ok_or(CommitFault::NeedChain { account, seq })?;
        targets.extend(chain.devices_at(seq).filter_map(|device| {
            let key = device.hpke_at(seq)?;
            let (device, generation) = (device.id(), key.generation);
            Some(WrapTarget { account, device, key: key.key, generation })
        }));
    }
    Ok(targets)
}
