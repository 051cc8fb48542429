//! When nobody may encrypt before somebody has rotated (CRYPTO B3, "SENDER RULE").
//!
//! Every client asks before it seals. So a server that hides a removal or keeps a leaver's key alive
//! gains nothing: the first honest sender starts a new epoch.

use std::time::Duration;

use super::chains::Chains;
use super::room_state::RoomState;
use crate::crypto::commit::RoomMode;
use crate::id::{AccountId, TimeMs};
use crate::limits::{EPOCH_AGE_MAX, EPOCH_MESSAGES_MAX};

/// Why a new epoch must start before the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotateReason {
    /// A member revoked a device that may hold the epoch's secret.
    DeviceRevoked(AccountId),
    /// Somebody who was a member during the epoch is none now.
    MemberGone(AccountId),
    /// The epoch has messages and is older than [`EPOCH_AGE_MAX`].
    Age,
    /// The epoch has more than [`EPOCH_MESSAGES_MAX`] messages.
    Messages,
}

impl RotateReason {
    /// Says whether somebody would read on who must not: such rotations are exempt from rate limits.
    pub fn is_forced(self) -> bool {
        matches!(self, Self::DeviceRevoked(_) | Self::MemberGone(_))
    }
}

/// Says why a new epoch must start before anything is sealed in this one; `None` if it need not.
///
/// `n_messages` counts the messages of the newest epoch. The answer is as fresh as `chains`: refresh
/// the heads of all members at least every [`crate::limits::CHAIN_REFRESH_AFTER`]. Open rooms have
/// no keys and never rotate.
pub fn must_rotate(
    state: &RoomState,
    chains: &impl Chains,
    now: TimeMs,
    n_messages: u64,
) -> Option<RotateReason> {
    if state.mode() == RoomMode::Open {
        return None;
    }
    let epoch = state.epoch();
    for member in state.members_during(epoch.epoch) {
        let account = member.account;
        if !state.is_member(account) {
            return Some(RotateReason::MemberGone(account));
        }
        let chain = chains.chain(account);
        if chain.is_some_and(|chain| chain.has_revocation_after(member.chain_seq)) {
            return Some(RotateReason::DeviceRevoked(account));
        }
    }
    if n_messages > EPOCH_MESSAGES_MAX {
        return Some(RotateReason::Messages);
    }
    let age = Duration::from_millis(now.0.saturating_sub(epoch.started_time.0));
    (n_messages > 0 && age > EPOCH_AGE_MAX).then_some(RotateReason::Age)
}
